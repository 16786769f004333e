//! A program's control request's buffers, as its transfer method has them: the system buffer, the locked pages, or the
//! program's own addresses.

use super::Irp;
use crate::verifier::pool::Lent;
use alloc::vec::Vec;
use ndis_sys::{MDL, MDL_MAPPED_TO_SYSTEM_VA};
use understudy_rules::io::method::Method;
use wdk_offline::NTSTATUS;

/// IRP_BUFFERED_IO, IRP_DEALLOCATE_BUFFER, IRP_INPUT_OPERATION.
const BUFFERED: u32 = 0x10 | 0x20;
const INPUT_OPERATION: u32 = 0x40;
const PAGE: usize = 0x1000;

/// The buffers of one request, from before it is sent until it is over.
pub(super) struct Transfer {
    method: Method,
    /// The program's input; METHOD_NEITHER: in place.
    input: Vec<u8>,
    /// What both ways share, or the copy of the input alone.
    system: Lent,
    /// The program's output buffer.
    output: Lent,
    mdl: Option<Lent>,
}

/// An MDL over `len` bytes at `start`, which stay where they are as long as it lives.
pub(crate) fn mdl_over(start: *mut u8, len: usize) -> Lent {
    let address = start as usize;
    let described = MDL {
        Next: core::ptr::null_mut(),
        Size: size_of::<MDL>() as i16,
        MdlFlags: MDL_MAPPED_TO_SYSTEM_VA,
        Process: core::ptr::null_mut(),
        MappedSystemVa: address as *mut _,
        StartVa: (address & !(PAGE - 1)) as *mut _,
        ByteCount: len as u32,
        ByteOffset: (address & (PAGE - 1)) as u32,
    };
    let mdl = Lent::new(b"Mdl ", size_of::<MDL>(), true);
    // SAFETY: fresh, and large and aligned enough.
    unsafe { mdl.start().cast::<MDL>().write(described) };
    mdl
}

/// Where a transfer's buffers are; null where its method has none.
#[derive(Clone, Copy)]
pub(super) struct Place {
    system: *mut u8,
    input: *mut u8,
    output: *mut u8,
    mdl: *mut MDL,
    lengths: (u32, u32),
}

impl Place {
    /// Puts the buffers into an IRP that is not sent, and their lengths and the code into its next location. The transfer
    /// outlives the IRP.
    pub(super) fn describe(self, irp: Irp, code: u32) {
        let next = irp.next();
        let buffered = if self.system.is_null() { 0 } else { BUFFERED };
        let input = if self.lengths.1 == 0 { 0 } else { INPUT_OPERATION };
        // SAFETY: the IRP and its next location are the caller's until it is sent.
        unsafe {
            (*irp.raw()).AssociatedIrp.SystemBuffer = self.system.cast();
            (*irp.raw()).Flags = buffered | input;
            (*irp.raw()).UserBuffer = self.output.cast();
            (*irp.raw()).MdlAddress = self.mdl.cast();
            let control = &mut (*next).Parameters.DeviceIoControl;
            control.IoControlCode = code;
            control.InputBufferLength = self.lengths.0;
            control.OutputBufferLength = self.lengths.1;
            control.Type3InputBuffer = self.input.cast();
        }
    }
}

impl Transfer {
    /// For a request with this code, input, and room for output.
    pub(super) fn new(code: u32, input: &[u8], output_len: usize) -> Self {
        let method = Method::of(code);
        let system_len = match method {
            Method::Buffered => input.len().max(output_len),
            Method::InDirect | Method::OutDirect => input.len(),
            Method::Neither => 0,
        };
        let mut system = Lent::new(b"IoSb", system_len, true);
        if method != Method::Neither {
            system[..input.len()].copy_from_slice(input);
        }
        let output = Lent::new(b"IoUb", output_len, true);
        let direct = matches!(method, Method::InDirect | Method::OutDirect) && output_len != 0;
        let mdl = direct.then(|| mdl_over(output.start(), output_len));
        Self { method, input: input.to_vec(), system, output, mdl }
    }

    /// Where the buffers are, and stay wherever the transfer is kept.
    pub(super) fn place(&mut self) -> Place {
        let null = core::ptr::null_mut();
        Place {
            system: self.system.start(),
            input: if self.method == Method::Neither { self.input.as_mut_ptr() } else { null },
            output: self.output.start(),
            mdl: self.mdl.as_ref().map_or(core::ptr::null_mut(), |mdl| mdl.start().cast()),
            lengths: (self.input.len() as u32, self.output.len() as u32),
        }
    }

    /// What the program finds in its output buffer when the request has ended. The I/O manager copies a buffered answer,
    /// but not that of an error; with the other methods the driver has written in place.
    pub(super) fn outcome(&self, status: NTSTATUS, information: u64) -> &[u8] {
        let len = usize::try_from(information).unwrap_or(usize::MAX).min(self.output.len());
        match self.method {
            // an error brings nothing back, a warning does
            Method::Buffered if status as u32 >> 30 == 3 => &[],
            Method::Buffered => &self.system[..len],
            _ => &self.output[..len],
        }
    }
}
