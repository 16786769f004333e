//! A KMDF driver's entry: binds to the framework and to class extensions, then runs the driver's own entry.
//!
//! On a machine with the Windows driver kit a static library does this; here it is written out, so
//! that the image needs nothing but the loader's four imports. Order on the way in: framework, class
//! extension, driver; on the way out the reverse.

use core::{
    cell::UnsafeCell,
    mem::size_of,
    ptr::{null, null_mut},
};

use wdk_offline::loader::{KMDF_1_31_FUNCTION_COUNT, WDF_BIND_INFO, WDF_CLASS_BIND_INFO, WDF_VERSION};
use wdk_sys::{
    NT_SUCCESS, NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT, PDRIVER_UNLOAD, PUNICODE_STRING,
    PWDF_DRIVER_GLOBALS, ULONG, UNICODE_STRING, WDFFUNC, ntddk::RtlCopyUnicodeString,
};

use crate::text::utf16;

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

/// A static that only the single-threaded phases of an image (entry and unload) write.
#[repr(transparent)]
pub struct Once<T>(UnsafeCell<T>);

// SAFETY: the system calls the entry point and the unload routine of one image one after the other,
// and nothing else touches these statics.
unsafe impl<T> Sync for Once<T> {}

impl<T> Once<T> {
    /// The static's first value.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Its address.
    pub const fn get(&self) -> *mut T {
        self.0.get()
    }

    /// The value. In the single-threaded phases only.
    fn value(&self) -> T
    where
        T: Copy,
    {
        // SAFETY: this type's own condition: nobody writes it meanwhile.
        unsafe { self.0.get().read() }
    }

    /// Sets the value. In the single-threaded phases only.
    fn set(&self, value: T) {
        // SAFETY: this type's own condition: nobody reads or writes it meanwhile.
        unsafe { self.0.get().write(value) };
    }
}

/// The framework's function table, stored here by the loader. The name is the one wdk-sys links to.
#[unsafe(no_mangle)]
pub static mut WdfFunctions_01031: *const WDFFUNC = null();

/// The globals that the framework made for this driver.
#[unsafe(no_mangle)]
pub static mut WdfDriverGlobals: PWDF_DRIVER_GLOBALS = null_mut();

/// The framework's globals, once it is bound.
fn globals() -> PWDF_DRIVER_GLOBALS {
    // SAFETY: written by the loader while the image's entry binds, and never again.
    unsafe { WdfDriverGlobals }
}

/// Length of the framework's function table.
#[unsafe(no_mangle)]
pub static mut WdfFunctionCount: ULONG = KMDF_1_31_FUNCTION_COUNT;

/// Longest registry path that is kept, in UTF-16 units.
const PATH_UNITS: usize = 260;

static PATH_BUFFER: Once<[u16; PATH_UNITS]> = Once::new([0; PATH_UNITS]);
static PATH: Once<UNICODE_STRING> =
    Once::new(UNICODE_STRING { Length: 0, MaximumLength: 0, Buffer: null_mut() });
static SAVED_UNLOAD: Once<PDRIVER_UNLOAD> = Once::new(None);

/// Zero-terminated.
static COMPONENT: [u16; 12] = utf16(b"KmdfLibrary");

static BIND: Once<WDF_BIND_INFO> = Once::new(WDF_BIND_INFO {
    Size: size_of::<WDF_BIND_INFO>() as u32,
    Component: COMPONENT.as_ptr(),
    Version: WDF_VERSION { Major: 1, Minor: 31, Build: 0 },
    FuncCount: KMDF_1_31_FUNCTION_COUNT,
    FuncTable: (&raw mut WdfFunctions_01031).cast(),
    Module: null_mut(),
});

/// The class extensions that this driver is bound to.
static CLASSES: Once<&[ClassBind]> = Once::new(&[]);

/// A class extension's bind request, kept in a static of the driver.
pub type ClassBind = Once<WDF_CLASS_BIND_INFO>;

/// The driver's own entry: creates the framework's driver object. PASSIVE_LEVEL.
pub type DriverEntry = unsafe fn(PDRIVER_OBJECT, PCUNICODE_STRING) -> NTSTATUS;

/// What the image's entry point does: binds to the framework and to `classes`, runs `driver_entry`, and
/// sees to it that unloading gives all of it back. PASSIVE_LEVEL.
///
/// # Safety
/// Called by the image's entry point only, once per load, with the system's own arguments; `classes` are
/// complete requests that nothing else uses.
pub unsafe fn enter(
    driver: PDRIVER_OBJECT,
    registry_path: PCUNICODE_STRING,
    classes: &'static [ClassBind],
    driver_entry: DriverEntry,
) -> NTSTATUS {
    PATH.set(UNICODE_STRING {
        Length: 0,
        MaximumLength: (PATH_UNITS * size_of::<u16>()) as u16,
        Buffer: PATH_BUFFER.get().cast(),
    });
    // SAFETY: the static is ours alone in this phase and has its buffer; the caller vouches for the path.
    unsafe { RtlCopyUnicodeString(PATH.get(), registry_path) };
    let place = &raw mut WdfDriverGlobals;
    // SAFETY: the statics are ours alone in this phase; the caller vouches for the driver object.
    let status = unsafe { WdfVersionBind(driver, PATH.get(), BIND.get(), place) };
    if !NT_SUCCESS(status) {
        return status;
    }
    for (bound, class) in classes.iter().enumerate() {
        // SAFETY: the framework is bound; the caller vouches for the class's request.
        let status = unsafe { WdfVersionBindClass(BIND.get(), globals(), class.get()) };
        if !NT_SUCCESS(status) {
            // SAFETY: the framework and these classes are bound.
            unsafe { unbind(&classes[..bound]) };
            return status;
        }
    }
    // SAFETY: the bindings are made; the arguments are the system's.
    let status = unsafe { driver_entry(driver, registry_path) };
    if !NT_SUCCESS(status) {
        // SAFETY: the framework and all classes are bound.
        unsafe { unbind(classes) };
        return status;
    }
    CLASSES.set(classes);
    // SAFETY: the framework is bound, its globals live until it is unbound.
    if unsafe { (*globals()).DisplaceDriverUnload } != 0 {
        // SAFETY: the caller vouches for the driver object.
        let place = unsafe { &raw mut (*driver).DriverUnload };
        // SAFETY: the same; it is ours in the entry.
        SAVED_UNLOAD.set(unsafe { place.read() });
        // SAFETY: the same.
        unsafe { place.write(Some(unload)) };
    }
    status
}

/// Unload routine of the image: the framework's own first, then the bindings. PASSIVE_LEVEL.
unsafe extern "C" fn unload(driver: PDRIVER_OBJECT) {
    if let Some(saved) = SAVED_UNLOAD.value() {
        // SAFETY: the framework's own routine, called once, after the last device is gone, as the system calls this one.
        unsafe { saved(driver) };
    }
    // SAFETY: the framework and these classes are bound, and nothing of them is used any more.
    unsafe { unbind(CLASSES.value()) };
}

/// Gives the bindings back, classes first.
///
/// # Safety
/// The framework and `classes` are bound, and nothing of them is used any more.
unsafe fn unbind(classes: &[ClassBind]) {
    for class in classes {
        // SAFETY: bound with this very structure.
        unsafe { WdfVersionUnbindClass(BIND.get(), globals(), class.get()) };
    }
    // SAFETY: bound with these very structures.
    unsafe { WdfVersionUnbind(PATH.get(), BIND.get(), globals()) };
}
