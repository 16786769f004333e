//! The structures and control codes that programs and the project's drivers exchange.
//!
//! Every buffer begins with a [`Header`]; all numbers are little-endian. A control request whose input is not exactly
//! what its code wants ([`Input`]) is refused with the status of [`Fault`], and changes nothing; a code that wants none does
//! not look at it. The control codes are buffered, but for one, and want read and write access; the devices are for
//! administrators only.
//!
//! `include/cancelnic_ioctl.h` is this crate for C and C++.
#![no_std]

pub mod bench;
pub mod filter;
pub mod log;
pub mod nic;
pub mod relay;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Version of every structure here; a driver refuses another one.
pub const VERSION: u32 = 1;

/// What every structure begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// Size of the whole structure in bytes.
    pub size: u32,
}

impl Header {
    /// The header of a `T`.
    #[must_use]
    pub const fn of<T>() -> Self {
        Self { version: VERSION, size: size_of::<T>() as u32 }
    }
}

/// Chooses the deliberate fault that a driver's test build shows. Input [`SetMutant`], no output. cancelnic-lwf.sys and
/// cancelnic-relay.sys take it in test builds only; cancelnic.sys reads its INF keyword `Mutant` instead.
pub const SET_MUTANT: u32 = control_code(0x8FF);

/// Input of [`SET_MUTANT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetMutant {
    /// Version and size.
    pub header: Header,
    /// The fault, by its number in cancelnic-mutants; 0 for none.
    pub mutant: u32,
    /// Zero.
    pub reserved: u32,
}

impl Input for SetMutant {
    fn is_allowed(&self) -> bool {
        self.reserved == 0
    }
}

impl SetMutant {
    /// Chooses `mutant`.
    #[must_use]
    pub const fn new(mutant: u32) -> Self {
        Self { header: Header::of::<Self>(), mutant, reserved: 0 }
    }
}

/// Why an input buffer is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The buffer is shorter or longer than the structure: STATUS_INFO_LENGTH_MISMATCH.
    Length,
    /// The header's version is another one: STATUS_REVISION_MISMATCH.
    Version,
    /// The header's size, or a value in the structure, is none of those allowed: STATUS_INVALID_PARAMETER.
    Value,
}

impl Fault {
    /// The NTSTATUS with which a driver completes the request.
    #[must_use]
    pub const fn status(self) -> u32 {
        match self {
            Self::Length => 0xC000_0004,
            Self::Version => 0xC000_0059,
            Self::Value => 0xC000_000D,
        }
    }
}

/// What a request's input may be: a structure that begins with a [`Header`].
pub trait Input: FromBytes + KnownLayout + Immutable {
    /// Whether each value behind the header is one of those that its field names. A driver acts on no other input.
    fn is_allowed(&self) -> bool;
}

/// Reads a request's input.
///
/// # Errors
/// The fault, if length, version, size or a value is wrong.
pub fn read<T: Input>(input: &[u8]) -> Result<T, Fault> {
    let value = T::read_from_bytes(input).map_err(|_| Fault::Length)?;
    let (header, _) = Header::read_from_prefix(input).map_err(|_| Fault::Length)?;
    if header.version != VERSION {
        return Err(Fault::Version);
    }
    if header.size as usize != size_of::<T>() || !value.is_allowed() {
        return Err(Fault::Value);
    }
    Ok(value)
}

/// Device type of the control codes; types from 0x8000 are free for vendors.
const DEVICE_TYPE: u32 = 0x8CAC;

/// A control code, METHOD_BUFFERED, that wants FILE_READ_DATA and FILE_WRITE_DATA (CTL_CODE of the kit's headers).
/// `function` is 0x800 to 0xFFF, the vendors' range.
#[must_use]
pub const fn control_code(function: u32) -> u32 {
    assert!(function >= 0x800 && function <= 0xFFF, "the vendors' range");
    const READ_AND_WRITE: u32 = 3;
    DEVICE_TYPE << 16 | READ_AND_WRITE << 14 | function << 2
}

/// METHOD_OUT_DIRECT in a control code's low bits: the output is written straight into the sender's pages.
pub const METHOD_OUT_DIRECT: u32 = 2;

/// A GUID's four parts, as the kit's structure has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guid(pub u32, pub u16, pub u16, pub [u8; 8]);

/// Device interface class of cancelnic.sys: {6b2f6d52-6f0e-4d0c-9f3e-2f6d0a1c4e01}.
pub const NIC_INTERFACE: Guid =
    Guid(0x6b2f_6d52, 0x6f0e, 0x4d0c, [0x9f, 0x3e, 0x2f, 0x6d, 0x0a, 0x1c, 0x4e, 0x01]);
/// Device interface class of cancelnic-relay.sys: {6b2f6d52-6f0e-4d0c-9f3e-2f6d0a1c4e02}.
pub const RELAY_INTERFACE: Guid =
    Guid(0x6b2f_6d52, 0x6f0e, 0x4d0c, [0x9f, 0x3e, 0x2f, 0x6d, 0x0a, 0x1c, 0x4e, 0x02]);

/// Device interface class of cancelnic.sys's test bench: {6b2f6d52-6f0e-4d0c-9f3e-2f6d0a1c4e03}. Test builds only.
pub const NIC_BENCH_INTERFACE: Guid =
    Guid(0x6b2f_6d52, 0x6f0e, 0x4d0c, [0x9f, 0x3e, 0x2f, 0x6d, 0x0a, 0x1c, 0x4e, 0x03]);

/// Name of cancelnic-lwf.sys's control device below `\Device` and `\DosDevices`.
pub const FILTER_DEVICE: &str = "cancelnic-lwf";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Debug, PartialEq)]
    #[repr(C)]
    struct Example {
        header: Header,
        value: u64,
    }

    impl Input for Example {
        fn is_allowed(&self) -> bool {
            self.value < 8
        }
    }

    #[test]
    fn a_buffer_of_the_right_length_version_size_and_value_is_read() {
        let example = Example { header: Header::of::<Example>(), value: 7 };
        assert_eq!(read::<Example>(example.as_bytes()), Ok(example));
    }

    #[test]
    fn every_other_buffer_is_refused() {
        let good = Example { header: Header::of::<Example>(), value: 7 };
        for length in 0..16 {
            assert_eq!(read::<Example>(&good.as_bytes()[..length]), Err(Fault::Length));
        }
        let longer: [u8; 17] = core::array::from_fn(|at| good.as_bytes().get(at).copied().unwrap_or(0));
        assert_eq!(read::<Example>(&longer), Err(Fault::Length));
        let version = Example { header: Header { version: 2, ..good.header }, value: 7 };
        assert_eq!(read::<Example>(version.as_bytes()), Err(Fault::Version));
        let size = Example { header: Header { size: 8, ..good.header }, value: 7 };
        assert_eq!(read::<Example>(size.as_bytes()), Err(Fault::Value));
        let value = Example { value: 8, ..good };
        assert_eq!(read::<Example>(value.as_bytes()), Err(Fault::Value));
    }

    #[test]
    fn a_choice_of_a_fault_has_nothing_behind_it() {
        let choice = SetMutant::new(7);
        let later = SetMutant { reserved: 1, ..choice };
        assert_eq!((choice.is_allowed(), later.is_allowed(), size_of::<SetMutant>()), (true, false, 16));
    }

    #[test]
    fn control_codes_are_the_kits() {
        // CTL_CODE(0x8CAC, 0x801, METHOD_BUFFERED, FILE_READ_DATA | FILE_WRITE_DATA)
        assert_eq!(control_code(0x801), 0x8CAC_E004);
    }
}
