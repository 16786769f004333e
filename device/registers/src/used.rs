//! What `len` of a used element (virtio 1.3 section 2.7.8) says about the fate of a chain.

/// Bytes of `virtio_net_hdr` before each frame, with VIRTIO_F_VERSION_1 (virtio 1.3 section 5.1.6). A
/// received frame's `len` is never less.
pub const NET_HEADER_SIZE: usize = 12;

/// `len` of a receive chain that holds no frame: taken back, or refused as malformed.
pub const RX_RETURNED: u32 = 0;

/// What became of a transmit chain. Drivers that know nothing of the cancel block ignore `len` on
/// transmit, as virtio says they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum TxOutcome {
    /// The whole frame went over the wire.
    Sent = 0,
    /// Taken back by CANCEL: not one byte of the frame was on the wire.
    TakenBack = 0x8000_0000,
    /// Refused as malformed: not one byte was on the wire.
    Refused = 0x8000_0001,
}

impl TxOutcome {
    /// The `len` that says so.
    pub const fn used_len(self) -> u32 {
        self as u32
    }

    /// What `len` says; `None` if nothing that revision 1.0 defines.
    pub const fn from_used_len(len: u32) -> Option<TxOutcome> {
        match len {
            0 => Some(TxOutcome::Sent),
            0x8000_0000 => Some(TxOutcome::TakenBack),
            0x8000_0001 => Some(TxOutcome::Refused),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_survive_the_round_trip() {
        for outcome in [TxOutcome::Sent, TxOutcome::TakenBack, TxOutcome::Refused] {
            assert_eq!(TxOutcome::from_used_len(outcome.used_len()), Some(outcome));
        }
        assert_eq!(TxOutcome::from_used_len(12), None);
    }
}
