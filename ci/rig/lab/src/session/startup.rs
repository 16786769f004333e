//! The second half of a session's start, from QEMU's connections to the guest's greeting: and when QEMU gives up on the
//! way, its own last line and state, rather than the line that broke.

use super::blame::Parties;
use super::boot::Boot;
use super::exits::{EXIT_BUG_CHECK, EXIT_INTERNAL};
use super::lines::accept;
use crate::base::failure::GaveUp;
use crate::base::fair::FairClock;
use crate::base::folder::Folder;
use crate::base::process::Process;
use crate::base::wait::{Limits, Progress};
use crate::guest::agent::{Agent, AgentError};
use crate::guest::greeting::Greeting;
use crate::guest::symbols::Symbols;
use crate::machine::qmp::Qmp;
use crate::machine::{Accelerator, names};
use agent_protocol::Message;
use anyhow::{Result, bail};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// States of QEMU's machine (RunState of its qapi/run-state.json) out of which it does not come by itself.
pub const GIVEN_UP: [&str; 5] = ["guest-panicked", "internal-error", "io-error", "shutdown", "watchdog"];

/// The processes that have been started, and the folder of their logs.
pub(super) struct Started<'a> {
    /// The machine.
    pub(super) qemu: &'a mut Process,
    /// Its device process, if it has one.
    pub(super) device: Option<&'a mut Process>,
    /// Their folder.
    pub(super) folder: &'a Folder,
}

/// Waits for QEMU's connections and the guest's greeting.
///
/// # Errors
/// [`GaveUp`] if QEMU ended or stopped the machine by itself; else what stands behind the broken line.
pub(super) fn greet(
    [agent, monitor]: [&UnixListener; 2],
    Started { qemu, mut device, folder }: Started<'_>,
    boot: &dyn Boot,
    symbols: &Arc<Symbols>,
) -> Result<(Agent, Qmp, Greeting)> {
    let agent = accept(agent, qemu).map_err(|error| gave_up(error, qemu))?;
    let monitor = accept(monitor, qemu).and_then(Qmp::new);
    let mut monitor = monitor.map_err(|error| gave_up(error, qemu))?;
    let mut agent = boot.agent(agent, Arc::clone(symbols))?;
    let log = &folder.path().join(names::GUEST_LOG);
    let limit = boot.patience().start();
    let mut clock = FairClock::start();
    let mut progress = Progress::new(Limits::of(limit), clock.now());
    let hello = loop {
        match agent.hello(LOOK.min(limit)) {
            Ok(hello) => break hello,
            Err(AgentError::TimedOut(_)) => {
                // A monitor that is gone is QEMU's end, which the agent's line tells next.
                let status = monitor.status().unwrap_or_default();
                if GIVEN_UP.contains(&status.as_str()) {
                    let words = qemu.last_words().map_or_else(String::new, |words| format!(": {words}"));
                    let what = format!("QEMU reports that the machine has stopped: {status}{words}");
                    return Err(GaveUp { what, todo: Accelerator::advice() }.into());
                }
                // What the guest writes into its log is progress.
                let written = std::fs::metadata(log).map_or(0, |log| log.len());
                if let Some(how) = progress.see(clock.now(), format!("{written} bytes")) {
                    let error = AgentError::TimedOut(how.waited());
                    return Err(Parties { agent: &agent, qemu, device: device.as_deref_mut(), log }
                        .explain(error.into()));
                }
            }
            Err(error) => {
                let named =
                    Parties { agent: &agent, qemu, device: device.as_deref_mut(), log }.explain(error.into());
                // The guest's own end, and the device's, are told as they are.
                let status = qemu.status().and_then(|status| status.code());
                let by_itself =
                    status.is_some_and(|code| ![0, EXIT_INTERNAL, EXIT_BUG_CHECK].contains(&code));
                let device_failed =
                    device.and_then(|device| device.status()).is_some_and(|status| !status.success());
                return Err(if by_itself && !device_failed { gave_up(named, qemu) } else { named });
            }
        }
    };
    let Message::Hello { guest, drivers, boot_us, .. } = hello else {
        bail!("the guest greets with something else");
    };
    let at = Instant::now();
    let (guest, image) = boot.name(guest);
    Ok((agent, monitor, Greeting { guest, image, drivers, boot: Duration::from_micros(boot_us), at }))
}

/// Between two looks at QEMU's state, before the guest greets.
const LOOK: Duration = Duration::from_millis(500);
/// How long a QEMU that has closed its lines may take to end.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// QEMU has ended, or is about to: its own last line, rather than the line that broke.
fn gave_up(error: anyhow::Error, qemu: &mut Process) -> anyhow::Error {
    match qemu.wait(LAST_BREATH) {
        Some(_) => GaveUp { what: qemu.epitaph(), todo: Accelerator::advice() }.into(),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::boot::{End, Patience};
    use super::super::lines::listen;
    use super::*;
    use crate::settings::Settings;
    use std::ffi::OsString;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use std::process::Command;
    use std::thread;

    /// A guest that starts soon or never.
    #[derive(Debug)]
    struct Quick;

    impl Boot for Quick {
        fn arguments(&self, _folder: &Path, _settings: &Settings) -> Result<Vec<OsString>> {
            Ok(Vec::new())
        }

        fn agent(&self, line: UnixStream, symbols: Arc<Symbols>) -> std::io::Result<Agent> {
            Agent::with_symbols(line, symbols)
        }

        fn name(&self, told: String) -> (String, Option<String>) {
            (told, None)
        }

        fn patience(&self) -> Patience {
            Patience { start: 20, act: 20, end: 20 }
        }

        fn exit_code(&self, _end: End) -> i32 {
            0
        }

        fn outlives_its_agent(&self) -> bool {
            false
        }
    }

    /// What a start says of a QEMU that runs this script, while somebody else connects in its name and answers its
    /// monitor with this state, or closes both lines.
    fn start(script: &str, state: Option<&'static str>) -> anyhow::Error {
        let folder = Folder::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (agent, monitor) = (listen(&path(names::AGENT)).unwrap(), listen(&path(names::MONITOR)).unwrap());
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        let mut qemu = Process::start("QEMU", shell(script), path(names::QEMU_LOG)).unwrap();
        let mut device = Process::start("the device", shell("exec sleep 600"), path("device.log")).unwrap();
        let (line, monitored) = (path(names::AGENT), path(names::MONITOR));
        let other = thread::spawn(move || {
            let _line = UnixStream::connect(line).unwrap();
            let mut stream = UnixStream::connect(monitored).unwrap();
            let Some(state) = state else { return };
            writeln!(stream, r#"{{"QMP":{{}}}}"#).unwrap();
            for asked in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
                let answer = match asked.contains("query-status") {
                    true => format!(r#"{{"return":{{"status":"{state}","running":false}}}}"#),
                    false => r#"{"return":{}}"#.to_owned(),
                };
                writeln!(stream, "{answer}").unwrap();
            }
        });
        let error = greet(
            [&agent, &monitor],
            Started { qemu: &mut qemu, device: Some(&mut device), folder: &folder },
            &Quick,
            &Arc::default(),
        )
        .unwrap_err();
        other.join().unwrap();
        error
    }

    #[test]
    fn a_qemu_that_ends_is_named_with_its_own_last_line() {
        let error = start("echo 'qemu: -accel foo: invalid accelerator foo' >&2; exit 1", None);
        assert!(error.is::<GaveUp>(), "{error:#}");
        let told = error.to_string();
        assert!(
            told.starts_with("QEMU ended with exit code 1: qemu: -accel foo: invalid accelerator foo"),
            "{told}"
        );
    }

    #[test]
    fn a_machine_that_qemu_has_stopped_ends_the_start_at_once() {
        let error =
            start("echo 'KVM internal error. Suberror: 1' >&2; exec sleep 600", Some("internal-error"));
        assert!(error.is::<GaveUp>(), "{error:#}");
        let told = error.to_string();
        let wanted =
            "QEMU reports that the machine has stopped: internal-error: KVM internal error. Suberror: 1";
        assert!(told.starts_with(wanted), "{told}");
    }
}
