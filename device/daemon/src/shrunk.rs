//! Guest memory that is not there. A front end can share less than it claims, or shrink the file behind it later, or the
//! machine can be short of huge pages; an access then raises SIGBUS, which would take the process down. Here the missing page
//! is replaced by an empty one, so that the access ends, and the process is asked to end.

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

/// The sizes that a page of guest memory can have, the smallest first.
const PAGES: [usize; 3] = [4 << 10, 2 << 20, 1 << 30];

/// Only async-signal-safe calls: mmap, write, signal, raise, lstat, unlink, and atomic operations.
extern "C" fn replace_page(_: c_int, info: *mut siginfo_t, _: *mut c_void) {
    // SAFETY: the kernel hands a valid siginfo_t to a handler registered with SA_SIGINFO.
    let info = unsafe { &*info };
    if !matches!(info.si_code, libc::BUS_ADRERR | libc::BUS_OBJERR | libc::BUS_MCEERR_AR) {
        // Somebody sent it, or it has no address: it does what it does to any other process.
        // SAFETY: both calls are async-signal-safe; the signal arrives when this handler has returned.
        unsafe {
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
            libc::raise(libc::SIGBUS);
        }
        return;
    }
    // SAFETY: with these codes the address is set.
    let address = unsafe { info.si_addr() };
    // A mapping of huge pages is refused (EINVAL) unless whole ones are replaced.
    let replaced =
        PAGES.iter().map(|page| replace(address, *page)).find(|result| *result != Err(libc::EINVAL));
    if replaced != Some(Ok(())) {
        crate::sockets::remove_all();
        // Nothing else can be done: the access would fault for ever.
        // SAFETY: _exit is async-signal-safe.
        unsafe { libc::_exit(1) };
    }
    if let Some(stop) = STOP.get() {
        stop.ask_from_signal_handler();
    }
}

/// Puts empty memory in the place of the page of `size` bytes around `address`; the error number if the kernel refuses.
fn replace(address: *mut c_void, size: usize) -> Result<(), c_int> {
    let start = address.map_addr(|address| address & !(size - 1));
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
    // SAFETY: the page at `address` cannot be accessed (hence the signal), so no value in it is in use; it lies in a file
    // mapping whose other end is gone, and this process maps no files but guest memory after its start. MAP_FIXED replaces
    // exactly that page: the caller asks for a larger one only if the kernel has no smaller one there.
    let page = unsafe { libc::mmap(start, size, access, flags, -1, 0) };
    if page != libc::MAP_FAILED {
        return Ok(());
    }
    // SAFETY: errno is this thread's.
    Err(unsafe { *libc::__errno_location() })
}
