//! OID requests: down from the protocol or a filter, answered by what stands for the miniport, each completed once.
//!
//! Rules: NF8 (`driver/docs/ndis-filter.md`).

use super::miniport;
use super::module::Module;
use super::modules;
use super::violation::{checked, stop};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Dpc, Event, Irql};
use crate::mm::Owner;
use crate::verifier::trace;
use alloc::{boxed::Box, collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::ffi::c_void;
use core::ptr::null_mut;
use ndis_sys::*;
use spin::Once;
use understudy_rules::frame;
use understudy_rules::ndis::ledger::{Broken, Party};
use understudy_rules::receive_filter::{Filter, Mac};
use wdk_offline::{STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER};

/// Objects that the protocol asks for, and the miniport knows.
const OID_GEN_MAXIMUM_FRAME_SIZE: NDIS_OID = 0x0001_0106;
const OID_GEN_CURRENT_PACKET_FILTER: NDIS_OID = 0x0001_010E;
const OID_GEN_STATISTICS: NDIS_OID = 0x0002_0106;
const OID_802_3_PERMANENT_ADDRESS: NDIS_OID = 0x0101_0101;
const OID_802_3_CURRENT_ADDRESS: NDIS_OID = 0x0101_0102;
const OID_802_3_MULTICAST_LIST: NDIS_OID = 0x0101_0103;
/// One that nobody knows.
const OID_UNKNOWN: NDIS_OID = 0x00ff_00ff;
/// What TCP/IP asks for: NDIS_PACKET_TYPE_DIRECTED, MULTICAST and BROADCAST, whose values are NetAdapterCx's flags.
const PROTOCOL_FILTER: i32 = 0xB;
/// The group of all hosts, which TCP/IP joins at once.
const ALL_HOSTS: Mac = [0x01, 0x00, 0x5e, 0x00, 0x00, 0x01];
/// How long a request may take: NdisTimedOidComplete.
const BOUND_US: u64 = 12_000_000;

/// Where a request is.
#[derive(Debug, Default)]
struct Entry {
    /// Who has passed it down and not got it back, the maker first.
    levels: Vec<Party>,
    /// Who has it now.
    holder: Option<Party>,
    /// The request that it is a clone of, whose module made it, and the tag of its memory.
    clone: Option<(usize, Party, u32)>,
}

struct Requests {
    entries: BTreeMap<usize, Entry>,
    /// What the miniport has not answered.
    pending: Vec<usize>,
    /// How the protocol's own one ended.
    result: Option<i32>,
    /// Since that one was sent a module has got no memory for a clone.
    without_memory: bool,
}

static REQUESTS: IrqLock<Requests> = IrqLock::new(Requests {
    entries: BTreeMap::new(),
    pending: Vec::new(),
    result: None,
    without_memory: false,
});
/// What the OIDs have set at the miniport.
static FILTER: IrqLock<Filter> = IrqLock::new(Filter { flags: 0, multicast: Vec::new() });
static ENDED: Event = Event::auto();
static ANSWERER: Once<Dpc> = Once::new();

fn information(request: *const NDIS_OID_REQUEST) -> NDIS_OID_REQUEST_INFORMATION {
    // SAFETY: whoever passed the request down keeps it alive until it is completed; its type is query or set.
    unsafe { (*request).DATA.Information }
}

/// A module's own clone of a request.
pub(super) fn make_clone(party: Party, of: *mut NDIS_OID_REQUEST, tag: u32) -> Option<*mut NDIS_OID_REQUEST> {
    let clone: *mut NDIS_OID_REQUEST =
        crate::verifier::pool::alloc(Owner::UNDERSTUDY, tag, size_of::<NDIS_OID_REQUEST>(), true).cast();
    if clone.is_null() {
        return None;
    }
    // SAFETY: the clone is fresh; the original is the module's now and lives.
    unsafe {
        *clone = *of;
        (*clone).NdisReserved = [null_mut(); 16];
        (*clone).MiniportReserved = [null_mut(); 2];
        (*clone).SourceReserved = [null_mut(); 2];
    }
    let entry = Entry { clone: Some((of as usize, party, tag)), holder: Some(party), ..Entry::default() };
    REQUESTS.with(|requests| requests.entries.insert(clone as usize, entry));
    Some(clone)
}

/// A module gets no memory for a clone: it may end the request that it has with NDIS_STATUS_RESOURCES.
pub(super) fn no_clone() {
    REQUESTS.with(|requests| requests.without_memory = true);
}

/// Frees a clone.
///
/// # Errors
/// It is none of this module's, or it is under way.
pub(super) fn free_clone(party: Party, clone: *mut NDIS_OID_REQUEST) -> Result<(), Broken> {
    let tag = REQUESTS.with(|requests| {
        let entry = requests.entries.get(&(clone as usize));
        entry.and_then(|entry| entry.clone.map(|clone| (clone.1, clone.2, entry.levels.is_empty())))
    });
    let Some((_, tag, true)) = tag.filter(|(owner, _, _)| *owner == party) else {
        let place = format!("{clone:p} is no clone of {party:?} that is back (freed already?)");
        return Err(Broken::new("OidCloneFreed", place));
    };
    let gone = REQUESTS.with(|requests| requests.entries.remove(&(clone as usize)));
    drop(gone);
    crate::verifier::pool::free(clone.cast(), tag).map_err(|place| Broken::new("BadPoolFree", place))
}

/// Clones that a module has not freed.
pub(super) fn clones_left(party: Party) -> Vec<(&'static str, String)> {
    let count = REQUESTS.with(|requests| {
        requests.entries.values().filter(|entry| entry.clone.is_some_and(|clone| clone.1 == party)).count()
    });
    if count == 0 { Vec::new() } else { vec![("OidCloneLeaked", format!("{count} cloned OID requests"))] }
}

/// Stops if the module has a request: it is not detached with one.
pub(super) fn require_none(module: &Module) {
    let party = module.party();
    let count = REQUESTS.with(|requests| {
        requests
            .entries
            .values()
            .filter(|entry| {
                entry.holder == Some(party) && !entry.levels.is_empty() || entry.levels.contains(&party)
            })
            .count()
    });
    if count != 0 {
        stop("OidOutstandingAtDetach", format!("module {} has {count} OID requests", module.number));
    }
}

/// A request goes down from `from`. Up to DISPATCH_LEVEL. Returns its status, or NDIS_STATUS_PENDING.
pub(super) fn down(from: Party, request: *mut NDIS_OID_REQUEST) -> i32 {
    let lower = next_below(from);
    let to = lower.as_ref().map_or(Party::Miniport, |module| module.party());
    let free = REQUESTS.with(|requests| {
        let entry = requests.entries.entry(request as usize).or_default();
        let free = entry.levels.is_empty();
        if free {
            entry.levels.push(from);
            entry.holder = Some(to);
        }
        free
    });
    if !free {
        stop("NdisOidDoubleRequest", format!("{from:?} passes request {request:p} down, which is under way"));
    }
    let status = match lower {
        Some(module) => match module.driver.characteristics.OidRequestHandler {
            Some(handler) => {
                trace::note(module.driver.label, "FilterOidRequest");
                // SAFETY: the driver's handler with its module's context and a request that lives until completed.
                module.call("FilterOidRequest", |context| unsafe { handler(context, request) })
            }
            None => return NDIS_STATUS_NOT_SUPPORTED,
        },
        None => answer_or_pend(request),
    };
    if status != NDIS_STATUS_PENDING {
        checked(take_back(to, request));
    }
    status
}

fn next_below(from: Party) -> Option<alloc::sync::Arc<Module>> {
    let mut at = from;
    loop {
        let module = modules::below(at, |_| true)?;
        if module.driver.characteristics.OidRequestHandler.is_some() {
            return Some(module);
        }
        module.release();
        at = module.party();
    }
}

/// `from` has done with a request: whoever passed it down has it again.
fn take_back(from: Party, request: *mut NDIS_OID_REQUEST) -> Result<Party, Broken> {
    let (to, clones) = REQUESTS.with(|requests| {
        let clones = requests.entries.values();
        let clones = clones
            .filter(|entry| entry.clone.is_some_and(|clone| clone.0 == request as usize && clone.1 == from))
            .count();
        let Some(entry) = requests.entries.get_mut(&(request as usize)) else { return (None, clones) };
        if entry.holder != Some(from) {
            return (None, clones);
        }
        let to = entry.levels.pop();
        entry.holder = to;
        if entry.clone.is_none() && entry.levels.is_empty() {
            requests.entries.remove(&(request as usize));
        }
        (to, clones)
    });
    let Some(to) = to else {
        let place = format!("{from:?} completes request {request:p}, which it does not have");
        return Err(Broken::new("NdisOidDoubleComplete", place));
    };
    if clones != 0 {
        let place = format!("{from:?} completes request {request:p} and has not freed its clone");
        return Err(Broken::new("OidCloneLeaked", place));
    }
    bytes_are_inside(request)?;
    Ok(to)
}

fn bytes_are_inside(request: *mut NDIS_OID_REQUEST) -> Result<(), Broken> {
    // SAFETY: it is about to go back to its maker, who keeps it alive.
    if unsafe { (*request).RequestType } == NdisRequestMethod {
        return Ok(());
    }
    let value = information(request);
    if value.BytesTransferred > value.InformationBufferLength {
        let place =
            format!("{} bytes of a buffer of {}", value.BytesTransferred, value.InformationBufferLength);
        return Err(Broken::new("OidBytesOutsideBuffer", place));
    }
    Ok(())
}

/// A request that was pended is completed by `from`. Up to DISPATCH_LEVEL.
pub(super) fn complete(from: Party, request: *mut NDIS_OID_REQUEST, status: i32) {
    if status == NDIS_STATUS_PENDING {
        stop("InvalidOidCompletion", format!("request {request:p} is completed with NDIS_STATUS_PENDING"));
    }
    match checked(take_back(from, request)) {
        Party::Module(number) => {
            let Some(module) = modules::reserve(number) else {
                stop(
                    "OidOutstandingAtDetach",
                    format!("a request comes back to module {number}, which is gone"),
                );
            };
            match module.driver.characteristics.OidRequestCompleteHandler {
                Some(handler) => module.call("FilterOidRequestComplete", |context| {
                    trace::note(module.driver.label, "FilterOidRequestComplete");
                    // SAFETY: the driver's handler with its module's context and its own request.
                    unsafe { handler(context, request, status) }
                }),
                None => module.release(),
            }
        }
        _ => {
            REQUESTS.with(|requests| requests.result = Some(status));
            ENDED.set();
        }
    }
}

/// Requests with this ID are cancelled from `from` down. Up to DISPATCH_LEVEL.
pub(super) fn cancel(from: Party, id: *mut c_void) {
    let mut at = from;
    while let Some(module) = modules::below(at, |_| true) {
        if let Some(handler) = module.driver.characteristics.CancelOidRequestHandler {
            trace::note(module.driver.label, "FilterCancelOidRequest");
            // SAFETY: the driver's handler with its module's context; an ID is a number that nobody follows.
            module.call("FilterCancelOidRequest", |context| unsafe { handler(context, id) });
            return;
        }
        module.release();
        at = module.party();
    }
    let found = REQUESTS.with(|requests| {
        let at = requests.pending.iter().position(|&request| {
            // SAFETY: a pending request lives until it is completed.
            unsafe { (*(request as *const NDIS_OID_REQUEST)).RequestId == id }
        });
        at.map(|at| requests.pending.remove(at))
    });
    if let Some(request) = found {
        complete(Party::Miniport, request as *mut NDIS_OID_REQUEST, NDIS_STATUS_REQUEST_ABORTED);
    }
}

/// The miniport's part: half of what it knows is answered from a DPC, statistics only when they are cancelled.
fn answer_or_pend(request: *mut NDIS_OID_REQUEST) -> i32 {
    let oid = information(request).Oid;
    if matches!(oid, OID_GEN_CURRENT_PACKET_FILTER | OID_802_3_MULTICAST_LIST) {
        return set_filter(request);
    }
    let later = crate::settings::seed().rotate_right(oid) & 1 != 0;
    if oid == OID_GEN_STATISTICS || later {
        REQUESTS.with(|requests| requests.pending.push(request as usize));
        if oid != OID_GEN_STATISTICS {
            ANSWERER.call_once(|| Dpc::new(Box::new(answer_later))).queue();
        }
        return NDIS_STATUS_PENDING;
    }
    answer(request)
}

fn answer_later() {
    let next = || {
        REQUESTS.with(|requests| {
            let known = |&request: &usize| information(request as *const _).Oid != OID_GEN_STATISTICS;
            let at = requests.pending.iter().position(known);
            at.map(|at| requests.pending.remove(at))
        })
    };
    while let Some(request) = next() {
        let request = request as *mut NDIS_OID_REQUEST;
        complete(Party::Miniport, request, answer(request));
    }
}

fn answer(request: *mut NDIS_OID_REQUEST) -> i32 {
    let asked = information(request);
    let mac = miniport::get().mac();
    let size = (frame::LONGEST as u32).to_le_bytes();
    let value: &[u8] = match asked.Oid {
        OID_802_3_CURRENT_ADDRESS | OID_802_3_PERMANENT_ADDRESS => &mac,
        OID_GEN_MAXIMUM_FRAME_SIZE => &size,
        _ => return NDIS_STATUS_NOT_SUPPORTED,
    };
    // SAFETY: the request is the miniport's now; its maker vouches for the buffer and its length.
    unsafe {
        let place = &mut (*request).DATA.Information;
        if (asked.InformationBufferLength as usize) < value.len() {
            place.BytesNeeded = value.len() as u32;
            return NDIS_STATUS_BUFFER_TOO_SHORT;
        }
        core::ptr::copy_nonoverlapping(value.as_ptr(), asked.InformationBuffer.cast(), value.len());
        place.BytesTransferred = value.len() as u32;
    }
    NDIS_STATUS_SUCCESS
}

/// The two OIDs of the receive filter, answered on the thread that brings them, as the adapter's callback runs at
/// PASSIVE_LEVEL. As `NxTranslationApp::SetPacketFilter` and `SetMulticastList` (nxtranslationapp.cpp): the answer to a
/// filter is the adapter's, a list is always accepted; NDIS itself refuses one with too many addresses.
fn set_filter(request: *mut NDIS_OID_REQUEST) -> i32 {
    let asked = information(request);
    if crate::ke::irql() != Irql::PASSIVE {
        trace::not_offered("a receive filter set above PASSIVE_LEVEL");
    }
    // SAFETY: the request is the miniport's now.
    if unsafe { (*request).RequestType } != NdisRequestSetInformation {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    let adapter = miniport::get();
    if adapter.handle() == 0 {
        return NDIS_STATUS_NOT_SUPPORTED;
    }
    // SAFETY: the request's maker vouches for the buffer and its length.
    let bytes = unsafe {
        core::slice::from_raw_parts(
            asked.InformationBuffer.cast::<u8>(),
            asked.InformationBufferLength as usize,
        )
    };
    let mut filter = FILTER.with(core::mem::take);
    let status = if asked.Oid == OID_GEN_CURRENT_PACKET_FILTER {
        match bytes.first_chunk() {
            Some(flags) => {
                filter.flags = i32::from_le_bytes(*flags);
                adapter.set_receive_filter(&filter)
            }
            None => STATUS_BUFFER_TOO_SMALL,
        }
    } else {
        let (addresses, rest) = bytes.as_chunks::<6>();
        if !rest.is_empty() {
            STATUS_INVALID_PARAMETER
        } else if addresses.len() > adapter.multicast_addresses() {
            NDIS_STATUS_MULTICAST_FULL
        } else {
            filter.multicast = addresses.to_vec();
            let _ = adapter.set_receive_filter(&filter);
            NDIS_STATUS_SUCCESS
        }
    };
    let old = FILTER.with(|kept| core::mem::replace(kept, filter));
    drop(old);
    if status == NDIS_STATUS_SUCCESS {
        // SAFETY: as above.
        unsafe { (*request).DATA.Information.BytesTransferred = asked.InformationBufferLength };
    }
    status
}

/// Asks what a protocol asks when it binds: values, one that nobody knows, one that it cancels, and last the receive
/// filter, which decides. PASSIVE_LEVEL. Returns the filter that is in force.
///
/// # Errors
/// The adapter refused the filter: an upper layer does not bind. Says why no frame can arrive.
pub(super) fn ask_as_protocol() -> Result<Filter, String> {
    let multicast = miniport::get().multicast_addresses() > 0;
    let asked = [
        (OID_802_3_CURRENT_ADDRESS, 6, NDIS_STATUS_SUCCESS),
        (OID_802_3_PERMANENT_ADDRESS, 2, NDIS_STATUS_BUFFER_TOO_SHORT),
        (OID_GEN_MAXIMUM_FRAME_SIZE, 4, NDIS_STATUS_SUCCESS),
        (OID_UNKNOWN, 4, NDIS_STATUS_NOT_SUPPORTED),
        (OID_GEN_STATISTICS, 8, NDIS_STATUS_REQUEST_ABORTED),
    ];
    for (oid, len, expected) in asked {
        let mut buffer = [0_u8; 16];
        let status = query_or_set(oid, NdisRequestQueryInformation, &mut buffer, len);
        if ended_without_memory(status) {
            return Err(format!("OID {oid:#010x} ended without memory: no protocol binds to the adapter"));
        }
        if status != expected {
            let place =
                format!("OID {oid:#010x} ended with {:#010x}, not {:#010x}", status as u32, expected as u32);
            stop("OidAnswerChanged", place);
        }
        if oid == OID_802_3_CURRENT_ADDRESS {
            trace::note("device", &format!("the protocol asks for the address: {:02x?}", &buffer[..6]));
        }
    }
    let mut filter = Filter { flags: PROTOCOL_FILTER, multicast: Vec::new() };
    if multicast {
        filter.multicast.push(ALL_HOSTS);
        let mut buffer = [0_u8; 16];
        buffer[..ALL_HOSTS.len()].copy_from_slice(&ALL_HOSTS);
        set(OID_802_3_MULTICAST_LIST, &mut buffer, ALL_HOSTS.len() as u32).map_err(|status| {
            format!("OID_802_3_MULTICAST_LIST ended with {status:#010x}: no protocol binds to the adapter")
        })?;
    }
    let mut buffer = [0_u8; 16];
    buffer[..4].copy_from_slice(&PROTOCOL_FILTER.to_le_bytes());
    set(OID_GEN_CURRENT_PACKET_FILTER, &mut buffer, 4).map_err(|status| {
        if ended_without_memory(status as i32) {
            return String::from("OID_GEN_CURRENT_PACKET_FILTER ended without memory");
        }
        let offered = miniport::get().supported_filters();
        format!(
            "OID_GEN_CURRENT_PACKET_FILTER to {PROTOCOL_FILTER:#x} ended with {status:#010x}: the adapter offers the \
             packet filters {offered:#x}, so TCP/IP does not bind to it and no frame can arrive \
             (NetAdapterSetReceiveFilterCapabilities, NetAdapterCx 2.1)"
        )
    })?;
    trace::note("device", "the protocol is bound");
    Ok(filter)
}

/// Whether a module that got no memory has ended the protocol's request so.
fn ended_without_memory(status: i32) -> bool {
    status == NDIS_STATUS_RESOURCES && REQUESTS.with(|requests| requests.without_memory)
}

/// The binding is gone, and its filter with it.
pub(super) fn forget_filter() {
    let old = FILTER.with(core::mem::take);
    drop(old);
}

fn set(oid: NDIS_OID, buffer: &mut [u8; 16], len: u32) -> Result<(), u32> {
    match query_or_set(oid, NdisRequestSetInformation, buffer, len) {
        NDIS_STATUS_SUCCESS => Ok(()),
        status => Err(status as u32),
    }
}

/// One request of the protocol's, its end awaited; the statistics, which nobody answers, are cancelled.
fn query_or_set(oid: NDIS_OID, kind: NDIS_REQUEST_TYPE, buffer: &mut [u8; 16], len: u32) -> i32 {
    // a request's ID is its maker's own number, never NULL
    let id = oid as usize as *mut c_void;
    let mut request = Box::new(request(oid, kind, id, (buffer, len)));
    ask(&raw mut *request, oid == OID_GEN_STATISTICS)
}

fn request(
    oid: NDIS_OID,
    kind: NDIS_REQUEST_TYPE,
    id: *mut c_void,
    (buffer, len): (&mut [u8; 16], u32),
) -> NDIS_OID_REQUEST {
    NDIS_OID_REQUEST {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_OID_REQUEST,
            NDIS_OID_REQUEST_REVISION_2,
            NDIS_SIZEOF_OID_REQUEST_REVISION_2,
        ),
        RequestType: kind,
        PortNumber: NDIS_DEFAULT_PORT_NUMBER,
        Timeout: 0,
        RequestId: id,
        RequestHandle: null_mut(),
        DATA: NDIS_OID_REQUEST_DATA {
            Information: NDIS_OID_REQUEST_INFORMATION {
                Oid: oid,
                InformationBuffer: buffer.as_mut_ptr().cast(),
                InformationBufferLength: len,
                BytesTransferred: 0,
                BytesNeeded: 0,
            },
        },
        NdisReserved: [null_mut(); 16],
        MiniportReserved: [null_mut(); 2],
        SourceReserved: [null_mut(); 2],
        SupportedRevision: 0,
        Reserved1: 0,
        Reserved2: 0,
        SwitchId: 0,
        VPortId: 0,
        Flags: 0,
    }
}

/// Sends one request and waits for its end.
fn ask(request: *mut NDIS_OID_REQUEST, and_cancel: bool) -> i32 {
    REQUESTS.with(|requests| (requests.result, requests.without_memory) = (None, false));
    // SAFETY: the caller keeps the request alive until this returns.
    let (oid, id) = (information(request).Oid, unsafe { (*request).RequestId });
    let status = down(Party::Protocol, request);
    if status != NDIS_STATUS_PENDING {
        return status;
    }
    if and_cancel {
        cancel(Party::Protocol, id);
    }
    let until = crate::ke::now_us() + BOUND_US;
    loop {
        if let Some(status) = REQUESTS.with(|requests| requests.result.take()) {
            return status;
        }
        let now = crate::ke::now_us();
        if now >= until {
            stop(
                "NdisTimedOidComplete",
                format!("OID {oid:#010x} has not ended after {} s", BOUND_US / 1_000_000),
            );
        }
        ENDED.wait_timeout(until - now);
    }
}
