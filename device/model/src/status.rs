//! A queue's status register: written by the queue, read without its lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cancelnic_registers::StatusWord;

/// Handle on the status word of one queue. Clones show the same word.
///
/// Whoever reads a word here also sees everything that the queue wrote to guest memory before it
/// published the word (C5).
#[derive(Debug, Clone, Default)]
pub struct StatusRegister(Arc<AtomicU32>);

impl StatusRegister {
    /// The word as it is now.
    pub fn read(&self) -> StatusWord {
        StatusWord::from_bits(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn publish(&self, word: StatusWord) {
        self.0.store(word.into_bits(), Ordering::Release);
    }
}
