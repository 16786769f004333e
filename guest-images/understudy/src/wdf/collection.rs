//! WDFCOLLECTION (src/framework/shared/support/fxcollectionapi.cpp): objects in the order in which they were added, each
//! held as long as it is in there.

use super::object::{self, Attributes, Typed, get_ptr};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::{fault, require_irql, violation};
use alloc::{format, sync::Arc, vec::Vec};
use wdk_offline::{
    NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES,
    WDFCOLLECTION, WDFOBJECT,
};

/// A collection of the driver's.
pub(crate) struct Collection(IrqLock<Vec<u64>>);

impl Typed for Collection {
    const KIND: &'static str = "WDFCOLLECTION";

    fn require_deletable(&self, _raw: u64, function: &str) {
        require_irql(function, Irql::DISPATCH);
    }

    fn dispose(self: Arc<Self>) {
        self.0.with(core::mem::take).into_iter().for_each(object::release);
    }
}

impl Collection {
    fn get(&self, at: impl FnOnce(usize) -> Option<usize>) -> WDFOBJECT {
        let found = self.0.with(|items| at(items.len()).and_then(|at| items.get(at).copied()));
        found.unwrap_or_default() as WDFOBJECT
    }

    fn remove(&self, function: &str, at: impl FnOnce(&[u64]) -> Option<usize>) {
        let gone = self.0.with(|items| {
            let at = at(items).filter(|at| *at < items.len())?;
            Some(items.remove(at))
        });
        match gone {
            Some(item) => object::release(item),
            None => {
                violation("NotInCollection", 0, 0, format!("{function}: the collection has no such item"))
            }
        }
    }
}

fn get(collection: WDFCOLLECTION, function: &str) -> Arc<Collection> {
    require_irql(function, Irql::DISPATCH);
    get_ptr::<Collection, _>(collection, function)
}

/// WdfCollectionCreate: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn create(
    globals: *mut WDF_DRIVER_GLOBALS,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    collection: *mut WDFCOLLECTION,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfCollectionCreate";
    require_irql(FUNCTION, Irql::DISPATCH);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let parent = attributes.parent().unwrap_or_else(|| super::client::of(globals, FUNCTION));
    if fault::strikes(object::owner(parent.raw(), FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Arc::new(Collection(IrqLock::new(Vec::new())));
    let handle = object::create(FUNCTION, made, Some(parent), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *collection = handle.raw() as WDFCOLLECTION };
    STATUS_SUCCESS
}

/// WdfCollectionGetCount: up to DISPATCH_LEVEL; so are all below.
pub(crate) unsafe extern "win64" fn get_count(
    _globals: *mut WDF_DRIVER_GLOBALS,
    collection: WDFCOLLECTION,
) -> u32 {
    get(collection, "WdfCollectionGetCount").0.with(|items| items.len() as u32)
}

/// WdfCollectionAdd.
pub(crate) unsafe extern "win64" fn add(
    _globals: *mut WDF_DRIVER_GLOBALS,
    collection: WDFCOLLECTION,
    item: WDFOBJECT,
) -> NTSTATUS {
    let collection = get(collection, "WdfCollectionAdd");
    object::hold(item as u64);
    collection.0.with(|items| items.push(item as u64));
    STATUS_SUCCESS
}

/// WdfCollectionRemove: the first of that object.
pub(crate) unsafe extern "win64" fn remove(
    _globals: *mut WDF_DRIVER_GLOBALS,
    collection: WDFCOLLECTION,
    item: WDFOBJECT,
) {
    const FUNCTION: &str = "WdfCollectionRemove";
    let is = |items: &[u64]| items.iter().position(|known| *known == item as u64);
    get(collection, FUNCTION).remove(FUNCTION, is);
}

/// WdfCollectionRemoveItem: the one at that place.
pub(crate) unsafe extern "win64" fn remove_item(
    _globals: *mut WDF_DRIVER_GLOBALS,
    collection: WDFCOLLECTION,
    index: u32,
) {
    const FUNCTION: &str = "WdfCollectionRemoveItem";
    get(collection, FUNCTION).remove(FUNCTION, |_| Some(index as usize));
}

/// WdfCollectionGetItem: NULL beyond the last.
pub(crate) unsafe extern "win64" fn get_item(
    _globals: *mut WDF_DRIVER_GLOBALS,
    collection: WDFCOLLECTION,
    index: u32,
) -> WDFOBJECT {
    get(collection, "WdfCollectionGetItem").get(|_| Some(index as usize))
}

/// WdfCollectionGetFirstItem: NULL if it is empty.
pub(crate) unsafe extern "win64" fn get_first_item(
    _globals: *mut WDF_DRIVER_GLOBALS,
    collection: WDFCOLLECTION,
) -> WDFOBJECT {
    get(collection, "WdfCollectionGetFirstItem").get(|_| Some(0))
}

/// WdfCollectionGetLastItem: NULL if it is empty.
pub(crate) unsafe extern "win64" fn get_last_item(
    _globals: *mut WDF_DRIVER_GLOBALS,
    collection: WDFCOLLECTION,
) -> WDFOBJECT {
    get(collection, "WdfCollectionGetLastItem").get(|len| len.checked_sub(1))
}
