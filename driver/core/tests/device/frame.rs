//! Numbered frames whose every byte follows from the number.

const NIC: [u8; 6] = [2, 0xca, 0xce, 1, 1, 1];

pub(crate) fn numbered(number: u64, len: usize) -> Vec<u8> {
    numbered_frame::bytes(number, NIC, numbered_frame::EVERYONE).take(len).collect()
}

/// A length from 60 to 1514 that follows from the number.
pub(crate) fn length(number: u64) -> usize {
    60 + (number as usize * 131) % 1455
}

/// The number of a frame, every byte of which is as it should be.
pub(crate) fn number_of(frame: &[u8]) -> u64 {
    let number = numbered_frame::number(frame).expect("a numbered frame");
    assert_eq!(frame, numbered(number, frame.len()), "frame {number} is damaged");
    number
}
