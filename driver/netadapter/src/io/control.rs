//! The control codes that are answered at once.

use cancelnic_ioctl::{log::LogAnswer, nic};
use cancelnic_kernel::kmdf::{queue::Queue, request::Request};
use wdk_sys::{NTSTATUS, ULONG, WDFQUEUE, WDFREQUEST};

use super::Interface;

/// A program asks. At most DISPATCH_LEVEL.
pub(super) unsafe extern "C" fn evt_io_device_control(
    from: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    code: ULONG,
) {
    // SAFETY: this callback's own queue.
    let interface = Interface::of_queue(unsafe { Queue::of_callback(from) });
    // SAFETY: this callback's own request, which the driver owns from now on.
    let mut request = unsafe { Request::owned(request) };
    if code == nic::WAIT {
        if let Err((status, request)) = request.forward(interface.wait) {
            request.finish(Err(status));
        }
        return;
    }
    let result = interface.control(&mut request, code);
    request.finish(result);
}

impl Interface {
    /// Answers one code; the length of the answer.
    fn control(&self, request: &mut Request, code: ULONG) -> Result<usize, NTSTATUS> {
        match code {
            nic::COUNTERS => request.answer(&self.counters()),
            nic::RINGS => request.answer(&self.rings()),
            nic::LOG | nic::LOG_DIRECT => Ok(self.journal.read(request.output(size_of::<LogAnswer>())?)),
            #[cfg(feature = "test-build")]
            _ => self.bench(request, code),
            #[cfg(not(feature = "test-build"))]
            _ => Err(wdk_sys::STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}
