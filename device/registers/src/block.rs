//! Where things are in the configuration space, and the words that describe the device.

use bitfield_struct::bitfield;

/// Size of the whole configuration space, in bytes.
pub const SPACE_SIZE: usize = 256;
/// Bytes at the start of the space that belong to `virtio_net_config` (virtio 1.3 section 5.1.4).
pub const NET_CONFIG_SIZE: usize = 64;
/// Offset of the word that holds [`ID`].
pub const ID_OFFSET: usize = 0x40;
/// Offset of the [`Revision`].
pub const REVISION_OFFSET: usize = 0x44;
/// Offset of the [`Caps`].
pub const CAPS_OFFSET: usize = 0x48;
/// Offset of the [`Queues`].
pub const QUEUES_OFFSET: usize = 0x4c;
/// Queue pairs that the block has registers for.
pub const MAX_PAIRS: usize = 8;

/// What the word at [`ID_OFFSET`] reads: the bytes `C I N C` in memory order.
pub const ID: u32 = u32::from_le_bytes(*b"CINC");

/// The interface's revision. A driver refuses a major that it does not know.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Revision {
    /// Compatible additions.
    pub minor: u16,
    /// Incompatible changes.
    pub major: u16,
}

impl Revision {
    /// The revision that this crate describes: 1.0.
    pub const CURRENT: Revision = Revision::new().with_major(1);
}

/// What the device can do beyond a plain virtio-net device.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Caps {
    /// [`Op::Cancel`](crate::Op::Cancel) on transmit queues.
    pub tx_cancel: bool,
    /// [`Op::Cancel`](crate::Op::Cancel) on receive queues.
    pub rx_cancel: bool,
    /// [`Op::Drain`](crate::Op::Drain) on transmit queues.
    pub tx_drain: bool,
    #[bits(29)]
    __: u32,
}

impl Caps {
    /// Everything that revision 1.0 defines.
    pub const ALL: Caps = Caps::new().with_tx_cancel(true).with_rx_cancel(true).with_tx_drain(true);
}

/// How many queues have registers.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Queues {
    /// Transmit queues.
    pub tx: u8,
    /// Receive queues.
    pub rx: u8,
    __: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_reads_cinc() {
        assert_eq!(ID, 0x434e_4943);
    }

    #[test]
    fn revision_has_major_in_the_upper_half() {
        assert_eq!(Revision::CURRENT.into_bits(), 0x0001_0000);
    }

    #[test]
    fn caps_are_the_lowest_three_bits() {
        assert_eq!(Caps::ALL.into_bits(), 7);
        assert_eq!(Caps::ALL.with_tx_cancel(false).into_bits(), 6);
        assert_eq!(Caps::new().with_rx_cancel(true).into_bits(), 2);
    }

    #[test]
    fn queues_have_tx_in_the_lowest_byte() {
        assert_eq!(Queues::new().with_tx(3).with_rx(5).into_bits(), 0x0503);
    }
}
