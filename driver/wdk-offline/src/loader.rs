//! What a KMDF client and the framework loader (`WDFLDR.SYS`) exchange when they bind.
//!
//! The Windows kit keeps these in a static library, so wdk-sys has no bindings for them. They hold
//! no callback types, hence are the same for the driver and for the stand-in kernel.

use core::ffi::c_void;

/// Functions in the KMDF table of versions 1.31 and 1.33.
pub const KMDF_1_31_FUNCTION_COUNT: u32 = 458;

/// Functions in the tables of all released versions, 1.0 to 1.33. The framework refuses any other count, and does not compare it with
/// the version (microsoft/Windows-Driver-Frameworks, `fxlibrarycommon.cpp`).
pub const KMDF_FUNCTION_COUNTS: [u32; 13] =
    [383, 386, 387, 396, 432, 438, 444, 446, 448, 451, 453, 454, KMDF_1_31_FUNCTION_COUNT];

/// Most functions of a driver that has an array of its own, which the framework fills: those up to KMDF 1.13. From 1.15 on a
/// driver has a pointer to the framework's table (same place).
pub const KMDF_MOST_COPIED: u32 = 438;

/// A framework or class-extension version.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WDF_VERSION {
    /// Major version.
    pub Major: u32,
    /// Minor version.
    pub Minor: u32,
    /// Build, 0 for every released version.
    pub Build: u32,
}

/// First form of the bind request: the target version is the minimum version too.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WDF_BIND_INFO {
    /// Size of this structure, 0x30.
    pub Size: u32,
    /// Zero-terminated UTF-16 component name, `KmdfLibrary`.
    pub Component: *const u16,
    /// Version asked for.
    pub Version: WDF_VERSION,
    /// Functions the client knows, exactly a released count.
    pub FuncCount: u32,
    /// Address of the client's pointer to the function table; the loader stores the table's address there.
    pub FuncTable: *mut c_void,
    /// The library module, filled in by the loader.
    pub Module: *mut c_void,
}

/// Second form of the bind request, of kits from KMDF 1.25 on: the driver may be newer than the framework (`fxldr.h`). The
/// pointers lead to variables of the driver's stub.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WDF_BIND_INFO2 {
    /// As the first form; its Size is that of this structure, 0x58.
    pub V1: WDF_BIND_INFO,
    /// The oldest minor version that the driver loads with.
    pub MinimumVersionRequired: *mut u32,
    /// Set to whether the driver is newer than the framework.
    pub ClientVersionHigherThanFramework: *mut u8,
    /// Set to how many functions the framework has, if it is older.
    pub FuncCountPtr: *mut u32,
    /// Set to how many structures the framework has, if it is older.
    pub StructCountPtr: *mut u32,
    /// Set to their sizes, if it is older.
    pub StructTable: *mut *mut usize,
}

/// First form of a class extension's bind request.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WDF_CLASS_BIND_INFO {
    /// Size of this structure, 0x50.
    pub Size: u32,
    /// Zero-terminated UTF-16 class name, `NetAdapterCx`.
    pub ClassName: *const u16,
    /// Version asked for.
    pub Version: WDF_VERSION,
    /// The client's own array, which the class extension fills.
    pub FunctionTable: *mut c_void,
    /// Length of that array.
    pub FunctionTableCount: u32,
    /// Class-specific: for NetAdapterCx the address of the client's pointer to the driver globals.
    pub ClassBindInfo: *mut c_void,
    /// The client's own bind routine, or null for the loader's.
    pub ClientBindClass: *mut c_void,
    /// The client's own unbind routine, or null for the loader's.
    pub ClientUnbindClass: *mut c_void,
    /// The class module, filled in by the loader.
    pub ClassModule: *mut c_void,
}

/// Second form of a class extension's bind request; see [`WDF_BIND_INFO2`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct WDF_CLASS_BIND_INFO2 {
    /// As the first form; its Size is that of this structure, 0x78.
    pub V1: WDF_CLASS_BIND_INFO,
    /// The oldest minor version that the driver loads with.
    pub MinimumVersionRequired: *mut u32,
    /// Set to whether the driver is newer than the class extension.
    pub ClientVersionHigherThanFramework: *mut u8,
    /// Set to how many functions the class extension has, if it is older.
    pub FuncCountPtr: *mut u32,
    /// Set to how many structures the class extension has, if it is older.
    pub StructCountPtr: *mut u32,
    /// Set to their sizes, if it is older.
    pub StructTable: *mut *mut usize,
}
