//! The NIC in this process: the model's queues, each behind its own lock, joined to guest memory, call
//! descriptors, the clock, the wire and the capture. Who may call: any thread, except where it says more.
//!
//! Order of locks: a transmit queue, then a receive queue, then loopback frames or capture; never back.

mod clock;
mod queue;
mod report;
mod service;
mod wire;

use std::num::NonZeroU64;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use cancelnic_model::{
    Command, ConfigSpace, Link, Misuse, NetConfig, RxQueue, RxSettings, Speed as LinkSpeed, TxGate, TxQueue,
    TxSettings,
};
use cancelnic_registers::{Caps, Direction, Op};
use serde_json::json;
use thiserror::Error;
use vm_memory::{GuestAddressSpace, GuestMemoryLoadGuard, GuestMemoryMmap};

use crate::capture::Capture;
use crate::cli::{Cli, ClockKind, Judging, Speed};
use crate::stop::Stop;
use crate::trace::{self, Trace};
use crate::vring::Memory;

use clock::Clock;
use queue::Slot;
pub use queue::trace_rows;
use wire::Ether;

/// Turns that a thread does for itself before it leaves the rest to the wire-time thread: a guest that
/// publishes as fast as we fetch must not hold the thread that answers its registers.
const TURNS: usize = 8;
/// Frames that can wait for receive buffers; more are dropped.
pub const PENDING_LIMIT: usize = 4096;
/// `speed` of virtio_net_config where there is none to tell (virtio 1.3 section 5.1.4).
const SPEED_UNKNOWN: u32 = u32::MAX;

/// A queue, in the order of virtio's queue indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueId {
    /// Receive queue 0.
    Rx0,
    /// Transmit queue 0.
    Tx0,
}

impl QueueId {
    /// All queues, by index.
    pub const ALL: [QueueId; 2] = [QueueId::Rx0, QueueId::Tx0];

    /// Its name on the control socket.
    pub fn name(self) -> &'static str {
        match self {
            QueueId::Rx0 => "rx0",
            QueueId::Tx0 => "tx0",
        }
    }

    /// The gates it has.
    pub fn gates(self) -> &'static [Gate] {
        match self {
            QueueId::Rx0 => &[Gate::RxWrite],
            QueueId::Tx0 => &[Gate::Fetch, Gate::Wire, Gate::Complete],
        }
    }
}

/// A place where frames can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Between the available ring and the FIFO.
    Fetch,
    /// Before the wire.
    Wire,
    /// Between the wire and the used ring.
    Complete,
    /// In the middle of writing a frame into its buffer.
    RxWrite,
}

impl Gate {
    /// Its name on the control socket.
    pub fn name(self) -> &'static str {
        match self {
            Gate::Fetch => "fetch",
            Gate::Wire => "wire",
            Gate::Complete => "complete",
            Gate::RxWrite => "rx-write",
        }
    }
}

/// The device cannot take that many frames now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{wanted} frames do not fit: {room} can wait now")]
pub struct NoRoom {
    wanted: usize,
    room: usize,
}

/// The NIC.
pub struct Nic {
    mac: [u8; 6],
    mtu: u16,
    config: Mutex<ConfigSpace>,
    tx: Slot<TxQueue>,
    rx: Slot<RxQueue>,
    ether: Ether,
    clock: Clock,
    memory: Memory,
    forget_doorbell: OnceLock<Box<dyn Fn(RawFd) + Send + Sync>>,
    connected: AtomicBool,
    stop: Arc<Stop>,
    trace: Option<Arc<Trace>>,
    /// Whether the queues have judges that watch.
    judge: bool,
}

impl Nic {
    /// The NIC that the command line describes; `stop` is asked when it is of no use any more.
    pub fn new(cli: &Cli, capture: Option<Capture>, trace: Option<Trace>, stop: Arc<Stop>) -> Arc<Nic> {
        let trace = trace.map(Arc::new);
        let caps = Caps::ALL.with_tx_cancel(!cli.no_cancel);
        let (speed, megabits) = match cli.speed {
            Speed::Unlimited => (LinkSpeed::Unlimited, SPEED_UNKNOWN),
            Speed::BitsPerSecond(speed) => (
                NonZeroU64::new(speed).map_or(LinkSpeed::Unlimited, LinkSpeed::BitsPerSecond),
                u32::try_from(speed.div_ceil(1_000_000)).unwrap_or(SPEED_UNKNOWN),
            ),
        };
        let link = Link::new(speed);
        let mut tx = TxQueue::new(TxSettings { pair: 0, fifo_depth: cli.fifo_depth, caps, link });
        let mut rx = RxQueue::new(RxSettings { pair: 0, pending_limit: PENDING_LIMIT, caps });
        tx.set_judged(cli.judge == Judging::On);
        rx.set_judged(cli.judge == Judging::On);
        let net =
            NetConfig { mac: cli.mac.0, link_up: true, mtu: cli.mtu, speed: megabits, full_duplex: true };
        let config = ConfigSpace::new(&net, caps, vec![tx.status()], vec![rx.status()]);
        Arc::new(Nic {
            mac: cli.mac.0,
            mtu: cli.mtu,
            config: Mutex::new(config),
            tx: Slot::new(QueueId::Tx0, tx, trace.clone()),
            rx: Slot::new(QueueId::Rx0, rx, trace.clone()),
            ether: Ether::new(cli.wire, capture),
            clock: Clock::new(cli.clock == ClockKind::Manual),
            memory: Memory::new(GuestMemoryMmap::new()),
            forget_doorbell: OnceLock::new(),
            connected: AtomicBool::new(false),
            stop,
            trace,
            judge: cli.judge == Judging::On,
        })
    }

    fn config(&self) -> MutexGuard<'_, ConfigSpace> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Guest memory as it is shared now; empty before a front end has shared any. Taken under a queue's
    /// lock and given up with it.
    fn memory(&self) -> GuestMemoryLoadGuard<GuestMemoryMmap<()>> {
        self.memory.memory()
    }

    /// Where the front end is to share the guest's memory.
    pub fn shared_memory(&self) -> &Memory {
        &self.memory
    }

    /// Somebody marks this moment in the trace.
    pub fn mark(&self, text: &str) {
        if let Some(trace) = &self.trace {
            trace.mark(trace::DEVICE, text, json!({}));
        }
    }

    /// The NIC's address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Largest payload of a frame, in bytes.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// Whether a front end is there.
    pub fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::SeqCst);
    }

    /// `size` bytes of the configuration space from `offset`.
    pub fn read_config(&self, offset: u32, size: u32) -> Vec<u8> {
        self.config().read(offset, size)
    }

    /// The guest has written `bytes` at `offset`. Commands are carried out before this returns: it never
    /// waits for a gate, for wire time or for the guest. For the vhost-user thread.
    pub fn write_config(&self, offset: u32, bytes: &[u8]) {
        let mut config = self.config();
        let commands = config.write(offset, bytes);
        let misuses = config.misuses();
        drop(config);
        for Misuse { direction, rule, .. } in misuses {
            match direction {
                Direction::Tx => {
                    let mut state = self.tx.lock();
                    state.queue.note(rule, self.clock.now());
                    state.follow();
                }
                Direction::Rx => {
                    let mut state = self.rx.lock();
                    state.queue.note(rule, self.clock.now());
                    state.follow();
                }
            }
        }
        for command in commands {
            self.command(command);
        }
    }

    fn command(&self, Command { direction, pair, word }: Command) {
        tracing::debug!(?direction, pair, ?word, "command");
        match direction {
            Direction::Tx => {
                let mut state = self.tx.lock();
                if word.op() == Some(Op::Cancel) {
                    self.ether.cancel_begins(word.seq(), state.queue.status().read());
                }
                state.command(word, |state| {
                    state.queue.command(&*self.memory(), self.clock.now(), word, &mut &self.ether)
                });
                drop(state);
                self.run_tx();
            }
            Direction::Rx => {
                let mut state = self.rx.lock();
                state.command(word, |state| state.queue.command(&*self.memory(), self.clock.now(), word));
                drop(state);
                self.run_rx();
            }
        }
    }

    /// The guest has rung a queue's doorbell.
    pub fn kick(&self, queue: QueueId) {
        self.run(queue);
    }

    /// A doorbell was really rung: the library also calls for queues that start. For the judge.
    fn rung(&self, queue: QueueId) {
        match queue {
            QueueId::Tx0 => {
                self.tx.lock().rung(|state| state.queue.rung(&*self.memory(), self.clock.now()));
            }
            QueueId::Rx0 => {
                self.rx.lock().rung(|state| state.queue.rung(&*self.memory(), self.clock.now()));
            }
        }
    }

    fn run(&self, queue: QueueId) {
        match queue {
            QueueId::Tx0 => self.run_tx(),
            QueueId::Rx0 => self.run_rx(),
        }
    }

    /// Lets the transmit queue do what there is to do, then hands over what came back on the wire.
    fn run_tx(&self) {
        for _ in 0..TURNS {
            let mut state = self.tx.lock();
            let now = self.clock.now();
            let turn = state.queue.run(&*self.memory(), now, &mut &self.ether);
            state.settle(&turn);
            drop(state);
            let due = turn.deadline.is_some_and(|deadline| deadline <= now);
            if let Some(deadline) = turn.deadline.filter(|_| !due) {
                self.clock.wake_at(deadline);
            }
            if !turn.again && !due {
                self.run_rx();
                return;
            }
            self.tx.give_way();
        }
        self.run_rx();
        self.clock.wake_at(Duration::ZERO);
    }

    fn run_rx(&self) {
        for _ in 0..TURNS {
            let mut state = self.rx.lock();
            for frame in self.ether.take_back() {
                // A frame without room is counted as dropped by the queue.
                let _fits: bool = state.queue.inject(frame);
            }
            let turn = state.queue.run(&*self.memory(), self.clock.now(), &mut &self.ether);
            state.settle(&turn);
            drop(state);
            if !turn.again {
                return;
            }
            self.rx.give_way();
        }
        self.clock.wake_at(Duration::ZERO);
    }

    /// Waits until wire time asks for a queue to be run. For the wire-time thread.
    pub fn wait_for_wire_time(&self) {
        self.clock.wait();
    }

    /// Runs what wire time asks for.
    pub fn wire_time_passed(&self) {
        self.run_tx();
    }

    /// Whether wire time passes only when told.
    pub fn clock_is_manual(&self) -> bool {
        self.clock.is_manual()
    }

    /// Wire time, in microseconds.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.clock.now().as_micros()).unwrap_or(u64::MAX)
    }

    /// Lets `us` microseconds pass; the new time, or `None` if the clock is real.
    pub fn advance(&self, us: u64) -> Option<u64> {
        self.clock.advance(Duration::from_micros(us))?;
        self.run_tx();
        Some(self.now_us())
    }

    /// Opens or closes a gate that `queue` has.
    pub fn set_gate(&self, queue: QueueId, gate: Gate, open: bool) {
        match tx_gate(gate) {
            Some(gate) => self.tx.lock().queue.set_gate(gate, open, self.clock.now()),
            None => self.rx.lock().queue.set_gate(open),
        }
        self.run(queue);
    }

    /// Lets `count` pieces through a closed gate that `queue` has.
    pub fn step_gate(&self, queue: QueueId, gate: Gate, count: u64) {
        match tx_gate(gate) {
            Some(gate) => self.tx.lock().queue.step_gate(gate, count, self.clock.now()),
            None => self.rx.lock().queue.step_gate(count),
        }
        self.run(queue);
    }

    /// Frames arrive for the guest: all of them, or none if they do not fit.
    pub fn inject(&self, frames: Vec<Vec<u8>>) -> Result<(), NoRoom> {
        let mut state = self.rx.lock();
        let (wanted, room) = (frames.len(), state.queue.room());
        if wanted > room {
            return Err(NoRoom { wanted, room });
        }
        for frame in frames {
            let _fits: bool = state.queue.inject(frame);
        }
        drop(state);
        self.run_rx();
        Ok(())
    }
}

/// The model's name for a gate of a transmit queue; the only other gate is a receive queue's.
fn tx_gate(gate: Gate) -> Option<TxGate> {
    match gate {
        Gate::Fetch => Some(TxGate::Fetch),
        Gate::Wire => Some(TxGate::Wire),
        Gate::Complete => Some(TxGate::Complete),
        Gate::RxWrite => None,
    }
}
