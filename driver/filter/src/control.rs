//! The control device: what programs can ask of the filter. The requests are described in cancelnic-ioctl.

use core::{
    ptr::{null, null_mut},
    slice,
    sync::atomic::{AtomicPtr, Ordering},
};

use cancelnic_filter_core::{List as _, Refused, Way};
use cancelnic_ioctl::{
    Fault, Header,
    filter::{
        self, Bypass, Cancel, Counters, Held, HeldList, MOST_GROUPS, MOST_LISTED, MOST_OUTSTANDING, Release,
        Select, Send, Sent,
    },
    read,
};
use cancelnic_kernel::{
    check, clock,
    text::{counted, utf16},
};
use ndis_sys::{
    DISPATCH_ROUTINES, NDIS_DEVICE_OBJECT_ATTRIBUTES, NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1, NDIS_HANDLE,
    NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES, NdisDeregisterDeviceEx,
    NdisRegisterDeviceEx,
};
use wdk_sys::{
    IO_STACK_LOCATION, NTSTATUS, PDEVICE_OBJECT, PDRIVER_DISPATCH, PIRP, STATUS_BUFFER_TOO_SMALL,
    STATUS_DEVICE_DOES_NOT_EXIST, STATUS_DEVICE_NOT_READY, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS, ntddk::IofCompleteRequest,
};
use zerocopy::IntoBytes;

use crate::{
    ids,
    module::{self, Reference},
    own::number_of,
};

static DEVICE_NAME: [u16; 21] = utf16(br"\Device\cancelnic-lwf");
static LINK_NAME: [u16; 25] = utf16(br"\DosDevices\cancelnic-lwf");
/// All access for the system and for administrators, none for others; protected from inheritance.
static SECURITY: [u16; 32] = utf16(b"D:P(A;;GA;;;SY)(A;;GA;;;BA)");
const SECURITY_LENGTH: usize = b"D:P(A;;GA;;;SY)(A;;GA;;;BA)".len();

static DEVICE: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(null_mut());

/// IRP_MJ_ values of the requests that the device takes.
const CREATE: usize = 0;
const CLOSE: usize = 2;
const DEVICE_CONTROL: usize = 0xE;
const CLEANUP: usize = 0x12;

/// Makes the device. PASSIVE_LEVEL.
///
/// # Safety
/// `driver` is the handle of the registered filter driver.
pub(crate) unsafe fn make_device(driver: NDIS_HANDLE) -> Result<(), NTSTATUS> {
    let mut routines: [PDRIVER_DISPATCH; DISPATCH_ROUTINES] = [None; DISPATCH_ROUTINES];
    routines[CREATE] = Some(succeed);
    routines[CLEANUP] = Some(cleanup);
    routines[CLOSE] = Some(succeed);
    routines[DEVICE_CONTROL] = Some(device_control);
    let mut name = counted(&DEVICE_NAME);
    let mut link = counted(&LINK_NAME);
    let mut security = counted(&SECURITY[..SECURITY_LENGTH]);
    let mut attributes = NDIS_DEVICE_OBJECT_ATTRIBUTES {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES,
            NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1,
            size_of::<NDIS_DEVICE_OBJECT_ATTRIBUTES>() as u16,
        ),
        DeviceName: &raw mut name,
        SymbolicName: &raw mut link,
        MajorFunctions: routines.as_mut_ptr(),
        ExtensionSize: 0,
        DefaultSDDLString: &raw mut security,
        DeviceClassGuid: null(),
    };
    let (mut device, mut handle) = (null_mut(), null_mut());
    // SAFETY: the driver is registered; NDIS copies attributes, names and routines.
    check(unsafe { NdisRegisterDeviceEx(driver, &raw mut attributes, &raw mut device, &raw mut handle) })?;
    DEVICE.store(handle, Ordering::Relaxed);
    Ok(())
}

/// Removes the device. PASSIVE_LEVEL.
///
/// # Safety
/// [`make_device`] has succeeded, and this is called once.
pub(crate) unsafe fn remove_device() {
    // SAFETY: the caller vouches for the device.
    unsafe { NdisDeregisterDeviceEx(DEVICE.load(Ordering::Relaxed)) };
}

/// Create and close: there is nothing to do for a file. PASSIVE_LEVEL.
unsafe extern "C" fn succeed(_device: PDEVICE_OBJECT, irp: PIRP) -> NTSTATUS {
    // SAFETY: the request is this driver's until it is completed here.
    unsafe { complete(irp, Ok(0)) }
}

/// The last handle of a file is closed: what its program has set on a module goes with it. PASSIVE_LEVEL.
unsafe extern "C" fn cleanup(_device: PDEVICE_OBJECT, irp: PIRP) -> NTSTATUS {
    // SAFETY: the request is this driver's.
    let file = unsafe { location(irp) }.FileObject.addr();
    module::each(|module| module.program_gone(file));
    // SAFETY: the request is this driver's until it is completed here.
    unsafe { complete(irp, Ok(0)) }
}

/// A request's present location.
///
/// # Safety
/// The request is this driver's, and is not completed before the reference's last use.
unsafe fn location<'r>(irp: PIRP) -> &'r IO_STACK_LOCATION {
    // SAFETY: by contract; the I/O manager does not change it meanwhile.
    let request = unsafe { &*irp };
    // SAFETY: of the union's members, the one that a driver uses while it has the request.
    let overlay = unsafe { &request.Tail.Overlay };
    // SAFETY: of the union's members, the one for a request that is not in a queue of its driver's.
    let location = unsafe { overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation };
    // SAFETY: the request's present location.
    unsafe { &*location }
}

/// IRP_MJ_DEVICE_CONTROL. PASSIVE_LEVEL, on the thread of the caller.
unsafe extern "C" fn device_control(_device: PDEVICE_OBJECT, irp: PIRP) -> NTSTATUS {
    // SAFETY: the request is this driver's.
    let location = unsafe { location(irp) };
    // SAFETY: the same; the I/O manager does not change it meanwhile.
    let request = unsafe { &*irp };
    let file = location.FileObject.addr();
    // SAFETY: of the union's members, the one for IRP_MJ_DEVICE_CONTROL.
    let parameters = unsafe { location.Parameters.DeviceIoControl };
    let (input, output) = (parameters.InputBufferLength as usize, parameters.OutputBufferLength as usize);
    let code = parameters.IoControlCode;
    // SAFETY: of the union's members, the one for METHOD_BUFFERED; all are pointers.
    let buffer: *mut u8 = unsafe { request.AssociatedIrp.SystemBuffer }.cast();
    let length = input.max(output);
    let result = if code & METHOD != METHOD_BUFFERED || buffer.is_null() && length != 0 {
        Err(STATUS_INVALID_DEVICE_REQUEST)
    } else if buffer.is_null() {
        control(file, code, &mut [], 0, 0)
    } else {
        // SAFETY: with METHOD_BUFFERED the I/O manager made one buffer, as long as the longer of input and output, with the
        // input in it; nobody else uses it until the request is completed.
        control(file, code, unsafe { slice::from_raw_parts_mut(buffer, length) }, input, output)
    };
    // SAFETY: the request is this driver's until it is completed here.
    unsafe { complete(irp, result) }
}

/// The bits of a control code that say how buffers come, and the method of all codes here.
const METHOD: u32 = 3;
const METHOD_BUFFERED: u32 = 0;

/// Completes a request: the count of bytes that go back, or the status of a failure.
///
/// # Safety
/// The request is this driver's, and is not touched any more.
unsafe fn complete(irp: PIRP, result: Result<usize, NTSTATUS>) -> NTSTATUS {
    let (status, information) = match result {
        Ok(bytes) => (STATUS_SUCCESS, bytes as u64),
        Err(status) => (status, 0),
    };
    // SAFETY: the caller vouches for the request.
    let block = unsafe { &mut (*irp).IoStatus };
    block.__bindgen_anon_1.Status = status;
    block.Information = information;
    // SAFETY: the caller vouches for the request, which is not touched any more.
    unsafe { IofCompleteRequest(irp, 0) };
    status
}

/// A fault of the input as a status.
fn refused(fault: Fault) -> NTSTATUS {
    fault.status().cast_signed()
}

/// Carries one control request of `file` out: `buffer` holds `input` bytes and takes at most `output`.
fn control(
    file: usize,
    code: u32,
    buffer: &mut [u8],
    input: usize,
    output: usize,
) -> Result<usize, NTSTATUS> {
    let asked = buffer.get(..input).ok_or(refused(Fault::Length))?;
    match code {
        filter::SEND => {
            let send: Send = read(asked).map_err(refused)?;
            let answer = buffer.get_mut(..output).ok_or(STATUS_BUFFER_TOO_SMALL)?;
            originate(&send, answer)
        }
        filter::HOLD => {
            let select: Select = read(asked).map_err(refused)?;
            to(select.module)?.sends.hold(file, clock::milliseconds());
            Ok(0)
        }
        filter::RELEASE => {
            let release: Release = read(asked).map_err(refused)?;
            let module = to(release.module)?;
            let count = Some(release.count).filter(|count| *count != filter::ALL);
            module.sends.release(count, &*module);
            Ok(0)
        }
        filter::CANCEL => {
            let cancel: Cancel = read(asked).map_err(refused)?;
            if !ids::is_own(cancel.cancel_id) {
                return Err(refused(Fault::Value));
            }
            let module = to(cancel.module)?;
            module.sends.cancel(cancel.cancel_id, &*module);
            Ok(0)
        }
        filter::COUNTERS => {
            let select: Select = read(asked).map_err(refused)?;
            let module = to(select.module)?;
            let bypassed = module.is_bypassed().into();
            let counters = Counters { bypassed, ..module.sends.counters() };
            let answer = buffer.get_mut(..output).ok_or(STATUS_BUFFER_TOO_SMALL)?;
            write(answer, counters.as_bytes())
        }
        filter::HELD => {
            let select: Select = read(asked).map_err(refused)?;
            let module = to(select.module)?;
            list_held(&module, buffer.get_mut(..output).ok_or(STATUS_BUFFER_TOO_SMALL)?)
        }
        filter::BYPASS => {
            let bypass: Bypass = read(asked).map_err(refused)?;
            to(bypass.module)?.bypass((bypass.on == 1).then_some(file))?;
            Ok(0)
        }
        #[cfg(feature = "test-build")]
        cancelnic_ioctl::SET_MUTANT => {
            let set: cancelnic_ioctl::SetMutant = read(asked).map_err(refused)?;
            module::each(|module| module.sends.show_mutant(set.mutant));
            Ok(0)
        }
        _ => Err(STATUS_INVALID_DEVICE_REQUEST),
    }
}

fn to(index: u32) -> Result<Reference, NTSTATUS> {
    let module = Reference::to(index).ok_or(STATUS_DEVICE_DOES_NOT_EXIST)?;
    module.look_at_the_clock();
    Ok(module)
}

/// Puts an answer at the beginning of the output.
fn write(output: &mut [u8], answer: &[u8]) -> Result<usize, NTSTATUS> {
    let place = output.get_mut(..answer.len()).ok_or(STATUS_BUFFER_TOO_SMALL)?;
    place.copy_from_slice(answer);
    Ok(answer.len())
}

/// Sends frames of the module's own.
fn originate(send: &Send, output: &mut [u8]) -> Result<usize, NTSTATUS> {
    if output.len() < size_of::<Sent>() {
        return Err(STATUS_BUFFER_TOO_SMALL);
    }
    let module = to(send.module)?;
    let mut ids = [0; MOST_GROUPS];
    ids.iter_mut().take(send.groups as usize).for_each(|id| *id = ids::new());
    let lists = module.own.make(send, &ids).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
    match module.sends.originate(lists, Way::default(), u64::from(MOST_OUTSTANDING), &*module) {
        Ok(()) => write(output, Sent { header: Header::of::<Sent>(), ids }.as_bytes()),
        Err(Refused::NotRunning(lists)) => {
            module.own.unmark_and_give_back(lists);
            Err(STATUS_DEVICE_NOT_READY)
        }
        Err(Refused::TooMany(lists)) => {
            module.own.unmark_and_give_back(lists);
            Err(STATUS_INSUFFICIENT_RESOURCES)
        }
    }
}

/// Writes the queued lists into the output, as many as it holds.
fn list_held(module: &crate::module::Filter, output: &mut [u8]) -> Result<usize, NTSTATUS> {
    use cancelnic_filter_core::Stack as _;

    let (head, room) = output.split_at_mut_checked(size_of::<Held>()).ok_or(STATUS_BUFFER_TOO_SMALL)?;
    let mut places = room.chunks_exact_mut(size_of::<HeldList>()).take(MOST_LISTED);
    let most = places.len();
    let mut listed = 0;
    let total = module.sends.look_at_held(most, |list| {
        let Some(place) = places.next() else { return };
        // SAFETY: the list is in the queue, whose lock is held.
        let number = unsafe { number_of(list) };
        let own = u64::from(module.is_own(list));
        place.copy_from_slice(HeldList { number, cancel_id: list.cancel_id(), own }.as_bytes());
        listed += 1;
    });
    let held = Held { header: Header::of::<Held>(), total: total as u64, listed: listed as u64 };
    head.copy_from_slice(held.as_bytes());
    Ok(size_of::<Held>() + listed * size_of::<HeldList>())
}
