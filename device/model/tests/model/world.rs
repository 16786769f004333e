//! Queues, a link, a clock and drivers; everything that happens is written down as [`Call`]s.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::time::Duration;

use cancelnic_model::{Frame, Gate, Link, Queue, Settings, Snapshot, Speed, StatusRegister, Turn, Wire};
use cancelnic_registers::{
    Caps, CommandWord, Direction, Op, QueueId, State, StatusWord, TxOutcome, next_seq,
};

use crate::guest::{Virtqueue, frame, number};
use crate::memory::{Access, Watched};

/// Buffers of each receive chain, in bytes.
pub(crate) const RX_BUFFERS: [u32; 2] = [12, 1600];

/// What became of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Sent,
    TakenBack,
    Refused,
    /// A receive buffer with the frame of this number.
    Received(u64),
}

/// What was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Run,
    Command(Op),
    Enter { base: u16 },
    Leave { base: u16 },
}

/// One call on a queue, and what could be seen of it from outside.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub lane: usize,
    pub what: What,
    pub now: Duration,
    pub before: StatusWord,
    pub after: StatusWord,
    pub signal: bool,
    pub accesses: Vec<Access>,
    /// Chains that were published and had no used element before the call, oldest first.
    pub outstanding: Vec<u64>,
    /// The one of them that was on the wire before the call.
    pub on_wire: Option<u64>,
    /// Used elements written in it.
    pub used: Vec<(u64, Fate)>,
    /// Frames that left the wire in it, and when.
    pub left: Vec<(u64, Duration)>,
    /// Index of the oldest chain without a used element, after the call.
    pub oldest: u16,
}

/// One queue and its driver.
pub(crate) struct Lane {
    queue: Queue,
    status: StatusRegister,
    pub vq: Virtqueue,
    /// Chains that are out, oldest first, and the chain at each head.
    out: VecDeque<u64>,
    heads: HashMap<u16, u64>,
    pub deadline: Option<Duration>,
    pub in_service: bool,
}

#[derive(Default)]
struct Seen {
    left: Vec<(u64, Duration)>,
    delivered: VecDeque<u64>,
    /// By transmit queue.
    taken_back: HashMap<QueueId, VecDeque<u64>>,
}

impl Wire for Seen {
    fn transmit(&mut self, _: QueueId, frame: Frame, at: Duration) -> Option<Frame> {
        self.left.push((number(&frame), at));
        Some(frame)
    }
    fn wants_taken_back(&self) -> bool {
        true
    }
    fn taken_back(&mut self, queue: QueueId, bytes: Option<&[u8]>, _: Duration) {
        let bytes = bytes.expect("the world's chains are whole");
        self.taken_back.entry(queue).or_default().push_back(number(bytes));
    }
    fn delivered(&mut self, _: QueueId, frame: Frame, _: Duration) {
        self.delivered.push_back(number(&frame));
    }
}

/// How a world is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Two transmit queues at 8 Mbit/s (a byte takes a microsecond), or unlimited.
    pub finite: bool,
    pub fifo_depth: u16,
    pub ring: u16,
    pub event_idx: bool,
    pub caps: Caps,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { finite: false, fifo_depth: 4, ring: 16, event_idx: false, caps: Caps::ALL }
    }
}

/// Lanes: tx0, tx1, rx0.
pub(crate) const TX0: usize = 0;
pub(crate) const TX1: usize = 1;
pub(crate) const RX0: usize = 2;

pub(crate) struct World {
    pub memory: Watched,
    pub lanes: Vec<Lane>,
    pub now: Duration,
    pub trace: Vec<Call>,
    wire: Seen,
    next_number: u64,
}

impl World {
    /// All queues in service and enabled.
    pub(crate) fn new(plan: Plan) -> World {
        let speed = match plan.finite {
            true => Speed::BitsPerSecond(NonZeroU64::new(8_000_000).unwrap()),
            false => Speed::Unlimited,
        };
        let Plan { fifo_depth, caps, .. } = plan;
        let settings = Settings {
            caps,
            judged: true,
            fifo_depth,
            link: Link::new(speed),
            pending_limit: 64,
            pending_bytes: 1 << 20,
            longest: usize::MAX,
        };
        let mut lanes = Vec::new();
        let mut start = 0x1000;
        for id in [QueueId::TX0, QueueId::new(Direction::Tx, 1).unwrap(), QueueId::RX0] {
            let vq = Virtqueue::new(start, plan.ring, plan.event_idx);
            start = (vq.end() + 0xfff) & !0xfff;
            let queue = Queue::new(id, &settings);
            let status = queue.status();
            lanes.push(Lane {
                queue,
                status,
                vq,
                out: VecDeque::new(),
                heads: HashMap::new(),
                deadline: None,
                in_service: false,
            });
        }
        let mut world = World {
            memory: Watched::new(start as usize),
            lanes,
            now: Duration::ZERO,
            trace: Vec::new(),
            wire: Seen::default(),
            next_number: 1,
        };
        for lane in [TX0, TX1, RX0] {
            world.enable(lane, true);
            world.enter(lane, 0);
        }
        world
    }

    pub(crate) fn status(&self, lane: usize) -> StatusWord {
        self.lanes[lane].status.read()
    }

    pub(crate) fn state(&self, lane: usize) -> State {
        self.status(lane).state().unwrap()
    }

    pub(crate) fn queue(&mut self, lane: usize) -> &mut Queue {
        &mut self.lanes[lane].queue
    }

    pub(crate) fn snapshot(&mut self, lane: usize) -> Snapshot {
        self.lanes[lane].queue.snapshot(&self.memory.inner)
    }

    fn call(
        &mut self,
        lane: usize,
        act: impl FnOnce(&mut Queue, &Watched, Duration, &mut Seen) -> (What, Turn),
    ) -> Turn {
        let this = &mut self.lanes[lane];
        let before = this.status.read();
        self.memory.watch(this.status.clone(), this.vq.used());
        self.memory.accesses();
        let outstanding: Vec<u64> = this.out.iter().copied().collect();
        // Chains get on the wire in order: those off it are the oldest.
        let inside = this.queue.inside();
        let on_wire = (inside.on_wire == 1).then(|| outstanding[inside.off_wire as usize]);
        let (what, turn) = act(&mut this.queue, &self.memory, self.now, &mut self.wire);
        let accesses = self.memory.accesses();
        let after = this.status.read();
        this.deadline = turn.deadline;
        let mut used = Vec::new();
        for (head, len) in this.vq.reap(&self.memory.inner) {
            let chain = this.heads.remove(&head).expect("a used element for a chain that is not out");
            let fate = match (lane, len) {
                (RX0, 0) => Fate::TakenBack,
                (RX0, len) => {
                    let bytes = this.vq.written(&self.memory.inner, head, len, &RX_BUFFERS);
                    assert_eq!(bytes[..12], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
                    let number = number(&bytes[12..]);
                    assert_eq!(self.wire.delivered.pop_front(), Some(number));
                    Fate::Received(number)
                }
                (_, len) => match TxOutcome::from_used_len(len).expect("a len of the interface") {
                    TxOutcome::Sent => Fate::Sent,
                    TxOutcome::TakenBack => {
                        let told = self.wire.taken_back.entry(this.queue.id()).or_default().pop_front();
                        assert_eq!(told, Some(chain), "what the wire was told of chains taken back");
                        Fate::TakenBack
                    }
                    TxOutcome::Refused => Fate::Refused,
                },
            };
            match this.out.front() {
                Some(front) if *front == chain => drop(this.out.pop_front()),
                _ => this.out.retain(|out| *out != chain),
            }
            this.vq.release(head);
            used.push((chain, fate));
        }
        let oldest = this.vq.used_idx;
        let left = std::mem::take(&mut self.wire.left);
        let (now, signal) = (self.now, turn.signal);
        self.trace.push(Call {
            lane,
            what,
            now,
            before,
            after,
            signal,
            accesses,
            outstanding,
            on_wire,
            used,
            left,
            oldest,
        });
        turn
    }

    /// Runs a queue until it has nothing more to do at once.
    pub(crate) fn run(&mut self, lane: usize) {
        for _ in 0..10_000 {
            let turn = self.call(lane, |queue, memory, now, wire| (What::Run, queue.run(memory, now, wire)));
            if !turn.again {
                return;
            }
        }
        panic!("lane {lane} never comes to rest");
    }

    pub(crate) fn advance(&mut self, time: Duration) {
        self.now += time;
        for _ in 0..10_000 {
            let due: Vec<usize> = (0..self.lanes.len())
                .filter(|lane| self.lanes[*lane].deadline.is_some_and(|at| at <= self.now))
                .collect();
            if due.is_empty() {
                return;
            }
            for lane in due {
                self.run(lane);
            }
        }
        panic!("the wire never comes to rest");
    }

    /// Writes the command that follows, without running the queue afterwards.
    pub(crate) fn command(&mut self, lane: usize, op: Op) -> StatusWord {
        let word = CommandWord::command(next_seq(self.status(lane).seq()), op);
        let turn = self.call(lane, |queue, memory, now, wire| {
            (What::Command(op), queue.command(memory, now, word, wire))
        });
        assert!(turn.again);
        self.status(lane)
    }

    pub(crate) fn enter(&mut self, lane: usize, base: u16) {
        let rings = self.lanes[lane].vq.rings(base);
        self.lanes[lane].in_service = true;
        let turn =
            self.call(lane, |queue, memory, now, _| (What::Enter { base }, queue.enter(memory, now, &rings)));
        assert_eq!(turn.broke, None);
        self.run(lane);
    }

    pub(crate) fn leave(&mut self, lane: usize) -> u16 {
        self.lanes[lane].in_service = false;
        let mut base = 0;
        let _ = self.call(lane, |queue, memory, now, wire| {
            let left = queue.leave(memory, now, wire);
            base = left.base;
            (What::Leave { base }, Turn { signal: left.signal, ..Turn::default() })
        });
        base
    }

    /// The machine pauses and goes on.
    pub(crate) fn pause(&mut self, lane: usize, time: Duration) {
        let base = self.leave(lane);
        self.run(lane);
        self.advance(time);
        self.run(lane);
        self.enter(lane, base);
    }

    /// The guest resets the device; chains that were out are forgotten.
    pub(crate) fn reset(&mut self, lane: usize) {
        self.leave(lane);
        let this = &mut self.lanes[lane];
        this.vq.reset(&self.memory.inner);
        this.out.clear();
        this.heads.clear();
        self.run(lane);
        self.enter(lane, 0);
    }

    pub(crate) fn enable(&mut self, lane: usize, enabled: bool) {
        self.queue(lane).set_enabled(enabled);
    }

    /// Gates of a transmit queue by number; a receive queue has one.
    fn gate_of(&self, lane: usize, gate: usize) -> Gate {
        let gates = Gate::of(self.lanes[lane].queue.id().direction());
        gates[gate % gates.len()]
    }

    pub(crate) fn gate(&mut self, lane: usize, gate: usize, open: bool) {
        let now = self.now;
        let gate = self.gate_of(lane, gate);
        self.queue(lane).set_gate(gate, open, now);
        self.run(lane);
    }

    pub(crate) fn step(&mut self, lane: usize, gate: usize, count: u64) {
        let now = self.now;
        let gate = self.gate_of(lane, gate);
        self.queue(lane).step_gate(gate, count, now);
        self.run(lane);
    }

    /// Publishes a chain without ringing: a frame, cut in up to three descriptors, or a receive buffer.
    /// `None` if the ring is full.
    pub(crate) fn publish(&mut self, lane: usize, cuts: usize) -> Option<u64> {
        let this = &mut self.lanes[lane];
        if this.vq.room() < 3 && this.vq.room() < cuts.max(2) {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        let memory = &self.memory.inner;
        let head = if lane == RX0 {
            this.vq.post_in(memory, &RX_BUFFERS)
        } else {
            let mut bytes = vec![0; 12];
            bytes.extend(frame(number, 60 + number as usize % 7));
            let (first, rest) = bytes.split_at([12, 5, 20][number as usize % 3]);
            match cuts {
                1 => this.vq.post_out(memory, &[&bytes]),
                2 => this.vq.post_out(memory, &[first, rest]),
                _ => this.vq.post_out(memory, &[first, &rest[..9], &rest[9..]]),
            }
        };
        this.out.push_back(number);
        this.heads.insert(head, number);
        Some(number)
    }

    /// Publishes up to `count` chains, and rings.
    pub(crate) fn post(&mut self, lane: usize, count: usize) -> Vec<u64> {
        let chains = (0..count).map_while(|_| self.publish(lane, 1)).collect();
        self.run(lane);
        chains
    }

    /// A frame arrives.
    pub(crate) fn inject(&mut self) {
        let number = self.next_number;
        self.next_number += 1;
        self.queue(RX0).inject(frame(number, 60));
        self.run(RX0);
    }

    /// The fates of `chains`, which all have one.
    pub(crate) fn fates(&self, chains: &[u64]) -> Vec<Fate> {
        let all: HashMap<u64, Fate> = self.trace.iter().flat_map(|call| call.used.iter().copied()).collect();
        chains.iter().map(|chain| all[chain]).collect()
    }

    /// Frames that have left the wire, in order.
    pub(crate) fn sent(&self, lane: usize) -> Vec<u64> {
        self.trace
            .iter()
            .filter(|call| call.lane == lane)
            .flat_map(|call| &call.left)
            .map(|left| left.0)
            .collect()
    }

    /// Chains without a used element.
    pub(crate) fn out(&self, lane: usize) -> Vec<u64> {
        self.lanes[lane].out.iter().copied().collect()
    }

    /// All gates open, everything enabled and resumed, time passes: everything that can finish does.
    pub(crate) fn finish(&mut self) {
        for lane in 0..self.lanes.len() {
            for gate in 0..3 {
                self.gate(lane, gate, true);
            }
            self.enable(lane, true);
            self.command(lane, Op::Resume);
            self.run(lane);
        }
        for _ in 0..1000 {
            self.advance(Duration::from_millis(10));
        }
    }
}

pub(crate) const FETCH: usize = 0;
pub(crate) const WIRE: usize = 1;
pub(crate) const COMPLETE: usize = 2;
pub(crate) const RX_WRITE: usize = 0;
