//! What the UEFI programs here use of the firmware that starts them, over the tables and protocols of `uefi-raw`.
//!
//! 1. `efi_main` hands its arguments to [`start`].
//! 2. Console, memory, files and block devices are the firmware's boot services, until
//! 3. [`memory::exit_boot_services`], or the program's end, or [`reset`].
//!
//! Before the first and after the third there are no services: functions return `NOT_READY` or do nothing. Clauses are
//! those of the UEFI specification, 2.10.
#![no_std]

pub mod block;
pub mod file;
pub mod memory;

pub use uefi_raw as raw;
pub use uefi_raw::{Status, table::runtime::ResetType};

use core::ffi::c_void;
use core::fmt::{self, Write as _};
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};
use uefi_raw::protocol::loaded_image::LoadedImageProtocol;
use uefi_raw::table::{boot::BootServices, system::SystemTable};
use uefi_raw::{Guid, guid};

/// A value, or what the firmware answered in its place: an error or a warning.
pub type Result<T = ()> = core::result::Result<T, Status>;

/// What [`start`] was given; null while there are no services.
static TABLE: AtomicPtr<SystemTable> = AtomicPtr::new(ptr::null_mut());
static IMAGE: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Bytes of a page.
pub const PAGE: usize = 4096;

/// OpenProtocol's attribute GET_PROTOCOL (7.3.9): whoever else uses the protocol goes on.
const GET_PROTOCOL: u32 = 2;

/// A device or an image that the firmware knows.
#[derive(Debug, Clone, Copy)]
pub struct Handle(NonNull<c_void>);

/// Notes what the firmware gave the program to start with.
///
/// # Safety
/// These must be `efi_main`'s arguments, and the firmware must not have been left.
pub unsafe fn start(image: raw::Handle, table: *const SystemTable) {
    IMAGE.store(image, Ordering::Relaxed);
    TABLE.store(table.cast_mut(), Ordering::Relaxed);
}

fn table() -> Result<NonNull<SystemTable>> {
    NonNull::new(TABLE.load(Ordering::Relaxed)).ok_or(Status::NOT_READY)
}

fn services() -> Result<&'static BootServices> {
    // SAFETY: by `start`'s contract this is the firmware's table, and it has boot services until they are left, when
    // `exit_boot_services` takes the table away.
    unsafe { (*table()?.as_ptr()).boot_services.as_ref() }.ok_or(Status::NOT_READY)
}

fn image() -> raw::Handle {
    IMAGE.load(Ordering::Relaxed)
}

fn check(status: Status) -> Result {
    if status.is_success() { Ok(()) } else { Err(status) }
}

/// The device that the program came from (9.1).
///
/// # Errors
/// The firmware's; `NOT_FOUND` if the program came from no device.
pub fn own_device() -> Result<Handle> {
    let image = NonNull::new(image()).map(Handle).ok_or(Status::NOT_READY)?;
    // SAFETY: type and GUID belong together.
    let loaded = unsafe { protocol::<LoadedImageProtocol>(image, LoadedImageProtocol::GUID) }?;
    // SAFETY: the firmware keeps the protocol of an image while that runs.
    let device = unsafe { (*loaded.as_ptr()).device_handle };
    NonNull::new(device).map(Handle).ok_or(Status::NOT_FOUND)
}

/// A protocol of a device or image.
///
/// # Safety
/// The GUID must be that of `P`.
unsafe fn protocol<P>(handle: Handle, guid: Guid) -> Result<NonNull<P>> {
    let mut found = ptr::null_mut();
    let open = services()?.open_protocol;
    // SAFETY: the handle is one of the firmware's own, and the pointers are to locals.
    check(unsafe { open(handle.0.as_ptr(), &guid, &mut found, image(), ptr::null_mut(), GET_PROTOCOL) })?;
    NonNull::new(found.cast()).ok_or(Status::UNSUPPORTED)
}

/// Shows a line on the firmware's console.
pub fn show(line: impl fmt::Display) {
    // Without a console, nobody sees it.
    let _ = write!(Console, "{line}\r\n");
}

struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let table = table().map_err(|_| fmt::Error)?;
        for character in text.chars() {
            let mut units = [0; 3];
            character.encode_utf16(&mut units);
            // The status tells of any console that failed, be it another than the screen.
            // SAFETY: the table is the firmware's as `services` says; its console takes text that ends with a zero, as
            // a character of at most two units does here.
            let _ = unsafe {
                let console = (*table.as_ptr()).stdout;
                if console.is_null() {
                    return Err(fmt::Error);
                }
                ((*console).output_string)(console, units.as_ptr())
            };
        }
        Ok(())
    }
}

/// Waits, by the firmware's clock.
pub fn stall(microseconds: usize) {
    if let Ok(services) = services() {
        // SAFETY: this service may be called at any time, with any number; it cannot fail.
        let _ = unsafe { (services.stall)(microseconds) };
    }
}

/// Lets the program run for as long as it likes: the firmware restarts the machine after five minutes otherwise (7.5.1).
///
/// # Errors
/// The firmware's.
pub fn disable_watchdog() -> Result {
    // 0xffff and below are the firmware's own codes.
    let code = 0x1_0000;
    // SAFETY: there is no text that comes with the code.
    check(unsafe { (services()?.set_watchdog_timer)(0, code, 0, ptr::null()) })
}

/// Restarts the machine, or switches it off (8.5.1).
pub fn reset(kind: ResetType) -> ! {
    if let Ok(table) = table() {
        // SAFETY: the table is the firmware's as `services` says.
        unsafe { reset_by(table, kind, Status::SUCCESS) }
    }
    loop {
        core::hint::spin_loop();
    }
}

/// # Safety
/// The table must be the firmware's.
unsafe fn reset_by(table: NonNull<SystemTable>, kind: ResetType, why: Status) -> ! {
    // SAFETY: by this function's contract; runtime services stay, and there is no text that comes with the status.
    unsafe { ((*(*table.as_ptr()).runtime_services).reset_system)(kind, why, 0, ptr::null()) }
}

/// Physical address of ACPI's root pointer (4.6), that of ACPI 2.0 and later if there is one.
#[must_use]
pub fn acpi_root() -> Option<u64> {
    const ACPI_2: Guid = guid!("8868e871-e4f1-11d3-bc22-0080c73c8881");
    const ACPI_1: Guid = guid!("eb9d2d30-2d88-11d3-9a16-0090273fc14d");
    let table = table().ok()?.as_ptr();
    // SAFETY: the table is the firmware's as `services` says; it tells where its entries are, and how many.
    let entries = unsafe {
        let first = NonNull::new((*table).configuration_table)?;
        core::slice::from_raw_parts(first.as_ptr(), (*table).number_of_configuration_table_entries)
    };
    let find = |guid| entries.iter().find(|entry| entry.vendor_guid == guid);
    find(ACPI_2).or_else(|| find(ACPI_1)).map(|entry| entry.vendor_table as u64)
}
