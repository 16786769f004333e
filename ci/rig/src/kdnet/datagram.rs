//! A kdnet datagram: what is in clear, what is behind the key.
//!
//! ```text
//! "MDBG" version channel | encrypted: order (8, big-endian) body pad | tag (16)
//! ```
//! AES-256 in CBC mode with the tag as the initialisation vector; the tag covers clear part and plain text. `order` is
//! the sequence number in its upper 56 bits, bit 7 says "from the debugger", the low four bits are the length of the pad.
//! Microsoft has not described any of this: it is what three independent public programs agree on.

use super::key::{Key, Tag};
use aes::Aes256;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::NoPadding};

/// Length of the clear part, bytes.
const HEADER: usize = 6;
/// Length of the field that [`Opened::sequence`] is read from, bytes.
const ORDER: usize = 8;
const BLOCK: usize = 16;
const TAG: usize = size_of::<Tag>();
const FROM_DEBUGGER: u64 = 0x80;
const PAD: u64 = 0xf;

/// Body of a target's poke: its kind, the target's half of the session key, the port of its debugger (big-endian).
const POKE: [u8; 2] = [1, 1];
const POKE_HOST_PORT: usize = 86;
/// Length of the counter at the start of a target's half of the session key, bytes.
const COUNTER: usize = 8;
/// Length of a poke's body in the versions that have been seen.
pub(super) const POKE_LENGTH: usize = 344;

/// Why bytes are no kdnet datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// It starts otherwise.
    #[error("no kdnet datagram: it does not start with MDBG")]
    Foreign,
    /// Shorter than the shortest.
    #[error("a kdnet datagram cut to {0} bytes")]
    Truncated(usize),
    /// The encrypted part is not whole blocks.
    #[error("a kdnet datagram of {0} bytes, which is not whole blocks: it was cut or changed on the way")]
    PartOfBlock(usize),
}

/// What a datagram is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    /// Debugger packets, under a key that both sides agreed on.
    Data,
    /// That agreement, under the shared key.
    Control,
    /// Not known.
    Other(u8),
}

/// A datagram as it came: its form is right, its contents are not known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed<'a> {
    header: &'a [u8],
    cipher: &'a [u8],
    tag: Tag,
}

impl<'a> Sealed<'a> {
    /// Looks at the form of a datagram.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if !bytes.starts_with(b"MDBG") {
            return Err(Malformed::Foreign);
        }
        let too_short = Malformed::Truncated(bytes.len());
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(too_short)?;
        let (cipher, tag) = rest.split_last_chunk::<TAG>().ok_or(too_short)?;
        if cipher.len() < BLOCK {
            return Err(too_short);
        }
        if !cipher.len().is_multiple_of(BLOCK) {
            return Err(Malformed::PartOfBlock(bytes.len()));
        }
        Ok(Self { header, cipher, tag: *tag })
    }

    /// The protocol's version, as the sender says.
    #[must_use]
    pub(super) fn version(&self) -> u8 {
        self.header[4]
    }

    /// What it is for, as the sender says.
    #[must_use]
    pub(super) fn channel(&self) -> Channel {
        match self.header[5] {
            0 => Channel::Data,
            1 => Channel::Control,
            other => Channel::Other(other),
        }
    }

    /// Decrypts a datagram of the control channel. `None`: the tag says that it was made with another key, or changed.
    #[must_use]
    pub(super) fn open(&self, key: &Key) -> Option<Opened> {
        let mut plain = self.cipher.to_vec();
        // Whole blocks are what `parse` has made sure of; there is no padding that could be wrong.
        cbc::Decryptor::<Aes256>::new(&key.control().into(), &self.tag.into())
            .decrypt_padded::<NoPadding>(&mut plain)
            .ok()?;
        if key.tag(self.header, &plain) != self.tag {
            return None;
        }
        let order = u64::from_be_bytes(*plain.first_chunk::<ORDER>()?);
        // More pad than there is makes an empty body; the sender holds the key, so it is strange, not hostile.
        let end = plain.len().saturating_sub((order & PAD) as usize).max(ORDER);
        let body = plain.get(ORDER..end)?.to_vec();
        Some(Opened { sequence: order >> 8, from_debugger: order & FROM_DEBUGGER != 0, body })
    }
}

/// What a datagram holds; its sender has the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opened {
    /// Rises with each datagram of a sender.
    pub sequence: u64,
    /// Sent by a debugger, not by a target.
    pub from_debugger: bool,
    /// Without the pad.
    pub body: Vec<u8>,
}

/// A target's call for a debugger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Poke {
    /// The target's half of the session key: a counter, and what stays the same while the target runs.
    pub client_key: [u8; 32],
    /// Port of the debugger that it has a data channel with; 0: none.
    pub host_port: u16,
    /// Length of the whole body, usually [`POKE_LENGTH`].
    pub length: usize,
}

impl Poke {
    /// The part of [`Self::client_key`] that a target keeps until it restarts. It counts the first 8 bytes up with every
    /// offer of a session.
    #[must_use]
    pub(super) fn session(&self) -> &[u8] {
        &self.client_key[COUNTER..]
    }
}

impl Opened {
    /// The body as a poke; `None` if it is something else.
    #[must_use]
    pub(super) fn poke(&self) -> Option<Poke> {
        let rest = self.body.strip_prefix(&POKE)?;
        let client_key = *rest.first_chunk::<32>()?;
        let host_port = u16::from_be_bytes(*self.body.get(POKE_HOST_PORT..)?.first_chunk::<2>()?);
        Some(Poke { client_key, host_port, length: self.body.len() })
    }
}

#[cfg(test)]
pub(super) mod made {
    //! Datagrams as a target makes them.

    use super::*;
    use cbc::cipher::BlockModeEncrypt;

    /// A datagram of a target.
    pub(crate) struct Made<'a> {
        pub version: u8,
        pub channel: u8,
        pub order: u64,
        pub body: &'a [u8],
    }

    impl Made<'_> {
        pub(crate) fn seal(&self, key: &Key) -> Vec<u8> {
            let pad = (ORDER + self.body.len()).next_multiple_of(BLOCK) - ORDER - self.body.len();
            let header = [b'M', b'D', b'B', b'G', self.version, self.channel];
            let mut plain = (self.order | pad as u64).to_be_bytes().to_vec();
            plain.extend_from_slice(self.body);
            plain.resize(plain.len() + pad, 0);
            let tag = key.tag(&header, &plain);
            let length = plain.len();
            cbc::Encryptor::<Aes256>::new(&key.control().into(), &tag.into())
                .encrypt_padded::<NoPadding>(&mut plain, length)
                .unwrap();
            [header.as_slice(), &plain, &tag].concat()
        }
    }

    /// Body of a poke; `counter` begins its half of the session key, the rest of which is all `client`.
    pub(crate) fn poke_body(counter: u64, client: u8, host_port: u16) -> Vec<u8> {
        let mut body = vec![0; POKE_LENGTH];
        body[..2].copy_from_slice(&POKE);
        body[2..34].fill(client);
        body[2..2 + COUNTER].copy_from_slice(&counter.to_le_bytes());
        body[POKE_HOST_PORT..][..2].copy_from_slice(&host_port.to_be_bytes());
        body
    }

    /// A poke of version 5; a target counts its offers as it counts its datagrams.
    pub(crate) fn poke(key: &Key, sequence: u64, client: u8, host_port: u16) -> Vec<u8> {
        let body = poke_body(sequence, client, host_port);
        Made { version: 5, channel: 1, order: sequence << 8, body: &body }.seal(key)
    }
}

#[cfg(test)]
mod tests;
