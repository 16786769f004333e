//! The guest's side of the agent protocol, over COM2: quick commands are answered at once, long ones by the PnP worker.

mod files;
pub mod input;

use crate::hal::{power, serial};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Thread, worker};
use crate::ndis::{protocol, stack};
use crate::netcx::datapath;
use crate::pnp::{self, NotLoaded};
use crate::verifier::{fault, output, trace, window};
use agent_protocol::{Command, DriverFile, Message, QueueReport, Reply, Request, VERSION};
use alloc::{boxed::Box, collections::VecDeque, format, string::String, vec::Vec};
use sha2::{Digest, Sha256};
use spin::Once;
use understudy_rules::frame;

/// What the PnP worker does next.
enum Work {
    /// A command of the rig's.
    Command(Request),
    /// Something that a driver asked for.
    Later(fn() -> Result<(), String>),
}

/// For the PnP worker, in order.
static WORK: IrqLock<VecDeque<Work>> = IrqLock::new(VecDeque::new());
static WORK_EVENT: Once<Event> = Once::new();

/// Greets, then obeys for ever. Called on a thread once everything below is up.
pub fn run() -> ! {
    let work = WORK_EVENT.call_once(Event::auto);
    Thread::spawn("agent writer", Box::new(output::writer));
    Thread::spawn("pnp", Box::new(worker));
    // ends the line that firmware has left on the port, which is its console
    serial::write_line("");
    output::push(hello());
    loop {
        let line = input::read_line();
        let request: Request = match serde_json::from_str(&line) {
            Ok(request) => request,
            Err(error) => {
                crate::log!("agent: not a request: {error}: {line}");
                output::push(Message::failed(0, format!("not a request: {error}")));
                continue;
            }
        };
        match request.command {
            Command::Send { first, count, len, fragments, cancel_id } => {
                answer(request.id, send((first, count), len, fragments, cancel_id))
            }
            // on a thread of its own: a window may hold it
            Command::CancelSend { cancel_id } => {
                worker::run(Box::new(move || answer(request.id, protocol::cancel(cancel_id))));
            }
            Command::Open { file, device } => files::open(request.id, file, device),
            Command::Close { file } => files::close(request.id, file),
            Command::Control { file, code, input, output_len } => {
                files::control(request.id, file, code, input, output_len);
            }
            Command::CancelControl { request: which } => files::cancel(request.id, which),
            Command::Configure { parameters } => {
                parameters.iter().for_each(|(name, value)| crate::settings::configure(name, *value));
                answer(request.id, Ok(()));
            }
            Command::Hold { window } => answer(request.id, window::hold(&window)),
            Command::FailAllocation { service, after } => {
                answer(request.id, fault::arm(service, after));
            }
            Command::Release { window } => answer(request.id, window::release(&window)),
            Command::Report => output::push(done(request.id, datapath::report())),
            Command::Greet => {
                output::push(hello());
                output::push(done(request.id, Vec::new()));
            }
            Command::Inspect => {
                let reply = Reply { views: datapath::inspect(), ..Reply::default() };
                output::push(Message::Done { id: request.id, reply });
            }
            Command::Quit => {
                output::push(done(request.id, Vec::new()));
                output::flush();
                power::off_in_order();
            }
            _ => {
                WORK.with(|waiting| waiting.push_back(Work::Command(request)));
                work.set();
            }
        }
    }
}

fn hello() -> Message {
    Message::Hello {
        version: VERSION,
        guest: "understudy".into(),
        drivers: drivers(),
        boot_us: crate::ke::now_us(),
        machine: None,
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

/// Has something done by the PnP worker. Any IRQL.
pub fn later(what: fn() -> Result<(), String>) {
    WORK.with(|waiting| waiting.push_back(Work::Later(what)));
    WORK_EVENT.get().into_iter().for_each(Event::set);
}

fn done(id: u32, queues: Vec<QueueReport>) -> Message {
    let lists = (!queues.is_empty()).then(protocol::report);
    Message::Done { id, reply: Reply { queues, lists, ..Reply::default() } }
}

fn answer(id: u32, result: Result<(), String>) {
    output::push(match result {
        Ok(()) => done(id, Vec::new()),
        Err(error) => Message::failed(id, error),
    });
}

fn send((first, count): (u64, u32), len: u32, parts: u32, cancel_id: u64) -> Result<(), String> {
    if !(frame::SHORTEST..=frame::TOO_LONG).contains(&(len as usize)) {
        return Err(format!("len {len} is not in {}..={}", frame::SHORTEST, frame::TOO_LONG));
    }
    if !(1..=8).contains(&parts) {
        return Err(format!("fragments {parts} is not in 1..=8"));
    }
    first.checked_add(u64::from(count)).ok_or("frame numbers overflow")?;
    protocol::send(protocol::Frames { first, count, len: len as usize, parts: parts as usize, cancel_id })
}

fn worker() {
    let Some(event) = WORK_EVENT.get() else { return };
    loop {
        event.wait();
        while let Some(work) = WORK.with(VecDeque::pop_front) {
            trace::take_reason();
            let request = match work {
                Work::Command(request) => request,
                Work::Later(what) => {
                    if let Err(error) = what() {
                        trace::note("device", &error);
                    }
                    continue;
                }
            };
            let (result, report) = match request.command {
                Command::Load => match pnp::load() {
                    Ok(()) => (Ok(()), false),
                    Err(NotLoaded::Failed(why)) => (Err(why), false),
                    Err(NotLoaded::Refused(why)) => {
                        output::push(Message::not_loadable(request.id, why));
                        continue;
                    }
                },
                Command::Pause { cancels } => (pnp::pause(cancels), true),
                Command::Restart => (pnp::restart(), false),
                Command::PowerDown => (pnp::power_nic(false), true),
                Command::PowerUp => (pnp::power_nic(true), false),
                Command::Power { service, on } => (pnp::power(&service, on), false),
                Command::Remove { service, surprise } => (pnp::remove(&service, surprise), false),
                Command::Unload => (pnp::unload(), true),
                Command::Bind => (stack::bind(), false),
                Command::Unbind => (stack::unbind(), false),
                Command::AttachFilter => (stack::attach(), false),
                Command::DetachFilter => (stack::detach(), false),
                command => {
                    let why = format!("understudy does not offer {command:?}");
                    output::push(Message::unsupported(request.id, why));
                    continue;
                }
            };
            match result {
                Ok(()) if report => output::push(done(request.id, datapath::report())),
                result => answer(request.id, result),
            }
        }
    }
}
