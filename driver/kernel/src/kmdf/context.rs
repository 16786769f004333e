//! Typed contexts: the memory that the framework keeps beside an object.

use core::{ffi::CStr, mem::size_of, ptr::null};

use wdk_sys::{
    _WDF_EXECUTION_LEVEL, _WDF_SYNCHRONIZATION_SCOPE, ULONG, WDF_OBJECT_ATTRIBUTES,
    WDF_OBJECT_CONTEXT_TYPE_INFO, WDFOBJECT, call_unsafe_wdf_function_binding,
};

/// Identity and size of a context type; the framework tells types apart by this static's address.
#[repr(transparent)]
pub struct ContextType(WDF_OBJECT_CONTEXT_TYPE_INFO);

// SAFETY: never written after it is built; its pointers are to statics.
unsafe impl Sync for ContextType {}

impl ContextType {
    /// The type of `T`; `this` is the address of the static that holds it.
    pub const fn new<T>(name: &'static CStr, this: *const Self) -> Self {
        Self(WDF_OBJECT_CONTEXT_TYPE_INFO {
            Size: size_of::<WDF_OBJECT_CONTEXT_TYPE_INFO>() as ULONG,
            ContextName: name.as_ptr(),
            ContextSize: size_of::<T>(),
            UniqueType: this.cast(),
            EvtDriverGetUniqueContextType: None,
        })
    }
}

/// A type that is kept as a context.
///
/// # Safety
/// `context_type` is the same static at every call, made for this very type, and used for no other.
pub unsafe trait Context: Sized {
    /// The type's static.
    fn context_type() -> &'static ContextType;
}

/// Attributes of an object with a context of type `T`: execution level and synchronisation scope inherited.
#[must_use]
pub fn attributes<T: Context>() -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES { ContextTypeInfo: &raw const T::context_type().0, ..plain_attributes() }
}

/// Attributes of an object without a context.
#[must_use]
pub fn plain_attributes() -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES {
        Size: size_of::<WDF_OBJECT_ATTRIBUTES>() as ULONG,
        ExecutionLevel: _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent,
        SynchronizationScope: _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent,
        ContextTypeInfo: null(),
        ..WDF_OBJECT_ATTRIBUTES::default()
    }
}

/// Address of an object's context.
///
/// # Safety
/// `object` is alive and was made with [`attributes`] of `T`. At most DISPATCH_LEVEL.
#[must_use]
pub unsafe fn address<T: Context>(object: WDFOBJECT) -> *mut T {
    let info = &raw const T::context_type().0;
    // SAFETY: the caller vouches for the object; the type's static lives for ever.
    unsafe { call_unsafe_wdf_function_binding!(WdfObjectGetTypedContextWorker, object, info) }.cast()
}

/// The context of an object.
///
/// # Safety
/// As for [`address`]; the context was initialised and the object outlives the reference.
#[must_use]
pub unsafe fn get<'a, T: Context>(object: WDFOBJECT) -> &'a T {
    // SAFETY: the caller vouches for the object.
    let address = unsafe { address::<T>(object) };
    // SAFETY: the caller vouches for the context, which nobody but its own methods changes.
    unsafe { &*address }
}
