//! One queue as the vhost-user library sees it. The library's own ring is kept only for the descriptors
//! and flags that it looks at; the queue itself lives behind [`Service`], which learns here, synchronously,
//! when it enters and leaves service (`device/registers/README.md`, REG21 to REG23).

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cancelnic_model::Rings;
use rustix::fs::OFlags;
use vhost_user_backend::{VringMutex, VringState, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::Error as QueueError;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::event::EventNotifier;

/// Guest memory as the front end last shared it.
pub(crate) type Memory = GuestMemoryAtomic<GuestMemoryMmap<()>>;

/// What a queue does when the front end starts, stops, enables and disables it. Called from the
/// vhost-user thread only, one call at a time; none may block on the guest, on a gate or on wire time.
pub(crate) trait Service: Send + Sync {
    /// The queue's name, for the log.
    fn name(&self) -> &'static str;
    /// The queue enters service.
    fn enter(&self, rings: Rings);
    /// The queue leaves service. Whatever it owes is done before this returns; nothing of its memory is
    /// touched afterwards. Gives the oldest chain without a used element. Harmless if not in service.
    fn leave(&self) -> u16;
    /// Whether it may fetch and receive.
    fn set_enabled(&self, enabled: bool);
    /// Where its interrupts go.
    fn set_call(&self, call: Option<EventNotifier>);
    /// Its doorbell was rung. All that is to be done for it now is done before this returns.
    fn doorbell(&self);
    /// Its doorbell cannot be read: the connection is of no use any more.
    fn doorbell_failed(&self, error: io::Error);
    /// Its doorbell, still open, is about to be replaced: nobody listens to it any more.
    fn doorbell_replaced(&self, old: RawFd);
}

thread_local! {
    /// The queues whose vrings the library is about to make, last one first.
    static NEXT: RefCell<Vec<Arc<dyn Service>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `make`, in which the library creates one vring per service, in order. Its constructor takes no
/// argument of ours, so they are handed over beside it.
pub(crate) fn with_services<T>(
    services: impl IntoIterator<Item = Arc<dyn Service>>,
    make: impl FnOnce() -> T,
) -> T {
    let mut services: Vec<_> = services.into_iter().collect();
    services.reverse();
    NEXT.set(services);
    let made = make();
    NEXT.take();
    made
}

/// The library's handle on one queue.
#[derive(Clone)]
pub(crate) struct Vring {
    /// Kick descriptor, enabled and ready flags: what the library looks at.
    library: VringMutex<Memory>,
    queue: Arc<Mutex<Queue>>,
    service: Arc<dyn Service>,
    memory: Memory,
}

/// What the front end said about the queue.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Said {
    size: Option<u16>,
    /// Descriptor table, available ring, used ring.
    addresses: Option<[u64; 3]>,
    base: u16,
    event_idx: bool,
}

struct Queue {
    said: Said,
    /// The last size, if no ring can have it.
    refused_size: Option<u16>,
    in_service: bool,
}

impl Queue {
    /// Enters service, if enough has been said for that. True if the queue is in service then.
    fn enter(&mut self, service: &dyn Service) -> bool {
        if self.in_service {
            return true;
        }
        let (Some(size), Some([desc, avail, used])) = (self.said.size, self.said.addresses) else {
            let missing = if self.said.size.is_none() { "a usable ring size" } else { "ring addresses" };
            tracing::warn!(
                queue = service.name(),
                refused_size = self.refused_size,
                "the front end starts the queue without {missing}; it stays out of service"
            );
            return false;
        };
        service.enter(Rings {
            size,
            desc,
            avail,
            used,
            base: self.said.base,
            event_idx: self.said.event_idx,
        });
        self.in_service = true;
        true
    }

    fn leave(&mut self, service: &dyn Service) {
        if self.in_service {
            self.in_service = false;
            self.said.base = service.leave();
        }
    }

    /// Takes over something the front end said. It must not say it of a queue in service; if it does all
    /// the same, and means a change, the queue leaves service and enters anew.
    fn change(&mut self, service: &dyn Service, change: impl Fn(&mut Said)) {
        let mut wanted = self.said.clone();
        change(&mut wanted);
        if wanted == self.said {
            return;
        }
        let was_in_service = self.in_service;
        if was_in_service {
            tracing::warn!(queue = service.name(), "the front end changes the queue in service");
            self.leave(service);
        }
        change(&mut self.said);
        if was_in_service {
            self.enter(service);
        }
    }
}

impl Vring {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl Fn(&mut Said)) {
        self.queue().change(&*self.service, change);
    }
}

impl<'a> VringStateGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState<Memory>>;
}

impl<'a> VringStateMutGuard<'a, Memory> for Vring {
    type G = MutexGuard<'a, VringState<Memory>>;
}

impl VringT<Memory> for Vring {
    fn new(memory: Memory, largest: u16) -> Result<Self, QueueError> {
        let service = NEXT.with_borrow_mut(Vec::pop).ok_or(QueueError::QueueNotReady)?;
        Ok(Vring {
            library: VringMutex::new(memory.clone(), largest)?,
            queue: Arc::new(Mutex::new(Queue {
                said: Said::default(),
                refused_size: None,
                in_service: false,
            })),
            service,
            memory,
        })
    }

    fn get_ref(&self) -> <Self as VringStateGuard<'_, Memory>>::G {
        self.library.get_ref()
    }

    fn get_mut(&self) -> <Self as VringStateMutGuard<'_, Memory>>::G {
        self.library.get_mut()
    }

    // The rings are the service's: nobody completes, suppresses or signals behind its back.

    fn add_used(&self, _: u16, _: u32) -> Result<(), QueueError> {
        Err(QueueError::QueueNotReady)
    }

    fn signal_used_queue(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn enable_notification(&self) -> Result<bool, QueueError> {
        Err(QueueError::QueueNotReady)
    }

    fn disable_notification(&self) -> Result<(), QueueError> {
        Err(QueueError::QueueNotReady)
    }

    fn needs_notification(&self) -> Result<bool, QueueError> {
        Err(QueueError::QueueNotReady)
    }

    fn set_enabled(&self, enabled: bool) {
        self.library.set_enabled(enabled);
        self.service.set_enabled(enabled);
    }

    fn set_queue_info(&self, desc: u64, avail: u64, used: u64) -> Result<(), QueueError> {
        // virtio 1.3 section 2.7: what the three parts are aligned to
        for (part, address, alignment, error) in [
            ("descriptor table", desc, 16, QueueError::InvalidDescTableAlign),
            ("available ring", avail, 2, QueueError::InvalidAvailRingAlign),
            ("used ring", used, 4, QueueError::InvalidUsedRingAlign),
        ] {
            if !address.is_multiple_of(alignment) {
                tracing::warn!(
                    queue = self.service.name(),
                    size = self.queue().said.size,
                    "the {part} at {address:#x} is not aligned to {alignment} bytes"
                );
                return Err(error);
            }
        }
        self.change(|said| said.addresses = Some([desc, avail, used]));
        Ok(())
    }

    fn queue_next_avail(&self) -> u16 {
        self.queue().said.base
    }

    fn set_queue_next_avail(&self, base: u16) {
        self.change(|said| said.base = base);
    }

    /// Not needed: used elements keep the order of the available ring (C6), so both indices are one.
    fn set_queue_next_used(&self, _: u16) {}

    fn queue_used_idx(&self) -> Result<u16, QueueError> {
        let said = self.queue().said.clone();
        let [.., used] = said.addresses.ok_or(QueueError::QueueNotReady)?;
        let index = used.checked_add(2).ok_or(QueueError::AddressOverflow).and_then(|at| {
            let memory = self.memory.memory();
            memory.load(GuestAddress(at), Ordering::Relaxed).map_err(QueueError::GuestMemory)
        });
        if index.is_err() {
            tracing::warn!(
                queue = self.service.name(),
                size = said.size,
                "the used ring at {used:#x} is outside the memory that the front end shares"
            );
        }
        index.map(u16::from_le)
    }

    fn set_queue_size(&self, size: u16) {
        // The library has checked 1..=largest; a ring's size is a power of 2 besides (virtio 1.3 section 2.7).
        let usable = Some(size).filter(|size| size.is_power_of_two());
        if usable.is_none() {
            tracing::warn!(queue = self.service.name(), size, "the ring size is not a power of 2");
        }
        self.queue().refused_size = usable.is_none().then_some(size);
        self.change(|said| said.size = usable);
    }

    fn set_queue_event_idx(&self, event_idx: bool) {
        self.change(|said| said.event_idx = event_idx);
    }

    /// True when the front end has given a doorbell or an interrupt; false is GET_VRING_BASE, whose reply
    /// waits for this call and takes [`VringT::queue_next_avail`] afterwards.
    fn set_queue_ready(&self, ready: bool) {
        let ready = if ready {
            self.queue().enter(&*self.service)
        } else {
            self.queue().leave(&*self.service);
            false
        };
        self.library.set_queue_ready(ready);
    }

    /// The library listens to the first doorbell of a queue that starts. A front end that gives another
    /// one meanwhile, and keeps the first open, would have the first ring for ever.
    fn set_kick(&self, file: Option<File>) {
        let old = self.get_ref().get_kick().as_ref().map(AsRawFd::as_raw_fd);
        if let Some(old) = old {
            self.service.doorbell_replaced(old);
            // Not started, as far as the library knows: it starts the queue, which is in service, and
            // listens to the new one.
            self.library.set_queue_ready(false);
        }
        self.library.set_kick(file.map(without_blocking));
    }

    /// Takes the doorbell, and does what is to be done for it. True: the library is to have the queue run all the same.
    fn read_kick(&self) -> io::Result<bool> {
        match self.library.read_kick() {
            // Someone else took it: whether it was rung cannot be known.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(self.get_ref().is_enabled()),
            // An error would end the thread that serves both queues.
            Err(error) => {
                self.service.doorbell_failed(error);
                Ok(false)
            }
            Ok(_) => {
                self.service.doorbell();
                Ok(false)
            }
        }
    }

    fn set_call(&self, file: Option<File>) {
        // SAFETY: the number was just taken out of its only owner, a file.
        let call =
            file.map(|file| unsafe { EventNotifier::from_raw_fd(without_blocking(file).into_raw_fd()) });
        self.service.set_call(call);
    }

    /// There is nothing to tell the front end on it.
    fn set_err(&self, _: Option<File>) {}
}

/// A descriptor of the front end's that can never make us wait.
fn without_blocking(file: File) -> File {
    let flags = rustix::fs::fcntl_getfl(file.as_fd());
    if let Err(error) =
        flags.and_then(|flags| rustix::fs::fcntl_setfl(file.as_fd(), flags | OFlags::NONBLOCK))
    {
        tracing::debug!(%error, "an event descriptor stays blocking");
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use virtio_queue::QueueT;

    /// Writes down what it is told; leaves at chain 5.
    #[derive(Default)]
    struct Spy(Mutex<Vec<String>>);

    impl Spy {
        fn say(&self, text: String) {
            self.0.lock().unwrap().push(text);
        }
        fn told(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Service for Spy {
        fn name(&self) -> &'static str {
            "tx0"
        }
        fn enter(&self, rings: Rings) {
            self.say(format!("enter size {} base {}", rings.size, rings.base));
        }
        fn leave(&self) -> u16 {
            self.say("leave".into());
            5
        }
        fn set_enabled(&self, _: bool) {}
        fn set_call(&self, _: Option<EventNotifier>) {}
        fn doorbell_failed(&self, error: io::Error) {
            self.say(format!("doorbell {:?}", error.kind()));
        }
        fn doorbell(&self) {
            self.say("doorbell".into());
        }
        fn doorbell_replaced(&self, _: RawFd) {
            self.say("doorbell replaced".into());
        }
    }

    fn vring() -> (Vring, Arc<Spy>) {
        let spy = Arc::new(Spy::default());
        let memory = Memory::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap());
        let service: Arc<dyn Service> = spy.clone();
        (with_services([service], || Vring::new(memory, 64)).unwrap(), spy)
    }

    fn prepared() -> (Vring, Arc<Spy>) {
        let (vring, spy) = vring();
        vring.set_queue_size(64);
        vring.set_queue_info(0x1000, 0x2000, 0x3000).unwrap();
        (vring, spy)
    }

    #[test]
    fn vring_leaves_service_once_and_goes_on_where_it_left() {
        let (vring, spy) = prepared();
        vring.set_queue_ready(true);
        vring.set_queue_ready(false);
        vring.set_queue_ready(false);
        assert_eq!(vring.queue_next_avail(), 5);
        vring.set_queue_ready(true);
        assert_eq!(spy.told(), ["enter size 64 base 0", "leave", "enter size 64 base 5"]);
    }

    #[test]
    fn vring_takes_the_front_ends_base() {
        let (vring, spy) = prepared();
        vring.set_queue_next_avail(9);
        vring.set_queue_ready(true);
        assert_eq!(spy.told(), ["enter size 64 base 9"]);
        assert!(vring.get_ref().get_queue().ready());
    }

    #[test]
    fn vring_without_size_or_addresses_does_not_enter() {
        let (vring, spy) = vring();
        vring.set_queue_ready(true);
        vring.set_queue_size(48);
        vring.set_queue_info(0x1000, 0x2000, 0x3000).unwrap();
        vring.set_queue_ready(true);
        assert!(spy.told().is_empty());
        assert!(!vring.get_ref().get_queue().ready());
    }

    #[test]
    fn vring_changed_in_service_leaves_before_it_changes() {
        let (vring, spy) = prepared();
        vring.set_queue_ready(true);
        vring.set_queue_info(0x1000, 0x2000, 0x3000).unwrap();
        vring.set_queue_info(0x1000, 0x2000, 0x4000).unwrap();
        assert_eq!(spy.told(), ["enter size 64 base 0", "leave", "enter size 64 base 5"]);
    }

    #[test]
    fn vring_refuses_misaligned_rings_and_used_rings_outside_memory() {
        let (vring, _spy) = vring();
        assert!(vring.set_queue_info(0x1008, 0x2000, 0x3000).is_err());
        assert!(vring.set_queue_info(0x1000, 0x2001, 0x3000).is_err());
        assert!(vring.set_queue_info(0x1000, 0x2000, 0x3002).is_err());
        vring.set_queue_info(0x1000, 0x2000, u64::MAX - 3).unwrap();
        assert!(vring.queue_used_idx().is_err());
        vring.set_queue_info(0x1000, 0x2000, 0x20000).unwrap();
        assert!(vring.queue_used_idx().is_err());
    }

    #[test]
    fn vring_survives_a_doorbell_that_is_no_eventfd() {
        let (vring, spy) = prepared();
        vring.set_enabled(true);
        vring.set_kick(Some(File::open("/dev/null").unwrap()));
        assert!(!vring.read_kick().unwrap());
        assert_eq!(spy.told(), ["doorbell UnexpectedEof"]);
    }

    #[test]
    fn vring_with_another_doorbell_stays_in_service_and_is_started_anew() {
        let (vring, spy) = prepared();
        let event = || {
            let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
            Some(File::from(event))
        };
        vring.set_kick(event());
        vring.set_queue_ready(true);
        vring.set_kick(event());
        assert!(!vring.get_ref().get_queue().ready());
        vring.set_queue_ready(true);
        assert_eq!(spy.told(), ["enter size 64 base 0", "doorbell replaced"]);
        assert!(vring.get_ref().get_queue().ready());
    }

    #[test]
    fn vring_hands_a_doorbell_over_once() {
        let (vring, spy) = prepared();
        vring.set_enabled(true);
        let event = rustix::event::eventfd(1, rustix::event::EventfdFlags::empty()).unwrap();
        vring.set_kick(Some(File::from(event)));
        assert!(!vring.read_kick().unwrap());
        assert_eq!(spy.told(), ["doorbell"]);
    }

    #[test]
    fn vring_does_not_wait_for_a_doorbell_that_someone_else_took() {
        let (vring, spy) = prepared();
        vring.set_enabled(true);
        let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
        vring.set_kick(Some(File::from(event)));
        assert!(vring.read_kick().unwrap());
        assert!(spy.told().is_empty());
    }
}
