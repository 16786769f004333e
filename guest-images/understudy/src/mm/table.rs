//! The processor's page tables, 4 levels.

use super::address::{Access, DIRECT, KERNEL, PAGE, virt_to_phys};
use crate::ke::irqlock::IrqLock;
use core::alloc::Layout;
use core::ops::Range;
use x86_64::VirtAddr;
use x86_64::instructions::tlb;

const PRESENT: u64 = 1;
const WRITE: u64 = 2;
const UNCACHED: u64 = 0x18;
const LARGE: u64 = 0x80;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// The processor ignores it: the page has memory, though nobody may use it.
const KEPT: u64 = 0x200;

/// Bytes of a large page.
const LARGE_PAGE: usize = 1 << 21;

unsafe extern "C" {
    static mut page_root: [u64; 512];
    static understudy_text: [u8; 0];
    static understudy_constants: [u8; 0];
    static understudy_data: [u8; 0];
    static understudy_end: [u8; 0];
}

/// Takes away what the first code has mapped and nobody needs: the lower half; of [`DIRECT`] what is not in `kept`
/// (physical, to whole large pages), and the kernel's image; and gives the image's sections their rights.
pub(super) fn start(kept: &[Range<usize>]) {
    let mut table = &raw const page_root as u64;
    for level in [3, 2] {
        // SAFETY: the first code has made these tables.
        table = unsafe { *entry(table, DIRECT, level) } & ADDRESS;
    }
    // the four directories lie behind one another
    for (index, at) in (0..1_usize << 32).step_by(LARGE_PAGE).enumerate() {
        if !kept.iter().any(|range| range.start < at + LARGE_PAGE && at < range.end) {
            // SAFETY: an entry of these directories; nobody uses what it maps.
            unsafe { *((DIRECT + table as usize + index * 8) as *mut u64) = 0 };
        }
    }
    let at = |symbol: *const [u8; 0]| symbol.addr();
    let (text, constants) = (at(&raw const understudy_text), at(&raw const understudy_constants));
    let (data, end) = (at(&raw const understudy_data), KERNEL + at(&raw const understudy_end));
    for page in (KERNEL..end.next_multiple_of(LARGE_PAGE)).step_by(PAGE) {
        match page {
            _ if page < text || page >= end => unmap(page),
            _ if page < constants => protect(page, Access::Execute),
            _ if page < data => protect(page, Access::Read),
            _ => protect(page, Access::Write),
        }
    }
    for page in (text..end).step_by(PAGE) {
        protect(DIRECT + virt_to_phys(page) as usize, Access::None);
    }
    // SAFETY: the entry of the lower half, where nothing is any more.
    unsafe { *entry(&raw const page_root as u64, 0, 3) = 0 };
    tlb::flush_all();
}

/// Held while a table changes.
static CHANGING: IrqLock<()> = IrqLock::new(());

#[repr(align(4096))]
struct Table(#[expect(dead_code, reason = "it is read through its entries' addresses")] [u64; 512]);

fn new_table() -> u64 {
    let layout = Layout::new::<Table>();
    // SAFETY: the size is not zero.
    let table = unsafe { alloc::alloc::alloc_zeroed(layout) };
    assert!(!table.is_null(), "no memory for a page table");
    virt_to_phys(table as usize)
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

/// The bits that let code do this with a page.
fn bits(access: Access) -> u64 {
    match access {
        Access::None => KEPT,
        Access::Read => PRESENT | NO_EXECUTE,
        Access::Write => PRESENT | WRITE | NO_EXECUTE,
        Access::Execute => PRESENT,
        Access::Device => PRESENT | WRITE | UNCACHED | NO_EXECUTE,
    }
}

/// Changes one page's entry.
fn change(virt: usize, to: impl FnOnce(u64) -> u64) {
    CHANGING.with(|()| {
        let leaf = leaf(virt);
        // SAFETY: the entry is the page's own.
        unsafe { *leaf = to(*leaf) };
        tlb::flush(VirtAddr::new_truncate(virt as u64));
    });
}

/// Maps one page.
pub(super) fn map(virt: usize, phys: u64, access: Access) {
    change(virt, |_| phys & ADDRESS | bits(access));
}

/// Unmaps one page.
pub(super) fn unmap(virt: usize) {
    change(virt, |_| 0);
}

/// Changes what code may do with a page that has memory.
pub(super) fn protect(virt: usize, access: Access) {
    change(virt, |old| {
        assert!(old & (PRESENT | KEPT) != 0, "there is no page at {virt:#x}");
        old & ADDRESS | bits(access)
    });
}

/// Makes a page writable that was protected, with interrupts off and whoever holds [`CHANGING`]: its table is there, and
/// nobody else changes its entry.
pub(super) fn restore(virt: usize) {
    let leaf = leaf(virt);
    // SAFETY: the entry is the page's own, and interrupts are off on the only processor.
    unsafe { *leaf = *leaf & ADDRESS | bits(Access::Write) };
    tlb::flush(VirtAddr::new_truncate(virt as u64));
}

/// The physical address of the page at `virt`, if code may read it.
pub(super) fn readable(virt: usize) -> Option<u64> {
    let mut table = &raw const page_root as u64;
    for level in [3, 2, 1, 0] {
        // SAFETY: as in `leaf`; an entry is read whole.
        let found = unsafe { entry(table, virt, level).read_volatile() };
        if found & PRESENT == 0 {
            return None;
        }
        table = found & ADDRESS;
        if level == 1 && found & LARGE != 0 {
            return Some(table + (virt as u64 & 0x1f_f000));
        }
    }
    Some(table)
}
