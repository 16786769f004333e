//! A queue, as whoever drives it sees it. See the [crate] for its life.

use std::time::Duration;

use cancelnic_registers::{Caps, CommandWord, Direction, Op, QueueId, State};
use vm_memory::GuestMemory;

use crate::base::Base;
use crate::frame::Frame;
use crate::rx::Receive;
use crate::snapshot::{Inside, Snapshot, Totals};
use crate::tx::Transmit;
use crate::{
    Armed, Fault, Gate, GateState, Judge, Left, Link, Negotiated, Rings, Rule, StatusRegister, Turn, Wire,
};

/// What the queues of one NIC are made with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the device can do; a command that it cannot is refused.
    pub caps: Caps,
    /// Whether the queues have judges that watch.
    pub judged: bool,
    /// Transmit: chains that a queue holds between ring and wire, at least 1.
    pub fifo_depth: u16,
    /// Transmit: bytes that a frame has at most; a chain with more is refused.
    pub longest: usize,
    /// Transmit: the link that all queues share.
    pub link: Link,
    /// Receive: frames that may wait for buffers at a queue; more are dropped.
    pub pending_limit: usize,
    /// Receive: bytes that these frames may have together.
    pub pending_bytes: usize,
}

/// One queue, transmit or receive.
#[derive(Debug)]
pub struct Queue {
    base: Base,
    pipeline: Pipeline,
}

/// What is different in the two directions.
#[derive(Debug)]
enum Pipeline {
    Transmit(Transmit),
    Receive(Receive),
}

/// Calls a method that both pipelines have.
macro_rules! pipeline {
    ($queue:expr, $method:ident ( $($argument:expr),* )) => {
        match $queue {
            Pipeline::Transmit(pipeline) => pipeline.$method($($argument),*),
            Pipeline::Receive(pipeline) => pipeline.$method($($argument),*),
        }
    };
}

impl Queue {
    /// A queue out of service, not enabled, all gates open, nothing in it.
    pub fn new(id: QueueId, settings: &Settings) -> Queue {
        let pipeline = match id.direction() {
            Direction::Tx => Pipeline::Transmit(Transmit::new(id, settings)),
            Direction::Rx => Pipeline::Receive(Receive::new(settings.pending_limit, settings.pending_bytes)),
        };
        Queue { base: Base::new(id, settings), pipeline }
    }

    /// Which queue this is.
    pub fn id(&self) -> QueueId {
        self.base.id
    }

    /// The queue's status register.
    pub fn status(&self) -> StatusRegister {
        self.base.control.register()
    }

    /// What the driver did that it must not.
    pub fn judge(&self) -> &Judge {
        &self.base.judge
    }

    /// The driver has accepted features: its judge holds it to these from here on.
    pub fn negotiated(&mut self, negotiated: Negotiated) {
        self.base.judge.negotiated(negotiated);
    }

    /// The driver has done something else that it must not, seen elsewhere.
    pub fn note(&mut self, rule: Rule, now: Duration) {
        self.base.judge.at(now);
        self.base.judge.note(rule, None);
    }

    /// The driver has rung the queue's doorbell. For the judge only: [`Queue::run`] comes afterwards.
    pub fn doorbell<M: GuestMemory>(&mut self, memory: &M, now: Duration) {
        self.base.judge.at(now);
        let arms = self.base.service.ring().map_or(0, |ring| ring.arms());
        self.base.judge.rung(memory, arms);
    }

    /// Lets the judge look at the ring. Changes nothing else.
    pub fn look<M: GuestMemory>(&mut self, memory: &M, now: Duration) {
        self.base.look(memory, now);
        self.base.see(memory);
    }

    /// Whether it is between entering and leaving service.
    pub fn is_in_service(&self) -> bool {
        self.base.service.is_in()
    }

    /// Whether the queue may fetch and receive. What it owes is done in any case. Call [`Queue::run`] afterwards.
    pub fn set_enabled(&mut self, enabled: bool) {
        if !enabled {
            self.base.judge.deaf();
        }
        self.base.enabled = enabled;
    }

    /// Whether somebody calls [`Queue::run`] all the time, so that no doorbell is needed (REG25). A command or leaving
    /// service ends that. Call [`Queue::run`] afterwards: chains may have come without a doorbell.
    pub fn set_polled(&mut self, polled: bool) {
        self.base.is_polled = polled;
    }

    /// Enters service. Base 0 begins a new life: RUNNING, and frames that waited to be received are dropped. Any other
    /// base goes on where the queue left. A queue already in service forgets what it held: [`Queue::leave`] first.
    pub fn enter<M: GuestMemory>(&mut self, memory: &M, now: Duration, rings: &Rings) -> Turn {
        let new_life = rings.base == 0;
        pipeline!(&mut self.pipeline, enter(&mut self.base, new_life));
        if new_life {
            self.base.faults.forget();
            self.base.control.begin_new_life();
        }
        self.base.enter(memory, now, rings);
        Turn { again: true, ..self.turn(memory) }
    }

    /// Does what there is to do at `now`: fetches, sends, receives, completes. A few hundred chains at most: see
    /// [`Turn::again`].
    pub fn run<M: GuestMemory, W: Wire>(&mut self, memory: &M, now: Duration, wire: &mut W) -> Turn {
        self.base.look(memory, now);
        let hush = self.base.is_polled && self.base.enabled && self.base.is_running();
        self.base.hush(memory, hush);
        self.base.work = 0;
        if self.base.control.state() == State::Stopped {
            self.base.complete_late(memory);
        }
        let (mut again, mut moved) = (self.base.service.is_in(), false);
        while again && !self.base.is_tired() {
            again = pipeline!(&mut self.pipeline, step(&mut self.base, memory, now, wire))
                | self.finish_if_idle(memory);
            moved |= again;
            self.base.work = self.base.work.saturating_add(1);
        }
        if !again {
            self.base.see(memory);
        }
        let turn = self.turn(memory);
        self.base.control.publish();
        Turn { moved, again, ..turn }
    }

    /// Carries out the command in `word`, which [`ConfigSpace::write`](crate::ConfigSpace::write) found for
    /// this queue, and publishes the status word. Costs at most the chains taken back: nothing is fetched or
    /// received, and nothing new gets on the wire here.
    pub fn command<M: GuestMemory, W: Wire>(
        &mut self,
        memory: &M,
        now: Duration,
        word: CommandWord,
        wire: &mut W,
    ) -> Turn {
        self.base.look(memory, now);
        // Nothing is written to the used ring once STATE reads STOPPED (C4).
        self.base.is_polled = false;
        self.base.hush(memory, false);
        // What has left by now is beyond recall.
        pipeline!(&mut self.pipeline, catch_up(now, wire));
        match self.base.control.take(word, self.base.service.health()) {
            Some(Op::Cancel) => {
                match pipeline!(&mut self.pipeline, take_back(&mut self.base, memory, now, wire)) {
                    Ok(taken) => self.base.control.cancel(taken),
                    Err(refusal) => self.base.control.refuse(refusal),
                }
            }
            Some(Op::Drain) => self.base.control.drain(),
            Some(Op::Resume) => {
                self.base.judge.cancel_ends(memory);
                self.base.control.resume();
            }
            None => {}
        }
        pipeline!(&mut self.pipeline, complete(&mut self.base, memory));
        self.finish_if_idle(memory);
        let turn = self.turn(memory);
        self.base.control.publish();
        Turn { moved: true, again: true, ..turn }
    }

    /// Leaves service. Before it returns, gates and wire time notwithstanding, frames on or off the wire and a
    /// half-written frame are completed, a cancel in progress is finished whole, and fetched chains are dropped: they
    /// are available again at the base returned (a drain in progress then fetches and sends just these before it
    /// ends). A shared wire stays taken until the frame's time is over: no other queue is told of this. Harmless if
    /// not in service.
    pub fn leave<M: GuestMemory, W: Wire>(&mut self, memory: &M, now: Duration, wire: &mut W) -> Left {
        self.base.look(memory, now);
        self.base.hush(memory, false);
        let busy = pipeline!(&self.pipeline, oldest_frame());
        let dropped = pipeline!(&mut self.pipeline, wind_up(&mut self.base, memory, now, wire));
        self.finish_if_idle(memory);
        let signal = self.turn(memory).signal;
        let base = self.base.service.leave(dropped);
        self.base.judge.left(memory, base, busy);
        Left { base, signal }
    }

    /// Ends a cancel or a drain when nothing is outstanding any more. True if STATE changed.
    fn finish_if_idle<M: GuestMemory>(&mut self, memory: &M) -> bool {
        self.base.flush(memory);
        if !pipeline!(&self.pipeline, is_idle(&self.base)) {
            return false;
        }
        if self.base.control.state() == State::Cancelling && self.base.faults.keep_cancelling() {
            return false;
        }
        self.base.judge.cancel_ends(memory);
        self.base.control.finish_command()
    }

    fn turn<M: GuestMemory>(&mut self, memory: &M) -> Turn {
        let deadline = pipeline!(&mut self.pipeline, deadline());
        self.base.turn(memory, deadline)
    }

    /// Opens or closes a gate, if the queue has it. Call [`Queue::run`] afterwards.
    pub fn set_gate(&mut self, gate: Gate, open: bool, now: Duration) {
        if let Some(gate) = pipeline!(&mut self.pipeline, gate_mut(gate, now)) {
            gate.set(open);
        }
    }

    /// Lets `count` pieces through a closed gate, if the queue has it. Call [`Queue::run`] afterwards.
    pub fn step_gate(&mut self, gate: Gate, count: u64, now: Duration) {
        if let Some(gate) = pipeline!(&mut self.pipeline, gate_mut(gate, now)) {
            gate.step(count);
        }
    }

    /// The gates that it has.
    pub fn gates(&self) -> Vec<(Gate, GateState)> {
        let gates = Gate::of(self.base.id.direction()).iter();
        gates.filter_map(|gate| Some((*gate, pipeline!(&self.pipeline, gate(*gate))?))).collect()
    }

    /// A frame (without header) arrives for the guest. False if there was no room for it to wait and it is
    /// dropped. Call [`Queue::run`] afterwards. Frames wait out of service, too. A transmit queue has room for none.
    pub fn inject(&mut self, frame: impl Into<Frame>) -> bool {
        match &mut self.pipeline {
            Pipeline::Transmit(_) => false,
            Pipeline::Receive(receive) => receive.inject(&mut self.base, frame.into()),
        }
    }

    /// Frames, and bytes in them, that can still be injected without a loss.
    pub fn room(&self) -> (usize, usize) {
        match &self.pipeline {
            Pipeline::Transmit(_) => (0, 0),
            Pipeline::Receive(receive) => receive.room(),
        }
    }

    /// The fault is to happen `count` times from now on.
    pub fn arm_fault(&mut self, fault: Fault, count: u64) {
        self.base.faults.arm(fault, count);
    }

    /// Nothing goes wrong from now on. Call [`Queue::run`] afterwards: what was held up goes on.
    pub fn clear_faults(&mut self) {
        self.base.faults.clear();
    }

    /// The faults that were ever armed.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, Armed)> {
        self.base.faults.all()
    }

    /// What it has counted. Costs nothing.
    pub fn totals(&self) -> Totals {
        self.base.totals
    }

    /// Where frames are in it. Does not look at the guest's memory.
    pub fn inside(&self) -> Inside {
        pipeline!(&self.pipeline, inside())
    }

    /// How the queue stands. Reads the available index if the queue is in service.
    pub fn snapshot<M: GuestMemory>(&self, memory: &M) -> Snapshot {
        let Base { service, control, enabled, totals, .. } = &self.base;
        Snapshot {
            in_service: service.is_in(),
            enabled: *enabled,
            broken: service.broken().is_some(),
            status: control.register().read(),
            available: service.available(memory),
            inside: self.inside(),
            totals: *totals,
            cancels: control.cancels(),
        }
    }
}
