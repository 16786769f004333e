//! A transmit queue: `available -> fetched -> on the wire -> off the wire -> completed`, and CANCEL, which
//! takes back whatever is not yet on the wire.

use std::collections::VecDeque;
use std::time::Duration;

use cancelnic_registers::{Caps, CommandResult, CommandWord, Direction, Op, State, TxOutcome};
use virtio_queue::DescriptorChain;
use vm_memory::GuestMemory;

use crate::chain;
use crate::control::Control;
use crate::gate::Gate;
use crate::link::Grant;
use crate::service::{Service, WORK_PER_RUN};
use crate::{Broken, Judge, Left, Link, Rings, Rule, StatusRegister, Turn, TxCounts, TxSnapshot, Wire};

/// What a transmit queue is made with.
#[derive(Debug, Clone)]
pub struct TxSettings {
    /// The queue's pair: its number among the transmit queues.
    pub pair: usize,
    /// Chains that it holds between ring and wire, at least 1.
    pub fifo_depth: u16,
    /// What the device can do; without TX_CANCEL or TX_DRAIN that command is refused.
    pub caps: Caps,
    /// The link, one for all transmit queues.
    pub link: Link,
}

/// A place where a transmit queue can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TxGate {
    /// Between available ring and FIFO.
    Fetch,
    /// Between FIFO and wire.
    Wire,
    /// Between wire and used ring. Chains taken back or refused, which have no business with the wire, pass.
    Complete,
}

/// One transmit queue. See the [crate] for its life.
#[derive(Debug)]
pub struct TxQueue {
    settings: TxSettings,
    service: Service,
    control: Control,
    enabled: bool,
    fetch: Gate,
    wire: Gate,
    complete: Gate,
    /// When the wire gate was touched last: nothing behind it got on the wire before.
    wire_gate_at: Duration,
    /// In the order of the available ring: these, then the one on the wire, then those waiting.
    off_wire: VecDeque<Chain<TxOutcome>>,
    on_wire: Option<Chain<OnWire>>,
    waiting: VecDeque<Chain<Waiting>>,
    /// When the wire took a frame out of a full FIFO: the next chain is fetched at that time.
    slot_free_at: Option<Duration>,
    /// The wire is in use or somebody else's turn until then.
    wire_free_at: Option<Duration>,
    /// A drain was interrupted by leaving service: chains to fetch once more.
    owed_to_drain: u16,
    totals: Totals,
    refused_now: u64,
    broke_now: Option<Broken>,
    /// Descriptors looked at since `run` asked last.
    walked: usize,
    judge: Judge,
}

/// A chain taken from the available ring; `head` is `None` if it named no descriptor of the table, so that
/// no used element can be written.
#[derive(Debug)]
struct Chain<T> {
    head: Option<u16>,
    what: T,
}

#[derive(Debug)]
enum Waiting {
    Frame {
        bytes: Vec<u8>,
        since: Duration,
    },
    /// Taken back or refused, and only waiting for its place in the used ring.
    Settled(TxOutcome),
}

#[derive(Debug)]
struct OnWire {
    bytes: Vec<u8>,
    end: Duration,
}

/// Reads frames that are taken back from the available ring, as many as an honest ring can hold: a command is to cost
/// no more than the chains that it takes back.
struct Reader {
    descriptors: usize,
    bytes: usize,
}

/// Bytes that one cancel reads at most; a ring of 1024 frames of 1514 bytes has a tenth of it.
const MOST_READ: usize = 16 << 20;

impl Reader {
    /// For a ring of that size: as many descriptors as its table has.
    fn new(ring: u16) -> Self {
        Self { descriptors: ring.into(), bytes: MOST_READ }
    }

    /// The frame; `None` if the chain is malformed or there is too much to read.
    fn read<M: GuestMemory>(&mut self, memory: &M, ring: u16, chain: DescriptorChain<&M>) -> Option<Vec<u8>> {
        if self.descriptors == 0 || self.bytes == 0 {
            return None;
        }
        let mut walked = 0;
        let frame = chain::read_frame(memory, ring, chain, &mut walked).ok();
        self.descriptors = self.descriptors.saturating_sub(walked);
        self.bytes = self.bytes.saturating_sub(frame.as_ref().map_or(0, Vec::len));
        frame
    }
}

#[derive(Debug, Default)]
struct Totals {
    completed: u64,
    sent: u64,
    taken_back: u64,
    refused: u64,
}

impl TxQueue {
    /// A queue out of service, not enabled, all gates open.
    pub fn new(settings: TxSettings) -> TxQueue {
        TxQueue {
            control: Control::new(settings.caps.tx_cancel(), settings.caps.tx_drain()),
            settings,
            service: Service::Out { base: 0 },
            enabled: false,
            fetch: Gate::default(),
            wire: Gate::default(),
            complete: Gate::default(),
            wire_gate_at: Duration::ZERO,
            off_wire: VecDeque::new(),
            on_wire: None,
            waiting: VecDeque::new(),
            slot_free_at: None,
            wire_free_at: None,
            owed_to_drain: 0,
            totals: Totals::default(),
            refused_now: 0,
            broke_now: None,
            walked: 0,
            judge: Judge::new(Direction::Tx),
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

    /// The driver has rung the queue's doorbell. For the judge only: [`TxQueue::run`] comes afterwards.
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

    /// Enters service. Base 0 begins a new life: RUNNING. Any other base goes on where the queue left.
    /// A queue already in service forgets what it held: [`TxQueue::leave`] first.
    pub fn enter<M: GuestMemory>(&mut self, memory: &M, now: Duration, rings: &Rings) -> Turn {
        self.forget();
        if rings.base == 0 {
            self.owed_to_drain = 0;
            self.control.begin_new_life();
        }
        self.broke_now = self.service.enter(memory, rings);
        self.judge.at(now);
        if self.broke_now.is_none() {
            self.judge.entered(memory, rings);
        }
        Turn { again: true, ..self.turn(memory) }
    }

    /// Leaves service. Before it returns, gates and wire time notwithstanding, frames on or off the wire
    /// are completed, a cancel in progress is finished whole, and fetched chains are dropped: they are
    /// available again at the base returned (a drain in progress then fetches and sends just these before
    /// it ends). A shared wire stays taken until the frame's time is over: no other queue is told of this.
    /// Harmless if not in service.
    pub fn leave<M: GuestMemory, W: Wire>(&mut self, memory: &M, now: Duration, wire: &mut W) -> Left {
        self.look(memory, now);
        let busy = self.oldest_frame();
        if let Some(frame) = &mut self.on_wire {
            frame.what.end = frame.what.end.min(now);
        }
        self.leave_wire(now, wire);
        self.pass_by();
        while let Some(chain) = self.off_wire.pop_front() {
            self.write_used(memory, chain);
        }
        let dropped = self.waiting.len();
        if self.control.state() == State::Draining {
            let again = u16::try_from(dropped).unwrap_or(u16::MAX);
            self.owed_to_drain = self.owed_to_drain.saturating_add(again);
        }
        self.forget();
        self.settle(memory);
        let signal = self.turn(memory).signal;
        let base = self.service.leave(dropped);
        self.judge.left(memory, base, busy);
        Left { base, signal }
    }

    /// Whether the queue may fetch. What it owes is done in any case. Call [`TxQueue::run`] afterwards.
    pub fn set_enabled(&mut self, enabled: bool) {
        if !enabled {
            self.judge.deaf();
        }
        self.enabled = enabled;
    }

    /// Opens or closes a gate. Call [`TxQueue::run`] afterwards.
    pub fn set_gate(&mut self, gate: TxGate, open: bool, now: Duration) {
        self.touch(gate, now).set(open);
    }

    /// Lets `count` pieces through a closed gate. Call [`TxQueue::run`] afterwards.
    pub fn step_gate(&mut self, gate: TxGate, count: u64, now: Duration) {
        self.touch(gate, now).step(count);
    }

    fn touch(&mut self, gate: TxGate, now: Duration) -> &mut Gate {
        match gate {
            TxGate::Fetch => &mut self.fetch,
            TxGate::Wire => {
                self.wire_gate_at = now;
                &mut self.wire
            }
            TxGate::Complete => &mut self.complete,
        }
    }

    /// Frames that wait for the wire, frames sent and frames taken back, as [`TxQueue::snapshot`] has them, without a
    /// look at the guest's memory.
    pub fn counts(&self) -> TxCounts {
        TxCounts { fetched: self.fetched(), sent: self.totals.sent, taken_back: self.totals.taken_back }
    }

    fn fetched(&self) -> u64 {
        let frames = self.waiting.iter().filter(|chain| matches!(chain.what, Waiting::Frame { .. })).count();
        frames.try_into().unwrap_or(u64::MAX)
    }

    /// Carries out the command in `word`, which [`ConfigSpace::write`](crate::ConfigSpace::write) found for
    /// this queue, and publishes the status word. Costs at most the chains taken back: nothing is fetched
    /// and nothing new gets on the wire here.
    pub fn command<M: GuestMemory, W: Wire>(
        &mut self,
        memory: &M,
        now: Duration,
        word: CommandWord,
        wire: &mut W,
    ) -> Turn {
        self.look(memory, now);
        // What has left by now is beyond recall.
        self.leave_wire(now, wire);
        let op = self.control.take(word, self.service.health());
        match op {
            Some(Op::Cancel) => self.cancel(memory, now, wire),
            Some(Op::Drain) => self.control.drain(),
            Some(Op::Resume) => {
                self.judge.cancel_ends(memory);
                self.control.resume();
            }
            None => {}
        }
        self.pass_by();
        while self.complete_next(memory) {}
        self.settle(memory);
        self.control.publish();
        Turn { again: true, ..self.turn(memory) }
    }

    /// Takes back every frame that is not yet on the wire and every chain available at this moment.
    fn cancel<M: GuestMemory, W: Wire>(&mut self, memory: &M, now: Duration, wire: &mut W) {
        let pair = self.settings.pair;
        let mut taken: usize = 0;
        // While a cancel is under way no frame waits.
        if self.control.state() != State::Cancelling {
            for chain in &mut self.waiting {
                if let Waiting::Frame { bytes, .. } = &mut chain.what {
                    wire.taken_back(pair, Some(std::mem::take(bytes)), now);
                    chain.what = Waiting::Settled(TxOutcome::TakenBack);
                    taken = taken.saturating_add(1);
                }
            }
        }
        let Some(ring) = self.service.source() else { return };
        let size = ring.size();
        let waiting = &mut self.waiting;
        let mut reader = wire.wants_taken_back().then(|| Reader::new(size));
        let all = ring.take_all(memory, |chain| {
            let head = Some(chain.head_index()).filter(|head| *head < size);
            if head.is_some() {
                taken = taken.saturating_add(1);
                if let Some(reader) = &mut reader {
                    wire.taken_back(pair, reader.read(memory, size, chain), now);
                }
            }
            waiting.push_back(Chain { head, what: Waiting::Settled(TxOutcome::TakenBack) });
        });
        match all {
            Ok(()) => {
                self.judge.cancelled(ring.next_index());
                self.owed_to_drain = 0;
                self.control.cancel(taken);
            }
            Err(why) => {
                self.mark_broken(why);
                self.control.refuse(CommandResult::Broken);
            }
        }
    }

    /// Does what there is to do at `now`: fetches, sends, completes. A few hundred chains at most: see
    /// [`Turn::again`].
    pub fn run<M: GuestMemory, W: Wire>(&mut self, memory: &M, now: Duration, wire: &mut W) -> Turn {
        self.look(memory, now);
        let mut moved = self.service.is_in();
        let mut work: usize = 0;
        while moved && work < WORK_PER_RUN {
            // Not short of each other: each step is to have its turn.
            moved = self.leave_wire(now, wire)
                | self.complete_next(memory)
                | self.enter_wire(now)
                | self.fetch_next(memory, now)
                | self.settle(memory);
            work = work.saturating_add(std::mem::take(&mut self.walked)).saturating_add(1);
        }
        self.control.publish();
        Turn { again: moved, ..self.turn(memory) }
    }

    /// How the queue stands. Reads the available index if the queue is in service.
    pub fn snapshot<M: GuestMemory>(&self, memory: &M) -> TxSnapshot {
        let off_wire = self.off_wire.iter().filter(|chain| chain.what == TxOutcome::Sent).count();
        TxSnapshot {
            in_service: self.service.is_in(),
            enabled: self.enabled,
            broken: self.service.broken().is_some(),
            status: self.control.register().read(),
            available: self.service.available(memory),
            fetched: self.fetched(),
            on_wire: self.on_wire.is_some().into(),
            off_wire: off_wire.try_into().unwrap_or(u64::MAX),
            completed: self.totals.completed,
            sent: self.totals.sent,
            taken_back: self.totals.taken_back,
            refused: self.totals.refused,
            cancels: self.control.cancels(),
            fetch: self.fetch.snapshot(),
            wire: self.wire.snapshot(),
            complete: self.complete.snapshot(),
        }
    }

    /// The frame on the wire leaves it, if its time has come.
    fn leave_wire<W: Wire>(&mut self, now: Duration, wire: &mut W) -> bool {
        let Some(Chain { head, what }) = self.on_wire.take_if(|frame| frame.what.end <= now) else {
            return false;
        };
        wire.transmit(self.settings.pair, what.bytes, what.end);
        self.off_wire.push_back(Chain { head, what: TxOutcome::Sent });
        true
    }

    /// The first waiting frame gets on the wire, if it may.
    fn enter_wire(&mut self, now: Duration) -> bool {
        self.wire_free_at = None;
        if self.on_wire.is_some() {
            return false;
        }
        let passed = self.pass_by();
        let Some(Chain { what: Waiting::Frame { bytes, since }, .. }) = self.waiting.front() else {
            return passed;
        };
        if !self.wire.lets_through() {
            self.settings.link.withdraw(self.settings.pair);
            return passed;
        }
        let ready = self.wire_gate_at.max(*since);
        match self.settings.link.acquire(self.settings.pair, bytes.len(), ready, now) {
            Grant::Wait { free_at } => {
                self.wire_free_at = Some(free_at);
                passed
            }
            Grant::OnWire { start, end } => {
                self.wire.pass();
                let was_full = self.waiting.len() >= usize::from(self.settings.fifo_depth);
                self.slot_free_at = was_full.then_some(start);
                if let Some(Chain { head, what: Waiting::Frame { bytes, .. } }) = self.waiting.pop_front() {
                    self.on_wire = Some(Chain { head, what: OnWire { bytes, end } });
                }
                true
            }
        }
    }

    /// What does not go over the wire goes past it, once everything before it has left.
    fn pass_by(&mut self) -> bool {
        let mut passed = false;
        while self.on_wire.is_none()
            && let Some(Chain { head, what: Waiting::Settled(outcome) }) = self.waiting.front()
        {
            self.off_wire.push_back(Chain { head: *head, what: *outcome });
            self.waiting.pop_front();
            passed = true;
        }
        passed
    }

    /// The next used element, if the gate lets it through.
    fn complete_next<M: GuestMemory>(&mut self, memory: &M) -> bool {
        let Some(next) = self.off_wire.front() else { return false };
        if next.what == TxOutcome::Sent && !self.complete.pass() {
            return false;
        }
        if let Some(chain) = self.off_wire.pop_front() {
            self.write_used(memory, chain);
        }
        true
    }

    fn write_used<M: GuestMemory>(&mut self, memory: &M, chain: Chain<TxOutcome>) {
        let Some(ring) = self.service.ring() else { return };
        let Some(head) = chain.head else {
            ring.skip();
            self.count_refused();
            return;
        };
        self.judge.check(memory, head, Rule::BufferChanged);
        self.judge.completes(memory, head, chain.what.used_len());
        if let Err(why) = ring.complete(memory, head, chain.what.used_len()) {
            self.mark_broken(why);
            return;
        }
        self.totals.completed = self.totals.completed.saturating_add(1);
        match chain.what {
            TxOutcome::Sent => self.totals.sent = self.totals.sent.saturating_add(1),
            TxOutcome::TakenBack => self.totals.taken_back = self.totals.taken_back.saturating_add(1),
            TxOutcome::Refused => self.count_refused(),
        }
    }

    fn count_refused(&mut self) {
        self.totals.refused = self.totals.refused.saturating_add(1);
        self.refused_now = self.refused_now.saturating_add(1);
    }

    /// Fetches the next chain, if there is one and it may.
    fn fetch_next<M: GuestMemory>(&mut self, memory: &M, now: Duration) -> bool {
        let may = match self.control.state() {
            State::Running => true,
            State::Draining => self.owed_to_drain > 0,
            State::Cancelling | State::Stopped => false,
        };
        let full = self.waiting.len() >= usize::from(self.settings.fifo_depth.max(1));
        if !may || !self.enabled || full {
            return false;
        }
        let slot_free_at = self.slot_free_at.take();
        if !self.fetch.lets_through() {
            return false;
        }
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
        self.fetch.pass();
        self.owed_to_drain = self.owed_to_drain.saturating_sub(1);
        let head = Some(chain.head_index()).filter(|head| *head < size);
        self.judge.taken(memory, index);
        let frame = chain::read_frame(memory, size, chain, &mut self.walked);
        let what = match frame {
            Ok(bytes) if head.is_some() => Waiting::Frame { bytes, since: slot_free_at.unwrap_or(now) },
            _ => {
                self.judge.note(Rule::MalformedChain, head);
                Waiting::Settled(TxOutcome::Refused)
            }
        };
        self.waiting.push_back(Chain { head, what });
        true
    }

    /// Ends a cancel or a drain when nothing is outstanding any more.
    fn settle<M: GuestMemory>(&mut self, memory: &M) -> bool {
        let outstanding = self.on_wire.is_some() || !self.off_wire.is_empty() || !self.waiting.is_empty();
        let owed = self.owed_to_drain > 0 && self.service.broken().is_none();
        if outstanding || owed {
            return false;
        }
        self.judge.cancel_ends(memory);
        self.control.settle()
    }

    /// The head of the frame that has been with the device for the longest time.
    fn oldest_frame(&self) -> Option<u16> {
        let sent = self.off_wire.iter().filter(|chain| chain.what == TxOutcome::Sent).map(|chain| chain.head);
        let waiting = self.waiting.iter().filter(|chain| matches!(chain.what, Waiting::Frame { .. }));
        let mut heads =
            sent.chain(self.on_wire.iter().map(|chain| chain.head)).chain(waiting.map(|chain| chain.head));
        heads.next().flatten()
    }

    fn mark_broken(&mut self, why: Broken) -> bool {
        if why == Broken::Index {
            self.judge.note(Rule::AvailableRanAhead, None);
        }
        self.broke_now = self.service.mark_broken(why).or(self.broke_now);
        false
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.on_wire = None;
        self.off_wire.clear();
        self.slot_free_at = None;
        self.wire_free_at = None;
        self.settings.link.withdraw(self.settings.pair);
    }

    fn turn<M: GuestMemory>(&mut self, memory: &M) -> Turn {
        let wanted = self.service.ring().is_some_and(|ring| ring.wants_interrupt(memory));
        if self.wire_free_at.is_some()
            && !matches!(self.waiting.front(), Some(Chain { what: Waiting::Frame { .. }, .. }))
        {
            self.wire_free_at = None;
            self.settings.link.withdraw(self.settings.pair);
        }
        Turn {
            signal: self.control.tell() | wanted,
            again: false,
            deadline: self.on_wire.as_ref().map(|frame| frame.what.end).or(self.wire_free_at),
            refused: std::mem::take(&mut self.refused_now),
            broke: self.broke_now.take(),
        }
    }
}
