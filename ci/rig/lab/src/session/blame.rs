//! Who is to blame when a line to the guest or to the device breaks.
//!
//! A guest that stops takes QEMU with it, and QEMU's end takes the device: the rig may see these ends in any order, and
//! long before it has read what the guest said. So the guest is heard out first; then a process that failed is named;
//! the broken line itself comes last.

use super::exits::EXIT_INTERNAL;
use crate::base::process::Process;
use crate::base::wait::LIMIT;
use crate::device::control::Closed;
use crate::guest::agent::{Agent, AgentError};
use crate::machine::qmp;
use anyhow::anyhow;
use std::path::Path;
use std::time::Duration;

/// How long a device may take to end that QEMU has left, or that has made QEMU fail.
const GRACE: Duration = Duration::from_millis(200);

/// Everybody who may be to blame.
pub(super) struct Parties<'a> {
    /// The guest's agent.
    pub agent: &'a Agent,
    /// The machine.
    pub qemu: &'a mut Process,
    /// Its device process, if it has one.
    pub device: Option<&'a mut Process>,
    /// The file with the guest's log.
    pub log: &'a Path,
}

impl Parties<'_> {
    /// What stands behind the error of a line. A bug check comes as [`AgentError::BugCheck`], a refusal as it is.
    pub(super) fn explain(mut self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast_ref() {
            Some(AgentError::Gone) => {
                self.await_device(GRACE);
                self.name_end(error)
            }
            Some(AgentError::TimedOut(_)) => {
                match self.device.and_then(|device| device.status().is_some().then_some(device)) {
                    Some(device) => anyhow!("{}", device.epitaph()),
                    None => error.context(format!("its log ends with: {}", last_line(self.log))),
                }
            }
            Some(_) => error,
            None if error.is::<Closed>() || error.is::<qmp::Closed>() => {
                self.await_device(LIMIT);
                self.name_end(error)
            }
            None => error,
        }
    }

    fn await_device(&mut self, limit: Duration) {
        if let Some(device) = &mut self.device {
            device.wait(limit);
        }
    }

    /// A process has ended, or is about to: which, and why.
    fn name_end(self, error: anyhow::Error) -> anyhow::Error {
        // The device fails by itself, or ends well because QEMU has left it.
        let failed = self.device.and_then(|device| {
            let failed = device.status().is_some_and(|status| !status.success());
            failed.then_some(device)
        });
        if failed.is_none() {
            self.agent.hear_out(LIMIT);
        }
        if let Some(bug_check) = self.agent.bug_check() {
            return bug_check.into();
        }
        if let Some(device) = failed {
            return anyhow!("{}", device.epitaph());
        }
        match self.qemu.wait(LIMIT).map(|status| status.code()) {
            Some(Some(EXIT_INTERNAL)) => {
                anyhow!("the guest kernel failed by itself: {}", last_line(self.log))
            }
            Some(_) => anyhow!("{}", self.qemu.epitaph()),
            None => error,
        }
    }
}

/// The last line of a file that says something.
pub fn last_line(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("(empty)").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::folder::Folder;
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::process::Command;
    use std::thread;

    const BUG_CHECK: &str = concat!(
        r#"{"say":"bug_check","violation":{"rule":"QueueNotDrained","callback":"tx0","where":"1 kept"},"#,
        r#""code":269,"parameters":[0,0,0,0]}"#
    );
    /// Answers that the rig has to read before it comes to what matters: many times what fits between the two.
    const TALK: u32 = 5_000;

    /// What the rig makes of `error` if device and QEMU have ended with these exit codes, while most of what the
    /// guest said last is still on its way, with `last` as its end.
    fn explained(error: impl Into<anyhow::Error>, device: i32, qemu: i32, last: &str) -> anyhow::Error {
        let folder = Folder::new().unwrap();
        let ended = |name, code: i32| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("exit {code}")]);
            let mut process = Process::start(name, command, folder.path().join(name)).unwrap();
            process.wait(LIMIT).unwrap();
            process
        };
        let (mut device, mut qemu) = (ended("the device", device), ended("QEMU", qemu));
        let log = folder.path().join("guest.log");
        std::fs::write(&log, "booted\nno memory left\n\n").unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let agent = Agent::new(ours).unwrap();
        thread::scope(|scope| {
            scope.spawn(move || {
                for id in 0..TALK {
                    writeln!(theirs, r#"{{"say":"done","id":{id}}}"#).unwrap();
                }
                theirs.write_all(last.as_bytes()).unwrap();
            });
            Parties { agent: &agent, qemu: &mut qemu, device: Some(&mut device), log: &log }
                .explain(error.into())
        })
    }

    fn rule(error: &anyhow::Error) -> Option<&str> {
        match error.downcast_ref() {
            Some(AgentError::BugCheck { violation, .. }) => Some(&violation.rule),
            _ => None,
        }
    }

    #[test]
    fn a_bug_check_is_read_before_the_monitors_end_is_blamed() {
        let error = anyhow::Error::from(qmp::Closed).context("waiting for QEMU's answer to `query-status`");
        let error = explained(error, 0, 65, &format!("{BUG_CHECK}\n"));
        assert_eq!(rule(&error), Some("QueueNotDrained"), "{error:#}");
    }

    #[test]
    fn a_bug_check_is_read_before_the_devices_end_is_blamed() {
        let error = explained(Closed, 0, 65, &format!("{BUG_CHECK}\n"));
        assert_eq!(rule(&error), Some("QueueNotDrained"), "{error:#}");
    }

    #[test]
    fn a_bug_check_is_read_before_a_failed_write_to_the_agent_is_blamed() {
        let error = explained(AgentError::Gone, 0, 65, &format!("{BUG_CHECK}\n"));
        assert_eq!(rule(&error), Some("QueueNotDrained"), "{error:#}");
    }

    #[test]
    fn a_machine_that_ends_without_a_word_is_named_by_its_exit() {
        for error in [Closed.into(), anyhow::Error::from(AgentError::Gone)] {
            let error = explained(error, 0, 65, "").to_string();
            assert_eq!(error, "QEMU ended with exit code 65");
        }
        let error = explained(Closed, 0, EXIT_INTERNAL, "").to_string();
        assert_eq!(error, "the guest kernel failed by itself: no memory left");
    }

    #[test]
    fn a_device_that_failed_is_named_before_the_machine_that_it_took_along() {
        for error in [Closed.into(), anyhow::Error::from(AgentError::Gone)] {
            let error = explained(error, 3, 1, "").to_string();
            assert_eq!(error, "the device ended with exit code 3");
        }
    }

    #[test]
    fn a_refusal_is_nobodys_end() {
        let error = explained(AgentError::Failed("no such file".into()), 0, 65, "");
        assert_eq!(error.to_string(), "no such file");
        let error = explained(anyhow!("the device refuses `gate.set`"), 0, 65, "");
        assert_eq!(error.to_string(), "the device refuses `gate.set`");
    }
}
