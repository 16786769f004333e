//! KMDF's helpers and what a driver sets up: wait locks, work items, periodic timers, collections, strings, the registry,
//! contexts, memory, control devices, filters.

use super::driver::{CODE, Callbacks, Change, Driver, Io, made, open, status};
use super::machine::{on_a_machine, stops_with};
use crate::io::file::File;
use crate::io::{device, names};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Irql, Thread, delay_us, irql, lower, now_us, raise};
use crate::mm;
use crate::wdf::{
    collection, control, device as kmdf_device, device_api, device_init, driver, memory, object, registry,
    string, timer, wait_lock, work_item,
};
use alloc::sync::Arc;
use core::ffi::c_void;
use core::mem::zeroed;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;
use wdk_offline::*;

const TIMEOUT: NTSTATUS = 0x102;
const TYPE_MISMATCH: NTSTATUS = status(0xC000_0024);

fn attributes(parent: u64) -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES {
        Size: size_of::<WDF_OBJECT_ATTRIBUTES>() as u32,
        ExecutionLevel: 1,
        SynchronizationScope: 1,
        ParentObject: parent as WDFOBJECT,
        // SAFETY: numbers and nullable pointers.
        ..unsafe { zeroed() }
    }
}

fn delete(handle: u64) {
    // SAFETY: KMDF checks the handle; so for all below.
    unsafe { object::object_delete(null_mut(), handle as WDFOBJECT) };
}

/// A WDFWAITLOCK as tests hold it.
#[derive(Clone, Copy)]
struct Lock(u64);

impl Lock {
    fn new(driver: &Driver) -> Self {
        let mut lock = null_mut();
        // SAFETY: as above.
        assert_eq!(unsafe { wait_lock::create(driver.globals(), null_mut(), &raw mut lock) }, STATUS_SUCCESS);
        Self(lock as u64)
    }

    fn acquire(self, units: Option<i64>) -> NTSTATUS {
        let mut timeout = units.map(|units| -units);
        let timeout = timeout.as_mut().map_or(null_mut(), |timeout| &raw mut *timeout);
        // SAFETY: as above.
        unsafe { wait_lock::acquire(null_mut(), self.0 as WDFWAITLOCK, timeout) }
    }

    fn release(self) {
        // SAFETY: as above.
        unsafe { wait_lock::release(null_mut(), self.0 as WDFWAITLOCK) };
    }
}

#[test]
fn a_wait_lock_keeps_another_thread_waiting_at_passive_level() {
    on_a_machine!(|| {
        let driver = Driver::load("locks");
        let lock = Lock::new(&driver);
        let got = Arc::new(AtomicU32::new(0));
        assert_eq!((lock.acquire(None), irql()), (STATUS_SUCCESS, Irql::PASSIVE));
        let taken = got.clone();
        Thread::spawn(
            "other",
            Box::new(move || {
                assert_eq!(lock.acquire(Some(1_000)), TIMEOUT);
                assert_eq!(lock.acquire(None), STATUS_SUCCESS);
                taken.store(1, SeqCst);
                lock.release();
            }),
        );
        delay_us(10_000);
        assert_eq!(got.load(SeqCst), 0);
        lock.release();
        delay_us(10);
        assert_eq!((got.load(SeqCst), lock.acquire(Some(0))), (1, STATUS_SUCCESS));
        lock.release();
        delete(lock.0);
    });
}

#[test]
fn a_wait_lock_that_the_thread_has_is_not_waited_for() {
    stops_with!("WaitLockAcquiredTwice", || {
        let lock = Lock::new(&Driver::load("locks"));
        lock.acquire(None);
        lock.acquire(None);
    });
}

#[test]
fn a_wait_lock_that_nobody_has_is_not_released() {
    stops_with!("WaitLockNotHeld", || Lock::new(&Driver::load("locks")).release());
}

#[test]
fn a_wait_lock_is_not_waited_for_at_dispatch_level() {
    stops_with!("IrqlTooHigh", || {
        let lock = Lock::new(&Driver::load("locks"));
        raise(Irql::DISPATCH);
        lock.acquire(Some(10));
    });
}

static RAN: AtomicU32 = AtomicU32::new(0);
static GOT: AtomicU64 = AtomicU64::new(0);

unsafe extern "win64" fn evt_work_item(item: WDFWORKITEM) {
    assert_eq!(irql(), Irql::PASSIVE);
    GOT.store(item as u64, SeqCst);
    delay_us(100);
    RAN.fetch_add(1, SeqCst);
}

fn work(parent: u64) -> Result<u64, NTSTATUS> {
    let mut config = WDF_WORKITEM_CONFIG {
        Size: size_of::<WDF_WORKITEM_CONFIG>() as u32,
        EvtWorkItemFunc: Some(evt_work_item),
        AutomaticSerialization: 1,
    };
    let (mut attributes, mut item) = (attributes(parent), null_mut());
    // SAFETY: as above.
    let status =
        unsafe { work_item::create(null_mut(), &raw mut config, &raw mut attributes, &raw mut item) };
    if status == STATUS_SUCCESS { Ok(item as u64) } else { Err(status) }
}

fn enqueue(item: u64) {
    // SAFETY: as above.
    unsafe { work_item::enqueue(null_mut(), item as WDFWORKITEM) };
}

#[test]
fn a_work_item_runs_once_for_what_was_queued_before_it_ran() {
    on_a_machine!(|| {
        let driver = Driver::load("work");
        let item = work(driver.device() as u64).expect("a work item");
        let old = raise(Irql::DISPATCH);
        enqueue(item);
        enqueue(item);
        lower(old);
        // SAFETY: as above.
        unsafe { work_item::flush(null_mut(), item as WDFWORKITEM) };
        assert_eq!((RAN.load(SeqCst), GOT.load(SeqCst)), (1, item));
        // SAFETY: as above.
        let parent = unsafe { work_item::get_parent_object(null_mut(), item as WDFWORKITEM) };
        assert_eq!(parent as u64, driver.device() as u64);
        enqueue(item);
        delete(item);
        assert_eq!(RAN.load(SeqCst), 2, "a deletion waits for it");
    });
}

#[test]
fn a_work_item_without_a_parent_is_refused() {
    on_a_machine!(|| assert_eq!(work(0).err(), Some(status(0xC020_0212))));
}

unsafe extern "win64" fn evt_timer(_timer: WDFTIMER) {
    assert_eq!(irql(), Irql::DISPATCH);
    RAN.fetch_add(1, SeqCst);
    GOT.store(now_us(), SeqCst);
}

#[test]
fn a_timer_with_a_period_fires_until_it_is_stopped() {
    on_a_machine!(|| {
        let driver = Driver::load("timer");
        let mut config = WDF_TIMER_CONFIG {
            Size: size_of::<WDF_TIMER_CONFIG>() as u32,
            EvtTimerFunc: Some(evt_timer),
            Period: 2,
            // SAFETY: numbers.
            ..unsafe { zeroed() }
        };
        let (mut attributes, mut made) = (attributes(driver.device() as u64), null_mut());
        // SAFETY: as above.
        unsafe {
            let status = timer::create(null_mut(), &raw mut config, &raw mut attributes, &raw mut made);
            assert_eq!(status, STATUS_SUCCESS);
            let began = now_us();
            assert_eq!(timer::start(null_mut(), made, -10_000), 0);
            delay_us(6_500);
            assert_eq!((RAN.load(SeqCst), timer::stop(null_mut(), made, 1)), (3, 1));
            assert!((5_000..5_200).contains(&(GOT.load(SeqCst) - began)));
            delay_us(10_000);
            assert_eq!((RAN.load(SeqCst), timer::stop(null_mut(), made, 1)), (3, 0));
        }
    });
}

fn general(driver: &Driver) -> u64 {
    let mut made = null_mut();
    // SAFETY: as above.
    assert_eq!(unsafe { object::object_create(driver.globals(), null_mut(), &raw mut made) }, STATUS_SUCCESS);
    made as u64
}

#[test]
fn a_collection_keeps_its_items_in_their_order_and_alive() {
    on_a_machine!(|| {
        let driver = Driver::load("collection");
        let mut made = null_mut();
        let items = [general(&driver), general(&driver), general(&driver)];
        // SAFETY: as above; so for all below.
        unsafe {
            assert_eq!(collection::create(driver.globals(), null_mut(), &raw mut made), STATUS_SUCCESS);
            assert!(collection::get_first_item(null_mut(), made).is_null());
            for item in items {
                assert_eq!(collection::add(null_mut(), made, item as WDFOBJECT), STATUS_SUCCESS);
            }
            let at = |index| collection::get_item(null_mut(), made, index) as u64;
            assert_eq!((at(0), at(1), at(2), at(3)), (items[0], items[1], items[2], 0));
            delete(items[1]);
            assert!(object::references(items[1], "test") == 0, "deleted, and still there");
            collection::remove(null_mut(), made, items[1] as WDFOBJECT);
            assert_eq!(collection::get_count(null_mut(), made), 2);
            collection::remove_item(null_mut(), made, 0);
            assert_eq!(collection::get_first_item(null_mut(), made) as u64, items[2]);
            assert_eq!(collection::get_last_item(null_mut(), made) as u64, items[2]);
        }
        delete(made as u64);
        delete(items[2]);
    });
}

#[test]
fn an_item_that_was_deleted_and_taken_out_is_gone() {
    stops_with!("InvalidHandle", || {
        let driver = Driver::load("collection");
        let (mut made, item) = (null_mut(), general(&driver));
        // SAFETY: as above.
        unsafe {
            collection::create(driver.globals(), null_mut(), &raw mut made);
            collection::add(null_mut(), made, item as WDFOBJECT);
            delete(item);
            collection::remove_item(null_mut(), made, 0);
        }
        delete(item);
    });
}

#[test]
fn an_item_that_is_not_there_is_not_taken_out() {
    stops_with!("NotInCollection", || {
        let driver = Driver::load("collection");
        let mut made = null_mut();
        // SAFETY: as above.
        unsafe {
            collection::create(driver.globals(), null_mut(), &raw mut made);
            collection::remove_item(null_mut(), made, 0);
        }
    });
}

fn new_string(driver: &Driver, text: &str) -> WDFSTRING {
    let (given, mut made) = (mm::leak_unicode(text), null_mut());
    // SAFETY: as above.
    let status = unsafe { string::create(driver.globals(), &raw const given, null_mut(), &raw mut made) };
    assert_eq!(status, STATUS_SUCCESS);
    made
}

fn text_of(string: WDFSTRING) -> String {
    // SAFETY: numbers and a pointer; as above.
    let mut out: UNICODE_STRING = unsafe { zeroed() };
    // SAFETY: as above.
    unsafe { string::get_unicode_string(null_mut(), string, &raw mut out) };
    crate::io::api::text(&raw const out)
}

#[test]
fn a_string_holds_what_it_is_made_from() {
    on_a_machine!(|| {
        let driver = Driver::load("strings");
        assert_eq!(
            (text_of(new_string(&driver, "abc")), text_of(new_string(&driver, ""))),
            ("abc".into(), "".into())
        );
    });
}

/// A value's name, for a call.
fn name(text: &str) -> UNICODE_STRING {
    mm::leak_unicode(text)
}

fn parameters(driver: &Driver) -> WDFKEY {
    let mut key = null_mut();
    // SAFETY: as above.
    unsafe {
        let handle = device_api::get_driver(driver.globals(), driver.device());
        let opened = registry::open_parameters(driver.globals(), handle, 1, null_mut(), &raw mut key);
        assert_eq!(opened, STATUS_SUCCESS);
    }
    key
}

fn ulong(key: WDFKEY, value: &str) -> (NTSTATUS, u32) {
    let (name, mut number) = (name(value), 0);
    // SAFETY: as above.
    (unsafe { registry::query_ulong(null_mut(), key, &raw const name, &raw mut number) }, number)
}

#[test]
fn values_of_the_parameters_key_are_read_as_what_they_are() {
    on_a_machine!(|| {
        let driver = Driver::load("registry");
        let key = parameters(&driver);
        assert_eq!(ulong(key, "Depth").0, STATUS_OBJECT_NAME_NOT_FOUND);
        let (depth, label) = (name("Depth"), name("Label"));
        // SAFETY: as above; so for all below.
        unsafe {
            assert_eq!(registry::assign_ulong(null_mut(), key, &raw const depth, 9), STATUS_SUCCESS);
            let text = new_string(&driver, "left");
            assert_eq!(registry::assign_string(null_mut(), key, &raw const label, text), STATUS_SUCCESS);
            assert_eq!((ulong(key, "depth"), ulong(key, "Label").0), ((STATUS_SUCCESS, 9), TYPE_MISMATCH));
            let into = new_string(&driver, "");
            assert_eq!(registry::query_string(null_mut(), key, &raw const label, into), STATUS_SUCCESS);
            assert_eq!(text_of(into), "left");
            assert_eq!(registry::query_string(null_mut(), key, &raw const depth, into), TYPE_MISMATCH);
            let mut units = [0_u16; 5];
            let mut out = UNICODE_STRING { Length: 0, MaximumLength: 8, Buffer: units.as_mut_ptr() };
            let mut len = 0;
            let mut query = |out: &mut UNICODE_STRING| {
                registry::query_unicode_string(null_mut(), key, &raw const label, &raw mut len, out)
            };
            assert_eq!(query(&mut out), status(0x8000_0005), "there is no room for the zero");
            out.MaximumLength = 10;
            assert_eq!((query(&mut out), out.Length, len), (STATUS_SUCCESS, 8, 10));
            let mut memory = null_mut();
            let none = null_mut();
            let status = registry::query_memory(
                driver.globals(),
                key,
                &raw const depth,
                512,
                none,
                &raw mut memory,
                null_mut(),
            );
            let mut len = 0;
            let bytes = memory::get_buffer(null_mut(), memory, &raw mut len).cast::<u32>();
            assert_eq!((status, len, *bytes), (STATUS_SUCCESS, 4, 9));
            assert_eq!(registry::remove_value(null_mut(), key, &raw const depth), STATUS_SUCCESS);
            assert_eq!(ulong(key, "Depth").0, STATUS_OBJECT_NAME_NOT_FOUND);
            assert_eq!(registry::remove_key(null_mut(), key), STATUS_SUCCESS);
        }
    });
}

#[repr(C)]
struct Context {
    number: u64,
}

fn type_info() -> &'static WDF_OBJECT_CONTEXT_TYPE_INFO {
    let info = Box::leak(Box::new(WDF_OBJECT_CONTEXT_TYPE_INFO {
        Size: size_of::<WDF_OBJECT_CONTEXT_TYPE_INFO>() as u32,
        ContextSize: size_of::<Context>(),
        // SAFETY: numbers and nullable pointers.
        ..unsafe { zeroed() }
    }));
    info.UniqueType = info;
    info
}

#[test]
fn an_object_gets_a_further_context_once_and_is_found_by_it() {
    on_a_machine!(|| {
        let driver = Driver::load("contexts");
        let object = general(&driver);
        let (mut attributes, mut first, mut second) = (attributes(0), null_mut(), null_mut());
        attributes.ContextTypeInfo = type_info();
        // SAFETY: as above.
        unsafe {
            let mut allocate = |out: *mut *mut c_void| {
                object::allocate_context(null_mut(), object as WDFOBJECT, &raw mut attributes, out)
            };
            assert_eq!(allocate(&raw mut first), STATUS_SUCCESS);
            (*first.cast::<Context>()).number = 5;
            assert_eq!((allocate(&raw mut second), second), (0x4000_0000, first));
            assert_eq!(object::context_get_object(null_mut(), first) as u64, object);
        }
    });
}

#[test]
fn memory_over_a_buffer_of_the_drivers_is_copied_within_its_bounds() {
    on_a_machine!(|| {
        let driver = Driver::load("memory");
        let (mut bytes, mut memory) = (*b"abcdef", null_mut());
        // SAFETY: as above.
        unsafe {
            let at = bytes.as_mut_ptr().cast::<c_void>();
            let made = memory::create_preallocated(driver.globals(), null_mut(), at, 6, &raw mut memory);
            assert_eq!(made, STATUS_SUCCESS);
            let mut out = [0_u8; 3];
            let to = out.as_mut_ptr().cast();
            assert_eq!(memory::copy_to_buffer(null_mut(), memory, 2, to, 3), STATUS_SUCCESS);
            assert_eq!(memory::copy_to_buffer(null_mut(), memory, 4, to, 3), STATUS_BUFFER_TOO_SMALL);
            assert_eq!(
                memory::copy_to_buffer(null_mut(), memory, usize::MAX, to, 3),
                STATUS_BUFFER_TOO_SMALL
            );
            assert_eq!(memory::copy_from_buffer(null_mut(), memory, 0, to, 3), STATUS_SUCCESS);
            assert_eq!((out, bytes), (*b"cde", *b"cdedef"));
            let mut other = [7_u8; 2];
            let at = other.as_mut_ptr().cast();
            assert_eq!(memory::assign_buffer(null_mut(), memory, at, 2), STATUS_SUCCESS);
            assert_eq!(memory::get_buffer(null_mut(), memory, null_mut()), at);
        }
        delete(memory as u64);
    });
}

#[test]
fn memory_of_the_frameworks_takes_no_other_buffer() {
    stops_with!("InvalidHandle", || {
        let driver = Driver::load("memory");
        let mut made = null_mut();
        // SAFETY: as above.
        unsafe {
            memory::create(driver.globals(), null_mut(), 512, 0, 8, &raw mut made, null_mut());
            memory::assign_buffer(null_mut(), made, made.cast(), 8);
        }
    });
}

/// A control device of that name, not finished; its link is `\DosDevices\NAME`.
fn control_device(driver: &Driver, called: &str) -> (WDFDEVICE, *mut DEVICE_OBJECT) {
    let mut device = null_mut();
    // SAFETY: as above.
    unsafe {
        let handle = device_api::get_driver(driver.globals(), driver.device());
        let mut init = control::init_allocate(driver.globals(), handle, null());
        let path = mm::leak_unicode(&std::format!("\\Device\\{called}"));
        assert_eq!(device_init::assign_name(null_mut(), init, &raw const path), STATUS_SUCCESS);
        device_init::set_exclusive(null_mut(), init, 1);
        let created =
            kmdf_device::device_create(driver.globals(), &raw mut init, null_mut(), &raw mut device);
        assert_eq!((created, init.is_null()), (STATUS_SUCCESS, true));
        let link = mm::leak_unicode(&std::format!("\\DosDevices\\{called}"));
        assert_eq!(device_api::create_symbolic_link(null_mut(), device, &raw const link), STATUS_SUCCESS);
        (device, kmdf_device::wdm_get_device_object(null_mut(), device))
    }
}

#[test]
fn a_control_device_is_opened_by_its_link_once_it_is_finished_and_by_one_program_at_a_time() {
    on_a_machine!(|| {
        let driver = Driver::load("control");
        let (device, object) = control_device(&driver, "Control0");
        assert_eq!(names::resolve("\\\\.\\Control0"), Some(object));
        assert_eq!(File::open(object, "", true).err(), Some(status(0xC000_000E)), "it is not finished");
        // SAFETY: as above.
        unsafe { control::finish_initializing(null_mut(), device) };
        let file = File::open(object, "", true).expect("it is finished");
        assert_eq!(File::open(object, "", true).err(), Some(status(0xC000_0022)), "it is exclusive");
        file.close();
        File::open(object, "", true).expect("nobody has it open").close();
        delete(device as u64);
        assert!(!device::exists(object) && names::resolve("\\\\.\\Control0").is_none());
    });
}

#[test]
fn a_control_device_goes_with_its_driver() {
    on_a_machine!(|| {
        let driver = Driver::load("control");
        let (device, object) = control_device(&driver, "Control1");
        // SAFETY: as above.
        unsafe { control::finish_initializing(null_mut(), device) };
        let _open = File::open(object, "", true).expect("it is finished");
        driver.unload();
        assert!(!device::exists(object));
    });
}

#[test]
fn a_device_of_pnps_is_not_the_drivers_to_delete() {
    stops_with!("ObjectNotDeletable", || delete(Driver::load("pnp").device() as u64));
}

static ASKED: IrqLock<Vec<&'static str>> = IrqLock::new(Vec::new());

unsafe extern "win64" fn filter_device_add(_driver: WDFDRIVER, mut init: PWDFDEVICE_INIT) -> NTSTATUS {
    let mut device = null_mut();
    ASKED.with(|asked| asked.push("device add"));
    // SAFETY: as above.
    let status = unsafe {
        device_init::set_filter(null_mut(), init);
        device_init::set_device_type(null_mut(), init, 0x12);
        device_init::set_io_type(null_mut(), init, 3);
        kmdf_device::device_create(
            super::driver::globals_of(_driver),
            &raw mut init,
            null_mut(),
            &raw mut device,
        )
    };
    made(device);
    status
}

#[test]
fn a_filter_passes_on_what_it_has_no_queue_for() {
    on_a_machine!(|| {
        let driver = Driver::add("filter", filter_device_add, |_| ());
        driver.node.start().expect("the device starts");
        assert_eq!(ASKED.with(|asked| asked.len()), 1);
        // SAFETY: the device object lives.
        let (kind, flags) = unsafe { ((*driver.object()).DeviceType, (*driver.object()).Flags) };
        assert_eq!((kind, flags & 0x14), (0x12, 0x10));
        // the bus's device takes nothing: neither creation nor control
        assert_eq!(File::open(driver.object(), "", true).err(), Some(STATUS_INVALID_DEVICE_REQUEST));
    });
}

#[test]
fn a_driver_learns_of_its_neighbours() {
    on_a_machine!(|| {
        let asks = Driver::load("asks");
        let (globals, device) = (asks.globals(), asks.device());
        // SAFETY: as above.
        unsafe {
            assert!(device_api::get_default_queue(globals, device).is_null());
            let queue =
                asks.default_queue(Callbacks { control: Some(Box::new(|_, _| ())), ..Callbacks::default() });
            assert_eq!(device_api::get_default_queue(globals, device), queue.raw());
            assert_eq!(device_api::wdm_get_physical_device(globals, device), asks.node.pdo.object());
            assert_eq!(device_api::of_wdm_device(globals, asks.object()), device);
            assert!(device_api::of_wdm_device(globals, asks.node.pdo.object()).is_null());
            let handle = device_api::get_driver(globals, device);
            assert_eq!(driver::wdm_get_driver_object(globals, handle), asks.service.driver_object());
            assert_eq!(driver::of_wdm_driver(globals, asks.service.driver_object()), handle);
            assert_eq!(device_api::of_io_target(globals, asks.local_target().raw()), device);
        }
    });
}

#[test]
fn idling_is_resumed_as_often_as_it_was_stopped() {
    stops_with!("IdleResumedTooOften", || {
        let driver = Driver::load("idle");
        // SAFETY: as above.
        unsafe {
            assert_eq!(device_api::stop_idle_no_track(null_mut(), driver.device(), 1), STATUS_SUCCESS);
            device_api::resume_idle_no_track(null_mut(), driver.device());
            device_api::resume_idle_no_track(null_mut(), driver.device());
        }
    });
}

#[test]
fn settings_of_an_unknown_size_are_refused() {
    on_a_machine!(|| {
        let driver = Driver::load("idle");
        let assign = |mut size: u32| {
            // SAFETY: as above.
            unsafe { device_api::assign_idle_settings(null_mut(), driver.device(), &raw mut size) }
        };
        assert_eq!((assign(36), assign(37)), (STATUS_SUCCESS, STATUS_INFO_LENGTH_MISMATCH));
    });
}

#[test]
fn a_request_is_taken_out_of_a_queue_by_its_file() {
    on_a_machine!(|| {
        let driver = Driver::load("files");
        let queue = driver.manual_queue(true, Callbacks::default());
        let file = open(&driver);
        let io = Io::start(&file);
        let mut taken = null_mut();
        // SAFETY: as above.
        let retrieve = |of: u64, out: *mut WDFREQUEST| unsafe {
            crate::wdf::queue::api::retrieve_request_by_file_object(
                null_mut(),
                queue.raw(),
                of as WDFFILEOBJECT,
                out,
            )
        };
        assert_eq!(retrieve(1, &raw mut taken), status(0x8000_001A), "no request of that file");
        // without file objects of the framework's, the file of each is NULL
        assert_eq!(retrieve(0, &raw mut taken), STATUS_SUCCESS);
        // SAFETY: as above.
        let (irp, mode) = unsafe {
            (
                crate::wdf::request::api::wdm_get_irp(null_mut(), taken),
                crate::wdf::request::api::get_requestor_mode(null_mut(), taken),
            )
        };
        // SAFETY: the request's IRP.
        let code = unsafe {
            let location = (*irp).Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation;
            (*location).Parameters.DeviceIoControl.IoControlCode
        };
        assert_eq!((code, mode), (CODE, 1));
        super::driver::Request(taken as u64).complete(STATUS_SUCCESS);
        assert_eq!(io.ended(), STATUS_SUCCESS);
        queue.change(Change::Stop, false);
        file.close();
    });
}
