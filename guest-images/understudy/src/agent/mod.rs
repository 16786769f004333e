//! The guest's side of the agent protocol, over COM2: quick commands are answered at once, those that change drivers or devices one after the other.

mod files;
pub(crate) mod input;

use crate::hal::{power, serial};
use crate::ke::{Thread, worker};
use crate::ndis::{binding, protocol, stack};
use crate::pnp::{self, NotLoaded};
use crate::translator::datapath;
use crate::verifier::{fault, output, trace, window};
use agent_protocol::{Command, DriverFile, Message, QueueReport, Reply, Request, VERSION};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use sha2::{Digest, Sha256};
use understudy_rules::frame;

/// Greets, then obeys for ever. Called on a thread once everything below is up.
pub(crate) fn run() -> ! {
    Thread::spawn("agent writer", Box::new(output::writer));
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
                answer(request.id, pnp::require_service(&service).map(|()| fault::arm(service, after)));
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
            _ => worker::in_order(Box::new(move || carry_out(request))),
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

fn done(id: u32, queues: Vec<QueueReport>) -> Message {
    let lists = (!queues.is_empty()).then(binding::report);
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

/// Carries a command out that changes drivers or devices, which one at a time does.
fn carry_out(request: Request) {
    trace::take_reason();
    let (result, report) = match request.command {
        Command::Load => match pnp::load() {
            Ok(()) => (Ok(()), false),
            Err(NotLoaded::Failed(why)) => (Err(why), false),
            Err(NotLoaded::Refused(why)) => return output::push(Message::not_loadable(request.id, why)),
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
            return output::push(Message::unsupported(request.id, why));
        }
    };
    match result {
        Ok(()) if report => output::push(done(request.id, datapath::report())),
        result => answer(request.id, result),
    }
}
