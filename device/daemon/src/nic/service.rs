//! The queues as the front end starts, stops and enables them.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use cancelnic_model::Rings;
use cancelnic_registers::Direction;
use serde_json::json;

use super::Nic;
use super::slot::{Slot, State};
use crate::front_end::Service;

impl Nic {
    /// What the front end's requests are carried out on, one for each queue by number.
    pub(crate) fn services(self: Arc<Nic>) -> Vec<Arc<dyn Service>> {
        let service = |slot: &Arc<Slot>| {
            Arc::new(QueueService { nic: self.clone(), slot: slot.clone() }) as Arc<dyn Service>
        };
        self.queues.iter().map(service).collect()
    }
}

/// One queue of the NIC.
struct QueueService {
    nic: Arc<Nic>,
    slot: Arc<Slot>,
}

impl Service for QueueService {
    fn name(&self) -> &'static str {
        self.slot.id().name()
    }

    fn enter(&self, rings: Rings) {
        let Self { nic, slot } = self;
        let Rings { size, base, .. } = rings;
        tracing::info!(queue = self.name(), size, base, "enters service");
        if self.slot.id().direction() == Direction::Rx
            && let Some(outside) = nic.outside()
        {
            outside.begin();
        }
        let mut state = slot.lock();
        state.mark("enters service", json!({ "size": size, "base": base }));
        let turn = state.queue.enter(&*nic.memory(), nic.clock.now(), &rings);
        state.deliver(&turn);
        nic.run_briefly(state);
    }

    fn leave(&self) -> u16 {
        let Self { nic, slot } = self;
        let mut state = slot.lock();
        let left = {
            let State { queue, hand, .. } = &mut *state;
            queue.leave(&*nic.memory(), nic.clock.now(), &mut nic.ether.line(hand))
        };
        state.exchange(&nic.ether);
        state.follow();
        state.signal(left.signal);
        state.mark("leaves service", json!({ "base": left.base }));
        tracing::info!(queue = self.name(), base = left.base, "leaves service");
        drop(state);
        // Frames that left the wire just now may have come back.
        nic.run_later();
        left.base
    }

    fn set_enabled(&self, enabled: bool) {
        let mut state = self.slot.lock();
        state.queue.set_enabled(enabled);
        self.nic.run_briefly(state);
    }

    fn set_call(&self, call: Option<OwnedFd>) {
        self.slot.lock().call = call;
    }

    fn doorbell(&self) {
        self.nic.doorbell(self.slot.id());
    }

    fn run(&self) {
        self.nic.run(self.slot.id());
    }

    fn doorbell_failed(&self, error: io::Error) {
        tracing::warn!(queue = self.name(), %error, "the front end's doorbell cannot be read");
        self.nic.stop.ask("the front end passed an invalid doorbell descriptor");
    }
}
