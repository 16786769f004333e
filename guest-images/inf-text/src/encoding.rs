//! From bytes to text.

use alloc::{string::String, vec::Vec};

const UTF_8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
const UTF_16_LE_MARK: &[u8] = &[0xff, 0xfe];
const UTF_16_BE_MARK: &[u8] = &[0xfe, 0xff];

/// Why bytes are not the text of an INF. Each message says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodingFault {
    /// Windows reads UTF-16 in little-endian order only.
    #[error("it is UTF-16 BE, which Windows does not read: save it as UTF-16 LE")]
    Utf16Be,
    /// The byte order mark of UTF-16 LE, and then something else.
    #[error("it begins as UTF-16 LE, but is not valid UTF-16: save it as UTF-16 LE once more")]
    Utf16,
    /// The byte order mark of UTF-8, and then something else.
    #[error("it begins as UTF-8, but is not valid UTF-8: save it as UTF-16 LE")]
    Utf8,
    /// A zero byte: UTF-16 without a byte order mark, or no text.
    #[error("it has a zero byte: it is UTF-16 without a byte order mark (save it with one), or not a text")]
    Zero,
}

/// The text of the bytes of an INF, without its byte order mark.
///
/// A byte order mark decides. Without one the text is UTF-8 where the bytes are valid UTF-8, and otherwise ANSI, which is
/// Windows-1252 here: most of the INFs that hold more than ASCII were written in that code page.
///
/// # Errors
/// [`EncodingFault`].
pub fn decode(bytes: &[u8]) -> Result<String, EncodingFault> {
    let text = if let Some(rest) = bytes.strip_prefix(UTF_16_LE_MARK) {
        let (pairs, rest) = rest.as_chunks();
        let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty()).ok_or(EncodingFault::Utf16)?
    } else if bytes.starts_with(UTF_16_BE_MARK) {
        return Err(EncodingFault::Utf16Be);
    } else if let Some(rest) = bytes.strip_prefix(UTF_8_MARK) {
        core::str::from_utf8(rest).map_err(|_| EncodingFault::Utf8)?.into()
    } else {
        match core::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => bytes.iter().copied().map(of_windows_1252).collect(),
        }
    };
    if text.contains('\0') { Err(EncodingFault::Zero) } else { Ok(text) }
}

/// What Windows-1252 has at 0x80 to 0x9f, where it differs from Latin 1. The five bytes that it leaves undefined are
/// control characters, as in Windows.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn of_windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf_16(mark: &[u8], text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        mark.iter().copied().chain(text.encode_utf16().flat_map(bytes)).collect()
    }

    #[test]
    fn each_byte_of_windows_1252_is_what_another_decoder_reads() {
        for byte in 0..=u8::MAX {
            let bytes = [byte];
            let (theirs, _, _) = encoding_rs::WINDOWS_1252.decode(&bytes);
            assert_eq!(theirs, String::from(of_windows_1252(byte)), "{byte:#x}");
        }
    }

    #[test]
    fn an_ansi_text_is_read_as_windows_1252() {
        assert_eq!(decode(b"; \xa9 M\xfcller \x80 \x96").as_deref(), Ok("; © Müller € –"));
    }

    #[test]
    fn the_same_text_is_read_from_every_encoding() {
        let text = "; © Müller\r\n[Version]\r\n";
        let marked: Vec<u8> = UTF_8_MARK.iter().copied().chain(text.bytes()).collect();
        let ansi = encoding_rs::WINDOWS_1252.encode(text).0;
        let utf_16 = utf_16(UTF_16_LE_MARK, text, u16::to_le_bytes);
        for bytes in [text.as_bytes(), &marked, &ansi, &utf_16] {
            assert_eq!(decode(bytes).as_deref(), Ok(text), "{bytes:x?}");
        }
    }

    #[test]
    fn utf_16_in_big_endian_order_is_named() {
        let bytes = utf_16(UTF_16_BE_MARK, "[Version]", u16::to_be_bytes);
        assert_eq!(decode(&bytes), Err(EncodingFault::Utf16Be));
    }

    #[test]
    fn utf_16_without_a_byte_order_mark_is_named() {
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(decode(&utf_16(&[], "[Version]", order)), Err(EncodingFault::Zero));
        }
    }

    #[test]
    fn a_broken_text_behind_a_byte_order_mark_is_refused() {
        assert_eq!(decode(&[UTF_16_LE_MARK, b"a"].concat()), Err(EncodingFault::Utf16));
        assert_eq!(decode(&[UTF_16_LE_MARK, &[0, 0xd8]].concat()), Err(EncodingFault::Utf16));
        assert_eq!(decode(&[UTF_8_MARK, b"\xfc"].concat()), Err(EncodingFault::Utf8));
    }
}
