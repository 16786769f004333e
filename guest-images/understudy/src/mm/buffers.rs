//! DMA buffers below the rings: contiguous, each with its physical address, filled with a pattern while nobody owns them.
//!
//! A device that reads such a buffer sends the pattern, one that writes it destroys the pattern: both are seen.

use super::address::PAGE;
use alloc::{collections::VecDeque, format, string::String, vec::Vec};

/// Bytes of one buffer.
pub(crate) const SIZE: usize = 2048;
/// What a free buffer holds: no length, no EtherType, no number of ours.
const PATTERN: u64 = 0xdbdb_dbdb_dbdb_dbdb;

/// One buffer's number in its pool.
pub(crate) type Slot = u32;

/// A pool of buffers; the longest free one is used next.
pub(crate) struct Pool {
    /// Virtual and physical address by slot.
    places: Vec<(usize, u64)>,
    free: VecDeque<Slot>,
}

impl Pool {
    /// A pool of `count` buffers.
    ///
    /// # Errors
    /// There is not enough memory.
    pub(crate) fn new(count: usize) -> Result<Self, String> {
        let mut pool = Self::empty();
        pool.grow(count)?;
        Ok(pool)
    }

    /// A pool without buffers.
    #[must_use]
    pub(crate) const fn empty() -> Self {
        Self { places: Vec::new(), free: VecDeque::new() }
    }

    /// Adds `count` buffers, rounded up to whole pages.
    ///
    /// # Errors
    /// There is not enough memory; what could be had is in the pool.
    pub(crate) fn grow(&mut self, count: usize) -> Result<(), String> {
        for _ in 0..count.div_ceil(PAGE / SIZE) {
            let (virt, phys) =
                crate::mm::alloc_pages(1).ok_or_else(|| String::from("no memory for packet buffers"))?;
            for part in 0..PAGE / SIZE {
                let slot = self.places.len() as Slot;
                self.places.push((virt + part * SIZE, phys + (part * SIZE) as u64));
                self.give(slot);
            }
        }
        Ok(())
    }

    /// How many are free.
    #[must_use]
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }

    /// Takes the buffer that has been free for longest.
    ///
    /// # Errors
    /// Its pattern is gone: somebody wrote it while it was free.
    pub(crate) fn take(&mut self) -> Result<Option<Slot>, String> {
        let Some(slot) = self.free.pop_front() else { return Ok(None) };
        self.check(slot)?;
        Ok(Some(slot))
    }

    /// Gives a buffer back: its content becomes the pattern.
    pub(crate) fn give(&mut self, slot: Slot) {
        self.fill(slot);
        self.free.push_back(slot);
    }

    /// Virtual and physical address.
    #[must_use]
    pub(crate) fn place(&self, slot: Slot) -> (usize, u64) {
        self.places[slot as usize]
    }

    /// The buffer's bytes.
    #[must_use]
    pub(crate) fn bytes(&self, slot: Slot) -> &[u8] {
        // SAFETY: the pool owns its pages for ever and maps them; the device may write a buffer that the driver holds,
        // but those are read only after it gave them back.
        unsafe { core::slice::from_raw_parts(self.place(slot).0 as *const u8, SIZE) }
    }

    /// The buffer's bytes, to be filled with a frame.
    pub(crate) fn bytes_mut(&mut self, slot: Slot) -> &mut [u8] {
        // SAFETY: as above, and the buffer is not the driver's now.
        unsafe { core::slice::from_raw_parts_mut(self.place(slot).0 as *mut u8, SIZE) }
    }

    /// Whether every buffer is back.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        self.free.len() == self.places.len()
    }

    /// How many are out.
    #[must_use]
    pub(crate) fn out(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Looks at every free buffer's pattern.
    ///
    /// # Errors
    /// Names the first buffer that somebody wrote.
    pub(crate) fn check_free(&self) -> Result<(), String> {
        self.free.iter().try_for_each(|&slot| self.check(slot))
    }

    fn words(&self, slot: Slot) -> &[u64] {
        // SAFETY: as in `bytes`; buffers are aligned to their size.
        unsafe { core::slice::from_raw_parts(self.place(slot).0 as *const u64, SIZE / 8) }
    }

    fn check(&self, slot: Slot) -> Result<(), String> {
        match self.words(slot).iter().position(|&word| word != PATTERN) {
            None => Ok(()),
            Some(at) => Err(format!(
                "buffer {slot} at {:#x}: bytes {:#x}.. are {:#018x} though it had been returned",
                self.place(slot).1,
                at * 8,
                self.words(slot)[at],
            )),
        }
    }

    fn fill(&mut self, slot: Slot) {
        // SAFETY: as in `bytes_mut`.
        let words = unsafe { core::slice::from_raw_parts_mut(self.place(slot).0 as *mut u64, SIZE / 8) };
        words.fill(PATTERN);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for page in self.places.chunks(PAGE / SIZE) {
            // SAFETY: the pool's queue is gone: it was empty, and the device had given everything back.
            unsafe { crate::mm::free_pages(page[0].0, 1) };
        }
    }
}
