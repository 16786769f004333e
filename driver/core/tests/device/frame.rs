//! Numbered frames whose every byte follows from the number.

const HEADER: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0xca, 0xce, 1, 1, 1, 0x88, 0xb5];
const NUMBER: std::ops::Range<usize> = 14..22;

pub fn numbered(number: u64, len: usize) -> Vec<u8> {
    let mut frame: Vec<u8> = (0..len).map(|at| (number as usize + at) as u8).collect();
    frame[..14].copy_from_slice(&HEADER);
    frame[NUMBER].copy_from_slice(&number.to_be_bytes());
    frame
}

/// A length from 60 to 1514 that follows from the number.
pub fn length(number: u64) -> usize {
    60 + (number as usize * 131) % 1455
}

/// The number of a frame, every byte of which is as it should be.
pub fn number_of(frame: &[u8]) -> u64 {
    let number = u64::from_be_bytes(frame[NUMBER].try_into().expect("eight bytes"));
    assert_eq!(frame, numbered(number, frame.len()), "frame {number} is damaged");
    number
}
