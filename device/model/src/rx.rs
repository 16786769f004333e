//! The receive pipeline: frames that wait, the one that is being written into a buffer, and CANCEL, which
//! returns the posted buffers.

use std::collections::VecDeque;
use std::time::Duration;

use cancelnic_registers::{CommandResult, NET_HEADER_SIZE, RX_RETURNED, State};
use vm_memory::GuestMemory;

use crate::base::{Base, count};
use crate::chain::{Buffers, Table};
use crate::frame::Frame;
use crate::ring::RUN;
use crate::snapshot::Inside;
use crate::{Gate, GateState, Rule, Wire};

/// `virtio_net_hdr` of every received frame: nothing but num_buffers = 1 (virtio 1.3 section 5.1.6.4).
const HEADER: [u8; NET_HEADER_SIZE] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

#[derive(Debug)]
pub(crate) struct Receive {
    /// Frames that may wait for buffers, and the bytes that they may have together; more are dropped.
    limit: (usize, usize),
    rx_write: GateState,
    pending: VecDeque<Frame>,
    /// Bytes in them.
    pending_bytes: usize,
    writing: Option<Writing>,
    /// Heads of buffers that CANCEL took back and that wait for the half-written frame before them;
    /// `None` if the head is unknown.
    returning: VecDeque<Option<u16>>,
}

/// A frame whose header and first half are in its buffer.
#[derive(Debug)]
struct Writing {
    head: u16,
    buffers: Buffers,
    frame: Frame,
    half: usize,
}

impl Receive {
    pub(crate) fn new(pending_limit: usize, pending_bytes: usize) -> Receive {
        Receive {
            limit: (pending_limit, pending_bytes),
            rx_write: GateState::default(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            writing: None,
            returning: VecDeque::new(),
        }
    }

    /// The queue enters service.
    pub(crate) fn enter(&mut self, base: &mut Base, new_life: bool) {
        self.writing = None;
        self.returning.clear();
        if new_life {
            let lost = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
            base.totals.dropped = base.totals.dropped.saturating_add(lost);
            self.pending.clear();
            self.pending_bytes = 0;
        }
    }

    /// A frame arrives; false if it is dropped.
    pub(crate) fn inject(&mut self, base: &mut Base, frame: Frame) -> bool {
        let (frames, bytes) = self.room();
        if frames == 0 || frame.len() > bytes {
            count(&mut base.totals.dropped);
            return false;
        }
        self.pending_bytes = self.pending_bytes.saturating_add(frame.len());
        self.pending.push_back(frame);
        true
    }

    /// The frame that has waited longest waits no more.
    fn next_pending(&mut self) -> Option<Frame> {
        let frame = self.pending.pop_front()?;
        self.pending_bytes = self.pending_bytes.saturating_sub(frame.len());
        Some(frame)
    }

    /// Frames, and bytes in them, that can still be injected without a loss.
    pub(crate) fn room(&self) -> (usize, usize) {
        let (frames, bytes) = self.limit;
        (frames.saturating_sub(self.pending.len()), bytes.saturating_sub(self.pending_bytes))
    }

    /// A step of every stage, from the last to the first. True if something moved.
    pub(crate) fn step<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        now: Duration,
        wire: &mut W,
    ) -> bool {
        (self.writing.is_some() && self.rx_write.pass() && self.finish_write(base, memory, now, wire))
            | self.return_run(base, memory)
            | self.receive_run(base, memory, now, wire)
    }

    /// Writes the next frames, if there are frames and buffers and it may.
    fn receive_run<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        now: Duration,
        wire: &mut W,
    ) -> bool {
        let may = base.is_running() && base.enabled && self.writing.is_none();
        let most = self.pending.len().min(RUN);
        if !may || most == 0 {
            return false;
        }
        let run = match base.take(memory, most) {
            Ok(run) => run,
            Err(moved) => return moved,
        };
        base.judge.taken(memory, run.end());
        let mut left = run.len();
        for head in run.heads() {
            if base.is_tired()
                || self.writing.is_some()
                || !self.receive(base, memory, now, wire, (run.table(), head))
            {
                break;
            }
            left = left.saturating_sub(1);
        }
        base.put_back(left);
        true
    }

    /// Writes the next frame into the buffer at `head`: header and first half, and the rest if the gate is open. False if
    /// there is no frame that fits: the buffer is good for a shorter one.
    fn receive<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        now: Duration,
        wire: &mut W,
        (table, head): (Table, Option<u16>),
    ) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        let Some(head) = head else {
            base.judge.note(Rule::MalformedChain, None);
            base.give_up();
            return true;
        };
        let Base { buffers, work, .. } = base;
        if buffers.walk_receive(memory, table, head, work).is_err() {
            refuse(base, memory, head);
            return true;
        }
        let room = buffers.len().saturating_sub(NET_HEADER_SIZE);
        let frame = loop {
            let Some(frame) = self.next_pending() else { return false };
            if frame.len() <= room {
                break frame;
            }
            count(&mut base.totals.dropped);
        };
        base.copied(frame.len());
        base.judge.check(memory, head, Rule::BufferChanged);
        let now_on = if self.rx_write.open { frame.len() } else { frame.len() >> 1 };
        let (first, _) = frame.split_at_checked(now_on).unwrap_or((&frame, &[]));
        let buffers = &base.buffers;
        let written =
            buffers.write(memory, 0, &HEADER).and_then(|()| buffers.write(memory, NET_HEADER_SIZE, first));
        match written {
            Ok(()) if self.rx_write.open => received(base, memory, now, wire, head, frame),
            Ok(()) => {
                base.judge.wrote(memory, head);
                self.writing = Some(Writing { head, buffers: buffers.clone(), frame, half: now_on });
            }
            Err(_) => {
                count(&mut base.totals.dropped);
                refuse(base, memory, head);
            }
        }
        true
    }

    /// Writes the rest of the frame that is half written, and its used element.
    fn finish_write<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        now: Duration,
        wire: &mut W,
    ) -> bool {
        let Some(Writing { head, buffers, frame, half }) = self.writing.take() else { return false };
        let touched = match base.control.state() {
            State::Cancelling => Rule::ReceiveBufferTouched,
            State::Running | State::Draining | State::Stopped => Rule::BufferChanged,
        };
        base.judge.check(memory, head, touched);
        let rest = frame.get(half..).unwrap_or(&[]);
        let skip = half.saturating_add(NET_HEADER_SIZE);
        if buffers.write(memory, skip, rest).is_err() {
            count(&mut base.totals.dropped);
            refuse(base, memory, head);
            return true;
        }
        received(base, memory, now, wire, head, frame);
        true
    }

    /// Returns the next buffers that CANCEL took back.
    fn return_run<M: GuestMemory>(&mut self, base: &mut Base, memory: &M) -> bool {
        let mut moved = false;
        for _ in 0..RUN {
            if !self.return_next(base, memory) {
                break;
            }
            moved = true;
        }
        moved
    }

    /// Returns the next buffer that CANCEL took back, once nothing before it is outstanding.
    fn return_next<M: GuestMemory>(&mut self, base: &mut Base, memory: &M) -> bool {
        if self.writing.is_some() {
            return false;
        }
        match self.returning.pop_front() {
            None => return false,
            Some(None) => base.give_up(),
            Some(Some(head)) => {
                base.judge.check(memory, head, Rule::ReceiveBufferTouched);
                if base.write_used(memory, head, RX_RETURNED) {
                    count(&mut base.totals.returned);
                }
            }
        }
        true
    }

    /// Before a command: nothing on the receive side is beyond recall but the frame being written.
    pub(crate) fn catch_up<W: Wire>(&mut self, _: Duration, _: &mut W) {}

    /// CANCEL: takes back every buffer available at this moment, but for the one that is being written. How many.
    ///
    /// # Errors
    /// What the command is answered with instead.
    pub(crate) fn take_back<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        _: Duration,
        _: &mut W,
    ) -> Result<usize, CommandResult> {
        base.take_all(memory, |_, head| self.returning.push_back(head))
    }

    /// After a command: what may be completed is.
    pub(crate) fn complete<M: GuestMemory>(&mut self, base: &mut Base, memory: &M) {
        while self.return_next(base, memory) {}
    }

    /// The queue leaves service: a half-written frame and a cancel are finished whatever the gate holds. No chain is
    /// dropped.
    pub(crate) fn wind_up<M: GuestMemory, W: Wire>(
        &mut self,
        base: &mut Base,
        memory: &M,
        now: Duration,
        wire: &mut W,
    ) -> usize {
        self.finish_write(base, memory, now, wire);
        self.complete(base, memory);
        0
    }

    /// Whether nothing is outstanding that a cancel has to wait for.
    pub(crate) fn is_idle(&self, _: &Base) -> bool {
        self.writing.is_none() && self.returning.is_empty()
    }

    /// Receiving takes no wire time.
    pub(crate) fn deadline(&mut self) -> Option<Duration> {
        None
    }

    pub(crate) fn gate(&self, gate: Gate) -> Option<GateState> {
        (gate == Gate::RxWrite).then_some(self.rx_write)
    }

    pub(crate) fn gate_mut(&mut self, gate: Gate, _: Duration) -> Option<&mut GateState> {
        (gate == Gate::RxWrite).then_some(&mut self.rx_write)
    }

    /// The head of the buffer that is being written.
    pub(crate) fn oldest_frame(&self) -> Option<u16> {
        self.writing.as_ref().map(|writing| writing.head)
    }

    pub(crate) fn inside(&self) -> Inside {
        Inside {
            pending: self.pending.len().try_into().unwrap_or(u64::MAX),
            writing: self.writing.is_some().into(),
            ..Inside::default()
        }
    }
}

/// `frame` is whole in the buffer at `head`.
fn received<M: GuestMemory, W: Wire>(
    base: &mut Base,
    memory: &M,
    now: Duration,
    wire: &mut W,
    head: u16,
    frame: Frame,
) {
    let len = u32::try_from(frame.len().saturating_add(NET_HEADER_SIZE)).unwrap_or(u32::MAX);
    wire.delivered(base.id, frame, now);
    if base.write_used(memory, head, len) {
        count(&mut base.totals.received);
    } else {
        count(&mut base.totals.dropped);
    }
}

/// Gives a malformed buffer back.
fn refuse<M: GuestMemory>(base: &mut Base, memory: &M, head: u16) {
    base.judge.note(Rule::MalformedChain, Some(head));
    base.write_used(memory, head, RX_RETURNED);
    base.count_refused();
}
