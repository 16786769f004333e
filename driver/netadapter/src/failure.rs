//! Ends a cancel that takes too long, and gives up a device that broke a rule: no packet is ever kept, whatever the device
//! does.
//!
//! When the watchdog's timer finds a queue past its time, or a queue's callback finds a fault, the device is reset, all
//! queues are lost, the device is reported as failed, and the queues are woken: their next Advance returns every packet.
//! The same becomes of queues that outlive the device's power.

use core::fmt;

use cancelnic_core::{queue, trace::Event, watchdog::Expiry};
use cancelnic_kernel::kmdf::{context, timer};
use wdk_sys::{STATUS_DEVICE_HARDWARE_ERROR, WDFTIMER};

use crate::{anchor::ANCHOR, context::DeviceContext, report};

/// Milliseconds to the next attempt at a device that does not answer its reset.
const RETRY_MILLISECONDS: u64 = 1000;

/// The time is over, or was. DISPATCH_LEVEL.
pub(crate) unsafe extern "C" fn evt_timer(timer: WDFTIMER) {
    // SAFETY: this callback's own timer.
    let device = unsafe { timer::parent(timer) };
    // SAFETY: the timer's parent is the device, whose context was filled in before the timer was started.
    let context: &DeviceContext = unsafe { context::get(device) };
    let watchdog = &context.watchdog;
    if watchdog.has_given_up() {
        reset(context);
        return;
    }
    match watchdog.expired() {
        Expiry::Idle => (),
        Expiry::Rearm(milliseconds) => watchdog.start(milliseconds),
        Expiry::Reset(queue) => {
            let (period, ring) = (watchdog.period(), context.interface.ring(queue));
            give_up(context, format_args!("{queue} not given back in {period} ms: {ring}"));
        }
    }
}

/// Gives the device up: resets it, marks all queues lost, reports the device as failed, and wakes the
/// queues. At most DISPATCH_LEVEL; only the first of several calls does it.
pub(crate) fn give_up(context: &DeviceContext, reason: fmt::Arguments<'_>) {
    if !context.watchdog.begin_giving_up() {
        return;
    }
    ANCHOR.record(Event::GivenUp, context);
    reset(context);
    report::event(context.device, report::Event::HardwareFailure, STATUS_DEVICE_HARDWARE_ERROR, reason);
    context.device.set_failed();
}

/// Power is gone, and packet queues are still there: nothing will come back to them. They are lost as soon as the device
/// is quiet; only the hardware's release ends the attempts. PASSIVE_LEVEL.
pub(crate) fn abandon(context: &DeviceContext) {
    let _ = context.watchdog.begin_giving_up();
    reset(context);
}

/// Resets a device that was given up. Once it is quiet, all queues are lost and woken; until then
/// memory that it may still write must not go back, and the timer tries again.
fn reset(context: &DeviceContext) {
    if context.hardware().is_none_or(|hardware| hardware.reset().is_quiet()) {
        for queue in queue::all() {
            context.wakes.signals(queue).mark_lost();
        }
        context.wakes.notify_armed();
    } else {
        context.watchdog.start(RETRY_MILLISECONDS);
    }
}
