//! Reads frames that CANCEL takes back from the available ring, for the capture.

use vm_memory::GuestMemory;

use crate::chain::{Buffers, Table};
use crate::frame::Frame;

/// Bytes that one cancel reads at most; a ring of 1024 frames of 1514 bytes has a tenth of it.
const MOST_BYTES: usize = 16 << 20;

/// What one cancel has read. As many frames as an honest ring can hold are read: a command is to cost no more than the
/// chains that it takes back.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    descriptors: usize,
    bytes: usize,
    buffers: Buffers,
    frame: Frame,
}

impl Reader {
    /// The frame of the chain at `head`; `None` if the chain is malformed or too much has been read.
    pub(crate) fn read<M: GuestMemory>(&mut self, memory: &M, ring: Table, head: u16) -> Option<&[u8]> {
        if self.descriptors >= ring.entries.into() || self.bytes >= MOST_BYTES {
            return None;
        }
        let Reader { descriptors, bytes, buffers, frame } = self;
        buffers.read_frame(memory, ring, head, frame, descriptors).ok()?;
        *bytes = bytes.saturating_add(frame.len());
        Some(frame)
    }
}
