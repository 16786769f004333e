//! The loaded drivers: whose an address, an object, a time line's entry is.

use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::pe::{Image, Section};
use agent_protocol::LoadedImage;
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::AtomicBool;
use understudy_rules::inf::Package;
use wdk_offline::DRIVER_OBJECT;

/// A loaded driver.
pub(crate) struct Service {
    /// The service's name.
    pub name: &'static str,
    /// What stands on the time line before its callbacks: `device` for the NIC's driver, else its name.
    pub label: &'static str,
    /// What its INF says.
    pub package: Package,
    /// Whose memory and objects are this driver's.
    pub owner: Owner,
    /// Its image.
    pub image: Image,
    driver: *mut DRIVER_OBJECT,
    /// DriverEntry has succeeded.
    pub entered: AtomicBool,
}

// SAFETY: the driver object is a box that only PnP, the I/O manager, the frameworks and the driver touch.
unsafe impl Send for Service {}
// SAFETY: as above.
unsafe impl Sync for Service {}

impl Drop for Service {
    fn drop(&mut self) {
        // SAFETY: made by Box::into_raw in `new`; the driver is gone.
        drop(unsafe { Box::from_raw(self.driver) });
    }
}

impl Service {
    /// A driver whose image has been loaded and whose code has not run; `object` becomes its DRIVER_OBJECT.
    pub(crate) fn new(
        name: &'static str,
        package: Package,
        owner: Owner,
        image: Image,
        object: DRIVER_OBJECT,
    ) -> Arc<Self> {
        let label = if package.net { "device" } else { name };
        let driver = Box::into_raw(Box::new(object));
        let service =
            Arc::new(Self { name, label, package, owner, image, driver, entered: AtomicBool::new(false) });
        let listed = service.clone();
        SERVICES.with(|services| services.push(listed));
        service
    }

    /// Its DRIVER_OBJECT.
    pub(crate) fn driver_object(&self) -> *mut DRIVER_OBJECT {
        self.driver
    }
}

/// The loaded drivers, in the order in which they were loaded.
static SERVICES: IrqLock<Vec<Arc<Service>>> = IrqLock::new(Vec::new());

/// All loaded drivers.
pub(crate) fn all() -> Vec<Arc<Service>> {
    let count = SERVICES.with(|services| services.len());
    // cloned one by one, so that nothing is allocated with interrupts off
    (0..count).filter_map(|at| SERVICES.with(|services| services.get(at).cloned())).collect()
}

/// The loaded driver whose driver object this is.
pub(crate) fn by_driver(driver: *mut DRIVER_OBJECT) -> Option<Arc<Service>> {
    SERVICES.with(|services| services.iter().find(|service| service.driver == driver).cloned())
}

/// What stands on the time line before callbacks of this driver.
pub(crate) fn label(owner: Owner) -> &'static str {
    SERVICES.with(|services| {
        services.iter().find(|service| service.owner == owner).map_or("device", |service| service.label)
    })
}

/// The name of a driver's service; empty for understudy itself.
pub(crate) fn service_name(owner: Owner) -> &'static str {
    SERVICES.with(|services| {
        services.iter().find(|service| service.owner == owner).map_or("", |service| service.name)
    })
}

/// The driver whose image holds the address; [`Owner::UNDERSTUDY`] where none does.
pub(crate) fn owner_of(address: u64) -> Owner {
    SERVICES.with(|services| {
        let found = services.iter().find(|service| service.image.contains(address));
        found.map_or(Owner::UNDERSTUDY, |service| service.owner)
    })
}

/// Whether the address lies in a driver's image.
pub(crate) fn in_driver(address: u64) -> bool {
    owner_of(address) != Owner::UNDERSTUDY
}

/// The section of a driver's image that holds the address.
pub(crate) fn section_of(address: u64) -> Option<Section> {
    SERVICES.with(|services| services.iter().find_map(|service| service.image.section_of(address)))
}

/// Takes a driver off the list: its code runs no more.
pub(crate) fn remove(service: &Arc<Service>) {
    SERVICES.remove(service);
}

/// Where the drivers' images are.
pub(crate) fn images() -> Vec<LoadedImage> {
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
pub(crate) fn describe(address: u64) -> String {
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
