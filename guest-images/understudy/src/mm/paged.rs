//! Memory that may be paged out: sections PAGE of drivers, and paged pool.
//!
//! It is out whenever IRQL has been at DISPATCH_LEVEL since its last use, as under Driver Verifier's forced IRQL
//! checking: below that level the access's page fault brings it in, at that level and above it the run ends. A driver
//! that has none costs nothing; one that has some pays for the pages that it uses between two rises of IRQL.

use super::PAGE;
use super::address::Access;
use super::table;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Irql, PAGED_IN};
use alloc::{collections::BTreeMap, vec::Vec};
use core::sync::atomic::Ordering::Relaxed;

struct Paged {
    /// First address, the one behind the last, and what code may do there.
    ranges: BTreeMap<usize, (usize, Access)>,
    /// The pages that are in.
    present: Vec<usize>,
}

impl Paged {
    fn access(&self, address: usize) -> Option<Access> {
        let (_, &(end, access)) = self.ranges.range(..=address).next_back()?;
        (address < end).then_some(access)
    }
}

static PAGED: IrqLock<Paged> = IrqLock::new(Paged { ranges: BTreeMap::new(), present: Vec::new() });

/// From now on the pages that hold `len` bytes from `from` on, a page's beginning, are pageable, and code below
/// DISPATCH_LEVEL may do `access` with them. They have memory.
pub(crate) fn add(from: usize, len: usize, access: Access) {
    let end = from + len.next_multiple_of(PAGE);
    PAGED.with(|paged| paged.ranges.insert(from, (end, access)));
    super::protect(from, len, Access::None);
}

/// The ranges that begin in these `len` bytes are pageable no more, and in.
pub(crate) fn remove(from: usize, len: usize) {
    PAGED.with(|paged| {
        while let Some((&start, &(end, access))) = paged.ranges.range(from..from + len).next() {
            paged.ranges.remove(&start);
            paged.present.retain(|page| !(start..end).contains(page));
            super::protect(start, end - start, access);
        }
    });
}

/// Whether the address is pageable.
pub(crate) fn contains(address: usize) -> bool {
    PAGED.with(|paged| paged.access(address).is_some())
}

/// Code at `irql` has met a page that is out: brings it in where that code may use it, and returns whether it has.
pub(crate) fn page_in(address: usize, irql: Irql) -> bool {
    if irql >= Irql::DISPATCH {
        return false;
    }
    PAGED.with(|paged| {
        let page = address & !(PAGE - 1);
        let Some(access) = paged.access(address).filter(|_| !paged.present.contains(&page)) else {
            return false;
        };
        table::protect(page, access);
        paged.present.push(page);
        PAGED_IN.store(true, Relaxed);
        true
    })
}

/// Takes out what is in.
pub(crate) fn page_out() {
    PAGED.with(|paged| {
        for page in paged.present.drain(..) {
            table::protect(page, Access::None);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where no other test has a range.
    const AT: usize = 0x7000_0000_0000;

    #[test]
    fn a_page_comes_in_below_dispatch_level_alone_and_goes_with_the_next_rise() {
        add(AT, PAGE + 1, Access::Execute);
        assert!(!page_in(AT, Irql::DISPATCH));
        assert!(page_in(AT + 7, Irql::APC) && PAGED_IN.load(Relaxed));
        assert!(!page_in(AT + 8, Irql::PASSIVE), "it is in: this fault has another reason");
        assert!(page_in(AT + 2 * PAGE - 1, Irql::PASSIVE), "the whole of the last page");
        assert!(!page_in(AT + 2 * PAGE, Irql::PASSIVE) && !page_in(AT - 1, Irql::PASSIVE));
        page_out();
        assert!(page_in(AT, Irql::PASSIVE));
        remove(AT - PAGE, 8 * PAGE);
        assert!(!contains(AT) && !page_in(AT, Irql::PASSIVE));
    }
}
