//! Framework objects: typed contexts, parents, cleanup and destroy callbacks, deletion.
//!
//! A wrong handle, a wrong IRQL or a forbidden deletion is bug check 0x10D, as KMDF's verifier has it.

pub(crate) use super::attributes::Attributes;
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::verifier::pool::Lent;
use crate::verifier::{fault, require_irql, trace, violation};
use alloc::{format, sync::Arc, vec::Vec};
use core::any::Any;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use understudy_rules::wdf::table::{Handle, HandleFault, Kinded, Table};
use wdk_offline::{
    NTSTATUS, PCWDF_OBJECT_CONTEXT_TYPE_INFO, PFN_WDF_OBJECT_CONTEXT_CLEANUP, PFN_WDF_OBJECT_CONTEXT_DESTROY,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, WDF_OBJECT_ATTRIBUTES,
    WDFOBJECT,
};

/// Bytes of the largest context (the framework's own bound is that of a signed number of 32 bits).
const MOST_CONTEXT: usize = i32::MAX as usize;
const STATUS_OBJECT_NAME_EXISTS: NTSTATUS = 0x4000_0000;
/// First parameter of WDF_VIOLATION for a wrong handle.
const INVALID_HANDLE: u64 = 5;

/// A type that stands behind handles of one kind.
pub(crate) trait Typed: Any + Send + Sync {
    /// The handle type's name.
    const KIND: &'static str;
    /// Memory that a device may still write: a driver that cannot be sure references it to leak it on purpose.
    const STAYS_WITH_HARDWARE: bool = false;

    /// Stops unless the driver may call WdfObjectDelete now; `raw` is the object's handle.
    fn require_deletable(&self, raw: u64, function: &str) {
        violation("ObjectNotDeletable", 3, raw, format!("{function} of a {}", Self::KIND));
    }

    /// What the framework does itself when the object goes.
    fn dispose(self: Arc<Self>) {}
}

/// A [`Typed`], whatever its kind.
trait Payload: Send + Sync {
    fn kind(&self) -> &'static str;
    fn stays_with_hardware(&self) -> bool;
    fn require_deletable(&self, raw: u64, function: &str);
    fn dispose(self: Arc<Self>);
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<T: Typed> Payload for T {
    fn kind(&self) -> &'static str {
        T::KIND
    }

    fn stays_with_hardware(&self) -> bool {
        T::STAYS_WITH_HARDWARE
    }

    fn require_deletable(&self, raw: u64, function: &str) {
        Typed::require_deletable(self, raw, function);
    }

    fn dispose(self: Arc<Self>) {
        Typed::dispose(self);
    }

    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

fn of<T: Typed>(payload: &Arc<dyn Payload>) -> Option<Arc<T>> {
    payload.clone().any().downcast().ok()
}

/// One typed context of an object.
struct Context {
    /// UniqueType of the type info.
    kind: u64,
    memory: Lent,
}

/// A framework object.
pub(crate) struct Object {
    payload: Arc<dyn Payload>,
    /// The driver that it belongs to.
    owner: Owner,
    contexts: IrqLock<Vec<Context>>,
    cleanup: PFN_WDF_OBJECT_CONTEXT_CLEANUP,
    destroy: PFN_WDF_OBJECT_CONTEXT_DESTROY,
    /// References that the driver took and has not given back.
    references: AtomicU32,
    /// What the framework itself holds, over a callback for instance.
    holds: AtomicU32,
    /// Deleted: it goes with the last reference.
    deleted: AtomicBool,
}

impl Kinded for Object {
    fn kind(&self) -> &'static str {
        self.payload.kind()
    }
}

static OBJECTS: IrqLock<Table<Arc<Object>>> = IrqLock::new(Table::new());

fn refuse(function: &str, handle: u64, why: &str) -> ! {
    violation("InvalidHandle", INVALID_HANDLE, handle, format!("{function}: {why}"))
}

fn checked<T>(function: &str, handle: Handle, result: Result<T, HandleFault>) -> T {
    result.unwrap_or_else(|fault| refuse(function, handle.raw(), &format!("{fault}")))
}

/// The object behind a handle of kind `T`; any other handle is a violation.
pub(crate) fn get<T: Typed>(raw: u64, function: &str) -> Arc<T> {
    let handle = Handle::from_raw(raw);
    let object = checked(function, handle, OBJECTS.with(|table| table.get(handle)));
    of(&object.payload).unwrap_or_else(|| {
        refuse(function, raw, &format!("the handle is a {}, expected {}", object.payload.kind(), T::KIND))
    })
}

/// As [`get`], for a handle of a pointer type.
pub(crate) fn get_ptr<T: Typed, H>(handle: *mut H, function: &str) -> Arc<T> {
    get(handle as u64, function)
}

/// The parent's handle.
pub(crate) fn parent(raw: u64, function: &str) -> Option<Handle> {
    let handle = Handle::from_raw(raw);
    checked(function, handle, OBJECTS.with(|table| table.parent(handle)))
}

/// The driver that an object belongs to.
pub(crate) fn owner(raw: u64, function: &str) -> Owner {
    let handle = Handle::from_raw(raw);
    checked(function, handle, OBJECTS.with(|table| table.get(handle))).owner
}

/// Makes an object below `parent`, of the same driver, and returns its handle. Without a parent it is understudy's.
pub(crate) fn create<T: Typed>(
    function: &str,
    payload: Arc<T>,
    parent: Option<Handle>,
    attributes: Attributes,
) -> Handle {
    let owner = parent.map_or(Owner::UNDERSTUDY, |parent| owner(parent.raw(), function));
    create_for(owner, function, payload, parent, attributes)
}

/// As [`create`], for a driver that the parent, if any, does not tell.
pub(crate) fn create_for<T: Typed>(
    owner: Owner,
    function: &str,
    payload: Arc<T>,
    parent: Option<Handle>,
    attributes: Attributes,
) -> Handle {
    let mut contexts = Vec::new();
    if let Some(info) = attributes.raw.map(|raw| raw.ContextTypeInfo).filter(|info| !info.is_null()) {
        let size_override = attributes.raw.map_or(0, |raw| raw.ContextSizeOverride);
        contexts.push(context(info, size_override));
    }
    let object = Arc::new(Object {
        payload,
        owner,
        contexts: IrqLock::new(contexts),
        cleanup: attributes.raw.and_then(|raw| raw.EvtCleanupCallback),
        destroy: attributes.raw.and_then(|raw| raw.EvtDestroyCallback),
        references: AtomicU32::new(0),
        holds: AtomicU32::new(0),
        deleted: AtomicBool::new(false),
    });
    let inserted = OBJECTS.with(|table| table.insert(object, parent));
    checked(function, parent.unwrap_or(Handle::from_raw(0)), inserted)
}

fn context(info: PCWDF_OBJECT_CONTEXT_TYPE_INFO, size_override: usize) -> Context {
    // SAFETY: the caller has checked the pointer for null; the type info is a static of the driver.
    let info = unsafe { &*info };
    let size = info.ContextSize.max(size_override).max(1);
    if size > MOST_CONTEXT {
        violation("ContextTooLarge", 0, size as u64, format!("a context of {size} bytes"));
    }
    Context { kind: info.UniqueType as u64, memory: Lent::new(b"KMcx", size, true) }
}

/// WdfObjectGetTypedContextWorker: any IRQL.
pub(crate) unsafe extern "win64" fn get_typed_context(
    _globals: *mut wdk_offline::WDF_DRIVER_GLOBALS,
    handle: WDFOBJECT,
    info: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
) -> *mut c_void {
    const FUNCTION: &str = "WdfObjectGetTypedContextWorker";
    let handle = Handle::from_raw(handle as u64);
    let object = checked(FUNCTION, handle, OBJECTS.with(|table| table.get(handle)));
    // SAFETY: the driver passes the address of its static type info.
    let kind = unsafe { info.as_ref() }.map_or(0, |info| info.UniqueType as u64);
    object.contexts.with(|contexts| {
        contexts
            .iter()
            .find(|context| context.kind == kind)
            .map_or(core::ptr::null_mut(), |context| context.memory.start().cast())
    })
}

/// WdfObjectReferenceActual: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn reference_actual(
    _globals: *mut wdk_offline::WDF_DRIVER_GLOBALS,
    handle: WDFOBJECT,
    _tag: *mut c_void,
    _line: i32,
    _file: *const i8,
) {
    const FUNCTION: &str = "WdfObjectReferenceActual";
    require_irql(FUNCTION, Irql::DISPATCH);
    let handle = Handle::from_raw(handle as u64);
    let object = checked(FUNCTION, handle, OBJECTS.with(|table| table.get(handle)));
    object.references.fetch_add(1, Relaxed);
    if object.payload.stays_with_hardware() {
        trace::note(
            crate::verifier::owners::label(object.owner),
            &format!("{FUNCTION} of a {}", object.payload.kind()),
        );
    }
}

/// WdfObjectDereferenceActual: up to DISPATCH_LEVEL. The last one of a deleted object destroys it.
pub(crate) unsafe extern "win64" fn dereference_actual(
    _globals: *mut wdk_offline::WDF_DRIVER_GLOBALS,
    handle: WDFOBJECT,
    _tag: *mut c_void,
    _line: i32,
    _file: *const i8,
) {
    const FUNCTION: &str = "WdfObjectDereferenceActual";
    require_irql(FUNCTION, Irql::DISPATCH);
    let handle = Handle::from_raw(handle as u64);
    let object = checked(FUNCTION, handle, OBJECTS.with(|table| table.get(handle)));
    let before = object.references.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
    if before.is_err() {
        violation(
            "ObjectDereferencedTooOften",
            7,
            handle.raw(),
            format!("{FUNCTION}: the driver holds no reference on the {}", object.payload.kind()),
        );
    }
    destroy_if_unused(handle, &object);
}

/// Holds an object for the framework: its handle stays valid until [`release`], deleted or not.
pub(crate) fn hold(raw: u64) {
    let handle = Handle::from_raw(raw);
    checked("hold", handle, OBJECTS.with(|table| table.get(handle))).holds.fetch_add(1, Relaxed);
}

/// Ends [`hold`].
pub(crate) fn release(raw: u64) {
    let handle = Handle::from_raw(raw);
    let object = checked("release", handle, OBJECTS.with(|table| table.get(handle)));
    object.holds.fetch_sub(1, Relaxed);
    destroy_if_unused(handle, &object);
}

/// References that the driver holds on an object.
pub(crate) fn references(raw: u64, function: &str) -> u32 {
    let handle = Handle::from_raw(raw);
    checked(function, handle, OBJECTS.with(|table| table.get(handle))).references.load(Relaxed)
}

/// The object behind a handle of kind `T`, or why there is none; for those who name their own rule.
pub(crate) fn find<T: Typed>(raw: u64) -> Result<Option<Arc<T>>, HandleFault> {
    OBJECTS.with(|table| table.get(Handle::from_raw(raw))).map(|object| of(&object.payload))
}

/// WdfObjectDelete: IRQL up to DISPATCH_LEVEL; not for objects that the framework owns.
pub(crate) unsafe extern "win64" fn object_delete(
    _globals: *mut wdk_offline::WDF_DRIVER_GLOBALS,
    handle: WDFOBJECT,
) {
    const FUNCTION: &str = "WdfObjectDelete";
    require_irql(FUNCTION, Irql::DISPATCH);
    let raw = handle as u64;
    let object =
        checked(FUNCTION, Handle::from_raw(raw), OBJECTS.with(|table| table.get(Handle::from_raw(raw))));
    object.payload.require_deletable(raw, FUNCTION);
    delete(Handle::from_raw(raw));
}

/// Deletes an object with everything below it: cleanup callbacks from the leaves upwards, then the framework's own
/// disposal, then destroy callbacks. PASSIVE_LEVEL, but for spin locks, requests and memory.
pub(crate) fn delete(handle: Handle) {
    clean(handle);
    finish(handle);
}

/// The first half of [`delete`]: cleanup callbacks and disposal.
pub(crate) fn clean(handle: Handle) {
    for each in checked("deletion", handle, OBJECTS.with(|table| table.subtree(handle))) {
        let Ok(object) = OBJECTS.with(|table| table.get(each)) else { continue };
        if let Some(cleanup) = object.cleanup {
            // SAFETY: the driver gave this callback for this object; the handle is still live.
            trace::callback(crate::verifier::owners::label(object.owner), "EvtCleanupCallback", || unsafe {
                cleanup(each.raw() as WDFOBJECT);
            });
        }
        // what hardware may still use is given up, not given back, while the driver holds it
        if !object.payload.stays_with_hardware() || object.references.load(Relaxed) == 0 {
            object.payload.clone().dispose();
        }
    }
}

/// The second half of [`delete`]: each object goes, or stays by itself until its last reference goes.
pub(crate) fn finish(handle: Handle) {
    for each in checked("deletion", handle, OBJECTS.with(|table| table.subtree(handle))) {
        let Ok(object) = OBJECTS.with(|table| table.get(each)) else { continue };
        object.deleted.store(true, Relaxed);
        if object.payload.stays_with_hardware() {
            destroy(each, &object);
        } else if !destroy_if_unused(each, &object) {
            checked("deletion", each, OBJECTS.with(|table| table.orphan(each)));
        }
    }
}

fn destroy_if_unused(handle: Handle, object: &Arc<Object>) -> bool {
    let unused = object.references.load(Relaxed) == 0 && object.holds.load(Relaxed) == 0;
    let goes = unused && object.deleted.load(Relaxed);
    if goes {
        destroy(handle, object);
    }
    goes
}

fn destroy(handle: Handle, object: &Arc<Object>) {
    if let Some(destroy) = object.destroy {
        // SAFETY: the driver's callback; the contexts are still there, as the contract of EvtDestroyCallback has it.
        trace::callback(crate::verifier::owners::label(object.owner), "EvtDestroyCallback", || unsafe {
            destroy(handle.raw() as WDFOBJECT);
        });
    }
    let removed = OBJECTS.with(|table| table.remove(handle));
    if let Ok(removed) = removed {
        // the contexts go here, whoever still holds the object: a late use shows
        drop(removed.contexts.with(core::mem::take));
    }
}

/// Handle and kind of a driver's live objects, for the check at unload.
pub(crate) fn live(owner: Owner) -> Vec<(Handle, &'static str)> {
    // collected outside, as the heap must not be entered with interrupts off for long
    OBJECTS.with(|table| {
        table
            .live()
            .filter(|(handle, _)| table.get(*handle).is_ok_and(|object| object.owner == owner))
            .collect()
    })
}

/// Handle and kind of everything below an object.
pub(crate) fn children(raw: u64, function: &str) -> Vec<(Handle, &'static str)> {
    let handle = Handle::from_raw(raw);
    let below = checked(function, handle, OBJECTS.with(|table| table.subtree(handle)));
    let kind = |each: Handle| OBJECTS.with(|table| table.get(each)).ok().map(|object| (each, object.kind()));
    below.into_iter().filter(|each| *each != handle).filter_map(kind).collect()
}

/// What WdfObjectCreate makes: contexts and callbacks, and nothing behind them.
struct General;

impl Typed for General {
    const KIND: &'static str = "WDFOBJECT";

    fn require_deletable(&self, _raw: u64, function: &str) {
        require_irql(function, Irql::DISPATCH);
    }
}

/// WdfObjectCreate: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn object_create(
    globals: *mut wdk_offline::WDF_DRIVER_GLOBALS,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    object: *mut WDFOBJECT,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfObjectCreate";
    require_irql(FUNCTION, Irql::DISPATCH);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let parent = attributes.parent().unwrap_or_else(|| super::client::of(globals, FUNCTION));
    if fault::strikes(owner(parent.raw(), FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let handle = create(FUNCTION, Arc::new(General), Some(parent), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *object = handle.raw() as WDFOBJECT };
    STATUS_SUCCESS
}

/// WdfObjectAllocateContext (FxObjectAllocateContext): up to DISPATCH_LEVEL. Of a type that is there already:
/// STATUS_OBJECT_NAME_EXISTS, and that context.
pub(crate) unsafe extern "win64" fn allocate_context(
    _globals: *mut wdk_offline::WDF_DRIVER_GLOBALS,
    handle: WDFOBJECT,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    out: *mut *mut c_void,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfObjectAllocateContext";
    require_irql(FUNCTION, Irql::DISPATCH);
    let handle = Handle::from_raw(handle as u64);
    let object = checked(FUNCTION, handle, OBJECTS.with(|table| table.get(handle)));
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let Some(raw) = attributes.raw.filter(|raw| !raw.ContextTypeInfo.is_null() && raw.ParentObject.is_null())
    else {
        return STATUS_INVALID_PARAMETER;
    };
    if raw.EvtCleanupCallback.is_some() || raw.EvtDestroyCallback.is_some() {
        trace::not_offered("WdfObjectAllocateContext with callbacks");
    }
    if fault::strikes(object.owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = context(raw.ContextTypeInfo, raw.ContextSizeOverride);
    let (status, start, unused) = object.contexts.with(|contexts| {
        if let Some(known) = contexts.iter().find(|known| known.kind == made.kind) {
            return (STATUS_OBJECT_NAME_EXISTS, known.memory.start(), Some(made));
        }
        let start = made.memory.start();
        contexts.push(made);
        (STATUS_SUCCESS, start, None)
    });
    drop(unused);
    // SAFETY: the driver passes NULL or the place for its context.
    if let Some(out) = unsafe { out.as_mut() } {
        *out = start.cast();
    }
    status
}

/// WdfObjectContextGetObject: any IRQL. The object whose context that is.
pub(crate) unsafe extern "win64" fn context_get_object(
    _globals: *mut wdk_offline::WDF_DRIVER_GLOBALS,
    pointer: *mut c_void,
) -> WDFOBJECT {
    let holds = |object: &Arc<Object>| {
        object
            .contexts
            .with(|contexts| contexts.iter().any(|context| context.memory.start().cast() == pointer))
    };
    let found = OBJECTS.with(|table| {
        table
            .live()
            .map(|(handle, _)| handle)
            .find(|handle| table.get(*handle).is_ok_and(|object| holds(&object)))
    });
    match found {
        Some(handle) => handle.raw() as WDFOBJECT,
        None => refuse("WdfObjectContextGetObject", pointer as u64, "the pointer is no object's context"),
    }
}
