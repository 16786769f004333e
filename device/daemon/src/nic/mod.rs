//! The NIC in this process: the model's queues, each behind its own lock, joined to guest memory, call
//! descriptors, the clock, the wire and the capture. Who may call: any thread, except where it says more.
//!
//! Order of locks: one queue, then loopback frames or capture; never back, and never two queues at once.

mod clock;
mod faults;
mod report;
mod rows;
mod run;
mod service;
mod slot;
mod wire;

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cancelnic_model::{
    Command, ConfigSpace, Gate, Link, Misuse, Negotiated, NetConfig, Queue, Settings, Speed as LinkSpeed,
    Written,
};
use cancelnic_registers::{Caps, Direction, Op, QueueId};
use control_protocol::MOST_WAITING;
use serde_json::json;
use thiserror::Error;
use vm_memory::{GuestAddressSpace, GuestMemoryLoadGuard, GuestMemoryMmap};

use crate::capture::Capture;
use crate::cli::{Cli, ClockKind, Judging, Speed};
use crate::front_end::{Channel, Memory};
use crate::stop::Stop;
use crate::trace::{self, Trace};
use crate::wires::{Far, Outside};

use clock::Clock;
use faults::DeviceFaults;
pub(crate) use faults::NotArmed;
pub(crate) use report::{gate, gates};
pub(crate) use rows::names as trace_rows;
use run::Polling;
use slot::{Slot, State};
use wire::Ether;

/// Bytes of frames that can wait at a receive queue for buffers; more are dropped.
const MOST_BYTES: usize = 16 << 20;
/// `speed` of virtio_net_config where there is none to tell (virtio 1.3 section 5.1.4).
const SPEED_UNKNOWN: u32 = u32::MAX;

/// Shortest frame that is injected or comes over a wire: an Ethernet header.
pub(crate) const SHORTEST_FRAME: usize = 14;
/// Bytes of a frame besides its payload, at most: an Ethernet header and an 802.1Q tag.
const LONGEST_HEADER: usize = 18;

/// Longest frame with that MTU, in bytes.
fn longest_frame(mtu: u16) -> usize {
    usize::from(mtu).saturating_add(LONGEST_HEADER)
}

/// The queues that the device offers, in the order of their virtqueues.
pub(crate) fn offered() -> impl DoubleEndedIterator<Item = QueueId> + Clone {
    QueueId::all(1)
}

/// The device cannot take that many frames now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{} frames of {} bytes together do not fit: {} of {} bytes can wait now", wanted.0, wanted.1, room.0, room.1)]
pub(crate) struct NoRoom {
    /// Frames, and bytes in them.
    wanted: (usize, usize),
    room: (usize, usize),
}

/// The guest does not learn of a change of the configuration.
#[derive(Debug, Error)]
pub(crate) enum NotTold {
    /// It has not changed.
    #[error("the front end takes no configuration interrupts (VHOST_USER_PROTOCOL_F_BACKEND_REQ)")]
    NoChannel,
    /// It has changed all the same.
    #[error("the front end does not read its channel: {0}")]
    Unread(std::io::Error),
}

/// The NIC.
pub(crate) struct Nic {
    mac: [u8; 6],
    mtu: u16,
    config: Mutex<ConfigSpace>,
    /// In the order of their virtqueues.
    queues: Vec<Arc<Slot>>,
    ether: Ether,
    clock: Clock,
    polling: Polling,
    memory: Memory,
    connected: AtomicBool,
    faults: Mutex<DeviceFaults>,
    /// Where a change of the configuration is told.
    channel: Mutex<Option<Channel>>,
    stop: Arc<Stop>,
    trace: Option<Arc<Trace>>,
}

impl Nic {
    /// The NIC that the command line describes; `stop` is asked when it is of no use any more.
    pub(crate) fn new(
        cli: &Cli,
        far: Far,
        capture: Option<Capture>,
        trace: Option<Trace>,
        stop: Arc<Stop>,
    ) -> Arc<Nic> {
        let trace = trace.map(Arc::new);
        let caps = Caps::ALL.with_tx_cancel(!cli.no_cancel);
        let (speed, megabits) = match cli.speed {
            Speed::Unlimited => (LinkSpeed::Unlimited, SPEED_UNKNOWN),
            Speed::BitsPerSecond(speed) => (
                NonZeroU64::new(speed).map_or(LinkSpeed::Unlimited, LinkSpeed::BitsPerSecond),
                u32::try_from(speed.div_ceil(1_000_000)).unwrap_or(SPEED_UNKNOWN),
            ),
        };
        let settings = Settings {
            caps,
            judged: cli.judge == Judging::On,
            fifo_depth: cli.fifo_depth,
            link: Link::new(speed),
            pending_limit: usize::try_from(MOST_WAITING).unwrap_or(usize::MAX),
            pending_bytes: MOST_BYTES,
            longest: longest_frame(cli.mtu),
        };
        let queues: Vec<Queue> = offered().map(|queue| Queue::new(queue, &settings)).collect();
        let net =
            NetConfig { mac: cli.mac.0, link_up: true, mtu: cli.mtu, speed: megabits, full_duplex: true };
        let config = ConfigSpace::new(&net, caps, queues.iter().map(|queue| (queue.id(), queue.status())));
        Arc::new(Nic {
            mac: cli.mac.0,
            mtu: cli.mtu,
            config: Mutex::new(config),
            queues: queues.into_iter().map(|queue| Arc::new(Slot::new(queue, trace.clone()))).collect(),
            ether: Ether::new(far, capture),
            clock: Clock::new(cli.clock == ClockKind::Manual),
            polling: Polling::new(cli.poll),
            memory: Memory::new(GuestMemoryMmap::new()),
            connected: AtomicBool::new(false),
            faults: Mutex::default(),
            channel: Mutex::new(None),
            stop,
            trace,
        })
    }

    fn config(&self) -> MutexGuard<'_, ConfigSpace> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, DeviceFaults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Guest memory as it is shared now; empty before a front end has shared any. Taken under a queue's
    /// lock and given up with it.
    fn memory(&self) -> GuestMemoryLoadGuard<GuestMemoryMmap<()>> {
        self.memory.memory()
    }

    /// The front end shares this memory from now on, and no other.
    pub(crate) fn share_memory(&self, memory: GuestMemoryMmap<()>) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).replace(memory);
    }

    /// Somebody marks this moment in the trace.
    pub(crate) fn mark(&self, text: &str) {
        if let Some(trace) = &self.trace {
            trace.mark(trace::DEVICE, text, json!({}));
        }
    }

    /// The NIC's address.
    pub(crate) fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Longest frame that is sent or injected, in bytes.
    pub(crate) fn longest_frame(&self) -> usize {
        longest_frame(self.mtu)
    }

    /// Whether a front end is there.
    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::SeqCst);
    }

    /// Whether the guest has set up any queue.
    fn is_in_service(&self) -> bool {
        self.queues.iter().any(|slot| self.queue(slot.id()).is_some_and(|queue| queue.in_service))
    }

    fn channel(&self) -> MutexGuard<'_, Option<Channel>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The front end takes changes of the configuration there, or nowhere.
    pub(crate) fn set_channel(&self, channel: Option<Channel>) {
        *self.channel() = channel;
    }

    /// Whether there is a link from now on; the guest is interrupted if that is a change and its driver is there: one that
    /// is not reads the state when it starts. Frames go on: gates hold them; a wire that leads out of this process loses them.
    pub(crate) fn set_link(&self, up: bool) -> Result<(), NotTold> {
        let channel = self.channel();
        if channel.is_none() && self.connected.load(Ordering::SeqCst) {
            return Err(NotTold::NoChannel);
        }
        let changed = self.config().set_link(up);
        if let Some(outside) = self.outside() {
            outside.set_up(up);
        }
        match &*channel {
            Some(channel) if changed && self.is_in_service() => {
                channel.config_changed().map_err(NotTold::Unread)
            }
            _ => Ok(()),
        }
    }

    /// The wire, if it leads out of this process.
    pub(crate) fn outside(&self) -> Option<&Outside> {
        self.ether.outside()
    }

    /// Takes in what comes over that wire. For one thread.
    pub(crate) fn receive_from_outside(&self) {
        let Some(outside) = self.outside() else { return };
        outside.receive_all(self.longest_frame(), |frame| {
            self.ether.arrives(QueueId::RX0, frame);
            self.run(QueueId::RX0);
        });
    }

    /// `size` bytes of the configuration space from `offset`.
    pub(crate) fn read_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let bytes = self.config().read(offset, size);
        if self.faults().registers.strikes() { vec![0xff; bytes.len()] } else { bytes }
    }

    /// The queue's slot, if the device offers it.
    fn slot(&self, queue: QueueId) -> Option<&Arc<Slot>> {
        self.queues.get(usize::from(queue.virtqueue()))
    }

    /// The guest has written `bytes` at `offset`. Commands are carried out before this returns: it never
    /// waits for a gate, for wire time or for the guest. For the thread that answers the front end.
    pub(crate) fn write_config(&self, offset: u32, bytes: &[u8]) {
        if self.faults().registers.left > 0 {
            return;
        }
        let Written { commands, misuses } = self.config().write(offset, bytes);
        for Misuse { queue, rule } in misuses {
            let Some(slot) = self.slot(queue) else { continue };
            let mut state = slot.lock();
            state.queue.note(rule, self.clock.now());
            state.follow();
        }
        for command in commands {
            self.command(command);
        }
    }

    fn command(&self, Command { queue, word }: Command) {
        tracing::debug!(%queue, ?word, "command");
        let Some(slot) = self.slot(queue) else { return };
        let mut state = slot.lock();
        if queue.direction() == Direction::Tx && word.op() == Some(Op::Cancel) {
            self.ether.cancel_begins(queue, word.seq(), state.queue.status().read());
        }
        state.command(word, |state| {
            let State { queue, hand, .. } = state;
            queue.command(&*self.memory(), self.clock.now(), word, &mut self.ether.line(hand))
        });
        self.run_briefly(state);
    }

    /// The guest has accepted `features`: the judges hold it to them.
    pub(crate) fn negotiated(&self, features: u64) {
        let negotiated = Negotiated::new(features, self.mtu);
        self.queues.iter().for_each(|slot| slot.lock().queue.negotiated(negotiated));
    }

    /// Whether wire time passes only when told.
    pub(crate) fn clock_is_manual(&self) -> bool {
        self.clock.is_manual()
    }

    /// Wire time, in microseconds.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.clock.now().as_micros()).unwrap_or(u64::MAX)
    }

    /// Lets `us` microseconds pass; the new time, or `None` if the clock is real.
    pub(crate) fn advance(&self, us: u64) -> Option<u64> {
        self.clock.advance(Duration::from_micros(us))?;
        self.wire_time_passed();
        Some(self.now_us())
    }

    /// Opens or closes a gate that `queue` has.
    pub(crate) fn set_gate(&self, queue: QueueId, gate: Gate, open: bool) {
        let Some(slot) = self.slot(queue) else { return };
        let mut state = slot.lock();
        state.queue.set_gate(gate, open, self.clock.now());
        self.run_locked(slot, state);
    }

    /// Lets `count` pieces through a closed gate that `queue` has.
    pub(crate) fn step_gate(&self, queue: QueueId, gate: Gate, count: u64) {
        let Some(slot) = self.slot(queue) else { return };
        let mut state = slot.lock();
        state.queue.step_gate(gate, count, self.clock.now());
        self.run_locked(slot, state);
    }

    /// Frames arrive for the guest at `queue`: all of them, or none if they do not fit.
    pub(crate) fn inject(&self, queue: QueueId, frames: Vec<Vec<u8>>) -> Result<(), NoRoom> {
        let wanted = (frames.len(), frames.iter().map(Vec::len).sum());
        let Some(slot) = self.slot(queue) else { return Err(NoRoom { wanted, room: (0, 0) }) };
        let mut state = slot.lock();
        let room = state.queue.room();
        if wanted.0 > room.0 || wanted.1 > room.1 {
            return Err(NoRoom { wanted, room });
        }
        for frame in frames {
            let _fits: bool = state.queue.inject(frame);
        }
        self.run_locked(slot, state);
        Ok(())
    }
}
