//! The guest's side of the agent protocol, over COM2: quick commands are answered at once, long ones by the PnP worker.

pub mod output;
pub mod trace;

use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Thread};
use crate::netcx::{datapath, frame, ledger::Pending};
use crate::pnp;
use agent_protocol::{Command, DriverFile, Message, QueueReport, Reply, Request, VERSION};
use alloc::{boxed::Box, collections::VecDeque, format, string::String, vec::Vec};
use sha2::{Digest, Sha256};
use spin::Once;

/// Commands for the PnP worker, in order.
static WORK: IrqLock<VecDeque<Request>> = IrqLock::new(VecDeque::new());
static WORK_EVENT: Once<Event> = Once::new();

/// A line that the driver printed. Any IRQL.
pub fn debug_line(text: &str) {
    let text = String::from(text.trim_end_matches(['\r', '\n']));
    output::push(Message::Debug { text });
}

/// Greets, then obeys for ever. Called on a thread once everything below is up.
pub fn run() -> ! {
    let work = WORK_EVENT.call_once(Event::auto);
    Thread::spawn("agent writer", Box::new(output::writer));
    Thread::spawn("pnp", Box::new(worker));
    output::push(Message::Hello {
        version: VERSION,
        guest: "understudy".into(),
        drivers: drivers(),
        boot_us: crate::ke::now_us(),
    });
    loop {
        let line = crate::serial::read_line();
        let request: Request = match serde_json::from_str(&line) {
            Ok(request) => request,
            Err(error) => {
                crate::log!("agent: not a request: {error}: {line}");
                output::push(Message::Failed { id: 0, error: format!("not a request: {error}") });
                continue;
            }
        };
        match request.command {
            Command::Send { first, count, len, fragments, cancel_id: 0 } => {
                answer(request.id, send(first, count, len, fragments))
            }
            Command::Report => output::push(done(request.id, datapath::report())),
            Command::Quit => {
                output::push(done(request.id, Vec::new()));
                output::flush();
                crate::power_off();
            }
            _ => {
                WORK.with(|waiting| waiting.push_back(request));
                work.set();
            }
        }
    }
}

fn drivers() -> Vec<DriverFile> {
    let files = crate::settings::files().into_iter().filter(|(name, _)| name.ends_with(".sys"));
    files
        .map(|(name, bytes)| {
            let digest = Sha256::digest(bytes);
            let sha256 = digest.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            DriverFile { file: name.into(), sha256 }
        })
        .collect()
}

fn done(id: u32, queues: Vec<QueueReport>) -> Message {
    Message::Done { id, reply: Reply { queues, ..Reply::default() } }
}

fn answer(id: u32, result: Result<(), String>) {
    output::push(match result {
        Ok(()) => done(id, Vec::new()),
        Err(error) => Message::Failed { id, error },
    });
}

fn send(first: u64, count: u32, len: u32, fragments: u32) -> Result<(), String> {
    if !(frame::SHORTEST as u32..=frame::LONGEST as u32).contains(&len) {
        return Err(format!("len {len} is not in {}..={}", frame::SHORTEST, frame::LONGEST));
    }
    if !(1..=8).contains(&fragments) {
        return Err(format!("fragments {fragments} is not in 1..=8"));
    }
    let last = first.checked_add(u64::from(count)).ok_or("frame numbers overflow")?;
    datapath::send((first..last).map(|number| Pending {
        number,
        len: len as u16,
        fragments: fragments as u8,
    }))
}

fn worker() {
    let Some(event) = WORK_EVENT.get() else { return };
    loop {
        event.wait();
        while let Some(request) = WORK.with(VecDeque::pop_front) {
            trace::take_reason();
            let (result, report) = match request.command {
                Command::Load => (pnp::load(), false),
                Command::Pause { cancels } => (pnp::pause(cancels), true),
                Command::Restart => (pnp::restart(), false),
                Command::PowerDown => (pnp::power_nic(false), true),
                Command::PowerUp => (pnp::power_nic(true), false),
                Command::Power { service, on } => (pnp::power(&service, on), false),
                Command::Remove { service, surprise } => (pnp::remove(&service, surprise), false),
                Command::Unload => (pnp::unload(), true),
                command => (Err(format!("understudy does not offer {command:?}")), false),
            };
            match result {
                Ok(()) if report => output::push(done(request.id, datapath::report())),
                result => answer(request.id, result),
            }
        }
    }
}
