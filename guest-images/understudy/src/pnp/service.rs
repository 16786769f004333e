//! Drivers as services: each with its image, its driver object, its entry and unload, and what it may not leave behind.

use super::NotLoaded;
use crate::agent::trace;
use crate::inf::{Kind, Package};
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::pe::{self, Image};
use crate::wdf::{device, dma, driver, object};
use agent_protocol::LoadedImage;
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use wdk_offline::{DRIVER_OBJECT, NTSTATUS, UNICODE_STRING};

/// A loaded driver.
pub struct Service {
    /// The service's name.
    pub name: &'static str,
    /// What stands on the time line before its callbacks: `device` for the NIC's driver, else its name.
    pub label: &'static str,
    /// What its INF says.
    pub package: Package,
    /// Whose memory and objects are this driver's.
    pub owner: Owner,
    image: Image,
    driver: *mut DRIVER_OBJECT,
    /// DriverEntry has succeeded.
    entered: AtomicBool,
}

// SAFETY: the driver object is a leaked box that only this module, the I/O manager and the driver touch.
unsafe impl Send for Service {}
// SAFETY: as above.
unsafe impl Sync for Service {}

impl Drop for Service {
    fn drop(&mut self) {
        // SAFETY: made by Box::into_raw in `start`; the driver is gone.
        drop(unsafe { Box::from_raw(self.driver) });
    }
}

impl Service {
    /// Its DRIVER_OBJECT.
    pub fn driver_object(&self) -> *mut DRIVER_OBJECT {
        self.driver
    }
}

/// The loaded drivers, in the order in which they were loaded.
static SERVICES: IrqLock<Vec<Arc<Service>>> = IrqLock::new(Vec::new());

type Entry = unsafe extern "win64" fn(*mut DRIVER_OBJECT, *mut UNICODE_STRING) -> NTSTATUS;

/// All loaded drivers.
pub fn all() -> Vec<Arc<Service>> {
    let count = SERVICES.with(|services| services.len());
    // cloned one by one, so that nothing is allocated with interrupts off
    (0..count).filter_map(|at| SERVICES.with(|services| services.get(at).cloned())).collect()
}

/// The loaded driver whose driver object this is.
pub fn by_driver(driver: *mut DRIVER_OBJECT) -> Option<Arc<Service>> {
    SERVICES.with(|services| services.iter().find(|service| service.driver == driver).cloned())
}

/// What stands on the time line before callbacks of this driver.
pub fn label(owner: Owner) -> &'static str {
    SERVICES.with(|services| {
        services.iter().find(|service| service.owner == owner).map_or("device", |service| service.label)
    })
}

/// Whether a driver of that service is loaded.
pub fn is_service(name: &str) -> bool {
    all().iter().any(|service| service.name.eq_ignore_ascii_case(name))
}

/// The name of a driver's service; empty for understudy itself.
pub fn service_name(owner: Owner) -> &'static str {
    SERVICES.with(|services| {
        services.iter().find(|service| service.owner == owner).map_or("", |service| service.name)
    })
}

/// The driver whose image holds the address; [`Owner::UNDERSTUDY`] where none does.
pub fn owner_of(address: u64) -> Owner {
    SERVICES.with(|services| {
        let found = services.iter().find(|service| service.image.contains(address));
        found.map_or(Owner::UNDERSTUDY, |service| service.owner)
    })
}

/// Whether the address lies in a driver's image.
pub fn in_driver(address: u64) -> bool {
    owner_of(address) != Owner::UNDERSTUDY
}

/// Where the drivers' images are.
pub fn images() -> Vec<LoadedImage> {
    all()
        .iter()
        .map(|service| LoadedImage {
            file: service.image.name.clone(),
            base: service.image.base as u64,
            size: service.image.size as u64,
        })
        .collect()
}

/// An address in words: `cancelnic.sys+0x1234`.
pub fn describe(address: u64) -> String {
    let found = SERVICES.with(|services| {
        let image = &services.iter().find(|service| service.image.contains(address))?.image;
        Some((image.name.as_ptr(), image.name.len(), address - image.base as u64))
    });
    match found {
        Some((name, len, offset)) => {
            // SAFETY: the image, and with it its name, stays until `stop`, which runs on this thread or not at all
            // while a callback is in flight.
            let name = unsafe { core::str::from_utf8_unchecked(core::slice::from_raw_parts(name, len)) };
            format!("{name}+{offset:#x}")
        }
        None => format!("{address:#x}"),
    }
}

/// Loads a driver's image and calls its entry point. PASSIVE_LEVEL.
///
/// # Errors
/// The image is refused, or the entry point failed: then [`stop`] takes away what there is.
pub fn start(file: (&str, &[u8]), package: Package) -> Result<Arc<Service>, NotLoaded> {
    let owner = Owner::next();
    let image = pe::load(file.0, file.1, owner, crate::nt::resolve)
        .map_err(|error| NotLoaded::Refused(format!("{}: {error}", file.0)))?;
    let entry = image.entry;
    let name: &'static str = String::leak(package.service.clone());
    let driver = Box::into_raw(Box::new(DRIVER_OBJECT {
        Type: 4,
        Size: size_of::<DRIVER_OBJECT>() as i16,
        DriverStart: image.base as *mut _,
        DriverSize: image.size as u32,
        DriverName: crate::nt::leak_unicode(&format!("\\Driver\\{name}")),
        ..DRIVER_OBJECT::default()
    }));
    crate::log!("{}: {:#x}, {} bytes, entry {:#x}", file.0, image.base, image.size, entry);
    let label = if package.kind == Kind::Pci { "device" } else { name };
    let service =
        Arc::new(Service { name, label, package, owner, image, driver, entered: AtomicBool::new(false) });
    let listed = service.clone();
    SERVICES.with(|services| services.push(listed));
    let mut path =
        crate::nt::leak_unicode(&format!("\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\{name}"));
    // SAFETY: the optional header names this address as the entry point; it is mapped executable.
    let entry = unsafe { core::mem::transmute::<usize, Entry>(entry) };
    // SAFETY: a driver object and a registry path, at PASSIVE_LEVEL, as an entry point expects.
    let status = trace::callback(label, "DriverEntry", || unsafe { entry(driver, &raw mut path) });
    super::check("DriverEntry", status).map_err(NotLoaded::Failed)?;
    service.entered.store(true, Relaxed);
    Ok(service)
}

/// Calls DriverUnload, takes the image away, and names what is left. Its devices are gone. PASSIVE_LEVEL.
pub fn stop(service: &Arc<Service>) {
    // SAFETY: the driver object is ours; DriverUnload is what the framework or the driver's stub put there.
    match unsafe { (*service.driver).DriverUnload } {
        Some(unload) if service.entered.load(Relaxed) => {
            // SAFETY: at PASSIVE_LEVEL, the last device is gone.
            trace::callback(service.label, "DriverUnload", || unsafe { unload(service.driver) });
        }
        None if service.entered.load(Relaxed) => trace::stop(
            0xC4,
            [0, 0, 0, 0],
            "DriverUnloadMissing",
            format!("{} cannot be unloaded: no DriverUnload", service.name),
        ),
        _ => driver::remove(service.owner),
    }
    require_nothing_left(service);
    let gone = SERVICES.with(|services| {
        let at = services.iter().position(|known| Arc::ptr_eq(known, service));
        at.map(|at| services.remove(at))
    });
    drop(gone);
}

/// A driver that leaves something behind leaks it at every unload.
fn require_nothing_left(service: &Service) {
    let owner = service.owner;
    let objects: Vec<String> =
        object::live(owner).into_iter().map(|(handle, kind)| format!("{kind} {handle:?}")).collect();
    let bound: Vec<String> = driver::still_bound(owner).into_iter().map(String::from).collect();
    let references = if service.package.kind == Kind::Pci { device::interface_references() } else { 0 };
    let interfaces: Vec<String> =
        (references != 0).then(|| format!("{references} of BUS_INTERFACE_STANDARD")).into_iter().collect();
    let kinds = [
        ("PoolLeaked", crate::mm::pool_report(owner)),
        ("MappingLeaked", crate::mm::mapped_for(owner)),
        ("InterfaceReferenceLeaked", interfaces),
        ("SymbolicLinkLeaked", crate::io::names::report(owner)),
        ("DeviceLeaked", crate::io::device::report(owner)),
        ("BindingLeaked", bound),
        ("ObjectLeaked", objects),
    ];
    if let Some((rule, what)) = crate::ndis::stack::left_by(owner).into_iter().next() {
        trace::stop(0xC4, [0x62, 0, 0, 1], rule, format!("after unload of {}: {what}", service.name));
    }
    for (rule, left) in kinds {
        if !left.is_empty() {
            trace::stop(
                0xC4,
                [0x62, 0, 0, left.len() as u64],
                rule,
                format!("after unload of {}: {}", service.name, left.join("; ")),
            );
        }
    }
    dma::require_quiet_graveyard();
}
