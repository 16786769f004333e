//! Which callback lock an object's callbacks are serialised by: that of the queue or the device above it
//! (FxObject::GetConstraints, AutomaticSerialization).

use super::device::Device;
use super::lock::CallbackLock;
use super::object;
use super::queue::Queue;
use alloc::sync::Arc;
use understudy_rules::wdf::table::Handle;

/// The lock of the first queue or device from `object` upwards; `None` where that has none.
pub(super) fn lock_above(object: Handle, function: &str) -> Option<Arc<CallbackLock>> {
    let mut next = Some(object);
    while let Some(handle) = next {
        if let Ok(Some(queue)) = object::find::<Queue>(handle.raw()) {
            return queue.lock.clone();
        }
        if let Ok(Some(device)) = object::find::<Device>(handle.raw()) {
            return device.lock.clone();
        }
        next = object::parent(handle.raw(), function);
    }
    None
}
