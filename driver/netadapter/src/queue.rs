//! Packet queues: NetAdapterCx's callbacks, passed on to cancelnic-core.
//!
//! A queue's callbacks never run at the same time; those of different queues do. EvtStart and EvtStop run at PASSIVE_LEVEL,
//! EvtAdvance and EvtSetNotificationEnabled at most at DISPATCH_LEVEL, EvtCancel at either: nothing here waits.
//!
//! What the callbacks do is written once, in [`Call`]; `tx_cancel`, `rx_advance` and so on are the names under which
//! NetAdapterCx, a debugger and a stack know them.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicPtr, Ordering},
};

use cancelnic_core::{
    Notify, Outcome,
    counters::Counters as _,
    queue::{Flow, Options, PAIRS, Queue},
    rx::Receive,
    trace::{Event, Progress},
    tx::Transmit,
};
use cancelnic_ioctl::nic::Ring;
use cancelnic_kernel::{
    kmdf::context::{self, Context, ContextType},
    print::{self, Level},
};
use cancelnic_registers::QueueId;
use netadaptercx_sys::*;
use wdk_sys::{
    NTSTATUS, PFN_WDF_OBJECT_CONTEXT_CLEANUP, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS, WDFOBJECT,
};

use crate::{
    adapter,
    anchor::ANCHOR,
    context::DeviceContext,
    failure,
    hardware::Hardware,
    io::Counts,
    misbehave,
    packet_queue::{Init, PacketQueue},
};

/// A packet queue's context.
pub(crate) struct QueueContext<D: Flow + 'static> {
    /// Null until the queue is complete, as the framework zeroes contexts.
    device: *const DeviceContext,
    queue: UnsafeCell<Queue<'static, 'static, D>>,
}

/// The contexts of a device's packet queues while these exist, by pair, null otherwise. Nothing in the driver goes this
/// way: it is the debugger's.
#[derive(Default)]
pub(crate) struct PacketQueues {
    tx: [AtomicPtr<QueueContext<Transmit>>; PAIRS as usize],
    rx: [AtomicPtr<QueueContext<Receive>>; PAIRS as usize],
}

/// A direction as the glue needs it.
trait Side: Flow<Counters: Into<Counts>> + 'static {
    /// The callbacks of its queues.
    const CALLBACKS: NET_PACKET_QUEUE_CONFIG;
    /// What its queues' objects end with.
    const CLEANUP: PFN_WDF_OBJECT_CONTEXT_CLEANUP;

    /// The type of its queues' contexts.
    fn context_type() -> &'static ContextType;

    /// Where the debugger finds its queues.
    fn places(queues: &PacketQueues) -> &[AtomicPtr<QueueContext<Self>>];
}

static TX_CONTEXT: ContextType =
    ContextType::new::<QueueContext<Transmit>>(c"TxQueueContext", &raw const TX_CONTEXT);
static RX_CONTEXT: ContextType =
    ContextType::new::<QueueContext<Receive>>(c"RxQueueContext", &raw const RX_CONTEXT);

impl Side for Transmit {
    const CALLBACKS: NET_PACKET_QUEUE_CONFIG = NET_PACKET_QUEUE_CONFIG {
        EvtStart: Some(tx_start),
        EvtStop: Some(tx_stop),
        ..NET_PACKET_QUEUE_CONFIG_INIT(Some(tx_advance), Some(tx_set_notification_enabled), Some(tx_cancel))
    };
    const CLEANUP: PFN_WDF_OBJECT_CONTEXT_CLEANUP = Some(tx_cleanup);

    fn context_type() -> &'static ContextType {
        &TX_CONTEXT
    }

    fn places(queues: &PacketQueues) -> &[AtomicPtr<QueueContext<Self>>] {
        &queues.tx
    }
}

impl Side for Receive {
    const CALLBACKS: NET_PACKET_QUEUE_CONFIG = NET_PACKET_QUEUE_CONFIG {
        EvtStart: Some(rx_start),
        EvtStop: Some(rx_stop),
        ..NET_PACKET_QUEUE_CONFIG_INIT(Some(rx_advance), Some(rx_set_notification_enabled), Some(rx_cancel))
    };
    const CLEANUP: PFN_WDF_OBJECT_CONTEXT_CLEANUP = Some(rx_cleanup);

    fn context_type() -> &'static ContextType {
        &RX_CONTEXT
    }

    fn places(queues: &PacketQueues) -> &[AtomicPtr<QueueContext<Self>>] {
        &queues.rx
    }
}

// SAFETY: a static for each direction, made for this type.
unsafe impl<D: Side> Context for QueueContext<D> {
    fn context_type() -> &'static ContextType {
        D::context_type()
    }
}

/// What a callback of one queue works with.
struct Call<D: Flow + 'static> {
    device: &'static DeviceContext,
    hardware: &'static Hardware,
    queue: &'static mut Queue<'static, 'static, D>,
    id: QueueId,
    handle: PacketQueue,
}

impl<D: Side> Call<D> {
    /// The parts of the queue `handle`.
    ///
    /// # Safety
    /// `handle` is the argument of a callback of this queue that runs now; the value is used in it only.
    unsafe fn of(handle: NETPACKETQUEUE) -> Self {
        // SAFETY: NetAdapterCx calls back only queues whose creation has succeeded, with their context filled in.
        let context: &QueueContext<D> = unsafe { context::get(handle.cast()) };
        // SAFETY: the device outlives its queues.
        let device = unsafe { &*context.device };
        // SAFETY: callbacks of one queue do not overlap, so nobody else has this reference.
        let queue = unsafe { &mut *context.queue.get() };
        let Some(hardware) = device.hardware() else { panic!("a packet queue without hardware") };
        let id = queue.id();
        // SAFETY: the callback's own queue, used in the callback, or by `Wakes` from EvtStart to EvtStop.
        let handle = unsafe { PacketQueue::of_callback(id, handle) };
        Self { device, hardware, queue, id, handle }
    }

    fn progress(&self) -> Progress {
        self.queue.counters().progress()
    }

    /// Records an event of this queue for the debugger.
    fn record(&self, event: Event) {
        ANCHOR.record_queue(event, self.device, self.id, self.progress());
    }

    /// Notes how the queue stands at the end of a callback; `started`: between EvtStart and EvtStop.
    fn observe(&self, started: bool) {
        let [elements, begin, next, end] = self.queue.packet_ring();
        let ring = Ring { started: started.into(), elements, begin, next, end, reserved: 0 };
        self.device.interface.observe(self.id, self.queue.counters().into(), ring);
    }

    /// Does what a callback's outcome asks for.
    fn apply(&self, outcome: Outcome) {
        self.observe(true);
        self.device.watchdog.note(self.id, outcome.waiting);
        if let Some(fault) = outcome.fault {
            failure::give_up(self.device, format_args!("{fault}"));
        }
    }

    /// EvtStart: the queue begins a life. PASSIVE_LEVEL.
    fn start(self) {
        self.device.wakes.start(self.id, self.handle);
        let outcome = self.queue.start(self.hardware);
        self.record(Event::Start);
        self.apply(outcome);
    }

    /// EvtAdvance: moves packets. At most DISPATCH_LEVEL.
    fn advance(self) {
        let before = self.progress();
        let outcome = self.queue.advance(self.hardware, &self.hardware.doorbell(self.id));
        if self.progress() != before {
            self.record(Event::Advance);
        }
        self.apply(outcome);
    }

    /// EvtSetNotificationEnabled: the queue waits for an interrupt. Only ever called with TRUE. At most DISPATCH_LEVEL.
    fn set_notification_enabled(self, enabled: u8) {
        if enabled == 0 {
            self.device.wakes.signals(self.id).disarm();
            return;
        }
        let outcome = self.queue.set_notification_enabled(self.hardware, &Wakeup(self.handle));
        self.record(Event::Armed);
        self.apply(outcome);
    }

    /// EvtCancel: everything on the queue is to come back. At most DISPATCH_LEVEL.
    fn cancel(self) {
        self.record(Event::Cancel);
        misbehave::in_cancel(&self.device.mutant);
        let outcome = self.queue.cancel(self.hardware);
        self.record(Event::CancelReturned);
        self.apply(outcome);
        self.device.interface.queue_cancelled(self.id);
    }

    /// EvtStop: the queue's life ends; nothing is outstanding. PASSIVE_LEVEL.
    fn stop(self) {
        self.device.wakes.stop(self.id);
        print::line(Level::Info, format_args!("{}", self.queue.stop()));
        self.observe(false);
        self.record(Event::Stop);
    }
}

/// The wake-up call of one queue.
struct Wakeup(PacketQueue);

impl Notify for Wakeup {
    fn notify(&self) {
        self.0.notify();
    }
}

/// NetAdapterCx wants a queue. PASSIVE_LEVEL.
///
/// # Safety
/// Called in the callback that `init` belongs to, for an adapter of this driver.
unsafe fn create<D: Side>(adapter: NETADAPTER, init: Init) -> Result<(), NTSTATUS> {
    // SAFETY: the caller vouches for the adapter, which was made by `adapter::create`.
    let device = unsafe { adapter::device_of(adapter) };
    let id = init.id().filter(|id| id.pair() < PAIRS).ok_or(STATUS_INVALID_PARAMETER)?;
    let mut attributes = context::attributes::<QueueContext<D>>();
    attributes.EvtCleanupCallback = D::CLEANUP;
    // SAFETY: in a context of zeros the device is null, which `cleanup` heeds; nothing else looks before it is filled in.
    let handle = unsafe { PacketQueue::create(init, id, D::CALLBACKS, attributes) }?;
    let rings = handle.rings()?;
    let virtqueue = device.virtqueues.take(id).ok_or(STATUS_INVALID_DEVICE_STATE)?;
    let options = Options { caps: device.caps(), form: device.cancel_form, mutant: device.mutant.clone() };
    let queue = Queue::<D>::new(id.pair(), virtqueue, rings, device.wakes.signals(id), options)
        .ok_or(STATUS_INVALID_PARAMETER)?;
    // SAFETY: the queue was just made with this context.
    let context = unsafe { context::address::<QueueContext<D>>(handle.object()) };
    // SAFETY: the context's own memory; nobody reads it before this callback returns.
    unsafe { context.write(QueueContext { device, queue: UnsafeCell::new(queue) }) };
    show::<D>(device, id, context);
    ANCHOR.record_queue(Event::QueueCreated, device, id, Progress::default());
    Ok(())
}

/// Lets the debugger find a queue's context, or no longer.
fn show<D: Side>(device: &DeviceContext, id: QueueId, context: *mut QueueContext<D>) {
    if let Some(place) = D::places(&device.queues).get(usize::from(id.pair())) {
        place.store(context, Ordering::Release);
    }
}

/// A queue is deleted: its virtqueue is free again. PASSIVE_LEVEL.
///
/// # Safety
/// Called in the cleanup of a packet queue in this direction.
unsafe fn cleanup<D: Side>(queue: WDFOBJECT) {
    // SAFETY: the object has this context until after this callback.
    let context = unsafe { context::address::<QueueContext<D>>(queue) };
    // SAFETY: the context's own memory.
    let device = unsafe { &raw const (*context).device };
    // SAFETY: filled in by `create`, or zeros as the framework made it: then the device is null.
    let device = unsafe { device.read() };
    // SAFETY: the device outlives its queues.
    let Some(device) = (unsafe { device.as_ref() }) else { return };
    // SAFETY: filled in, and never looked at again: no callback of a queue comes after its cleanup.
    let QueueContext { queue, .. } = unsafe { context.read() };
    let queue = queue.into_inner();
    let id = queue.id();
    show::<D>(device, id, core::ptr::null_mut());
    ANCHOR.record_queue(Event::QueueDestroyed, device, id, queue.counters().progress());
    device.virtqueues.give_back(id, queue.into_virtqueue());
}

/// A result as NetAdapterCx takes it.
fn status(result: Result<(), NTSTATUS>) -> NTSTATUS {
    result.err().unwrap_or(STATUS_SUCCESS)
}

/// EvtAdapterCreateTxQueue. PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn evt_create_tx_queue(
    adapter: NETADAPTER,
    init: PNETTXQUEUE_INIT,
) -> NTSTATUS {
    // SAFETY: this callback's own arguments.
    status(unsafe { create::<Transmit>(adapter, Init::Tx(init)) })
}

/// EvtAdapterCreateRxQueue. PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn evt_create_rx_queue(
    adapter: NETADAPTER,
    init: PNETRXQUEUE_INIT,
) -> NTSTATUS {
    // SAFETY: this callback's own arguments.
    status(unsafe { create::<Receive>(adapter, Init::Rx(init)) })
}

unsafe extern "C" fn tx_cleanup(queue: WDFOBJECT) {
    // SAFETY: set for the objects of transmit queues only.
    unsafe { cleanup::<Transmit>(queue) };
}

unsafe extern "C" fn rx_cleanup(queue: WDFOBJECT) {
    // SAFETY: set for the objects of receive queues only.
    unsafe { cleanup::<Receive>(queue) };
}

unsafe extern "win64" fn tx_start(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Transmit>::of(queue) }.start();
}

unsafe extern "win64" fn rx_start(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Receive>::of(queue) }.start();
}

unsafe extern "win64" fn tx_advance(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Transmit>::of(queue) }.advance();
}

unsafe extern "win64" fn rx_advance(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Receive>::of(queue) }.advance();
}

unsafe extern "win64" fn tx_set_notification_enabled(queue: NETPACKETQUEUE, enabled: u8) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Transmit>::of(queue) }.set_notification_enabled(enabled);
}

unsafe extern "win64" fn rx_set_notification_enabled(queue: NETPACKETQUEUE, enabled: u8) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Receive>::of(queue) }.set_notification_enabled(enabled);
}

unsafe extern "win64" fn tx_cancel(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Transmit>::of(queue) }.cancel();
}

unsafe extern "win64" fn rx_cancel(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Receive>::of(queue) }.cancel();
}

unsafe extern "win64" fn tx_stop(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Transmit>::of(queue) }.stop();
}

unsafe extern "win64" fn rx_stop(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    unsafe { Call::<Receive>::of(queue) }.stop();
}
