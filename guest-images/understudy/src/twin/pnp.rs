//! PnP's part: a device comes up and goes in KMDF's order, whatever fails on the way, and a driver leaves nothing behind.

use super::driver::{Driver, made, status};
use super::machine::{on_a_machine, stops_with};
use crate::ke::irqlock::IrqLock;
use crate::mm::{self, Owner};
use crate::pe::Image;
use crate::pnp::{self, Node, NotLoaded};
use crate::verifier::owners::{self, Service};
use crate::verifier::{pool, trace};
use crate::wdf::{binding, bus::Bus as _, bus::Stage, device, driver as kmdf, resources};
use core::mem::zeroed;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::string::String;
use std::vec::Vec;
use wdk_offline::*;

/// WdfPowerDeviceD3.
const D3: i32 = 4;
/// STATUS_UNSUCCESSFUL.
const UNSUCCESSFUL: NTSTATUS = status(0xC000_0001);

/// The callbacks that have been called.
static CALLED: IrqLock<Vec<&'static str>> = IrqLock::new(Vec::new());
/// The callback that fails, if one does.
static FAILS: IrqLock<&'static str> = IrqLock::new("");

fn called(name: &'static str) -> NTSTATUS {
    CALLED.with(|called| called.push(name));
    if FAILS.with(|fails| *fails == name) { UNSUCCESSFUL } else { STATUS_SUCCESS }
}

/// What has been called since the last look.
fn since() -> Vec<&'static str> {
    CALLED.with(core::mem::take)
}

macro_rules! callbacks {
    ($($function:ident($($type:ty),*) is $name:literal;)*) => {$(
        unsafe extern "win64" fn $function($(_: $type),*) -> NTSTATUS {
            called($name)
        }
    )*};
}
callbacks! {
    release(WDFDEVICE, WDFCMRESLIST) is "ReleaseHardware";
    entry(WDFDEVICE, i32) is "D0Entry";
    post_entry(WDFDEVICE, i32) is "D0EntryPostInterruptsEnabled";
    exit(WDFDEVICE, i32) is "D0Exit";
    pre_exit(WDFDEVICE, i32) is "D0ExitPreInterruptsDisabled";
    init(WDFDEVICE) is "SelfManagedIoInit";
    suspend(WDFDEVICE) is "SelfManagedIoSuspend";
    restart(WDFDEVICE) is "SelfManagedIoRestart";
}

unsafe extern "win64" fn prepare(_: WDFDEVICE, raw: WDFCMRESLIST, translated: WDFCMRESLIST) -> NTSTATUS {
    // SAFETY: KMDF checks the handles.
    let counts = [raw, translated].map(|list| unsafe { resources::get_count(null_mut(), list) });
    assert_eq!(counts, [0, 0], "a root-enumerated device has neither memory nor interrupts");
    called("PrepareHardware")
}

unsafe extern "win64" fn surprise(_: WDFDEVICE) {
    called("SurpriseRemoval");
}

unsafe extern "win64" fn flush(_: WDFDEVICE) {
    called("SelfManagedIoFlush");
}

unsafe extern "win64" fn cleanup(_: WDFDEVICE) {
    called("SelfManagedIoCleanup");
}

unsafe extern "win64" fn device_add(_: WDFDRIVER, mut init_of: PWDFDEVICE_INIT) -> NTSTATUS {
    match FAILS.with(|fails| *fails) {
        "DeviceAdd" => return UNSUCCESSFUL,
        "DeviceAdd makes nothing" => return STATUS_SUCCESS,
        _ => {}
    }
    let mut callbacks = WDF_PNPPOWER_EVENT_CALLBACKS {
        Size: size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as u32,
        EvtDevicePrepareHardware: Some(prepare),
        EvtDeviceReleaseHardware: Some(release),
        EvtDeviceD0Entry: Some(entry),
        EvtDeviceD0EntryPostInterruptsEnabled: Some(post_entry),
        EvtDeviceD0Exit: Some(exit),
        EvtDeviceD0ExitPreInterruptsDisabled: Some(pre_exit),
        EvtDeviceSelfManagedIoInit: Some(init),
        EvtDeviceSelfManagedIoSuspend: Some(suspend),
        EvtDeviceSelfManagedIoRestart: Some(restart),
        EvtDeviceSelfManagedIoFlush: Some(flush),
        EvtDeviceSelfManagedIoCleanup: Some(cleanup),
        EvtDeviceSurpriseRemoval: Some(surprise),
        // SAFETY: nullable function pointers.
        ..unsafe { zeroed() }
    };
    let mut device = null_mut();
    // SAFETY: KMDF checks what it is given; the structures live meanwhile.
    let status = unsafe {
        device::set_pnp_power_event_callbacks(null_mut(), init_of, &raw mut callbacks);
        let globals = GLOBALS.load(SeqCst) as *mut WDF_DRIVER_GLOBALS;
        device::device_create(globals, &raw mut init_of, null_mut(), &raw mut device)
    };
    made(device);
    status
}

static GLOBALS: AtomicU64 = AtomicU64::new(0);

/// A driver whose device is there and not started.
fn added(name: &'static str) -> Driver {
    Driver::add(name, device_add, |globals| GLOBALS.store(globals as u64, SeqCst))
}

/// A driver whose device is in D0.
fn up(name: &'static str) -> Driver {
    let driver = added(name);
    driver.node.start().expect("the device starts");
    since();
    driver
}

fn fails(name: &'static str) {
    FAILS.with(|fails| *fails = name);
}

/// The way out of D0 and away.
const DOWN: [&str; 6] = [
    "SelfManagedIoSuspend",
    "D0ExitPreInterruptsDisabled",
    "D0Exit",
    "ReleaseHardware",
    "SelfManagedIoFlush",
    "SelfManagedIoCleanup",
];

#[test]
fn a_device_comes_up_in_kmdfs_order() {
    on_a_machine!(|| {
        let driver = added("order");
        assert_eq!((since(), driver.node.stage()), (Vec::new(), Stage::Added));
        driver.node.start().unwrap();
        assert_eq!(
            since(),
            ["PrepareHardware", "D0Entry", "D0EntryPostInterruptsEnabled", "SelfManagedIoInit"]
        );
        assert_eq!(driver.node.stage(), Stage::Working);
    });
}

#[test]
fn a_device_goes_in_the_reverse_order() {
    on_a_machine!(|| {
        let driver = up("order");
        driver.node.remove(false, &[]);
        assert_eq!(since(), DOWN);
        assert!(!driver.node.has_device());
    });
}

#[test]
fn a_surprise_removal_is_told_first_and_then_goes_the_same_way() {
    on_a_machine!(|| {
        let driver = up("order");
        driver.node.remove(true, &[]);
        let all = since();
        assert_eq!((all[0], &all[1..]), ("SurpriseRemoval", &DOWN[..]));
    });
}

#[test]
fn a_device_leaves_d0_and_comes_back_without_its_resources_being_touched() {
    on_a_machine!(|| {
        up("Sleeper");
        pnp::power("sleeper", false).unwrap();
        assert_eq!(since(), DOWN[..3]);
        pnp::power("SLEEPER", true).unwrap();
        assert_eq!(since(), ["D0Entry", "D0EntryPostInterruptsEnabled", "SelfManagedIoRestart"]);
    });
}

#[test]
fn a_device_that_is_out_of_d0_is_removed_without_leaving_it_again() {
    on_a_machine!(|| {
        let driver = up("sleeper");
        driver.node.leave_d0(D3).unwrap();
        since();
        driver.node.remove(false, &[]);
        assert_eq!(since(), DOWN[3..]);
    });
}

#[test]
fn a_device_that_never_started_has_nothing_to_release_and_no_self_managed_io_to_clean_up() {
    on_a_machine!(|| {
        let driver = added("idle");
        driver.node.remove(false, &[]);
        assert!(since().is_empty());
    });
}

#[test]
fn power_changes_in_the_wrong_state_are_refused_in_words() {
    on_a_machine!(|| {
        up("sleeper");
        assert_eq!(pnp::power("sleeper", true).unwrap_err(), "the device is not in D3");
        pnp::power("sleeper", false).unwrap();
        assert_eq!(pnp::power("sleeper", false).unwrap_err(), "the device is not in D0");
        assert_eq!(pnp::power("nobody", true).unwrap_err(), "no device of a service \"nobody\"");
        assert_eq!(pnp::power_nic(false).unwrap_err(), "the device is not in D0");
        assert_eq!(pnp::power_nic(true).unwrap_err(), "the device is not in D3");
    });
}

#[test]
fn a_start_that_fails_stops_there_and_is_taken_back_as_far_as_it_came() {
    on_a_machine!(|| {
        for (failing, reached, back) in [
            ("PrepareHardware", 1, &DOWN[3..4]),
            ("D0Entry", 2, &DOWN[3..4]),
            ("D0EntryPostInterruptsEnabled", 3, &DOWN[1..4]),
            ("SelfManagedIoInit", 4, &DOWN[1..]),
        ] {
            fails("");
            let driver = added(failing);
            fails(failing);
            let error = driver.node.start().unwrap_err();
            assert_eq!(error, std::format!("EvtDevice{failing} failed with 0xc0000001"));
            assert_eq!(since().len(), reached, "{failing}");
            driver.node.remove(false, &[]);
            assert_eq!(since(), back, "{failing}");
        }
    });
}

#[test]
fn a_way_down_goes_to_its_end_and_names_what_failed_first() {
    on_a_machine!(|| {
        for failing in &DOWN[..4] {
            fails("");
            let driver = up("falling");
            fails(failing);
            driver.node.remove(false, &[]);
            assert_eq!(since(), DOWN, "{failing}");
            let reason = trace::take_reason().unwrap_or_default();
            assert!(reason.contains(failing), "{failing}: {reason:?}");
        }
    });
}

#[test]
fn a_device_that_is_not_made_is_no_device() {
    on_a_machine!(|| {
        let driver = added("refusing");
        for (what, error) in [
            ("DeviceAdd", "EvtDriverDeviceAdd failed with 0xc0000001"),
            ("DeviceAdd makes nothing", "EvtDriverDeviceAdd created no device"),
        ] {
            fails(what);
            assert_eq!(Node::add(&driver.service, None).err().as_deref(), Some(error));
        }
    });
}

fn service(name: &'static str) -> alloc::sync::Arc<Service> {
    let package = added("pattern").service.package.clone();
    Service::new(name, package, Owner::next(), Image::of_the_process(name), DRIVER_OBJECT::default())
}

#[test]
fn a_driver_that_never_called_the_framework_gets_no_device() {
    on_a_machine!(|| {
        let error = Node::add(&service("silent"), None).err();
        assert_eq!(error.as_deref(), Some("the driver has created no WDFDRIVER"));
    });
}

#[test]
fn a_start_without_a_device_is_refused() {
    on_a_machine!(|| {
        let driver = up("gone");
        driver.node.remove(false, &[]);
        assert_eq!(driver.node.start().unwrap_err(), "there is no device");
        assert_eq!(driver.node.leave_d0(D3).unwrap_err(), "there is no device");
        assert!(pnp::power("gone", false).unwrap_err().contains("no device of a service"));
    });
}

#[test]
fn orders_without_a_data_path_or_a_driver_are_refused_in_words() {
    on_a_machine!(|| {
        assert_eq!(pnp::pause(1).unwrap_err(), "the data path does not run");
        assert_eq!(pnp::restart().unwrap_err(), "the data path is not paused");
        assert_eq!(pnp::unload().unwrap_err(), "no driver is loaded");
        up("loaded");
        let again = match pnp::load() {
            Err(NotLoaded::Failed(why)) => why,
            Err(NotLoaded::Refused(why)) => std::format!("refused: {why}"),
            Ok(()) => String::new(),
        };
        assert_eq!(again, "a driver is loaded already");
    });
}

/// What the linker's stub of KMDF does in the place of the framework's DriverUnload: that, and the binding goes.
unsafe extern "win64" fn unload(driver: *mut DRIVER_OBJECT) {
    let service = owners::by_driver(driver).expect("a loaded driver");
    kmdf::remove(service.owner);
    // SAFETY: the globals that the driver got when it bound.
    unsafe {
        binding::version_unbind(null_mut(), null_mut(), GLOBALS.load(SeqCst) as *mut WDF_DRIVER_GLOBALS)
    };
}

/// A driver whose unload takes all back.
fn unloadable(name: &'static str) -> Driver {
    let driver = up(name);
    // SAFETY: the driver object of a driver that is loaded.
    unsafe { (*driver.service.driver_object()).DriverUnload = Some(unload) };
    driver
}

#[test]
fn an_unload_takes_the_device_the_driver_and_its_binding_away() {
    on_a_machine!(|| {
        unloadable("tidy");
        pnp::unload().unwrap();
        assert_eq!(since(), DOWN);
        assert!(owners::all().is_empty());
        assert!(pnp::unload().is_err());
    });
}

#[test]
fn a_removal_by_name_leaves_the_other_drivers_alone() {
    on_a_machine!(|| {
        let stays = up("stays");
        unloadable("goes");
        pnp::remove("goes", false).unwrap();
        assert_eq!(since(), DOWN);
        let names: Vec<_> = owners::all().iter().map(|service| service.name).collect();
        assert_eq!(names, ["stays"]);
        assert_eq!(stays.node.stage(), Stage::Working);
    });
}

#[test]
fn a_failure_on_the_way_down_is_what_an_unload_returns() {
    on_a_machine!(|| {
        unloadable("limping");
        fails("D0Exit");
        assert_eq!(pnp::unload().unwrap_err(), "EvtDeviceD0Exit failed with 0xc0000001");
        assert!(owners::all().is_empty());
    });
}

#[test]
fn pool_memory_left_at_the_unload_is_named() {
    stops_with!("PoolLeaked", || {
        let driver = unloadable("leaky");
        pool::alloc(driver.service.owner, 1, 10, true);
        drop(pnp::unload());
    });
}

#[test]
fn a_mapping_left_at_the_unload_is_named() {
    stops_with!("MappingLeaked", || {
        let driver = unloadable("leaky");
        mm::map_mmio(0xfe00_0000, 16, driver.service.owner);
        drop(pnp::unload());
    });
}

#[test]
fn a_binding_left_at_the_unload_is_named() {
    stops_with!("BindingLeaked", || {
        up("bound");
        drop(pnp::unload());
    });
}

#[test]
fn a_driver_that_cannot_be_unloaded_is_named() {
    stops_with!("DriverUnloadMissing", || {
        let driver = up("staying");
        // SAFETY: the driver object of a driver that is loaded.
        unsafe { (*driver.service.driver_object()).DriverUnload = None };
        drop(pnp::unload());
    });
}
