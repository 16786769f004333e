//! The drivers' pool, and what the frameworks lend to drivers out of it: every block knows its tag and whose it is.
//!
//! A block is watched, as by Driver Verifier's special pool: it ends where its page ends, behind that nothing is, and once
//! it is freed nothing is where it was. An access behind it, or after it was freed, faults where it is made; the bytes of
//! its pages that are not its own hold a pattern, which is looked at when it is freed. Where no page is to be had (see
//! [`watched`]), and on the host, it has the pattern on both sides, is filled when it is freed, waits among the blocks
//! freed last, and is looked at once more when it leaves them, or when a driver unloads.
//!
//! The pages of a block of paged pool are pageable: not there at DISPATCH_LEVEL and above.

use super::{BugCheck, owners, trace, violation};
use crate::hal::cpu::undisturbed;
use crate::ke::irqlock::IrqLock;
use crate::mm::{Access, Owner, paged, watched};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::{format, string::String, vec::Vec};
use core::alloc::Layout;
use core::ops::{Deref, DerefMut, Range};

/// Bytes of the pattern that are looked at on each side.
const GUARD: usize = 64;
const GUARD_BYTE: u8 = 0xfd;
const FRESH: u8 = 0xcd;
const FREED: u8 = 0xdd;
const PAGE: usize = 4096;
/// What pool memory is aligned to.
const ALIGNMENT: usize = 16;
/// Bytes that freed blocks without a page of their own may keep.
const MOST_KEPT: usize = 256 * 1024;

/// Of which pool a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There at every IRQL.
    NonPaged,
    /// There below DISPATCH_LEVEL alone, if it has pages to itself.
    Paged,
}

/// What is known of a block, also when it is gone.
#[derive(Debug, Clone, Copy)]
struct Block {
    size: usize,
    tag: u32,
    owner: Owner,
    kind: Kind,
    /// The pages that it has to itself, if it has.
    pages: Option<(usize, usize)>,
}

/// A block that was freed.
#[derive(Debug, Clone, Copy)]
struct Gone {
    start: usize,
    block: Block,
    /// In which callback.
    callback: (&'static str, &'static str),
    /// Where to the call returned that freed it; 0: it was no call of a driver's.
    by: u64,
}

static BLOCKS: IrqLock<BTreeMap<usize, Block>> = IrqLock::new(BTreeMap::new());
/// Those whose addresses have not been used again, by the first of their pages.
static GONE: IrqLock<BTreeMap<usize, Gone>> = IrqLock::new(BTreeMap::new());
/// Those that had no page, the one freed last at the end, and their bytes.
static KEPT: IrqLock<(VecDeque<Gone>, usize)> = IrqLock::new((VecDeque::new(), 0));

impl Block {
    fn layout(&self) -> Option<Layout> {
        let align = if self.size >= PAGE { PAGE } else { GUARD };
        Layout::from_size_align(self.size.checked_add(2 * align)?, align).ok()
    }

    /// Bytes before the block, where it has no page.
    fn lead(&self) -> usize {
        if self.size >= PAGE { PAGE } else { GUARD }
    }

    /// Where the pattern is, before and behind the block at `start`.
    fn guards(&self, start: usize) -> [Range<usize>; 2] {
        let end = start + self.size;
        match self.pages {
            Some((first, last)) => {
                [start.saturating_sub(GUARD).max(first)..start, end..last.min(end + GUARD)]
            }
            None => [start - GUARD..start, end..end + GUARD],
        }
    }

    fn describe(&self) -> String {
        let paged = if self.kind == Kind::Paged { " of paged pool" } else { "" };
        format!("{} bytes{paged}, tag {}", self.size, text(self.tag))
    }
}

impl Gone {
    fn describe(&self) -> String {
        let (queue, what) = self.callback;
        let at = if self.by == 0 { String::new() } else { format!(" at {}", owners::describe(self.by - 1)) };
        let space = if queue.is_empty() { "" } else { " " };
        format!("{}, freed in {queue}{space}{what}{at}", self.block.describe())
    }
}

fn fill(range: Range<usize>, byte: u8) {
    // SAFETY: the callers pass ranges of a block that is theirs, or of what is around it in its own allocation.
    unsafe { core::ptr::write_bytes(range.start as *mut u8, byte, range.len()) };
}

/// The first byte of the range that is another.
fn other(range: Range<usize>, byte: u8) -> Option<usize> {
    // SAFETY: as in `fill`; the range is mapped, and whoever writes to it does so wrongly.
    let bytes = unsafe { core::slice::from_raw_parts(range.start as *const u8, range.len()) };
    // whole pieces are compared first: there are many, and hardly one differs
    let pattern = [byte; GUARD];
    let at = bytes.chunks(GUARD).position(|piece| *piece != pattern[..piece.len()])? * GUARD;
    let within = bytes[at..].iter().position(|found| *found != byte)?;
    Some(range.start + at + within)
}

/// Memory for a block of that many bytes: its start, and its pages if it has them to itself.
fn place(block: &mut Block) -> Option<usize> {
    if let Some(pages) = watched::take(block.size) {
        let start =
            if block.size >= PAGE { pages.start } else { pages.end - block.size.next_multiple_of(ALIGNMENT) };
        block.pages = Some((pages.start, pages.end));
        // the addresses are new again, the page behind them included
        let old: Vec<usize> =
            GONE.with(|gone| gone.range(pages.start..=pages.end).map(|(&at, _)| at).collect());
        for at in old {
            GONE.with(|gone| gone.remove(&at));
        }
        return Some(start);
    }
    // SAFETY: the size is not zero.
    let base = unsafe { alloc::alloc::alloc(block.layout()?) };
    (!base.is_null()).then(|| base as usize + block.lead())
}

/// Allocates `size` bytes of nonpaged pool for a driver, zeroed if asked, else filled with a pattern. Null without memory,
/// or when the rig wants that.
pub(crate) fn alloc(owner: Owner, tag: u32, size: usize, zeroed: bool) -> *mut u8 {
    alloc_of(Kind::NonPaged, owner, tag, size, zeroed)
}

/// As [`alloc`], of either pool.
pub(crate) fn alloc_of(kind: Kind, owner: Owner, tag: u32, size: usize, zeroed: bool) -> *mut u8 {
    if super::fault::strikes(owner, "the pool") {
        return core::ptr::null_mut();
    }
    let made = undisturbed(|| {
        let mut block = Block { size, tag, owner, kind, pages: None };
        let start = place(&mut block)?;
        block.guards(start).into_iter().for_each(|guard| fill(guard, GUARD_BYTE));
        fill(start..start + size, if zeroed { 0 } else { FRESH });
        if let (Kind::Paged, Some((first, last))) = (kind, block.pages) {
            paged::add(first, last - first, Access::Write);
        }
        Some((start, block))
    });
    let Some((start, block)) = made else { return core::ptr::null_mut() };
    BLOCKS.with(|blocks| blocks.insert(start, block));
    start as *mut u8
}

/// Whether a block is of paged pool.
pub(crate) fn is_paged(block: *mut u8) -> bool {
    BLOCKS.with(|blocks| blocks.get(&(block as usize)).is_some_and(|block| block.kind == Kind::Paged))
}

/// Frees a block of the framework's. `tag` 0 matches any.
///
/// # Errors
/// One line: no such block, another tag, or a guard was written.
pub(crate) fn free(block: *mut u8, tag: u32) -> Result<(), String> {
    free_by(block, tag, 0)
}

/// As [`free`], for a call that returns to `by`.
///
/// # Errors
/// As above.
pub(crate) fn free_by(block: *mut u8, tag: u32, by: u64) -> Result<(), String> {
    let known = BLOCKS.with(|blocks| blocks.remove(&(block as usize)));
    undisturbed(|| release(block, known, tag, by))
}

fn release(block: *mut u8, known: Option<Block>, tag: u32, by: u64) -> Result<(), String> {
    let start = block as usize;
    let Some(known) = known else {
        return Err(match find_gone(start) {
            Some(gone) if gone.start == start => {
                format!("{block:p} was freed already (freed twice): {}", gone.describe())
            }
            Some(gone) => {
                format!("{block:p} is no pool block, but inside one that is gone: {}", gone.describe())
            }
            None => format!("{block:p} is not a pool block (freed twice?)"),
        });
    };
    if tag != 0 && tag != known.tag {
        return Err(format!("{block:p} has tag {}, freed with {}", text(known.tag), text(tag)));
    }
    if let (Kind::Paged, Some((first, last))) = (known.kind, known.pages) {
        paged::remove(first, last - first);
    }
    let [before, behind] = known.guards(start);
    let damage =
        other(before, GUARD_BYTE).map(|at| format!("byte {} before its first", start - at)).or_else(|| {
            other(behind, GUARD_BYTE)
                .map(|at| format!("byte {} behind its last", at - start - known.size + 1))
        });
    if let Some(damage) = damage {
        return Err(format!("{block:p} ({}): a guard was written, {damage}", known.describe()));
    }
    let gone = Gone { start, block: known, callback: trace::innermost(), by };
    match known.pages {
        Some((first, _)) => {
            GONE.with(|all| all.insert(first, gone));
            // SAFETY: `place` has taken these pages; the block is out of the list now.
            unsafe { watched::give(first) };
        }
        None => keep(gone),
    }
    Ok(())
}

/// Keeps a freed block that has no page, and lets those go that were kept for longest.
fn keep(gone: Gone) {
    fill(gone.start..gone.start + gone.block.size, FREED);
    KEPT.with(|(all, bytes)| {
        all.push_back(gone);
        *bytes += gone.block.size;
    });
    while let Some(oldest) = KEPT.with(|(all, bytes)| {
        let oldest = if *bytes > MOST_KEPT { all.pop_front() } else { None };
        *bytes -= oldest.map_or(0, |gone| gone.block.size);
        oldest
    }) {
        require_untouched(&oldest);
        if let Some(layout) = oldest.block.layout() {
            // SAFETY: `place` has allocated it with this layout, and it is in no list any more.
            unsafe { alloc::alloc::dealloc((oldest.start - oldest.block.lead()) as *mut u8, layout) };
        }
    }
}

fn require_untouched(gone: &Gone) {
    let end = gone.start + gone.block.size;
    if let Some(at) = other(gone.start..end, FREED) {
        let place = format!("byte {} of a freed block was written: {}", at - gone.start, gone.describe());
        let parameters = [gone.start as u64, at as u64, 0, 0];
        trace::stop(BugCheck::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, parameters, "FreedPoolWritten", place);
    }
}

/// Looks at every freed block that can still be looked at. Stops if one was written.
pub(crate) fn check_freed() {
    let count = KEPT.with(|(all, _)| all.len());
    let each = (0..count).filter_map(|at| KEPT.with(|(all, _)| all.get(at).copied()));
    each.for_each(|gone| require_untouched(&gone));
}

/// The block that was freed and had this address, of those that are remembered.
fn find_gone(address: usize) -> Option<Gone> {
    let paged = GONE.try_with(|all| all.range(..=address).next_back().map(|(_, gone)| *gone)).flatten();
    let paged = paged.filter(|gone| gone.block.pages.is_some_and(|(_, last)| address < last));
    paged.or_else(|| {
        let within = |gone: &&Gone| (gone.start..gone.start + gone.block.size).contains(&address);
        KEPT.try_with(|(all, _)| all.iter().rev().find(within).copied()).flatten()
    })
}

/// Which rule an access to `address` breaks that has faulted, if it is one of the pool's: the bug check, the rule, and
/// what is there, in words. Interrupts are off.
pub(super) fn fault(address: usize) -> Option<(BugCheck, &'static str, String)> {
    if !watched::is_watched(address) {
        return None;
    }
    if let Some(gone) = find_gone(address) {
        let offset = address as i64 - gone.start as i64;
        let words = format!("byte {offset} of a freed block: {}", gone.describe());
        return Some((BugCheck::PAGE_FAULT_IN_FREED_SPECIAL_POOL, "UseAfterFree", words));
    }
    let code = BugCheck::PAGE_FAULT_BEYOND_END_OF_ALLOCATION;
    let near = |found: Option<(&usize, &Block)>| found.map(|(&start, &block)| (start, block));
    let before = BLOCKS.try_with(|all| near(all.range(..=address).next_back())).flatten();
    if let Some((start, block)) =
        before.filter(|(_, block)| block.pages.is_some_and(|(_, last)| address - last < PAGE))
    {
        let behind = address - start - block.size + 1;
        return Some((code, "PoolOverrun", format!("byte {behind} behind the last of {}", block.describe())));
    }
    let next = BLOCKS.try_with(|all| near(all.range(address..).next())).flatten();
    if let Some((start, block)) =
        next.filter(|(_, block)| block.pages.is_some_and(|(first, _)| first - address <= PAGE))
    {
        return Some((
            code,
            "PoolOverrun",
            format!("byte {} before the first of {}", start - address, block.describe()),
        ));
    }
    Some((code, "PoolOverrun", String::from("where no block is, nor was one lately")))
}

fn text(tag: u32) -> String {
    tag.to_le_bytes()
        .iter()
        .map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' })
        .collect()
}

/// Blocks of a driver that are left, in words.
pub(crate) fn report(owner: Owner) -> Vec<String> {
    // taken one by one, so that nothing is allocated with interrupts off
    let mut last = 0;
    let each = core::iter::from_fn(|| {
        let (start, block) =
            BLOCKS.with(|blocks| blocks.range(last + 1..).next().map(|(&at, &of)| (at, of)))?;
        last = start;
        Some(block)
    });
    each.filter(|block| block.owner == owner).map(|block| block.describe()).collect()
}

/// Memory that a framework lends to drivers: bytes in the pool, which are freed with it.
pub(crate) struct Lent {
    start: *mut u8,
    len: usize,
}

// SAFETY: the bytes are this value's own; drivers synchronise their use.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

impl Lent {
    /// So many bytes, all zero, or a pattern that nobody relies on. No byte has no address.
    pub(crate) fn new(tag: &[u8; 4], len: usize, zeroed: bool) -> Self {
        Self::of(Kind::NonPaged, tag, len, zeroed)
    }

    /// As [`Self::new`], of either pool.
    pub(crate) fn of(kind: Kind, tag: &[u8; 4], len: usize, zeroed: bool) -> Self {
        if len == 0 {
            return Self { start: core::ptr::null_mut(), len };
        }
        let tag = u32::from_le_bytes(*tag);
        let start = undisturbed(|| alloc_of(kind, Owner::UNDERSTUDY, tag, len, zeroed));
        assert!(!start.is_null(), "no memory for {len} bytes");
        Self { start, len }
    }

    /// The first byte; null if there is none.
    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.start.is_null() {
            true => &[],
            // SAFETY: a block of that many bytes; drivers take turns with the framework, as its contract has it.
            false => unsafe { core::slice::from_raw_parts(self.start, self.len) },
        }
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self.start.is_null() {
            true => &mut [],
            // SAFETY: as above.
            false => unsafe { core::slice::from_raw_parts_mut(self.start, self.len) },
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.start.is_null() {
            return;
        }
        if let Err(place) = undisturbed(|| free(self.start, 0)) {
            violation("MemoryOverrun", 0, self.start as u64, place);
        }
    }
}
