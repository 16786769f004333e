//! Numbered frames, as everything in the project sends them: usually to everyone, from the NIC, EtherType
//! 0x88B5 (IEEE 802, local experiments), then the number and filler bytes that follow from it.

/// Shortest frame without its check sequence (IEEE 802.3), in bytes.
pub const SHORTEST_NUMBERED: usize = 60;
/// Shortest frame that is injected byte by byte: an Ethernet header.
pub const SHORTEST: usize = 14;
/// Bytes of a frame besides its payload, at most: an Ethernet header and an 802.1Q tag.
const LONGEST_HEADER: usize = 18;

/// Longest frame that is injected into a NIC with that MTU, in bytes.
pub fn longest(mtu: u16) -> usize {
    usize::from(mtu) + LONGEST_HEADER
}

/// Every station: the broadcast address.
pub const EVERYONE: [u8; 6] = [0xff; 6];

/// Frame `number`, `len` bytes long (at least [`SHORTEST_NUMBERED`]), from `mac` to `destination`.
/// Byte i from 22 on is `(number + i) as u8`.
pub fn numbered(number: u64, len: usize, mac: [u8; 6], destination: [u8; 6]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(len);
    frame.extend_from_slice(&destination);
    frame.extend_from_slice(&mac);
    frame.extend_from_slice(&[0x88, 0xb5]);
    frame.extend_from_slice(&number.to_be_bytes());
    while frame.len() < len {
        frame.push(number.wrapping_add(frame.len() as u64) as u8);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_frame_is_laid_out_as_written_down() {
        let frame = numbered(0x0102, 60, [2, 0, 0, 0, 0, 7], [2, 0, 0, 0, 0, 8]);
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[..6], [2, 0, 0, 0, 0, 8]);
        assert_eq!(frame[6..14], [2, 0, 0, 0, 0, 7, 0x88, 0xb5]);
        assert_eq!(frame[14..22], [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((frame[22], frame[59]), (0x02 + 22, 0x02 + 59));
    }
}
