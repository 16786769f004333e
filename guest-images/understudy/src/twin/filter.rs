//! NDIS filters: lists on their way down and up, cancels by ID, pauses, and what a module must not do
//! (`driver/docs/ndis-filter.md`). The filter and the miniport below it are this file's; the protocol is NDIS's room's.

use super::machine::{on_a_machine, stops_with};
use super::orders;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Irql, Timer, raise, worker};
use crate::mm::{self, Owner};
use crate::ndis::miniport::{self, Miniport};
use crate::ndis::protocol::{self, Frames};
use crate::ndis::{books, exports, flow, stack};
use crate::pe::Image;
use crate::verifier::owners::Service;
use crate::verifier::trace;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ffi::c_void;
use core::mem::{transmute, zeroed};
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use ndis_sys::*;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;
use understudy_rules::inf::{FilterEntry, Kind, Package};
use understudy_rules::ndis::ledger::{List, Party};
use understudy_rules::receive_filter::{Filter, Mac};
use wdk_offline::{DRIVER_OBJECT, NTSTATUS, STATUS_SUCCESS};

const UNIQUE: &str = "{4e1f0d3a-5d2b-4f0e-9c61-000000000001}";
const MAC: Mac = [2, 0, 0, 0, 0, 1];

/// An adapter that keeps what it is given until the test completes it.
struct Wire;

static RUNNING: AtomicBool = AtomicBool::new(false);
static KEPT: IrqLock<Vec<List>> = IrqLock::new(Vec::new());
static BACK: IrqLock<Vec<List>> = IrqLock::new(Vec::new());

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
fn complete_all() {
    let lists = KEPT.with(core::mem::take);
    lists.iter().for_each(|&list| books::live(list).set_status(NDIS_STATUS_SUCCESS));
    if !lists.is_empty() {
        flow::complete(Party::Miniport, &lists);
    }
}

fn kept() -> usize {
    KEPT.with(|kept| kept.len())
}

/// What the filter does wrong, or how it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
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

static DOES: IrqLock<Does> = IrqLock::new(Does::Right);
/// The gate is closed: sends wait in the filter.
static CLOSED: AtomicBool = AtomicBool::new(false);
static QUEUED: IrqLock<Vec<List>> = IrqLock::new(Vec::new());
static MODULE: AtomicU64 = AtomicU64::new(0);
static DRIVER: AtomicU64 = AtomicU64::new(0);

fn does(what: Does) -> bool {
    DOES.with(|does| *does == what)
}

fn module() -> NDIS_HANDLE {
    MODULE.load(SeqCst) as NDIS_HANDLE
}

fn import(name: &str) -> usize {
    exports::resolve(name).expect("an export")
}

type OnLists = unsafe extern "win64" fn(NDIS_HANDLE, *mut NET_BUFFER_LIST, u32, u32);
type OnReturn = unsafe extern "win64" fn(NDIS_HANDLE, *mut NET_BUFFER_LIST, u32);

fn send(lists: &[List]) {
    // SAFETY: the export has this type; NDIS checks what it is given. So for all below.
    unsafe {
        transmute::<usize, OnLists>(import("NdisFSendNetBufferLists"))(module(), books::linked(lists), 0, 0);
    }
}

fn complete(lists: &[List], status: i32) {
    lists.iter().for_each(|&list| books::live(list).set_status(status));
    complete_as_they_are(lists);
}

fn complete_as_they_are(lists: &[List]) {
    // SAFETY: as above.
    unsafe {
        let function = transmute::<usize, OnReturn>(import("NdisFSendNetBufferListsComplete"));
        function(module(), books::linked(lists), 0);
    }
}

fn pass_cancel_on(id: *mut c_void) {
    type Cancel = unsafe extern "win64" fn(NDIS_HANDLE, *mut c_void);
    // SAFETY: as above.
    unsafe { transmute::<usize, Cancel>(import("NdisFCancelSendNetBufferLists"))(module(), id) };
}

unsafe extern "win64" fn attach(
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

unsafe extern "win64" fn detach(_context: NDIS_HANDLE) {}

unsafe extern "win64" fn restart(
    _context: NDIS_HANDLE,
    _parameters: *mut NDIS_FILTER_RESTART_PARAMETERS,
) -> i32 {
    NDIS_STATUS_SUCCESS
}

fn pause_complete() {
    type Complete = unsafe extern "win64" fn(NDIS_HANDLE);
    // SAFETY: as above.
    unsafe { transmute::<usize, Complete>(import("NdisFPauseComplete"))(module()) };
}

unsafe extern "win64" fn pause(_context: NDIS_HANDLE, _parameters: *mut NDIS_FILTER_PAUSE_PARAMETERS) -> i32 {
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

unsafe extern "win64" fn on_send(
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

unsafe extern "win64" fn on_complete(_context: NDIS_HANDLE, first: *mut NET_BUFFER_LIST, _flags: u32) {
    let lists = books::chain(first);
    if does(Does::WritesTheData) {
        let buffer = books::live(lists[0]).buffers().expect("a chain")[0];
        let piece = buffer.pieces().expect("pieces")[0];
        // SAFETY: the list's data, which is not the filter's to write: that is what is to be seen.
        unsafe { (piece.address as *mut u8).write(0x55) };
    }
    complete_as_they_are(&lists);
}

unsafe extern "win64" fn on_cancel(_context: NDIS_HANDLE, id: *mut c_void) {
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

unsafe extern "win64" fn on_receive(
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

unsafe extern "win64" fn on_return(_context: NDIS_HANDLE, first: *mut NET_BUFFER_LIST, flags: u32) {
    // SAFETY: as above.
    unsafe {
        transmute::<usize, OnReturn>(import("NdisFReturnNetBufferLists"))(module(), first, flags);
    }
}

unsafe extern "win64" fn on_status(_context: NDIS_HANDLE, indication: *mut NDIS_STATUS_INDICATION) {
    type Indicate = unsafe extern "win64" fn(NDIS_HANDLE, *mut NDIS_STATUS_INDICATION);
    // SAFETY: as above.
    unsafe { transmute::<usize, Indicate>(import("NdisFIndicateStatus"))(module(), indication) };
}

fn characteristics() -> NDIS_FILTER_DRIVER_CHARACTERISTICS {
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

fn service() -> Arc<Service> {
    let package = Package {
        kind: Kind::Filter,
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
    };
    Service::new("filter", package, Owner::next(), Image::of_the_process("filter"), DRIVER_OBJECT::default())
}

fn register(service: &Service, all: &mut NDIS_FILTER_DRIVER_CHARACTERISTICS) -> i32 {
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
fn up(filter: Option<Does>) {
    miniport::register(&Wire);
    if let Some(what) = filter {
        DOES.with(|does| *does = what);
        assert_eq!(register(&service(), &mut characteristics()), NDIS_STATUS_SUCCESS);
    }
    stack::adapter_up().expect("the stack comes up");
}

fn send_frames(first: u64, count: u32, cancel_id: u64) {
    protocol::send(Frames { first, count, len: 100, parts: 2, cancel_id }).expect("the protocol sends");
}

/// How the protocol's frames ended: success, aborted, paused, failed, outstanding.
fn account() -> [usize; 5] {
    let report = protocol::report();
    [report.success, report.aborted, report.paused, report.failed, report.outstanding]
        .map(|ids| ids.iter().count())
}

/// The ID that the protocol gives: its high byte is its own affair.
const ID: u64 = 0x0100_0000_0000_0001;

#[test]
fn what_the_protocol_sends_comes_back_with_the_wires_status() {
    on_a_machine!(|| {
        up(None);
        send_frames(1, 20, 0);
        assert_eq!((kept(), account()), (20, [0, 0, 0, 0, 20]));
        complete_all();
        assert_eq!(account(), [20, 0, 0, 0, 0]);
    });
}

#[test]
fn lists_go_through_a_filter_both_ways() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 20, 0);
        complete_all();
        assert_eq!(account(), [20, 0, 0, 0, 0]);
    });
}

#[test]
fn a_cancel_aborts_what_waits_in_the_filter_under_its_id_and_nothing_else() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 5, ID);
        CLOSED.store(true, SeqCst);
        send_frames(6, 7, ID);
        send_frames(13, 3, ID + 1);
        protocol::cancel(ID).unwrap();
        assert_eq!(account(), [0, 7, 0, 0, 8], "those below the filter go on");
        CLOSED.store(false, SeqCst);
        send(&QUEUED.with(core::mem::take));
        complete_all();
        assert_eq!(account(), [8, 7, 0, 0, 0]);
    });
}

#[test]
fn a_cancel_of_an_id_that_nobody_has_is_passed_on_and_changes_nothing() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 5, ID);
        protocol::cancel(ID + 7).unwrap();
        assert_eq!(account(), [0, 0, 0, 0, 5]);
        complete_all();
    });
}

#[test]
fn a_pause_completes_what_waits_as_paused_and_a_restart_lets_lists_flow_again() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        CLOSED.store(true, SeqCst);
        send_frames(1, 4, 0);
        stack::pause(1);
        assert_eq!(account(), [0, 0, 4, 0, 0]);
        CLOSED.store(false, SeqCst);
        stack::start();
        send_frames(5, 2, 0);
        complete_all();
        assert_eq!(account(), [2, 0, 4, 0, 0]);
    });
}

#[test]
fn what_is_sent_to_a_paused_stack_ends_paused() {
    on_a_machine!(|| {
        up(None);
        stack::pause(1);
        send_frames(1, 4, 0);
        assert_eq!(account(), [0, 0, 4, 0, 0]);
    });
}

#[test]
fn a_filter_is_detached_and_attached_while_the_protocol_stays() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        stack::detach().unwrap();
        assert!(stack::detach().unwrap_err().contains("no filter is attached"));
        send_frames(1, 2, 0);
        complete_all();
        stack::attach().unwrap();
        assert!(stack::attach().unwrap_err().contains("no filter is registered"));
        send_frames(3, 2, 0);
        complete_all();
        assert_eq!(account(), [4, 0, 0, 0, 0]);
    });
}

#[test]
fn an_unbind_waits_until_all_that_was_sent_is_back() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 3, 0);
        let done = Arc::new(Event::auto());
        let set = done.clone();
        worker::run(Box::new(move || {
            stack::unbind().unwrap();
            set.set();
        }));
        assert!(!done.wait_timeout(1_000_000));
        complete_all();
        assert!(done.wait_timeout(1_000_000));
        assert!(protocol::send(Frames { first: 9, count: 1, len: 100, parts: 1, cancel_id: 0 }).is_err());
    });
}

#[test]
fn an_optional_filter_that_fails_to_attach_is_left_out() {
    on_a_machine!(|| {
        up(Some(Does::FailsToAttach));
        send_frames(1, 2, 0);
        complete_all();
        assert_eq!(account(), [2, 0, 0, 0, 0]);
    });
}

#[test]
fn an_adapter_that_goes_leaves_nothing_out() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 3, 0);
        complete_all();
        stack::adapter_down(true);
        assert!(!protocol::is_bound());
    });
}

#[test]
fn received_lists_go_up_through_the_filter_and_back_to_the_wire() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        let frame: &'static [u8] = understudy_rules::frame::build(42, 100, MAC).leak();
        let extent = crate::ndis::memory::Extent { address: frame.as_ptr() as usize, len: frame.len() };
        let list = crate::ndis::memory::make(Party::Miniport, Wire.handle(), &[extent], 0).unwrap();
        flow::indicate_from_miniport(&[list]);
        crate::ke::delay_us(10);
        assert_eq!(BACK.with(|back| back.clone()), [list]);
        assert_eq!(protocol::report().received.iter().collect::<Vec<_>>(), [42]);
    });
}

/// Two threads in every order while the filter's gate is closed over four lists under [`ID`]; then all is let go and every
/// list must have ended in one of the ways that `ends` allows: success, aborted, paused.
fn every_order(first: fn(), second: fn(), ends: [bool; 3]) {
    up(Some(Does::Right));
    let mut sent = 0;
    let rounds = orders::every(1, || {
        CLOSED.store(true, SeqCst);
        send_frames(1 + sent, 4, ID);
        sent += 4;
        orders::race(Box::new(first), Box::new(second));
        open();
        complete_all();
        if !RUNNING.load(SeqCst) {
            stack::start();
        }
        let all = account();
        assert_eq!((all[3], all[4]), (0, 0), "failed and outstanding");
        assert_eq!(all.iter().sum::<usize>() as u64, sent);
        assert!(all.iter().zip(ends).all(|(&count, may)| may || count == 0), "{all:?}");
    });
    assert!(rounds > 5, "{rounds} orders");
    std::println!("{rounds} orders");
}

/// The gate opens: what waits goes down.
fn open() {
    CLOSED.store(false, SeqCst);
    let waiting = QUEUED.with(core::mem::take);
    if !waiting.is_empty() {
        send(&waiting);
    }
}

fn cancel_them() {
    protocol::cancel(ID).expect("the protocol cancels");
}

#[test]
fn a_cancel_against_the_opening_of_the_gate_in_every_order() {
    // in a callback of the driver's: what it is carrying just then is no list that it forgot
    let opens = || trace::callback("filter", "EvtTimerFunc", open);
    on_a_machine!(move || every_order(cancel_them, opens, [true, true, false]));
}

#[test]
fn a_cancel_against_a_pause_in_every_order() {
    on_a_machine!(|| every_order(cancel_them, || stack::pause(1), [false, true, true]));
}

#[test]
fn two_cancels_of_one_id_in_every_order() {
    on_a_machine!(|| every_order(cancel_them, cancel_them, [false, true, false]));
}

#[test]
fn the_opening_of_the_gate_and_its_completions_against_a_pause_in_every_order() {
    on_a_machine!(|| {
        let through = || {
            open();
            complete_all();
        };
        every_order(through, || stack::pause(1), [true, false, true]);
    });
}

#[test]
fn generated_bytes_of_cancellation_ids_differ() {
    on_a_machine!(|| {
        let generate = import("NdisGeneratePartialCancelId");
        // SAFETY: as above.
        let byte = || unsafe { transmute::<usize, unsafe extern "win64" fn() -> u8>(generate)() };
        assert_eq!([byte(), byte(), byte()], [1, 2, 3]);
    });
}

#[test]
fn a_registration_that_does_not_hold_together_is_refused() {
    on_a_machine!(|| {
        miniport::register(&Wire);
        type Spoil = fn(&mut NDIS_FILTER_DRIVER_CHARACTERISTICS);
        let service = service();
        let spoiled: [(Spoil, i32); 7] = [
            (|all| all.Header.Type = 0, NDIS_STATUS_BAD_CHARACTERISTICS),
            (|all| all.MajorNdisVersion = 5, NDIS_STATUS_BAD_VERSION),
            (|all| all.MinorNdisVersion = 99, NDIS_STATUS_BAD_VERSION),
            (|all| all.Header.Size -= 8, NDIS_STATUS_BAD_CHARACTERISTICS),
            (|all| all.PauseHandler = None, NDIS_STATUS_BAD_CHARACTERISTICS),
            (|all| all.StatusHandler = None, NDIS_STATUS_BAD_CHARACTERISTICS),
            (|all| all.Flags = 0x8000, NDIS_STATUS_BAD_CHARACTERISTICS),
        ];
        for (at, (spoil, expected)) in spoiled.into_iter().enumerate() {
            let mut all = characteristics();
            spoil(&mut all);
            assert_eq!(register(&service, &mut all), expected, "case {at}");
        }
        assert_eq!(register(&service, &mut characteristics()), NDIS_STATUS_SUCCESS);
    });
}

/// What the filter does wrong shows while it is cancelled with a closed gate.
fn cancelled(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(Some(what));
        CLOSED.store(true, SeqCst);
        send_frames(1, 4, ID);
        drop(protocol::cancel(ID));
    }
}

#[test]
fn a_cancel_that_is_not_passed_on_is_named() {
    stops_with!("CancelNotPassedOn", cancelled(Does::ForgetsToPassOn));
}

#[test]
fn a_cancel_that_is_passed_on_twice_is_named() {
    stops_with!("CancelPassedOnTwice", cancelled(Does::PassesOnTwice));
}

#[test]
fn a_cancel_that_is_passed_on_with_another_id_is_named() {
    stops_with!("CancelIdNotSame", cancelled(Does::ChangesTheId));
}

#[test]
fn a_list_that_matches_and_stays_is_named() {
    stops_with!("CancelLeftMatchingList", cancelled(Does::KeepsAMatch));
}

/// What the filter does wrong shows in a send and its completion.
fn sent(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(Some(what));
        send_frames(1, 4, ID);
        complete_all();
    }
}

#[test]
fn a_completion_without_a_status_is_named() {
    stops_with!("StatusNotSet", sent(Does::CompletesWithoutStatus));
}

#[test]
fn a_list_that_is_completed_and_then_sent_is_named() {
    stops_with!("NotANetBufferList", sent(Does::SendsWhatItHasCompleted));
}

#[test]
fn a_list_that_is_completed_twice_is_named() {
    stops_with!("NotANetBufferList", sent(Does::CompletesTwice));
}

#[test]
fn an_abort_without_a_cancel_is_named() {
    stops_with!("AbortedWithoutCancel", sent(Does::AbortsWithoutCancel));
}

#[test]
fn data_that_is_written_on_the_way_back_is_named() {
    stops_with!("ListNotRestored", sent(Does::WritesTheData));
}

#[test]
fn a_handler_that_returns_at_another_irql_is_named() {
    stops_with!("IrqlNotRestored", sent(Does::RaisesIrql));
}

/// What the filter does wrong shows in a pause with lists in it.
fn paused(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(Some(what));
        CLOSED.store(true, SeqCst);
        send_frames(1, 4, ID);
        stack::pause(1);
    }
}

#[test]
fn a_pause_that_ends_with_lists_held_is_named() {
    stops_with!("PausedWithListsHeld", paused(Does::PausesWithListsHeld));
}

#[test]
fn a_pause_that_never_ends_is_named() {
    stops_with!("NdisFilterTimedPauseComplete", paused(Does::NeverPauses));
}

#[test]
fn a_pause_that_ends_twice_is_named() {
    stops_with!("NdisFilterTimedPauseComplete", paused(Does::PausesTwice));
}

#[test]
fn an_attach_that_sets_no_attributes_is_named() {
    stops_with!("FilterAttributesNotSet", || up(Some(Does::SetsNoAttributes)));
}

#[test]
fn a_pause_completion_without_a_pause_is_named() {
    stops_with!("PauseCompleteWithoutPause", || {
        up(Some(Does::Right));
        pause_complete();
    });
}

#[test]
fn an_empty_chain_is_named() {
    stops_with!("EmptyChain", || {
        up(Some(Does::Right));
        send(&[]);
    });
}

#[test]
fn a_handle_of_no_module_is_named() {
    stops_with!("InvalidFilterHandle", || {
        up(Some(Does::Right));
        MODULE.store(0x10, SeqCst);
        pause_complete();
    });
}

#[test]
fn a_handle_after_the_detach_is_named() {
    stops_with!("HandleAfterDetach", || {
        up(Some(Does::Right));
        stack::detach().unwrap();
        pause_complete();
    });
}

#[test]
fn a_null_id_that_a_filter_cancels_itself_is_named() {
    stops_with!("NullCancelIdStarted", || {
        up(Some(Does::Right));
        pass_cancel_on(null_mut());
    });
}

#[test]
fn an_id_that_ndis_did_not_give_is_named() {
    stops_with!("CancelIdNotOwn", || {
        up(Some(Does::Right));
        pass_cancel_on(0x7700_0000_0000_0001_u64 as *mut c_void);
    });
}

#[test]
fn an_event_that_was_not_initialised_is_named() {
    stops_with!("EventNotInitialized", || {
        type Set = unsafe extern "win64" fn(*mut c_void);
        // SAFETY: as above.
        unsafe { transmute::<usize, Set>(import("NdisSetEvent"))(null::<u8>().cast_mut().cast()) };
    });
}

#[test]
fn the_timer_of_a_watched_callback_does_not_outlive_it() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        stack::pause(1);
        stack::start();
        // longer than NDIS gives a pause
        crate::ke::delay_us(20_000_000);
        drop(Timer::new(Box::new(|| ())));
    });
}
