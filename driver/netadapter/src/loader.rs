//! The driver image's entry point: binds to KMDF and to NetAdapterCx, then runs `driver_entry`.
//!
//! On a machine with the Windows driver kit a static library does this; here it is written out, so
//! that the image needs nothing but the loader's four imports. Order on the way in: framework, class
//! extension, driver; on the way out the reverse.

use core::{
    cell::UnsafeCell,
    ffi::c_void,
    mem::size_of,
    ptr::{null, null_mut},
};

use wdk_offline::loader::{KMDF_1_31_FUNCTION_COUNT, WDF_BIND_INFO, WDF_CLASS_BIND_INFO, WDF_VERSION};
use wdk_sys::{
    NT_SUCCESS, NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT, PDRIVER_UNLOAD, PUNICODE_STRING,
    PWDF_DRIVER_GLOBALS, ULONG, UNICODE_STRING, WDFFUNC, ntddk::RtlCopyUnicodeString,
};

use netadaptercx_sys::{NET_FUNCTION_COUNT, NetFunctions};

use crate::driver::driver_entry;

#[link(name = "WDFLDR.SYS", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "C" {
    fn WdfVersionBind(
        driver: PDRIVER_OBJECT,
        registry_path: PUNICODE_STRING,
        info: *mut WDF_BIND_INFO,
        globals: *mut PWDF_DRIVER_GLOBALS,
    ) -> NTSTATUS;
    fn WdfVersionUnbind(
        registry_path: PUNICODE_STRING,
        info: *mut WDF_BIND_INFO,
        globals: PWDF_DRIVER_GLOBALS,
    ) -> NTSTATUS;
    fn WdfVersionBindClass(
        info: *mut WDF_BIND_INFO,
        globals: PWDF_DRIVER_GLOBALS,
        class: *mut WDF_CLASS_BIND_INFO,
    ) -> NTSTATUS;
    fn WdfVersionUnbindClass(
        info: *mut WDF_BIND_INFO,
        globals: PWDF_DRIVER_GLOBALS,
        class: *mut WDF_CLASS_BIND_INFO,
    );
}

/// A static that only the loader's single-threaded phases (entry and unload) write.
#[repr(transparent)]
struct Once<T>(UnsafeCell<T>);

// SAFETY: the system calls the entry point and the unload routine of one image one after the other,
// and nothing else touches these statics.
unsafe impl<T> Sync for Once<T> {}

impl<T> Once<T> {
    const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    const fn get(&self) -> *mut T {
        self.0.get()
    }
}

/// The framework's function table, stored here by the loader. The name is the one wdk-sys links to.
#[unsafe(no_mangle)]
pub static mut WdfFunctions_01031: *const WDFFUNC = null();

/// The globals that the framework made for this driver.
#[unsafe(no_mangle)]
pub static mut WdfDriverGlobals: PWDF_DRIVER_GLOBALS = null_mut();

/// Length of the framework's function table.
#[unsafe(no_mangle)]
pub static mut WdfFunctionCount: ULONG = KMDF_1_31_FUNCTION_COUNT;

static NET_FUNCTIONS: Once<[WDFFUNC; NET_FUNCTION_COUNT]> = Once::new([None; NET_FUNCTION_COUNT]);
static NET_GLOBALS: Once<*mut c_void> = Once::new(null_mut());

/// The class extension's functions. Not before `driver_entry`.
pub fn net() -> NetFunctions<'static> {
    // SAFETY: written while binding, before any code that calls this runs, and never again.
    unsafe { NetFunctions::new(&*NET_FUNCTIONS.get(), *NET_GLOBALS.get()) }
}

/// Longest registry path that is kept, in UTF-16 units.
const PATH_UNITS: usize = 260;

static PATH_BUFFER: Once<[u16; PATH_UNITS]> = Once::new([0; PATH_UNITS]);
static PATH: Once<UNICODE_STRING> =
    Once::new(UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: null_mut() });
static SAVED_UNLOAD: Once<PDRIVER_UNLOAD> = Once::new(None);

static COMPONENT: [u16; 12] = utf16(b"KmdfLibrary");
static CLASS: [u16; 13] = utf16(b"NetAdapterCx");

static BIND: Once<WDF_BIND_INFO> = Once::new(WDF_BIND_INFO {
    Size: size_of::<WDF_BIND_INFO>() as u32,
    Component: COMPONENT.as_ptr(),
    Version: WDF_VERSION { Major: 1, Minor: 31, Build: 0 },
    FuncCount: KMDF_1_31_FUNCTION_COUNT,
    FuncTable: (&raw mut WdfFunctions_01031).cast(),
    Module: null_mut(),
});

static CLASS_BIND: Once<WDF_CLASS_BIND_INFO> = Once::new(WDF_CLASS_BIND_INFO {
    Size: size_of::<WDF_CLASS_BIND_INFO>() as u32,
    ClassName: CLASS.as_ptr(),
    Version: WDF_VERSION { Major: 2, Minor: 0, Build: 0 },
    FunctionTable: NET_FUNCTIONS.get().cast(),
    FunctionTableCount: NET_FUNCTION_COUNT as u32,
    ClassBindInfo: NET_GLOBALS.get().cast(),
    ClientBindClass: null_mut(),
    ClientUnbindClass: null_mut(),
    ClassModule: null_mut(),
});

/// Zero-terminated UTF-16 of an ASCII text.
const fn utf16<const N: usize>(text: &[u8]) -> [u16; N] {
    assert!(text.len() < N, "room for the terminator");
    let mut units = [0; N];
    let mut at = 0;
    while at < text.len() {
        units[at] = text[at] as u16;
        at += 1;
    }
    units
}

/// Entry point of the image. PASSIVE_LEVEL.
///
/// # Safety
/// Called by the system, once per load, with a valid driver object and registry path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FxDriverEntry(driver: PDRIVER_OBJECT, registry_path: PCUNICODE_STRING) -> NTSTATUS {
    // SAFETY: the statics are ours alone in this phase; `driver` and `registry_path` are the system's.
    unsafe {
        *PATH.get() = UNICODE_STRING {
            Length: 0,
            MaximumLength: (PATH_UNITS * size_of::<u16>()) as u16,
            Buffer: PATH_BUFFER.get().cast(),
        };
        RtlCopyUnicodeString(PATH.get(), registry_path);

        let status = WdfVersionBind(driver, PATH.get(), BIND.get(), &raw mut WdfDriverGlobals);
        if !NT_SUCCESS(status) {
            return status;
        }
        let status = WdfVersionBindClass(BIND.get(), WdfDriverGlobals, CLASS_BIND.get());
        if !NT_SUCCESS(status) {
            WdfVersionUnbind(PATH.get(), BIND.get(), WdfDriverGlobals);
            return status;
        }
        let status = driver_entry(driver, registry_path);
        if !NT_SUCCESS(status) {
            unbind();
            return status;
        }
        if (*WdfDriverGlobals).DisplaceDriverUnload != 0 {
            *SAVED_UNLOAD.get() = (*driver).DriverUnload;
            (*driver).DriverUnload = Some(unload);
        }
        status
    }
}

/// Unload routine of the image: the framework's own first, then the bindings. PASSIVE_LEVEL.
unsafe extern "C" fn unload(driver: PDRIVER_OBJECT) {
    // SAFETY: the system calls this once, after the last device is gone.
    unsafe {
        if let Some(saved) = *SAVED_UNLOAD.get() {
            saved(driver);
        }
        unbind();
    }
}

/// Gives both bindings back, class first.
unsafe fn unbind() {
    // SAFETY: both bindings were made with these very structures.
    unsafe {
        WdfVersionUnbindClass(BIND.get(), WdfDriverGlobals, CLASS_BIND.get());
        WdfVersionUnbind(PATH.get(), BIND.get(), WdfDriverGlobals);
    }
}
