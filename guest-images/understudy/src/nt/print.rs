//! DbgPrintEx: the format language of the C library, as far as drivers use it.

use alloc::{format, string::String, vec::Vec};
use core::ffi::CStr;
use wdk_offline::UNICODE_STRING;

/// Arguments behind the format that one call may have.
const ARGUMENTS: usize = 20;

macro_rules! dbg_print {
    ($($argument:ident)*) => {
        /// DbgPrintEx(ComponentId, Level, Format, ...): up to DIRQL. Variadic arguments of this convention stand where
        /// further integer parameters would, hence the many.
        pub(super) unsafe extern "win64" fn dbg_print_ex(_component: u32, _level: u32, text: *const i8, $($argument: u64),*) -> u32 {
            // SAFETY: the driver passes a zero-terminated format, and strings where it says %s.
            unsafe { print(text, &[$($argument),*]) }
        }

        /// DbgPrint(Format, ...): as DbgPrintEx.
        pub(super) unsafe extern "win64" fn dbg_print(text: *const i8, $($argument: u64),*) -> u32 {
            // SAFETY: as above.
            unsafe { print(text, &[$($argument),*]) }
        }
    };
}
dbg_print!(a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 a10 a11 a12 a13 a14 a15 a16 a17 a18 a19);

/// Prints a line.
///
/// # Safety
/// `text` is a zero-terminated format, and there are the strings that it names.
unsafe fn print(text: *const i8, arguments: &[u64; ARGUMENTS]) -> u32 {
    // SAFETY: by contract.
    let line = unsafe { expand(text, arguments) };
    crate::log!("driver: {}", line.trim_end());
    crate::verifier::output::debug_line(&line);
    0
}

/// The most that a width or a precision asks for: DbgPrintEx transmits no more than so many bytes of one call.
const MOST: usize = 512;

/// `[flags][width][.precision][size]conversion`, behind a percent sign.
#[derive(Debug, Default)]
struct Spec {
    /// `-`: on the left of its width.
    left: bool,
    /// `0`: zeros fill the width of a number.
    zeros: bool,
    /// `+` or a blank: what stands in front of a number that is not negative.
    sign: &'static str,
    /// `#`: 0x in front of a hexadecimal number.
    prefix: bool,
    width: usize,
    precision: Option<usize>,
    bits: u32,
    /// A string of 16-bit units.
    wide: bool,
}

impl Spec {
    /// Reads a specification up to its conversion; gives what is behind it. A `*` takes an argument.
    fn parse(mut rest: &[u8], mut next: impl FnMut() -> u64) -> (Self, &[u8]) {
        let mut spec = Self { bits: 32, ..Self::default() };
        while let Some((&flag, tail)) = rest.split_first() {
            match flag {
                b'-' => spec.left = true,
                b'0' => spec.zeros = true,
                b'+' => spec.sign = "+",
                b' ' if spec.sign.is_empty() => spec.sign = " ",
                b'#' => spec.prefix = true,
                b' ' => {}
                _ => break,
            }
            rest = tail;
        }
        let width = number(&mut rest, &mut next);
        spec.left |= width < 0;
        spec.width = (width.unsigned_abs() as usize).min(MOST);
        if let Some(tail) = rest.strip_prefix(b".") {
            rest = tail;
            // a negative one counts as none
            spec.precision = usize::try_from(number(&mut rest, &mut next)).ok();
        }
        const SIZES: [(&[u8], u32); 11] = [
            (b"I64", 64),
            (b"I32", 32),
            (b"I", 64),
            (b"hh", 8),
            (b"h", 16),
            (b"ll", 64),
            (b"l", 32),
            (b"w", 32),
            (b"z", 64),
            (b"j", 64),
            (b"t", 64),
        ];
        if let Some((size, bits)) = SIZES.into_iter().find(|(size, _)| rest.starts_with(size)) {
            rest = &rest[size.len()..];
            spec.bits = bits;
            spec.wide = matches!(size, b"l" | b"w");
        }
        (spec, rest)
    }

    /// The argument as a number without a sign.
    fn unsigned(&self, value: u64) -> u64 {
        value & (u64::MAX >> (64 - self.bits))
    }

    /// The argument as a number with a sign.
    fn signed(&self, value: u64) -> i64 {
        (value << (64 - self.bits)) as i64 >> (64 - self.bits)
    }

    /// A number of at least as many digits as the precision asks for, in its width.
    fn number(&self, sign: &str, digits: &str) -> String {
        let least = match self.precision {
            Some(precision) => precision.min(MOST),
            None if self.zeros && !self.left => self.width.saturating_sub(sign.len()),
            None => 0,
        };
        self.padded(format!("{sign}{digits:0>least$}"))
    }

    fn padded(&self, text: String) -> String {
        let width = self.width;
        if self.left { format!("{text:<width$}") } else { format!("{text:>width$}") }
    }

    /// A string's bytes or units, as many as the precision allows at most and none behind its zero.
    ///
    /// # Safety
    /// `value` is NULL, or the address of a string that is terminated by a zero or as long as the precision.
    unsafe fn text(&self, value: u64, wide: bool) -> String {
        if value == 0 {
            return "(null)".into();
        }
        let most = self.precision.unwrap_or(usize::MAX);
        if wide {
            let from = value as *const u16;
            // SAFETY: by contract, nothing behind the zero or the precision is read.
            let units = (0..most).map(|at| unsafe { from.add(at).read_unaligned() });
            let units = char::decode_utf16(units.take_while(|&unit| unit != 0));
            return units.map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        }
        let from = value as *const u8;
        // SAFETY: as above.
        let bytes: Vec<u8> =
            (0..most).map(|at| unsafe { from.add(at).read() }).take_while(|&byte| byte != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Reads digits, or takes an argument for a `*`.
fn number(rest: &mut &[u8], mut next: impl FnMut() -> u64) -> i32 {
    if let Some(tail) = rest.strip_prefix(b"*") {
        *rest = tail;
        return next() as i32;
    }
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, tail) = rest.split_at(len);
    *rest = tail;
    digits
        .iter()
        .fold(0, |number: i32, &digit| number.saturating_mul(10).saturating_add((digit - b'0').into()))
}

/// Expands `%[flags][width][.precision][size]conversion`.
///
/// # Safety
/// `text` is a zero-terminated string; every argument of a %s, %S is NULL or a string that is zero-terminated or as long
/// as its precision, and every argument of a %wZ NULL or a UNICODE_STRING.
unsafe fn expand(text: *const i8, arguments: &[u64; ARGUMENTS]) -> String {
    // SAFETY: by contract.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let mut out = String::new();
    let mut arguments = arguments.iter().copied();
    let mut next = || arguments.next().unwrap_or_default();
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            out.push(char::from(byte));
            continue;
        }
        let (spec, tail) = Spec::parse(rest, &mut next);
        let Some((&conversion, tail)) = tail.split_first() else { break };
        rest = tail;
        if conversion == b'%' {
            out.push('%');
            continue;
        }
        let value = next();
        let hexadecimal = if spec.prefix && spec.unsigned(value) != 0 { "0x" } else { "" };
        let piece = match conversion {
            b'd' | b'i' => {
                let value = spec.signed(value);
                let sign = if value < 0 { "-" } else { spec.sign };
                spec.number(sign, &format!("{}", value.unsigned_abs()))
            }
            b'u' => spec.number("", &format!("{}", spec.unsigned(value))),
            b'x' => spec.number(hexadecimal, &format!("{:x}", spec.unsigned(value))),
            b'X' => spec.number(hexadecimal, &format!("{:X}", spec.unsigned(value))),
            b'o' => spec.number("", &format!("{:o}", spec.unsigned(value))),
            b'p' => spec.padded(format!("{value:016x}")),
            b'c' => spec.padded(char::from(value as u8).into()),
            // SAFETY: by contract.
            b's' => spec.padded(unsafe { spec.text(value, spec.wide) }),
            // SAFETY: as above.
            b'S' => spec.padded(unsafe { spec.text(value, !spec.wide) }),
            b'Z' if spec.wide => {
                // SAFETY: by contract; a driver's structures are aligned.
                let string = unsafe { (value as *const UNICODE_STRING).as_ref() };
                let (at, len) = string.map_or((0, 0), |string| (string.Buffer as u64, string.Length / 2));
                let most = spec.precision.unwrap_or(usize::MAX).min(len.into());
                // SAFETY: a UNICODE_STRING's buffer holds its length.
                spec.padded(unsafe { Spec { precision: Some(most), ..Spec::default() }.text(at, true) })
            }
            _ => format!("%{}?", char::from(conversion)),
        };
        out.push_str(&piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;

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

    #[test]
    fn a_precision_bounds_a_string_whether_it_is_written_out_or_an_argument() {
        assert_eq!(said(c"%.3s|%.9s|%.0s|%.s|", &[text(c"words"); 4]), "wor|words|||");
        assert_eq!(said(c"[%6.2s] [%-6.2s]", &[text(c"word"), text(c"word")]), "[    wo] [wo    ]");
        assert_eq!(said(c"%.*s|", &[-1_i32 as u64, text(c"word")]), "word|");
    }

    #[test]
    fn nothing_behind_the_precision_of_a_string_is_read() {
        // the page behind it would be the next object's: the string has no zero
        let alone: Box<[u8]> = Box::from(*b"abc");
        assert_eq!(said(c"%.3s %.*s", &[alone.as_ptr() as u64, 2, alone.as_ptr() as u64]), "abc ab");
    }

    #[test]
    fn a_precision_gives_a_number_its_least_digits() {
        assert_eq!(
            said(c"[%.3d] [%6.3d] [%-6.3u] [%.2x]", &[7, 7, 7, 0xabc]),
            "[007] [   007] [007   ] [abc]"
        );
        assert_eq!(said(c"[%06.3d]", &[7]), "[   007]");
    }

    #[test]
    fn a_sign_stands_in_front_of_the_zeros() {
        let minus = -42_i32 as u32;
        assert_eq!(said(c"[%05d] [%5d]", &[minus.into(), minus.into()]), "[-0042] [  -42]");
        assert_eq!(said(c"[%+d] [% d] [%+05d]", &[7, 7, 7]), "[+7] [ 7] [+0007]");
    }

    #[test]
    fn what_stands_on_the_left_is_filled_with_blanks() {
        assert_eq!(
            said(c"[%-5d] [%-05d] [%-6s] [%-3c]", &[42, 42, text(c"word"), 65]),
            "[42   ] [42   ] [word  ] [A  ]"
        );
        assert_eq!(said(c"[%*d]", &[-4_i32 as u64, 7]), "[7   ]");
    }

    #[test]
    fn a_hexadecimal_number_has_its_prefix_where_it_is_asked_for() {
        assert_eq!(said(c"%#x %#X %#010x %#x", &[0xab, 0xab, 0xab, 0]), "0xab 0xAB 0x000000ab 0");
    }

    #[test]
    fn small_sizes_take_the_low_bits_of_their_argument() {
        assert_eq!(said(c"%hd %hu %hhd %hhx", &[0x1_8000, 0x1_ffff, 0x1ff, 0x1ab]), "-32768 65535 -1 ab");
        assert_eq!(said(c"%ld %lu %I32d", &[u64::MAX; 3]), "-1 4294967295 -1");
        assert_eq!(
            said(c"%Id %td %jd %Iu", &[u64::MAX, u64::MAX, u64::MAX, 1 << 40]),
            "-1 -1 -1 1099511627776"
        );
    }

    #[test]
    fn strings_of_16_bit_units_are_read_as_such() {
        let units: Vec<u16> = "Wörter".encode_utf16().chain([0]).collect();
        let at = units.as_ptr() as u64;
        assert_eq!(
            said(c"%ws|%S|%ls|%.2ws|%hs", &[at, at, at, at, text(c"narrow")]),
            "Wörter|Wörter|Wörter|Wö|narrow"
        );
    }

    #[test]
    fn a_counted_string_ends_at_its_length() {
        let mut units: Vec<u16> = "counted".encode_utf16().collect();
        let string = UNICODE_STRING { Length: 10, MaximumLength: 14, Buffer: units.as_mut_ptr() };
        let at = &raw const string as u64;
        assert_eq!(said(c"[%wZ] [%8wZ] [%.2wZ]", &[at; 3]), "[count] [   count] [co]");
        assert_eq!(said(c"%wZ", &[0]), "(null)");
    }

    #[test]
    fn a_width_of_any_size_costs_no_more_than_a_line() {
        assert_eq!(said(c"%99999999999d", &[1]).len(), MOST);
        assert_eq!(said(c"%.2147483647d", &[1]).len(), MOST);
        assert_eq!(said(c"%*d", &[i32::MIN as u64, 1]).len(), MOST);
    }

    #[test]
    fn arguments_that_a_call_does_not_have_are_zero() {
        let many = "%d".repeat(ARGUMENTS + 2);
        let many = std::ffi::CString::new(many).unwrap();
        assert_eq!(said(&many, &[1; ARGUMENTS]), "1".repeat(ARGUMENTS) + "00");
    }
}
