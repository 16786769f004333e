//! Where a control request's buffers are: the transfer method in its code's low bits. A decision alone.

use wdk_offline::{NTSTATUS, STATUS_INVALID_DEVICE_REQUEST};

/// How a control request's buffers travel (METHOD_ of CTL_CODE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// One system buffer for both ways.
    Buffered,
    /// The input in the system buffer, the second buffer, which the driver reads, as an MDL.
    InDirect,
    /// The same, but that the driver writes it.
    OutDirect,
    /// The program's own addresses.
    Neither,
}

/// One of a control request's two buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Input,
    /// The second.
    Output,
}

/// What a driver gets for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// IRP.AssociatedIrp.SystemBuffer.
    SystemBuffer,
    /// The system address of IRP.MdlAddress.
    Mdl,
    /// The sender's pointer, which is the kernel's own.
    Pointer,
}

impl Method {
    /// Of a control code.
    #[must_use]
    pub const fn of(code: u32) -> Self {
        match code & 3 {
            0 => Self::Buffered,
            1 => Self::InDirect,
            2 => Self::OutDirect,
            _ => Self::Neither,
        }
    }

    /// Where a driver finds a buffer of a request whose sender is the kernel itself, or another driver, or not.
    ///
    /// # Errors
    /// STATUS_INVALID_DEVICE_REQUEST for a program's pointers, which are good in its own thread only.
    pub const fn source(self, side: Side, from_kernel: bool) -> Result<Source, NTSTATUS> {
        match (self, side) {
            (Self::Buffered, _) | (Self::InDirect | Self::OutDirect, Side::Input) => Ok(Source::SystemBuffer),
            (Self::InDirect | Self::OutDirect, Side::Output) => Ok(Source::Mdl),
            (Self::Neither, _) if from_kernel => Ok(Source::Pointer),
            (Self::Neither, _) => Err(STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_methods_are_those_of_ctl_code() {
        let methods = [Method::Buffered, Method::InDirect, Method::OutDirect, Method::Neither];
        for (bits, method) in (0..).zip(methods) {
            assert_eq!(Method::of(0x8CAC_E000 | bits), method);
        }
    }

    #[test]
    fn a_direct_request_has_its_second_buffer_in_an_mdl() {
        for method in [Method::InDirect, Method::OutDirect] {
            assert_eq!(method.source(Side::Input, false), Ok(Source::SystemBuffer));
            assert_eq!(method.source(Side::Output, false), Ok(Source::Mdl));
        }
    }

    #[test]
    fn a_programs_own_pointers_are_refused_and_a_drivers_are_not() {
        for side in [Side::Input, Side::Output] {
            assert_eq!(Method::Neither.source(side, false), Err(STATUS_INVALID_DEVICE_REQUEST));
            assert_eq!(Method::Neither.source(side, true), Ok(Source::Pointer));
        }
    }
}
