//! Drivers of other versions of KMDF bind as their stubs do.

use super::driver::{package, wide};
use super::machine::on_a_machine;
use crate::mm::{self, Owner};
use crate::pe::Image;
use crate::verifier::owners::Service;
use crate::wdf::{binding, functions};
use alloc::vec::Vec;
use core::ptr::null_mut;
use understudy_rules::inf::Package;
use wdk_offline::loader::{
    KMDF_FUNCTION_COUNTS, KMDF_MOST_COPIED, WDF_BIND_INFO, WDF_BIND_INFO2, WDF_VERSION,
};
use wdk_offline::{
    DRIVER_OBJECT, NTSTATUS, STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED,
    STATUS_SUCCESS, WDFFUNC,
};

/// What a stub binds with.
struct Stub {
    minor: u32,
    build: u32,
    functions: u32,
    size: usize,
    /// KmdfLibraryVersion in the INF.
    declares: u32,
}

impl Stub {
    const NEWEST: Self = Self { minor: 33, build: 0, functions: 458, size: 0x58, declares: 31 };

    /// Binds and unbinds: the status, what is where FuncTable points, and the flag of the second form, which was set.
    fn bind(self) -> (NTSTATUS, Vec<usize>, u8) {
        let object = DRIVER_OBJECT { DriverName: mm::leak_unicode("stub"), ..DRIVER_OBJECT::default() };
        let image = Image::of_the_process("stub");
        let package = Package { kmdf: Some((1, self.declares)), ..package("stub") };
        let service = Service::new("stub", package, Owner::next(), image, object);
        // an array of its own, or a pointer in its first place
        let mut table: Vec<WDFFUNC> = alloc::vec![None; self.functions as usize];
        let (mut globals, mut higher) = (null_mut(), 1);
        let mut info = WDF_BIND_INFO2 {
            V1: WDF_BIND_INFO {
                Size: self.size as u32,
                Component: wide("KmdfLibrary"),
                Version: WDF_VERSION { Major: 1, Minor: self.minor, Build: self.build },
                FuncCount: self.functions,
                FuncTable: table.as_mut_ptr().cast(),
                Module: null_mut(),
            },
            MinimumVersionRequired: null_mut(),
            ClientVersionHigherThanFramework: &raw mut higher,
            FuncCountPtr: null_mut(),
            StructCountPtr: null_mut(),
            StructTable: null_mut(),
        };
        // SAFETY: what a stub passes, with variables that live meanwhile.
        let status = unsafe {
            let status = binding::version_bind(
                service.driver_object(),
                null_mut(),
                (&raw mut info).cast(),
                &raw mut globals,
            );
            if status == STATUS_SUCCESS {
                binding::version_unbind(null_mut(), (&raw mut info).cast(), globals);
            }
            status
        };
        let entries = table.iter().map(|entry| entry.map_or(0, |entry| entry as usize)).collect();
        (status, entries, higher)
    }
}

#[test]
fn a_driver_of_any_released_version_gets_its_functions() {
    on_a_machine!(|| {
        let offered = functions::wdf_table();
        // SAFETY: the table has as many.
        let all = unsafe { core::slice::from_raw_parts(offered, 458) };
        for functions in KMDF_FUNCTION_COUNTS {
            let minor = if functions <= KMDF_MOST_COPIED { 13 } else { 31 };
            let stub = Stub { minor, build: 7600, functions, size: 0x30, declares: 9 };
            let (status, entries, _) = stub.bind();
            assert_eq!(status, STATUS_SUCCESS, "{functions} functions");
            if functions <= KMDF_MOST_COPIED {
                let same =
                    entries.iter().zip(all).all(|(&own, all)| Some(own) == all.map(|all| all as usize));
                assert!(same, "{functions} functions in the driver's array");
            } else {
                assert_eq!((entries[0], entries[1]), (offered as usize, 0), "a pointer to the table");
            }
        }
    });
}

#[test]
fn the_second_form_binds_and_the_driver_is_not_newer() {
    on_a_machine!(|| {
        let (status, entries, higher) = Stub::NEWEST.bind();
        assert_eq!((status, higher), (STATUS_SUCCESS, 0));
        assert_eq!(entries[0], functions::wdf_table() as usize);
    });
}

#[test]
fn what_no_kit_has_made_does_not_bind() {
    on_a_machine!(|| {
        let refused = [
            (Stub { minor: 35, ..Stub::NEWEST }, STATUS_NOT_SUPPORTED),
            (Stub { functions: 457, ..Stub::NEWEST }, STATUS_INVALID_PARAMETER),
            (Stub { functions: 459, ..Stub::NEWEST }, STATUS_INVALID_PARAMETER),
            (Stub { size: 0x50, ..Stub::NEWEST }, STATUS_INFO_LENGTH_MISMATCH),
            // the INF wants a newer framework than the driver
            (Stub { minor: 31, declares: 33, ..Stub::NEWEST }, STATUS_NOT_SUPPORTED),
        ];
        for (stub, wanted) in refused {
            let (status, entries, higher) = stub.bind();
            assert_eq!((status, higher), (wanted, 1));
            assert!(entries.iter().all(|&entry| entry == 0), "nothing is written");
        }
    });
}
