//! The filter driver, the wire below it, and what the filter can do wrong.

use crate::ke::irqlock::IrqLock;
use crate::ke::{Irql, raise};
use crate::mm::{self, Owner};
use crate::ndis::miniport::{self, Miniport};
use crate::ndis::protocol::{self, Frames};
use crate::ndis::{binding, books, flow, stack};
use crate::pe::Image;
use crate::verifier::owners::Service;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ffi::c_void;
use core::mem::{transmute, zeroed};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use ndis_sys::*;
use std::string::String;
use std::vec::Vec;
use understudy_rules::inf::{FilterEntry, Kind, Package};
use understudy_rules::ndis::ledger::{List, Party};
use understudy_rules::receive_filter::{Filter, Mac};
use wdk_offline::{DRIVER_OBJECT, NTSTATUS, STATUS_SUCCESS};

pub(super) const UNIQUE: &str = "{4e1f0d3a-5d2b-4f0e-9c61-000000000001}";
pub(super) const MAC: Mac = [2, 0, 0, 0, 0, 1];

/// An adapter that keeps what it is given until the test completes it.
pub(super) struct Wire;

pub(super) static RUNNING: AtomicBool = AtomicBool::new(false);
pub(super) static KEPT: IrqLock<Vec<List>> = IrqLock::new(Vec::new());
pub(super) static BACK: IrqLock<Vec<List>> = IrqLock::new(Vec::new());

impl Miniport for Wire {
    fn handle(&self) -> u64 {
        0x5d0b_0000_0000_0100
    }
    fn mac(&self) -> Mac {
        MAC
    }
    fn is_connected(&self) -> bool {
        true
    }
    fn supported_filters(&self) -> i32 {
        0xB
    }
    fn multicast_addresses(&self) -> usize {
        4
    }
    fn set_receive_filter(&self, filter: &Filter) -> NTSTATUS {
        assert_eq!(filter.flags & !0xB, 0);
        STATUS_SUCCESS
    }
    fn has_queues(&self) -> bool {
        true
    }
    fn is_running(&self) -> bool {
        RUNNING.load(SeqCst)
    }
    fn start(&self) {
        RUNNING.store(true, SeqCst);
    }
    fn pause(&self, _cancels: u32) {
        RUNNING.store(false, SeqCst);
        complete_all();
    }
    fn take_down(&self) {
        RUNNING.store(false, SeqCst);
    }
    fn send(&self, lists: &[List]) -> Vec<List> {
        if !RUNNING.load(SeqCst) {
            return lists.to_vec();
        }
        KEPT.with(|kept| kept.extend_from_slice(lists));
        Vec::new()
    }
    fn refused(&self, _numbers: &[Option<u64>]) {}
    fn give_back(&self, lists: &[List]) {
        BACK.with(|back| back.extend_from_slice(lists));
    }
}

/// The wire has sent what it has: all of it is completed.
pub(super) fn complete_all() {
    let lists = KEPT.with(core::mem::take);
    lists.iter().for_each(|&list| books::live(list).set_status(NDIS_STATUS_SUCCESS));
    if !lists.is_empty() {
        flow::complete(Party::Miniport, &lists);
    }
}

pub(super) fn kept() -> usize {
    KEPT.with(|kept| kept.len())
}

/// What the filter does wrong, or how it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// Everything as it has to be.
    Right,
    ForgetsToPassOn,
    PassesOnTwice,
    ChangesTheId,
    KeepsAMatch,
    CompletesWithoutStatus,
    CompletesTwice,
    SendsWhatItHasCompleted,
    AbortsWithoutCancel,
    WritesTheData,
    PausesWithListsHeld,
    NeverPauses,
    PausesTwice,
    FailsToAttach,
    SetsNoAttributes,
    RaisesIrql,
}

pub(super) static DOES: IrqLock<Does> = IrqLock::new(Does::Right);
/// The gate is closed: sends wait in the filter.
pub(super) static CLOSED: AtomicBool = AtomicBool::new(false);
pub(super) static QUEUED: IrqLock<Vec<List>> = IrqLock::new(Vec::new());
pub(super) static MODULE: AtomicU64 = AtomicU64::new(0);
pub(super) static DRIVER: AtomicU64 = AtomicU64::new(0);

pub(super) fn does(what: Does) -> bool {
    DOES.with(|does| *does == what)
}

pub(super) fn module() -> NDIS_HANDLE {
    MODULE.load(SeqCst) as NDIS_HANDLE
}

pub(super) fn import(name: &str) -> usize {
    crate::nt::resolve("NDIS.SYS", name).expect("an export")
}

pub(super) type OnLists = unsafe extern "win64" fn(NDIS_HANDLE, *mut NET_BUFFER_LIST, u32, u32);
pub(super) type OnReturn = unsafe extern "win64" fn(NDIS_HANDLE, *mut NET_BUFFER_LIST, u32);

pub(super) fn send(lists: &[List]) {
    // SAFETY: the export has this type; NDIS checks what it is given. So for all below.
    unsafe {
        transmute::<usize, OnLists>(import("NdisFSendNetBufferLists"))(module(), books::linked(lists), 0, 0);
    }
}

pub(super) fn complete(lists: &[List], status: i32) {
    lists.iter().for_each(|&list| books::live(list).set_status(status));
    complete_as_they_are(lists);
}

pub(super) fn complete_as_they_are(lists: &[List]) {
    // SAFETY: as above.
    unsafe {
        let function = transmute::<usize, OnReturn>(import("NdisFSendNetBufferListsComplete"));
        function(module(), books::linked(lists), 0);
    }
}

pub(super) fn pass_cancel_on(id: *mut c_void) {
    type Cancel = unsafe extern "win64" fn(NDIS_HANDLE, *mut c_void);
    // SAFETY: as above.
    unsafe { transmute::<usize, Cancel>(import("NdisFCancelSendNetBufferLists"))(module(), id) };
}

pub(super) unsafe extern "win64" fn attach(
    handle: NDIS_HANDLE,
    _context: NDIS_HANDLE,
    _parameters: *mut NDIS_FILTER_ATTACH_PARAMETERS,
) -> i32 {
    type Set = unsafe extern "win64" fn(NDIS_HANDLE, NDIS_HANDLE, *mut NDIS_FILTER_ATTRIBUTES) -> i32;
    if does(Does::FailsToAttach) {
        return NDIS_STATUS_FAILURE;
    }
    MODULE.store(handle as u64, SeqCst);
    let mut attributes = NDIS_FILTER_ATTRIBUTES {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_FILTER_ATTRIBUTES,
            NDIS_FILTER_ATTRIBUTES_REVISION_1,
            size_of::<NDIS_FILTER_ATTRIBUTES>() as u16,
        ),
        Flags: 0,
    };
    if !does(Does::SetsNoAttributes) {
        // SAFETY: as above.
        unsafe { transmute::<usize, Set>(import("NdisFSetAttributes"))(handle, handle, &raw mut attributes) };
    }
    NDIS_STATUS_SUCCESS
}

pub(super) unsafe extern "win64" fn detach(_context: NDIS_HANDLE) {}

pub(super) unsafe extern "win64" fn restart(
    _context: NDIS_HANDLE,
    _parameters: *mut NDIS_FILTER_RESTART_PARAMETERS,
) -> i32 {
    NDIS_STATUS_SUCCESS
}

pub(super) fn pause_complete() {
    type Complete = unsafe extern "win64" fn(NDIS_HANDLE);
    // SAFETY: as above.
    unsafe { transmute::<usize, Complete>(import("NdisFPauseComplete"))(module()) };
}

pub(super) unsafe extern "win64" fn pause(
    _context: NDIS_HANDLE,
    _parameters: *mut NDIS_FILTER_PAUSE_PARAMETERS,
) -> i32 {
    match DOES.with(|does| *does) {
        Does::NeverPauses => return NDIS_STATUS_PENDING,
        Does::PausesTwice => {
            pause_complete();
            return NDIS_STATUS_SUCCESS;
        }
        Does::PausesWithListsHeld => return NDIS_STATUS_SUCCESS,
        _ => {}
    }
    let waiting = QUEUED.with(core::mem::take);
    if !waiting.is_empty() {
        complete(&waiting, NDIS_STATUS_PAUSED);
    }
    NDIS_STATUS_SUCCESS
}

pub(super) unsafe extern "win64" fn on_send(
    _context: NDIS_HANDLE,
    first: *mut NET_BUFFER_LIST,
    _port: u32,
    _flags: u32,
) {
    let lists = books::chain(first);
    if does(Does::RaisesIrql) {
        raise(Irql::DISPATCH);
    }
    if CLOSED.load(SeqCst) {
        return QUEUED.with(|queued| queued.extend(lists));
    }
    match DOES.with(|does| *does) {
        Does::CompletesWithoutStatus => complete_as_they_are(&lists),
        Does::CompletesTwice => {
            complete(&lists[..1], NDIS_STATUS_FAILURE);
            complete(&lists[..1], NDIS_STATUS_FAILURE);
        }
        Does::AbortsWithoutCancel => complete(&lists, NDIS_STATUS_SEND_ABORTED),
        Does::SendsWhatItHasCompleted => {
            complete(&lists, NDIS_STATUS_FAILURE);
            send(&lists);
        }
        _ => send(&lists),
    }
}

pub(super) unsafe extern "win64" fn on_complete(
    _context: NDIS_HANDLE,
    first: *mut NET_BUFFER_LIST,
    _flags: u32,
) {
    let lists = books::chain(first);
    if does(Does::WritesTheData) {
        let buffer = books::live(lists[0]).buffers().expect("a chain")[0];
        let piece = buffer.pieces().expect("pieces")[0];
        // SAFETY: the list's data, which is not the filter's to write: that is what is to be seen.
        unsafe { (piece.address as *mut u8).write(0x55) };
    }
    complete_as_they_are(&lists);
}

pub(super) unsafe extern "win64" fn on_cancel(_context: NDIS_HANDLE, id: *mut c_void) {
    let matches = |list: &List| books::live(*list).cancel_id() == id as u64;
    if !does(Does::KeepsAMatch) {
        let aborted: Vec<List> = QUEUED.with(|queued| {
            let (aborted, kept) = core::mem::take(queued).into_iter().partition(matches);
            *queued = kept;
            aborted
        });
        if !aborted.is_empty() {
            complete(&aborted, NDIS_STATUS_SEND_ABORTED);
        }
    }
    match DOES.with(|does| *does) {
        Does::ForgetsToPassOn => {}
        Does::PassesOnTwice => {
            pass_cancel_on(id);
            pass_cancel_on(id);
        }
        Does::ChangesTheId => pass_cancel_on((id as u64 + 1) as *mut c_void),
        _ => pass_cancel_on(id),
    }
}

pub(super) unsafe extern "win64" fn on_receive(
    _context: NDIS_HANDLE,
    first: *mut NET_BUFFER_LIST,
    port: u32,
    count: u32,
    flags: u32,
) {
    type Indicate = unsafe extern "win64" fn(NDIS_HANDLE, *mut NET_BUFFER_LIST, u32, u32, u32);
    // SAFETY: as above.
    unsafe {
        let function = transmute::<usize, Indicate>(import("NdisFIndicateReceiveNetBufferLists"));
        function(module(), first, port, count, flags);
    }
}

pub(super) unsafe extern "win64" fn on_return(
    _context: NDIS_HANDLE,
    first: *mut NET_BUFFER_LIST,
    flags: u32,
) {
    // SAFETY: as above.
    unsafe {
        transmute::<usize, OnReturn>(import("NdisFReturnNetBufferLists"))(module(), first, flags);
    }
}

pub(super) unsafe extern "win64" fn on_status(
    _context: NDIS_HANDLE,
    indication: *mut NDIS_STATUS_INDICATION,
) {
    type Indicate = unsafe extern "win64" fn(NDIS_HANDLE, *mut NDIS_STATUS_INDICATION);
    // SAFETY: as above.
    unsafe { transmute::<usize, Indicate>(import("NdisFIndicateStatus"))(module(), indication) };
}

pub(super) fn characteristics() -> NDIS_FILTER_DRIVER_CHARACTERISTICS {
    // SAFETY: numbers, NULL strings and absent handlers.
    let mut all: NDIS_FILTER_DRIVER_CHARACTERISTICS = unsafe { zeroed() };
    all.Header = NDIS_OBJECT_HEADER::new(
        NDIS_OBJECT_TYPE_FILTER_DRIVER_CHARACTERISTICS,
        3,
        NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_3,
    );
    (all.MajorNdisVersion, all.MinorNdisVersion) = (6, 80);
    all.FriendlyName = mm::leak_unicode("a filter in Rust");
    all.UniqueName = mm::leak_unicode(UNIQUE);
    all.ServiceName = mm::leak_unicode("filter");
    all.AttachHandler = Some(attach);
    all.DetachHandler = Some(detach);
    all.RestartHandler = Some(restart);
    all.PauseHandler = Some(pause);
    all.SendNetBufferListsHandler = Some(on_send);
    all.SendNetBufferListsCompleteHandler = Some(on_complete);
    all.CancelSendNetBufferListsHandler = Some(on_cancel);
    all.ReceiveNetBufferListsHandler = Some(on_receive);
    all.ReturnNetBufferListsHandler = Some(on_return);
    all.StatusHandler = Some(on_status);
    all
}

pub(super) fn service() -> Arc<Service> {
    let package = Package {
        kind: Kind::Filter,
        net: false,
        functions: Vec::new(),
        description: String::new(),
        matched: String::new(),
        service: "filter".into(),
        binary: String::new(),
        msi: false,
        message_limit: None,
        kmdf: None,
        filter: Some(FilterEntry {
            unique_name: UNIQUE.into(),
            modifying: true,
            mandatory: false,
            class: String::new(),
        }),
        keywords: BTreeMap::new(),
        catalog: None,
    };
    Service::new("filter", package, Owner::next(), Image::of_the_process("filter"), DRIVER_OBJECT::default())
}

pub(super) fn register(service: &Service, all: &mut NDIS_FILTER_DRIVER_CHARACTERISTICS) -> i32 {
    type Register = unsafe extern "win64" fn(
        *mut DRIVER_OBJECT,
        NDIS_HANDLE,
        *mut NDIS_FILTER_DRIVER_CHARACTERISTICS,
        *mut NDIS_HANDLE,
    ) -> i32;
    let mut handle = null_mut();
    // SAFETY: as above.
    let status = unsafe {
        let function = transmute::<usize, Register>(import("NdisFRegisterFilterDriver"));
        function(service.driver_object(), null_mut(), &raw mut *all, &raw mut handle)
    };
    DRIVER.store(handle as u64, SeqCst);
    status
}

/// A wire with or without the filter above it, the protocol bound, lists flowing.
pub(super) fn up(filter: Option<Does>) {
    miniport::register(&Wire);
    if let Some(what) = filter {
        DOES.with(|does| *does = what);
        assert_eq!(register(&service(), &mut characteristics()), NDIS_STATUS_SUCCESS);
    }
    stack::adapter_up().expect("the stack comes up");
}

pub(super) fn send_frames(first: u64, count: u32, cancel_id: u64) {
    protocol::send(Frames { first, count, len: 100, parts: 2, cancel_id }).expect("the protocol sends");
}

/// How the protocol's frames ended: success, aborted, paused, failed, outstanding.
pub(super) fn account() -> [usize; 5] {
    let report = binding::report();
    [report.success, report.aborted, report.paused, report.failed, report.outstanding]
        .map(|ids| ids.iter().count())
}

/// The ID that the protocol gives: its high byte is its own affair.
pub(super) const ID: u64 = 0x0100_0000_0000_0001;
