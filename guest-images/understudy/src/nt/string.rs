//! Counted strings, and the C library's of which the kernel has a copy.
//!
//! The pages of RtlInitUnicodeString, RtlCompareUnicodeString, RtlAppendUnicodeStringToString, RtlAnsiStringToUnicodeString,
//! RtlUnicodeStringToInteger and RtlIntegerToUnicodeString. Case is that of ASCII.

use super::caller::caller_is_fourth;
use crate::ke::Irql;
use crate::verifier::owners::owner_of;
use crate::verifier::{BugCheck, pool, require_irql, trace};
use alloc::{format, string::String, vec::Vec};
use core::cmp::Ordering;
use wdk_offline::{
    NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS, UNICODE_STRING,
};

/// Tag of buffers that the Rtl functions allocate.
const TAG: u32 = u32::from_le_bytes(*b"Strg");
/// Most bytes of a counted string.
const MOST: usize = 0xfffe;

/// ANSI_STRING, of bytes.
#[repr(C)]
pub(super) struct Bytes {
    length: u16,
    maximum: u16,
    buffer: *mut u8,
}

caller_is_fourth! {
    ansi_to_unicode => ansi_to_unicode_for,
    unicode_to_ansi => unicode_to_ansi_for,
}

/// Units up to the zero that ends them, at most as many as a counted string takes.
unsafe fn ended<T: Copy + PartialEq + Default>(text: *const T, most: usize) -> usize {
    // SAFETY: the driver passes text that ends with a zero.
    (0..most).find(|&at| unsafe { *text.add(at) } == T::default()).unwrap_or(most)
}

/// RtlInitUnicodeString: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn init_unicode(to: *mut UNICODE_STRING, text: *const u16) {
    let count = if text.is_null() {
        0
    } else {
        // SAFETY: the driver passes NULL, or text that ends with a zero.
        unsafe { ended(text, MOST / 2 - 1) }
    };
    let bytes = (2 * count) as u16;
    let maximum = if text.is_null() { 0 } else { bytes + 2 };
    // SAFETY: the driver passes the place for its string.
    unsafe { to.write(UNICODE_STRING { Length: bytes, MaximumLength: maximum, Buffer: text.cast_mut() }) };
}

/// RtlInitAnsiString, RtlInitString: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn init_bytes(to: *mut Bytes, text: *const u8) {
    let count = if text.is_null() {
        0
    } else {
        // SAFETY: the driver passes NULL, or text that ends with a zero.
        unsafe { ended(text, MOST) as u16 }
    };
    let maximum = if text.is_null() { 0 } else { count + 1 };
    // SAFETY: the driver passes the place for its string.
    unsafe { to.write(Bytes { length: count, maximum, buffer: text.cast_mut() }) };
}

/// The units of a driver's string.
unsafe fn units<'a>(string: *const UNICODE_STRING) -> &'a [u16] {
    // SAFETY: the driver passes a string of its own, whose Length bytes are there.
    unsafe {
        if (*string).Buffer.is_null() {
            return &[];
        }
        core::slice::from_raw_parts((*string).Buffer, usize::from((*string).Length) / 2)
    }
}

fn lower(unit: u16) -> u16 {
    u8::try_from(unit).map_or(unit, |byte| byte.to_ascii_lowercase().into())
}

unsafe fn compare(left: *const UNICODE_STRING, right: *const UNICODE_STRING, insensitive: bool) -> i32 {
    // SAFETY: the driver passes two strings.
    let (left, right) = unsafe { (units(left), units(right)) };
    let each = |of: &'static [u16]| of.iter().map(move |&unit| if insensitive { lower(unit) } else { unit });
    let differs = each(left).zip(each(right)).find(|(left, right)| left != right);
    match differs {
        Some((left, right)) => i32::from(left) - i32::from(right),
        None => left.len() as i32 - right.len() as i32,
    }
}

/// RtlCompareUnicodeString: PASSIVE_LEVEL, where it looks at case tables that may be paged out.
pub(super) unsafe extern "win64" fn compare_unicode(
    left: *const UNICODE_STRING,
    right: *const UNICODE_STRING,
    insensitive: u8,
) -> i32 {
    require_irql("RtlCompareUnicodeString", Irql::PASSIVE);
    // SAFETY: the driver passes two strings.
    unsafe { compare(left, right, insensitive != 0) }
}

/// RtlEqualUnicodeString: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn equal_unicode(
    left: *const UNICODE_STRING,
    right: *const UNICODE_STRING,
    insensitive: u8,
) -> u8 {
    require_irql("RtlEqualUnicodeString", Irql::PASSIVE);
    // SAFETY: the driver passes two strings.
    u8::from(unsafe { compare(left, right, insensitive != 0) } == 0)
}

/// RtlCopyUnicodeString: up to DISPATCH_LEVEL for strings that are not paged.
pub(super) unsafe extern "win64" fn copy_unicode(to: *mut UNICODE_STRING, from: *const UNICODE_STRING) {
    // SAFETY: the driver passes two of its strings; `from` may be NULL.
    unsafe {
        let Some(from) = from.as_ref() else {
            (*to).Length = 0;
            return;
        };
        let bytes = from.Length.min((*to).MaximumLength);
        core::ptr::copy(from.Buffer.cast::<u8>(), (*to).Buffer.cast::<u8>(), usize::from(bytes));
        (*to).Length = bytes;
        if (*to).MaximumLength - bytes >= 2 {
            (*to).Buffer.add(usize::from(bytes) / 2).write(0);
        }
    }
}

/// Appends units, with a zero behind them where there is room.
unsafe fn append(to: *mut UNICODE_STRING, more: &[u16]) -> NTSTATUS {
    // SAFETY: the driver passes a string with MaximumLength bytes.
    unsafe {
        let begin = usize::from((*to).Length) / 2;
        let room = usize::from((*to).MaximumLength) / 2;
        if begin + more.len() > room {
            return STATUS_BUFFER_TOO_SMALL;
        }
        core::ptr::copy(more.as_ptr(), (*to).Buffer.add(begin), more.len());
        (*to).Length += (2 * more.len()) as u16;
        if begin + more.len() < room {
            (*to).Buffer.add(begin + more.len()).write(0);
        }
    }
    STATUS_SUCCESS
}

/// RtlAppendUnicodeStringToString: PASSIVE_LEVEL, or above for strings that are not paged.
pub(super) unsafe extern "win64" fn append_unicode(
    to: *mut UNICODE_STRING,
    from: *const UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the driver passes two strings.
    unsafe { append(to, units(from)) }
}

/// RtlAppendUnicodeToString: as above, of text that ends with a zero.
pub(super) unsafe extern "win64" fn append_text(to: *mut UNICODE_STRING, text: *const u16) -> NTSTATUS {
    if text.is_null() {
        return STATUS_SUCCESS;
    }
    // SAFETY: the driver passes a string, and text that ends with a zero.
    unsafe { append(to, core::slice::from_raw_parts(text, ended(text, MOST / 2))) }
}

/// A buffer of a string's that a driver frees with RtlFree...String.
fn buffer(bytes: usize, caller: u64) -> *mut u8 {
    pool::alloc(owner_of(caller), TAG, bytes, true)
}

/// RtlAnsiStringToUnicodeString: PASSIVE_LEVEL.
unsafe extern "win64" fn ansi_to_unicode_for(
    to: *mut UNICODE_STRING,
    from: *const Bytes,
    allocate: u8,
    caller: u64,
) -> NTSTATUS {
    require_irql("RtlAnsiStringToUnicodeString", Irql::PASSIVE);
    // SAFETY: the driver passes two strings; with `allocate` the first has no buffer yet.
    unsafe {
        let text = core::slice::from_raw_parts((*from).buffer, (*from).length.into());
        let needed = 2 * text.len() + 2;
        if needed > MOST {
            return STATUS_INVALID_PARAMETER;
        }
        if allocate != 0 {
            (*to).Buffer = buffer(needed, caller).cast();
            (*to).MaximumLength = needed as u16;
            if (*to).Buffer.is_null() {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
        }
        (*to).Length = 0;
        let units: Vec<u16> = text.iter().map(|&byte| byte.into()).collect();
        append(to, &units)
    }
}

/// RtlUnicodeStringToAnsiString: PASSIVE_LEVEL; what is no byte becomes a question mark.
unsafe extern "win64" fn unicode_to_ansi_for(
    to: *mut Bytes,
    from: *const UNICODE_STRING,
    allocate: u8,
    caller: u64,
) -> NTSTATUS {
    require_irql("RtlUnicodeStringToAnsiString", Irql::PASSIVE);
    // SAFETY: the driver passes two strings; with `allocate` the first has no buffer yet.
    unsafe {
        let text = units(from);
        let needed = text.len() + 1;
        if allocate != 0 {
            (*to).buffer = buffer(needed, caller);
            (*to).maximum = needed as u16;
            if (*to).buffer.is_null() {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
        }
        if usize::from((*to).maximum) < needed {
            return 0x8000_0005_u32 as i32;
        }
        for (at, &unit) in text.iter().enumerate() {
            (*to).buffer.add(at).write(u8::try_from(unit).unwrap_or(b'?'));
        }
        (*to).buffer.add(text.len()).write(0);
        (*to).length = text.len() as u16;
    }
    STATUS_SUCCESS
}

/// RtlFreeUnicodeString, RtlFreeAnsiString: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn free(string: *mut UNICODE_STRING) {
    const FUNCTION: &str = "RtlFreeUnicodeString";
    require_irql(FUNCTION, Irql::PASSIVE);
    // SAFETY: the driver passes a string of RtlAnsiStringToUnicodeString's or its like; both kinds have one layout.
    unsafe {
        if (*string).Buffer.is_null() {
            return;
        }
        if let Err(place) = pool::free((*string).Buffer.cast(), TAG) {
            let parameters = [7, 0, TAG.into(), (*string).Buffer as u64];
            trace::stop(BugCheck::BAD_POOL_CALLER, parameters, "BadPoolFree", format!("{FUNCTION}: {place}"));
        }
        string.write(UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: core::ptr::null_mut() });
    }
}

/// RtlUnicodeStringToInteger: PASSIVE_LEVEL. A base of 0: 0x, 0o and 0b say it, else it is ten.
pub(super) unsafe extern "win64" fn to_integer(
    string: *const UNICODE_STRING,
    base: u32,
    value: *mut u32,
) -> NTSTATUS {
    require_irql("RtlUnicodeStringToInteger", Irql::PASSIVE);
    if ![0, 2, 8, 10, 16].contains(&base) {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the driver passes its string.
    let text = String::from_utf16_lossy(unsafe { units(string) });
    let text = text.trim_start_matches(|c| c <= ' ');
    let (negative, text) =
        text.strip_prefix('-').map_or((false, text.strip_prefix('+').unwrap_or(text)), |rest| (true, rest));
    let prefixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let said = prefixes.into_iter().find_map(|(prefix, radix)| Some((radix, text.strip_prefix(prefix)?)));
    let (radix, text) = match (base, said) {
        (0, Some(said)) => said,
        (0, None) => (10, text),
        (base, _) => (base, text),
    };
    let digits = text.chars().map_while(|c| c.to_digit(radix));
    let number = digits.fold(0_u32, |number, digit| number.wrapping_mul(radix).wrapping_add(digit));
    // SAFETY: the driver passes the place for its number.
    unsafe { *value = if negative { number.wrapping_neg() } else { number } };
    STATUS_SUCCESS
}

/// RtlIntegerToUnicodeString: PASSIVE_LEVEL. A base of 0 is ten.
pub(super) unsafe extern "win64" fn from_integer(
    mut value: u32,
    base: u32,
    to: *mut UNICODE_STRING,
) -> NTSTATUS {
    require_irql("RtlIntegerToUnicodeString", Irql::PASSIVE);
    let radix = if base == 0 { 10 } else { base };
    if ![2, 8, 10, 16].contains(&radix) {
        return STATUS_INVALID_PARAMETER;
    }
    let mut digits: Vec<u16> = Vec::new();
    loop {
        let digit = char::from_digit(value % radix, radix).unwrap_or('0');
        digits.push(digit.to_ascii_uppercase() as u16);
        value /= radix;
        if value == 0 {
            break;
        }
    }
    digits.reverse();
    // SAFETY: the driver passes a string with MaximumLength bytes.
    unsafe {
        if usize::from((*to).MaximumLength) < 2 * digits.len() {
            return 0x8000_0005_u32 as i32;
        }
        (*to).Length = 0;
        append(to, &digits)
    }
}

/// RtlCompareMemory: any IRQL. How many bytes are the same before the first that differs.
pub(super) unsafe extern "win64" fn compare_memory(left: *const u8, right: *const u8, len: usize) -> usize {
    // SAFETY: the driver vouches for both ranges.
    (0..len).find(|&at| unsafe { *left.add(at) != *right.add(at) }).unwrap_or(len)
}

/// strlen: any IRQL.
pub(super) unsafe extern "win64" fn strlen(text: *const u8) -> usize {
    // SAFETY: the driver passes text that ends with a zero.
    unsafe { ended(text, usize::MAX) }
}

/// wcslen: any IRQL.
pub(super) unsafe extern "win64" fn wcslen(text: *const u16) -> usize {
    // SAFETY: the driver passes text that ends with a zero.
    unsafe { ended(text, usize::MAX) }
}

/// The order of two texts that end with a zero, by at most `most` units.
unsafe fn order<T: Copy + Ord + Default>(left: *const T, right: *const T, most: usize) -> i32 {
    for at in 0..most {
        // SAFETY: the driver passes texts that end with a zero, and nothing behind that is looked at.
        let (left, right) = unsafe { (*left.add(at), *right.add(at)) };
        if left != right || left == T::default() {
            return match left.cmp(&right) {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            };
        }
    }
    0
}

/// strcmp: any IRQL.
pub(super) unsafe extern "win64" fn strcmp(left: *const u8, right: *const u8) -> i32 {
    // SAFETY: as in `order`.
    unsafe { order(left, right, usize::MAX) }
}

/// strncmp: any IRQL.
pub(super) unsafe extern "win64" fn strncmp(left: *const u8, right: *const u8, most: usize) -> i32 {
    // SAFETY: as in `order`.
    unsafe { order(left, right, most) }
}

/// wcscmp: any IRQL.
pub(super) unsafe extern "win64" fn wcscmp(left: *const u16, right: *const u16) -> i32 {
    // SAFETY: as in `order`.
    unsafe { order(left, right, usize::MAX) }
}

/// wcsncmp: any IRQL.
pub(super) unsafe extern "win64" fn wcsncmp(left: *const u16, right: *const u16, most: usize) -> i32 {
    // SAFETY: as in `order`.
    unsafe { order(left, right, most) }
}
