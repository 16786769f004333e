//! The driver's image: loaded, entered, unloaded, and what it may not leave behind.

use crate::agent::trace;
use crate::ke::irqlock::IrqLock;
use crate::pe::{self, Image};
use crate::wdf::{device, dma, driver, object};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use wdk_offline::{DRIVER_OBJECT, NTSTATUS, UNICODE_STRING};

/// The image and the driver object, while loaded.
struct Loaded {
    image: Image,
    driver: *mut DRIVER_OBJECT,
}

// SAFETY: the driver object is a leaked box that only this module and the driver touch.
unsafe impl Send for Loaded {}

static LOADED: IrqLock<Option<Loaded>> = IrqLock::new(None);

type Entry = unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut UNICODE_STRING) -> NTSTATUS;

/// Loads the image and calls its entry point.
///
/// # Errors
/// The image is refused, or the entry point failed.
pub fn load(name: &str, file: &[u8], service: &str) -> Result<(), String> {
    let image = pe::load(name, file, crate::nt::resolve).map_err(|error| format!("{name}: {error}"))?;
    let entry = image.entry;
    let driver = Box::into_raw(Box::new(DRIVER_OBJECT {
        Type: 4,
        Size: size_of::<DRIVER_OBJECT>() as i16,
        DriverStart: image.base as *mut _,
        DriverSize: image.size as u32,
        DriverName: crate::nt::leak_unicode(&format!("\\Driver\\{service}")),
        ..DRIVER_OBJECT::default()
    }));
    crate::log!("{name}: {:#x}, {} bytes, entry {:#x}", image.base, image.size, entry);
    let old = LOADED.with(|slot| slot.replace(Loaded { image, driver }));
    drop(old);
    let mut path =
        crate::nt::leak_unicode(&format!("\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\{service}"));
    // SAFETY: the optional header names this address as the entry point; it is mapped executable.
    let entry = unsafe { core::mem::transmute::<usize, Entry>(entry) };
    // SAFETY: a driver object and a registry path, at PASSIVE_LEVEL, as an entry point expects.
    let status = trace::callback("device", "DriverEntry", || unsafe { entry(driver, &raw mut path) });
    super::check("DriverEntry", status)
}

/// Whether the address lies in the driver's image.
pub fn in_driver(address: u64) -> bool {
    LOADED.with(|loaded| loaded.as_ref().is_some_and(|loaded| loaded.image.contains(address)))
}

/// An address in words: `cancelnic.sys+0x1234`.
pub fn describe(address: u64) -> String {
    let found = LOADED.with(|loaded| {
        let image = &loaded.as_ref()?.image;
        image.contains(address).then(|| (image.name.as_ptr(), image.name.len(), address - image.base as u64))
    });
    match found {
        Some((name, len, offset)) => {
            // SAFETY: the image, and with it its name, stays until `unload`, which runs on this thread or not at all
            // while a callback is in flight.
            let name = unsafe { core::str::from_utf8_unchecked(core::slice::from_raw_parts(name, len)) };
            format!("{name}+{offset:#x}")
        }
        None => format!("{address:#x}"),
    }
}

/// Calls DriverUnload, takes the image away, and names what is left.
pub fn unload() {
    let Some(driver) = LOADED.with(|loaded| loaded.as_ref().map(|loaded| loaded.driver)) else { return };
    // SAFETY: the driver object is ours; DriverUnload is what the framework or the driver's stub put there.
    match unsafe { (*driver).DriverUnload } {
        Some(unload) if driver::handle().is_some() => {
            // SAFETY: at PASSIVE_LEVEL, the last device is gone.
            trace::callback("device", "DriverUnload", || unsafe { unload(driver) });
        }
        _ => driver::remove(),
    }
    require_nothing_left();
    let gone = LOADED.with(Option::take);
    drop(gone);
    // SAFETY: made by Box::into_raw in `load`; the driver is gone.
    drop(unsafe { Box::from_raw(driver) });
}

/// A driver that leaves something behind leaks it at every unload.
fn require_nothing_left() {
    let objects: Vec<String> =
        object::live().into_iter().map(|(handle, kind)| format!("{kind} {handle:?}")).collect();
    let bound: Vec<String> = driver::still_bound().into_iter().map(String::from).collect();
    let references = device::interface_references();
    let interfaces: Vec<String> =
        (references != 0).then(|| format!("{references} of BUS_INTERFACE_STANDARD")).into_iter().collect();
    let kinds = [
        ("PoolLeaked", crate::mm::pool_report()),
        ("MappingLeaked", crate::mm::mapped_for_driver()),
        ("InterfaceReferenceLeaked", interfaces),
        ("BindingLeaked", bound),
        ("ObjectLeaked", objects),
    ];
    for (rule, left) in kinds {
        if !left.is_empty() {
            trace::stop(
                0xC4,
                [0x62, 0, 0, left.len() as u64],
                rule,
                format!("after unload: {}", left.join("; ")),
            );
        }
    }
    dma::require_quiet_graveyard();
}
