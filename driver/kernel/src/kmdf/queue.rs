//! The framework's queues of requests.

use core::ptr::null_mut;

use wdk_sys::{
    _WDF_IO_QUEUE_DISPATCH_TYPE, _WDF_REQUEST_TYPE, NTSTATUS, PFN_WDF_IO_QUEUE_STATE, ULONG,
    WDF_IO_QUEUE_CONFIG, WDF_NO_OBJECT_ATTRIBUTES, WDFQUEUE, call_unsafe_wdf_function_binding,
};

use super::device::Device;
use crate::check;

/// A queue of this driver's device. It lives as long as the device; the value is used in a callback of one of them, or kept
/// in a context of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue(WDFQUEUE);

/// How a queue stands: as the framework numbers it, requests in it, and requests from it that the driver has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// WDF_IO_QUEUE_STATE.
    pub flags: u32,
    /// Requests in it.
    pub queued: ULONG,
    /// Requests that the driver has.
    pub owned: ULONG,
}

impl Queue {
    /// Makes a queue; a parallel one presents as many requests at a time as come. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn new(device: Device, config: WDF_IO_QUEUE_CONFIG) -> Result<Self, NTSTATUS> {
        let parallel = config.DispatchType == _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel;
        let mut config = WDF_IO_QUEUE_CONFIG { Size: size_of::<WDF_IO_QUEUE_CONFIG>() as ULONG, ..config };
        config.Settings.Parallel.NumberOfPresentedRequests = if parallel { ULONG::MAX } else { 0 };
        let mut queue = null_mut();
        // SAFETY: the device is alive; configuration and handle live over the call.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfIoQueueCreate,
                device.handle(),
                &raw mut config,
                WDF_NO_OBJECT_ATTRIBUTES,
                &raw mut queue
            )
        })?;
        Ok(Self(queue))
    }

    /// The queue that a callback is called for.
    ///
    /// # Safety
    /// `queue` is one of this driver's and alive as long as the value is used.
    #[must_use]
    pub const unsafe fn of_callback(queue: WDFQUEUE) -> Self {
        Self(queue)
    }

    /// Its handle.
    #[must_use]
    pub const fn handle(self) -> WDFQUEUE {
        self.0
    }

    /// Its device.
    #[must_use]
    pub fn device(self) -> Device {
        // SAFETY: the queue is alive.
        let device = unsafe { call_unsafe_wdf_function_binding!(WdfIoQueueGetDevice, self.0) };
        // SAFETY: the device outlives its queue.
        unsafe { Device::new(device) }
    }

    /// Requests of one type go straight into this queue. PASSIVE_LEVEL, before the device starts.
    ///
    /// # Errors
    /// The framework's status.
    pub fn receives(self, kind: _WDF_REQUEST_TYPE::Type) -> Result<(), NTSTATUS> {
        // SAFETY: queue and device are alive.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDeviceConfigureRequestDispatching,
                self.device().handle(),
                self.0,
                kind
            )
        })
    }

    /// WdfIoQueueStart. At most DISPATCH_LEVEL.
    pub fn start(self) {
        // SAFETY: the queue is alive.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoQueueStart, self.0) };
    }

    /// WdfIoQueueStop, without being told when. At most DISPATCH_LEVEL.
    pub fn stop(self) {
        // SAFETY: the queue is alive; without a callback there is no context.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoQueueStop, self.0, None, null_mut()) };
    }

    /// WdfIoQueueStopAndPurge, without being told when. At most DISPATCH_LEVEL.
    pub fn stop_and_purge(self) {
        // SAFETY: the queue is alive; without a callback there is no context.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoQueueStopAndPurge, self.0, None, null_mut()) };
    }

    /// WdfIoQueueDrain, without being told when. At most DISPATCH_LEVEL.
    pub fn drain(self) {
        // SAFETY: the queue is alive; without a callback there is no context.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoQueueDrain, self.0, None, null_mut()) };
    }

    /// WdfIoQueuePurge, without being told when. At most DISPATCH_LEVEL.
    pub fn purge(self) {
        // SAFETY: the queue is alive; without a callback there is no context.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoQueuePurge, self.0, None, null_mut()) };
    }

    /// WdfIoQueueReadyNotify of a manual queue: `told` is called when it is no longer empty; `None` ends that. At most
    /// DISPATCH_LEVEL.
    #[must_use]
    pub fn ready_notify(self, told: PFN_WDF_IO_QUEUE_STATE) -> NTSTATUS {
        // SAFETY: the queue is alive; the callback gets no context.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoQueueReadyNotify, self.0, told, null_mut()) }
    }

    /// How it stands. At most DISPATCH_LEVEL.
    #[must_use]
    pub fn state(self) -> State {
        let (mut queued, mut owned) = (0, 0);
        // SAFETY: the queue is alive; both numbers live over the call.
        let flags = unsafe {
            call_unsafe_wdf_function_binding!(WdfIoQueueGetState, self.0, &raw mut queued, &raw mut owned)
        };
        State { flags: flags as u32, queued, owned }
    }
}
