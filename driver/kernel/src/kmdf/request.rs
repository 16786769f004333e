//! Requests that programs send: their buffers and their end.

use core::{ptr::null_mut, slice};

use cancelnic_ioctl::{Fault, read};
use wdk_sys::{
    NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_SUCCESS, WDFREQUEST, call_unsafe_wdf_function_binding,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::check;

/// What may be read from a request's input.
pub trait Input: FromBytes + KnownLayout + Immutable {}

impl<T: FromBytes + KnownLayout + Immutable> Input for T {}

/// The request's input, read as a `T`. At most DISPATCH_LEVEL.
///
/// # Safety
/// The driver owns `request`, a buffered control request.
///
/// # Errors
/// The status of the [`Fault`], if the input is no `T`.
pub unsafe fn input<T: Input>(request: WDFREQUEST) -> Result<T, NTSTATUS> {
    let mut buffer = null_mut();
    let mut length = 0;
    // SAFETY: the driver owns the request; both results are written on success.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRequestRetrieveInputBuffer,
            request,
            1,
            &raw mut buffer,
            &raw mut length
        )
    })
    .map_err(|_| Fault::Length.status() as NTSTATUS)?;
    // SAFETY: the framework gave this buffer of this length; it is the request's until that is completed, and
    // nothing else reads or writes it meanwhile.
    let bytes = unsafe { slice::from_raw_parts(buffer.cast::<u8>(), length) };
    read(bytes).map_err(|fault| fault.status() as NTSTATUS)
}

/// The request's output buffer, at least `least` bytes. Input and output share it. At most DISPATCH_LEVEL.
///
/// # Safety
/// The driver owns `request`, a buffered control request, for as long as the result is used, and reads no input of
/// it meanwhile.
///
/// # Errors
/// STATUS_BUFFER_TOO_SMALL if the buffer is shorter.
pub unsafe fn output<'a>(request: WDFREQUEST, least: usize) -> Result<&'a mut [u8], NTSTATUS> {
    let mut buffer = null_mut();
    let mut length = 0;
    // SAFETY: the driver owns the request; both results are written on success.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRequestRetrieveOutputBuffer,
            request,
            least.max(1),
            &raw mut buffer,
            &raw mut length
        )
    })
    .map_err(|_| STATUS_BUFFER_TOO_SMALL)?;
    // SAFETY: as in `input`.
    Ok(unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), length) })
}

/// Writes `answer` to the request's output; its length, for [`finish`]. At most DISPATCH_LEVEL.
///
/// # Safety
/// As for [`output`].
///
/// # Errors
/// STATUS_BUFFER_TOO_SMALL if it does not fit.
pub unsafe fn answer<T: IntoBytes + Immutable>(request: WDFREQUEST, answer: &T) -> Result<usize, NTSTATUS> {
    // SAFETY: as the caller vouches.
    let output = unsafe { output(request, size_of::<T>()) }?;
    let (to, _) = output.split_at_mut_checked(size_of::<T>()).ok_or(STATUS_BUFFER_TOO_SMALL)?;
    to.copy_from_slice(answer.as_bytes());
    Ok(size_of::<T>())
}

/// Completes a request: success with as many bytes of output, or the status alone. At most DISPATCH_LEVEL.
///
/// # Safety
/// The driver owns `request` and does not touch it afterwards; it is not cancelable.
pub unsafe fn finish(request: WDFREQUEST, result: Result<usize, NTSTATUS>) {
    let (status, information) = match result {
        Ok(length) => (STATUS_SUCCESS, length as u64),
        Err(status) => (status, 0),
    };
    // SAFETY: as the caller vouches.
    unsafe {
        call_unsafe_wdf_function_binding!(WdfRequestCompleteWithInformation, request, status, information);
    }
}
