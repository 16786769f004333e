//! The driver's pool: every block knows its tag, has guards at both ends, and is filled when it goes.

use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::alloc::Layout;

/// Bytes of guard on each side.
const GUARD: usize = 64;
const GUARD_BYTE: u8 = 0xfd;
const FRESH: u8 = 0xcd;
const FREED: u8 = 0xdd;

#[derive(Debug, Clone, Copy)]
struct Block {
    size: usize,
    tag: u32,
    owner: Owner,
}

static BLOCKS: IrqLock<BTreeMap<usize, Block>> = IrqLock::new(BTreeMap::new());

fn layout(size: usize) -> Option<Layout> {
    let align = if size >= 4096 { 4096 } else { 64 };
    Layout::from_size_align(size.checked_add(2 * align.max(GUARD))?, align).ok()
}

fn lead(size: usize) -> usize {
    if size >= 4096 { 4096 } else { GUARD }
}

/// Allocates `size` bytes for a driver, zeroed if asked, else filled with a pattern. Null without memory, or when the
/// rig wants that.
pub(crate) fn alloc(owner: Owner, tag: u32, size: usize, zeroed: bool) -> *mut u8 {
    let Some(layout) = layout(size).filter(|_| !super::fault::strikes(owner)) else {
        return core::ptr::null_mut();
    };
    // SAFETY: the size is not zero.
    let base = unsafe { alloc::alloc::alloc(layout) };
    if base.is_null() {
        return base;
    }
    // SAFETY: the block is ours and has lead, `size` bytes and a tail of at least GUARD bytes.
    let block = unsafe {
        core::ptr::write_bytes(base, GUARD_BYTE, layout.size());
        let block = base.add(lead(size));
        core::ptr::write_bytes(block, if zeroed { 0 } else { FRESH }, size);
        block
    };
    BLOCKS.with(|blocks| blocks.insert(block as usize, Block { size, tag, owner }));
    block
}

/// Frees a block. `tag` 0 matches any.
///
/// # Errors
/// One line: no such block, another tag, or a guard was written.
pub(crate) fn free(block: *mut u8, tag: u32) -> Result<(), String> {
    let Some(known) = BLOCKS.with(|blocks| blocks.remove(&(block as usize))) else {
        return Err(format!("{block:p} is not a pool block (freed twice?)"));
    };
    if tag != 0 && tag != known.tag {
        return Err(format!("{block:p} has tag {}, freed with {}", text(known.tag), text(tag)));
    }
    let Some(layout) = layout(known.size) else { return Ok(()) };
    // SAFETY: the block was made by `alloc` with this layout and is out of the list now.
    unsafe {
        let guards = [block.sub(GUARD), block.add(known.size)];
        for guard in guards {
            if core::slice::from_raw_parts(guard, GUARD).iter().any(|&byte| byte != GUARD_BYTE) {
                return Err(format!(
                    "{block:p} ({} bytes, {}): a guard was written",
                    known.size,
                    text(known.tag)
                ));
            }
        }
        core::ptr::write_bytes(block, FREED, known.size);
        alloc::alloc::dealloc(block.sub(lead(known.size)), layout);
    }
    Ok(())
}

fn text(tag: u32) -> String {
    tag.to_le_bytes()
        .iter()
        .map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' })
        .collect()
}

/// Blocks of a driver that are left, in words.
pub(crate) fn report(owner: Owner) -> Vec<String> {
    let count = BLOCKS.with(|blocks| blocks.len());
    let each = (0..count).filter_map(|at| BLOCKS.with(|blocks| blocks.values().nth(at).copied()));
    each.filter(|block| block.owner == owner)
        .map(|block| format!("{} bytes, tag {}", block.size, text(block.tag)))
        .collect()
}
