//! The kernel's heap: blocks of powers of two, a free list for each, every IRQL.

use crate::ke::irqlock::IrqLock;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;

/// Smallest block, bytes, as a power of two.
const SMALLEST: u32 = 4;
const CLASSES: usize = 40;

struct Heap {
    next: usize,
    end: usize,
    /// First free block of each class; each holds the address of the next.
    free: [usize; CLASSES],
}

static HEAP: IrqLock<Heap> = IrqLock::new(Heap { next: 0, end: 0, free: [0; CLASSES] });

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Gives the heap its memory.
pub(super) fn start(from: usize, to: usize) {
    HEAP.with(|heap| (heap.next, heap.end) = (from, to));
}

fn class(layout: Layout) -> u32 {
    layout.size().max(layout.align()).max(1 << SMALLEST).next_power_of_two().trailing_zeros()
}

// SAFETY: blocks come from one region, are aligned to their size, and are in one list or with one owner.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let class = class(layout);
        HEAP.with(|heap| {
            let first = heap.free[class as usize];
            if first != 0 {
                // SAFETY: a free block holds the address of the next one.
                heap.free[class as usize] = unsafe { *(first as *const usize) };
                return first as *mut u8;
            }
            let size = 1_usize << class;
            let at = heap.next.next_multiple_of(size);
            // what alignment skips goes to the lists of smaller blocks
            let mut skipped = heap.next;
            if at.saturating_add(size) > heap.end {
                return null_mut();
            }
            while skipped < at {
                let piece = skipped.trailing_zeros().min((at - skipped).ilog2());
                if piece >= SMALLEST {
                    // SAFETY: the piece is free RAM.
                    unsafe { *(skipped as *mut usize) = heap.free[piece as usize] };
                    heap.free[piece as usize] = skipped;
                }
                skipped += 1 << piece;
            }
            heap.next = at + size;
            at as *mut u8
        })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let class = class(layout) as usize;
        HEAP.with(|heap| {
            // SAFETY: the block is free now and large enough for an address.
            unsafe { *block.cast::<usize>() = heap.free[class] };
            heap.free[class] = block as usize;
        });
    }
}
