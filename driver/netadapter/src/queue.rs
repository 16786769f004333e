//! Packet queues: NetAdapterCx's callbacks, passed on to cancelnic-core.
//!
//! A queue's callbacks never run at the same time; those of the two queues do. EvtStart and EvtStop
//! run at PASSIVE_LEVEL, EvtAdvance and EvtSetNotificationEnabled at most at DISPATCH_LEVEL, EvtCancel
//! at either: nothing here waits.

use core::{
    cell::UnsafeCell,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, Ordering},
};

use cancelnic_core::{
    Notify, Outcome, Rings,
    rx::RxQueue,
    trace::{Event, Progress},
    tx::TxQueue,
    watchdog::Side,
};
use cancelnic_ioctl::nic::Ring;
use cancelnic_kernel::{
    check,
    kmdf::context::{self, Context, ContextType},
    print::{self, Level},
};
use netadaptercx_sys::*;
use wdk_sys::{NTSTATUS, STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, WDFOBJECT};

use crate::{
    adapter, anchor::ANCHOR, class::net, device::DeviceContext, hardware::Hardware, io::Observed, misbehave,
    wake, watchdog,
};

/// A packet queue's context.
pub struct QueueContext<Q: 'static> {
    /// Null until the queue is complete, as the framework zeroes contexts.
    device: *const DeviceContext,
    /// The packet ring, for those who ask how it stands.
    packets: *const NET_RING,
    queue: UnsafeCell<Q>,
}

/// A transmit queue over the first queue pair's virtqueue.
type Tx = TxQueue<'static, 'static>;
/// A receive queue over the first queue pair's virtqueue.
type Rx = RxQueue<'static, 'static>;

/// The contexts of a device's packet queues while these exist, null otherwise. Nothing in the driver goes this way: it
/// is the debugger's.
#[derive(Default)]
pub struct PacketQueues {
    tx: AtomicPtr<QueueContext<Tx>>,
    rx: AtomicPtr<QueueContext<Rx>>,
}

impl PacketQueues {
    fn forget(&self, side: Side) {
        match side {
            Side::Tx => self.tx.store(null_mut(), Ordering::Relaxed),
            Side::Rx => self.rx.store(null_mut(), Ordering::Relaxed),
        }
    }
}

static TX_CONTEXT: ContextType =
    ContextType::new::<QueueContext<Tx>>(c"TxQueueContext", &raw const TX_CONTEXT);
static RX_CONTEXT: ContextType =
    ContextType::new::<QueueContext<Rx>>(c"RxQueueContext", &raw const RX_CONTEXT);

// SAFETY: one static, made for this type.
unsafe impl Context for QueueContext<Tx> {
    fn context_type() -> &'static ContextType {
        &TX_CONTEXT
    }
}

// SAFETY: one static, made for this type.
unsafe impl Context for QueueContext<Rx> {
    fn context_type() -> &'static ContextType {
        &RX_CONTEXT
    }
}

/// What a callback of one queue works with.
struct Call<Q: 'static> {
    device: &'static DeviceContext,
    hardware: &'static Hardware,
    queue: &'static mut Q,
    packets: *const NET_RING,
    handle: NETPACKETQUEUE,
}

/// What a queue tells those who ask from outside.
trait Observe {
    /// Its counters, with the state of its packet ring.
    fn observe(&self, ring: Ring) -> Observed;
}

impl Observe for Tx {
    fn observe(&self, ring: Ring) -> Observed {
        Observed::Tx(self.counters(), ring)
    }
}

impl Observe for Rx {
    fn observe(&self, ring: Ring) -> Observed {
        Observed::Rx(self.counters(), ring)
    }
}

impl<Q: Observe> Call<Q>
where
    QueueContext<Q>: Context,
{
    /// The parts of the queue `handle`.
    ///
    /// # Safety
    /// `handle` is the argument of a callback of this queue that runs now; the value is used in it only.
    unsafe fn new(handle: NETPACKETQUEUE) -> Self {
        // SAFETY: the context was filled in when the queue was made; the device and its registers
        // outlive the queue; callbacks of one queue do not overlap, so the queue is ours alone.
        unsafe {
            let context: &QueueContext<Q> = context::get(handle.cast());
            let device = &*context.device;
            let Some(hardware) = device.hardware() else { panic!("a packet queue without hardware") };
            let queue = &mut *context.queue.get();
            Self { device, hardware, queue, packets: context.packets, handle }
        }
    }

    /// Records an event of this queue for the debugger.
    fn record(&self, event: Event, side: Side, progress: Progress) {
        ANCHOR.record_queue(event, self.device, side, progress);
    }

    /// Notes how the queue stands at the end of a callback; `started`: between EvtStart and EvtStop.
    fn observe(&self, started: bool) {
        // SAFETY: the framework's ring, as `Rings` found it; its indices move in callbacks of this queue only, but
        // for EndIndex, which the framework may move at any time.
        let ring = unsafe {
            Ring {
                started: started.into(),
                elements: (*self.packets).NumberOfElements,
                begin: (&raw const (*self.packets).BeginIndex).read_volatile(),
                next: (&raw const (*self.packets).NextIndex).read_volatile(),
                end: (&raw const (*self.packets).EndIndex).read_volatile(),
                reserved: 0,
            }
        };
        self.device.interface().observe(self.queue.observe(ring));
    }

    /// Does what a callback's outcome asks for.
    fn settle(&self, side: Side, outcome: Outcome) {
        self.observe(true);
        self.device.watchdog().note(side, outcome.waiting);
        if let Some(fault) = outcome.fault {
            watchdog::give_up(self.device, format_args!("{fault}"));
        }
    }
}

/// The wake-up call of one queue.
struct Wakeup(Side, NETPACKETQUEUE);

impl Notify for Wakeup {
    fn notify(&self) {
        wake::notify(self.0, self.1);
    }
}

/// The query for the fragments' addresses as the device sees them.
fn logical_addresses() -> NET_EXTENSION_QUERY {
    NET_EXTENSION_QUERY_INIT(
        &NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_NAME,
        NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_VERSION_1,
        NetExtensionTypeFragment,
    )
}

/// The framework wants the transmit queue. PASSIVE_LEVEL.
pub unsafe extern "win64" fn evt_create_tx_queue(adapter: NETADAPTER, init: PNETTXQUEUE_INIT) -> NTSTATUS {
    // SAFETY: the arguments are the framework's; what is passed by address lives over the calls.
    unsafe {
        let device = adapter::device_of(adapter);
        if net().NetTxQueueInitGetQueueId(init) != 0 {
            return STATUS_INVALID_PARAMETER;
        }
        let mut config = NET_PACKET_QUEUE_CONFIG_INIT(
            Some(tx_advance),
            Some(tx_set_notification_enabled),
            Some(tx_cancel),
        );
        config.EvtStart = Some(tx_start);
        config.EvtStop = Some(tx_stop);
        let mut attributes = context::attributes::<QueueContext<Tx>>();
        attributes.EvtCleanupCallback = Some(tx_cleanup);
        let mut queue = null_mut();
        if let Err(status) =
            check(net().NetTxQueueCreate(init, &raw mut attributes, &raw mut config, &raw mut queue))
        {
            return status;
        }
        let query = logical_addresses();
        let mut extension = NET_EXTENSION::absent();
        net().NetTxQueueGetExtension(queue, &raw const query, &raw mut extension);
        let collection = net().NetTxQueueGetRingCollection(queue);
        let Some(rings) = Rings::new(collection, extension) else {
            return STATUS_INVALID_PARAMETER;
        };
        let Some(virtqueue) = device.virtqueues().and_then(|virtqueues| virtqueues.take(Side::Tx)) else {
            return STATUS_INVALID_DEVICE_STATE;
        };
        let signals = device.wakes().signals(Side::Tx);
        let (form, mutant) = (device.cancel_form(), device.mutant().clone());
        let Some(tx) = TxQueue::new(virtqueue, rings, signals, 0, device.caps(), form, mutant) else {
            device.give_back(Side::Tx);
            return STATUS_INVALID_DEVICE_STATE;
        };
        let context = context::address::<QueueContext<Tx>>(queue.cast());
        context.write(QueueContext {
            device,
            packets: (*collection).Rings[NetRingTypePacket],
            queue: UnsafeCell::new(tx),
        });
        device.queues().tx.store(context, Ordering::Release);
        ANCHOR.record_queue(Event::QueueCreated, device, Side::Tx, Progress::default());
    }
    STATUS_SUCCESS
}

/// The framework wants the receive queue. PASSIVE_LEVEL.
pub unsafe extern "win64" fn evt_create_rx_queue(adapter: NETADAPTER, init: PNETRXQUEUE_INIT) -> NTSTATUS {
    // SAFETY: the arguments are the framework's; what is passed by address lives over the calls.
    unsafe {
        let device = adapter::device_of(adapter);
        if net().NetRxQueueInitGetQueueId(init) != 0 {
            return STATUS_INVALID_PARAMETER;
        }
        let mut config = NET_PACKET_QUEUE_CONFIG_INIT(
            Some(rx_advance),
            Some(rx_set_notification_enabled),
            Some(rx_cancel),
        );
        config.EvtStart = Some(rx_start);
        config.EvtStop = Some(rx_stop);
        let mut attributes = context::attributes::<QueueContext<Rx>>();
        attributes.EvtCleanupCallback = Some(rx_cleanup);
        let mut queue = null_mut();
        if let Err(status) =
            check(net().NetRxQueueCreate(init, &raw mut attributes, &raw mut config, &raw mut queue))
        {
            return status;
        }
        let query = logical_addresses();
        let mut extension = NET_EXTENSION::absent();
        net().NetRxQueueGetExtension(queue, &raw const query, &raw mut extension);
        let collection = net().NetRxQueueGetRingCollection(queue);
        let Some(rings) = Rings::new(collection, extension) else {
            return STATUS_INVALID_PARAMETER;
        };
        let Some(virtqueue) = device.virtqueues().and_then(|virtqueues| virtqueues.take(Side::Rx)) else {
            return STATUS_INVALID_DEVICE_STATE;
        };
        let signals = device.wakes().signals(Side::Rx);
        let (form, mutant) = (device.cancel_form(), device.mutant().clone());
        let Some(rx) = RxQueue::new(virtqueue, rings, signals, 0, form, mutant) else {
            device.give_back(Side::Rx);
            return STATUS_INVALID_DEVICE_STATE;
        };
        let context = context::address::<QueueContext<Rx>>(queue.cast());
        context.write(QueueContext {
            device,
            packets: (*collection).Rings[NetRingTypePacket],
            queue: UnsafeCell::new(rx),
        });
        device.queues().rx.store(context, Ordering::Release);
        ANCHOR.record_queue(Event::QueueCreated, device, Side::Rx, Progress::default());
    }
    STATUS_SUCCESS
}

/// A queue is deleted: its virtqueue is free again. PASSIVE_LEVEL.
unsafe fn cleanup<Q: 'static>(queue: WDFOBJECT, side: Side)
where
    QueueContext<Q>: Context,
{
    // SAFETY: the context is there till after this callback; a queue that was never completed has
    // zeros in it. The device outlives the queue.
    unsafe {
        let context = context::address::<QueueContext<Q>>(queue);
        let device = (&raw const (*context).device).read();
        if let Some(device) = device.as_ref() {
            device.queues().forget(side);
            ANCHOR.record_queue(Event::QueueDestroyed, device, side, Progress::default());
            device.give_back(side);
        }
    }
}

unsafe extern "C" fn tx_cleanup(queue: WDFOBJECT) {
    // SAFETY: the framework's own argument.
    unsafe { cleanup::<Tx>(queue, Side::Tx) };
}

unsafe extern "C" fn rx_cleanup(queue: WDFOBJECT) {
    // SAFETY: the framework's own argument.
    unsafe { cleanup::<Rx>(queue, Side::Rx) };
}

/// The transmit queue begins a life. PASSIVE_LEVEL.
unsafe extern "win64" fn tx_start(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    let call: Call<Tx> = unsafe { Call::new(queue) };
    call.device.wakes().start(Side::Tx, queue);
    let outcome = call.queue.start(call.hardware);
    call.record(Event::Start, Side::Tx, call.queue.counters().progress());
    call.settle(Side::Tx, outcome);
}

/// The receive queue begins a life. PASSIVE_LEVEL.
unsafe extern "win64" fn rx_start(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    let call: Call<Rx> = unsafe { Call::new(queue) };
    call.device.wakes().start(Side::Rx, queue);
    let outcome = call.queue.start(call.hardware);
    call.record(Event::Start, Side::Rx, call.queue.counters().progress());
    call.settle(Side::Rx, outcome);
}

/// Moves transmit packets. At most DISPATCH_LEVEL.
unsafe extern "win64" fn tx_advance(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    let call: Call<Tx> = unsafe { Call::new(queue) };
    let before = call.queue.counters().progress();
    let outcome = call.queue.advance(&call.hardware.doorbell(Side::Tx));
    let progress = call.queue.counters().progress();
    if progress != before {
        call.record(Event::Advance, Side::Tx, progress);
    }
    call.settle(Side::Tx, outcome);
}

/// Moves receive packets. At most DISPATCH_LEVEL.
unsafe extern "win64" fn rx_advance(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    let call: Call<Rx> = unsafe { Call::new(queue) };
    let before = call.queue.counters().progress();
    let outcome = call.queue.advance(call.hardware, &call.hardware.doorbell(Side::Rx));
    let progress = call.queue.counters().progress();
    if progress != before {
        call.record(Event::Advance, Side::Rx, progress);
    }
    call.settle(Side::Rx, outcome);
}

/// The transmit queue waits for an interrupt. Only ever called with TRUE. At most DISPATCH_LEVEL.
unsafe extern "win64" fn tx_set_notification_enabled(queue: NETPACKETQUEUE, enabled: u8) {
    // SAFETY: this callback's own queue.
    let call: Call<Tx> = unsafe { Call::new(queue) };
    if enabled == 0 {
        call.device.wakes().signals(Side::Tx).disarm();
        return;
    }
    let outcome = call.queue.set_notification_enabled(call.hardware, &Wakeup(Side::Tx, call.handle));
    call.record(Event::Armed, Side::Tx, call.queue.counters().progress());
    call.settle(Side::Tx, outcome);
}

/// The receive queue waits for an interrupt. Only ever called with TRUE. At most DISPATCH_LEVEL.
unsafe extern "win64" fn rx_set_notification_enabled(queue: NETPACKETQUEUE, enabled: u8) {
    // SAFETY: this callback's own queue.
    let call: Call<Rx> = unsafe { Call::new(queue) };
    if enabled == 0 {
        call.device.wakes().signals(Side::Rx).disarm();
        return;
    }
    let outcome = call.queue.set_notification_enabled(call.hardware, &Wakeup(Side::Rx, call.handle));
    call.record(Event::Armed, Side::Rx, call.queue.counters().progress());
    call.settle(Side::Rx, outcome);
}

/// Everything on the transmit queue shall come back. At most DISPATCH_LEVEL.
unsafe extern "win64" fn tx_cancel(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    let call: Call<Tx> = unsafe { Call::new(queue) };
    call.record(Event::Cancel, Side::Tx, call.queue.counters().progress());
    misbehave::in_cancel(call.device.mutant());
    let outcome = call.queue.cancel(call.hardware);
    call.record(Event::CancelReturned, Side::Tx, call.queue.counters().progress());
    call.settle(Side::Tx, outcome);
    call.device.interface().queue_cancelled(Side::Tx);
}

/// Everything on the receive queue shall come back. At most DISPATCH_LEVEL.
unsafe extern "win64" fn rx_cancel(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    let call: Call<Rx> = unsafe { Call::new(queue) };
    call.record(Event::Cancel, Side::Rx, call.queue.counters().progress());
    misbehave::in_cancel(call.device.mutant());
    let outcome = call.queue.cancel(call.hardware);
    call.record(Event::CancelReturned, Side::Rx, call.queue.counters().progress());
    call.settle(Side::Rx, outcome);
    call.device.interface().queue_cancelled(Side::Rx);
}

/// The transmit queue's life ends; nothing is outstanding. PASSIVE_LEVEL.
unsafe extern "win64" fn tx_stop(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    let call: Call<Tx> = unsafe { Call::new(queue) };
    call.device.wakes().stop(Side::Tx);
    print::line(Level::Info, format_args!("{}", call.queue.stop()));
    call.observe(false);
    call.record(Event::Stop, Side::Tx, call.queue.counters().progress());
}

/// The receive queue's life ends; nothing is outstanding. PASSIVE_LEVEL.
unsafe extern "win64" fn rx_stop(queue: NETPACKETQUEUE) {
    // SAFETY: this callback's own queue.
    let call: Call<Rx> = unsafe { Call::new(queue) };
    call.device.wakes().stop(Side::Rx);
    print::line(Level::Info, format_args!("{}", call.queue.stop()));
    call.observe(false);
    call.record(Event::Stop, Side::Rx, call.queue.counters().progress());
}
