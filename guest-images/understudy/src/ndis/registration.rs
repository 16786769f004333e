//! What NdisFRegisterFilterDriver looks at before it takes a driver.
//!
//! Rules: NF1 to NF3, NF45 (`driver/docs/ndis-filter.md`).

use crate::verifier::owners::Service;
use alloc::{format, string::String};
use ndis_sys::*;
use wdk_offline::UNICODE_STRING;

/// Known minor versions of NDIS 6, in which revision 1, 2 and 3 of the characteristics are used.
const REVISION_1: [u8; 1] = [0];
const REVISION_2: [u8; 8] = [1, 20, 30, 40, 50, 51, 60, 70];
const REVISION_3: [u8; 10] = [80, 81, 82, 83, 84, 85, 86, 87, 88, 89];
/// Flags that a driver may set.
const FLAGS: u32 = NDIS_FILTER_DRIVER_MANDATORY
    | NDIS_FILTER_DRIVER_SUPPORTS_CURRENT_MAC_ADDRESS_CHANGE
    | NDIS_FILTER_DRIVER_SUPPORTS_L2_MTU_SIZE_CHANGE;

/// A string of the driver's.
fn text(string: &UNICODE_STRING) -> String {
    if string.Buffer.is_null() {
        return String::new();
    }
    // SAFETY: the driver passes a counted string.
    let units = unsafe { core::slice::from_raw_parts(string.Buffer, usize::from(string.Length) / 2) };
    String::from_utf16_lossy(units)
}

/// Copies characteristics that hold together.
///
/// # Errors
/// The status for the driver, and why.
///
/// # Safety
/// `given` points to a structure of the size in its header.
pub(super) unsafe fn read(
    given: *const NDIS_FILTER_DRIVER_CHARACTERISTICS,
    service: &Service,
) -> Result<NDIS_FILTER_DRIVER_CHARACTERISTICS, (i32, String)> {
    let bad = |why: &str| Err((NDIS_STATUS_BAD_CHARACTERISTICS, String::from(why)));
    // SAFETY: by contract there are a header and two version bytes.
    let (header, major, minor) = unsafe {
        let header = (&raw const (*given).Header).read();
        (header, (&raw const (*given).MajorNdisVersion).read(), (&raw const (*given).MinorNdisVersion).read())
    };
    if header.Type != NDIS_OBJECT_TYPE_FILTER_DRIVER_CHARACTERISTICS {
        return bad("the header's type is not FILTER_DRIVER_CHARACTERISTICS");
    }
    let (revision, size) = match minor {
        _ if major != 6 => return Err((NDIS_STATUS_BAD_VERSION, format!("NDIS {major}.{minor}"))),
        minor if REVISION_1.contains(&minor) => (1, NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_1),
        minor if REVISION_2.contains(&minor) => (2, NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_2),
        minor if REVISION_3.contains(&minor) => (3, NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_3),
        _ => return Err((NDIS_STATUS_BAD_VERSION, format!("NDIS {major}.{minor}"))),
    };
    if (header.Revision, header.Size) != (revision, size) {
        return Err((
            NDIS_STATUS_BAD_CHARACTERISTICS,
            format!("NDIS 6.{minor} has revision {revision} with {size} bytes, not {header:?}"),
        ));
    }
    // SAFETY: all zero bits are valid: numbers, NULL pointers, absent handlers. The copy takes what there is.
    let all = unsafe {
        let mut all: NDIS_FILTER_DRIVER_CHARACTERISTICS = core::mem::zeroed();
        core::ptr::copy_nonoverlapping(given.cast::<u8>(), (&raw mut all).cast(), usize::from(size));
        all
    };
    let wrong = [
        (all.AttachHandler.is_none(), "no FilterAttach"),
        (all.DetachHandler.is_none(), "no FilterDetach"),
        (all.RestartHandler.is_none(), "no FilterRestart"),
        (all.PauseHandler.is_none(), "no FilterPause"),
        (
            all.OidRequestHandler.is_some() && all.OidRequestCompleteHandler.is_none(),
            "FilterOidRequest without FilterOidRequestComplete",
        ),
        (
            (all.ReceiveNetBufferListsHandler.is_some() || all.ReturnNetBufferListsHandler.is_some())
                && all.StatusHandler.is_none(),
            "FilterReceive or FilterReturn without FilterStatus",
        ),
        (all.Flags & !FLAGS != 0, "unknown flags"),
        (text(&all.FriendlyName).is_empty(), "no FriendlyName"),
    ];
    if let Some((_, why)) = wrong.into_iter().find(|(wrong, _)| *wrong) {
        return bad(why);
    }
    let Some(entry) = &service.package.filter else {
        return bad("the driver's INF is no filter's");
    };
    if !text(&all.UniqueName).eq_ignore_ascii_case(&entry.unique_name) {
        return bad("UniqueName is not the INF's NetCfgInstanceId");
    }
    if !text(&all.ServiceName).eq_ignore_ascii_case(service.name) {
        return bad("ServiceName is not the INF's service");
    }
    if entry.mandatory != (all.Flags & NDIS_FILTER_DRIVER_MANDATORY != 0) {
        let place = format!(
            "NdisFRegisterFilterDriver: the INF's FilterRunType is {}",
            if entry.mandatory { 1 } else { 2 }
        );
        super::violation::judge("FilterRunTypeDiffers", place);
    }
    Ok(all)
}
