//! The queues as the front end starts, stops and enables them.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;

use cancelnic_model::Rings;
use serde_json::json;
use vmm_sys_util::event::EventNotifier;

use super::{Nic, QueueId};
use crate::vring::{Layout, Service};

impl Nic {
    /// What the library's vrings talk to, one for each queue by index.
    pub fn services(self: Arc<Nic>) -> Vec<Arc<dyn Service>> {
        let service = |queue| Arc::new(QueueService { nic: self.clone(), queue }) as Arc<dyn Service>;
        QueueId::ALL.into_iter().map(service).collect()
    }

    /// What ends the listening to a doorbell. To be called once, before the front end is served.
    pub fn set_forget_doorbell(&self, forget: impl Fn(RawFd) + Send + Sync + 'static) {
        // One front end a process; a second would find the first one's.
        if self.forget_doorbell.set(Box::new(forget)).is_err() {
            tracing::error!("doorbells are set twice");
        }
    }
}

/// One queue of the NIC.
struct QueueService {
    nic: Arc<Nic>,
    queue: QueueId,
}

impl Service for QueueService {
    fn name(&self) -> &'static str {
        self.queue.name()
    }

    fn enter(&self, Layout { size, desc, avail, used, base, event_idx }: Layout) {
        let nic = &self.nic;
        tracing::info!(queue = self.queue.name(), size, base, "enters service");
        let rings = Rings { size, desc, avail, used, base, event_idx };
        match self.queue {
            QueueId::Tx0 => {
                let mut state = nic.tx.lock();
                state.mark("enters service", json!({ "size": size, "base": base }));
                let turn = state.queue.enter(&*nic.memory(), nic.clock.now(), &rings);
                state.settle(&turn);
            }
            QueueId::Rx0 => {
                let mut state = nic.rx.lock();
                state.mark("enters service", json!({ "size": size, "base": base }));
                let turn = state.queue.enter(&*nic.memory(), nic.clock.now(), &rings);
                state.settle(&turn);
            }
        }
        nic.run(self.queue);
    }

    fn leave(&self) -> u16 {
        let nic = &self.nic;
        let left = match self.queue {
            QueueId::Tx0 => {
                let mut state = nic.tx.lock();
                let left = state.queue.leave(&*nic.memory(), nic.clock.now(), &mut &nic.ether);
                state.follow();
                state.signal(left.signal);
                state.mark("leaves service", json!({ "base": left.base }));
                left
            }
            QueueId::Rx0 => {
                let mut state = nic.rx.lock();
                let left = state.queue.leave(&*nic.memory(), nic.clock.now(), &mut &nic.ether);
                state.follow();
                state.signal(left.signal);
                state.mark("leaves service", json!({ "base": left.base }));
                left
            }
        };
        tracing::info!(queue = self.queue.name(), base = left.base, "leaves service");
        // Frames that left the wire just now may have come back.
        nic.run_rx();
        left.base
    }

    fn set_enabled(&self, enabled: bool) {
        let nic = &self.nic;
        match self.queue {
            QueueId::Tx0 => nic.tx.lock().queue.set_enabled(enabled),
            QueueId::Rx0 => nic.rx.lock().queue.set_enabled(enabled),
        }
        nic.run(self.queue);
    }

    fn set_call(&self, call: Option<EventNotifier>) {
        match self.queue {
            QueueId::Tx0 => self.nic.tx.lock().call = call,
            QueueId::Rx0 => self.nic.rx.lock().call = call,
        }
    }

    fn doorbell_failed(&self, error: io::Error) {
        tracing::warn!(queue = self.queue.name(), %error, "the front end's doorbell cannot be read");
        self.nic.stop.ask("the front end passed an invalid doorbell descriptor");
    }

    fn rung(&self) {
        self.nic.rung(self.queue);
    }

    fn doorbell_replaced(&self, old: RawFd) {
        if let Some(forget) = self.nic.forget_doorbell.get() {
            forget(old);
        }
    }
}
