//! Interlocked lists. Their spin lock keeps every processor out, and interrupts: on one processor that is all there is to it.
//!
//! The pages of ExInterlockedInsertHeadList, ExInterlockedInsertTailList and ExInterlockedRemoveHeadList.

use core::ptr::null_mut;
use wdk_offline::LIST_ENTRY;

/// Puts an entry between two that are neighbours.
unsafe fn link(entry: *mut LIST_ENTRY, before: *mut LIST_ENTRY, behind: *mut LIST_ENTRY) {
    // SAFETY: the caller's entries.
    unsafe {
        (*entry).Flink = behind;
        (*entry).Blink = before;
        (*before).Flink = entry;
        (*behind).Blink = entry;
    }
}

/// The entry, NULL for the head of the list: it is empty.
fn entry(found: *mut LIST_ENTRY, head: *mut LIST_ENTRY) -> *mut LIST_ENTRY {
    if found == head { null_mut() } else { found }
}

/// ExInterlockedInsertHeadList: any IRQL. What was first before.
pub(super) unsafe extern "win64" fn insert_head(
    head: *mut LIST_ENTRY,
    new: *mut LIST_ENTRY,
    _lock: *mut u64,
) -> *mut LIST_ENTRY {
    // SAFETY: the driver's list and entry; interrupts are off on the only processor.
    crate::hal::cpu::without_interrupts(|| unsafe {
        let first = (*head).Flink;
        link(new, head, first);
        entry(first, head)
    })
}

/// ExInterlockedInsertTailList: any IRQL. What was last before.
pub(super) unsafe extern "win64" fn insert_tail(
    head: *mut LIST_ENTRY,
    new: *mut LIST_ENTRY,
    _lock: *mut u64,
) -> *mut LIST_ENTRY {
    // SAFETY: as above.
    crate::hal::cpu::without_interrupts(|| unsafe {
        let last = (*head).Blink;
        link(new, last, head);
        entry(last, head)
    })
}

/// ExInterlockedRemoveHeadList: any IRQL. What was first; NULL if there was none.
pub(super) unsafe extern "win64" fn remove_head(head: *mut LIST_ENTRY, _lock: *mut u64) -> *mut LIST_ENTRY {
    // SAFETY: as above.
    crate::hal::cpu::without_interrupts(|| unsafe {
        let first = (*head).Flink;
        if first == head {
            return null_mut();
        }
        let second = (*first).Flink;
        (*head).Flink = second;
        (*second).Blink = head;
        first
    })
}
