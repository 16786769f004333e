//! The transmit pipeline, `available -> fetched -> on the wire -> off the wire -> completed`, and CANCEL, which
//! takes back whatever is not yet on the wire.

use std::collections::VecDeque;
use std::time::Duration;

use cancelnic_registers::{CommandResult, QueueId, State, TxOutcome};
use vm_memory::GuestMemory;

use crate::base::{Base, count};
use crate::frame::{Frame, Pool};
use crate::link::Grant;
use crate::reader::Reader;
use crate::ring::RUN;
use crate::snapshot::Inside;
use crate::{Gate, GateState, Link, Rule, Settings, Speed, Wire};

#[derive(Debug)]
pub(crate) struct Transmit {
    id: QueueId,
    /// Chains that it holds between ring and wire.
    fifo_depth: usize,
    /// Bytes that a frame has at most.
    longest: usize,
    link: Link,
    /// Chains that a stage takes on at once. Where wire time passes between two frames it is one after the other.
    run: usize,
    /// Memory for frames.
    pool: Pool,
    fetch: GateState,
    wire: GateState,
    complete: GateState,
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
        frame: Frame,
        since: Duration,
    },
    /// Taken back or refused: it passes the wire by, and only waits for its place in the used ring.
    PassingBy(TxOutcome),
}

#[derive(Debug)]
struct OnWire {
    frame: Frame,
    end: Duration,
}

impl Transmit {
    pub(crate) fn new(id: QueueId, settings: &Settings) -> Transmit {
        let link = settings.link.clone();
        Transmit {
            id,
            fifo_depth: settings.fifo_depth.max(1).into(),
            longest: settings.longest,
            run: if link.speed() == Speed::Unlimited { RUN } else { 1 },
            link,
            pool: Pool::default(),
            fetch: GateState::default(),
            wire: GateState::default(),
            complete: GateState::default(),
            wire_gate_at: Duration::ZERO,
            off_wire: VecDeque::new(),
            on_wire: None,
            waiting: VecDeque::new(),
            slot_free_at: None,
            wire_free_at: None,
            owed_to_drain: 0,
        }
    }

    /// The queue enters service.
    pub(crate) fn enter(&mut self, _: &mut Base, new_life: bool) {
        self.forget();
        if new_life {
            self.owed_to_drain = 0;
        }
    }

    /// A step of every stage, from the last to the first: each makes room for the one before it. True if something
    /// moved.
    pub(crate) fn step<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        now: Duration,
        wire: &mut W,
    ) -> bool {
        // Not short of each other: each stage is to have its turn.
        self.leave_wire(now, wire)
            | self.complete_run(base, memory)
            | if self.run > 1 { self.cross_wire(now, wire) } else { self.enter_wire(now) }
            | self.fetch_run(base, memory, now, wire)
    }

    /// Fetches the next chains, if there are some and it may.
    fn fetch_run<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        now: Duration,
        wire: &mut W,
    ) -> bool {
        let may = match base.control.state() {
            State::Running => usize::MAX,
            State::Draining => self.owed_to_drain.into(),
            State::Cancelling | State::Stopped => 0,
        };
        let most = may.min(self.fifo_depth.saturating_sub(self.waiting.len())).min(self.run);
        if most == 0 || !base.enabled {
            return false;
        }
        let slot_free_at = self.slot_free_at.take();
        let most = most.min(self.fetch.lets_through());
        if most == 0 {
            return false;
        }
        let run = match base.take(memory, most) {
            Ok(run) => run,
            Err(moved) => return moved,
        };
        let mut left = run.len();
        let mut buffers = std::mem::take(&mut base.buffers);
        for head in run.heads() {
            if base.is_tired() {
                break;
            }
            left = left.saturating_sub(1);
            self.fetch.pass();
            self.owed_to_drain = self.owed_to_drain.saturating_sub(1);
            let mut frame = self.pool.take().unwrap_or_else(|| wire.memory(self.id, &mut self.pool));
            let read =
                head.map(|head| buffers.read_frame(memory, run.table(), head, &mut frame, &mut base.work));
            let what = match read {
                Some(Ok(())) if frame.len() > self.longest => {
                    // The judge knows the driver's MTU, and has named it.
                    base.copied(frame.len());
                    Waiting::PassingBy(TxOutcome::Refused)
                }
                Some(Ok(())) => {
                    base.copied(frame.len());
                    Waiting::Frame { frame, since: slot_free_at.unwrap_or(now) }
                }
                _ => {
                    self.pool.give(frame);
                    base.judge.note(Rule::MalformedChain, head);
                    Waiting::PassingBy(TxOutcome::Refused)
                }
            };
            self.waiting.push_back(Chain { head, what });
        }
        base.buffers = buffers;
        base.put_back(left);
        // The frames are near by now.
        base.judge.taken(memory, run.end());
        true
    }

    /// The first waiting frames cross a wire on which a frame takes no time, if they may.
    fn cross_wire<W: Wire>(&mut self, now: Duration, wire: &mut W) -> bool {
        let mut moved = false;
        for _ in 0..self.run {
            match self.waiting.front() {
                Some(Chain { what: Waiting::Frame { .. }, .. }) if !self.wire.pass() => break,
                Some(_) => {}
                None => break,
            }
            let Some(Chain { head, what }) = self.waiting.pop_front() else { break };
            let outcome = match what {
                Waiting::Frame { frame, .. } => {
                    self.transmit(frame, now, wire);
                    TxOutcome::Sent
                }
                Waiting::PassingBy(outcome) => outcome,
            };
            self.off_wire.push_back(Chain { head, what: outcome });
            moved = true;
        }
        moved
    }

    /// The last byte of `frame` has left.
    fn transmit<W: Wire>(&mut self, frame: Frame, at: Duration, wire: &mut W) {
        if let Some(memory) = wire.transmit(self.id, frame, at) {
            self.pool.give(memory);
        }
    }

    /// The first waiting frame gets on the wire, if it may.
    fn enter_wire(&mut self, now: Duration) -> bool {
        self.wire_free_at = None;
        if self.on_wire.is_some() {
            return false;
        }
        let passed = self.pass_by();
        let Some(Chain { what: Waiting::Frame { frame, since }, .. }) = self.waiting.front() else {
            return passed;
        };
        if self.wire.lets_through() == 0 {
            self.link.withdraw(self.id);
            return passed;
        }
        let ready = self.wire_gate_at.max(*since);
        match self.link.acquire(self.id, frame.len(), ready, now) {
            Grant::Wait { free_at } => {
                self.wire_free_at = Some(free_at);
                passed
            }
            Grant::OnWire { start, end } => {
                self.wire.pass();
                let was_full = self.waiting.len() >= self.fifo_depth;
                self.slot_free_at = was_full.then_some(start);
                if let Some(Chain { head, what: Waiting::Frame { frame, .. } }) = self.waiting.pop_front() {
                    self.on_wire = Some(Chain { head, what: OnWire { frame, end } });
                }
                true
            }
        }
    }

    /// What does not go over the wire goes past it, once everything before it has left.
    fn pass_by(&mut self) -> bool {
        let mut passed = false;
        while self.on_wire.is_none()
            && let Some(Chain { head, what: Waiting::PassingBy(outcome) }) = self.waiting.front()
        {
            self.off_wire.push_back(Chain { head: *head, what: *outcome });
            self.waiting.pop_front();
            passed = true;
        }
        passed
    }

    /// The frame on the wire leaves it, if its time has come.
    fn leave_wire<W: Wire>(&mut self, now: Duration, wire: &mut W) -> bool {
        let Some(Chain { head, what }) = self.on_wire.take_if(|frame| frame.what.end <= now) else {
            return false;
        };
        self.transmit(what.frame, what.end, wire);
        self.off_wire.push_back(Chain { head, what: TxOutcome::Sent });
        true
    }

    /// The next used elements, if the gate lets them through.
    fn complete_run<M: GuestMemory>(&mut self, base: &mut Base, memory: &M) -> bool {
        let mut moved = false;
        for _ in 0..self.run {
            if !self.complete_next(base, memory) {
                break;
            }
            moved = true;
        }
        moved
    }

    /// The next used element, if the gate lets it through.
    fn complete_next<M: GuestMemory>(&mut self, base: &mut Base, memory: &M) -> bool {
        let Some(next) = self.off_wire.front() else { return false };
        if next.what == TxOutcome::Sent && !self.complete.pass() {
            return false;
        }
        if let Some(chain) = self.off_wire.pop_front() {
            write_used(base, memory, chain);
        }
        true
    }

    /// Before a command: whatever has left the wire by now is off it.
    pub(crate) fn catch_up<W: Wire>(&mut self, now: Duration, wire: &mut W) {
        self.leave_wire(now, wire);
    }

    /// CANCEL: takes back every frame that is not yet on the wire and every chain available at this moment. How many.
    ///
    /// # Errors
    /// What the command is answered with instead.
    pub(crate) fn take_back<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        now: Duration,
        wire: &mut W,
    ) -> Result<usize, CommandResult> {
        let id = self.id;
        let mut taken: usize = 0;
        // While a cancel is under way no frame waits.
        if base.control.state() != State::Cancelling {
            for chain in &mut self.waiting {
                if let Waiting::Frame { frame, .. } = &mut chain.what {
                    wire.taken_back(id, Some(frame), now);
                    self.pool.give(std::mem::take(frame));
                    chain.what = Waiting::PassingBy(TxOutcome::TakenBack);
                    taken = taken.saturating_add(1);
                }
            }
        }
        let mut reader = wire.wants_taken_back().then(Reader::default);
        let waiting = &mut self.waiting;
        let available = base.take_all(memory, |table, head| {
            if let (Some(reader), Some(head)) = (&mut reader, head) {
                wire.taken_back(id, reader.read(memory, table, head), now);
            }
            waiting.push_back(Chain { head, what: Waiting::PassingBy(TxOutcome::TakenBack) });
        })?;
        self.owed_to_drain = 0;
        Ok(taken.saturating_add(available))
    }

    /// After a command: what may be completed is.
    pub(crate) fn complete<M: GuestMemory>(&mut self, base: &mut Base, memory: &M) {
        self.pass_by();
        while self.complete_next(base, memory) {}
    }

    /// The queue leaves service: frames on and off the wire are completed whatever gates and wire time hold, and what
    /// passes by as well; fetched chains are dropped. How many.
    pub(crate) fn wind_up<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        now: Duration,
        wire: &mut W,
    ) -> usize {
        if let Some(frame) = &mut self.on_wire {
            frame.what.end = frame.what.end.min(now);
        }
        self.leave_wire(now, wire);
        self.pass_by();
        while let Some(chain) = self.off_wire.pop_front() {
            write_used(base, memory, chain);
        }
        let dropped = self.waiting.len();
        if base.control.state() == State::Draining {
            let again = u16::try_from(dropped).unwrap_or(u16::MAX);
            self.owed_to_drain = self.owed_to_drain.saturating_add(again);
        }
        self.forget();
        dropped
    }

    fn forget(&mut self) {
        self.waiting.clear();
        self.on_wire = None;
        self.off_wire.clear();
        self.slot_free_at = None;
        self.wire_free_at = None;
        self.link.withdraw(self.id);
    }

    /// Whether nothing is outstanding that a cancel or a drain has to wait for.
    pub(crate) fn is_idle(&self, base: &Base) -> bool {
        let owed = self.owed_to_drain > 0 && base.service.broken().is_none();
        self.on_wire.is_none() && self.off_wire.is_empty() && self.waiting.is_empty() && !owed
    }

    /// When the wire will have something to do. A queue that does not wait for the wire any more gives up its turn.
    pub(crate) fn deadline(&mut self) -> Option<Duration> {
        let waits = matches!(self.waiting.front(), Some(Chain { what: Waiting::Frame { .. }, .. }));
        if self.wire_free_at.is_some() && !waits {
            self.wire_free_at = None;
            self.link.withdraw(self.id);
        }
        self.on_wire.as_ref().map(|frame| frame.what.end).or(self.wire_free_at)
    }

    pub(crate) fn gate(&self, gate: Gate) -> Option<GateState> {
        match gate {
            Gate::Fetch => Some(self.fetch),
            Gate::Wire => Some(self.wire),
            Gate::Complete => Some(self.complete),
            Gate::RxWrite => None,
        }
    }

    pub(crate) fn gate_mut(&mut self, gate: Gate, now: Duration) -> Option<&mut GateState> {
        match gate {
            Gate::Fetch => Some(&mut self.fetch),
            Gate::Wire => {
                self.wire_gate_at = now;
                Some(&mut self.wire)
            }
            Gate::Complete => Some(&mut self.complete),
            Gate::RxWrite => None,
        }
    }

    /// The head of the frame that has been with the device for the longest time.
    pub(crate) fn oldest_frame(&self) -> Option<u16> {
        let sent = self.off_wire.iter().filter(|chain| chain.what == TxOutcome::Sent).map(|chain| chain.head);
        let waiting = self.waiting.iter().filter(|chain| matches!(chain.what, Waiting::Frame { .. }));
        let mut heads =
            sent.chain(self.on_wire.iter().map(|chain| chain.head)).chain(waiting.map(|chain| chain.head));
        heads.next().flatten()
    }

    pub(crate) fn inside(&self) -> Inside {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let fetched = self.waiting.iter().filter(|chain| matches!(chain.what, Waiting::Frame { .. }));
        let off_wire = self.off_wire.iter().filter(|chain| chain.what == TxOutcome::Sent);
        Inside {
            fetched: number(fetched.count()),
            on_wire: self.on_wire.is_some().into(),
            off_wire: number(off_wire.count()),
            ..Inside::default()
        }
    }
}

fn write_used<M: GuestMemory>(base: &mut Base, memory: &M, Chain { head, what }: Chain<TxOutcome>) {
    let Some(head) = head else { return base.give_up() };
    base.judge.check(memory, head, Rule::BufferChanged);
    if !base.write_used(memory, head, what.used_len()) {
        return;
    }
    match what {
        TxOutcome::Sent => count(&mut base.totals.sent),
        TxOutcome::TakenBack => count(&mut base.totals.taken_back),
        TxOutcome::Refused => base.count_refused(),
    }
}
