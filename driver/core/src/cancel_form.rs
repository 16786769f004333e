//! In which of the API's two forms EvtCancel gives a queue's elements back. One state, the rings, and
//! the same packets in the same order: only the way in which the indices move differs.

use crate::ring::Rings;

/// The form of a queue's EvtCancel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelForm {
    /// Net ring iterators (NetAdapterCx of 2019 and later).
    #[default]
    Iterator,
    /// BeginIndex and `NetRingBufferReturnAllPackets` (NetAdapterCx of 2018).
    Older,
}

impl CancelForm {
    /// The INF keyword's value: 1 is the older form, every other number the iterators.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        if number == 1 { Self::Older } else { Self::Iterator }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Iterator => "iterator",
            Self::Older => "older",
        }
    }

    /// Receive: every packet goes back with Ignore set and is otherwise untouched, every fragment goes
    /// back. Tells how many packets.
    pub(crate) fn return_all(self, rings: &Rings) -> u32 {
        let count = match self {
            Self::Iterator => {
                let mut count = 0;
                let mut packets = rings.all_packets();
                while packets.has_any() {
                    rings.update_packet(packets.index(), |packet| packet.set_Ignore(true));
                    packets.advance();
                    count += 1;
                }
                packets.set();
                let mut fragments = rings.all_fragments();
                fragments.advance_to_the_end();
                fragments.set();
                count
            }
            Self::Older => rings.return_all_packets(),
        };
        rings.packets.set_next(rings.packets.end());
        rings.fragments.set_next(rings.fragments.end());
        count
    }
}
