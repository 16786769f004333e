//! The first face of the rings: net ring iterators. A stretch is walked while the ring stays as it is,
//! then what was walked is given away at one stroke.

use super::{Ring, Rings};

/// Which index of the ring [`RingIterator::set`] writes.
#[derive(Clone, Copy, Debug)]
enum Sets {
    Begin,
    Next,
}

/// A stretch of a ring. Until [`Self::set`] nothing of it is given away.
#[must_use = "the ring is as before until `set`"]
pub(crate) struct RingIterator {
    ring: Ring,
    sets: Sets,
    index: u32,
    end: u32,
}

impl RingIterator {
    pub(crate) fn has_any(&self) -> bool {
        self.index != self.end
    }

    /// Index of the element that the iterator is at.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    pub(crate) fn advance(&mut self) {
        self.index = self.ring.after(self.index, 1);
    }

    pub(crate) fn advance_to_the_end(&mut self) {
        self.index = self.end;
    }

    /// Gives away what lies behind the iterator.
    pub(crate) fn set(self) {
        match self.sets {
            Sets::Begin => self.ring.set_begin(self.index),
            Sets::Next => self.ring.set_next(self.index),
        }
    }
}

impl Ring {
    /// Everything that the driver owns: BeginIndex up to EndIndex.
    fn all(self) -> RingIterator {
        RingIterator { ring: self, sets: Sets::Begin, index: self.begin(), end: self.end() }
    }
}

impl Rings {
    /// Every packet that the driver owns (`NetRingGetAllPackets`).
    pub(crate) fn all_packets(&self) -> RingIterator {
        self.packets.all()
    }

    /// Every fragment that the driver owns (`NetRingGetAllFragments`).
    pub(crate) fn all_fragments(&self) -> RingIterator {
        self.fragments.all()
    }

    /// Packets that were not posted yet (`NetRingGetPostPackets`).
    pub(crate) fn post_packets(&self) -> RingIterator {
        let ring = self.packets;
        RingIterator { ring, sets: Sets::Next, index: ring.next(), end: ring.end() }
    }

    /// Packets that were posted and not returned (`NetRingGetDrainPackets`).
    pub(crate) fn drain_packets(&self) -> RingIterator {
        let ring = self.packets;
        RingIterator { ring, sets: Sets::Begin, index: ring.begin(), end: ring.next() }
    }
}
