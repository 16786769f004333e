//! Guest memory that is not there. A front end can share less than it says, or shrink the file behind it
//! later; an access then raises SIGBUS, which would take the process down. Here the missing page is
//! replaced by an empty one, so that the access ends, and the process is asked to end.

use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use libc::{c_int, siginfo_t};
use vmm_sys_util::signal::register_signal_handler;

use crate::stop::Stop;

/// Where the handler, which has no arguments of ours, finds whom to ask.
static STOP: OnceLock<Arc<Stop>> = OnceLock::new();

/// From now on an access to guest memory that is not there asks `stop` to end. Called once.
pub(crate) fn guard(stop: &Arc<Stop>) -> anyhow::Result<()> {
    STOP.get_or_init(|| stop.clone());
    register_signal_handler(libc::SIGBUS, replace_page).context("a handler for SIGBUS")
}

/// Only async-signal-safe calls: mmap, write, and atomic operations.
extern "C" fn replace_page(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    const PAGE: usize = 4096;
    // SAFETY: the kernel hands a valid siginfo_t to a handler registered with SA_SIGINFO, and for SIGBUS
    // its address field is set.
    let address = unsafe { (*info).si_addr() }.map_addr(|address| address & !(PAGE - 1));
    // SAFETY: the page at `address` cannot be accessed (hence the signal), so no value in it is in use; it
    // lies in a file mapping whose other end is gone, and this process maps no files but guest memory
    // after its start. MAP_FIXED replaces exactly that page.
    let page = unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        libc::mmap(address, PAGE, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED, -1, 0)
    };
    if page == libc::MAP_FAILED {
        // Nothing else can be done: the access would fault for ever.
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(1) };
    }
    if let Some(stop) = STOP.get() {
        stop.ask_from_signal_handler();
    }
}
