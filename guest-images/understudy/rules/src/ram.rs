//! Which part of the machine's memory the heap gets.

use core::ops::Range;

/// What the identity map shows.
const MAPPED: usize = 1 << 32;
const PAGE: usize = 4096;

/// The largest piece of `free` memory, in whole pages below 4 GiB, that nothing of `taken` lies in.
#[must_use]
pub fn largest(free: impl Iterator<Item = Range<usize>>, taken: &[Range<usize>]) -> Option<Range<usize>> {
    let mut best = 0..0;
    for free in free {
        let mut at = free.start;
        while at < free.end.min(MAPPED) {
            // up to the first thing in the way, and on behind it
            let in_the_way = taken.iter().filter(|range| !range.is_empty() && range.end > at);
            let next = in_the_way.min_by_key(|range| range.start);
            let end = next.map_or(free.end, |range| range.start.min(free.end)).min(MAPPED);
            let piece = at.next_multiple_of(PAGE)..end / PAGE * PAGE;
            if piece.len() > best.len() {
                best = piece;
            }
            at = next.map_or(free.end, |range| range.end);
        }
    }
    (!best.is_empty()).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::iter;

    /// As QEMU hands it over: the kernel at the start of RAM, the module near its end.
    #[test]
    fn between_kernel_and_module() {
        let free = [0..0x9_fc00, 0x10_0000..0xffe_0000];
        let taken = [0x20_0000..0x34_2638, 0xfee_0123..0xffd_0000];
        assert_eq!(largest(free.into_iter(), &taken), Some(0x34_3000..0xfee_0000));
    }

    /// As firmware leaves it: the kernel in a small piece, the module where the firmware keeps such things.
    #[test]
    fn a_large_piece_without_the_kernel() {
        let free = [0x1000..0xa_0000, 0x10_0000..0x80_0000, 0x90_0000..0xe00_0000];
        let taken = [0x20_0000..0x34_2638, 0xe10_0000..0xe20_0000];
        assert_eq!(largest(free.into_iter(), &taken), Some(0x90_0000..0xe00_0000));
    }

    #[test]
    fn nothing_above_what_is_mapped() {
        let free = [0x10_0000..0x8000_0000, 0x1_0000_0000..0x10_0000_0000];
        assert_eq!(largest(free.into_iter(), &[]), Some(0x10_0000..0x8000_0000));
        assert_eq!(largest(iter::once(0x1_0000_0000..0x1_8000_0000), &[]), None);
    }

    #[test]
    fn nothing_is_left() {
        assert_eq!(largest(iter::once(0x1000..0x3000), &[0..0x2000, 0x2000..0x4000]), None);
    }
}
