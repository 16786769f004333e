//! What a KMDF client and the framework loader (`WDFLDR.SYS`) exchange when they bind.
//!
//! The Windows kit keeps these in a static library, so wdk-sys has no bindings for them. They hold
//! no callback types, hence are the same for the driver and for the stand-in kernel.

use core::ffi::c_void;

/// Functions in the KMDF table of versions 1.31 and 1.33. The framework refuses any other count.
pub const KMDF_1_31_FUNCTION_COUNT: u32 = 458;

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

/// First form of the bind request, enough when the target version is the minimum version too.
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
