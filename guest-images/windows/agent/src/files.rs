//! Files that the rig has opened, and its control requests that are under way.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use agent_protocol::{IoResult, Reply};
use cancelnic_ioctl::Guid;

use crate::guest::{Fault, File, Guest, Operation, Outcome, STATUS_OBJECT_NAME_NOT_FOUND, Target};

/// Most bytes that a request may bring back; its answer has to fit into a line.
pub const MOST_OUTPUT: u32 = 256 << 10;
/// The bits of a control code that say how buffers come; METHOD_BUFFERED is 0.
const METHOD: u32 = 3;

/// All of them, by the rig's numbers.
#[derive(Default)]
pub struct Files {
    state: Mutex<State>,
    /// A request has completed.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: BTreeMap<u32, Arc<dyn File>>,
    /// Numbers that are being opened or closed.
    busy: BTreeSet<u32>,
    /// The request's file, and the request.
    pending: BTreeMap<u32, (u32, Arc<dyn Operation>)>,
}

fn io(outcome: Outcome) -> Reply {
    let Outcome { status, information, output } = outcome;
    Reply { io: Some(IoResult { status, information, output: hex::encode(output) }), ..Reply::default() }
}

impl Files {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a device by its link, or by its interface class in braces.
    ///
    /// # Errors
    /// The number is taken, or nothing has that name.
    pub fn open(&self, guest: &dyn Guest, number: u32, device: &str) -> Result<Reply, Fault> {
        let target = target(device)?;
        {
            let mut state = self.lock();
            if state.open.contains_key(&number) || !state.busy.insert(number) {
                return Err(format!("file {number} is open").into());
            }
        }
        // not under the lock: a driver may keep a create waiting
        let opened = guest.open(target);
        let mut state = self.lock();
        state.busy.remove(&number);
        match opened {
            Ok(file) => {
                state.open.insert(number, file);
                Ok(io(Outcome::default()))
            }
            Err(STATUS_OBJECT_NAME_NOT_FOUND) => Err(format!("nothing is named {device:?}").into()),
            Err(status) => Ok(io(Outcome { status, ..Outcome::default() })),
        }
    }

    /// Sends the control request `id` and waits for its completion.
    ///
    /// # Errors
    /// It is none that could be sent.
    pub fn control(
        &self,
        id: u32,
        number: u32,
        code: u32,
        input: &str,
        output_len: u32,
    ) -> Result<Reply, Fault> {
        if code & METHOD != 0 {
            return Err(format!("control code {code:#x} is not METHOD_BUFFERED").into());
        }
        if output_len > MOST_OUTPUT {
            return Err(format!("output_len {output_len} is more than {MOST_OUTPUT}").into());
        }
        let input = hex::decode(input).map_err(|error| format!("input: {error}"))?;
        let operation = {
            let mut state = self.lock();
            let file = state.file(number)?;
            if state.pending.contains_key(&id) {
                return Err(format!("request {id} is under way").into());
            }
            let operation = file.prepare(code, &input, output_len);
            state.pending.insert(id, (number, Arc::clone(&operation)));
            operation
        };
        // not under the lock: a driver may keep the thread, and the request is cancelled all the same
        let outcome = operation.run();
        self.lock().pending.remove(&id);
        self.changed.notify_all();
        Ok(io(outcome))
    }

    /// Cancels one request as CancelIoEx does. `information` is 1 if there was one to cancel, else 0.
    pub fn cancel(&self, request: u32) -> Reply {
        let operation = self.lock().pending.get(&request).map(|(_, operation)| Arc::clone(operation));
        let found = operation.is_some_and(|operation| operation.cancel());
        io(Outcome { information: found.into(), ..Outcome::default() })
    }

    /// Closes a file and waits until all that was under way on it has ended.
    ///
    /// # Errors
    /// There is no such file.
    pub fn close(&self, number: u32) -> Result<Reply, Fault> {
        let file = {
            let mut state = self.lock();
            let file = state.file(number)?;
            state.open.remove(&number);
            state.busy.insert(number);
            file
        };
        file.close();
        let mut state = self.lock();
        while state.pending.values().any(|(file, _)| *file == number) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.busy.remove(&number);
        Ok(io(Outcome::default()))
    }

    /// Closes every file: nobody is left who knows their numbers.
    pub fn close_all(&self) {
        let files = std::mem::take(&mut self.lock().open);
        for file in files.into_values() {
            file.close();
        }
    }
}

impl State {
    fn file(&self, number: u32) -> Result<Arc<dyn File>, Fault> {
        self.open.get(&number).cloned().ok_or_else(|| Fault::Failed(format!("no open file {number}")))
    }
}

/// What a device's name means: a class if it is a GUID in braces, else a link.
fn target(device: &str) -> Result<Target<'_>, Fault> {
    match device.strip_prefix('{') {
        None => Ok(Target::Link(device)),
        Some(_) => {
            class(device).map(Target::Class).ok_or_else(|| format!("{device:?} is no GUID in braces").into())
        }
    }
}

/// A GUID in braces: 8-4-4-4-12 hexadecimal digits.
fn class(text: &str) -> Option<Guid> {
    let digits = text.strip_prefix('{')?.strip_suffix('}')?;
    let parts: Vec<_> = digits.split('-').collect();
    if parts.iter().map(|part| part.len()).ne([8, 4, 4, 4, 12]) {
        return None;
    }
    let bytes: [u8; 16] = hex::decode(parts.concat()).ok()?.try_into().ok()?;
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    Some(Guid(u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]), u16::from_be_bytes([g, h]), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretend::{ECHO, PENDS, Pretend};
    use cancelnic_ioctl::NIC_INTERFACE;
    use std::thread;

    fn result(reply: Result<Reply, Fault>) -> IoResult {
        reply.expect("a good answer").io.expect("an outcome")
    }

    fn opened(guest: &Pretend) -> Files {
        let files = Files::default();
        assert_eq!(result(files.open(guest, 1, "cancelnic-lwf")).status, 0);
        files
    }

    #[test]
    fn a_class_is_read_from_its_text() {
        assert_eq!(class("{6b2f6d52-6f0e-4d0c-9f3e-2f6d0a1c4e01}"), Some(NIC_INTERFACE));
        for wrong in [
            "{}",
            "{6b2f6d52-6f0e-4d0c-9f3e-2f6d0a1c4e0}",
            "6b2f6d52",
            "{6b2f6d52-6f0e-4d0c-9f3e-2f6d0a1c4exx}",
        ] {
            assert_eq!(class(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_comes_back_is_hexadecimal() {
        let files = opened(&Pretend::default());
        let echo = result(files.control(7, 1, ECHO, "00ffA5", 2));
        assert_eq!((echo.status, echo.information, echo.output.as_str()), (0, 2, "00ff"));
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        let files = opened(&Pretend::default());
        for (file, code, input, output_len, why) in [
            (2, ECHO, "", 0, "no open file 2"),
            (1, ECHO | 3, "", 0, "not METHOD_BUFFERED"),
            (1, ECHO, "abc", 0, "input: "),
            (1, ECHO, "zz", 0, "input: "),
            (1, ECHO, "", MOST_OUTPUT + 1, "output_len"),
        ] {
            let Err(Fault::Failed(error)) = files.control(7, file, code, input, output_len) else {
                panic!("{why}");
            };
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_number_names_one_file_at_a_time() {
        let guest = Pretend::default();
        let files = opened(&guest);
        assert_eq!(files.open(&guest, 1, "cancelnic-lwf"), Err(Fault::Failed("file 1 is open".into())));
        result(files.close(1));
        assert_eq!(files.close(1), Err(Fault::Failed("no open file 1".into())));
        assert_eq!(result(files.open(&guest, 1, "cancelnic-lwf")).status, 0);
        assert_eq!(guest.closed(), 1);
    }

    #[test]
    fn a_name_that_nothing_has_is_told() {
        let files = Files::default();
        let error = files.open(&Pretend::default(), 1, "nowhere").unwrap_err();
        assert_eq!(error, Fault::Failed("nothing is named \"nowhere\"".into()));
        let error = files.open(&Pretend::default(), 1, "{nonsense}").unwrap_err();
        assert_eq!(error, Fault::Failed("\"{nonsense}\" is no GUID in braces".into()));
    }

    #[test]
    fn a_pending_request_is_cancelled_by_its_number() {
        let guest = Pretend::default();
        let files = opened(&guest);
        thread::scope(|scope| {
            let pending = scope.spawn(|| files.control(7, 1, PENDS, "", 8));
            guest.await_done("pends on 1");
            assert_eq!(result(Ok(files.cancel(8))).information, 0);
            assert_eq!(result(Ok(files.cancel(7))).information, 1);
            let ended = result(pending.join().expect("an answer"));
            assert_eq!(ended.status, crate::pretend::STATUS_CANCELLED);
        });
        assert_eq!(result(Ok(files.cancel(7))).information, 0);
    }

    #[test]
    fn a_close_waits_for_what_is_under_way() {
        let guest = Pretend::default();
        let files = opened(&guest);
        thread::scope(|scope| {
            let pending = scope.spawn(|| files.control(7, 1, PENDS, "", 8));
            guest.await_done("pends on 1");
            result(files.close(1));
            // the pretended driver ends a closed file's requests, as cleanup does
            let ended = pending.join().expect("an answer");
            assert_eq!(result(ended).status, crate::pretend::STATUS_CANCELLED);
        });
    }
}
