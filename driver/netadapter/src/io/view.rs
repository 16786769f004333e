//! What the packet queues' callbacks last saw, for those who ask from outside.

use cancelnic_core::{counters::RxCounters, counters::TxCounters, watchdog::Side};
use cancelnic_ioctl::{
    Header,
    log::event,
    nic::{CancelEvent, Counters, Ring, RingSnapshot, RxCounts, TxCounts},
};
use cancelnic_mutants::Mutant;

use super::Interface;

/// Everything that is kept of both packet queues.
#[derive(Clone, Copy, Default)]
pub struct View {
    tx: TxCounts,
    rx: RxCounts,
    rings: [Ring; 2],
    cancels: u64,
    last: CancelEvent,
}

/// What one callback of a packet queue saw at its end.
#[derive(Clone, Copy)]
pub enum Observed {
    /// Of the transmit queue.
    Tx(TxCounters, Ring),
    /// Of the receive queue.
    Rx(RxCounters, Ring),
}

impl View {
    fn note(&mut self, observed: Observed) {
        match observed {
            Observed::Tx(c, ring) => {
                self.tx = TxCounts {
                    posted: c.posted,
                    sent: c.sent,
                    taken_back: c.taken_back,
                    never_posted: c.never_posted,
                    refused: c.refused,
                    lost: c.lost,
                };
                self.rings[0] = ring;
            }
            Observed::Rx(c, ring) => {
                self.rx = RxCounts {
                    posted: c.posted,
                    received: c.received,
                    returned_empty: c.returned_empty,
                    malformed: c.malformed,
                };
                self.rings[1] = ring;
            }
        }
    }

    fn cancelled(&mut self, side: Side) -> u64 {
        self.cancels += 1;
        self.last = CancelEvent {
            header: Header::of::<CancelEvent>(),
            number: self.cancels,
            queue: side as u32,
            outstanding: self.rings[side as usize].owned(),
            tx: self.tx,
            rx: self.rx,
        };
        self.cancels
    }
}

impl Interface {
    /// A callback of a packet queue is about to return. At most DISPATCH_LEVEL.
    pub fn observe(&self, observed: Observed) {
        self.view.with(|view| view.note(observed));
    }

    /// A packet queue's EvtCancel has done its work and been observed: whoever waits is told. At most DISPATCH_LEVEL.
    pub fn queue_cancelled(&self, side: Side) {
        let number = self.view.with(|view| view.cancelled(side));
        self.journal.note(event::CANCEL_EVENT, u32::MAX, 0, number);
        if !self.mutant.is(Mutant::ForgetsEvent) {
            self.tell_waiting();
        }
    }

    /// The last cancel, or the state of things if there was none.
    pub(super) fn last_event(&self) -> CancelEvent {
        self.view.with(|view| CancelEvent {
            header: Header::of::<CancelEvent>(),
            tx: if view.cancels == 0 { view.tx } else { view.last.tx },
            rx: if view.cancels == 0 { view.rx } else { view.last.rx },
            ..view.last
        })
    }

    pub(super) fn counters(&self) -> Counters {
        let waiting = self.waiting.count() as u64;
        self.view.with(|view| Counters {
            header: Header::of::<Counters>(),
            tx: view.tx,
            rx: view.rx,
            cancels: view.cancels,
            waiting,
        })
    }

    /// A side's packet ring, as after its queue's last callback. At most DISPATCH_LEVEL.
    pub fn ring(&self, side: Side) -> Ring {
        self.view.with(|view| view.rings[side as usize])
    }

    pub(super) fn rings(&self) -> RingSnapshot {
        self.view.with(|view| RingSnapshot {
            header: Header::of::<RingSnapshot>(),
            tx: view.rings[0],
            rx: view.rings[1],
        })
    }
}
