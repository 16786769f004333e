//! Work items: of the I/O manager, and of the executive.
//!
//! The pages of IoAllocateWorkItem, IoQueueWorkItem, IoQueueWorkItemEx, IoFreeWorkItem and ExQueueWorkItem; WORK_QUEUE_ITEM:
//! wdm.h.

use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Irql, worker};
use crate::mm::Owner;
use crate::verifier::owners::{label, owner_of};
use crate::verifier::{BugCheck, pool, require_irql, trace};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::ffi::c_void;
use core::ptr::null_mut;
use wdk_offline::DEVICE_OBJECT;

/// WORKER_INVALID.
const WORKER_INVALID: BugCheck = BugCheck::given(0xE4);
/// Tag of what IoAllocateWorkItem gives out.
const TAG: u32 = u32::from_le_bytes(*b"IoWi");
/// How long an unload waits for routines that still run, in microseconds.
const BOUND_US: u64 = 5_000_000;

/// What the two kinds of routine get.
type Plain = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut c_void);
type Extended = unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut c_void, *mut Item);

/// IO_WORKITEM, which drivers do not look into.
pub(super) struct Item {
    device: *mut DEVICE_OBJECT,
}

/// WORK_QUEUE_ITEM.
#[repr(C)]
pub(super) struct QueueItem {
    _list: [u64; 2],
    routine: unsafe extern "win64" fn(*mut c_void),
    context: *mut c_void,
}
const _: () = assert!(size_of::<QueueItem>() == 32);

/// Items that wait for their turn, by address and driver.
static QUEUED: IrqLock<Vec<(usize, Owner)>> = IrqLock::new(Vec::new());
/// Drivers whose routines run.
static RUNNING: IrqLock<Vec<Owner>> = IrqLock::new(Vec::new());
/// Set whenever a routine has returned.
static RETURNED: Event = Event::manual();

fn stop(item: usize, place: String) -> ! {
    trace::stop(WORKER_INVALID, [0, item as u64, 0, 0], "WorkItemInUse", place)
}

fn is_queued(item: usize) -> bool {
    QUEUED.with(|queued| queued.iter().any(|(known, _)| *known == item))
}

/// Has a worker run `routine` for an item, which is the driver's again before that.
fn queue(function: &str, item: usize, owner: Owner, routine: impl FnOnce() + Send + 'static) {
    require_irql(function, Irql::DISPATCH);
    if is_queued(item) {
        stop(item, format!("{function} of {item:#x}, which is queued"));
    }
    QUEUED.with(|queued| queued.push((item, owner)));
    worker::run(Box::new(move || {
        RUNNING.with(|running| running.push(owner));
        QUEUED.with(|queued| queued.retain(|(known, _)| *known != item));
        trace::callback(label(owner), "work item", routine);
        RUNNING.with(|running| {
            let at = running.iter().position(|known| *known == owner);
            at.map(|at| running.swap_remove(at))
        });
        RETURNED.set();
    }));
}

/// IoAllocateWorkItem: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn allocate_for(
    device: *mut DEVICE_OBJECT,
    _unused: u64,
    _unused_either: u64,
    caller: u64,
) -> *mut Item {
    require_irql("IoAllocateWorkItem", Irql::DISPATCH);
    let item = pool::alloc(owner_of(caller), TAG, size_of::<Item>(), true).cast::<Item>();
    if item.is_null() {
        return null_mut();
    }
    // SAFETY: a fresh block of that size.
    unsafe { item.write(Item { device }) };
    item
}

/// IoFreeWorkItem: up to DISPATCH_LEVEL; from the item's own routine as well.
pub(super) unsafe extern "win64" fn free(item: *mut Item) {
    const FUNCTION: &str = "IoFreeWorkItem";
    require_irql(FUNCTION, Irql::DISPATCH);
    if is_queued(item as usize) {
        stop(item as usize, format!("{FUNCTION} of {item:p}, which is queued"));
    }
    if let Err(place) = pool::free(item.cast(), TAG) {
        trace::stop(BugCheck::BAD_POOL_CALLER, [7, 0, TAG.into(), item as u64], "BadPoolFree", place);
    }
}

/// IoQueueWorkItem: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn queue_item(
    item: *mut Item,
    routine: Plain,
    _queue: i32,
    context: *mut c_void,
) {
    // SAFETY: the driver passes its item.
    let (device, context) = (unsafe { (*item).device } as usize, context as usize);
    queue("IoQueueWorkItem", item as usize, owner_of(routine as usize as u64), move || {
        // SAFETY: the driver's routine with its device and context, at PASSIVE_LEVEL.
        unsafe { routine(device as *mut DEVICE_OBJECT, context as *mut c_void) };
    });
}

/// IoQueueWorkItemEx: up to DISPATCH_LEVEL; the routine gets the item.
pub(super) unsafe extern "win64" fn queue_item_ex(
    item: *mut Item,
    routine: Extended,
    _queue: i32,
    context: *mut c_void,
) {
    // SAFETY: the driver passes its item.
    let (device, context) = (unsafe { (*item).device } as usize, context as usize);
    let own = item as usize;
    queue("IoQueueWorkItemEx", own, owner_of(routine as usize as u64), move || {
        // SAFETY: as above.
        unsafe { routine(device as *mut DEVICE_OBJECT, context as *mut c_void, own as *mut Item) };
    });
}

/// ExQueueWorkItem: up to DISPATCH_LEVEL; the item is the driver's again when the routine is called.
pub(super) unsafe extern "win64" fn queue_executive(item: *mut QueueItem, _queue: i32) {
    // SAFETY: the driver passes its item, which ExInitializeWorkItem has filled.
    let (routine, context) = unsafe { ((*item).routine, (*item).context as usize) };
    queue("ExQueueWorkItem", item as usize, owner_of(routine as usize as u64), move || {
        // SAFETY: the driver's routine with its context, at PASSIVE_LEVEL.
        unsafe { routine(context as *mut c_void) };
    });
}

/// A driver goes: waits for its routines, as the I/O manager does, which keeps the device till then. What does not come to
/// its end is left, in words. PASSIVE_LEVEL.
pub(super) fn settle(owner: Owner) -> Vec<String> {
    let busy = || {
        let queued = QUEUED.with(|queued| queued.iter().filter(|(_, whose)| *whose == owner).count());
        queued + RUNNING.with(|running| running.iter().filter(|whose| **whose == owner).count())
    };
    let until = crate::ke::now_us() + BOUND_US;
    loop {
        RETURNED.reset();
        let left = until.saturating_sub(crate::ke::now_us());
        match busy() {
            0 => return Vec::new(),
            count if left == 0 => return alloc::vec![format!("{count} work items")],
            _ => RETURNED.wait_timeout(left),
        };
    }
}
