//! ntoskrnl's functions: what a driver imports by name.

mod lock;
pub(crate) mod print;

use crate::io::api;
use crate::ke;
use crate::ke::Irql;
use crate::pe::{Export, exports};
use crate::verifier::pool::{self, Kind};
use crate::verifier::{BugCheck, require_irql, trace};
use alloc::{format, string::String, vec::Vec};
use core::arch::naked_asm;
use core::ffi::c_void;
use wdk_offline::{IO_ERROR_LOG_PACKET, LARGE_INTEGER, PHYSICAL_ADDRESS, UNICODE_STRING};

/// POOL_FLAG_UNINITIALIZED.
const UNINITIALIZED: u64 = 2;
/// POOL_FLAG_NON_PAGED and POOL_FLAG_NON_PAGED_EXECUTE: what may be used at DISPATCH_LEVEL.
const NON_PAGED: u64 = 0x40 | 0x80;
/// PAGE_NOCACHE.
const NO_CACHE: u32 = 0x200;

/// The modules that drivers import from.
#[cfg_attr(target_os = "none", expect(dead_code, reason = "for the list of what is offered"))]
pub(crate) const MODULES: [&str; 4] = ["ntoskrnl.exe", "HAL.dll", "NDIS.SYS", "WDFLDR.SYS"];

/// What is offered of a module, by name.
pub(crate) fn exports(module: &str) -> Option<Vec<Export>> {
    let is = |name: &str| module.eq_ignore_ascii_case(name);
    if is("ntoskrnl.exe") {
        Some(kernel())
    } else if is("HAL.dll") {
        Some(hal())
    } else if is("NDIS.SYS") {
        Some(crate::ndis::exports::all())
    } else if is("WDFLDR.SYS") {
        Some(loader())
    } else {
        None
    }
}

/// The address of an exported function.
pub(crate) fn resolve(module: &str, name: &str) -> Option<usize> {
    exports(module)?.into_iter().find(|(known, _)| *known == name).map(|(_, address)| address)
}

fn loader() -> Vec<Export> {
    use crate::wdf::binding;
    exports! {
        "WdfVersionBind" => binding::version_bind,
        "WdfVersionUnbind" => binding::version_unbind,
        "WdfVersionBindClass" => binding::version_bind_class,
        "WdfVersionUnbindClass" => binding::version_unbind_class,
    }
}

/// HAL.dll forwards them to the kernel since Windows 10 2004: drivers that were linked before that name it.
fn hal() -> Vec<Export> {
    exports! {
        "KeQueryPerformanceCounter" => ke_query_performance_counter,
        "KeStallExecutionProcessor" => ke_stall_execution_processor,
    }
}

fn kernel() -> Vec<Export> {
    exports! {
        "ExAllocatePool2" => ex_allocate_pool2,
        "ExFreePoolWithTag" => ex_free_pool_with_tag,
        "KeBugCheckEx" => ke_bug_check_ex,
        "DbgPrintEx" => print::dbg_print_ex,
        "MmMapIoSpaceEx" => mm_map_io_space_ex,
        "MmUnmapIoSpace" => mm_unmap_io_space,
        "RtlCopyUnicodeString" => rtl_copy_unicode_string,
        "KeStallExecutionProcessor" => ke_stall_execution_processor,
        "KeDelayExecutionThread" => ke_delay_execution_thread,
        "KeAcquireSpinLockRaiseToDpc" => lock::acquire,
        "KeReleaseSpinLock" => lock::release,
        "KeQueryPerformanceCounter" => ke_query_performance_counter,
        "IoAllocateErrorLogEntry" => io_allocate_error_log_entry,
        "IoWriteErrorLogEntry" => io_write_error_log_entry,
        "IoCreateDevice" => api::create_device,
        "IoDeleteDevice" => api::delete_device,
        "IoCreateSymbolicLink" => io_create_symbolic_link,
        "IoDeleteSymbolicLink" => api::delete_symbolic_link,
        "IofCompleteRequest" => api::complete_request,
        "IofCallDriver" => api::call_driver,
        "IoCancelIrp" => api::cancel_irp,
        "IoAcquireCancelSpinLock" => api::acquire_cancel_spin_lock,
        "IoReleaseCancelSpinLock" => api::release_cancel_spin_lock,
        "IoGetDeviceInterfaces" => io_get_device_interfaces,
        "PsGetCurrentThreadId" => api::current_thread_id,
        "__chkstk" => crate::verifier::stack::probe,
        "memcpy" => memcpy,
        "memmove" => memcpy,
        "memset" => memset,
        "memcmp" => memcmp,
    }
}

/// A function of at most three arguments: the return address becomes the fourth, and with it the driver is known.
macro_rules! with_caller {
    ($($entry:ident => $function:path,)*) => {$(
        #[unsafe(naked)]
        unsafe extern "win64" fn $entry() {
            naked_asm!("mov r9, [rsp]", "jmp {}", sym $function)
        }
    )*};
}
with_caller! {
    ex_allocate_pool2 => ex_allocate_pool2_for,
    mm_map_io_space_ex => mm_map_io_space_ex_for,
    io_allocate_error_log_entry => io_allocate_error_log_entry_for,
    ex_free_pool_with_tag => ex_free_pool_with_tag_for,
    io_create_symbolic_link => crate::io::api::create_symbolic_link_for,
}

/// IoGetDeviceInterfaces has four arguments: the return address becomes a fifth, on the stack.
#[unsafe(naked)]
unsafe extern "win64" fn io_get_device_interfaces() {
    naked_asm!(
        "mov rax, [rsp]",
        "sub rsp, 0x38",
        "mov [rsp + 0x20], rax",
        "call {}",
        "add rsp, 0x38",
        "ret",
        sym crate::io::api::get_device_interfaces_for,
    )
}

unsafe extern "win64" fn ex_allocate_pool2_for(
    flags: u64,
    size: usize,
    tag: u32,
    caller: u64,
) -> *mut c_void {
    const FUNCTION: &str = "ExAllocatePool2";
    require_irql(FUNCTION, Irql::DISPATCH);
    let kind = if flags & NON_PAGED == 0 { Kind::Paged } else { Kind::NonPaged };
    if kind == Kind::Paged {
        require_irql("ExAllocatePool2 of paged pool", Irql::APC);
    }
    if tag == 0 || size == 0 {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0, 0, tag.into(), size as u64],
            "PoolAllocation",
            format!("{size} bytes with tag {tag:#x}"),
        );
    }
    let owner = crate::verifier::owners::owner_of(caller);
    pool::alloc_of(kind, owner, tag, size, flags & UNINITIALIZED == 0).cast()
}

unsafe extern "win64" fn ex_free_pool_with_tag_for(block: *mut c_void, tag: u32, _unused: u64, caller: u64) {
    require_irql("ExFreePoolWithTag", Irql::DISPATCH);
    if pool::is_paged(block.cast()) {
        require_irql("ExFreePoolWithTag of paged pool", Irql::APC);
    }
    if let Err(place) = pool::free_by(block.cast(), tag, caller) {
        trace::stop(BugCheck::BAD_POOL_CALLER, [7, 0, tag.into(), block as u64], "BadPoolFree", place);
    }
}

unsafe extern "win64" fn ke_bug_check_ex(code: u32, p1: u64, p2: u64, p3: u64, p4: u64) -> ! {
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

unsafe extern "win64" fn mm_map_io_space_ex_for(
    address: PHYSICAL_ADDRESS,
    size: usize,
    protect: u32,
    caller: u64,
) -> *mut c_void {
    require_irql("MmMapIoSpaceEx", Irql::DISPATCH);
    // SAFETY: every member of the union is plain numbers.
    let address = unsafe { address.QuadPart } as u64;
    if size == 0 || protect & NO_CACHE == 0 || !crate::mm::is_device_memory(address, size) {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0x83, address, size as u64, protect.into()],
            "MapOfForeignMemory",
            format!(
                "{size:#x} bytes at {address:#x}, protection {protect:#x}: not in the device's resources, or cached"
            ),
        );
    }
    crate::mm::map_mmio(address, size, crate::verifier::owners::owner_of(caller)) as *mut c_void
}

unsafe extern "win64" fn mm_unmap_io_space(address: *mut c_void, size: usize) {
    require_irql("MmUnmapIoSpace", Irql::DISPATCH);
    if let Err(place) = crate::mm::unmap_mmio(address as usize, size) {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0x84, address as u64, size as u64, 0],
            "BadUnmap",
            place,
        );
    }
}

unsafe extern "win64" fn rtl_copy_unicode_string(to: *mut UNICODE_STRING, from: *const UNICODE_STRING) {
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

unsafe extern "win64" fn ke_stall_execution_processor(us: u32) {
    ke::stall_us(us.into());
}

unsafe extern "win64" fn ke_delay_execution_thread(
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

unsafe extern "win64" fn ke_query_performance_counter(frequency: *mut LARGE_INTEGER) -> LARGE_INTEGER {
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

unsafe extern "win64" fn io_allocate_error_log_entry_for(
    object: *mut c_void,
    size: u8,
    _unused: u64,
    caller: u64,
) -> *mut c_void {
    require_irql("IoAllocateErrorLogEntry", Irql::DISPATCH);
    if object.is_null() || usize::from(size) < size_of::<IO_ERROR_LOG_PACKET>() || size > ERROR_LOG_MOST {
        return core::ptr::null_mut();
    }
    pool::alloc(crate::verifier::owners::owner_of(caller), ERROR_LOG_TAG, size.into(), true).cast()
}

unsafe extern "win64" fn io_write_error_log_entry(entry: *mut c_void) {
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
    if let Err(place) = pool::free(entry.cast(), ERROR_LOG_TAG) {
        trace::stop(BugCheck::BAD_POOL_CALLER, [7, 0, 0, entry as u64], "BadPoolFree", place);
    }
}

unsafe extern "win64" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the driver vouches for both ranges; overlapping ones are fine.
    unsafe { core::ptr::copy(from, to, len) };
    to
}

unsafe extern "win64" fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8 {
    // SAFETY: the driver vouches for the range.
    unsafe { core::ptr::write_bytes(to, value as u8, len) };
    to
}

unsafe extern "win64" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    // SAFETY: the driver vouches for both ranges.
    let (left, right) =
        unsafe { (core::slice::from_raw_parts(left, len), core::slice::from_raw_parts(right, len)) };
    left.cmp(right) as i32
}
