//! What the packet queues' callbacks last saw, for those who ask from outside.

use cancelnic_core::{
    counters::{RxCounters, TxCounters},
    queue::PerQueue,
};
use cancelnic_ioctl::{
    Header,
    log::event,
    nic::{CancelEvent, Counters, Ring, RingSnapshot, RxCounts, TxCounts},
};
use cancelnic_mutants::Mutant;
use cancelnic_registers::QueueId;

use super::Interface;

/// Everything that is kept of the packet queues. The answers are about the first pair's.
#[derive(Clone, Copy, Default)]
pub(super) struct View {
    tx: TxCounts,
    rx: RxCounts,
    rings: PerQueue<Ring>,
    cancels: u64,
    last: CancelEvent,
}

/// A queue's counts as programs get them.
#[derive(Clone, Copy)]
pub(crate) enum Counts {
    /// Of a transmit queue.
    Tx(TxCounts),
    /// Of a receive queue.
    Rx(RxCounts),
}

impl From<TxCounters> for Counts {
    fn from(counters: TxCounters) -> Self {
        let TxCounters { posted, sent, taken_back, never_posted, refused, lost } = counters;
        Self::Tx(TxCounts { posted, sent, taken_back, never_posted, refused, lost })
    }
}

impl From<RxCounters> for Counts {
    fn from(counters: RxCounters) -> Self {
        let RxCounters { posted, received, returned_empty, malformed } = counters;
        Self::Rx(RxCounts { posted, received, returned_empty, malformed })
    }
}

impl View {
    fn note(&mut self, queue: QueueId, counts: Counts, ring: Ring) {
        self.rings[queue] = ring;
        if queue.pair() == 0 {
            match counts {
                Counts::Tx(counts) => self.tx = counts,
                Counts::Rx(counts) => self.rx = counts,
            }
        }
    }

    fn cancelled(&mut self, queue: QueueId) -> u64 {
        self.cancels += 1;
        self.last = CancelEvent {
            header: Header::of::<CancelEvent>(),
            number: self.cancels,
            queue: queue.direction() as u32 + 2 * u32::from(queue.pair()),
            outstanding: self.rings[queue].owned(),
            tx: self.tx,
            rx: self.rx,
        };
        self.cancels
    }
}

impl Interface {
    /// A callback of a packet queue is about to return. At most DISPATCH_LEVEL.
    pub(crate) fn observe(&self, queue: QueueId, counts: Counts, ring: Ring) {
        self.view.with(|view| view.note(queue, counts, ring));
    }

    /// A packet queue's EvtCancel has done its work and been observed: whoever waits is told. At most DISPATCH_LEVEL.
    pub(crate) fn queue_cancelled(&self, queue: QueueId) {
        let number = self.view.with(|view| view.cancelled(queue));
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

    /// A queue's packet ring, as after its last callback. At most DISPATCH_LEVEL.
    pub(crate) fn ring(&self, queue: QueueId) -> Ring {
        self.view.with(|view| view.rings[queue])
    }

    pub(super) fn rings(&self) -> RingSnapshot {
        self.view.with(|view| RingSnapshot {
            header: Header::of::<RingSnapshot>(),
            tx: view.rings[QueueId::TX0],
            rx: view.rings[QueueId::RX0],
        })
    }
}
