//! The machine that installs, and what it tells: COM1, QEMU's monitor, the end of QEMU.

use std::{
    fs::{self, File},
    io::Read as _,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use windows_setup::Report;

use super::order::Order;
use super::{
    follow::{Event, Follower, Phase, Verdict, minutes},
    host::gigabytes,
};
use crate::image::progress::Progress;
use lab::base::folder::Folder;
use lab::base::places::Firmware;
use lab::base::process::{Process, wait_any};
use lab::machine::qmp::Qmp;
use lab::machine::store::Draft;
use lab::machine::{self, Windows, names};
use lab::session::lines::{accept, listen};

/// How long nothing is looked at when nothing wakes the rig: COM1's log does not.
const PERIOD: Duration = Duration::from_millis(250);

/// How long QEMU may take to end after it has closed its monitor.
const ENDING: Duration = Duration::from_secs(2);

/// A machine that is to install.
#[derive(Debug)]
pub(super) struct Installation<'a> {
    /// QEMU.
    pub emulator: &'a Path,
    /// OVMF.
    pub firmware: &'a Firmware,
    /// The image, with an empty disk and fresh variables.
    pub draft: &'a Draft,
    /// The medium, then the disc with the answers.
    pub discs: &'a [PathBuf],
    /// What is to be installed.
    pub order: &'a Order,
}

/// Runs the machine until it has installed and powered itself off.
pub(super) fn run(installation: &Installation<'_>, progress: &mut Progress) -> Result<()> {
    let folder = Folder::new()?;
    let (vars, disk) = (installation.draft.vars(), installation.draft.disk());
    let order = installation.order;
    let machine = Windows {
        folder: folder.path(),
        firmware: installation.firmware,
        vars: &vars,
        disk: &disk,
        discs: installation.discs,
        memory: order.memory_mb << 20,
        processors: Windows::PROCESSORS,
        accelerator: order.accelerator.clone(),
        // Its driver is only staged: nothing of ours runs before the disk is sealed.
        nic: None,
        debug_nic: None,
        debug_port: None,
        gdb: false,
    };
    let path = |name: &str| folder.path().join(name);
    let (agent, monitor) = (listen(&path(names::AGENT))?, listen(&path(names::MONITOR))?);
    let mut qemu = machine::start(installation.emulator, &machine.arguments(), folder.path())?;
    // Nobody answers an agent before the image is sealed.
    let _agent = accept(&agent, &mut qemu)?;
    let mut monitor = match Qmp::new(accept(&monitor, &mut qemu)?) {
        Ok(monitor) => monitor,
        // A QEMU that cannot run its guest, such as under a KVM that does not work, says why in its last words.
        Err(error) => match qemu.wait(ENDING) {
            Some(_) => bail!("{}", qemu.epitaph()),
            None => return Err(error),
        },
    };
    let mut watch = Watch { monitor: &mut monitor, qemu: &mut qemu, log: Log::new(path(names::GUEST_LOG)) };
    let verdict = follow(&mut watch, order.patience, progress);
    progress.clear();
    let (kind, why) = match verdict {
        Verdict::Installed => return Ok(()),
        Verdict::Failed(why) => ("the installation has failed", why),
        Verdict::Stalled(why) => ("the installation stands still", why),
    };
    let wreck = keep(&order.wreck, &mut monitor, &path(names::GUEST_LOG));
    bail!("{kind}: {why}; {wreck}")
}

/// Everything that says something.
struct Watch<'a> {
    monitor: &'a mut Qmp,
    qemu: &'a mut Process,
    log: Log,
}

fn follow(watch: &mut Watch<'_>, patience: f64, progress: &mut Progress) -> Verdict {
    let started = Instant::now();
    let mut follower = Follower::new(patience);
    let mut told = Told::default();
    loop {
        told.tell(&follower, started.elapsed(), progress);
        for event in watch.events() {
            let verdict = follower.take(started.elapsed(), event);
            told.tell(&follower, started.elapsed(), progress);
            if let Some(verdict) = verdict {
                return verdict;
            }
        }
        if let Some(verdict) = follower.tick(started.elapsed()) {
            return verdict;
        }
        wait_any(&[watch.monitor.as_fd(), watch.qemu.ended()], PERIOD);
    }
}

impl Watch<'_> {
    /// What has happened since the last look.
    fn events(&mut self) -> Vec<Event> {
        let ended = self.qemu.status();
        // What the guest says comes first: it says that it is done before it powers off. So it is read last.
        let monitor: Vec<_> = self.monitor.events().iter().filter_map(event).collect();
        let mut events: Vec<_> = self.log.reports().into_iter().map(Event::Report).collect();
        events.extend(monitor);
        match ended {
            Some(status) if status.success() => events.push(Event::Ended),
            Some(_) => events.push(Event::Broke(self.qemu.epitaph())),
            // A monitor that does not answer is one whose QEMU is on its way out.
            None => events
                .extend(self.monitor.traffic().ok().map(|(read, written)| Event::Traffic { read, written })),
        }
        events
    }
}

/// An event of QEMU's monitor, if it is of any meaning here (QEMU's qapi/run-state.json and qapi/block-core.json).
fn event(told: &Value) -> Option<Event> {
    let data = &told["data"];
    let text = |name: &str| data[name].as_str().unwrap_or("?").to_owned();
    match told["event"].as_str()? {
        "RESET" if data["guest"] == true => Some(Event::Reset),
        "SHUTDOWN" if data["guest"] == true => Some(Event::PowerOff),
        "GUEST_PANICKED" => {
            let info = &data["info"];
            let number = |name: &str| info[name].as_u64().unwrap_or_default();
            Some(Event::BugCheck(if info["type"] == "hyper-v" {
                let parameters = ["arg2", "arg3", "arg4", "arg5"].map(|name| format!("{:#x}", number(name)));
                format!("STOP {:#010x} ({})", number("arg1"), parameters.join(", "))
            } else {
                "a panic".to_owned()
            }))
        }
        "BLOCK_IO_ERROR" if data["nospace"] == true => {
            Some(Event::DriveFailed("the host's disk is full".to_owned()))
        }
        "BLOCK_IO_ERROR" => Some(Event::DriveFailed(format!(
            "the host cannot {} the guest's drive {}: {}",
            text("operation"),
            text("device"),
            text("reason")
        ))),
        _ => None,
    }
}

/// COM1, as QEMU writes it into a file.
struct Log {
    path: PathBuf,
    file: Option<File>,
    /// A line that has not ended yet.
    rest: Vec<u8>,
}

impl Log {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None, rest: Vec::new() }
    }

    /// The reports since the last look.
    fn reports(&mut self) -> Vec<Report> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        if let Some(file) = &mut self.file {
            // A file that cannot be read says nothing, which the limits notice.
            let _ = file.read_to_end(&mut self.rest);
        }
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let lines: Vec<_> = self.rest.drain(..=end).collect();
        String::from_utf8_lossy(&lines).lines().filter_map(Report::parse).collect()
    }
}

/// What the user has been told.
#[derive(Default)]
struct Told {
    phase: Option<Phase>,
    step: Option<String>,
}

impl Told {
    fn tell(&mut self, follower: &Follower, now: Duration, progress: &mut Progress) {
        let (phase, since) = follower.phase();
        if self.phase != Some(phase) {
            progress.line(&format!("{:>6}  {phase}; usually {}", minutes(since), phase.usual()));
            self.phase = Some(phase);
        }
        if self.step.as_deref() != follower.step() {
            self.step = follower.step().map(str::to_owned);
            if let Some(step) = &self.step {
                progress.line(&format!("{:>6}    {step}", minutes(now)));
            }
        }
        let written = gigabytes(follower.written());
        progress.now(&format!("{phase}: {}, {written} written in all", minutes(now.saturating_sub(since))));
    }
}

/// Keeps screen and log of a machine that failed. Says where they are.
fn keep(wreck: &Path, monitor: &mut Qmp, log: &Path) -> String {
    let (screen, kept) = (wreck.join("screen.png"), wreck.join("guest.log"));
    let made = fs::create_dir_all(wreck).with_context(|| format!("{}", wreck.display()));
    if let Err(error) = made {
        return format!("screen and log could not be kept: {error:#}");
    }
    let mut parts = Vec::new();
    // Those of an earlier attempt would be taken for these.
    for old in [&screen, &kept] {
        let _ = fs::remove_file(old);
    }
    match monitor.screenshot(&screen) {
        Ok(()) => parts.push(format!("the guest's screen: {}", screen.display())),
        Err(_) => parts.push("its screen is gone with it".to_owned()),
    }
    if fs::copy(log, &kept).is_ok() {
        parts.push(format!("its COM1: {}", kept.display()));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write as _;

    #[test]
    fn events_of_the_monitor_get_their_meaning() {
        let of = |name: &str, data: Value| event(&json!({ "event": name, "data": data }));
        assert_eq!(of("RESET", json!({ "guest": true, "reason": "guest-reset" })), Some(Event::Reset));
        assert_eq!(of("RESET", json!({ "guest": false })), None);
        assert_eq!(of("SHUTDOWN", json!({ "guest": true })), Some(Event::PowerOff));
        assert_eq!(of("SHUTDOWN", json!({ "guest": false })), None);
        assert_eq!(of("RTC_CHANGE", json!({ "offset": 0 })), None);
        let info = json!({ "type": "hyper-v", "arg1": 0x7b, "arg2": 1, "arg3": 2, "arg4": 3, "arg5": 4 });
        let stop = "STOP 0x0000007b (0x1, 0x2, 0x3, 0x4)".to_owned();
        assert_eq!(
            of("GUEST_PANICKED", json!({ "action": "run", "info": info })),
            Some(Event::BugCheck(stop))
        );
        let full = of("BLOCK_IO_ERROR", json!({ "device": "disk", "operation": "write", "nospace": true }));
        assert_eq!(full, Some(Event::DriveFailed("the host's disk is full".into())));
        let error = json!({ "device": "disk", "operation": "read", "nospace": false, "reason": "EIO" });
        let failed = "the host cannot read the guest's drive disk: EIO".to_owned();
        assert_eq!(of("BLOCK_IO_ERROR", error), Some(Event::DriveFailed(failed)));
    }

    #[test]
    fn a_log_is_read_line_by_line_as_it_grows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("guest.log");
        let mut log = Log::new(path.clone());
        assert!(log.reports().is_empty());
        let mut file = File::create(path).expect("a log");
        file.write_all(b"BdsDxe: starting\r\n\xffcancelnic-setup: step dri").expect("a part");
        assert!(log.reports().is_empty());
        file.write_all(b"vers\r\ncancelnic-setup: done\r\n").expect("the rest");
        assert_eq!(log.reports(), [Report::Step("drivers".into()), Report::Done]);
        assert!(log.reports().is_empty());
    }
}
