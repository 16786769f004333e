//! Numbered frames: the traffic that the project makes and judges. Each frame has a number, and every byte behind its
//! addresses follows from that, so that any witness (device, driver, guest, capture) can tell which frame it has and
//! whether it is whole.
//!
//! | bytes | |
//! |---|---|
//! | 0 to 5 | destination, usually [`EVERYONE`] |
//! | 6 to 11 | source |
//! | 12, 13 | [`ETHERTYPE`], big-endian |
//! | 14 to 21 | the number, big-endian |
//! | from 22 on | filler: byte i is `(number + i) as u8` |
//!
//! Lengths are without frame check sequence.

#![no_std]
#![forbid(unsafe_code)]

use core::fmt;

/// EtherType of numbered frames: IEEE 802's for local experiments.
pub const ETHERTYPE: u16 = 0x88b5;
/// Bytes before the filler.
pub const HEADER: usize = 22;
/// Shortest frame that a sender makes (IEEE 802.3), in bytes.
pub const SHORTEST: usize = 60;
/// Every station: the broadcast address.
pub const EVERYONE: [u8; 6] = [0xff; 6];

const KIND: core::ops::Range<usize> = 12..14;

/// The bytes of frame `number`, as many as are asked for: a frame takes at least [`HEADER`] of them.
pub fn bytes(number: u64, source: [u8; 6], destination: [u8; 6]) -> impl Iterator<Item = u8> {
    let filler = (HEADER..).map(move |at| filler(number, at));
    destination
        .into_iter()
        .chain(source)
        .chain(ETHERTYPE.to_be_bytes())
        .chain(number.to_be_bytes())
        .chain(filler)
}

/// Byte `at` of frame `number`, from [`HEADER`] on.
const fn filler(number: u64, at: usize) -> u8 {
    number.wrapping_add(at as u64) as u8
}

/// Whether a frame says that it is numbered: it has the EtherType.
pub fn claims(frame: &[u8]) -> bool {
    frame.get(KIND) == Some(&ETHERTYPE.to_be_bytes())
}

/// The number of a numbered frame; `None` of another protocol's frame, or one that ends before its number does. The filler
/// is not looked at.
pub fn number(frame: &[u8]) -> Option<u64> {
    let number = frame.get(KIND.end..HEADER).filter(|_| claims(frame))?;
    number.try_into().ok().map(u64::from_be_bytes)
}

/// A byte of a numbered frame that is not as its sender made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged {
    /// The frame's number.
    pub number: u64,
    /// The place of the byte.
    pub at: usize,
    /// The byte.
    pub found: u8,
    /// As it was made.
    pub expected: u8,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, at, found, expected } = self;
        write!(f, "frame {number} is damaged at byte {at}: {found:#04x}, expected {expected:#04x}")
    }
}

impl core::error::Error for Damaged {}

/// The number of a whole numbered frame; `None` where [`number`] has none.
///
/// # Errors
/// The first byte of the filler that is wrong.
pub fn read(frame: &[u8]) -> Result<Option<u64>, Damaged> {
    let Some(number) = number(frame) else { return Ok(None) };
    let wrong = (HEADER..).zip(frame.iter().skip(HEADER)).find(|(at, byte)| **byte != filler(number, *at));
    match wrong {
        Some((at, found)) => Err(Damaged { number, at, found: *found, expected: filler(number, at) }),
        None => Ok(Some(number)),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    fn frame(number: u64, len: usize) -> Vec<u8> {
        bytes(number, [2, 0, 0, 0, 0, 7], [2, 0, 0, 0, 0, 8]).take(len).collect()
    }

    #[test]
    fn frame_is_laid_out_as_written_down() {
        let frame = frame(0x0102, 60);
        assert_eq!(frame.len(), 60);
        assert_eq!(frame[..6], [2, 0, 0, 0, 0, 8]);
        assert_eq!(frame[6..14], [2, 0, 0, 0, 0, 7, 0x88, 0xb5]);
        assert_eq!(frame[14..22], [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((frame[22], frame[59]), (0x02 + 22, 0x02 + 59));
    }

    #[test]
    fn what_is_made_is_read_back() {
        for (number, len) in [(0, HEADER), (255, SHORTEST), (u64::MAX, 1514)] {
            assert_eq!(read(&frame(number, len)), Ok(Some(number)));
            assert_eq!(super::number(&frame(number, len)), Some(number));
        }
    }

    #[test]
    fn every_wrong_byte_of_the_filler_is_found() {
        for at in HEADER..100 {
            let mut frame = frame(7, 100);
            frame[at] ^= 1;
            let damaged = read(&frame).unwrap_err();
            assert_eq!((damaged.number, damaged.at), (7, at));
        }
        let damaged = Damaged { number: 7, at: 99, found: 1, expected: 0x6a };
        assert_eq!(damaged.to_string(), "frame 7 is damaged at byte 99: 0x01, expected 0x6a");
    }

    #[test]
    fn another_protocol_and_a_cut_header_have_no_number() {
        let mut other = frame(7, 100);
        other[12] = 0x08;
        assert_eq!((claims(&other), read(&other)), (false, Ok(None)));
        assert_eq!((claims(&frame(7, 21)), read(&frame(7, 21))), (true, Ok(None)));
        assert_eq!(number(&[0; 5]), None);
    }
}
