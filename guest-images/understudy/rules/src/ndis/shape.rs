//! What a net buffer list looks like at a hand-over: all that whoever gets it may use but must not change.
//!
//! Rules: NF16, NF19, NF20, NF23 (`driver/docs/ndis-filter.md`).

use alloc::{format, string::String, vec::Vec};

/// Names of [`Shape::fields`].
pub const FIELDS: [&str; 11] = [
    "FirstNetBuffer",
    "Context",
    "ParentNetBufferList",
    "NdisPoolHandle",
    "NdisReserved",
    "the maker's reserved area, word 0",
    "the maker's reserved area, word 1",
    "the maker's reserved area, word 2 or 3",
    "NblFlags",
    "the protocol's Flags",
    "NetBufferListInfo",
];

/// Names of [`Part`]'s words.
const PART: [&str; 7] =
    ["address", "CurrentMdl", "CurrentMdlOffset", "DataLength", "MdlChain", "DataOffset", "its MDLs"];

/// One NET_BUFFER: the words that [`PART`] names.
pub type Part = [u64; 7];

/// A net buffer list at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// SourceHandle.
    pub source: u64,
    /// NetBufferListCancelId.
    pub cancel_id: u64,
    /// The rest of the list, as [`FIELDS`] has it.
    pub fields: [u64; FIELDS.len()],
    /// Its NET_BUFFERs in order.
    pub parts: Vec<Part>,
    /// Digest of the used data.
    pub data: u64,
}

impl Shape {
    /// The first thing that is not as it was, in words.
    #[must_use]
    pub fn difference(&self, now: &Self) -> Option<String> {
        let changed = |name: &str, before: u64, after: u64| {
            (before != after).then(|| format!("{name} was {before:#x} and is {after:#x}"))
        };
        let fields = FIELDS.iter().zip(self.fields.iter().zip(&now.fields));
        let field = fields.into_iter().find_map(|(name, (&before, &after))| changed(name, before, after));
        field
            .or_else(|| {
                (self.parts.len() != now.parts.len()).then(|| {
                    format!("{} NET_BUFFERs were given and {} are there", self.parts.len(), now.parts.len())
                })
            })
            .or_else(|| {
                self.parts.iter().zip(&now.parts).enumerate().find_map(|(at, (before, after))| {
                    let words = PART.iter().zip(before.iter().zip(after));
                    words.into_iter().find_map(|(name, (&before, &after))| {
                        changed(&format!("NET_BUFFER {at}, {name}"), before, after)
                    })
                })
            })
            .or_else(|| (self.data != now.data).then(|| "its data has been written".into()))
    }
}

/// A digest of bytes, for comparison within one run: each call goes on from `digest`.
#[must_use]
pub fn digest(mut digest: u64, bytes: &[u8]) -> u64 {
    let mut mix = |word: u64| {
        digest = (digest ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    };
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        mix(word.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)));
    }
    // a mark above the byte tells a remainder from a whole word
    words.remainder().iter().for_each(|&byte| mix(u64::from(byte) | 1 << 8));
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape { parts: [[1, 2, 3, 4, 5, 6, 7]].into(), ..Shape::default() }
    }

    #[test]
    fn what_is_as_it_was_differs_in_nothing() {
        assert_eq!(shape().difference(&shape()), None);
    }

    #[test]
    fn a_changed_field_is_named() {
        let mut now = shape();
        now.fields[1] = 0x10;
        assert_eq!(shape().difference(&now).unwrap(), "Context was 0x0 and is 0x10");
    }

    #[test]
    fn a_moved_data_start_is_named() {
        let mut now = shape();
        now.parts[0][5] = 14;
        assert_eq!(shape().difference(&now).unwrap(), "NET_BUFFER 0, DataOffset was 0x6 and is 0xe");
    }

    #[test]
    fn a_lost_net_buffer_is_counted() {
        let mut now = shape();
        now.parts.clear();
        assert_eq!(shape().difference(&now).unwrap(), "1 NET_BUFFERs were given and 0 are there");
    }

    #[test]
    fn written_data_is_seen() {
        let digests = [digest(0, b"0123456789"), digest(0, b"0123456798"), digest(0, b"012345678")];
        assert!(digests[0] != digests[1] && digests[0] != digests[2]);
        let now = Shape { data: digests[1], ..shape() };
        let before = Shape { data: digests[0], ..shape() };
        assert_eq!(before.difference(&now).unwrap(), "its data has been written");
    }
}
