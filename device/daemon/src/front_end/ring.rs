//! One queue as the front end starts and stops it: what was said about it, and whether it is in service
//! (`device/registers/README.md`, REG21 to REG23). Nothing that is said is refused: the guest chose most of it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use cancelnic_model::Rings;

use super::Service;
use super::memory::Places;

/// The front end's view of a queue.
pub(super) struct Ring {
    service: Arc<dyn Service>,
    /// Entries that a ring has at most.
    largest: u16,
    said: Said,
    in_service: bool,
    /// Its doorbell, once it has one.
    pub(super) kick: Option<Arc<OwnedFd>>,
    /// Whether the queue may fetch and receive.
    enabled: bool,
}

/// What the front end said about the queue.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// Entries.
    pub(super) size: Option<u32>,
    /// Descriptor table, available ring, used ring: the front end's addresses.
    pub(super) addresses: Option<[u64; 3]>,
    /// Index of the first chain to take.
    pub(super) base: u16,
    /// Whether VIRTIO_F_EVENT_IDX was accepted.
    pub(super) event_idx: bool,
}

impl Ring {
    /// Nothing was said yet.
    pub(super) fn new(service: Arc<dyn Service>, largest: u16) -> Ring {
        Ring { service, largest, said: Said::default(), in_service: false, kick: None, enabled: false }
    }

    pub(super) fn service(&self) -> &dyn Service {
        &*self.service
    }

    pub(super) fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
        self.service.set_enabled(enabled);
    }

    /// The doorbell to be listened to now.
    pub(super) fn bell(&self) -> Option<&Arc<OwnedFd>> {
        self.kick.as_ref().filter(|_| self.in_service && self.enabled)
    }

    /// Enters service, if it has a doorbell and enough has been said for that.
    pub(super) fn enter(&mut self, places: &Places) {
        if self.in_service || self.kick.is_none() {
            return;
        }
        let queue = self.service.name();
        let (Some(size), Some(addresses)) = (self.said.size, self.said.addresses) else {
            let missing = if self.said.size.is_none() { "a ring size" } else { "ring addresses" };
            tracing::warn!(
                queue,
                "the front end starts the queue without {missing}; it stays out of service"
            );
            return;
        };
        let fits = u16::try_from(size).ok().filter(|size| *size <= self.largest);
        if fits.is_none() {
            tracing::warn!(
                queue,
                size,
                "the ring is larger than the {0} entries that are offered: in QEMU vq_size={0}",
                self.largest
            );
        }
        let [desc, avail, used] = addresses.map(|address| places.guest(address));
        // No ring has 0 entries.
        let size = fits.unwrap_or(0);
        let Said { base, event_idx, .. } = self.said;
        self.service.enter(Rings { size, desc, avail, used, base, event_idx });
        self.in_service = true;
    }

    /// Leaves service, if it is there. The oldest chain without a used element.
    pub(super) fn leave(&mut self) -> u16 {
        if self.in_service {
            self.in_service = false;
            self.said.base = self.service.leave();
        }
        self.said.base
    }

    /// Takes over something the front end said. It must not say it of a queue in service; if it does all
    /// the same, and means a change, the queue leaves service and enters anew.
    pub(super) fn change(&mut self, places: &Places, change: impl Fn(&mut Said)) {
        let mut wanted = self.said.clone();
        change(&mut wanted);
        if wanted == self.said {
            return;
        }
        let was_in_service = self.in_service;
        if was_in_service {
            tracing::warn!(queue = self.service.name(), "the front end changes the queue in service");
            self.leave();
        }
        change(&mut self.said);
        if was_in_service {
            self.enter(places);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Mutex;

    use rustix::event::{EventfdFlags, eventfd};

    /// Notes what it is told.
    #[derive(Default)]
    struct Spy(Mutex<Vec<String>>);

    impl Spy {
        fn note(&self, text: impl Into<String>) {
            self.0.lock().unwrap().push(text.into());
        }

        fn told(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    impl Service for Spy {
        fn name(&self) -> &'static str {
            "tx0"
        }
        fn enter(&self, Rings { size, base, desc, .. }: Rings) {
            self.note(format!("enter size {size} base {base} at {desc:#x}"));
        }
        fn leave(&self) -> u16 {
            self.note("leave");
            5
        }
        fn set_enabled(&self, _: bool) {}
        fn set_call(&self, _: Option<OwnedFd>) {}
        fn doorbell(&self) {}
        fn run(&self) {}
        fn doorbell_failed(&self, _: io::Error) {}
    }

    const NOWHERE: &str = "0xfffffffffffff000";

    /// A ring with a doorbell, of which nothing has been said.
    fn new() -> (Ring, Arc<Spy>) {
        let spy = Arc::new(Spy::default());
        let mut ring = Ring::new(spy.clone(), 1024);
        ring.kick = Some(Arc::new(eventfd(0, EventfdFlags::empty()).unwrap()));
        (ring, spy)
    }

    /// A ring of which enough has been said.
    fn prepared() -> (Ring, Arc<Spy>) {
        let (mut ring, spy) = new();
        ring.change(&Places::default(), |said| {
            (said.size, said.addresses) = (Some(64), Some([0x1000, 0x2000, 0x3000]));
        });
        (ring, spy)
    }

    #[test]
    fn ring_leaves_service_once_and_goes_on_where_it_left() {
        let (mut ring, spy) = prepared();
        ring.enter(&Places::default());
        assert_eq!((ring.leave(), ring.leave()), (5, 5));
        ring.enter(&Places::default());
        let enter = |base| format!("enter size 64 base {base} at {NOWHERE}");
        assert_eq!(spy.told(), [enter(0), "leave".into(), enter(5)]);
    }

    #[test]
    fn ring_of_which_too_little_was_said_does_not_enter() {
        let (mut ring, spy) = new();
        ring.enter(&Places::default());
        ring.change(&Places::default(), |said| said.size = Some(64));
        ring.enter(&Places::default());
        let (mut without_bell, other) = prepared();
        without_bell.kick = None;
        without_bell.enter(&Places::default());
        assert!(spy.told().is_empty() && other.told().is_empty());
    }

    #[test]
    fn ring_of_any_size_enters_and_the_model_judges_it() {
        for (size, told) in [(0, 0), (48, 48), (1024, 1024), (2048, 0), (0x1_0040, 0), (u32::MAX, 0)] {
            let (mut ring, spy) = prepared();
            ring.change(&Places::default(), |said| said.size = Some(size));
            ring.enter(&Places::default());
            assert_eq!(spy.told(), [format!("enter size {told} base 0 at {NOWHERE}")]);
        }
    }

    #[test]
    fn ring_changed_in_service_leaves_before_it_changes() {
        let (mut ring, spy) = prepared();
        ring.enter(&Places::default());
        for used in [0x3000, 0x4000] {
            ring.change(&Places::default(), |said| said.addresses = Some([0x1000, 0x2000, used]));
        }
        let enter = |base| format!("enter size 64 base {base} at {NOWHERE}");
        assert_eq!(spy.told(), [enter(0), "leave".into(), enter(5)]);
    }
}
