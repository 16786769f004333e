//! A receive queue: frames that wait, the one that is being written into a buffer, and CANCEL, which
//! returns the posted buffers.

use std::collections::VecDeque;
use std::time::Duration;

use cancelnic_registers::{
    Caps, CommandResult, CommandWord, Direction, NET_HEADER_SIZE, Op, RX_RETURNED, State,
};
use vm_memory::GuestMemory;

use crate::chain::{self, Buffers};
use crate::control::Control;
use crate::gate::Gate;
use crate::service::{Service, WORK_PER_RUN};
use crate::{Broken, Judge, Left, Rings, Rule, RxCounts, RxSnapshot, StatusRegister, Turn, Wire};

/// `virtio_net_hdr` of every received frame: nothing but num_buffers = 1 (virtio 1.3 section 5.1.6.4).
const HEADER: [u8; NET_HEADER_SIZE] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// What a receive queue is made with.
#[derive(Debug, Clone)]
pub struct RxSettings {
    /// The queue's pair: its number among the receive queues.
    pub pair: usize,
    /// Frames that may wait for buffers; more are dropped.
    pub pending_limit: usize,
    /// What the device can do; without RX_CANCEL that command is refused.
    pub caps: Caps,
}

/// One receive queue. See the [crate] for its life; it is the same as a transmit queue's.
#[derive(Debug)]
pub struct RxQueue {
    settings: RxSettings,
    service: Service,
    control: Control,
    enabled: bool,
    rx_write: Gate,
    pending: VecDeque<Vec<u8>>,
    writing: Option<Writing>,
    /// Heads of buffers that CANCEL took back and that wait for the half-written frame before them;
    /// `None` if the head is unknown.
    returning: VecDeque<Option<u16>>,
    totals: Totals,
    refused_now: u64,
    broke_now: Option<Broken>,
    /// Descriptors looked at since `run` asked last.
    walked: usize,
    judge: Judge,
}

/// A frame whose header and first half are in its buffer.
#[derive(Debug)]
struct Writing {
    head: u16,
    buffers: Buffers,
    frame: Vec<u8>,
    half: usize,
}

#[derive(Debug, Default)]
struct Totals {
    completed: u64,
    received: u64,
    returned: u64,
    refused: u64,
    dropped: u64,
}

impl RxQueue {
    /// A queue out of service, not enabled, its gate open, no frame waiting.
    pub fn new(settings: RxSettings) -> RxQueue {
        RxQueue {
            control: Control::new(settings.caps.rx_cancel(), false),
            settings,
            service: Service::Out { base: 0 },
            enabled: false,
            rx_write: Gate::default(),
            pending: VecDeque::new(),
            writing: None,
            returning: VecDeque::new(),
            totals: Totals::default(),
            refused_now: 0,
            broke_now: None,
            walked: 0,
            judge: Judge::new(Direction::Rx),
        }
    }

    /// What the driver did that it must not.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// Turns the judge on, as it is at first, or off. To be called out of service.
    pub fn set_judged(&mut self, on: bool) {
        self.judge.set(on);
    }

    /// The driver has done something else that it must not, seen elsewhere.
    pub fn note(&mut self, rule: Rule, now: Duration) {
        self.judge.at(now);
        self.judge.note(rule, None);
    }

    /// The driver has rung the queue's doorbell. For the judge only: [`RxQueue::run`] comes afterwards.
    pub fn rung<M: GuestMemory>(&mut self, memory: &M, now: Duration) {
        self.judge.at(now);
        let arms = self.service.ring().map_or(0, |ring| ring.arms());
        self.judge.rung(memory, arms);
    }

    /// Lets the judge look at the ring. Changes nothing else.
    pub fn look<M: GuestMemory>(&mut self, memory: &M, now: Duration) {
        self.judge.at(now);
        let running = self.control.state() == State::Running && self.service.broken().is_none();
        let armed = self.service.ring().and_then(|ring| ring.armed());
        self.judge.look(memory, running, armed, self.enabled);
    }

    /// The queue's status register.
    pub fn status(&self) -> StatusRegister {
        self.control.register()
    }

    /// Enters service. Base 0 begins a new life: RUNNING, and frames that waited are dropped. Any other
    /// base goes on where the queue left.
    pub fn enter<M: GuestMemory>(&mut self, memory: &M, now: Duration, rings: &Rings) -> Turn {
        self.writing = None;
        self.returning.clear();
        if rings.base == 0 {
            let lost = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
            self.totals.dropped = self.totals.dropped.saturating_add(lost);
            self.pending.clear();
            self.control.begin_new_life();
        }
        self.broke_now = self.service.enter(memory, rings);
        self.judge.at(now);
        if self.broke_now.is_none() {
            self.judge.entered(memory, rings);
        }
        Turn { again: true, ..self.turn(memory) }
    }

    /// Leaves service. Before it returns, gate notwithstanding, a half-written frame is completed and a
    /// cancel in progress finished whole. Harmless if not in service.
    pub fn leave<M: GuestMemory, W: Wire>(&mut self, memory: &M, now: Duration, wire: &mut W) -> Left {
        self.look(memory, now);
        let busy = self.writing.as_ref().map(|writing| writing.head);
        self.finish_write(memory, now, wire);
        while self.return_next(memory) {}
        self.settle(memory);
        let signal = self.turn(memory).signal;
        let base = self.service.leave(0);
        self.judge.left(memory, base, busy);
        Left { base, signal }
    }

    /// Whether the queue may receive. What it owes is done in any case. Call [`RxQueue::run`] afterwards.
    pub fn set_enabled(&mut self, enabled: bool) {
        if !enabled {
            self.judge.deaf();
        }
        self.enabled = enabled;
    }

    /// Opens or closes the gate in the middle of writing a frame. Call [`RxQueue::run`] afterwards.
    pub fn set_gate(&mut self, open: bool) {
        self.rx_write.set(open);
    }

    /// Lets `count` half-written frames through a closed gate. Call [`RxQueue::run`] afterwards.
    pub fn step_gate(&mut self, count: u64) {
        self.rx_write.step(count);
    }

    /// A frame (without header) arrives for the guest. False if there was no room for it to wait and it is
    /// dropped. Call [`RxQueue::run`] afterwards. Frames wait out of service, too.
    pub fn inject(&mut self, frame: Vec<u8>) -> bool {
        if self.room() == 0 {
            self.count_dropped();
            return false;
        }
        self.pending.push_back(frame);
        true
    }

    /// Frames that can still be injected without a loss.
    pub fn room(&self) -> usize {
        self.settings.pending_limit.saturating_sub(self.pending.len())
    }

    /// Frames received and buffers returned, as [`RxQueue::snapshot`] has them, without a look at the guest's memory.
    pub fn counts(&self) -> RxCounts {
        RxCounts { received: self.totals.received, returned: self.totals.returned }
    }

    /// Carries out the command in `word`, which [`ConfigSpace::write`](crate::ConfigSpace::write) found for
    /// this queue, and publishes the status word. Costs at most the buffers returned; nothing is received
    /// here.
    pub fn command<M: GuestMemory>(&mut self, memory: &M, now: Duration, word: CommandWord) -> Turn {
        self.look(memory, now);
        let op = self.control.take(word, self.service.health());
        match op {
            Some(Op::Cancel) => self.cancel(memory),
            Some(Op::Drain) => self.control.drain(),
            Some(Op::Resume) => {
                self.judge.cancel_ends(memory);
                self.control.resume();
            }
            None => {}
        }
        while self.return_next(memory) {}
        self.settle(memory);
        self.control.publish();
        Turn { again: true, ..self.turn(memory) }
    }

    /// Takes back every buffer available at this moment, but for the one that is being written.
    fn cancel<M: GuestMemory>(&mut self, memory: &M) {
        let Some(ring) = self.service.source() else { return };
        let size = ring.size();
        let returning = &mut self.returning;
        let mut taken: usize = 0;
        let all = ring.take_all(memory, |chain| {
            let head = Some(chain.head_index()).filter(|head| *head < size);
            if head.is_some() {
                taken = taken.saturating_add(1);
            }
            returning.push_back(head);
        });
        match all {
            Ok(()) => {
                self.judge.cancelled(ring.next_index());
                self.control.cancel(taken);
            }
            Err(why) => {
                self.mark_broken(why);
                self.control.refuse(CommandResult::Broken);
            }
        }
    }

    /// Does what there is to do at `now`: writes frames into buffers, completes, returns. A few hundred
    /// chains at most: see [`Turn::again`]. `wire` is told of every frame delivered.
    pub fn run<M: GuestMemory, W: Wire>(&mut self, memory: &M, now: Duration, wire: &mut W) -> Turn {
        self.look(memory, now);
        let mut moved = self.service.is_in();
        let mut work: usize = 0;
        while moved && work < WORK_PER_RUN {
            moved = (self.writing.is_some() && self.rx_write.pass() && self.finish_write(memory, now, wire))
                | self.return_next(memory)
                | self.settle(memory)
                | self.begin_write(memory);
            work = work.saturating_add(std::mem::take(&mut self.walked)).saturating_add(1);
        }
        self.control.publish();
        Turn { again: moved, ..self.turn(memory) }
    }

    /// How the queue stands. Reads the available index if the queue is in service.
    pub fn snapshot<M: GuestMemory>(&self, memory: &M) -> RxSnapshot {
        RxSnapshot {
            in_service: self.service.is_in(),
            enabled: self.enabled,
            broken: self.service.broken().is_some(),
            status: self.control.register().read(),
            posted: self.service.available(memory),
            pending: self.pending.len().try_into().unwrap_or(u64::MAX),
            writing: self.writing.is_some(),
            completed: self.totals.completed,
            received: self.totals.received,
            returned: self.totals.returned,
            refused: self.totals.refused,
            dropped: self.totals.dropped,
            cancels: self.control.cancels(),
            rx_write: self.rx_write.snapshot(),
        }
    }

    /// Writes header and first half of the next frame, if there are a frame and a buffer and it may.
    fn begin_write<M: GuestMemory>(&mut self, memory: &M) -> bool {
        let may = self.control.state() == State::Running && self.enabled && self.writing.is_none();
        let Some(next) = self.pending.front().filter(|_| may) else { return false };
        let needed = next.len().saturating_add(NET_HEADER_SIZE);
        let Some(ring) = self.service.source() else { return false };
        let (size, index) = (ring.size(), ring.next_index());
        let chain = match ring.take(memory) {
            Ok(Some(chain)) => chain,
            Ok(None) => match ring.ask_for_doorbell(memory) {
                Ok(came) => return came,
                Err(why) => return self.mark_broken(why),
            },
            Err(why) => return self.mark_broken(why),
        };
        let head = chain.head_index();
        if !ring.knows(head) {
            ring.skip();
            self.judge.note(Rule::MalformedChain, None);
            self.count_refused();
            return true;
        }
        self.judge.taken(memory, index);
        let Ok(buffers) = chain::receive_buffers(memory, size, chain, &mut self.walked) else {
            self.refuse(memory, head);
            return true;
        };
        if buffers.len() < needed {
            // The buffer is good for a shorter frame.
            ring.put_back();
            self.pending.pop_front();
            self.count_dropped();
            return true;
        }
        let Some(frame) = self.pending.pop_front() else { return false };
        self.judge.check(memory, head, Rule::BufferChanged);
        let half = frame.len() >> 1;
        let first = frame.split_at_checked(half).map_or(&frame[..], |(first, _)| first);
        let written =
            buffers.write(memory, 0, &HEADER).and_then(|()| buffers.write(memory, NET_HEADER_SIZE, first));
        match written {
            Ok(()) => {
                self.judge.wrote(memory, head);
                self.writing = Some(Writing { head, buffers, frame, half });
            }
            Err(_) => {
                self.count_dropped();
                self.refuse(memory, head);
            }
        }
        true
    }

    /// Writes the rest of the frame that is half written, and its used element.
    fn finish_write<M: GuestMemory, W: Wire>(&mut self, memory: &M, now: Duration, wire: &mut W) -> bool {
        let Some(Writing { head, buffers, frame, half }) = self.writing.take() else { return false };
        self.judge.check(memory, head, self.touch());
        let rest = frame.get(half..).unwrap_or(&[]);
        let skip = half.saturating_add(NET_HEADER_SIZE);
        if buffers.write(memory, skip, rest).is_err() {
            self.count_dropped();
            self.refuse(memory, head);
            return true;
        }
        let len = u32::try_from(frame.len().saturating_add(NET_HEADER_SIZE)).unwrap_or(u32::MAX);
        wire.delivered(self.settings.pair, frame, now);
        if self.write_used(memory, head, len) {
            self.totals.received = self.totals.received.saturating_add(1);
        } else {
            self.count_dropped();
        }
        true
    }

    /// Returns the next buffer that CANCEL took back, once nothing before it is outstanding.
    fn return_next<M: GuestMemory>(&mut self, memory: &M) -> bool {
        if self.writing.is_some() {
            return false;
        }
        match self.returning.pop_front() {
            None => return false,
            Some(None) => {
                if let Some(ring) = self.service.ring() {
                    ring.skip();
                }
                self.count_refused();
            }
            Some(Some(head)) => {
                self.judge.check(memory, head, Rule::ReceiveBufferTouched);
                if self.write_used(memory, head, RX_RETURNED) {
                    self.totals.returned = self.totals.returned.saturating_add(1);
                }
            }
        }
        true
    }

    /// What it is when the driver writes into a buffer that the device owns.
    fn touch(&self) -> Rule {
        match self.control.state() {
            State::Cancelling => Rule::ReceiveBufferTouched,
            State::Running | State::Draining | State::Stopped => Rule::BufferChanged,
        }
    }

    fn refuse<M: GuestMemory>(&mut self, memory: &M, head: u16) {
        self.judge.note(Rule::MalformedChain, Some(head));
        self.write_used(memory, head, RX_RETURNED);
        self.count_refused();
    }

    fn write_used<M: GuestMemory>(&mut self, memory: &M, head: u16, len: u32) -> bool {
        let Some(ring) = self.service.ring() else { return false };
        self.judge.completes(memory, head, len);
        match ring.complete(memory, head, len) {
            Ok(()) => {
                self.totals.completed = self.totals.completed.saturating_add(1);
                true
            }
            Err(why) => self.mark_broken(why),
        }
    }

    fn count_refused(&mut self) {
        self.totals.refused = self.totals.refused.saturating_add(1);
        self.refused_now = self.refused_now.saturating_add(1);
    }

    fn count_dropped(&mut self) {
        self.totals.dropped = self.totals.dropped.saturating_add(1);
    }

    fn settle<M: GuestMemory>(&mut self, memory: &M) -> bool {
        if self.writing.is_some() || !self.returning.is_empty() {
            return false;
        }
        self.judge.cancel_ends(memory);
        self.control.settle()
    }

    fn mark_broken(&mut self, why: Broken) -> bool {
        if why == Broken::Index {
            self.judge.note(Rule::AvailableRanAhead, None);
        }
        self.broke_now = self.service.mark_broken(why).or(self.broke_now);
        false
    }

    fn turn<M: GuestMemory>(&mut self, memory: &M) -> Turn {
        let wanted = self.service.ring().is_some_and(|ring| ring.wants_interrupt(memory));
        Turn {
            signal: self.control.tell() | wanted,
            again: false,
            deadline: None,
            refused: std::mem::take(&mut self.refused_now),
            broke: self.broke_now.take(),
        }
    }
}
