//! Requests that programs and drivers send: their buffers and their end.

use core::{ptr::null_mut, slice};

use cancelnic_ioctl::{Fault, Input, read};
use wdk_sys::{
    FALSE, NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_SUCCESS, WDFMEMORY, WDFREQUEST,
    call_unsafe_wdf_function_binding,
};
use zerocopy::{Immutable, IntoBytes};

use super::queue::Queue;
use crate::check;

/// A request that the driver owns: it alone completes it, sends it on or puts it into a queue, which takes the value. It is
/// not cancelable. A value that is dropped completes nothing: the request stays the driver's, who has its handle elsewhere.
#[derive(Debug)]
pub struct Request(WDFREQUEST);

impl Request {
    /// The request with this handle.
    ///
    /// # Safety
    /// The driver owns it, it is not cancelable, and there is no other value for it as long as this one is used.
    #[must_use]
    pub const unsafe fn owned(handle: WDFREQUEST) -> Self {
        Self(handle)
    }

    /// Takes the next request out of a manual queue. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// The framework's status: there is none, or the queue is stopped.
    pub fn retrieve(from: Queue) -> Result<Self, NTSTATUS> {
        let mut request = null_mut();
        // SAFETY: the queue is alive; the handle is written on success.
        check(unsafe {
            call_unsafe_wdf_function_binding!(WdfIoQueueRetrieveNextRequest, from.handle(), &raw mut request)
        })?;
        // SAFETY: the framework has just given it to the driver.
        Ok(unsafe { Self::owned(request) })
    }

    /// Its handle.
    #[must_use]
    pub const fn handle(&self) -> WDFREQUEST {
        self.0
    }

    /// The input of a buffered control request, read as a `T`. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// The status of the [`Fault`], if the input is not a `T`.
    pub fn input<T: Input>(&self) -> Result<T, NTSTATUS> {
        let (mut buffer, mut length) = (null_mut(), 0);
        // SAFETY: the driver owns the request; both results are written on success.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfRequestRetrieveInputBuffer,
                self.0,
                1,
                &raw mut buffer,
                &raw mut length
            )
        })
        .map_err(|_| Fault::Length.status() as NTSTATUS)?;
        // SAFETY: the framework gave this buffer of this length; it is the request's until that is completed. The only
        // other reference, that of `output`, borrows the request exclusively.
        let bytes = unsafe { slice::from_raw_parts(buffer.cast::<u8>(), length) };
        read(bytes).map_err(|fault| fault.status() as NTSTATUS)
    }

    /// The memory objects of a buffered or direct control request, its input and its output; null for one that it has not.
    /// They live until the request is completed. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn memories(&self) -> Result<[WDFMEMORY; 2], NTSTATUS> {
        let [mut input, mut output] = [null_mut(); 2];
        // SAFETY: the driver owns the request; the handle is written on success.
        let status = unsafe {
            call_unsafe_wdf_function_binding!(WdfRequestRetrieveInputMemory, self.0, &raw mut input)
        };
        if status != STATUS_BUFFER_TOO_SMALL {
            check(status)?;
        }
        // SAFETY: the same.
        let status = unsafe {
            call_unsafe_wdf_function_binding!(WdfRequestRetrieveOutputMemory, self.0, &raw mut output)
        };
        if status != STATUS_BUFFER_TOO_SMALL {
            check(status)?;
        }
        Ok([input, output])
    }

    /// The output buffer of a buffered or direct control request, at least `least` bytes. A buffered request's input is in
    /// the same place. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// STATUS_BUFFER_TOO_SMALL if the buffer is shorter.
    pub fn output(&mut self, least: usize) -> Result<&mut [u8], NTSTATUS> {
        let (mut buffer, mut length) = (null_mut(), 0);
        // SAFETY: the driver owns the request; both results are written on success.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfRequestRetrieveOutputBuffer,
                self.0,
                least.max(1),
                &raw mut buffer,
                &raw mut length
            )
        })
        .map_err(|_| STATUS_BUFFER_TOO_SMALL)?;
        // SAFETY: as for `input`; the result borrows the request, so that neither `input` nor its end come meanwhile.
        Ok(unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), length) })
    }

    /// Whether an answer of type `T` will fit, asked before anything is done. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// STATUS_BUFFER_TOO_SMALL if it does not.
    pub fn room<T>(&mut self) -> Result<(), NTSTATUS> {
        self.output(size_of::<T>()).map(|_| ())
    }

    /// Reads the input and sees to it that an answer of type `A` will fit. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// Those of [`Self::input`] and [`Self::room`].
    pub fn ask<T: Input, A>(&mut self) -> Result<T, NTSTATUS> {
        let wanted = self.input::<T>()?;
        self.room::<A>()?;
        Ok(wanted)
    }

    /// Writes `answer` to the output; its length, for [`Self::finish`]. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// STATUS_BUFFER_TOO_SMALL if it does not fit.
    pub fn answer<T: IntoBytes + Immutable>(&mut self, answer: &T) -> Result<usize, NTSTATUS> {
        let output = self.output(size_of::<T>())?;
        let (to, _) = output.split_at_mut_checked(size_of::<T>()).ok_or(STATUS_BUFFER_TOO_SMALL)?;
        to.copy_from_slice(answer.as_bytes());
        Ok(size_of::<T>())
    }

    /// Completes the request: success with as many bytes of output, or the status alone. At most DISPATCH_LEVEL.
    pub fn finish(self, result: Result<usize, NTSTATUS>) {
        let (status, information) = match result {
            Ok(length) => (STATUS_SUCCESS, length as u64),
            Err(status) => (status, 0),
        };
        self.complete(status, information);
    }

    /// Completes the request with this status and IoStatus.Information. At most DISPATCH_LEVEL.
    pub fn complete(self, status: NTSTATUS, information: u64) {
        // SAFETY: the driver owns the request, and nothing is done with it afterwards.
        unsafe {
            call_unsafe_wdf_function_binding!(WdfRequestCompleteWithInformation, self.0, status, information);
        }
    }

    /// The queue that it came from.
    #[must_use]
    pub fn queue(&self) -> Queue {
        // SAFETY: the driver owns the request.
        let queue = unsafe { call_unsafe_wdf_function_binding!(WdfRequestGetIoQueue, self.0) };
        // SAFETY: one of this driver's queues, which outlives its requests.
        unsafe { Queue::of_callback(queue) }
    }

    /// Address of the framework's file object that it was sent through; 0 for none.
    #[must_use]
    pub fn file(&self) -> usize {
        // SAFETY: the driver owns the request.
        unsafe { call_unsafe_wdf_function_binding!(WdfRequestGetFileObject, self.0) }.addr()
    }

    /// Hands the request to another queue of the device. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// The framework's status, and the request, which stays the driver's.
    pub fn forward(self, queue: Queue) -> Result<(), (NTSTATUS, Self)> {
        // SAFETY: the driver owns the request until the call succeeds, and uses it only if it does not.
        check(unsafe {
            call_unsafe_wdf_function_binding!(WdfRequestForwardToIoQueue, self.0, queue.handle())
        })
        .map_err(|status| (status, self))
    }

    /// Puts the request back at the head of the manual queue that it came from. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// The framework's status, and the request, which stays the driver's.
    pub fn requeue(self) -> Result<(), (NTSTATUS, Self)> {
        // SAFETY: the driver owns the request until the call succeeds, and uses it only if it does not.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfRequestRequeue, self.0) })
            .map_err(|status| (status, self))
    }
}

/// EvtIoStop: the request stays with the driver while the power is gone. At most DISPATCH_LEVEL.
///
/// # Safety
/// The caller is in EvtIoStop for this request, or knows that the driver owns it.
pub unsafe fn acknowledge_stop(request: WDFREQUEST) {
    // SAFETY: the caller vouches for it: the framework holds the request over EvtIoStop.
    unsafe { call_unsafe_wdf_function_binding!(WdfRequestStopAcknowledge, request, FALSE as u8) };
}
