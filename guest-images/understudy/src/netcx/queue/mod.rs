//! Packet queues: creation, the rings' layout, and the driver's callbacks with every check around them.
//!
//! Rules: CX3, CX7, CX9 (`driver/docs/netadaptercx.md`).

mod poll;
mod sleep;

use super::ec::{Client, Ec, Mode, Task};
use super::ring::RingMemory;
use super::watch;
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::{BugCheck, trace};
use crate::wdf::object::Typed;
use agent_protocol::{QueueReport, QueueView};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use cancelnic_registers::Direction;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use netadaptercx_sys::{NET_PACKET_QUEUE_CONFIG, NET_RING_COLLECTION, NETPACKETQUEUE};
use understudy_rules::netcx::arms::Arms;
use understudy_rules::netcx::element::{Fragment, Packet};
use understudy_rules::netcx::hang::{self, Parts};
use understudy_rules::netcx::unseen::Unseen;
use understudy_rules::netcx::verifier::{self, Snapshot};

/// What EvtAdapterCreateTxQueue or ...RxQueue gets; gone when it returns.
pub(crate) struct QueueInit {
    /// Which way.
    pub direction: Direction,
    /// NET...QueueInitGetQueueId.
    pub id: u32,
    /// Thread on which the queue must be created.
    pub thread: u64,
    /// What will be above the queue's rings.
    pub above: Arc<dyn Above>,
    /// The queue made from it: code 24 for a second one.
    pub made: IrqLock<Option<Arc<Queue>>>,
}

impl Typed for QueueInit {
    const KIND: &'static str = "NETPACKETQUEUE_INIT";
}

/// Where the extensions lie in a fragment element; NET_FRAGMENT itself is at 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FragmentLayout {
    /// NET_FRAGMENT_VIRTUAL_ADDRESS.
    pub virtual_address: usize,
    /// NET_FRAGMENT_LOGICAL_ADDRESS.
    pub logical_address: usize,
    /// Bytes of an element.
    pub stride: usize,
}

impl FragmentLayout {
    /// The order and distance differ with the seed: drivers must ask.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        match seed % 4 {
            0 => Self { virtual_address: 8, logical_address: 16, stride: 24 },
            1 => Self { virtual_address: 16, logical_address: 8, stride: 24 },
            2 => Self { virtual_address: 24, logical_address: 8, stride: 32 },
            _ => Self { virtual_address: 8, logical_address: 32, stride: 40 },
        }
    }
}

/// A broken rule: its name and where.
pub(crate) type Fault = (&'static str, String);

/// What stands above a queue's rings: it gives packets to the driver and takes them back.
pub(crate) trait Above: Send + Sync {
    /// Gives packets to the driver as far as there is room. Returns whether any was given.
    ///
    /// # Errors
    /// A buffer or what was to be sent is not as it was.
    fn fill(&self, queue: &Queue) -> Result<bool, Fault>;

    /// Accounts the packets and fragments just before the two BeginIndex, which have `moved` by so many. Returns how many
    /// receive buffers came back unused.
    ///
    /// # Errors
    /// A packet is not what it has to be.
    fn reap(&self, queue: &Queue, moved: (u32, u32)) -> Result<usize, Fault>;

    /// Takes what came back from above apart. Returns whether there was any.
    ///
    /// # Errors
    /// Some of it is not what it was.
    fn recycle(&self) -> Result<bool, Fault> {
        Ok(false)
    }

    /// Hands up what the rings have given, no more than the framework does in one poll; `over`: the rings are empty, and
    /// nothing more will be given to the driver. Returns whether there was any.
    fn hand_up(&self, over: bool) -> bool;

    /// Whether nothing is left that has to be handed up.
    fn is_settled(&self) -> bool {
        true
    }

    /// The queue is about to be stopped: books and buffers must agree.
    ///
    /// # Errors
    /// They do not.
    fn stopped(&self) -> Result<(), Fault>;

    /// What became of the queue's frames.
    fn report(&self, queue: &str) -> QueueReport;
}

/// A packet queue.
pub(crate) struct Queue {
    /// `tx0` or `rx0`.
    pub name: &'static str,
    /// Which way.
    pub direction: Direction,
    /// The driver's callbacks.
    pub config: NET_PACKET_QUEUE_CONFIG,
    /// Where fragments carry their addresses.
    pub layout: FragmentLayout,
    /// Packet ring.
    pub packets: RingMemory,
    /// Fragment ring.
    pub fragments: RingMemory,
    collection: Box<NET_RING_COLLECTION>,
    handle: AtomicU64,
    /// Its execution context.
    pub ec: Arc<Ec>,
    /// What is above its rings.
    pub above: Arc<dyn Above>,
    /// Advance and Cancel calls in this life: odd ones are raised under the verifier.
    calls: AtomicU32,
    /// SetNotificationEnabled has been called and no notification has come since, or the interrupt came between.
    arms: Arms,
    /// Completions that came while the queue slept.
    unseen: IrqLock<Unseen>,
    /// Address of the virtqueue's used ring in this life; 0: not known.
    used_ring: AtomicU64,
    /// EvtStart has returned and EvtStop has not been called.
    started: AtomicBool,
    /// EvtCancel has been called in this life.
    pub cancelled: AtomicBool,
    /// STATE as the last call of EvtAdvance or EvtCancel left it, where the device may still write the buffers.
    writing: IrqLock<Option<&'static str>>,
    /// As documented: after an unfinished Rx cancel no callback of this queue before the driver notifies.
    muted: AtomicBool,
    /// STATE has been seen not STOPPED since EvtStart.
    resumed: AtomicBool,
    /// Set when the rings are empty in [`Mode::Stopping`].
    pub ready: crate::ke::Event,
    /// Last callback, for the hang report.
    pub last: IrqLock<&'static str>,
}

impl Typed for Queue {
    const KIND: &'static str = "NETPACKETQUEUE";
}

// SAFETY: the configuration holds function pointers, the collection pointers to rings that the queue owns.
unsafe impl Send for Queue {}
// SAFETY: as above; everything that changes is atomic or behind a lock, but for the rings (see `RingMemory`).
unsafe impl Sync for Queue {}

impl Queue {
    /// A queue with its rings and execution context, not started.
    pub(crate) fn new(
        direction: Direction,
        config: NET_PACKET_QUEUE_CONFIG,
        adapter: &super::adapter::Adapter,
        above: Arc<dyn Above>,
    ) -> Arc<Self> {
        let seed = crate::settings::seed();
        let count = crate::settings::ring();
        let (name, salt) = if direction == Direction::Tx { ("tx0", 1) } else { ("rx0", 2) };
        let layout = FragmentLayout::new(seed.wrapping_add(salt));
        let packet_stride = if seed & 4 == 0 { 16 } else { 24 };
        let fragment_count = if direction == Direction::Tx { adapter.tx_fragment_ring(count) } else { count };
        let packets = RingMemory::new(count, packet_stride);
        let fragments = RingMemory::new(fragment_count, layout.stride);
        let collection = Box::new(NET_RING_COLLECTION {
            Rings: [packets.pointer(), fragments.pointer(), core::ptr::null_mut()],
        });
        let queue = Arc::new(Self {
            name,
            direction,
            config,
            layout,
            packets,
            fragments,
            collection,
            handle: AtomicU64::new(0),
            ec: Ec::new(name, seed.rotate_left(17 * salt as u32) ^ 0x9e37_79b9_7f4a_7c15),
            above,
            calls: AtomicU32::new(0),
            arms: Arms::new(),
            unseen: IrqLock::new(Unseen::new()),
            used_ring: AtomicU64::new(0),
            started: AtomicBool::new(false),
            cancelled: AtomicBool::new(false),
            writing: IrqLock::new(None),
            muted: AtomicBool::new(false),
            resumed: AtomicBool::new(true),
            ready: crate::ke::Event::manual(),
            last: IrqLock::new("none"),
        });
        let client: Arc<dyn Client> = queue.clone();
        queue.ec.attach(Arc::downgrade(&client));
        queue
    }

    /// The driver's handle.
    pub(crate) fn set_handle(&self, handle: u64) {
        self.handle.store(handle, Relaxed);
    }

    /// The driver's handle, raw.
    pub(crate) fn handle(&self) -> u64 {
        self.handle.load(Relaxed)
    }

    /// For the driver.
    pub(crate) fn collection(&self) -> *const NET_RING_COLLECTION {
        &raw const *self.collection
    }

    /// The queue as a report shows it.
    pub(crate) fn report(&self) -> QueueReport {
        self.above.report(self.name)
    }

    /// The queue down to its indices, as it is now.
    pub(crate) fn view(&self) -> QueueView {
        let (packets, fragments) = (self.packets.header(), self.fragments.header());
        let owned: Vec<Packet> = (0..packets.distance(packets.begin, packets.end))
            .map(|step| Packet::read(&self.packets.read(packets.begin.wrapping_add(step) & packets.mask)))
            .collect();
        let numbers: Vec<u64> = self.report().outstanding.iter().collect();
        let direction = self.direction;
        QueueView {
            queue: self.name.into(),
            last_callback: self.last.with(|last| *last).into(),
            polls: self.ec.polls(),
            asleep: self.ec.sleeps(),
            cancelled: self.started.load(Relaxed) && self.cancelled.load(Relaxed),
            device: watch::view(direction),
            ..hang::view(&Parts { direction, packets, fragments, owned: &owned, numbers: &numbers })
        }
    }

    /// A notification from the driver. Any IRQL.
    pub(crate) fn notify(&self) {
        if !self.started.load(Relaxed) {
            let place = format!("{}: the queue's handle was used after EvtStop", self.name);
            trace::stop(BugCheck::WDF_VIOLATION, [0; 4], "NotifyAfterStop", place);
        }
        let armed = self.arms.answer();
        // a cancelled queue may wait for the device by the driver's own means
        if !armed && !self.cancelled.load(Relaxed) && !watch::device_failed() {
            let place = format!("{}: no SetNotificationEnabled since the last one", self.name);
            trace::judge(BugCheck::WDF_VIOLATION, [0; 4], "NotifyWithoutArm", place);
        }
        self.muted.store(false, Relaxed);
        self.unseen.with(Unseen::awake);
        self.ec.wake();
    }

    /// Both rings as they are now.
    fn snapshot(&self) -> Snapshot {
        Snapshot { packets: self.packets.copy(), fragments: self.fragments.copy() }
    }

    /// Stops for a rule of this queue, in the name of its last callback.
    pub(crate) fn stop(&self, rule: &str, code: u32, place: String) -> ! {
        let callback = format!("{} {}", self.name, self.last.with(|last| *last));
        if code == 0 {
            trace::stop_in(callback, BugCheck::WDF_VIOLATION, [0; 4], rule, place)
        } else {
            trace::stop_in(callback, BugCheck::BUGCODE_NETADAPTER_DRIVER, [code.into(), 0, 0, 0], rule, place)
        }
    }

    /// Calls EvtAdvance or EvtCancel with the checks before and after. Returns how far BeginIndex moved in both rings.
    pub(crate) fn call(&self, what: &'static str) -> (u32, u32) {
        let callback = if what == "EvtCancel" { self.config.EvtCancel } else { self.config.EvtAdvance };
        let Some(callback) = callback else { return (0, 0) };
        let verify = crate::settings::verifier();
        let number = self.calls.fetch_add(1, Relaxed) + 1;
        let raise = verify && (what == "EvtCancel" || number % 2 == 1);
        let mut before = self.snapshot();
        if verify && self.direction == Direction::Rx {
            poison(&mut before);
        }
        self.last.with(|last| *last = what);
        let suspicion = self.note_used();
        let old = raise.then(|| crate::ke::raise(Irql::DISPATCH)).filter(|&old| old < Irql::DISPATCH);
        let handle = self.handle() as NETPACKETQUEUE;
        let call = || {
            // SAFETY: the driver's callback with its own handle; callbacks of one queue never run at the same time.
            unsafe { callback(handle) };
            // before the rig hears that the callback has returned, and lets the device go on
            self.note_writing();
        };
        trace::datapath_callback(self.name, what, call, || self.progress(&before));
        if let Some(old) = old {
            crate::ke::lower(old);
        }
        let after = self.snapshot();
        if let Err(broken) = verifier::check(self.direction, &before, &after) {
            self.judge_rings(what, broken);
        }
        let moved = |before: &verifier::Ring, after: &verifier::Ring| {
            before.header.distance(before.header.begin, after.header.begin)
        };
        let moved = (moved(&before.packets, &after.packets), moved(&before.fragments, &after.fragments));
        if let Some(suspicion) = suspicion {
            self.judge_wake_up(suspicion, moved.0);
        }
        moved
    }

    /// A ring check has failed: stops, or for a rule of ours as its level is.
    fn judge_rings(&self, what: &str, broken: verifier::Broken) {
        let place = format!("{} in {what}: {}", self.name, broken.place);
        if broken.code != 0 {
            self.stop(broken.rule, broken.code, place);
        }
        let callback = format!("{} {}", self.name, self.last.with(|last| *last));
        trace::judge_in(callback, BugCheck::WDF_VIOLATION, [0; 4], broken.rule, place);
    }

    /// Whether the call moved an index that a report wants to see.
    fn progress(&self, before: &Snapshot) -> bool {
        let now = self.packets.header();
        now.begin != before.packets.header.begin || now.next != before.packets.header.next
    }

    /// Whether the driver holds nothing any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.held() == 0 && (self.direction == Direction::Tx || self.fragments.held() == 0)
    }

    /// A callback of a cancelled queue has returned: notes whether the device may still write its receive buffers.
    fn note_writing(&self) {
        let looks = self.direction == Direction::Rx && self.cancelled.load(Relaxed);
        let writing = if looks { watch::may_write(self.direction) } else { None };
        self.writing.with(|slot| *slot = writing);
    }

    /// After a call of EvtCancel or EvtAdvance that gave back receive buffers unused: could the device still write them?
    fn require_quiet(&self, what: &str, ignored: usize) {
        if ignored != 0
            && let Some(state) = self.writing.with(|writing| *writing)
        {
            self.stop(
                "RxBufferReturnedEarly",
                0,
                format!(
                    "{} in {what}: {ignored} buffers returned while the device's STATE is {state}",
                    self.name
                ),
            );
        }
    }

    /// Accounts what a call gave back.
    fn reap(&self, what: &str, moved: (u32, u32)) -> bool {
        let result = self.above.reap(self, moved);
        match result {
            Ok(ignored) => self.require_quiet(what, ignored),
            Err((rule, place)) => self.stop(rule, 0, format!("{} in {what}: {place}", self.name)),
        }
        moved != (0, 0)
    }

    fn fill(&self) -> bool {
        let filled = self.above.fill(self);
        filled.unwrap_or_else(|(rule, place)| self.stop(rule, 0, format!("{}: {place}", self.name)))
    }

    /// Runs one of the three lifecycle callbacks.
    fn lifecycle(&self, what: &'static str, callback: netadaptercx_sys::PFN_PACKET_QUEUE_START) {
        self.last.with(|last| *last = what);
        let Some(callback) = callback else { return };
        let handle = self.handle() as NETPACKETQUEUE;
        // SAFETY: the driver's callback with its own handle, on the queue's worker at PASSIVE_LEVEL.
        trace::callback(self.name, what, || unsafe { callback(handle) });
    }
}

/// The framework's verifier poisons the whole of the driver's range in its copy.
fn poison(snapshot: &mut Snapshot) {
    let header = snapshot.packets.header;
    for step in 0..header.distance(header.begin, header.end) {
        let index = header.begin.wrapping_add(step) & header.mask;
        let packet = snapshot.packet(index).poisoned();
        let at = index as usize * usize::from(header.stride);
        packet.write(&mut snapshot.packets.bytes[at..]);
    }
}

impl Queue {
    /// Sets the rings to zero and calls EvtStart. PnP thread, PASSIVE_LEVEL.
    pub(crate) fn start(&self) {
        self.packets.restart();
        self.fragments.restart();
        self.cancelled.store(false, Relaxed);
        self.muted.store(false, Relaxed);
        self.ready.reset();
        self.ec.run_task(Task::Start);
        self.ec.set_mode(Mode::Running);
        self.ec.wake();
    }

    /// Zeroed element as the framework gives it: packets are cleared with their extensions.
    pub(crate) fn clear_packet(&self, index: u32, packet: Packet) {
        self.packets.edit(index, |element| {
            element.fill(0);
            packet.write(element);
        });
    }

    /// A fragment with its two addresses.
    pub(crate) fn write_fragment(&self, index: u32, fragment: Fragment, place: (usize, u64)) {
        let layout = self.layout;
        self.fragments.edit(index, |element| {
            element.fill(0);
            fragment.write(element);
            element[layout.virtual_address..][..8].copy_from_slice(&(place.0 as u64).to_le_bytes());
            element[layout.logical_address..][..8].copy_from_slice(&place.1.to_le_bytes());
        });
    }
}
