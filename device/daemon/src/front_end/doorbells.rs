//! The thread that hears doorbells. It is woken once for each ring of a bell, and reads once: a descriptor that stays readable
//! however often it is read costs nothing.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;

use super::Service;

/// The event that ends the thread, in the place of a queue's number.
const END: u64 = u64::MAX;

/// The doorbells that are listened to, and the thread that does it.
pub(super) struct Doorbells {
    ears: Arc<Ears>,
    end: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

/// What both threads have.
struct Ears {
    epoll: OwnedFd,
    /// By the queue's number; `None` while nobody listens.
    bells: Mutex<Vec<Option<Arc<OwnedFd>>>>,
}

impl Ears {
    fn bells(&self) -> MutexGuard<'_, Vec<Option<Arc<OwnedFd>>>> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doorbells {
    /// Listens to none yet, for these queues.
    pub(super) fn start(services: Vec<Arc<dyn Service>>) -> io::Result<Doorbells> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &end, epoll::EventData::new_u64(END), epoll::EventFlags::IN)?;
        let bells = Mutex::new(services.iter().map(|_| None).collect());
        let ears = Arc::new(Ears { epoll, bells });
        let theirs = ears.clone();
        let thread = std::thread::Builder::new().name("doorbells".into());
        let thread = thread.spawn(move || listen(&theirs, &services))?;
        Ok(Doorbells { ears, end, thread: Some(thread) })
    }

    /// Listens to `bell` for the queue of that number from now on, or to none. A bell that was rung before is heard.
    pub(super) fn set(&self, queue: usize, bell: Option<&Arc<OwnedFd>>) -> io::Result<()> {
        let mut bells = self.ears.bells();
        let Some(place) = bells.get_mut(queue) else { return Ok(()) };
        if place.as_ref().map(Arc::as_ptr) == bell.map(Arc::as_ptr) {
            return Ok(());
        }
        if let Some(old) = place.take() {
            epoll::delete(&self.ears.epoll, &*old)?;
        }
        if let Some(bell) = bell {
            let data = epoll::EventData::new_u64(queue as u64);
            epoll::add(&self.ears.epoll, &**bell, data, epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        }
        *place = bell.cloned();
        Ok(())
    }
}

impl Drop for Doorbells {
    /// Ends the thread, which may be waiting for whatever a hostile front end made of an interrupt.
    fn drop(&mut self) {
        // Fails only if the counter is full, and then it is readable anyway.
        let _ = rustix::io::write(&self.end, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen(ears: &Ears, services: &[Arc<dyn Service>]) {
    let mut events = Vec::with_capacity(16);
    loop {
        match epoll::wait(&ears.epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                services.iter().for_each(|service| service.doorbell_failed(errno.into()));
                return;
            }
        }
        for event in events.drain(..) {
            if event.data.u64() == END {
                return;
            }
            let queue = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let bell = ears.bells().get(queue).cloned().flatten();
            if let (Some(bell), Some(service)) = (bell, services.get(queue)) {
                hear(&bell, &**service);
            }
        }
    }
}

fn hear(bell: &impl AsFd, service: &dyn Service) {
    let mut count = [0u8; 8];
    match rustix::io::read(bell, &mut count) {
        Ok(8) => service.doorbell(),
        // Somebody else took it: whether it was rung cannot be known.
        Err(Errno::AGAIN | Errno::INTR) => service.run(),
        Ok(_) => service.doorbell_failed(io::ErrorKind::UnexpectedEof.into()),
        Err(errno) => service.doorbell_failed(errno.into()),
    }
}
