//! WDFFILEOBJECT, and where a device's IRPs go: creation, cleanup and close here, the others to a queue.
//!
//! Rules: RQ31 (`driver/docs/requests.md`).

use super::bus::Stage;
use super::device::Device;
use super::object::{self, Attributes, Typed, get, get_ptr};
use super::request::Request;
use crate::io::{Irp, MJ_CLEANUP, MJ_CLOSE, MJ_CREATE, STATUS_NO_SUCH_DEVICE, STATUS_PENDING};
use crate::ke::Irql;
use crate::verifier::{require_irql, trace, violation};
use alloc::{format, sync::Arc};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    DEVICE_OBJECT, FILE_OBJECT, NTSTATUS, PWDFDEVICE_INIT, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS,
    UNICODE_STRING, WDF_DRIVER_GLOBALS, WDF_FILEOBJECT_CONFIG, WDF_OBJECT_ATTRIBUTES, WDFDEVICE,
    WDFFILEOBJECT,
};

/// A file as its driver sees it.
pub(crate) struct FileObject {
    device: u64,
    /// The I/O manager's file object.
    object: usize,
}

impl Typed for FileObject {
    const KIND: &'static str = "WDFFILEOBJECT";
}

fn complete(irp: Irp, status: NTSTATUS) -> NTSTATUS {
    irp.set_status(status, 0);
    irp.complete();
    status
}

/// Why NDIS takes a network device's request, if it does: it has a file object that NetAdapterCx has not marked as one of the
/// driver's own interface. A request without a file object is the driver's.
fn taken_by_ndis(file: *mut FILE_OBJECT, device: *mut DEVICE_OBJECT) -> Option<&'static str> {
    // SAFETY: the file object of a request lives until the request is completed; a driver's own request may have none.
    let file = unsafe { file.as_ref() }?;
    if file.DeviceObject != device {
        return Some("NDIS takes requests with a file object of another device");
    }
    (crate::settings::documented() && file.FileName.Length == 0)
        .then_some("NDIS takes requests on a device interface without a reference string")
}

/// The framework's dispatch routine for every IRP of a device.
pub(crate) fn dispatch(object: *mut DEVICE_OBJECT, irp: Irp) -> NTSTATUS {
    // SAFETY: the extension of a framework device holds its WDFDEVICE.
    let raw = unsafe { *(*object).DeviceExtension.cast::<u64>() };
    let device = get::<Device>(raw, "dispatch");
    let location = irp.current();
    // SAFETY: the current location lies in the IRP.
    let (major, file) = unsafe { ((*location).MajorFunction, (*location).FileObject) };
    if device.net
        && let Some(reason) = taken_by_ndis(file, object)
    {
        // the driver hears of none of it
        let ndis = if matches!(major, MJ_CREATE | MJ_CLEANUP | MJ_CLOSE) {
            STATUS_SUCCESS
        } else {
            trace::set_reason(reason);
            STATUS_INVALID_DEVICE_REQUEST
        };
        return complete(irp, ndis);
    }
    if device.bus.is_control() && device.bus.stage() != Stage::Working {
        // the I/O manager lets nobody open a device that is being initialized
        return complete(irp, STATUS_NO_SUCH_DEVICE);
    }
    let queue = device.queue_for(major);
    let is_file = matches!(major, MJ_CREATE | MJ_CLEANUP | MJ_CLOSE);
    let taken = if is_file { device.files.is_some() } else { queue.is_some() };
    if device.filter && !taken {
        irp.skip_current();
        return irp.call(device.bus.pdo().object());
    }
    match major {
        MJ_CREATE => create(&device, raw, irp, file),
        MJ_CLEANUP => {
            let known = device.file_of(file as usize);
            if known != 0 {
                if let Some(callback) = device.files.and_then(|files| files.EvtFileCleanup) {
                    // SAFETY: the driver's callback with its own file, at PASSIVE_LEVEL.
                    trace::callback(device.label(), "EvtFileCleanup", || unsafe {
                        callback(known as WDFFILEOBJECT);
                    });
                }
                for queue in device.queues() {
                    queue.flush(known);
                }
            }
            complete(irp, STATUS_SUCCESS)
        }
        MJ_CLOSE => {
            let known = device.forget_file(file as usize);
            if known != 0 {
                if let Some(callback) = device.files.and_then(|files| files.EvtFileClose) {
                    // SAFETY: as above.
                    trace::callback(device.label(), "EvtFileClose", || unsafe {
                        callback(known as WDFFILEOBJECT);
                    });
                }
                object::delete(Handle::from_raw(known));
            }
            complete(irp, STATUS_SUCCESS)
        }
        _ => {
            let Some(queue) = queue else {
                return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
            };
            irp.mark_pending();
            let file = device.file_of(file as usize);
            let request = Request::receive(queue.owner, irp, file, device.request_attributes);
            queue.accept(&request);
            STATUS_PENDING
        }
    }
}

/// IRP_MJ_CREATE: a file object if the driver wants them; EvtDeviceFileCreate, if there is one, completes.
fn create(device: &Arc<Device>, raw: u64, irp: Irp, file: *mut FILE_OBJECT) -> NTSTATUS {
    let Some(config) = device.files else { return complete(irp, STATUS_SUCCESS) };
    let made = Arc::new(FileObject { device: raw, object: file as usize });
    let handle = object::create("IRP_MJ_CREATE", made, Some(Handle::from_raw(raw)), device.file_attributes);
    device.add_file(file as usize, handle.raw());
    let Some(callback) = config.EvtDeviceFileCreate else { return complete(irp, STATUS_SUCCESS) };
    irp.mark_pending();
    let request =
        Request::receive(object::owner(raw, "IRP_MJ_CREATE"), irp, handle.raw(), device.request_attributes);
    request.inner.with(|inner| inner.place = super::request::Place::Driver);
    // SAFETY: the driver's callback with its own device, a live request and file, at PASSIVE_LEVEL.
    trace::callback(device.label(), "EvtDeviceFileCreate", || unsafe {
        callback(raw as WDFDEVICE, request.raw(), handle.raw() as WDFFILEOBJECT);
    });
    STATUS_PENDING
}

/// A failed IRP_MJ_CREATE leaves no file behind.
pub(crate) fn create_completed(file: u64, status: NTSTATUS) {
    if status >= 0 || file == 0 {
        return;
    }
    let known = get::<FileObject>(file, "IRP_MJ_CREATE");
    get::<Device>(known.device, "IRP_MJ_CREATE").forget_file(known.object);
    object::delete(Handle::from_raw(file));
}

/// WdfDeviceInitSetFileObjectConfig: PASSIVE_LEVEL, before WdfDeviceCreate.
pub(crate) unsafe extern "win64" fn set_file_object_config(
    _globals: *mut WDF_DRIVER_GLOBALS,
    init: PWDFDEVICE_INIT,
    config: *mut WDF_FILEOBJECT_CONFIG,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
) {
    const FUNCTION: &str = "WdfDeviceInitSetFileObjectConfig";
    require_irql(FUNCTION, Irql::PASSIVE);
    let init = get_ptr::<super::device::DeviceInit, _>(init, FUNCTION);
    // SAFETY: the driver passes its own structure.
    let config = unsafe { *config };
    if config.Size as usize != size_of::<WDF_FILEOBJECT_CONFIG>() {
        violation("StructureSize", 0, config.Size.into(), format!("{FUNCTION}: WDF_FILEOBJECT_CONFIG"));
    }
    match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => init.files.with(|slot| *slot = Some((config, attributes))),
        Err(_) => violation("ObjectAttributes", 0, 0, format!("{FUNCTION}: WDF_OBJECT_ATTRIBUTES")),
    }
}

/// WdfFileObjectGetDevice: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_device(
    _globals: *mut WDF_DRIVER_GLOBALS,
    file: WDFFILEOBJECT,
) -> WDFDEVICE {
    const FUNCTION: &str = "WdfFileObjectGetDevice";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<FileObject, _>(file, FUNCTION).device as WDFDEVICE
}

/// WdfFileObjectGetFileName: up to DISPATCH_LEVEL. The name is the file object's.
pub(crate) unsafe extern "win64" fn get_file_name(
    _globals: *mut WDF_DRIVER_GLOBALS,
    file: WDFFILEOBJECT,
) -> *mut UNICODE_STRING {
    const FUNCTION: &str = "WdfFileObjectGetFileName";
    require_irql(FUNCTION, Irql::DISPATCH);
    let object = get_ptr::<FileObject, _>(file, FUNCTION).object as *mut FILE_OBJECT;
    // SAFETY: the I/O manager's file object lives as long as the framework's.
    unsafe { &raw mut (*object).FileName }
}

/// WdfFileObjectWdmGetFileObject: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn wdm_get_file_object(
    _globals: *mut WDF_DRIVER_GLOBALS,
    file: WDFFILEOBJECT,
) -> *mut FILE_OBJECT {
    const FUNCTION: &str = "WdfFileObjectWdmGetFileObject";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<FileObject, _>(file, FUNCTION).object as *mut FILE_OBJECT
}
