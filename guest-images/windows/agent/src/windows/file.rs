//! Devices as files, with the NTSTATUS that their drivers gave: by the system calls that CreateFile, DeviceIoControl
//! and CancelIoEx stand upon.

use std::{
    cell::UnsafeCell,
    os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle},
    ptr::{null, null_mut},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use cancelnic_agent::guest::{File, Operation, Outcome, STATUS_OBJECT_NAME_NOT_FOUND, Target};
use cancelnic_ioctl::Guid;
use windows_sys::{
    Wdk::{
        Foundation::OBJECT_ATTRIBUTES,
        Storage::FileSystem::{FILE_NON_DIRECTORY_FILE, NtCancelIoFileEx, NtOpenFile},
        System::IO::NtDeviceIoControlFile,
    },
    Win32::{
        Devices::DeviceAndDriverInstallation::{
            CM_GET_DEVICE_INTERFACE_LIST_PRESENT, CM_Get_Device_Interface_List_SizeW,
            CM_Get_Device_Interface_ListW, CR_BUFFER_SMALL, CR_SUCCESS,
        },
        Foundation::{
            HANDLE, OBJ_CASE_INSENSITIVE, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_HANDLE,
            STATUS_PENDING, UNICODE_STRING,
        },
        Storage::FileSystem::{FILE_GENERIC_READ, FILE_GENERIC_WRITE, FILE_SHARE_READ, FILE_SHARE_WRITE},
        System::{
            IO::IO_STATUS_BLOCK,
            Threading::{INFINITE, WaitForSingleObject},
        },
    },
    core::GUID,
};

use super::{sys::event, text::list};

/// Opens a device, asynchronously, for reading and writing.
pub(super) fn open(target: Target<'_>) -> Result<Arc<dyn File>, u32> {
    let name = match target {
        Target::Link(name) => format!(r"\??\{name}"),
        Target::Class(class) => {
            let path = first_interface(class).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)?;
            format!(r"\??\{}", path.trim_start_matches(r"\\?\"))
        }
    };
    let units: Vec<u16> = name.encode_utf16().collect();
    let bytes = u16::try_from(units.len() * 2).map_err(|_| STATUS_OBJECT_NAME_NOT_FOUND)?;
    let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_ptr().cast_mut() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        ObjectName: &raw const name,
        Attributes: OBJ_CASE_INSENSITIVE,
        ..OBJECT_ATTRIBUTES::default()
    };
    let mut handle = null_mut();
    let mut block = IO_STATUS_BLOCK::default();
    // SAFETY: name and attributes live through the call, which opens or fails before it returns.
    let status = unsafe {
        NtOpenFile(
            &raw mut handle,
            FILE_GENERIC_READ | FILE_GENERIC_WRITE,
            &raw const attributes,
            &raw mut block,
            FILE_SHARE_READ | FILE_SHARE_WRITE,
            FILE_NON_DIRECTORY_FILE,
        )
    };
    if status < 0 {
        return Err(status.cast_unsigned());
    }
    // SAFETY: the handle was opened here and is owned by nobody else.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    Ok(Arc::new(OpenFile { handle: Arc::new(Shared(Mutex::new(Some(Arc::new(handle))))) }))
}

/// Path of the first present interface of a class.
fn first_interface(Guid(first, second, third, rest): Guid) -> Option<String> {
    let class = GUID { data1: first, data2: second, data3: third, data4: rest };
    loop {
        let mut len = 0;
        // SAFETY: length and class live through the call.
        let asked = unsafe {
            CM_Get_Device_Interface_List_SizeW(
                &raw mut len,
                &raw const class,
                null(),
                CM_GET_DEVICE_INTERFACE_LIST_PRESENT,
            )
        };
        if asked != CR_SUCCESS {
            return None;
        }
        let mut units = vec![0; len as usize];
        // SAFETY: the buffer has `len` units.
        let filled = unsafe {
            CM_Get_Device_Interface_ListW(
                &raw const class,
                null(),
                units.as_mut_ptr(),
                len,
                CM_GET_DEVICE_INTERFACE_LIST_PRESENT,
            )
        };
        match filled {
            CR_SUCCESS => return list(&units).into_iter().next(),
            // one has come since
            CR_BUFFER_SMALL => {}
            _ => return None,
        }
    }
}

/// A handle until it is closed. A call that is under way keeps it a little longer.
struct Shared(Mutex<Option<Arc<OwnedHandle>>>);

impl Shared {
    fn get(&self) -> Option<Arc<OwnedHandle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct OpenFile {
    handle: Arc<Shared>,
}

impl File for OpenFile {
    fn prepare(&self, code: u32, input: &[u8], output_len: u32) -> Arc<dyn Operation> {
        Arc::new(Request {
            file: Arc::clone(&self.handle),
            code,
            input: input.to_vec(),
            output: UnsafeCell::new(vec![0; output_len as usize]),
            block: UnsafeCell::new(IO_STATUS_BLOCK::default()),
            sent: AtomicBool::new(false),
        })
    }

    fn close(&self) {
        let handle = self.handle.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(handle);
    }
}

/// A control request. Between its sending and its completion the I/O manager writes `output` and `block`, and nobody
/// else looks at them: [`Operation::run`] is called once and reads them after the wait; [`Operation::cancel`] uses
/// the address of `block` only.
struct Request {
    file: Arc<Shared>,
    code: u32,
    input: Vec<u8>,
    output: UnsafeCell<Vec<u8>>,
    block: UnsafeCell<IO_STATUS_BLOCK>,
    /// `run` has been called.
    sent: AtomicBool,
}

// SAFETY: all but the two cells is shared safely, and those are used as the structure's comment says.
unsafe impl Send for Request {}
// SAFETY: as above.
unsafe impl Sync for Request {}

fn failed(status: i32) -> Outcome {
    Outcome { status: status.cast_unsigned(), ..Outcome::default() }
}

impl Operation for Request {
    fn run(&self) -> Outcome {
        let Some(handle) = self.file.get() else { return failed(STATUS_INVALID_HANDLE) };
        if self.sent.swap(true, Ordering::AcqRel) {
            return failed(STATUS_INVALID_HANDLE);
        }
        let Ok(event) = event() else { return failed(STATUS_INSUFFICIENT_RESOURCES) };
        // SAFETY: this is the only run, and nothing has been sent.
        let output = unsafe { &mut *self.output.get() };
        // SAFETY: buffers, block and event live until the request has completed, which is waited for below.
        let status = unsafe {
            NtDeviceIoControlFile(
                handle.as_raw_handle(),
                event.as_raw_handle(),
                None,
                null(),
                self.block.get(),
                self.code,
                self.input.as_ptr().cast(),
                self.input.len() as u32,
                output.as_mut_ptr().cast(),
                output.len() as u32,
            )
        };
        // a handle that is kept would keep the file from being closed
        drop(handle);
        if status == STATUS_PENDING {
            // SAFETY: the event is open; the I/O manager sets it when the request has completed.
            unsafe { WaitForSingleObject(event.as_raw_handle(), INFINITE) };
        } else if status.cast_unsigned() >> 30 == 3 {
            // an error that came at once writes no block
            return failed(status);
        }
        // SAFETY: the request has completed: block and buffer are this thread's again.
        let (status, information) = unsafe {
            let block = self.block.get().read();
            (block.Anonymous.Status, block.Information)
        };
        // of a failure, Information says nothing of the buffer
        let brought = if status.cast_unsigned() >> 30 == 3 { 0 } else { information.min(output.len()) };
        Outcome {
            status: status.cast_unsigned(),
            information: information as u64,
            output: output.get(..brought).unwrap_or_default().to_vec(),
        }
    }

    fn cancel(&self) -> bool {
        let Some(handle) = self.file.get() else { return false };
        let mut block = IO_STATUS_BLOCK::default();
        // SAFETY: the address of this request's block is compared with those of the file's requests, not read.
        let status =
            unsafe { NtCancelIoFileEx(handle.as_raw_handle() as HANDLE, self.block.get(), &raw mut block) };
        status >= 0
    }
}
