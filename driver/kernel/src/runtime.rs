//! What a program without a runtime library must bring: memory routines, stack probe, panic.
//!
//! All but the panic handler come from the kernel. The kernel's stack probe is the one that its own
//! compiler emits calls to, with the same register rules.

use core::{
    ffi::c_void,
    panic::PanicInfo,
    sync::atomic::{AtomicBool, Ordering},
};

use wdk_sys::ntddk::KeBugCheckEx;

use crate::print::{self, Level, Text};

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

/// Room for what a panic says: DbgPrintEx passes at most 512 bytes on.
const MESSAGE: usize = 480;

/// Set by the first panic: a message whose formatting panics is not formatted again.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Prints `panicked at FILE:LINE:COLUMN: MESSAGE` and stops the machine: a kernel driver has no smaller thing to stop.
/// Parameters: address of the source file's name, its length, line, column.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line, column) = match info.location() {
        Some(location) => (location.file(), location.line(), location.column()),
        None => ("", 0, 0),
    };
    if !PANICKED.swap(true, Ordering::Relaxed) {
        let message = info.message();
        let text = Text::<MESSAGE>::of(format_args!("panicked at {file}:{line}:{column}: {message}\n"));
        print::text(Level::Error, &text);
    }
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
