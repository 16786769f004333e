//! The key that target and debugger share, and what is made of it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;

/// Numbers in a key.
const PARTS: usize = 4;
/// Digits of the largest 64-bit number in base 36.
const DIGITS: usize = 13;

/// Why a text is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    /// Not four numbers.
    #[error("a kdnet key is four numbers in base 36 with dots between, such as 1a.2b.3c.4d; this has {0}")]
    Parts(usize),
    /// A number with other characters, none, or too many.
    #[error("part {0} of the key, {1:?}, is no number of 1 to 13 characters out of 0-9 and a-z")]
    Part(usize, String),
    /// A number beyond 64 bits.
    #[error("part {0} of the key, {1:?}, is more than 64 bits (the largest is 3w5e11264sgsf)")]
    TooLarge(usize, String),
}

/// A key, in its text form four 64-bit numbers in base 36.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key([u64; PARTS]);

/// First 16 bytes of HMAC-SHA256.
pub(super) type Tag = [u8; 16];

impl Key {
    /// A key that nobody has had before.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut parts = [0; PARTS];
        for part in &mut parts {
            *part = getrandom::u64()?;
        }
        Ok(Self(parts))
    }

    /// What the control channel is encrypted with: the numbers, little-endian, one behind the other.
    #[must_use]
    pub(super) fn control(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, part) in bytes.chunks_exact_mut(8).zip(self.0) {
            place.copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    /// The tag of a datagram's header and plain text, on either channel. Its key is the complement of [`Self::control`].
    #[must_use]
    pub(super) fn tag(&self, header: &[u8], plain: &[u8]) -> Tag {
        // HMAC lengthens a key with zeros to the hash function's block, here 64 bytes.
        let mut key = [0; 64];
        for (place, byte) in key.iter_mut().zip(self.control()) {
            *place = !byte;
        }
        let mac = <Hmac<Sha256> as KeyInit>::new(&key.into()).chain_update(header).chain_update(plain);
        let mut tag = Tag::default();
        tag.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        tag
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let parts: Vec<&str> = text.split('.').collect();
        let Ok(parts): Result<[&str; PARTS], _> = parts.as_slice().try_into() else {
            return Err(KeyError::Parts(parts.len()));
        };
        let mut key = [0; PARTS];
        for (number, (part, place)) in (1..).zip(parts.into_iter().zip(&mut key)) {
            if part.is_empty() || part.len() > DIGITS || !part.bytes().all(|c| c.is_ascii_alphanumeric()) {
                return Err(KeyError::Part(number, part.to_owned()));
            }
            *place =
                u64::from_str_radix(part, 36).map_err(|_| KeyError::TooLarge(number, part.to_owned()))?;
        }
        Ok(Self(key))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.0.into_iter().enumerate() {
            if at != 0 {
                f.write_str(".")?;
            }
            let mut digits = [0; DIGITS];
            let mut first = DIGITS;
            let mut left = part;
            loop {
                first -= 1;
                digits[first] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(left % 36) as usize];
                left /= 36;
                if left == 0 {
                    break;
                }
            }
            f.write_str(std::str::from_utf8(&digits[first..]).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    /// As the text form: whoever runs the doctor has typed it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_little_endian_one_behind_the_other() {
        let key: Key = "1.z.10.3w5e11264sgsf".parse().unwrap();
        let mut expected = [0; 32];
        expected[0] = 1;
        expected[8] = 35;
        expected[16] = 36;
        expected[24..].fill(0xff);
        assert_eq!(key.control(), expected);
    }

    #[test]
    fn capital_letters_are_taken_and_written_small() {
        assert_eq!("A.B.C.Z9".parse::<Key>().unwrap().to_string(), "a.b.c.z9");
    }

    #[test]
    fn text_that_is_no_key_is_refused_by_its_part() {
        let refused = |text: &str| text.parse::<Key>().unwrap_err();
        assert_eq!(refused("1.2.3"), KeyError::Parts(3));
        assert_eq!(refused("1.2.3.4.5"), KeyError::Parts(5));
        assert_eq!(refused("1..3.4"), KeyError::Part(2, String::new()));
        assert_eq!(refused("1.2.3.+4"), KeyError::Part(4, "+4".into()));
        assert_eq!(refused("1.2.00000000000003.4"), KeyError::Part(3, "00000000000003".into()));
        assert_eq!(refused("3w5e11264sgsg.2.3.4"), KeyError::TooLarge(1, "3w5e11264sgsg".into()));
    }

    #[test]
    fn two_random_keys_differ() {
        assert_ne!(Key::random().unwrap(), Key::random().unwrap());
    }

    proptest! {
        #[test]
        fn every_key_survives_its_text(parts: [u64; PARTS]) {
            let key = Key(parts);
            prop_assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        }
    }
}
