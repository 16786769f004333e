//! Lines for stderr, written by one thread that nobody waits for: a reader that reads no more costs lines, which are
//! counted where they are missing, and holds up no thread that answers the guest or ends the process.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines that wait to be written, at most.
const MOST_WAITING: usize = 1024;

/// What waits to be written.
#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    /// So many lines found no place here.
    Lost(u64),
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<Item>,
    /// An item has been taken out and is not written yet.
    writing: bool,
    started: bool,
}

/// Lines on their way to a writer.
#[derive(Debug)]
pub(crate) struct Lines {
    state: Mutex<State>,
    came: Condvar,
    written: Condvar,
}

impl Lines {
    /// None; they are kept until there is a thread that writes them.
    pub(crate) const fn new() -> Lines {
        Lines {
            state: Mutex::new(State { waiting: VecDeque::new(), writing: false, started: false }),
            came: Condvar::new(),
            written: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a line over, its newline included. Never waits: the line is lost if too many wait already.
    pub(crate) fn put(&self, line: Vec<u8>) {
        let mut state = self.state();
        if state.waiting.len() < MOST_WAITING {
            state.waiting.push_back(Item::Line(line));
        } else if let Some(Item::Lost(lost)) = state.waiting.back_mut() {
            *lost += 1;
        } else {
            state.waiting.push_back(Item::Lost(1));
        }
        self.came.notify_one();
    }

    /// Starts the thread that writes to `out`, unless there is one. It inherits the sandbox of the thread that calls this.
    pub(crate) fn start(&'static self, out: impl Write + Send + 'static) -> io::Result<()> {
        if std::mem::replace(&mut self.state().started, true) {
            return Ok(());
        }
        thread::Builder::new().name("log".into()).spawn(move || self.write_to(out))?;
        Ok(())
    }

    /// Waits until all lines that were handed over are written, but no longer than `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        let busy = |state: &mut State| state.writing || !state.waiting.is_empty();
        drop(self.written.wait_timeout_while(self.state(), limit, busy));
    }

    fn take(&self) -> Item {
        let mut state = self.state();
        state.writing = false;
        loop {
            if let Some(item) = state.waiting.pop_front() {
                state.writing = true;
                return item;
            }
            self.written.notify_all();
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write_to(&self, mut out: impl Write) {
        loop {
            // What cannot be written is lost; the next line is tried all the same.
            let _ = match self.take() {
                Item::Line(line) => out.write_all(&line),
                Item::Lost(lost) => {
                    writeln!(out, "({lost} lines are missing here: stderr was not read in time)")
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    const LONG: Duration = Duration::from_secs(20);

    /// Lets each write through only when it is told to, and passes on what was written.
    struct Held(Receiver<()>, Sender<String>);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            let _ = self.1.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines() -> &'static Lines {
        Box::leak(Box::new(Lines::new()))
    }

    #[test]
    fn lines_before_the_thread_are_written_first_and_flush_waits_for_all() {
        let (lines, (open, gate), (told, written)) = (lines(), channel(), channel());
        lines.put(b"one\n".to_vec());
        (0..2).for_each(|_| open.send(()).unwrap());
        lines.start(Held(gate, told)).unwrap();
        lines.put(b"two\n".to_vec());
        lines.flush(LONG);
        assert_eq!(written.try_iter().collect::<Vec<_>>(), ["one\n", "two\n"]);
    }

    #[test]
    fn writer_that_hangs_costs_lines_and_holds_up_nobody() {
        let (lines, (open, gate), (told, written)) = (lines(), channel(), channel());
        lines.start(Held(gate, told)).unwrap();
        lines.put(b"hangs\n".to_vec());
        // Taken out, and in the writer's hands.
        while !lines.state().writing {
            thread::yield_now();
        }
        (0..MOST_WAITING + 7).for_each(|_| lines.put(b"waits\n".to_vec()));
        lines.flush(Duration::from_millis(1));
        assert!(written.try_recv().is_err(), "nothing could be written");
        (0..MOST_WAITING + 20).for_each(|_| open.send(()).unwrap());
        lines.flush(LONG);
        let all: String = written.try_iter().collect();
        let expected = "(7 lines are missing here: stderr was not read in time)\n";
        assert!(all.ends_with(expected) && all.lines().count() == MOST_WAITING + 2, "{all}");
    }
}
