//! The framework's timer.

use core::ptr::null_mut;

use wdk_sys::{
    NTSTATUS, PFN_WDF_TIMER, ULONG, WDF_TIMER_CONFIG, WDFOBJECT, WDFTIMER, call_unsafe_wdf_function_binding,
};

use super::{context, device::Device};
use crate::check;

/// 100-nanosecond units in a millisecond; a negative time is relative.
const MILLISECOND: i64 = 10_000;

/// A timer that expires once for each start. It lives as long as its device, as whose part the value is kept.
#[derive(Debug)]
pub struct Timer(WDFTIMER);

impl Timer {
    /// Makes the timer, a child of `device`, whose [`parent`] that is. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status, for want of memory.
    pub fn new(device: Device, expired: PFN_WDF_TIMER) -> Result<Self, NTSTATUS> {
        let mut config = WDF_TIMER_CONFIG {
            Size: size_of::<WDF_TIMER_CONFIG>() as ULONG,
            EvtTimerFunc: expired,
            ..WDF_TIMER_CONFIG::default()
        };
        let mut attributes = context::plain_attributes();
        attributes.ParentObject = device.object();
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
        Ok(Self(timer))
    }

    /// Starts the timer, or starts it again, with this time to its end. At most DISPATCH_LEVEL.
    pub fn start(&self, milliseconds: u64) {
        let due = -i64::try_from(milliseconds).unwrap_or(i64::MAX).saturating_mul(MILLISECOND);
        // SAFETY: the timer lives as long as this value.
        // Whether it ran already makes no difference.
        let _ = unsafe { call_unsafe_wdf_function_binding!(WdfTimerStart, self.0, due) };
    }

    /// Stops the timer; its callback is over when this returns. PASSIVE_LEVEL.
    pub fn stop(&self) {
        // SAFETY: the timer lives as long as this value.
        // Whether it ran makes no difference.
        let _ = unsafe { call_unsafe_wdf_function_binding!(WdfTimerStop, self.0, 1) };
    }
}

/// The parent of the timer that a timer callback is called for.
///
/// # Safety
/// The caller is in that callback, for this timer.
#[must_use]
pub unsafe fn parent(timer: WDFTIMER) -> WDFOBJECT {
    // SAFETY: the framework keeps the timer over its callback.
    unsafe { call_unsafe_wdf_function_binding!(WdfTimerGetParentObject, timer) }
}
