//! Memory: the heap, pages with their physical addresses, device mappings, image mappings.
//!
//! RAM appears at [`DIRECT`], where everything allocated is given out, and the kernel's image below the end of the
//! addresses, where it runs. There is nothing in the lower half, where programs have their memory: a virtual address is
//! never its physical one.

mod address;
pub(crate) mod buffers;
#[cfg(target_os = "none")]
mod heap;
pub(crate) mod paged;
#[cfg_attr(not(target_os = "none"), path = "host_table.rs")]
mod table;
pub(crate) mod watched;

use crate::ke::irqlock::IrqLock;
use address::PAGE;
pub(crate) use address::{Access, DIRECT, virt_to_phys};
use alloc::{format, string::String, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wdk_offline::UNICODE_STRING;

/// Device mappings: each gets addresses of its own and none is used twice.
const DEVICES: usize = 0xffff_9000_0000_0000;

/// Whose memory or object something is: understudy's own, or a driver's, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner(u32);

impl Owner {
    /// Understudy itself.
    pub(crate) const UNDERSTUDY: Self = Self(0);

    /// A number for a driver that is about to be loaded; none is used twice.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }

    /// The number, from 1 for a driver.
    #[must_use]
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// Hands the RAM at `heap` (physical) to the heap. What is neither there nor in `kept` is mapped no more, and of the
/// kernel's image nothing can be written and executed.
#[cfg(target_os = "none")]
pub(crate) fn start(heap: Range<usize>, kept: &[Range<usize>]) {
    heap::start(DIRECT + heap.start.next_multiple_of(PAGE), DIRECT + heap.end);
    table::start(&[&[heap], kept].concat());
}

/// Whether `len` bytes from physical address `at` on may be read at [`DIRECT`].
#[must_use]
pub(crate) fn is_ram(at: u64, len: u64) -> bool {
    at.checked_add(len).is_some_and(|end| end <= 1 << 32) && is_readable(DIRECT + at as usize, len as usize)
}

/// `count` pages in one piece: virtual and physical address.
#[must_use]
pub(crate) fn alloc_pages(count: usize) -> Option<(usize, u64)> {
    let layout = core::alloc::Layout::from_size_align(count.checked_mul(PAGE)?, PAGE).ok()?;
    // SAFETY: the layout's size is not zero: callers ask for at least one page.
    let at = unsafe { alloc::alloc::alloc(layout) } as usize;
    (at != 0).then(|| (at, virt_to_phys(at)))
}

/// Gives pages of [`alloc_pages`] back.
///
/// # Safety
/// `virt` and `count` are those of one allocation, which nobody, no device either, uses any more.
pub(crate) unsafe fn free_pages(virt: usize, count: usize) {
    if let Ok(layout) = core::alloc::Layout::from_size_align(count * PAGE, PAGE) {
        // SAFETY: by contract, allocated with this layout.
        unsafe { alloc::alloc::dealloc(virt as *mut u8, layout) };
    }
}

/// One device mapping.
#[derive(Debug, Clone, Copy)]
struct Mapping {
    virt: usize,
    phys: u64,
    len: usize,
    /// A driver's must be gone after its unload.
    owner: Owner,
}

struct Mappings {
    next: usize,
    live: Vec<Mapping>,
}

static MAPPINGS: IrqLock<Mappings> = IrqLock::new(Mappings { next: DEVICES, live: Vec::new() });

/// Maps device memory, uncached.
pub(crate) fn map_mmio(phys: u64, len: usize, owner: Owner) -> usize {
    let offset = phys as usize % PAGE;
    let pages = (offset + len).div_ceil(PAGE);
    let virt = MAPPINGS.with(|mappings| {
        let virt = mappings.next;
        // an unmapped page between two mappings: an access past the end faults
        mappings.next += (pages + 1) * PAGE;
        virt
    });
    for page in 0..pages {
        table::map(virt + page * PAGE, phys - offset as u64 + (page * PAGE) as u64, Access::Device);
    }
    let made = Mapping { virt: virt + offset, phys, len, owner };
    MAPPINGS.with(|mappings| mappings.live.push(made));
    virt + offset
}

/// Takes a device mapping away.
///
/// # Errors
/// There is none with this address and length.
pub(crate) fn unmap_mmio(virt: usize, len: usize) -> Result<(), String> {
    let found = MAPPINGS.with(|mappings| {
        let at = mappings.live.iter().position(|mapping| mapping.virt == virt && mapping.len == len);
        at.map(|at| mappings.live.swap_remove(at))
    });
    let mapping = found.ok_or_else(|| format!("no mapping of {len:#x} bytes at {virt:#x}"))?;
    let offset = mapping.virt % PAGE;
    for page in 0..(offset + len).div_ceil(PAGE) {
        table::unmap(mapping.virt - offset + page * PAGE);
    }
    Ok(())
}

/// Device mappings of a driver that are left, in words.
pub(crate) fn mapped_for(owner: Owner) -> Vec<String> {
    let count = MAPPINGS.with(|mappings| mappings.live.len());
    let each = (0..count).filter_map(|at| MAPPINGS.with(|mappings| mappings.live.get(at).copied()));
    each.filter(|mapping| mapping.owner == owner)
        .map(|mapping| format!("{:#x} bytes at {:#x}", mapping.len, mapping.phys))
        .collect()
}

/// Maps the pages of the heap at `backing` a second time, at `virt`: whole pages that hold `len` bytes.
pub(crate) fn map(virt: usize, backing: usize, len: usize, access: Access) {
    for page in (0..len).step_by(PAGE) {
        table::map(virt + page, virt_to_phys(backing + page), access);
    }
}

/// Takes the pages that hold `len` bytes from `virt` on away: whatever still points there faults.
pub(crate) fn unmap(virt: usize, len: usize) {
    for page in (0..len).step_by(PAGE) {
        table::unmap(virt + page);
    }
}

/// Changes what code may do with the pages that hold `len` bytes from `virt` on: pages of the heap, or of [`map`]. With
/// [`Access::None`] they keep their memory and what is in it. Any IRQL; it may take memory for page tables, so not from
/// inside the heap. On the host it does nothing.
pub(crate) fn protect(virt: usize, len: usize, access: Access) {
    for page in (0..len).step_by(PAGE) {
        table::protect(virt + page, access);
    }
}

/// Makes a page that [`protect`] has taken every right from writable again, though any lock may be held: in an exception,
/// with interrupts off.
pub(crate) fn restore(page: usize) {
    table::restore(page);
}

/// Whether `len` bytes from `virt` on may be read.
pub(crate) fn is_readable(virt: usize, len: usize) -> bool {
    let last = virt.saturating_add(len.saturating_sub(1));
    (virt & !(PAGE - 1)..=last).step_by(PAGE).all(|page| table::readable(page).is_some())
}

/// The physical address behind any virtual one that may be read.
#[must_use]
pub(crate) fn mapped(address: usize) -> Option<u64> {
    table::readable(address).map(|page| page + (address % PAGE) as u64)
}

/// Ranges of device memory that a driver may map.
static GRANTED: IrqLock<Vec<Range<u64>>> = IrqLock::new(Vec::new());

/// Sets which device memory a driver may map: its device's.
pub(crate) fn grant(ranges: Vec<Range<u64>>) {
    let old = GRANTED.with(|granted| core::mem::replace(granted, ranges));
    drop(old);
}

/// Whether a driver may map the range: it lies in one of the device's.
pub(crate) fn is_device_memory(address: u64, size: usize) -> bool {
    let end = address.saturating_add(size as u64);
    GRANTED.with(|granted| granted.iter().any(|range| address >= range.start && end <= range.end))
}

/// A UNICODE_STRING over a text that stays for ever: registry paths.
pub(crate) fn leak_unicode(text: &str) -> UNICODE_STRING {
    let mut units = Vec::new();
    units.extend(text.encode_utf16());
    units.push(0);
    let units = units.leak();
    let bytes = (units.len() * 2) as u16;
    UNICODE_STRING { Length: bytes - 2, MaximumLength: bytes, Buffer: units.as_mut_ptr() }
}
