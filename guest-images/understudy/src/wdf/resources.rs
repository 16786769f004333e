//! WDFCMRESLIST: the resources that PnP assigned, raw or translated.

use super::object::{Typed, get, get_ptr};
use crate::ke::Irql;
use crate::verifier::require_irql;
use alloc::boxed::Box;
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CmResourceTypeInterrupt, WDF_DRIVER_GLOBALS, WDFCMRESLIST,
};

/// One list. The descriptors stay where they are as long as the list lives: drivers keep pointers into it.
pub(crate) struct ResourceList(pub Box<[CM_PARTIAL_RESOURCE_DESCRIPTOR]>);

impl Typed for ResourceList {
    const KIND: &'static str = "WDFCMRESLIST";
}

// SAFETY: plain data, though its types hold pointers' worth of address.
unsafe impl Send for ResourceList {}
// SAFETY: as above.
unsafe impl Sync for ResourceList {}

/// WdfCmResourceListGetCount: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_count(_globals: *mut WDF_DRIVER_GLOBALS, list: WDFCMRESLIST) -> u32 {
    const FUNCTION: &str = "WdfCmResourceListGetCount";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<ResourceList, _>(list, FUNCTION).0.len() as u32
}

/// WdfCmResourceListGetDescriptor: up to DISPATCH_LEVEL; NULL past the end.
pub(crate) unsafe extern "win64" fn get_descriptor(
    _globals: *mut WDF_DRIVER_GLOBALS,
    list: WDFCMRESLIST,
    index: u32,
) -> *mut CM_PARTIAL_RESOURCE_DESCRIPTOR {
    const FUNCTION: &str = "WdfCmResourceListGetDescriptor";
    require_irql(FUNCTION, Irql::DISPATCH);
    let list = get_ptr::<ResourceList, _>(list, FUNCTION);
    list.0.get(index as usize).map_or(core::ptr::null_mut(), |descriptor| (&raw const *descriptor).cast_mut())
}

/// Which of the device's interrupts, counted from 0, the two pointers are the raw and the translated descriptor of.
pub(crate) fn interrupt_of(
    lists: (Handle, Handle),
    raw: *mut CM_PARTIAL_RESOURCE_DESCRIPTOR,
    translated: *mut CM_PARTIAL_RESOURCE_DESCRIPTOR,
) -> Option<u32> {
    let place = |list: Handle, wanted: *mut CM_PARTIAL_RESOURCE_DESCRIPTOR| {
        let list = get::<ResourceList>(list.raw(), "PnP");
        let mut interrupts = list.0.iter().filter(|known| known.Type == CmResourceTypeInterrupt as u8);
        interrupts.position(|known| core::ptr::from_ref(known) == wanted.cast_const())
    };
    let at = place(lists.0, raw)?;
    (place(lists.1, translated) == Some(at)).then_some(at as u32)
}

/// The translated descriptor of one of the device's interrupts, counted from 0.
pub(crate) fn translated_interrupt(
    lists: (Handle, Handle),
    at: u32,
) -> Option<CM_PARTIAL_RESOURCE_DESCRIPTOR> {
    let list = get::<ResourceList>(lists.1.raw(), "PnP");
    let mut interrupts = list.0.iter().filter(|known| known.Type == CmResourceTypeInterrupt as u8);
    interrupts.nth(at as usize).copied()
}
