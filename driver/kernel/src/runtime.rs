//! What a program without a runtime library must bring: memory routines, stack probe, panic.
//!
//! All but the panic handler come from the kernel. The kernel's stack probe is the one that its own
//! compiler emits calls to, with the same register rules.

use core::{ffi::c_void, panic::PanicInfo};

use wdk_sys::ntddk::KeBugCheckEx;

#[expect(dead_code, reason = "only code that the compiler generates calls these")]
#[link(name = "ntoskrnl.exe", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn memcpy(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void;
    fn memmove(to: *mut c_void, from: *const c_void, length: usize) -> *mut c_void;
    fn memset(to: *mut c_void, byte: i32, length: usize) -> *mut c_void;
    fn memcmp(one: *const c_void, other: *const c_void, length: usize) -> i32;
    fn __chkstk();
}

/// Bug check code of a panic in this driver; its name in the system's list is MANUALLY_INITIATED_CRASH1.
const BUG_CHECK_PANIC: u32 = 0xDEAD_DEAD;

/// Stops the machine: a kernel driver has no smaller thing to stop. Parameters: address of the
/// source file's name, its length, line, column.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line, column) = match info.location() {
        Some(location) => (location.file(), location.line(), location.column()),
        None => ("", 0, 0),
    };
    // SAFETY: may be called at any IRQL and does not return.
    unsafe {
        KeBugCheckEx(
            BUG_CHECK_PANIC,
            file.as_ptr() as u64,
            file.len() as u64,
            u64::from(line),
            u64::from(column),
        )
    }
}
