//! What needs no room of its own: bug checks, time, the event log, tracing, memory's bytes.

use crate::ke;
use crate::ke::Irql;
use crate::verifier::{BugCheck, require_irql, trace};
use alloc::{format, string::String};
use core::ffi::c_void;
use wdk_offline::{IO_ERROR_LOG_PACKET, LARGE_INTEGER, NTSTATUS, STATUS_SUCCESS};

pub(super) unsafe extern "win64" fn bug_check_ex(code: u32, p1: u64, p2: u64, p3: u64, p4: u64) -> ! {
    let parameters = [p1, p2, p3, p4];
    if let Some(place) = panic_place(code, parameters) {
        trace::stop(BugCheck::given(code), parameters, "DriverPanicked", place);
    }
    trace::stop(
        BugCheck::given(code),
        parameters,
        "KeBugCheckEx",
        format!("the driver's own bug check {code:#x}"),
    )
}

/// Bug check code of a Rust panic in the drivers of this project, see `driver/kernel/src/runtime.rs`.
const PANIC: u32 = 0xDEAD_DEAD;
/// Longest name of a source file.
const LONGEST_FILE: u64 = 1024;

/// File, line, column and message of a panic: the first three from the parameters (address and length of the name, line,
/// column), the message from the line that was printed just before. `None` if it is no such bug check.
fn panic_place(code: u32, [file, len, line, column]: [u64; 4]) -> Option<String> {
    let is_name =
        code == PANIC && (1..=LONGEST_FILE).contains(&len) && crate::verifier::owners::in_driver(file);
    if !is_name || !crate::verifier::owners::in_driver(file + len - 1) {
        return None;
    }
    // SAFETY: both ends lie in a driver's image, which is mapped whole.
    let name = unsafe { core::slice::from_raw_parts(file as *const u8, len as usize) };
    let place = format!("{}:{line}:{column}", core::str::from_utf8(name).ok()?);
    let printed = crate::verifier::output::last_debug_line();
    let message = printed.strip_prefix("panicked at ").and_then(|rest| rest.strip_prefix(place.as_str()));
    // a message of several lines becomes one
    let words = message.unwrap_or_default().split_whitespace();
    Some(words.fold(place, |text, word| if word == ":" { text + word } else { format!("{text} {word}") }))
}

pub(super) unsafe extern "win64" fn stall(us: u32) {
    ke::stall_us(us.into());
}

pub(super) unsafe extern "win64" fn delay_execution_thread(
    _mode: i8,
    _alertable: u8,
    interval: *mut LARGE_INTEGER,
) -> i32 {
    let level = ke::irql();
    // SAFETY: the driver passes its interval; every member of the union is plain numbers.
    let units = unsafe { (*interval).QuadPart };
    if level >= Irql::DISPATCH {
        trace::stop(
            BugCheck::IRQL_NOT_LESS_OR_EQUAL,
            [0, level.into(), 0, 0],
            "WaitAtDispatch",
            format!("KeDelayExecutionThread at IRQL {level}"),
        );
    }
    if units > 0 {
        trace::not_offered("KeDelayExecutionThread with an absolute time");
    }
    trace::sleep(|| ke::delay_us(units.unsigned_abs().div_ceil(10)));
    0
}

pub(super) unsafe extern "win64" fn query_performance_counter(
    frequency: *mut LARGE_INTEGER,
) -> LARGE_INTEGER {
    // SAFETY: the driver passes NULL or its place.
    if let Some(frequency) = unsafe { frequency.as_mut() } {
        frequency.QuadPart = ke::time::frequency() as i64;
    }
    LARGE_INTEGER { QuadPart: ke::time::counter() as i64 }
}

/// Tag of error log entries in the pool: `ErrL`.
const ERROR_LOG_TAG: u32 = u32::from_le_bytes(*b"ErrL");
/// ERROR_LOG_MAXIMUM_SIZE.
const ERROR_LOG_MOST: u8 = 240;

pub(super) unsafe extern "win64" fn allocate_error_log_entry_for(
    object: *mut c_void,
    size: u8,
    _unused: u64,
    caller: u64,
) -> *mut c_void {
    require_irql("IoAllocateErrorLogEntry", Irql::DISPATCH);
    if object.is_null() || usize::from(size) < size_of::<IO_ERROR_LOG_PACKET>() || size > ERROR_LOG_MOST {
        return core::ptr::null_mut();
    }
    crate::verifier::pool::alloc(crate::verifier::owners::owner_of(caller), ERROR_LOG_TAG, size.into(), true)
        .cast()
}

pub(super) unsafe extern "win64" fn write_error_log_entry(entry: *mut c_void) {
    require_irql("IoWriteErrorLogEntry", Irql::DISPATCH);
    // SAFETY: the driver passes an entry of IoAllocateErrorLogEntry; pool_free refuses any other.
    let packet = unsafe { *entry.cast::<IO_ERROR_LOG_PACKET>() };
    trace::note(
        "device",
        &format!(
            "event log {:#010x}, status {:#010x}, unique {}",
            packet.ErrorCode, packet.FinalStatus, packet.UniqueErrorValue
        ),
    );
    if let Err(place) = crate::verifier::pool::free(entry.cast(), ERROR_LOG_TAG) {
        trace::stop(BugCheck::BAD_POOL_CALLER, [7, 0, 0, entry as u64], "BadPoolFree", place);
    }
}

pub(super) unsafe extern "win64" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the driver vouches for both ranges; overlapping ones are fine.
    unsafe { core::ptr::copy(from, to, len) };
    to
}

pub(super) unsafe extern "win64" fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8 {
    // SAFETY: the driver vouches for the range.
    unsafe { core::ptr::write_bytes(to, value as u8, len) };
    to
}

pub(super) unsafe extern "win64" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    // SAFETY: the driver vouches for both ranges.
    let (left, right) =
        unsafe { (core::slice::from_raw_parts(left, len), core::slice::from_raw_parts(right, len)) };
    left.cmp(right) as i32
}

/// KeBugCheck: any IRQL.
pub(super) unsafe extern "win64" fn bug_check(code: u32) -> ! {
    // SAFETY: as KeBugCheckEx.
    unsafe { bug_check_ex(code, 0, 0, 0, 0) }
}

/// RtlFillMemory: any IRQL.
pub(super) unsafe extern "win64" fn fill_memory(to: *mut u8, len: usize, value: u8) {
    // SAFETY: the driver vouches for the range.
    unsafe { core::ptr::write_bytes(to, value, len) };
}

/// RtlZeroMemory: any IRQL.
pub(super) unsafe extern "win64" fn zero_memory(to: *mut u8, len: usize) {
    // SAFETY: the driver vouches for the range.
    unsafe { core::ptr::write_bytes(to, 0, len) };
}

/// KeEnterCriticalRegion, KeLeaveCriticalRegion: up to APC_LEVEL. There are no APCs.
pub(super) unsafe extern "win64" fn critical_region() {
    require_irql("KeEnterCriticalRegion", Irql::APC);
}

/// KeQueryActiveProcessorCount and its like: any IRQL.
pub(super) unsafe extern "win64" fn processor_count() -> u32 {
    1
}

/// KeGetCurrentProcessorNumberEx: any IRQL; PROCESSOR_NUMBER is all zero.
pub(super) unsafe extern "win64" fn current_processor(number: *mut u32) -> u32 {
    // SAFETY: the driver passes NULL or the place for the number.
    if let Some(number) = unsafe { number.as_mut() } {
        *number = 0;
    }
    0
}

/// KeQueryTimeIncrement: any IRQL. The clock ticks each millisecond.
pub(super) unsafe extern "win64" fn time_increment() -> u32 {
    10_000
}

/// KeQueryUnbiasedInterruptTime: any IRQL, in units of 100 ns.
pub(super) unsafe extern "win64" fn interrupt_time() -> u64 {
    ke::now_us() * 10
}

/// EtwRegister: PASSIVE_LEVEL. Nobody listens to the events of a provider, so it is never enabled.
pub(super) unsafe extern "win64" fn etw_register(
    provider: *const c_void,
    _enabled: *const c_void,
    _context: *mut c_void,
    handle: *mut u64,
) -> NTSTATUS {
    require_irql("EtwRegister", Irql::PASSIVE);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *handle = provider as u64 };
    STATUS_SUCCESS
}

/// EtwUnregister, and events, which nobody listens to.
pub(super) unsafe extern "win64" fn etw_accept() -> NTSTATUS {
    STATUS_SUCCESS
}

/// IoWMIRegistrationControl: PASSIVE_LEVEL. Nobody asks a provider anything.
pub(super) unsafe extern "win64" fn wmi_registration_control(_device: *mut c_void, _action: u32) -> NTSTATUS {
    require_irql("IoWMIRegistrationControl", Irql::PASSIVE);
    STATUS_SUCCESS
}

/// `__C_specific_handler`: what the frames of `__try` name as their handler. Nobody calls it here: an exception ends the run
/// before any handler is looked for.
pub(super) unsafe extern "win64" fn c_specific_handler() -> i32 {
    trace::not_offered("the handling of an exception")
}
