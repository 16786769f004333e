//! The few commands of QEMU's machine protocol that the rig needs.

use crate::base::line::{self, NoLine};
use crate::base::process::readable;
use crate::machine::Place;
use agent_protocol::{MOST_STACK, Processor};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::{BufReader, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// As QEMU prints them, in the order of [`Processor::registers`].
const REGISTERS: [&str; 16] = [
    "RAX=", "RCX=", "RDX=", "RBX=", "RSP=", "RBP=", "RSI=", "RDI=", "R8 =", "R9 =", "R10=", "R11=", "R12=",
    "R13=", "R14=", "R15=",
];

/// The hexadecimal number behind `name` in what QEMU has printed.
fn register(printed: &str, name: &str) -> Result<u64> {
    let value = printed.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
    let value =
        value.with_context(|| format!("no {name} in what QEMU says of the processor: {printed:?}"))?;
    u64::from_str_radix(value, 16).with_context(|| format!("{name}{value}"))
}

/// QEMU has closed its monitor, which it does only by ending.
#[derive(Debug, thiserror::Error)]
#[error("QEMU has closed its monitor")]
pub struct Closed;

const LIMIT: Duration = Duration::from_secs(10);
/// PCI vendor and device of a modern virtio-net function.
const NIC: (u64, u64) = (0x1af4, 0x1041);

/// A function on PCI bus 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciFunction {
    /// Device and function.
    pub place: Place,
    /// Vendor and device id.
    pub id: (u64, u64),
    /// Address and size of each memory region that it answers in.
    pub memory: Vec<(u64, u64)>,
}

impl PciFunction {
    fn read(told: &Value) -> Option<Self> {
        let number = |name: &str| told[name].as_u64().and_then(|number| u8::try_from(number).ok());
        let regions = told["regions"].as_array().into_iter().flatten();
        let memory = regions.filter(|region| region["type"] == "memory");
        Some(Self {
            place: Place(number("slot")?, number("function")?),
            id: (told["id"]["vendor"].as_u64()?, told["id"]["device"].as_u64()?),
            // A region that is switched off has address -1.
            memory: memory
                .filter_map(|region| Some((region["address"].as_u64()?, region["size"].as_u64()?)))
                .collect(),
        })
    }
}

/// A connection to QEMU's monitor.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
    /// For an answer.
    limit: Duration,
    /// What QEMU told while an answer was waited for.
    events: Vec<Value>,
}

impl AsFd for Qmp {
    /// Readable when [`Qmp::events`] may have some.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.get_ref().as_fd()
    }
}

impl Qmp {
    /// Takes up the conversation on a fresh connection.
    pub fn new(stream: UnixStream) -> Result<Self> {
        let mut qmp = Self { reader: line::reader(stream, LIMIT)?, limit: LIMIT, events: Vec::new() };
        let greeting = qmp.read().context("waiting for the greeting of QEMU's monitor")?;
        if greeting.get("QMP").is_none() {
            bail!("QEMU's monitor greets with {greeting}");
        }
        qmp.execute("qmp_capabilities")?;
        Ok(qmp)
    }

    /// Stops the machine's processor. Its virtqueues leave service.
    pub fn stop(&mut self) -> Result<()> {
        self.execute("stop").map(drop)
    }

    /// Lets the machine go on.
    pub fn cont(&mut self) -> Result<()> {
        self.execute("cont").map(drop)
    }

    /// Writes `size` bytes of physical memory, from `start` on, to a file. Registers are read like memory.
    pub fn save_physical(&mut self, start: u64, size: u64, file: &Path) -> Result<()> {
        let arguments = json!({ "val": start, "size": size, "filename": file });
        self.execute_with("pmemsave", &arguments).map(drop)
    }

    /// Address and size of each memory region of the NIC.
    pub fn memory_bars(&mut self) -> Result<Vec<(u64, u64)>> {
        let nic = self.pci()?.into_iter().filter(|function| function.id == NIC);
        Ok(nic.flat_map(|function| function.memory).collect())
    }

    /// The functions on PCI bus 0.
    pub fn pci(&mut self) -> Result<Vec<PciFunction>> {
        let buses = self.execute("query-pci")?;
        let root = buses.as_array().into_iter().flatten().filter(|bus| bus["bus"] == 0);
        let devices = root.filter_map(|bus| bus["devices"].as_array()).flatten();
        Ok(devices.filter_map(PciFunction::read).collect())
    }

    /// What QEMU prints at a command for people.
    fn print(&mut self, command: &str) -> Result<String> {
        let printed = self.execute_with("human-monitor-command", &json!({ "command-line": command }))?;
        Ok(printed.as_str().unwrap_or_default().to_owned())
    }

    /// The processor's CR3.
    pub fn page_table(&mut self) -> Result<u64> {
        register(&self.print("info registers")?, "CR3=")
    }

    /// The processor's registers and IRQL, and what the guest's stack has at most. Images are not QEMU's to know.
    /// `folder` takes a file for a moment.
    pub fn processor(&mut self, folder: &Path) -> Result<Processor> {
        let printed = self.print("info registers")?;
        let mut registers = [0; 16];
        for (value, name) in registers.iter_mut().zip(REGISTERS) {
            *value = register(&printed, name)?;
        }
        let priority = register(&self.print("info lapic")?, "TPR 0x")?;
        let rip = register(&printed, "RIP=")?;
        let mut processor = Processor { irql: (priority >> 4) as u8, rip, registers, ..Processor::default() };
        let file = folder.join("stack");
        let from = registers[Processor::RSP];
        self.print(&format!("memsave {from:#x} {MOST_STACK} {}", file.display()))?;
        // Without a file there is no memory there: registers alone tell something too.
        if let Ok(bytes) = std::fs::read(&file) {
            processor.stack = hex::encode(bytes);
            let _ = std::fs::remove_file(&file);
        }
        Ok(processor)
    }

    /// What QEMU has told since the last look, each as `{"event": NAME, "data": {...}, ...}`. Does not wait. QEMU may be
    /// gone: what it told before is still here.
    pub fn events(&mut self) -> Vec<Value> {
        while !self.reader.buffer().is_empty() || readable(self.as_fd(), Duration::ZERO) {
            match self.read() {
                Ok(event) => self.events.push(event),
                Err(_) => break,
            }
        }
        std::mem::take(&mut self.events)
    }

    /// Bytes that all drives have read and written since QEMU started.
    pub fn traffic(&mut self) -> Result<(u64, u64)> {
        let drives = self.execute("query-blockstats")?;
        let sum = |name: &str| {
            let drives = drives.as_array().into_iter().flatten();
            drives.filter_map(|drive| drive["stats"][name].as_u64()).sum()
        };
        Ok((sum("rd_bytes"), sum("wr_bytes")))
    }

    /// Writes what the guest's screen shows to a file, as PNG.
    pub fn screenshot(&mut self, file: &Path) -> Result<()> {
        self.execute_with("screendump", &json!({ "filename": file, "format": "png" })).map(drop)
    }

    /// Whether the machine's processor runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.execute("query-status")?["running"] == true)
    }

    /// The machine's state by QEMU's name: `running`, `paused`, `internal-error`, ...
    pub fn status(&mut self) -> Result<String> {
        Ok(self.execute("query-status")?["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends a non-maskable interrupt to every processor.
    pub fn inject_nmi(&mut self) -> Result<()> {
        self.execute("inject-nmi").map(drop)
    }

    /// Writes the machine's memory and the state of its processors to an ELF core file, which takes at most `limit`.
    pub fn dump_memory(&mut self, file: &Path, limit: Duration) -> Result<()> {
        let arguments = json!({ "paging": false, "protocol": format!("file:{}", file.display()) });
        self.limit = limit;
        let written = self.execute_with("dump-guest-memory", &arguments);
        self.limit = LIMIT;
        written.map(drop)
    }

    /// Ends QEMU, whatever the guest does.
    pub fn quit(&mut self) -> Result<()> {
        self.execute("quit").map(drop)
    }

    fn execute(&mut self, command: &str) -> Result<Value> {
        self.execute_with(command, &json!({}))
    }

    fn execute_with(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.reader.get_mut().write_all(line.as_bytes()).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => anyhow::Error::from(Closed),
            _ => anyhow::Error::from(error).context("QEMU's monitor"),
        })?;
        loop {
            let mut answer =
                self.read().with_context(|| format!("waiting for QEMU's answer to `{command}`"))?;
            if let Some(error) = answer.get("error") {
                bail!("QEMU refuses `{command}`: {}", error["desc"].as_str().unwrap_or("without a reason"));
            }
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
            self.events.push(answer);
        }
    }

    fn read(&mut self) -> Result<Value> {
        let line = line::read(&mut self.reader, self.limit).map_err(|error| match error {
            NoLine::Closed => anyhow::Error::from(Closed),
            error => error.into(),
        })?;
        serde_json::from_str(&line).with_context(|| format!("QEMU's monitor says {line:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead as _;

    #[test]
    fn events_between_command_and_answer_are_kept() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        for line in [r#"{"QMP":{}}"#, r#"{"return":{}}"#, r#"{"event":"STOP"}"#, r#"{"return":{}}"#] {
            writeln!(theirs, "{line}").unwrap();
        }
        let mut qmp = Qmp::new(ours).unwrap();
        qmp.stop().unwrap();
        assert_eq!(qmp.events(), [json!({ "event": "STOP" })]);
        let mut asked = BufReader::new(theirs);
        let mut lines = String::new();
        asked.read_line(&mut lines).unwrap();
        asked.read_line(&mut lines).unwrap();
        assert_eq!(
            lines,
            "{\"arguments\":{},\"execute\":\"qmp_capabilities\"}\n{\"arguments\":{},\"execute\":\"stop\"}\n"
        );
    }

    #[test]
    fn a_function_answers_where_its_region_has_an_address() {
        let told = json!({
            "slot": 16, "function": 0, "id": { "vendor": 0x1af4, "device": 0x1041 },
            "regions": [
                { "bar": 1, "type": "memory", "address": -1, "size": 4096 },
                { "bar": 4, "type": "memory", "address": 0x38_0000_0000_u64, "size": 16384 },
                { "bar": 5, "type": "io", "address": 0x6000, "size": 32 }
            ]
        });
        let function = PciFunction::read(&told).unwrap();
        assert_eq!((function.place, function.id), (Place(16, 0), NIC));
        assert_eq!(function.memory, [(0x38_0000_0000, 16384)]);
    }

    #[test]
    fn events_are_kept_from_before_an_answer_and_after_it() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        for line in [r#"{"QMP":{}}"#, r#"{"return":{}}"#, r#"{"event":"RESET"}"#, r#"{"return":{}}"#] {
            writeln!(theirs, "{line}").unwrap();
        }
        let mut qmp = Qmp::new(ours).unwrap();
        qmp.stop().unwrap();
        writeln!(theirs, r#"{{"event":"SHUTDOWN"}}"#).unwrap();
        drop(theirs);
        let names: Vec<_> = qmp.events().iter().map(|event| event["event"].to_string()).collect();
        assert_eq!(names, ["\"RESET\"", "\"SHUTDOWN\""]);
        assert!(qmp.events().is_empty());
    }

    #[test]
    fn traffic_is_that_of_all_drives() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let stats =
            r#"{"return":[{"stats":{"rd_bytes":1,"wr_bytes":2}},{"stats":{"rd_bytes":10,"wr_bytes":20}}]}"#;
        for line in [r#"{"QMP":{}}"#, r#"{"return":{}}"#, stats] {
            writeln!(theirs, "{line}").unwrap();
        }
        assert_eq!(Qmp::new(ours).unwrap().traffic().unwrap(), (11, 22));
    }

    #[test]
    fn registers_are_read_from_what_qemu_prints() {
        let printed = "CPU#0\r\nRAX=0000000000000000 RBX=00000000deadbeef\r\nR8 =0000000000000010 R9 =1\r\n\
            RIP=fffff800123480c9 RFL=00000046 [---Z-P-] CPL=0\r\n";
        for (name, value) in [("RBX=", 0xdead_beef), ("R8 =", 0x10), ("RIP=", 0xffff_f800_1234_80c9)] {
            assert_eq!(register(printed, name).unwrap(), value, "{name}");
        }
        assert_eq!(register("APR 0x00 TPR 0x20 DFR 0x0f", "TPR 0x").unwrap(), 0x20);
        assert!(register(printed, "R15=").unwrap_err().to_string().contains("no R15= in"));
    }

    #[test]
    fn a_greeting_of_another_protocol_is_refused() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"{\"hello\":1}\n").unwrap();
        let error = Qmp::new(ours).unwrap_err().to_string();
        assert!(error.contains("greets"), "{error}");
    }
}
