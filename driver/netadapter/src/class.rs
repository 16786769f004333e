//! The way to the class extension's functions.

use core::{ffi::c_void, mem::size_of, ptr::null_mut};

use cancelnic_kernel::{
    kmdf::loader::{ClassBind, Once},
    text::utf16,
};
use netadaptercx_sys::{NET_FUNCTION_COUNT, NetFunctions};
use wdk_offline::loader::{WDF_CLASS_BIND_INFO, WDF_VERSION};
use wdk_sys::WDFFUNC;

static NET_FUNCTIONS: Once<[WDFFUNC; NET_FUNCTION_COUNT]> = Once::new([None; NET_FUNCTION_COUNT]);
static NET_GLOBALS: Once<*mut c_void> = Once::new(null_mut());

/// The class extension's functions. Not before `driver_entry`.
pub(crate) fn net() -> NetFunctions<'static> {
    // SAFETY: written while binding, before any code that calls this runs, and never again.
    let functions = unsafe { &*NET_FUNCTIONS.get() };
    // SAFETY: written together with the functions.
    let globals = unsafe { *NET_GLOBALS.get() };
    NetFunctions::new(functions, globals)
}

/// Zero-terminated.
static CLASS: [u16; 13] = utf16(b"NetAdapterCx");

/// The request to bind to it, of the image's entry point.
pub(crate) static CLASSES: [ClassBind; 1] = [Once::new(WDF_CLASS_BIND_INFO {
    Size: size_of::<WDF_CLASS_BIND_INFO>() as u32,
    ClassName: CLASS.as_ptr(),
    // 2.0 has no receive filter: the system could set none, and TCP/IP would not bind
    Version: WDF_VERSION { Major: 2, Minor: 1, Build: 0 },
    FunctionTable: NET_FUNCTIONS.get().cast(),
    FunctionTableCount: NET_FUNCTION_COUNT as u32,
    ClassBindInfo: NET_GLOBALS.get().cast(),
    ClientBindClass: null_mut(),
    ClientUnbindClass: null_mut(),
    ClassModule: null_mut(),
})];
