//! A packet queue: what the queues of both directions are made of and do in the same way. [`crate::tx`] and [`crate::rx`]
//! hold what differs.

use core::{
    array,
    ops::{Index, IndexMut},
};

use cancelnic_mutants::{Mutant, Shown};
use cancelnic_registers::{Caps, Direction, Op, QueueId};

use crate::{
    CancelForm, Fault, Outcome,
    command::CommandPort,
    counters::{Counters, StopLine},
    hardware::{Doorbell, Notify, Registers},
    outcome::Waiting,
    ring::Rings,
    signals::Signals,
    virtqueue::Virtqueue,
};

/// Queue pairs that the driver uses.
pub const PAIRS: u8 = 1;

/// The driver's queues, a pair's transmit queue before its receive queue.
pub fn all() -> impl Iterator<Item = QueueId> {
    QueueId::all(PAIRS).rev()
}

/// One value for each of the driver's queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerQueue<T>([T; 2 * PAIRS as usize]);

impl<T> PerQueue<T> {
    /// Each queue's value, in the order of the virtqueues.
    pub fn new(mut value: impl FnMut(QueueId) -> T) -> Self {
        let mut queues = QueueId::all(PAIRS);
        Self(array::from_fn(|_| {
            let Some(queue) = queues.next() else { unreachable!("two queues a pair") };
            value(queue)
        }))
    }

    /// The values, in the order of the virtqueues.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    /// The values themselves, in the order of the virtqueues.
    pub fn into_values(self) -> impl Iterator<Item = T> {
        self.0.into_iter()
    }
}

/// Panics for a queue that the driver does not use.
impl<T> Index<QueueId> for PerQueue<T> {
    type Output = T;

    fn index(&self, queue: QueueId) -> &T {
        &self.0[usize::from(queue.virtqueue())]
    }
}

impl<T> IndexMut<QueueId> for PerQueue<T> {
    fn index_mut(&mut self, queue: QueueId) -> &mut T {
        &mut self.0[usize::from(queue.virtqueue())]
    }
}

/// What all queues of a device work with.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the cancel block can do.
    pub caps: Caps,
    /// In which form EvtCancel gives elements back.
    pub form: CancelForm,
    /// Which mutant a test build shows.
    pub mutant: Shown,
}

/// One of the two directions, as a type: what only its queues do.
pub trait Flow: Sized {
    /// Its value.
    const DIRECTION: Direction;
    /// The mutant that loses this direction's notifications.
    const FORGETS_TO_NOTIFY: Mutant;
    /// What its queues count.
    type Counters: Counters;

    /// Whether EvtCancel takes packets back; if not, they drain.
    fn can_cancel(caps: Caps) -> bool;

    /// What the driver owns: packets, or fragments if there are more and the framework waits for them.
    fn owed(rings: &Rings) -> u32;

    /// The work of EvtAdvance.
    fn advance(
        queue: &mut Queue<'_, '_, Self>,
        registers: &impl Registers,
        doorbell: &impl Doorbell,
    ) -> Option<Fault>;

    /// What an armed queue looks at beside its used ring, in which there is `news` or not: whether there is work.
    ///
    /// # Errors
    /// The device must be given up.
    fn look_again(queue: &Queue<'_, '_, Self>, registers: &impl Registers, news: bool)
    -> Result<bool, Fault>;

    /// The work of EvtCancel.
    fn cancel(queue: &mut Queue<'_, '_, Self>, registers: &impl Registers) -> Option<Fault>;
}

/// A packet queue. Its methods are called from the callbacks of the same names, never two at a time.
pub struct Queue<'q, 'm, D: Flow> {
    pub(crate) virtqueue: Virtqueue<'m>,
    pub(crate) rings: Rings,
    pub(crate) signals: &'q Signals,
    pub(crate) port: CommandPort,
    id: QueueId,
    can_cancel: bool,
    pub(crate) form: CancelForm,
    pub(crate) mutant: Shown,
    /// EvtCancel came: the queue only empties.
    pub(crate) cancelled: bool,
    pub(crate) counters: D::Counters,
}

impl<'q, 'm, D: Flow> Queue<'q, 'm, D> {
    /// The queue of `pair` over `virtqueue`, which has nothing outstanding. `None` if the cancel block has no registers for
    /// it.
    #[must_use]
    pub fn new(
        pair: u8,
        virtqueue: Virtqueue<'m>,
        rings: Rings,
        signals: &'q Signals,
        options: Options,
    ) -> Option<Self> {
        let id = QueueId::new(D::DIRECTION, pair)?;
        let Options { caps, form, mutant } = options;
        Some(Self {
            virtqueue,
            rings,
            signals,
            port: CommandPort::new(id),
            id,
            can_cancel: D::can_cancel(caps),
            form,
            mutant,
            cancelled: false,
            counters: D::Counters::default(),
        })
    }

    /// Which queue this is.
    #[must_use]
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Counted since the queue was made.
    #[must_use]
    pub fn counters(&self) -> D::Counters {
        self.counters
    }

    /// What the driver owns: packets, or fragments if there are more and the framework waits for them.
    #[must_use]
    pub fn owed(&self) -> u32 {
        D::owed(&self.rings)
    }

    /// How the packet ring stands: its elements, BeginIndex, NextIndex, EndIndex. In the queue's callbacks only.
    #[must_use]
    pub fn packet_ring(&self) -> [u32; 4] {
        self.rings.packets.indices()
    }

    /// The queue ends; its virtqueue is free for another.
    #[must_use]
    pub fn into_virtqueue(self) -> Virtqueue<'m> {
        self.virtqueue
    }

    /// EvtStart, PASSIVE_LEVEL. The framework has set the rings' indices to 0; the virtqueue goes on where it was. Receive
    /// buffers are posted by the next [`Self::advance`].
    pub fn start(&mut self, registers: &impl Registers) -> Outcome {
        self.cancelled = false;
        if !self.can_cancel || self.signals.is_lost() || self.mutant.is(Mutant::ForgetsResume) {
            return Outcome::default();
        }
        let resumed = self.port.issue(registers, Op::Resume).and_then(|()| self.port.answer(registers));
        Outcome { fault: resumed.err(), ..Outcome::default() }
    }

    /// EvtAdvance, at most DISPATCH_LEVEL: returns what is finished, posts what is new; after EvtCancel it returns the rest
    /// as soon as that may go back.
    pub fn advance(&mut self, registers: &impl Registers, doorbell: &impl Doorbell) -> Outcome {
        let before = self.rings.packets.begin();
        let fault = D::advance(self, registers, doorbell);
        self.outcome(fault, self.rings.packets.begin() != before)
    }

    /// EvtSetNotificationEnabled(TRUE), at most DISPATCH_LEVEL: arms the interrupt, then looks once more at the used ring
    /// and at STATE, for what came meanwhile causes none.
    pub fn set_notification_enabled(&mut self, registers: &impl Registers, notify: &impl Notify) -> Outcome {
        self.signals.arm();
        let news = self.virtqueue.enable_interrupt();
        let looked = D::look_again(self, registers, news);
        let work = news || looked == Ok(true);
        if work && !self.mutant.is(D::FORGETS_TO_NOTIFY) && self.signals.take_armed() {
            notify.notify();
        }
        Outcome { fault: looked.err(), ..Outcome::default() }
    }

    /// EvtCancel, at most DISPATCH_LEVEL, without waiting: tells the device to take everything back, and returns what may
    /// go back at once. The rest comes back through [`Self::advance`].
    pub fn cancel(&mut self, registers: &impl Registers) -> Outcome {
        self.cancelled = true;
        let fault = D::cancel(self, registers);
        self.outcome(fault, true)
    }

    /// EvtStop, PASSIVE_LEVEL: nothing is outstanding. The glue calls [`Signals::disarm`] under its lock before this.
    #[must_use]
    pub fn stop(&mut self) -> StopLine<D::Counters> {
        debug_assert_eq!(self.owed(), 0, "stopped with packets outstanding");
        StopLine { queue: self.id, counters: self.counters }
    }

    /// EvtCancel came, and the device takes packets back: nothing more is posted.
    pub(crate) fn takes_back(&self) -> bool {
        self.cancelled && self.can_cancel
    }

    fn outcome(&self, fault: Option<Fault>, progress: bool) -> Outcome {
        let waiting = match (self.cancelled, self.owed()) {
            (true, 0) => Waiting::Ended,
            (true, _) if progress => Waiting::Began,
            _ => Waiting::Unchanged,
        };
        Outcome { fault, waiting }
    }
}
