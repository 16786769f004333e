//! Drivers as services: their image, their entry and unload, and what they may not leave behind.

use super::failure::{NotLoaded, check};
use crate::mm::Owner;
use crate::pe;
use crate::verifier::owners::{self, Service};
use crate::verifier::pool;
use crate::verifier::{BugCheck, trace};
use crate::wdf::{bus_interface, client, dma, driver, object};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::Ordering::Relaxed;
use understudy_rules::inf::Package;
use wdk_offline::{DRIVER_OBJECT, NTSTATUS, UNICODE_STRING};

type Entry = unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut UNICODE_STRING) -> NTSTATUS;

/// Loads a driver's image and calls its entry point. PASSIVE_LEVEL.
///
/// # Errors
/// The image is refused, or the entry point failed: then [`stop`] takes away what there is.
pub(super) fn start(file: (&str, &[u8]), package: Package) -> Result<Arc<Service>, NotLoaded> {
    let owner = Owner::next();
    let image = pe::load(file.0, file.1, owner, crate::nt::resolve)
        .map_err(|error| NotLoaded::Refused(format!("{}: {error}", file.0)))?;
    image.page();
    let entry = image.entry;
    let name: &'static str = String::leak(package.service.clone());
    let object = DRIVER_OBJECT {
        Type: 4,
        Size: size_of::<DRIVER_OBJECT>() as i16,
        DriverStart: image.base as *mut _,
        DriverSize: image.size as u32,
        DriverName: crate::mm::leak_unicode(&format!("\\Driver\\{name}")),
        ..DRIVER_OBJECT::default()
    };
    crate::log!("{}: {:#x}, {} bytes, entry {:#x}", file.0, image.base, image.size, entry);
    let service = Service::new(name, package, owner, image, object);
    let driver = service.driver_object();
    let mut path =
        crate::mm::leak_unicode(&format!("\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\{name}"));
    // SAFETY: the optional header names this address as the entry point; it is mapped executable.
    let entry = unsafe { core::mem::transmute::<usize, Entry>(entry) };
    // SAFETY: a driver object and a registry path, at PASSIVE_LEVEL, as an entry point expects.
    let status = trace::callback(service.label, "DriverEntry", || unsafe { entry(driver, &raw mut path) });
    check("DriverEntry", status).map_err(NotLoaded::Failed)?;
    service.image.discard();
    service.entered.store(true, Relaxed);
    Ok(service)
}

/// Calls DriverUnload, takes the image away, and names what is left. Its devices are gone. PASSIVE_LEVEL.
pub(super) fn stop(service: &Arc<Service>) {
    // SAFETY: the driver object is ours; DriverUnload is what the framework or the driver's stub put there.
    match unsafe { (*service.driver_object()).DriverUnload } {
        Some(unload) if service.entered.load(Relaxed) => {
            // SAFETY: at PASSIVE_LEVEL, the last device is gone.
            trace::callback(service.label, "DriverUnload", || unsafe { unload(service.driver_object()) });
        }
        None if service.entered.load(Relaxed) => trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0, 0, 0, 0],
            "DriverUnloadMissing",
            format!("{} cannot be unloaded: no DriverUnload", service.name),
        ),
        _ => driver::remove(service.owner),
    }
    require_nothing_left(service);
    owners::remove(service);
}

/// A driver that leaves something behind leaks it at every unload.
fn require_nothing_left(service: &Service) {
    pool::check_freed();
    let owner = service.owner;
    let objects: Vec<String> =
        object::live(owner).into_iter().map(|(handle, kind)| format!("{kind} {handle:?}")).collect();
    let bound: Vec<String> = client::still_bound(owner).into_iter().map(String::from).collect();
    let references = bus_interface::references(owner);
    let interfaces: Vec<String> =
        (references != 0).then(|| format!("{references} of BUS_INTERFACE_STANDARD")).into_iter().collect();
    let kinds = [
        ("PoolLeaked", pool::report(owner)),
        ("MappingLeaked", crate::mm::mapped_for(owner)),
        ("InterfaceReferenceLeaked", interfaces),
        ("SymbolicLinkLeaked", crate::io::names::report(owner)),
        ("DeviceLeaked", crate::io::device::report(owner)),
        ("BindingLeaked", bound),
        ("ObjectLeaked", objects),
    ];
    let kinds = crate::nt::forget(owner).into_iter().chain(kinds);
    if let Some((rule, what)) = crate::ndis::stack::left_by(owner).into_iter().next() {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0x62, 0, 0, 1],
            rule,
            format!("after unload of {}: {what}", service.name),
        );
    }
    for (rule, left) in kinds {
        if !left.is_empty() {
            trace::judge(
                BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
                [0x62, 0, 0, left.len() as u64],
                rule,
                format!("after unload of {}: {}", service.name, left.join("; ")),
            );
        }
    }
    bus_interface::forget(owner);
    dma::require_quiet_graveyard();
}
