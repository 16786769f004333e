//! The tests, and what they need.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agent_protocol::{FailureKind, MAX_LINE, Message, Reply, VERSION};
use base64ct::{Base64, Encoding as _};
use libtest_mimic::{Arguments, Failed, Trial};
use sha2::{Digest as _, Sha256};

use crate::{parameters, port::Port, prefix::Prefix};

/// What the tests share.
pub(crate) struct Machine {
    /// Its Windows.
    pub prefix: Prefix,
    port: Option<Port>,
    link: PathBuf,
}

impl Machine {
    /// The other end of COM2.
    pub(crate) fn port(&mut self) -> &mut Port {
        self.port.as_mut().expect("the port of an earlier test")
    }

    /// The agent's own log.
    fn log(&self) -> String {
        let drive = self.prefix.drive();
        let places = ["ProgramData/cancelnic/agent.log", "users/Public/cancelnic/agent.log"];
        places.iter().find_map(|place| fs::read_to_string(drive.join(place)).ok()).expect("a log")
    }
}

type Test = fn(&mut Machine);

const TESTS: [(&str, Test); 13] = [
    ("an_installed_service_greets_once_started", greets),
    ("drivers_are_hashed_where_their_services_say", hashes),
    ("every_command_is_answered", answers),
    ("parameters_are_those_of_the_inf", parameters::configure),
    ("a_device_is_opened_asked_and_closed", asks_a_device),
    ("dumps_come_out_in_parts", dumps),
    ("the_machine_is_left_whatever_the_worker_does", leaves),
    ("malformed_cut_and_overlong_lines_are_survived", survives),
    ("a_lost_port_is_opened_again", reconnects),
    ("a_stopped_service_ends_in_order_and_starts_again", restarts),
    ("a_removed_service_is_gone_and_a_console_does_the_same", console),
    ("the_inf_files_are_read_by_setupapi", infs),
    ("a_broken_inf_is_told_with_its_line", broken_inf),
];

/// Says why nothing is tested; an error where everything has to be.
fn not_tested(why: &str) -> ExitCode {
    println!("NOT TESTED: {why}");
    if env::var_os("CANCELNIC_JUDGES").is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

pub(crate) fn run() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // one machine, and a service on it
    arguments.test_threads = Some(1);
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(&Arc::default())).exit_code();
    }
    let wine = Command::new("wine").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !wine.is_ok_and(|status| status.success()) {
        return not_tested("wine is not there; on Debian it is in the package of that name");
    }
    let agent = match build() {
        Ok(agent) => agent,
        Err(why) => return not_tested(&why),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let link = folder.path().join("port");
    let port = Port::new(&link);
    let walker = agent.with_file_name("").join("../x86_64-pc-windows-gnu/release/examples/walk-inf.exe");
    let machine = Machine { prefix: Prefix::new(&[agent, walker], &link), port: Some(port), link };
    let machine = Arc::new(Mutex::new(Some(machine)));
    let conclusion = libtest_mimic::run(&arguments, trials(&machine));
    // Wine ends before its folder goes
    drop(machine.lock().unwrap_or_else(PoisonError::into_inner).take());
    conclusion.exit_code()
}

fn trials(machine: &Arc<Mutex<Option<Machine>>>) -> Vec<Trial> {
    let trial = |(name, test): (&str, Test)| {
        let machine = Arc::clone(machine);
        Trial::test(name, move || {
            let mut machine: MutexGuard<'_, _> = machine.lock().unwrap_or_else(PoisonError::into_inner);
            test(machine.as_mut().ok_or_else(|| Failed::from("no machine"))?);
            Ok(())
        })
    };
    TESTS.into_iter().map(trial).collect()
}

/// Builds the agent as it is shipped; its path.
fn build() -> Result<PathBuf, String> {
    let workspace =
        Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../..");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rig", "build", "--agent"]).current_dir(workspace).stderr(Stdio::piped());
    let output = cargo.output().expect("cargo");
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => {}
        Some(3) => return Err(said.lines().last().unwrap_or_default().to_owned()),
        _ => panic!("cargo rig build --agent: {said}"),
    }
    let listed = String::from_utf8(output.stdout).expect("text");
    let (_, path) = listed.trim().split_once("  ").expect("hash and path");
    Ok(PathBuf::from(path))
}

/// Why request 9 failed.
pub(crate) fn failure(message: Message) -> String {
    match message {
        Message::Failed { id: 9, error, kind: None } => error,
        other => panic!("{other:?}"),
    }
}

/// The answer of request 9, which was carried out.
pub(crate) fn done(message: Message) -> Reply {
    match message {
        Message::Done { id: 9, reply } => reply,
        other => panic!("{other:?}"),
    }
}

fn state(prefix: &Prefix) -> String {
    let said = prefix.say(&["sc", "query", "cancelnic-agent"]);
    let line = said.lines().find(|line| line.trim_start().starts_with("STATE")).expect("a state");
    line.split_whitespace().last().expect("a word").to_owned()
}

fn greets(machine: &mut Machine) {
    machine.prefix.say(&[r"C:\cancelnic-agent.exe", "--install"]);
    assert_eq!(state(&machine.prefix), "STOPPED");
    machine.prefix.say(&["sc", "start", "cancelnic-agent"]);
    assert_eq!(state(&machine.prefix), "RUNNING");
    let hello = machine.port().hear_opening();
    let Message::Hello { version: VERSION, guest, drivers, boot_us, machine: Some(told) } = hello else {
        panic!("{hello:?}");
    };
    assert_eq!((guest.as_str(), told.agent.as_str()), ("windows", env!("CARGO_PKG_VERSION")));
    assert!(drivers.is_empty() && boot_us > 0 && told.memory_mb > 0 && told.processors > 0, "{told:?}");
    assert!(told.system.split('.').count() == 4 && told.started_unix > 1_700_000_000, "{told:?}");
}

fn hashes(machine: &mut Machine) {
    let image = b"not much of a driver";
    let store = r"System32\DriverStore\FileRepository\cancelnic.inf_amd64_1";
    let folder = machine.prefix.drive().join("windows").join(store.replace('\\', "/"));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("cancelnic.sys"), image).expect("an image");
    let key = r"HKLM\SYSTEM\CurrentControlSet\Services\cancelnic";
    let path = format!(r"\SystemRoot\{store}\cancelnic.sys");
    machine.prefix.say(&["reg", "add", key, "/v", "ImagePath", "/t", "REG_EXPAND_SZ", "/d", &path, "/f"]);
    let Message::Hello { drivers, .. } = machine.port().call(r#"{"do":"greet"}"#) else {
        panic!("no greeting")
    };
    let told: Vec<_> = drivers.iter().map(|driver| (driver.file.as_str(), driver.sha256.clone())).collect();
    assert_eq!(told, [("cancelnic.sys", hex::encode(Sha256::digest(image)))]);
    let answer = machine.port().hear();
    assert_eq!(done(answer), Reply::default());
}

fn answers(machine: &mut Machine) {
    let port = machine.port();
    for (command, said) in [
        (r#"{"do":"load"}"#, "cancelnic-relay.sys is not in the driver store"),
        (r#"{"do":"unload"}"#, r"no device PCI\VEN_1AF4&DEV_1041 is there"),
        (r#"{"do":"power_down"}"#, r"no device PCI\VEN_1AF4&DEV_1041 is there"),
        (r#"{"do":"power_up"}"#, "the root of the devices: CONFIGRET"),
        (r#"{"do":"power","service":"cancelnic-relay","on":true}"#, "is not in the driver store"),
        (r#"{"do":"power","service":"e1000e","on":true}"#, "no device of \"e1000e\""),
        (r#"{"do":"remove","service":"cancelnic"}"#, r"no device PCI\VEN_1AF4&DEV_1041 is there"),
        (r#"{"do":"attach_filter"}"#, "the NIC does not run"),
        (r#"{"do":"detach_filter"}"#, "the NIC does not run"),
        (r#"{"do":"report"}"#, "the NIC's interface cannot be opened: status 0xc0000034"),
        (
            r#"{"do":"send","first":1,"count":3,"len":60,"fragments":1}"#,
            "the filter's module over the NIC does not run",
        ),
        (
            r#"{"do":"verifier","on":true,"drivers":["cancelnic.sys"]}"#,
            "verifier.exe: this Windows has no such program",
        ),
        (r#"{"do":"verifier","on":false}"#, "verifier.exe: this Windows has no such program"),
        (r#"{"do":"logs","log":"setupapi","most":5}"#, "setupapi.dev.log"),
        (r#"{"do":"logs","log":"","most":5}"#, "no event log is named"),
        (r#"{"do":"copy_dump","file":"win.ini","offset":0,"len":1}"#, "no dump is named"),
    ] {
        let error = failure(port.call(command));
        assert!(error.contains(said) && !error.contains('\n'), "{command}: {error}");
    }
    for name in ["pause", "restart", "hold", "release", "fail_allocation", "inspect", "bind", "unbind"] {
        let fields = r#""window":"any","service":"cancelnic","after":0"#;
        let answer = port.call(&format!(r#"{{"do":"{name}",{fields}}}"#));
        let Message::Failed { id: 9, error, kind: Some(FailureKind::Unsupported) } = answer else {
            panic!("{answer:?}");
        };
        assert!(error.starts_with(&format!("{name}: ")), "{error}");
    }
    for command in [
        r#"{"do":"remove","service":"cancelnic","surprise":true}"#,
        r#"{"do":"cancel_send","cancel_id":7}"#,
        r#"{"do":"send","first":1,"count":1,"len":60,"fragments":2}"#,
    ] {
        let answer = port.call(command);
        assert!(matches!(answer, Message::Failed { kind: Some(FailureKind::Unsupported), .. }), "{answer:?}");
    }
}

fn asks_a_device(machine: &mut Machine) {
    let port = machine.port();
    let io = |message| done(message).io.expect("an outcome");
    let class = r#"{"do":"open","file":1,"device":"{6b2f6d52-6f0e-4d0c-9f3e-2f6d0a1c4e01}"}"#;
    assert!(failure(port.call(class)).contains("nothing is named"));
    assert!(
        failure(port.call(r#"{"do":"open","file":1,"device":"cancelnic-lwf"}"#)).contains("nothing is named")
    );
    // a file is no device of ours, but it is opened the same way and refuses control codes
    let open = r#"{"do":"open","file":1,"device":"C:\\windows\\win.ini"}"#;
    assert_eq!(io(port.call(open)).status, 0);
    assert_eq!(failure(port.call(open)), "file 1 is open");
    let refused =
        io(port.call(r#"{"do":"control","file":1,"code":2360139780,"input":"0102","output_len":8}"#));
    assert_eq!(refused.status >> 30, 3, "{refused:?}");
    assert!(refused.output.is_empty());
    assert_eq!(io(port.call(r#"{"do":"cancel_control","request":9}"#)).information, 0);
    assert_eq!(io(port.call(r#"{"do":"close","file":1}"#)).status, 0);
    assert_eq!(failure(port.call(r#"{"do":"close","file":1}"#)), "no open file 1");
}

fn dumps(machine: &mut Machine) {
    let windows = machine.prefix.drive().join("windows");
    let dump: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(windows.join("MEMORY.DMP"), &dump).expect("a dump");
    fs::create_dir_all(windows.join("Minidump")).expect("a folder");
    fs::write(windows.join("Minidump/112126-1-01.dmp"), "small").expect("a small dump");
    let port = machine.port();
    let listed = done(port.call(r#"{"do":"dumps"}"#)).dumps;
    let listed: Vec<_> = listed.iter().map(|dump| (dump.file.as_str(), dump.len)).collect();
    assert_eq!(listed, [("MEMORY.DMP", dump.len() as u64), (r"Minidump\112126-1-01.dmp", 5)]);
    let mut copied = Vec::new();
    let told = loop {
        let at = copied.len();
        let command = format!(r#"{{"do":"copy_dump","file":"MEMORY.DMP","offset":{at},"len":262144}}"#);
        let chunk = done(port.call(&command)).chunk.expect("a part");
        copied.extend(Base64::decode_vec(&chunk.data).expect("base64"));
        if let Some(sha256) = chunk.sha256 {
            break sha256;
        }
        assert!(copied.len() > at, "no part at {at}");
    };
    assert!(copied == dump, "{} bytes of {}", copied.len(), dump.len());
    assert_eq!(told, hex::encode(Sha256::digest(&dump)));
}

/// Wine takes note of a shutdown, and goes on.
fn leaves(machine: &mut Machine) {
    let windows = machine.prefix.drive().join("windows");
    let dump = fs::File::create(windows.join("Minidump/large.dmp")).expect("a dump");
    // of which the worker makes the hash, for as long as there is something to read
    let last = (1_u64 << 40) - 1;
    for leave in ["quit", "reboot"] {
        dump.set_len(last + 1).expect("a large file");
        let port = machine.port();
        let copy = format!(r#"{{"do":"copy_dump","file":"Minidump\\large.dmp","offset":{last},"len":1}}"#);
        port.write(format!("{{\"id\":1,\"command\":{copy}}}\n").as_bytes());
        assert_eq!(done(port.call(&format!(r#"{{"do":"{leave}"}}"#))), Reply::default());
        dump.set_len(0).expect("an empty file");
        let copied = port.hear();
        assert!(matches!(copied, Message::Done { id: 1, .. }), "{copied:?}");
    }
    fs::remove_file(windows.join("Minidump/large.dmp")).expect("the dump");
}

fn survives(machine: &mut Machine) {
    let port = machine.port();
    let zero = |message: Message, said: &str| match message {
        Message::Failed { id: 0, error, .. } if error.contains(said) => {}
        other => panic!("{other:?}"),
    };
    for line in ["hello", "{}", "[1,2", r#"{"id":1,"command":{"do":"dance"}}"#, "\u{1}\u{7f}\u{fe}"] {
        port.write(format!("{line}\r\n").as_bytes());
        zero(port.hear(), "not a request");
    }
    // half a line, an empty one that ends it, and a whole one
    port.write(br#"{"id":3,"comm"#);
    port.write(b"\n\n\r\n");
    zero(port.hear(), "not a request");
    for part in [&br#"{"id":9,"com"#[..], br#"mand":{"do":"#, br#""dumps"}}"#] {
        port.write(part);
    }
    port.write(b"\n");
    assert_eq!(done(port.hear()).dumps.len(), 2);
    for _ in 0..=MAX_LINE / 4096 {
        port.write(&[b'x'; 4096]);
    }
    port.write(b"\n");
    zero(port.hear(), "a line of more than");
    assert_eq!(done(port.call(r#"{"do":"dumps"}"#)).dumps.len(), 2);
}

fn reconnects(machine: &mut Machine) {
    // the far end is gone in the middle of a line
    machine.port().write(br#"{"id":1,"#);
    machine.port = None;
    let mut port = Port::new(&machine.link);
    assert!(matches!(port.hear_opening(), Message::Hello { .. }));
    assert_eq!(done(port.call(r#"{"do":"dumps"}"#)).dumps.len(), 2);
    machine.port = Some(port);
    assert_eq!(state(&machine.prefix), "RUNNING");
}

fn restarts(machine: &mut Machine) {
    for _ in 0..2 {
        machine.prefix.say(&["net", "stop", "cancelnic-agent"]);
        assert_eq!(state(&machine.prefix), "STOPPED");
        assert!(machine.log().ends_with("stopped\n"), "{}", machine.log());
        machine.prefix.say(&["sc", "start", "cancelnic-agent"]);
        let hello = machine.port().hear_opening();
        assert!(matches!(hello, Message::Hello { .. }), "{hello:?}");
    }
}

fn console(machine: &mut Machine) {
    machine.prefix.say(&[r"C:\cancelnic-agent.exe", "--remove"]);
    assert!(!machine.prefix.run(&["sc", "query", "cancelnic-agent"]).status.success());
    assert!(!machine.prefix.run(&[r"C:\cancelnic-agent.exe", "--remove"]).status.success());
    let mut console = machine.prefix.start(&[r"C:\cancelnic-agent.exe", "--console"]);
    assert!(matches!(machine.port().hear_opening(), Message::Hello { .. }));
    let dumps = done(machine.port().call(r#"{"do":"dumps"}"#)).dumps;
    console.kill().and_then(|()| console.wait()).expect("its end");
    assert_eq!(dumps.len(), 2);
    // alone it is a service that nobody starts
    assert!(!machine.prefix.run(&[r"C:\cancelnic-agent.exe"]).status.success());
}

/// An INF of the project as the build completes it, on the drive; its name there.
pub(crate) fn stamped(machine: &Machine, source: &str, change: impl FnOnce(String) -> String) -> String {
    let source = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("../../../driver")
        .join(source);
    let text = fs::read_to_string(&source).expect("an INF");
    let text = text
        .replace("$ARCH$", "amd64")
        .replace("$KMDFVERSION$", "1.31")
        .replace("DriverVer   =", "DriverVer   = 11/21/2026,1.2.3.4");
    let name = source.with_extension("inf").file_name().expect("a name").to_string_lossy().into_owned();
    fs::write(machine.prefix.drive().join(&name), change(text)).expect("a written INF");
    format!(r"C:\{name}")
}

fn infs(machine: &mut Machine) {
    for (source, expected) in [
        (
            "netadapter/cancelnic.inx",
            &[
                "Version|Provider|cancelnic",
                "Version|DriverVer|11/21/2026|1.2.3.4",
                "Manufacturer|cancelnic|Cancelnic|NTamd64.10.0...20348",
                r"Cancelnic.NTamd64.10.0...20348|cancelnic virtual Ethernet adapter|Cancelnic_Device|PCI\VEN_1AF4&DEV_1041",
                "Cancelnic_CopyFiles|cancelnic.sys|cancelnic.sys",
                "Cancelnic_Service|ServiceType|1",
                "Cancelnic_Wdf|KmdfLibraryVersion|1.31",
            ][..],
        ),
        (
            "relay/cancelnic-relay.inx",
            &[
                r"Relay.NTamd64.10.0...19041|cancelnic request relay|Relay_Device|ROOT\cancelnic-relay",
                "Relay_CopyFiles|cancelnic-relay.sys|cancelnic-relay.sys",
                "Relay_Security||HKR||Security||D:P(A;;GA;;;SY)(A;;GA;;;BA)",
            ],
        ),
        (
            "filter/cancelnic-lwf.inx",
            &[
                "Cancelnic.NTamd64.10.0...19041|cancelnic cancel-by-ID filter|Cancelnic_Filter|cancelnic_lwf",
                "Cancelnic_Filter|NetCfgInstanceId|{d1a5c0f2-7b64-4b0e-9a57-3c1f8e6b2d40}",
                "Cancelnic_Ndi||HKR|Ndi|FilterRunType|0x10001|2",
            ],
        ),
    ] {
        let inf = stamped(machine, source, |text| text);
        let walked = machine.prefix.say(&[r"C:\walk-inf.exe", &inf]);
        let lines: Vec<_> = walked.lines().map(str::trim_end).collect();
        for line in expected {
            assert!(lines.contains(line), "{source}: no `{line}` in\n{walked}");
        }
        assert!(!walked.contains("%Provider%"), "strings are put in:\n{walked}");
    }
}

fn broken_inf(machine: &mut Machine) {
    let inf = stamped(machine, "relay/cancelnic-relay.inx", |text| {
        text.replace("[Relay_Device.NT]", "[Relay_Device.NT")
    });
    let broken = fs::read_to_string(machine.prefix.drive().join("cancelnic-relay.inf")).expect("it");
    let line = broken.lines().position(|line| line == "[Relay_Device.NT").expect("the broken line") + 1;
    let output = machine.prefix.run(&[r"C:\walk-inf.exe", &inf]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.starts_with(&format!("line {line}: ")), "{line}: {said}");
}
