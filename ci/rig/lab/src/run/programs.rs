//! What a scenario does as a program in the guest: files and control requests.

use super::{Lives, Pending, Run};
use agent_protocol::{Command, IoResult};
use anyhow::{Context, Result, bail};
use cancelnic_ioctl::{FILTER_DEVICE, Guid, NIC_BENCH_INTERFACE, NIC_INTERFACE, RELAY_INTERFACE};

/// A GUID as the guest's agent takes it.
pub(super) fn class(guid: Guid) -> String {
    let Guid(first, second, third, rest) = guid;
    let tail: String = rest[2..].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{{first:08x}-{second:04x}-{third:04x}-{:02x}{:02x}-{tail}}}", rest[0], rest[1])
}

/// A device's name for people.
fn name_of(device: &str) -> &str {
    match device {
        _ if device == class(NIC_INTERFACE) => "cancelnic's device interface",
        _ if device == class(NIC_BENCH_INTERFACE) => "cancelnic's test bench",
        _ if device == class(RELAY_INTERFACE) => "cancelnic-relay's device interface",
        _ => device,
    }
}

/// An open file of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File(u32);

/// A control request that has been sent and not been waited for.
#[derive(Debug)]
#[must_use = "a request has to be finished"]
pub struct Controlling {
    pending: Pending,
    what: String,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// NTSTATUS.
    pub status: u32,
    /// IoStatus.Information.
    pub information: u64,
    /// What came back in the output buffer.
    pub output: Vec<u8>,
}

impl Answer {
    fn of(io: Option<IoResult>) -> Result<Self> {
        let io = io.context("the guest's answer says nothing of the request")?;
        let output = hex::decode(&io.output).context("the request's output")?;
        Ok(Self { status: io.status, information: io.information, output })
    }

    fn describe(&self) -> String {
        format!("status {:#010x}, information {}", self.status, self.information)
    }
}

impl Run {
    /// Whether a file is open that goes with its device: the filter's has none that could be disabled.
    pub(super) fn has_device_files(&self) -> bool {
        self.session.open_files.values().any(|device| device != FILTER_DEVICE)
    }

    /// Opens a device as a program does.
    ///
    /// # Errors
    /// IRP_MJ_CREATE failed, or there is no such device.
    pub fn open(&mut self, device: &str) -> Result<File> {
        self.step(format!("open {}", name_of(device)), |run| {
            run.session.last_file += 1;
            let file = run.session.last_file;
            let answer = Answer::of(run.ask(Command::Open { file, device: device.into() })?)?;
            if answer.status != 0 {
                bail!("{}", answer.describe());
            }
            run.session.open_files.insert(file, device.into());
            Ok((File(file), String::new()))
        })
    }

    /// Closes a file: cleanup, then close.
    pub fn close(&mut self, file: File) -> Result<()> {
        let device = self.session.open_files.get(&file.0).map_or("a file", |device| name_of(device));
        self.step(format!("close {device}"), |run| {
            run.ask(Command::Close { file: file.0 })?;
            run.session.open_files.remove(&file.0);
            Ok(((), String::new()))
        })
    }

    /// Sends a control request and waits for its end, whatever its status.
    pub fn control(
        &mut self,
        what: &str,
        file: File,
        code: u32,
        input: &[u8],
        output_len: u32,
    ) -> Result<Answer> {
        self.step(what, |run| {
            let answer = run.request(file, code, input, output_len)?;
            let detail = if answer.status == 0 { String::new() } else { answer.describe() };
            Ok((answer, detail))
        })
    }

    /// The same as a part of a step.
    pub(super) fn request(&mut self, file: File, code: u32, input: &[u8], output_len: u32) -> Result<Answer> {
        let command = Command::Control { file: file.0, code, input: hex::encode(input), output_len };
        Answer::of(self.ask(command)?)
    }

    /// Sends a control request; [`Run::finish_control`] waits for its end.
    pub fn begin_control(
        &mut self,
        what: &str,
        file: File,
        code: u32,
        input: &[u8],
        output_len: u32,
    ) -> Result<Controlling> {
        self.step(format!("{what}: sent"), |run| {
            let command = Command::Control { file: file.0, code, input: hex::encode(input), output_len };
            let pending = run.begin(command)?;
            Ok((Controlling { pending, what: what.into() }, String::new()))
        })
    }

    /// Waits for a request's end.
    pub fn finish_control(&mut self, controlling: &Controlling) -> Result<Answer> {
        self.step(format!("{}: completed", controlling.what), |run| {
            let answer = Answer::of(run.collect(&controlling.pending, Lives::GoOn)?)?;
            let detail = answer.describe();
            Ok((answer, detail))
        })
    }

    /// Cancels a request as CancelIoEx does; whether a cancel routine ran.
    pub fn cancel_control(&mut self, controlling: &Controlling) -> Result<bool> {
        self.step(format!("{}: cancel", controlling.what), |run| {
            let request = controlling.pending.id();
            let ran = Answer::of(run.ask(Command::CancelControl { request })?)?.information != 0;
            Ok((ran, if ran { "a cancel routine ran" } else { "no cancel routine" }.into()))
        })
    }
}
