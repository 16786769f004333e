//! The numbered frames that the sender makes and the checker reads.

pub use numbered_frame::{SHORTEST, number};

use alloc::{
    format,
    string::{String, ToString as _},
    vec::Vec,
};
use numbered_frame::EVERYONE;

/// Longest frame, in bytes, without frame check sequence.
pub const LONGEST: usize = 1514;

/// The longest that a sender makes on purpose: the translator cannot translate what is longer than [`LONGEST`].
pub const TOO_LONG: usize = 1900;

/// What a frame turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// One of ours, whole.
    Numbered(u64),
    /// Another protocol's.
    Other,
    /// One of ours, damaged: says where.
    Damaged(String),
}

/// The frame with that number, `len` bytes ([`SHORTEST`] to [`LONGEST`]) from `source` to everyone.
#[must_use]
pub fn build(number: u64, len: usize, source: [u8; 6]) -> Vec<u8> {
    numbered_frame::bytes(number, source, EVERYONE).take(len).collect()
}

/// Reads a received frame. Padding behind a frame shorter than [`SHORTEST`] does not occur: senders make none.
#[must_use]
pub fn read(frame: &[u8]) -> Reading {
    if frame.len() < 14 {
        return Reading::Damaged(format!("{} bytes are no Ethernet frame", frame.len()));
    }
    if !numbered_frame::claims(frame) {
        return Reading::Other;
    }
    match numbered_frame::read(frame) {
        Ok(Some(number)) if (SHORTEST..=LONGEST).contains(&frame.len()) => Reading::Numbered(number),
        Ok(_) => Reading::Damaged(format!("length {} of a numbered frame", frame.len())),
        Err(damaged) => Reading::Damaged(damaged.to_string()),
    }
}

/// Cuts `len` bytes into `count` lengths, all at least 1, unequal where it can be, differing with `seed`.
#[must_use]
pub fn cut(len: usize, count: usize, seed: u64) -> Vec<usize> {
    let count = count.clamp(1, len.max(1));
    let mut lengths = Vec::with_capacity(count);
    let mut left = len;
    let mut state = seed | 1;
    for pieces in (1..count).rev() {
        // every later piece needs a byte
        let most = (left - pieces).min(2 * left / (pieces + 1)).max(1);
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let piece = 1 + (state >> 33) as usize % most;
        lengths.push(piece);
        left -= piece;
    }
    lengths.push(left);
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    const NIC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    #[test]
    fn what_is_built_reads_back() {
        for (number, len) in [(0, SHORTEST), (255, 61), (u64::MAX, LONGEST)] {
            let frame = build(number, len, NIC);
            assert_eq!(frame.len(), len);
            assert_eq!(read(&frame), Reading::Numbered(number));
            assert_eq!(super::number(&frame), Some(number));
        }
    }

    #[test]
    fn one_wrong_byte_is_found() {
        let mut frame = build(7, 100, NIC);
        frame[99] ^= 1;
        assert!(matches!(read(&frame), Reading::Damaged(text) if text.contains("byte 99")));
    }

    #[test]
    fn another_protocol_is_not_ours_to_judge() {
        let mut frame = build(7, 100, NIC);
        frame[12] = 0x08;
        assert_eq!(read(&frame), Reading::Other);
    }

    #[test]
    fn a_truncated_frame_is_damaged() {
        assert!(matches!(read(&build(7, 100, NIC)[..40]), Reading::Damaged(_)));
        assert!(matches!(read(&[0; 5]), Reading::Damaged(_)));
    }

    #[test]
    fn cuts_add_up_and_leave_no_piece_empty() {
        for (len, count) in [(60, 1), (60, 2), (1514, 8), (60, 8), (3, 8)] {
            for seed in 0..50 {
                let lengths = cut(len, count, seed);
                assert_eq!(lengths.len(), count.min(len));
                assert_eq!(lengths.iter().sum::<usize>(), len);
                assert!(lengths.iter().all(|&piece| piece > 0), "{lengths:?}");
            }
        }
    }
}
