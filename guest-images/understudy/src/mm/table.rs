//! The processor's page tables, 4 levels.

use super::address::{DIRECT, PAGE, virt_to_phys};
use crate::ke::irqlock::IrqLock;
use core::alloc::Layout;
use x86_64::VirtAddr;
use x86_64::instructions::tlb;

/// Writable.
pub(super) const WRITE: u64 = 2;
/// Not executable.
pub(super) const NO_EXECUTE: u64 = 1 << 63;
/// Uncached device memory.
pub(super) const DEVICE: u64 = WRITE | 0x18 | NO_EXECUTE;
const PRESENT: u64 = 1;
const LARGE: u64 = 0x80;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

unsafe extern "C" {
    static mut page_root: [u64; 512];
}

/// Held while a table changes.
static CHANGING: IrqLock<()> = IrqLock::new(());

fn new_table() -> u64 {
    let Ok(layout) = Layout::from_size_align(PAGE, PAGE) else { return 0 };
    // SAFETY: the size is not zero.
    virt_to_phys(unsafe { alloc::alloc::alloc_zeroed(layout) } as usize)
}

/// The entry for `virt` in the table at physical `table`, level 0 being the lowest.
fn entry(table: u64, virt: usize, level: u32) -> *mut u64 {
    let index = virt >> (12 + 9 * level) & 511;
    (DIRECT + table as usize + index * 8) as *mut u64
}

/// The level-0 entry for `virt`; makes tables and splits large pages on the way.
fn leaf(virt: usize) -> *mut u64 {
    let mut table = &raw const page_root as u64;
    for level in [3, 2, 1] {
        let at = entry(table, virt, level);
        // SAFETY: tables are in RAM, which is mapped at DIRECT; changes are serialised by CHANGING.
        unsafe {
            if *at & PRESENT == 0 {
                *at = new_table() | PRESENT | WRITE;
            } else if level == 1 && *at & LARGE != 0 {
                let (made, large) = (new_table(), *at & !LARGE);
                for index in 0..512 {
                    *entry(made, (index as usize) << 12, 0) = large + (index << 12);
                }
                *at = made | PRESENT | WRITE;
            }
            table = *at & ADDRESS;
        }
    }
    entry(table, virt, 0)
}

/// Maps one page.
pub(super) fn map(virt: usize, phys: u64, rights: u64) {
    CHANGING.with(|()| {
        // SAFETY: the entry is the page's own.
        unsafe { *leaf(virt) = phys & ADDRESS | PRESENT | rights };
        tlb::flush(VirtAddr::new_truncate(virt as u64));
    });
}

/// Unmaps one page.
pub(super) fn unmap(virt: usize) {
    CHANGING.with(|()| {
        // SAFETY: as above.
        unsafe { *leaf(virt) = 0 };
        tlb::flush(VirtAddr::new_truncate(virt as u64));
    });
}
