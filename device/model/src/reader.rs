//! Reads frames that CANCEL takes back from the available ring, for the capture.

use virtio_queue::DescriptorChain;
use vm_memory::GuestMemory;

use crate::chain;

/// Bytes that one cancel reads at most; a ring of 1024 frames of 1514 bytes has a tenth of it.
const MOST_BYTES: usize = 16 << 20;

/// What one cancel has read. As many frames as an honest ring can hold are read: a command is to cost no more than the
/// chains that it takes back.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    descriptors: usize,
    bytes: usize,
}

impl Reader {
    /// The frame of a chain in a ring of `ring` entries; `None` if the chain is malformed or too much has been read.
    pub(crate) fn read<M: GuestMemory>(
        &mut self,
        memory: &M,
        ring: u16,
        chain: DescriptorChain<&M>,
    ) -> Option<Vec<u8>> {
        if self.descriptors >= ring.into() || self.bytes >= MOST_BYTES {
            return None;
        }
        let frame = chain::read_frame(memory, ring, chain, &mut self.descriptors).ok();
        self.bytes = self.bytes.saturating_add(frame.as_ref().map_or(0, Vec::len));
        frame
    }
}
