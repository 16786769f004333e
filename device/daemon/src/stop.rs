//! How the process ends: whoever has a reason (a signal, `quit`, the front end gone) gives it here once,
//! and the main thread, which waits for it, winds everything up.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, PollFd, PollFlags};

/// A request to end, given by any thread and waited for by one.
#[derive(Debug)]
pub(crate) struct Stop {
    asked: AtomicBool,
    /// The first to ask was a signal handler, which cannot log.
    memory_shrank: AtomicBool,
    event: rustix::fd::OwnedFd,
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The descriptor waited for is readable.
    Ready,
    /// Someone asked to end.
    Asked,
}

impl Stop {
    /// Nobody has asked yet.
    pub(crate) fn new() -> io::Result<Stop> {
        let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Stop { asked: AtomicBool::new(false), memory_shrank: AtomicBool::new(false), event })
    }

    /// Asks to end. `why` is logged the first time, once everybody has been woken; later requests change nothing.
    pub(crate) fn ask(&self, why: &str) {
        let is_first = !self.asked.swap(true, Ordering::SeqCst);
        self.wake();
        if is_first {
            tracing::info!("ending: {why}");
        }
    }

    /// Asks to end because guest memory is not there; see [`Stop::memory_shrank`]. Async-signal-safe.
    pub(crate) fn ask_from_signal_handler(&self) {
        self.memory_shrank.store(true, Ordering::SeqCst);
        self.asked.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether the reason is that guest memory is not there.
    pub(crate) fn memory_shrank(&self) -> bool {
        self.memory_shrank.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        // Fails only if the counter is full, and then it is readable anyway.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }

    /// Whether someone has asked.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Waits until `fd` is readable or someone has asked.
    pub(crate) fn wait_or(&self, fd: BorrowedFd<'_>) -> io::Result<Woken> {
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(self.event.as_fd(), PollFlags::IN),
                PollFd::new(&fd, PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
                Ok(_) if self.asked() => return Ok(Woken::Asked),
                Ok(_) if fds.last().is_some_and(|fd| !fd.revents().is_empty()) => return Ok(Woken::Ready),
                Ok(_) => {}
            }
        }
    }

    /// Waits until someone has asked.
    pub(crate) fn wait(&self) -> io::Result<()> {
        while !self.asked() {
            let mut fds = [PollFd::new(&self.event, PollFlags::IN)];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    /// Notes, while an event is logged, whether those who wait have been woken.
    struct Watcher(Arc<Stop>, Arc<AtomicBool>);

    impl<S: tracing::Subscriber> Layer<S> for Watcher {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            let mut fds = [PollFd::new(&self.0.event, PollFlags::IN)];
            let now = std::time::Duration::ZERO.try_into().unwrap();
            let woken = rustix::event::poll(&mut fds, Some(&now)) == Ok(1);
            self.1.store(woken && self.0.asked(), Ordering::SeqCst);
        }
    }

    #[test]
    fn whoever_waits_is_woken_before_the_reason_is_logged() {
        let (stop, woken) = (Arc::new(Stop::new().unwrap()), Arc::new(AtomicBool::new(false)));
        let log = tracing_subscriber::registry().with(Watcher(stop.clone(), woken.clone()));
        tracing::subscriber::with_default(log, || stop.ask("a test"));
        assert!(woken.load(Ordering::SeqCst));
    }
}
