//! The second face of the rings: the operations of 2018, which move BeginIndex itself, packet by packet.
//!
//! A packet took its fragments along then; here they lie in a ring of their own, whose BeginIndex
//! follows.

use super::Rings;

impl Rings {
    /// The packet at BeginIndex goes back, and the fragments that it names: both BeginIndex move on.
    /// The driver owns a packet.
    pub(crate) fn advance_begin_index(&self) {
        let begin = self.packets.begin();
        let packet = self.packet(begin);
        if packet.FragmentCount != 0 {
            let after = self.fragments.after(packet.FragmentIndex, packet.FragmentCount.into());
            self.fragments.set_begin(after);
        }
        self.packets.set_begin(self.packets.after(begin, 1));
    }

    /// Every packet that the driver owns goes back with Ignore set, and every fragment
    /// (`NetRingBufferReturnAllPackets`). Tells how many packets.
    pub(crate) fn return_all_packets(&self) -> u32 {
        let count = self.packets.owned();
        for _ in 0..count {
            let begin = self.packets.begin();
            self.update_packet(begin, |packet| packet.set_Ignore(true));
            self.packets.set_begin(self.packets.after(begin, 1));
        }
        self.fragments.set_begin(self.fragments.end());
        count
    }
}
