//! One run's machinery: device process, QEMU with the guest, and the lines to both, in a temporary folder.
//!
//! 1. The folder, the guest's bundle and the rig's own sockets come first.
//! 2. The device starts and says that both its sockets accept.
//! 3. QEMU starts, and connects to device, agent socket and monitor socket.
//! 4. The guest greets. From here on the scenario has it.
//! 5. [`Session::end`] lets the guest power off and the device quit, and looks at how both ended.
//!
//! Dropping a session at any point ends both processes and removes the folder.

mod blame;
pub mod boot;
pub mod device;
pub(crate) mod exits;
pub mod lines;
pub mod pool;
mod startup;

pub use blame::last_line;
pub use startup::GIVEN_UP;

use crate::base::evidence::Evidence;
use crate::base::folder::Folder;
use crate::base::places;
use crate::base::process::Process;
use crate::base::wait::LIMIT;
use crate::device::capture::Capture;
use crate::device::control::{Control, Quit};
use crate::device::wire::Wire;
use crate::guest::agent::{Agent, AgentError};
use crate::guest::greeting::Greeting;
use crate::guest::symbols::{Symbols, images};
use crate::machine::qmp::Qmp;
use crate::machine::{self, names};
use crate::settings::Settings;
use agent_protocol::Command as Ask;
use anyhow::{Result, bail};
use blame::Parties;
use boot::{Boot, End};
use device::start_device;
use exits::EXIT_INTERNAL;
use lines::listen;
use startup::{Started, greet};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The wire's capture, in the session's folder.
const CAPTURE: &str = "capture.pcapng";
/// How long a guest may take to tell what an NMI has found.
const NMI_LIMIT: Duration = Duration::from_secs(5);

/// A running device and guest.
#[derive(Debug)]
pub struct Session {
    // In the order in which they go: the lines, the machine, its device, the folder.
    /// The guest's agent.
    pub agent: Agent,
    /// QEMU's monitor.
    pub monitor: Qmp,
    /// The device's control socket.
    pub control: Control,
    /// The rig's end of the wire of a network card of QEMU's.
    pub wire: Option<Wire>,
    /// What the guest said of itself.
    pub greeting: Greeting,
    /// Number of the file opened last.
    pub last_file: u32,
    /// The files that are open, by number, with their devices.
    pub open_files: BTreeMap<u32, String>,
    /// What is known of the guest's drivers.
    pub symbols: Arc<Symbols>,
    boot: Arc<dyn Boot>,
    /// The scenarios that it has run, since it was started.
    ran: Vec<&'static str>,
    /// What the capture held when the last of them was over.
    captured: Capture,
    qemu: Process,
    /// The device process; `None` where the device is not cancelnic's.
    device: Option<Process>,
    folder: Folder,
}

impl Session {
    /// Starts everything and waits for the guest's greeting.
    pub fn start(settings: &Settings, boot: &Arc<dyn Boot>) -> Result<Self> {
        Self::start_in(Folder::new()?, settings, boot)
    }

    /// The same in a folder that may hold something already.
    pub fn start_in(mut folder: Folder, settings: &Settings, boot: &Arc<dyn Boot>) -> Result<Self> {
        // From here on: a start that fails leaves its logs too.
        folder.keep_for(settings.evidence.clone());
        let emulator = places::qemu()?;
        let agent = listen(&folder.path().join(names::AGENT))?;
        let monitor = listen(&folder.path().join(names::MONITOR))?;

        let (mut device, control) = match settings.hardware.is_ours() {
            true => start_device(&folder, settings).map(|(device, control)| (Some(device), control))?,
            false => (None, Control::none()),
        };
        let path = |name| folder.path().join(name);
        let wire = settings.hardware.has_wire().then(|| Wire::listen(&path(names::WIRE), &path(CAPTURE)));
        let wire = wire.transpose()?;
        let arguments = boot.arguments(folder.path(), settings)?;
        let mut qemu = machine::start(&emulator, &arguments, folder.path())?;
        let symbols = Arc::new(Symbols::of(&settings.files));
        let started = Started { qemu: &mut qemu, device: device.as_mut(), folder: &folder };
        let greeted = greet([&agent, &monitor], started, boot.as_ref(), &symbols);
        let (agent, monitor, greeting) = greeted?;
        let (ran, captured) = (Vec::new(), Capture::default());
        Ok(Self {
            agent,
            monitor,
            control,
            wire,
            greeting,
            last_file: 0,
            open_files: BTreeMap::new(),
            symbols,
            boot: Arc::clone(boot),
            ran,
            captured,
            qemu,
            device,
            folder,
        })
    }

    /// When it ends, its logs are kept for this evidence, or for none.
    pub fn keep_for(&mut self, evidence: Option<Evidence>) {
        self.folder.keep_for(evidence);
    }

    /// The session's folder: `capture.pcapng`, `trace.json`, `guest.log`, `device.log`, `qemu.log`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The device's capture file.
    pub fn capture(&self) -> PathBuf {
        self.folder().join(CAPTURE)
    }

    /// What the capture holds of the scenario that runs.
    pub fn read_capture(&self) -> Result<Capture> {
        if self.device.is_none() && self.wire.is_none() {
            return Ok(Capture::default());
        }
        Ok(Capture::read(&self.capture())?.since(&self.captured))
    }

    /// The scenarios that the machine has run before this one.
    pub fn ran(&self) -> &[&'static str] {
        &self.ran
    }

    /// Makes the machine ready for another scenario, after `scenario` has unloaded the drivers; `false` if something of it
    /// is left at the device, or a file open.
    pub fn renew(&mut self, scenario: &'static str) -> Result<bool> {
        if !self.open_files.is_empty() || !self.control.begin_anew()? {
            return Ok(false);
        }
        self.captured = Capture::read(&self.capture())?;
        self.agent.forget();
        // One greeting has to stand in the record: a second would be a restart.
        self.agent.call(Ask::Greet, self.boot.patience().act()).map_err(|error| self.explain(error))?;
        self.ran.push(scenario);
        Ok(true)
    }

    /// The guest's own log.
    pub fn guest_log(&self) -> PathBuf {
        self.folder().join(names::GUEST_LOG)
    }

    /// Turns an error of a line to the guest or the device into one that says what really happened; a bug check comes
    /// as [`AgentError::BugCheck`].
    pub fn explain(&mut self, error: impl Into<anyhow::Error>) -> anyhow::Error {
        let error = error.into();
        let gone = matches!(error.downcast_ref(), Some(AgentError::Gone));
        if gone && self.boot.outlives_its_agent() && self.monitor.is_running().is_ok_and(|running| running) {
            return error.context("the machine goes on without it");
        }
        let log = self.guest_log();
        Parties { agent: &self.agent, qemu: &mut self.qemu, device: self.device.as_mut(), log: &log }
            .explain(error)
    }

    /// The guest is silent: what stands behind it. QEMU shows what the processor does; an NMI makes understudy name the
    /// callback that is open, even where interrupts are off. The machine is of no use afterwards.
    pub fn interrogate(&mut self, silence: Duration) -> anyhow::Error {
        let error = AgentError::TimedOut(silence);
        let seen = self.monitor.processor(self.folder.path()).map(|mut processor| {
            let log = std::fs::read(self.guest_log()).unwrap_or_default();
            processor.images = images(&String::from_utf8_lossy(&log));
            self.symbols.walk("the silent guest".into(), &processor)
        });
        if self.monitor.inject_nmi().is_ok() {
            self.qemu.wait(NMI_LIMIT);
        }
        if let Some(bug_check) = self.bug_check() {
            return bug_check.into();
        }
        match seen {
            Ok(stack) => {
                let place = stack.frames.first().map_or_else(String::new, |frame| frame.address.clone());
                let place = stack.driver().unwrap_or(place);
                let words = format!("its processor is at IRQL {} in {place}", stack.irql);
                self.explain(error).context(words)
            }
            Err(_) => self.explain(error),
        }
    }

    /// The device has closed its socket: if it has ended in order, because QEMU has left it, what the guest said is read to
    /// its end.
    pub fn hear_out(&mut self) {
        let Some(device) = &mut self.device else { return self.agent.hear_out(LIMIT) };
        device.wait(LIMIT);
        if device.status().is_some_and(|status| status.success()) {
            self.agent.hear_out(LIMIT);
        }
    }

    /// The bug check, if the guest has told one. If the machine is off, what it said is read to its end first.
    pub fn bug_check(&mut self) -> Option<AgentError> {
        if self.qemu.status().is_some() {
            self.agent.hear_out(LIMIT);
        }
        self.agent.bug_check()
    }

    /// Lets the guest power off and the device quit. Fails if either ends otherwise.
    pub fn end(&mut self) -> Result<()> {
        if let Err(error) = self.agent.call(Ask::Quit, LIMIT)
            && !matches!(error, AgentError::Gone)
        {
            return Err(self.explain(error));
        }
        self.await_power_off(End::PowerOff)?;
        self.end_device()
    }

    /// Waits for the end of a guest that has stopped with a bug check, then ends the device.
    pub fn end_after_bug_check(&mut self) -> Result<()> {
        self.await_power_off(End::BugCheck)?;
        self.end_device()
    }

    /// Switches the machine off from outside, as its guest cannot be asked any more.
    pub fn abandon(&mut self) -> Result<()> {
        // Refused only by a QEMU that has ended already.
        let _ = self.monitor.quit();
        if self.qemu.wait(LIMIT).is_none() {
            bail!("QEMU does not end");
        }
        self.end_device()
    }

    fn await_power_off(&mut self, end: End) -> Result<()> {
        let expected = self.boot.exit_code(end);
        let limit = self.boot.patience().end();
        let Some(status) = self.qemu.wait(limit) else {
            bail!("the guest said that it powers off, and did not within {} s", limit.as_secs());
        };
        match status.code() {
            Some(code) if code == expected => Ok(()),
            Some(EXIT_INTERNAL) => {
                bail!("the guest kernel failed by itself: {}", last_line(&self.guest_log()))
            }
            _ => bail!("{}", self.qemu.epitaph()),
        }
    }

    fn end_device(&mut self) -> Result<()> {
        let Some(device) = &mut self.device else { return Ok(()) };
        // Refused only by a device that is on its way out already, because QEMU has gone.
        let _ = self.control.call(&Quit {});
        match device.wait(LIMIT) {
            Some(status) if status.success() => Ok(()),
            Some(_) => bail!("{}", device.epitaph()),
            None => bail!("the device did not quit within {} s", LIMIT.as_secs()),
        }
    }
}
