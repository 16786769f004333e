//! Control devices (src/framework/shared/core/fxdeviceinitapi.cpp): devices of a driver's that PnP knows nothing of.

use super::bus::{Bus, Stage};
use super::device::{Device, DeviceInit};
use super::driver::Driver;
use super::object::{self, Attributes, get_ptr};
use crate::hal::pci::Function;
use crate::io::pdo::Pdo;
use crate::ke::Irql;
use crate::verifier::owners::{self, Service};
use crate::verifier::require_irql;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{PWDFDEVICE_INIT, UNICODE_STRING, WDF_DRIVER_GLOBALS, WDFDEVICE, WDFDRIVER};

/// The stack of a control device: the device alone.
struct Control {
    service: Arc<Service>,
    /// Nothing is below it; what it would send there is refused.
    below: Pdo,
    handle: AtomicU64,
    /// WdfControlFinishInitializing has been called.
    finished: AtomicBool,
}

impl Bus for Control {
    fn service(&self) -> &Service {
        &self.service
    }

    fn pdo(&self) -> &Pdo {
        &self.below
    }

    fn function(&self) -> Option<Function> {
        None
    }

    fn stage(&self) -> Stage {
        if self.finished.load(Relaxed) { Stage::Working } else { Stage::Added }
    }

    fn set_device(&self, handle: Handle) -> bool {
        self.handle.compare_exchange(0, handle.raw(), Relaxed, Relaxed).is_ok()
    }

    fn has_device(&self) -> bool {
        self.handle.load(Relaxed) != 0
    }

    fn lists(&self) -> Option<(Handle, Handle)> {
        None
    }

    fn is_control(&self) -> bool {
        true
    }

    fn finish(&self) {
        self.finished.store(true, Relaxed);
    }
}

/// WdfControlDeviceInitAllocate: PASSIVE_LEVEL; NULL without memory. Who may open it is the system's to judge.
pub(crate) unsafe extern "win64" fn init_allocate(
    _globals: *mut WDF_DRIVER_GLOBALS,
    driver: WDFDRIVER,
    _security: *const UNICODE_STRING,
) -> PWDFDEVICE_INIT {
    const FUNCTION: &str = "WdfControlDeviceInitAllocate";
    require_irql(FUNCTION, Irql::PASSIVE);
    get_ptr::<Driver, _>(driver, FUNCTION);
    let owner = object::owner(driver as u64, FUNCTION);
    let service = owners::all().into_iter().find(|service| service.owner == owner);
    let Some((service, below)) = service.zip(Pdo::new().ok()) else { return core::ptr::null_mut() };
    let control = Control { service, below, handle: AtomicU64::new(0), finished: AtomicBool::new(false) };
    let init = Arc::new(DeviceInit::new(Arc::new(control)));
    let parent = Handle::from_raw(driver as u64);
    object::create(FUNCTION, init, Some(parent), Attributes::NONE).raw() as PWDFDEVICE_INIT
}

/// WdfControlFinishInitializing: PASSIVE_LEVEL. From now on the device can be opened.
pub(crate) unsafe extern "win64" fn finish_initializing(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
) {
    const FUNCTION: &str = "WdfControlFinishInitializing";
    require_irql(FUNCTION, Irql::PASSIVE);
    get_ptr::<Device, _>(device, FUNCTION).bus.finish();
}
