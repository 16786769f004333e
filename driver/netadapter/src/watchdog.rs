//! Ends a cancel that takes too long: no packet is ever kept, whatever the device does.
//!
//! One timer serves both queues. When it finds a queue past its time, or a queue's callback finds a
//! fault, the device is reset, both queues are lost, the device is reported as failed, and the
//! queues are woken: their next Advance returns every packet. The same becomes of queues that outlive the device's power.

use core::{
    fmt,
    mem::size_of,
    ptr::null_mut,
    sync::atomic::{AtomicBool, Ordering},
};

use cancelnic_core::{
    outcome::Waiting,
    trace::Event,
    watchdog::{Expiry, Side, Watchdog as Deadlines},
};
use cancelnic_kernel::{check, kmdf::context};
use wdk_sys::{
    _WDF_DEVICE_FAILED_ACTION, NTSTATUS, STATUS_DEVICE_HARDWARE_ERROR, ULONG, WDF_TIMER_CONFIG, WDFDEVICE,
    WDFTIMER, call_unsafe_wdf_function_binding,
};

use crate::{anchor::ANCHOR, clock, device::DeviceContext, report};

/// Value of the INF keyword `WatchdogMs` unless the registry has another.
pub const DEFAULT_MILLISECONDS: u32 = 2000;

/// Milliseconds to the next attempt at a device that does not answer its reset.
const RETRY_MILLISECONDS: u64 = 1000;

/// 100-nanosecond units in a millisecond; a negative time is relative.
const MILLISECOND: i64 = 10_000;

/// The timer and what it watches.
pub struct Watchdog {
    timer: WDFTIMER,
    deadlines: Deadlines,
    /// Somebody gave the device up already.
    given_up: AtomicBool,
}

impl Watchdog {
    /// Makes the timer, a child of `device`. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `device` is alive and outlives the value; its [`DeviceContext`] is filled in before
    /// [`Self::note`] is called.
    pub unsafe fn new(device: WDFDEVICE, milliseconds: u32) -> Result<Self, NTSTATUS> {
        let mut config = WDF_TIMER_CONFIG {
            Size: size_of::<WDF_TIMER_CONFIG>() as ULONG,
            EvtTimerFunc: Some(evt_timer),
            ..WDF_TIMER_CONFIG::default()
        };
        let mut attributes = context::plain_attributes();
        attributes.ParentObject = device.cast();
        let mut timer = null_mut();
        // SAFETY: both structures live over the call; the handle is written on success.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfTimerCreate,
                &raw mut config,
                &raw mut attributes,
                &raw mut timer
            )
        })?;
        Ok(Self { timer, deadlines: Deadlines::new(milliseconds), given_up: AtomicBool::new(false) })
    }

    /// A callback of a side's queue tells whether the queue waits for the device. At most DISPATCH_LEVEL.
    pub fn note(&self, side: Side, waiting: Waiting) {
        if waiting != Waiting::Unchanged
            && let Some(milliseconds) = self.deadlines.note(side, waiting, clock::milliseconds())
        {
            self.start(milliseconds);
        }
    }

    /// Starts the timer, or starts it anew.
    fn start(&self, milliseconds: u64) {
        let due = -i64::try_from(milliseconds).unwrap_or(i64::MAX).saturating_mul(MILLISECOND);
        // SAFETY: the timer lives as long as the device.
        // Whether it ran already makes no difference.
        let _ = unsafe { call_unsafe_wdf_function_binding!(WdfTimerStart, self.timer, due) };
    }

    /// Stops the timer; its callback is over when this returns. PASSIVE_LEVEL.
    pub fn stop(&self) {
        self.deadlines.clear();
        // SAFETY: the timer lives as long as the device.
        // Whether it ran makes no difference.
        let _ = unsafe { call_unsafe_wdf_function_binding!(WdfTimerStop, self.timer, 1) };
    }

    /// D0Entry brought the device up (again).
    pub fn recovered(&self) {
        self.given_up.store(false, Ordering::Release);
    }
}

/// The time is over, or was. DISPATCH_LEVEL.
unsafe extern "C" fn evt_timer(timer: WDFTIMER) {
    // SAFETY: the timer's parent is the device, whose context was filled in before the timer started.
    let context: &DeviceContext =
        unsafe { context::get(call_unsafe_wdf_function_binding!(WdfTimerGetParentObject, timer)) };
    let watchdog = context.watchdog();
    if watchdog.given_up.load(Ordering::Acquire) {
        reset(context);
        return;
    }
    match watchdog.deadlines.expired(clock::milliseconds()) {
        Expiry::Idle => (),
        Expiry::Rearm(milliseconds) => watchdog.start(milliseconds),
        Expiry::Reset(side) => {
            let (period, ring) = (watchdog.deadlines.period(), context.interface().ring(side));
            give_up(context, format_args!("{side} not given back in {period} ms: {ring}"));
        }
    }
}

/// Gives the device up: resets it, marks both queues lost, reports the device as failed, and wakes the
/// queues. At most DISPATCH_LEVEL; only the first of several calls does it.
pub fn give_up(context: &DeviceContext, reason: fmt::Arguments<'_>) {
    let watchdog = context.watchdog();
    if watchdog.given_up.swap(true, Ordering::AcqRel) {
        return;
    }
    ANCHOR.record(Event::GivenUp, context);
    watchdog.deadlines.clear();
    reset(context);
    // SAFETY: the device is alive; both calls are allowed up to DISPATCH_LEVEL.
    unsafe {
        report::event(context.device(), report::Event::HardwareFailure, STATUS_DEVICE_HARDWARE_ERROR, reason);
        call_unsafe_wdf_function_binding!(
            WdfDeviceSetFailed,
            context.device(),
            _WDF_DEVICE_FAILED_ACTION::WdfDeviceFailedAttemptRestart
        );
    }
}

/// Power is gone, and packet queues are still there: nothing will come back to them. They are lost as soon as the device
/// is quiet; only the hardware's release ends the attempts. PASSIVE_LEVEL.
pub fn abandon(context: &DeviceContext) {
    context.watchdog().given_up.store(true, Ordering::Release);
    reset(context);
}

/// Resets a device that was given up. Once it is quiet, both queues are lost and woken; until then
/// memory that it may still write must not go back, and the timer tries again.
fn reset(context: &DeviceContext) {
    if context.hardware().is_none_or(|hardware| hardware.reset().is_quiet()) {
        for side in [Side::Tx, Side::Rx] {
            context.wakes().signals(side).mark_lost();
        }
        context.wakes().notify_armed();
    } else {
        context.watchdog().start(RETRY_MILLISECONDS);
    }
}
