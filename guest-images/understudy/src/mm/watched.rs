//! Pages that are watched: each run of them has addresses to itself, with an address before it and one behind it where
//! nothing is. What is given back is gone at once, and its addresses come round again only after all others: a late use
//! faults. The memory itself is the heap's again, so that watching costs addresses and no RAM.

use super::address::{Access, DIRECT, PAGE, virt_to_phys};
use super::{DEVICES, alloc_pages, free_pages, table};
use crate::ke::irqlock::IrqLock;
use alloc::collections::BTreeMap;
use core::ops::Range;

/// Where they are.
const START: usize = 0xffff_9800_0000_0000;
/// How many pages of addresses there are: their page tables take a megabyte at most.
const PAGES: usize = 0x1_0000;
/// How many pages may be in use; whoever gets none has to do without being watched.
const MOST_USED: usize = 0x1000;

struct Runs {
    /// Where the search for free addresses goes on, a page's number.
    cursor: usize,
    /// Each run by its first page: how many, with the one behind it.
    live: BTreeMap<usize, usize>,
    used: usize,
}

static RUNS: IrqLock<Runs> = IrqLock::new(Runs { cursor: 1, live: BTreeMap::new(), used: 0 });

impl Runs {
    /// The first of `pages` pages that nobody has, after all that were taken lately, and one more behind them.
    fn take(&mut self, pages: usize) -> Option<usize> {
        let need = pages + 1;
        let (mut at, mut wrapped) = (self.cursor, false);
        loop {
            if at + need > PAGES {
                if wrapped {
                    return None;
                }
                (at, wrapped) = (1, true);
                continue;
            }
            match self.live.range(..at + need).next_back() {
                Some((&first, &len)) if first + len > at => at = first + len,
                _ => break,
            }
        }
        self.cursor = at + need;
        self.live.insert(at, need);
        self.used += pages;
        Some(at)
    }

    fn give(&mut self, first: usize) -> Option<usize> {
        let pages = self.live.remove(&first)? - 1;
        self.used -= pages;
        Some(pages)
    }
}

/// Whether an address is one of those that are watched, used or not.
#[must_use]
pub(crate) fn is_watched(address: usize) -> bool {
    (START..START + PAGES * PAGE).contains(&address)
}

/// The physical address behind one of a run that lives; what follows it follows there.
fn backing(address: usize) -> Option<u64> {
    is_watched(address).then(|| table::readable(address)).flatten().map(|page| page + (address % PAGE) as u64)
}

/// The physical address behind one that the heap gave out, or of a run that lives; what follows it in one allocation
/// follows there. `None` of any other.
#[must_use]
pub(crate) fn physical(address: usize) -> Option<u64> {
    let direct = (DIRECT..DEVICES).contains(&address).then(|| virt_to_phys(address));
    direct.or_else(|| backing(address))
}

/// A run of pages that hold `len` bytes, and, where the caller remembers what was there before, the addresses that are
/// used again. `None`: too many are in use, or there is no memory. Up to DISPATCH_LEVEL.
#[must_use]
pub(crate) fn take(len: usize) -> Option<Range<usize>> {
    if cfg!(not(target_os = "none")) {
        return None;
    }
    let pages = len.div_ceil(PAGE);
    if RUNS.with(|runs| runs.used + pages > MOST_USED) {
        return None;
    }
    let (_, phys) = alloc_pages(pages)?;
    let Some(first) = RUNS.with(|runs| runs.take(pages)) else {
        // SAFETY: just allocated, and known to nobody.
        unsafe { free_pages(DIRECT + phys as usize, pages) };
        return None;
    };
    let virt = START + first * PAGE;
    for page in 0..pages {
        table::map(virt + page * PAGE, phys + (page * PAGE) as u64, Access::Write);
    }
    Some(virt..virt + pages * PAGE)
}

/// Gives the run that begins at `virt` back: from now on nothing is there.
///
/// # Safety
/// It was made by [`take`], and whoever uses it still does so wrongly.
pub(crate) unsafe fn give(virt: usize) {
    let Some(phys) = backing(virt) else { return };
    let Some(pages) = RUNS.with(|runs| runs.live.get(&((virt - START) / PAGE)).map(|need| need - 1)) else {
        return;
    };
    for page in 0..pages {
        table::unmap(virt + page * PAGE);
    }
    RUNS.with(|runs| runs.give((virt - START) / PAGE));
    // SAFETY: the run's own pages, of which no address is left.
    unsafe { free_pages(DIRECT + phys as usize, pages) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> Runs {
        Runs { cursor: 1, live: BTreeMap::new(), used: 0 }
    }

    #[test]
    fn addresses_come_round_after_all_others() {
        let mut runs = runs();
        let first = runs.take(1).unwrap();
        assert_eq!(runs.give(first), Some(1));
        let mut seen = vec![first];
        for _ in 0..(PAGES - 1) / 2 - 1 {
            let next = runs.take(1).unwrap();
            assert!(!seen.contains(&next), "{next} came again after {}", seen.len());
            seen.push(next);
            assert_eq!(runs.give(next), Some(1));
        }
        assert_eq!(runs.take(1), Some(first));
    }

    #[test]
    fn runs_that_live_are_passed_over_and_a_page_is_left_between_two() {
        let mut runs = runs();
        let kept: Vec<usize> = (0..4).map(|_| runs.take(3).unwrap()).collect();
        assert_eq!(kept, [1, 5, 9, 13]);
        runs.cursor = 2;
        assert_eq!(runs.take(2), Some(17));
        runs.give(5);
        runs.cursor = 1;
        assert_eq!(runs.take(2), Some(5), "where one has gone");
        assert_eq!(runs.take(2), Some(20), "nothing fits before the next");
    }

    #[test]
    fn without_addresses_there_is_no_run() {
        let mut runs = runs();
        assert!(runs.take(PAGES - 2).is_some());
        assert_eq!(runs.take(1), None);
        assert_eq!(runs.take(PAGES), None);
    }
}
