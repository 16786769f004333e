//! Device objects of every driver, and who takes the IRPs that are sent to them.

use super::{Irp, STATUS_NO_SUCH_DEVICE, STATUS_OBJECT_NAME_COLLISION};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::verifier::pool::Lent;
use crate::verifier::{BugCheck, require_irql, trace};
use alloc::{format, string::String, vec::Vec};
use core::ffi::c_void;
use wdk_offline::{DEVICE_OBJECT, DRIVER_OBJECT, NTSTATUS, PDRIVER_DISPATCH, STATUS_INVALID_DEVICE_REQUEST};

/// DO_EXCLUSIVE of DEVICE_OBJECT.Flags: one open file at a time.
pub(crate) const EXCLUSIVE: u32 = 8;

/// A dispatch table as DRIVER_OBJECT has it, by major function.
pub(crate) type Table = [PDRIVER_DISPATCH; 28];

/// Who takes the IRPs of a device.
#[derive(Clone, Copy)]
pub(crate) enum Dispatch {
    /// DRIVER_OBJECT.MajorFunction, as IoCreateDevice has it.
    Driver,
    /// A table of the device's own, as NdisRegisterDeviceEx has it; leaked with the few devices that have one.
    Table(&'static Table),
    /// A framework: gets the device object and the IRP, returns what the dispatch routine returns.
    Framework(fn(*mut DEVICE_OBJECT, Irp) -> NTSTATUS),
}

/// What a device is made from.
pub(crate) struct New<'a> {
    /// The driver's object.
    pub driver: *mut DRIVER_OBJECT,
    /// Who has to delete it.
    pub owner: Owner,
    /// `\Device\name`, if it has one.
    pub name: Option<&'a str>,
    /// Bytes of device extension, zeroed.
    pub extension: usize,
    /// Stack locations that an IRP for it needs.
    pub stack: u8,
    /// FILE_DEVICE_x.
    pub kind: u32,
    /// FILE_DEVICE_SECURE_OPEN and its like.
    pub characteristics: u32,
    /// Who takes its IRPs.
    pub dispatch: Dispatch,
}

struct Entry {
    /// The device object, and behind it its extension.
    memory: Lent,
    owner: Owner,
    name: Option<String>,
    dispatch: Dispatch,
}

impl Entry {
    fn object(&self) -> *mut DEVICE_OBJECT {
        self.memory.start().cast()
    }
}

static DEVICES: IrqLock<Vec<Entry>> = IrqLock::new(Vec::new());

/// Makes a device object. PASSIVE_LEVEL.
///
/// # Errors
/// STATUS_OBJECT_NAME_COLLISION.
pub(crate) fn create(new: &New<'_>) -> Result<*mut DEVICE_OBJECT, NTSTATUS> {
    if new.name.is_some_and(|name| find(name).is_some()) {
        return Err(STATUS_OBJECT_NAME_COLLISION);
    }
    let memory = Lent::new(b"Devi", size_of::<DEVICE_OBJECT>() + new.extension, true);
    let raw = memory.start().cast::<DEVICE_OBJECT>();
    let object = DEVICE_OBJECT {
        Type: 3,
        Size: size_of::<DEVICE_OBJECT>() as u16,
        DriverObject: new.driver,
        DeviceType: new.kind,
        Characteristics: new.characteristics,
        StackSize: new.stack as i8,
        DeviceExtension: match new.extension {
            0 => core::ptr::null_mut(),
            _ => raw.wrapping_add(1).cast::<c_void>(),
        },
        ..DEVICE_OBJECT::default()
    };
    // SAFETY: a fresh block with room for it.
    unsafe { raw.write(object) };
    let entry = Entry { memory, owner: new.owner, name: new.name.map(String::from), dispatch: new.dispatch };
    DEVICES.with(|devices| devices.push(entry));
    Ok(raw)
}

/// Deletes a device object; its names go with their drivers. PASSIVE_LEVEL.
pub(crate) fn delete(object: *mut DEVICE_OBJECT) {
    let gone = DEVICES.with(|devices| {
        let at = devices.iter().position(|entry| entry.object() == object);
        at.map(|at| devices.swap_remove(at))
    });
    if gone.is_none() {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0, object as u64, 0, 0],
            "DeviceDeletedTwice",
            format!("IoDeleteDevice of {object:p}, which is no device object"),
        );
    }
}

/// The device with this name, `\Device\...`.
pub(crate) fn find(name: &str) -> Option<*mut DEVICE_OBJECT> {
    DEVICES.with(|devices| {
        let matches =
            |entry: &&Entry| entry.name.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(name));
        devices.iter().find(matches).map(Entry::object)
    })
}

fn with<R>(object: *mut DEVICE_OBJECT, look: impl FnOnce(&Entry, &DEVICE_OBJECT) -> R) -> Option<R> {
    DEVICES.with(|devices| {
        let entry = devices.iter().find(|entry| entry.object() == object)?;
        // SAFETY: the entry's own object, which lives as long as it; drivers only put words into it.
        Some(look(entry, unsafe { &*object }))
    })
}

/// Whether this is a live device object.
pub(crate) fn exists(object: *mut DEVICE_OBJECT) -> bool {
    with(object, |_, _| ()).is_some()
}

/// Stack locations that an IRP for the device needs; 1 where it is gone.
pub(crate) fn stack_size(object: *mut DEVICE_OBJECT) -> u8 {
    with(object, |_, object| object.StackSize).map_or(1, |size| size.max(1) as u8)
}

/// Device objects of a driver that are left, in words.
pub(crate) fn report(owner: Owner) -> Vec<String> {
    DEVICES.with(|devices| {
        let left = devices.iter().filter(|entry| entry.owner == owner);
        left.map(|entry| entry.name.clone().unwrap_or_else(|| "an unnamed device".into())).collect()
    })
}

/// Hands an IRP, whose current location is this device's, to whoever takes it.
fn dispatch(object: *mut DEVICE_OBJECT, irp: Irp) -> NTSTATUS {
    let found = with(object, |entry, object| (entry.dispatch, object.DriverObject));
    let Some((dispatch, driver)) = found else {
        irp.set_status(STATUS_NO_SUCH_DEVICE, 0);
        irp.complete();
        return STATUS_NO_SUCH_DEVICE;
    };
    // SAFETY: the current location lies in the IRP.
    let major = usize::from(unsafe { (*irp.current()).MajorFunction });
    let routine = match dispatch {
        Dispatch::Framework(take) => return take(object, irp),
        Dispatch::Table(table) => table.get(major).copied().flatten(),
        // SAFETY: the driver object lives as long as its driver, which has a device.
        Dispatch::Driver => unsafe { (*driver).MajorFunction.get(major).copied().flatten() },
    };
    match routine {
        Some(routine) => {
            let label =
                crate::verifier::owners::label(crate::verifier::owners::owner_of(routine as usize as u64));
            // SAFETY: the driver's dispatch routine with a device of its own and an IRP at its location.
            trace::quick_callback(label, "dispatch routine", || unsafe { routine(object, irp.raw()) })
        }
        None => {
            irp.set_status(STATUS_INVALID_DEVICE_REQUEST, 0);
            irp.complete();
            STATUS_INVALID_DEVICE_REQUEST
        }
    }
}

impl Irp {
    /// IoCallDriver: the next stack location is the device's. Up to DISPATCH_LEVEL.
    pub(crate) fn call(self, to: *mut DEVICE_OBJECT) -> NTSTATUS {
        require_irql("IoCallDriver", Irql::DISPATCH);
        self.set_next();
        // SAFETY: the current location lies in the IRP.
        unsafe { (*self.current()).DeviceObject = to };
        dispatch(to, self)
    }
}
