//! WDFDEVICE and the init structure before it.

use super::bus::{Bus, Stage};
use super::io_target;
use super::lock::CallbackLock;
use super::object::{self, Attributes, Typed, get_ptr};
use super::queue::Queue;
use crate::io::{
    MJ_DEVICE_CONTROL, MJ_INTERNAL_DEVICE_CONTROL, MJ_READ, MJ_WRITE, api, device, interface, names,
};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::{fault, judge, require_irql, trace, violation};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    DEVICE_OBJECT, GUID, NTSTATUS, PWDFDEVICE_INIT, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS, UNICODE_STRING, WDF_DEVICE_STATE, WDF_DRIVER_GLOBALS, WDF_FILEOBJECT_CONFIG,
    WDF_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS, WDFDEVICE, WDFIOTARGET, WDFQUEUE,
};

/// FILE_DEVICE_UNKNOWN, DO_BUFFERED_IO.
const FILE_DEVICE_UNKNOWN: u32 = 0x22;
const DO_BUFFERED_IO: u32 = 4;
/// WdfSynchronizationScopeDevice, -None.
const SCOPE_DEVICE: i32 = 2;
const SCOPE_NONE: i32 = 4;

/// What the driver sets up before it creates the device.
pub(crate) struct DeviceInit {
    /// The stack that the device is for.
    pub bus: Arc<dyn Bus>,
    callbacks: IrqLock<Option<WDF_PNPPOWER_EVENT_CALLBACKS>>,
    /// NetDeviceInitConfig has been called.
    pub net: AtomicBool,
    /// WdfDeviceInitSetFileObjectConfig.
    pub files: IrqLock<Option<(WDF_FILEOBJECT_CONFIG, Attributes)>>,
    /// WdfDeviceInitSetCharacteristics.
    characteristics: AtomicU32,
    /// FILE_DEVICE_x.
    pub(super) kind: AtomicU32,
    /// DO_BUFFERED_IO or DO_DIRECT_IO.
    pub(super) transfer: AtomicU32,
    /// One open file at a time.
    pub(super) exclusive: AtomicBool,
    /// WdfFdoInitSetFilter has been called.
    pub(super) filter: AtomicBool,
    /// `\Device\name`, if it is to have one.
    pub(super) name: IrqLock<Option<String>>,
    /// Of the requests that come to it.
    pub(super) requests: IrqLock<Attributes>,
}

impl Typed for DeviceInit {
    const KIND: &'static str = "WDFDEVICE_INIT";
}

// SAFETY: the pointers in it are the driver's callbacks and static type information.
unsafe impl Send for DeviceInit {}
// SAFETY: as above; what changes is atomic or behind a lock.
unsafe impl Sync for DeviceInit {}

impl DeviceInit {
    /// What EvtDriverDeviceAdd gets for a device of this stack.
    pub(crate) fn new(bus: Arc<dyn Bus>) -> Self {
        Self {
            bus,
            callbacks: IrqLock::new(None),
            net: AtomicBool::new(false),
            files: IrqLock::new(None),
            characteristics: AtomicU32::new(0),
            kind: AtomicU32::new(FILE_DEVICE_UNKNOWN),
            transfer: AtomicU32::new(DO_BUFFERED_IO),
            exclusive: AtomicBool::new(false),
            filter: AtomicBool::new(false),
            name: IrqLock::new(None),
            requests: IrqLock::new(Attributes::NONE),
        }
    }
}

/// The device's framework side.
pub(crate) struct Device {
    /// Its stack.
    pub bus: Arc<dyn Bus>,
    /// Its PnP and power callbacks.
    pub callbacks: WDF_PNPPOWER_EVENT_CALLBACKS,
    /// Set up with NetDeviceInitConfig.
    pub net: bool,
    /// Alignment of common buffers, as FILE_xxx_ALIGNMENT: alignment minus one.
    pub alignment: AtomicU32,
    /// WdfDeviceSetFailed has been called.
    pub failed: AtomicBool,
    /// What the driver wants to hear of files, and their attributes.
    pub files: Option<WDF_FILEOBJECT_CONFIG>,
    /// As above.
    pub file_attributes: Attributes,
    /// Callbacks of its queues want PASSIVE_LEVEL, unless they say otherwise.
    pub passive: bool,
    /// WDF_SYNCHRONIZATION_SCOPE of its queues, unless they say otherwise.
    pub scope: i32,
    /// Serialises the callbacks of queues with device scope.
    pub lock: Option<Arc<CallbackLock>>,
    /// What the driver has no queue for goes on to the next lower device.
    pub filter: bool,
    /// Attributes of the requests that come to it.
    pub request_attributes: Attributes,
    /// WdfDeviceStopIdle that WdfDeviceResumeIdle has not followed.
    pub idle_stops: AtomicU32,
    /// WdfDeviceSetDeviceState.
    pub state: IrqLock<Option<WDF_DEVICE_STATE>>,
    /// Its symbolic links.
    pub links: IrqLock<Vec<String>>,
    routes: IrqLock<Routes>,
    wdm: *mut DEVICE_OBJECT,
    /// WDFIOTARGET of the next lower device.
    local_target: AtomicU64,
}

impl Typed for Device {
    const KIND: &'static str = "WDFDEVICE";

    fn require_deletable(&self, raw: u64, function: &str) {
        if !self.bus.is_control() {
            violation("ObjectNotDeletable", 3, raw, format!("{function} of a WDFDEVICE of PnP's"));
        }
        require_irql(function, Irql::PASSIVE);
    }

    fn dispose(self: Arc<Self>) {
        if self.bus.is_control() {
            crate::io::file::close_all(self.wdm);
        }
        for link in self.links.with(core::mem::take) {
            if let Err(status) = names::unlink(&link) {
                crate::log!("symbolic link {link}: {:#010x}", status as u32);
            }
        }
        interface::forget(self.wdm);
        device::delete(self.wdm);
    }
}

/// Where a device's requests go, and its open files.
#[derive(Default)]
struct Routes {
    queues: Vec<Arc<Queue>>,
    default: Option<Arc<Queue>>,
    /// By major function.
    special: Vec<(u8, Arc<Queue>)>,
    /// FILE_OBJECT and WDFFILEOBJECT.
    files: Vec<(usize, u64)>,
}

impl Device {
    /// What stands on the time line before its callbacks.
    pub(crate) fn label(&self) -> &'static str {
        self.bus.service().label
    }

    /// The WDM device object.
    pub(crate) fn object(&self) -> *mut DEVICE_OBJECT {
        self.wdm
    }

    /// A queue has been made for it.
    pub(crate) fn add_queue(&self, queue: Arc<Queue>, default: bool) {
        self.routes.with(|routes| {
            if default {
                routes.default = Some(queue.clone());
            }
            routes.queues.push(queue);
        });
    }

    /// A queue has gone.
    pub(crate) fn remove_queue(&self, queue: &Queue) {
        let is = |known: &Arc<Queue>| core::ptr::eq(&**known, queue);
        let gone = self.routes.with(|routes| {
            routes.special.retain(|(_, known)| !is(known));
            let default = routes.default.take_if(|known| is(known));
            let at = routes.queues.iter().position(is);
            (default, at.map(|at| routes.queues.remove(at)))
        });
        drop(gone);
    }

    /// Its queues, in the order of their creation.
    pub(crate) fn queues(&self) -> Vec<Arc<Queue>> {
        self.routes.with(|routes| routes.queues.clone())
    }

    /// Its default queue.
    pub(crate) fn default_queue(&self) -> Option<Arc<Queue>> {
        self.routes.with(|routes| routes.default.clone())
    }

    /// Where requests with this major function go.
    pub(crate) fn queue_for(&self, major: u8) -> Option<Arc<Queue>> {
        let special = self.routes.with(|routes| {
            routes.special.iter().find(|(known, _)| *known == major).map(|(_, queue)| queue.clone())
        });
        special.or_else(|| self.default_queue())
    }

    /// A file has been opened.
    pub(crate) fn add_file(&self, object: usize, handle: u64) {
        self.routes.with(|routes| routes.files.push((object, handle)));
    }

    /// The WDFFILEOBJECT of a file object, 0 if there is none.
    pub(crate) fn file_of(&self, object: usize) -> u64 {
        self.routes.with(|routes| {
            routes.files.iter().find(|(known, _)| *known == object).map_or(0, |(_, handle)| *handle)
        })
    }

    /// Takes a file off; returns its WDFFILEOBJECT, 0 if there is none.
    pub(crate) fn forget_file(&self, object: usize) -> u64 {
        self.routes.with(|routes| {
            let at = routes.files.iter().position(|(known, _)| *known == object);
            at.map_or(0, |at| routes.files.swap_remove(at).1)
        })
    }
}

// SAFETY: the WDM device object is this device's own box; the driver only passes its address on.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

/// WdfDeviceInitSetPnpPowerEventCallbacks: PASSIVE_LEVEL, before WdfDeviceCreate.
pub(crate) unsafe extern "win64" fn set_pnp_power_event_callbacks(
    _globals: *mut WDF_DRIVER_GLOBALS,
    init: PWDFDEVICE_INIT,
    callbacks: *mut WDF_PNPPOWER_EVENT_CALLBACKS,
) {
    const FUNCTION: &str = "WdfDeviceInitSetPnpPowerEventCallbacks";
    require_irql(FUNCTION, Irql::PASSIVE);
    let init = get_ptr::<DeviceInit, _>(init, FUNCTION);
    // SAFETY: the driver passes its own structure.
    let callbacks = unsafe { *callbacks };
    if callbacks.Size as usize != size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() {
        violation(
            "StructureSize",
            0,
            u64::from(callbacks.Size),
            format!("{FUNCTION}: WDF_PNPPOWER_EVENT_CALLBACKS"),
        );
    }
    init.callbacks.with(|slot| *slot = Some(callbacks));
}

/// WdfDeviceCreate: PASSIVE_LEVEL, in EvtDriverDeviceAdd. Takes the init structure away from the driver.
pub(crate) unsafe extern "win64" fn device_create(
    globals: *mut WDF_DRIVER_GLOBALS,
    init_pointer: *mut PWDFDEVICE_INIT,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    device: *mut WDFDEVICE,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfDeviceCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    // SAFETY: the driver passes the address of the pointer that EvtDriverDeviceAdd got.
    let init = get_ptr::<DeviceInit, _>(unsafe { *init_pointer }, FUNCTION);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if attributes.parent().is_some() || init.bus.has_device() {
        return STATUS_INVALID_PARAMETER;
    }
    if fault::strikes(init.bus.service().owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let name = init.name.with(|name| name.clone());
    let new = device::New {
        driver: init.bus.service().driver_object(),
        owner: init.bus.service().owner,
        name: name.as_deref(),
        extension: size_of::<u64>(),
        stack: 1,
        kind: init.kind.load(Relaxed),
        characteristics: init.characteristics.load(Relaxed),
        dispatch: device::Dispatch::Framework(super::file::dispatch),
    };
    let wdm = match device::create(&new) {
        Ok(wdm) => wdm,
        Err(status) => return status,
    };
    // SAFETY: the device object is this function's until somebody can open it.
    unsafe {
        (*wdm).Flags |= init.transfer.load(Relaxed);
        if init.exclusive.load(Relaxed) {
            (*wdm).Flags |= device::EXCLUSIVE;
        }
    }
    let control = init.bus.is_control();
    if !control {
        init.bus.pdo().attach(wdm);
    }
    let files = init.files.with(|slot| *slot);
    let (passive, scope) = (attributes.passive().unwrap_or(false), attributes.scope().unwrap_or(SCOPE_NONE));
    let made = Device {
        bus: init.bus.clone(),
        callbacks: init.callbacks.with(|slot| *slot).unwrap_or_default(),
        net: init.net.load(Relaxed),
        alignment: AtomicU32::new(0),
        failed: AtomicBool::new(false),
        files: files.map(|files| files.0),
        file_attributes: files.map_or(Attributes::NONE, |files| files.1),
        passive,
        scope,
        lock: (scope == SCOPE_DEVICE).then(|| Arc::new(CallbackLock::new(passive))),
        filter: init.filter.load(Relaxed),
        request_attributes: init.requests.with(|requests| *requests),
        idle_stops: AtomicU32::new(0),
        state: IrqLock::new(None),
        links: IrqLock::new(Vec::new()),
        routes: IrqLock::new(Routes::default()),
        wdm,
        local_target: AtomicU64::new(0),
    };
    let driver = super::client::of(globals, FUNCTION);
    let made = Arc::new(made);
    let handle = object::create(FUNCTION, made.clone(), Some(driver), attributes);
    made.local_target.store(io_target::create_local(handle, init.bus.pdo().object()), Relaxed);
    init.bus.set_device(handle);
    // SAFETY: the extension has room for the handle, by which the dispatch routine finds the device.
    unsafe { *(*wdm).DeviceExtension.cast::<u64>() = handle.raw() };
    // SAFETY: both are places of the driver; the init pointer is cleared as the framework does.
    let used = unsafe {
        *device = handle.raw() as WDFDEVICE;
        core::mem::replace(&mut *init_pointer, core::ptr::null_mut())
    };
    if control {
        object::delete(Handle::from_raw(used as u64));
    }
    STATUS_SUCCESS
}

/// WdfDeviceInitSetCharacteristics: PASSIVE_LEVEL, before WdfDeviceCreate.
pub(crate) unsafe extern "win64" fn set_characteristics(
    _globals: *mut WDF_DRIVER_GLOBALS,
    init: PWDFDEVICE_INIT,
    characteristics: u32,
    or: u8,
) {
    const FUNCTION: &str = "WdfDeviceInitSetCharacteristics";
    require_irql(FUNCTION, Irql::PASSIVE);
    let init = get_ptr::<DeviceInit, _>(init, FUNCTION);
    if init.net.load(Relaxed) {
        let place = format!("{FUNCTION}: the device is NetAdapterCx's, which has set them");
        judge("CharacteristicsAfterNetDeviceInitConfig", 0, characteristics.into(), place);
    }
    let before = if or == 0 { 0 } else { init.characteristics.load(Relaxed) };
    init.characteristics.store(before | characteristics, Relaxed);
}

/// WdfDeviceCreateDeviceInterface: PASSIVE_LEVEL. Enabled once the device works.
pub(crate) unsafe extern "win64" fn create_device_interface(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    class: *const GUID,
    reference: *const UNICODE_STRING,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfDeviceCreateDeviceInterface";
    require_irql(FUNCTION, Irql::PASSIVE);
    let device = get_ptr::<Device, _>(device, FUNCTION);
    let service = device.bus.service();
    if fault::strikes(service.owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver passes the address of a GUID.
    interface::register(unsafe { *class }, device.wdm, (service.name, &api::text(reference)), service.owner);
    if device.bus.stage() == Stage::Working {
        interface::set_enabled(device.wdm, true);
    }
    STATUS_SUCCESS
}

/// WdfDeviceConfigureRequestDispatching: PASSIVE_LEVEL. Requests of one type go to one queue.
pub(crate) unsafe extern "win64" fn configure_request_dispatching(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    queue: WDFQUEUE,
    kind: i32,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfDeviceConfigureRequestDispatching";
    require_irql(FUNCTION, Irql::PASSIVE);
    let raw = device as u64;
    let device = get_ptr::<Device, _>(device, FUNCTION);
    let queue = get_ptr::<Queue, _>(queue, FUNCTION);
    let known = [MJ_READ, MJ_WRITE, MJ_DEVICE_CONTROL, MJ_INTERNAL_DEVICE_CONTROL];
    let Some(major) =
        known.into_iter().find(|major| i32::from(*major) == kind).filter(|_| queue.device == raw)
    else {
        return STATUS_INVALID_PARAMETER;
    };
    device.routes.with(|routes| {
        routes.special.retain(|(known, _)| *known != major);
        routes.special.push((major, queue));
    });
    STATUS_SUCCESS
}

/// WdfDeviceSetAlignmentRequirement: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn set_alignment_requirement(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    requirement: u32,
) {
    const FUNCTION: &str = "WdfDeviceSetAlignmentRequirement";
    require_irql(FUNCTION, Irql::PASSIVE);
    get_ptr::<Device, _>(device, FUNCTION).alignment.store(requirement, Relaxed);
}

/// WdfDeviceSetFailed: up to DISPATCH_LEVEL. PnP would now take the device away; the rig decides when.
pub(crate) unsafe extern "win64" fn set_failed(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    action: i32,
) {
    const FUNCTION: &str = "WdfDeviceSetFailed";
    require_irql(FUNCTION, Irql::DISPATCH);
    let device = get_ptr::<Device, _>(device, FUNCTION);
    device.failed.store(true, Relaxed);
    trace::note(
        device.bus.service().label,
        if action == 1 { "WdfDeviceSetFailed(AttemptRestart)" } else { "WdfDeviceSetFailed(NoRestart)" },
    );
}

/// WdfDeviceWdmGetDeviceObject: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn wdm_get_device_object(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
) -> *mut DEVICE_OBJECT {
    const FUNCTION: &str = "WdfDeviceWdmGetDeviceObject";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<Device, _>(device, FUNCTION).wdm
}

/// WdfDeviceGetIoTarget: up to DISPATCH_LEVEL. The target lives as long as the device, and is the framework's to delete.
pub(crate) unsafe extern "win64" fn get_io_target(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
) -> WDFIOTARGET {
    const FUNCTION: &str = "WdfDeviceGetIoTarget";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<Device, _>(device, FUNCTION).local_target.load(Relaxed) as WDFIOTARGET
}
