//! A Windows image started for a person with a debugger: cold, from an overlay of its own, with what the debugger needs.
//!
//! 1. The device process starts, and the wire gate of tx0 is held: what the driver hands over stays at the device.
//! 2. The machine starts: kdnet's adapter at its place and no Hyper-V to be seen, or COM1 or gdb's port at an address.
//! 3. A line from the person lets the wire go, the next one holds it again. The machine runs until it switches itself off,
//!    the input ends, or Ctrl-C.
//!
//! Nobody waits here for the guest's agent: a debugger may stop the guest long before it comes up. When it greets, it is
//! told to turn the driver's watchdog off, which would take a break point in a cancel for a hang.

use super::link::Link;
use crate::build;
use agent_protocol::{Command, Message};
use anyhow::{Context, Result, bail};
use lab::base::files::Files;
use lab::base::folder::Folder;
use lab::base::places;
use lab::base::process::wait_any;
use lab::base::wait::LIMIT;
use lab::device::control::Quit;
use lab::guest::agent::{Agent, AgentError, Pending};
use lab::machine::qmp::Qmp;
use lab::machine::store::Image;
use lab::machine::{self, Doors, Overlay, Place, Windows, names};
use lab::run::WIRE;
use lab::session::device::start_device;
use lab::session::lines::{accept, listen};
use lab::settings::Settings;
use std::io::stdin;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

/// For a person at a debugger.
pub(super) const ALL_DAY: Duration = Duration::from_secs(24 * 3600);
const HELD: &str = "the wire gate of tx0 is held: frames stay at the device";
const OPEN: &str = "the wire gate of tx0 is open";

/// What a person does where the agent cannot.
const BY_HAND: &str =
    "Set-NetAdapterAdvancedProperty -Name NAME -RegistryKeyword WatchdogMs -RegistryValue 0";
/// Between two looks at what the agent says.
const LOOK: Duration = Duration::from_millis(200);

/// How far the driver's watchdog is off.
enum Watchdog {
    /// The agent has not greeted.
    On,
    /// The agent has been told.
    Asked(Pending),
    /// The agent has answered, or never will.
    Told,
}

impl Watchdog {
    /// Goes on as far as the agent has come; a line for the person when it is over.
    fn go_on(&mut self, agent: &mut Agent) -> Option<String> {
        let (next, line) = match self {
            Self::On => {
                agent.said().iter().find(|said| matches!(said, Message::Hello { .. }))?;
                let off = Command::Configure { parameters: [("WatchdogMs".into(), 0)].into() };
                match agent.begin(off) {
                    Ok(pending) => (Self::Asked(pending), None),
                    Err(error) => (Self::Told, Some(error)),
                }
            }
            Self::Asked(pending) => match agent.finish(pending, Duration::ZERO) {
                Ok(_) => {
                    *self = Self::Told;
                    return Some("the driver's watchdog is off from its next load on".into());
                }
                Err(AgentError::TimedOut(_)) => return None,
                Err(error) => (Self::Told, Some(error)),
            },
            Self::Told => return None,
        };
        *self = next;
        line.map(|error| format!("the driver's watchdog is still on, {error}; in Windows: {BY_HAND}"))
    }
}

/// Starts the image and stays until it ends; `true` if everything ended as it should.
pub(super) fn boot(
    image: &Image,
    link: Option<Link>,
    debug_nic: Option<Place>,
    screen: Option<SocketAddr>,
) -> Result<bool> {
    let emulator = places::qemu()?;
    let folder = Folder::new()?;
    let overlay = Overlay::new(folder.path(), image)?;
    let built = build::build(build::Options::default())?;
    let settings = Settings::new(Files::shipped(&built));

    let agent = listen(&folder.path().join(names::AGENT))?;
    let monitor = listen(&folder.path().join(names::MONITOR))?;
    let (mut device, mut control) = start_device(&folder, &settings)?;
    control.set_gate(WIRE, false)?;
    let (debug_port, gdb) = match link {
        Some(Link::Serial(at)) => (Some(at), None),
        Some(Link::Gdb(at)) => (None, Some(at)),
        None => (None, None),
    };
    let machine = Windows { debug_nic, debug_port, ..overlay.machine(settings.device.queue_size) };
    let mut qemu = machine::start(&emulator, &machine.arguments_with(Doors { gdb, screen }), folder.path())?;
    // Its reader takes what the guest writes, so that the guest never waits for it.
    let mut agent = Agent::behind_firmware(accept(&agent, &mut qemu)?, std::sync::Arc::default())?;
    // It greets when all of QEMU is up, gdb's server too.
    let _monitor = Qmp::new(accept(&monitor, &mut qemu)?)?;

    let name = &image.manifest().name;
    println!("\n{name} runs, in an overlay that goes with it.");
    if let Some(at) = screen {
        println!("Its screen: vncviewer {}::{}", at.ip(), at.port());
    }
    println!("Enter opens and holds the wire; Ctrl-D ends the machine.\n{HELD}");
    let mut open = false;
    let mut watchdog = Watchdog::On;
    let input = stdin();
    let status = loop {
        if let Some(line) = watchdog.go_on(&mut agent) {
            println!("{line}");
        }
        let limit = if matches!(watchdog, Watchdog::Told) { ALL_DAY } else { LOOK };
        match wait_any(&[input.as_fd(), qemu.ended()], limit) {
            Some(0) => {
                // One by one, so that nothing is taken from the descriptor that is not looked at.
                let mut byte = [0];
                if rustix::io::read(&input, &mut byte).context("standard input")? == 0 {
                    qemu.kill();
                    break None;
                }
                if byte == *b"\n" {
                    open = !open;
                    control.set_gate(WIRE, open)?;
                    println!("{}", if open { OPEN } else { HELD });
                }
            }
            Some(_) => break qemu.wait(LIMIT),
            None => {}
        }
    };
    // Refused only by a device that is on its way out already, because QEMU has gone.
    let _ = control.call(&Quit {});
    if device.wait(LIMIT).is_none() {
        bail!("the device did not quit within {} s", LIMIT.as_secs());
    }
    match status {
        Some(status) if !status.success() => bail!("{}", qemu.epitaph()),
        _ => Ok(true),
    }
}
