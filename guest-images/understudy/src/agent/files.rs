//! What programs do with devices: open, control, cancel, close. Each waits on a worker thread of its own.

use crate::io::file::File;
use crate::io::{Irp, interface, names};
use crate::ke::irqlock::IrqLock;
use crate::ke::worker;
use crate::verifier::output;
use agent_protocol::{IoResult, Message, Reply};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use wdk_offline::NTSTATUS;

/// Open files by the rig's numbers.
static FILES: IrqLock<Vec<(u32, Arc<File>)>> = IrqLock::new(Vec::new());
/// Control requests that have not been answered, by [`agent_protocol::Request::id`].
static PENDING: IrqLock<Vec<(u32, Irp)>> = IrqLock::new(Vec::new());

fn answer(id: u32, result: Result<IoResult, String>) {
    output::push(match result {
        Ok(io) => Message::Done { id, reply: Reply { io: Some(io), ..Reply::default() } },
        Err(error) => Message::failed(id, error),
    });
}

fn outcome(status: NTSTATUS, information: u64, output: &[u8]) -> IoResult {
    let output = output.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    IoResult { status: status as u32, information, output }
}

fn file(number: u32) -> Result<Arc<File>, String> {
    let found =
        FILES.with(|files| files.iter().find(|(known, _)| *known == number).map(|(_, file)| file.clone()));
    found.ok_or_else(|| format!("no open file {number}"))
}

/// Opens a device by its link, or by its interface class in braces.
pub(super) fn open(id: u32, number: u32, device: String) {
    worker::run(Box::new(move || {
        let opened = || {
            if file(number).is_ok() {
                return Err(format!("file {number} is open"));
            }
            let name =
                if device.starts_with('{') { interface::first_link(&device) } else { Some(device.clone()) };
            let name = name.map(|name| format!("\\??\\{name}")).unwrap_or_default();
            let object = names::resolve(&name).ok_or_else(|| format!("nothing is named {device:?}"))?;
            Ok(match File::open(object, names::below(&name), true) {
                Ok(made) => {
                    FILES.with(|files| files.push((number, made)));
                    outcome(0, 0, &[])
                }
                Err(status) => outcome(status, 0, &[]),
            })
        };
        answer(id, opened());
    }));
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("not hexadecimal: {text:?}");
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(wrong());
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong()))
        .collect()
}

/// Sends a control request; answered when it completes.
pub(super) fn control(id: u32, number: u32, code: u32, input: String, output_len: u32) {
    worker::run(Box::new(move || {
        let checked = file(number).and_then(|file| {
            if file.is_closed() {
                return Err(format!("file {number} is closed"));
            }
            Ok((file, bytes(&input)?))
        });
        match checked {
            Ok((file, input)) => file.control(
                code,
                &input,
                output_len,
                |irp| PENDING.with(|pending| pending.push((id, irp))),
                move |status, information, output| {
                    PENDING.with(|pending| pending.retain(|(known, _)| *known != id));
                    answer(id, Ok(outcome(status, information, output)));
                },
            ),
            Err(error) => answer(id, Err(error)),
        }
    }));
}

/// Cancels a control request as CancelIoEx does.
pub(super) fn cancel(id: u32, request: u32) {
    worker::run(Box::new(move || {
        let pinned = PENDING.with(|pending| {
            let found = pending.iter().find(|(known, _)| *known == request).map(|(_, irp)| *irp);
            found.filter(|irp| irp.pin())
        });
        let ran = pinned.is_some_and(|irp| {
            let ran = irp.cancel();
            irp.unpin();
            ran
        });
        answer(id, Ok(outcome(0, ran.into(), &[])));
    }));
}

/// Closes a file; answered when IRP_MJ_CLOSE has completed.
pub(super) fn close(id: u32, number: u32) {
    worker::run(Box::new(move || {
        let closed = file(number).map(|file| {
            file.close();
            FILES.with(|files| files.retain(|(known, _)| *known != number));
            outcome(0, 0, &[])
        });
        answer(id, closed);
    }));
}
