//! DbgPrintEx: the format language of the C library, as far as drivers use it.

use alloc::{format, string::String};
use core::ffi::CStr;

/// Arguments behind the format that one call may have.
const ARGUMENTS: usize = 20;

macro_rules! dbg_print_ex {
    ($($argument:ident)*) => {
        /// DbgPrintEx(ComponentId, Level, Format, ...): up to DIRQL. Variadic arguments of this convention stand where
        /// further integer parameters would, hence the many.
        pub unsafe extern "win64" fn dbg_print_ex(_component: u32, _level: u32, text: *const i8, $($argument: u64),*) -> u32 {
            let arguments = [$($argument),*];
            // SAFETY: the driver passes a zero-terminated format, and strings where it says %s.
            let line = unsafe { expand(text, &arguments) };
            crate::log!("driver: {}", line.trim_end());
            crate::verifier::output::debug_line(&line);
            0
        }
    };
}
dbg_print_ex!(a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15 a16 a17 a18 a19);

/// Expands `%[flags][width][.precision][size]conversion`.
///
/// # Safety
/// `text` and every argument of a %s is a zero-terminated string, or NULL.
unsafe fn expand(text: *const i8, arguments: &[u64; ARGUMENTS]) -> String {
    // SAFETY: by contract.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let mut out = String::new();
    let mut arguments = arguments.iter().copied();
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            out.push(char::from(byte));
            continue;
        }
        let spec =
            rest.iter().position(|byte| !b"-+ #0123456789.*lhIzjtw".contains(byte)).unwrap_or(rest.len());
        let (modifiers, tail) = rest.split_at(spec);
        let Some((&conversion, tail)) = tail.split_first() else { break };
        rest = tail;
        if conversion == b'%' {
            out.push('%');
            continue;
        }
        let mut next = || arguments.next().unwrap_or_default();
        let wide =
            modifiers.windows(2).any(|pair| pair == b"ll" || pair == b"I6") || modifiers.contains(&b'z');
        // the width stands in front of the size: %I64u has none
        let width_text: String = modifiers
            .iter()
            .take_while(|byte| !b"lhIzjtw".contains(byte))
            .skip_while(|byte| !byte.is_ascii_digit())
            .take_while(|byte| byte.is_ascii_digit())
            .map(|&byte| char::from(byte))
            .collect();
        let zero = width_text.starts_with('0');
        let width = if modifiers.contains(&b'*') { next() as usize } else { width_text.parse().unwrap_or(0) };
        let value = next();
        let small = if wide { value } else { value & 0xffff_ffff };
        let piece = match conversion {
            b'd' | b'i' if wide => format!("{}", value as i64),
            b'd' | b'i' => format!("{}", value as i32),
            b'u' => format!("{small}"),
            b'x' => format!("{small:x}"),
            b'X' => format!("{small:X}"),
            b'p' => format!("{value:016x}"),
            b'c' => String::from(char::from(value as u8)),
            b's' if value == 0 => "(null)".into(),
            b's' => {
                // SAFETY: by contract.
                let bytes = unsafe { CStr::from_ptr(value as *const i8) }.to_bytes();
                let precision =
                    modifiers.contains(&b'.').then_some(width).filter(|_| modifiers.contains(&b'*'));
                String::from_utf8_lossy(&bytes[..precision.unwrap_or(bytes.len()).min(bytes.len())])
                    .into_owned()
            }
            _ => format!("%{}?", char::from(conversion)),
        };
        let pad = if zero { '0' } else { ' ' };
        let missing = if conversion == b's' && modifiers.contains(&b'.') {
            0
        } else {
            width.saturating_sub(piece.len())
        };
        out.extend(core::iter::repeat_n(pad, missing));
        out.push_str(&piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &CStr, given: &[u64]) -> String {
        let mut arguments = [0; ARGUMENTS];
        arguments[..given.len()].copy_from_slice(given);
        // SAFETY: terminated; each %s below has a terminated string or NULL.
        unsafe { expand(text.as_ptr(), &arguments) }
    }

    fn text(of: &'static CStr) -> u64 {
        of.as_ptr() as u64
    }

    #[test]
    fn numbers_are_of_the_size_that_the_format_says() {
        let minus = -1_i64 as u64;
        assert_eq!(said(c"%d %i %u", &[minus, minus, minus]), "-1 -1 4294967295");
        assert_eq!(said(c"%lld %I64u %zu", &[minus, 1 << 40, 1 << 40]), "-1 1099511627776 1099511627776");
        assert_eq!(said(c"%x %X %llx", &[0xabc, 0xabc, 1 << 36]), "abc ABC 1000000000");
    }

    #[test]
    fn widths_pad_with_blanks_or_zeros() {
        assert_eq!(said(c"[%5d] [%05d] [%08x]", &[42, 42, 0xbeef]), "[   42] [00042] [0000beef]");
        assert_eq!(said(c"[%*d]", &[4, 7]), "[   7]");
    }

    #[test]
    fn strings_characters_and_addresses() {
        assert_eq!(said(c"%s|%c|%p", &[text(c"word"), 65, 0x1000]), "word|A|0000000000001000");
        assert_eq!(said(c"%s", &[0]), "(null)");
        assert_eq!(said(c"%.*s|", &[2, text(c"word")]), "wo|");
    }

    #[test]
    fn a_percent_sign_stands_for_itself_and_what_is_unknown_is_shown() {
        assert_eq!(said(c"100%% %q", &[1]), "100% %q?");
        assert_eq!(said(c"ends with %", &[]), "ends with ");
        assert_eq!(said(c"ends in a %0", &[]), "ends in a ");
    }
}
