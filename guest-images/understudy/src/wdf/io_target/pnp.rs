//! What PnP and power mean for targets: the device below one is asked to go, or goes; the driver's own loses power.

use super::{State, TARGETS, Target};
use crate::io::STATUS_INVALID_DEVICE_STATE;
use crate::mm::Owner;
use crate::verifier::judge;
use alloc::{sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::Ordering::Relaxed;
use wdk_offline::{DEVICE_OBJECT, NTSTATUS};

fn on_device(object: *mut DEVICE_OBJECT) -> Vec<Arc<Target>> {
    let count = TARGETS.with(|targets| targets.len());
    let all = (0..count).filter_map(|at| TARGETS.with(|targets| targets.get(at).and_then(Weak::upgrade)));
    all.filter(|target| target.inner.with(|inner| inner.to == object)).collect()
}

/// PnP asks whether the device may be removed: each target on it closes, by itself or by its driver's callback.
///
/// # Errors
/// A driver's refusal.
pub(crate) fn query_remove(object: *mut DEVICE_OBJECT) -> Result<Vec<Arc<Target>>, NTSTATUS> {
    let targets = on_device(object);
    for target in &targets {
        match target.inner.with(|inner| inner.params.EvtIoTargetQueryRemove) {
            Some(callback) => {
                // SAFETY: the driver's callback with its own target, at PASSIVE_LEVEL.
                let status =
                    crate::verifier::trace::callback(target.label(), "EvtIoTargetQueryRemove", || unsafe {
                        callback(target.raw())
                    });
                if status < 0 {
                    return Err(status);
                }
                // the driver's callback closes it: WdfIoTargetCloseForQueryRemove, or WdfIoTargetClose
                if target.inner.with(|inner| !inner.to.is_null()) {
                    return Err(STATUS_INVALID_DEVICE_STATE);
                }
            }
            None => target.close(State::ClosedForQueryRemove),
        }
    }
    Ok(targets)
}

/// Every open target on a device that has gone without being asked.
pub(crate) fn open_on(object: *mut DEVICE_OBJECT) -> Vec<Arc<Target>> {
    on_device(object)
}

/// The device is gone: each target on it closes for good.
pub(crate) fn remove_complete(targets: &[Arc<Target>]) {
    for target in targets {
        match target.inner.with(|inner| inner.params.EvtIoTargetRemoveComplete) {
            Some(callback) => {
                // SAFETY: as above.
                crate::verifier::trace::callback(target.label(), "EvtIoTargetRemoveComplete", || unsafe {
                    callback(target.raw());
                });
                // a driver that forgets it would use a device that is gone
                if target.inner.with(|inner| !inner.to.is_null()) {
                    target.close(State::Closed);
                }
            }
            None => target.close(State::Closed),
        }
    }
}

/// At the end of D0Exit a driver sends nothing on to other stacks: its remote targets are stopped, or closed (stricter
/// than the framework, which leaves that to the driver).
pub(crate) fn require_stopped(owner: Owner) {
    let count = TARGETS.with(|targets| targets.len());
    let all = (0..count).filter_map(|at| TARGETS.with(|targets| targets.get(at).and_then(Weak::upgrade)));
    for target in all.filter(|target| target.owner == owner && !target.local) {
        if target.inner.with(|inner| inner.state == State::Started) {
            judge(
                "TargetNotStopped",
                6,
                target.handle.load(Relaxed),
                "EvtDeviceD0Exit has returned, and a WDFIOTARGET of the driver is still started".into(),
            );
        }
    }
}
