//! The PnP manager's part: finds the device, gives it resources, and leads driver and device up and down in KMDF's order.

mod image;
mod resources;

use crate::agent::trace;
use crate::inf::{self, Package};
use crate::ke::irqlock::IrqLock;
use crate::netcx::{adapter, datapath};
use crate::wdf::device::{self, Device, DeviceInit};
use crate::wdf::object::{self, Attributes, Payload};
use crate::wdf::table::Handle;
use crate::wdf::{driver, interrupt};
use alloc::{format, string::String, sync::Arc};
use core::sync::atomic::{AtomicU8, Ordering::Relaxed};
pub use image::{describe, in_driver};
pub use resources::{is_interrupt_descriptor, owns_memory, read_config, write_config};
use wdk_offline::{NTSTATUS, PWDFDEVICE_INIT, WDFCMRESLIST, WDFDEVICE, WDFDRIVER};

/// What BUS_INTERFACE_STANDARD carries as its context: no address.
pub const BUS_CONTEXT: usize = 0x5d0b_0000_0000_0001;

/// WdfPowerDeviceD3 and WdfPowerDeviceD3Final.
const D3: i32 = 4;
const D3_FINAL: i32 = 5;

/// How far the device has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Stage {
    /// No driver is loaded.
    Nothing,
    /// The driver is loaded, the device may exist, hardware is not prepared.
    Loaded,
    /// Inside EvtDevicePrepareHardware.
    Preparing,
    /// Hardware is prepared, the device is in D3.
    Prepared,
    /// The device is in D0.
    Working,
}

static STAGE: AtomicU8 = AtomicU8::new(Stage::Nothing as u8);
static PACKAGE: IrqLock<Option<Package>> = IrqLock::new(None);

fn stage() -> Stage {
    match STAGE.load(Relaxed) {
        0 => Stage::Nothing,
        1 => Stage::Loaded,
        2 => Stage::Preparing,
        3 => Stage::Prepared,
        _ => Stage::Working,
    }
}

fn set_stage(stage: Stage) {
    STAGE.store(stage as u8, Relaxed);
}

/// Whether EvtDevicePrepareHardware runs.
pub fn in_prepare_hardware() -> bool {
    stage() == Stage::Preparing
}

/// Whether NetAdapterStart is allowed now.
pub fn may_start_adapter() -> bool {
    stage() >= Stage::Preparing
}

/// KmdfLibraryVersion of the INF.
pub fn declared_kmdf() -> Option<(u32, u32)> {
    PACKAGE.with(|package| package.as_ref().map(|package| package.kmdf))
}

/// The adapter keyword's value: the command line's `param.NAME`, else the INF's.
pub fn keyword(name: &str) -> Option<String> {
    crate::settings::param(name).map(String::from).or_else(|| {
        let lower = name.to_ascii_lowercase();
        PACKAGE.with(|package| package.as_ref().and_then(|package| package.keywords.get(&lower).cloned()))
    })
}

fn failed(what: &str, status: NTSTATUS) -> String {
    let reason = trace::take_reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{what} failed with {:#010x}{reason}", status as u32)
}

fn check(what: &str, status: NTSTATUS) -> Result<(), String> {
    if status >= 0 { Ok(()) } else { Err(failed(what, status)) }
}

/// Loads the driver and brings its device up to a running data path.
///
/// # Errors
/// One line; whatever had been set up is taken down again.
pub fn load() -> Result<(), String> {
    if stage() != Stage::Nothing {
        return Err("a driver is loaded already".into());
    }
    let identity = resources::find()?;
    let (name, text) = crate::settings::files()
        .into_iter()
        .find(|(name, _)| name.ends_with(".inf"))
        .ok_or("the bundle holds no INF")?;
    let package = inf::select(text, &identity).map_err(|error| format!("{name}: {error}"))?;
    if !package.msi {
        return Err(format!(
            "{name}: without MSISupported the device gets a line interrupt, which understudy does not have"
        ));
    }
    let binary = crate::settings::files()
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(&package.binary))
        .ok_or_else(|| format!("{name}: the bundle holds no {}", package.binary))?;
    crate::log!("{} as {}: {}", package.description, package.matched, package.binary);
    let service = package.service.clone();
    let old = PACKAGE.with(|slot| slot.replace(package));
    drop(old);
    datapath::forget_books();
    set_stage(Stage::Loaded);
    let result =
        image::load(binary.0, binary.1, &service).and_then(|()| add_device()).and_then(|()| start_device());
    result.inspect_err(|error| {
        crate::log!("load: {error}");
        take_down();
    })
}

fn add_device() -> Result<(), String> {
    let handle = driver::handle().ok_or("the driver has created no WDFDRIVER")?;
    let Some(callback) = object::get::<driver::Driver>(handle.raw(), "PnP").device_add else {
        return Err("the driver has no EvtDriverDeviceAdd".into());
    };
    let init = Arc::new(DeviceInit::default());
    let init_handle = object::create("PnP", Payload::DeviceInit(init.clone()), None, Attributes::NONE);
    let raw = init_handle.raw();
    // SAFETY: the driver's callback with its own driver handle and a live init handle, at PASSIVE_LEVEL.
    let status = trace::callback("device", "EvtDriverDeviceAdd", || unsafe {
        callback(handle.raw() as WDFDRIVER, raw as PWDFDEVICE_INIT)
    });
    object::delete(init_handle);
    check("EvtDriverDeviceAdd", status)?;
    device::current().map(|_| ()).ok_or_else(|| "EvtDriverDeviceAdd created no device".into())
}

fn the_device() -> Result<(Handle, Arc<Device>), String> {
    device::current().ok_or_else(|| "there is no device".into())
}

fn start_device() -> Result<(), String> {
    let (handle, device) = the_device()?;
    let lists = resources::assign(handle)?;
    set_stage(Stage::Preparing);
    if let Some(prepare) = device.callbacks.EvtDevicePrepareHardware {
        // SAFETY: the driver's callback with its own device and live resource lists, at PASSIVE_LEVEL.
        let status = trace::callback("device", "EvtDevicePrepareHardware", || unsafe {
            prepare(handle.raw() as WDFDEVICE, lists.0.raw() as WDFCMRESLIST, lists.1.raw() as WDFCMRESLIST)
        });
        check("EvtDevicePrepareHardware", status)?;
    }
    set_stage(Stage::Prepared);
    enter_d0(D3_FINAL)
}

fn enter_d0(previous: i32) -> Result<(), String> {
    let (handle, device) = the_device()?;
    let raw = handle.raw() as WDFDEVICE;
    let callbacks = device.callbacks;
    let first = previous == D3_FINAL;
    if let Some(entry) = callbacks.EvtDeviceD0Entry {
        const WHAT: &str = "EvtDeviceD0Entry";
        // SAFETY: the driver's callback with its own device, at PASSIVE_LEVEL; so are all below.
        check(WHAT, trace::callback("device", WHAT, || unsafe { entry(raw, previous) }))?;
    }
    set_stage(Stage::Working);
    if let Some(interrupt) = interrupt::current() {
        let irql = resources::connect_interrupt(interrupt.clone());
        interrupt.connect(irql).map_err(|status| failed("EvtInterruptEnable", status))?;
        resources::unmask_interrupt();
    }
    if let Some(post) = callbacks.EvtDeviceD0EntryPostInterruptsEnabled {
        const WHAT: &str = "EvtDeviceD0EntryPostInterruptsEnabled";
        // SAFETY: as above.
        check(WHAT, trace::callback("device", WHAT, || unsafe { post(raw, previous) }))?;
    }
    if adapter::current().is_some() {
        datapath::create()?;
        datapath::start();
    }
    let managed = [
        (first, callbacks.EvtDeviceSelfManagedIoInit, "EvtDeviceSelfManagedIoInit"),
        (!first, callbacks.EvtDeviceSelfManagedIoRestart, "EvtDeviceSelfManagedIoRestart"),
    ];
    for (due, callback, what) in managed {
        if let Some(callback) = callback.filter(|_| due) {
            // SAFETY: as above.
            check(what, trace::callback("device", what, || unsafe { callback(raw) }))?;
        }
    }
    Ok(())
}

fn leave_d0(target: i32) -> Result<(), String> {
    let (handle, device) = the_device()?;
    let raw = handle.raw() as WDFDEVICE;
    let callbacks = device.callbacks;
    let mut result = Ok(());
    let mut note = |what, status: NTSTATUS| {
        if status < 0 && result.is_ok() {
            result = Err(failed(what, status));
        }
    };
    if let Some(suspend) = callbacks.EvtDeviceSelfManagedIoSuspend {
        const WHAT: &str = "EvtDeviceSelfManagedIoSuspend";
        // SAFETY: the driver's callback with its own device, at PASSIVE_LEVEL; so are all below.
        note(WHAT, trace::callback("device", WHAT, || unsafe { suspend(raw) }));
    }
    datapath::take_down();
    if let Some(pre) = callbacks.EvtDeviceD0ExitPreInterruptsDisabled {
        const WHAT: &str = "EvtDeviceD0ExitPreInterruptsDisabled";
        // SAFETY: as above.
        note(WHAT, trace::callback("device", WHAT, || unsafe { pre(raw, target) }));
    }
    if let Some(interrupt) = interrupt::current() {
        if let Err(status) = interrupt.disconnect() {
            note("EvtInterruptDisable", status);
        }
        resources::disconnect_interrupt();
    }
    if let Some(exit) = callbacks.EvtDeviceD0Exit {
        // SAFETY: as above.
        note(
            "EvtDeviceD0Exit",
            trace::callback("device", "EvtDeviceD0Exit", || unsafe { exit(raw, target) }),
        );
    }
    set_stage(Stage::Prepared);
    result
}

/// Pauses the data path.
///
/// # Errors
/// It does not run.
pub fn pause(cancels: u32) -> Result<(), String> {
    if !datapath::is_running() {
        return Err("the data path does not run".into());
    }
    datapath::pause(cancels);
    Ok(())
}

/// Starts a paused data path.
///
/// # Errors
/// It runs, or there is none.
pub fn restart() -> Result<(), String> {
    if datapath::is_running() || !datapath::exists() {
        return Err("the data path is not paused".into());
    }
    datapath::restart();
    Ok(())
}

/// Leaves D0; the driver stays loaded.
///
/// # Errors
/// The device is not in D0, or a callback failed.
pub fn power_down() -> Result<(), String> {
    if stage() != Stage::Working {
        return Err("the device is not in D0".into());
    }
    leave_d0(D3)
}

/// Enters D0 again.
///
/// # Errors
/// The device is not in D3, or a callback failed.
pub fn power_up() -> Result<(), String> {
    if stage() != Stage::Prepared {
        return Err("the device is not in D3".into());
    }
    enter_d0(D3)
}

/// Takes device and driver away and checks that nothing is left.
///
/// # Errors
/// Nothing is loaded, or a callback failed on the way.
pub fn unload() -> Result<(), String> {
    if stage() == Stage::Nothing {
        return Err("no driver is loaded".into());
    }
    take_down();
    trace::take_reason().map_or(Ok(()), Err)
}

/// The way down from wherever the device is.
fn take_down() {
    if stage() == Stage::Working
        && let Err(error) = leave_d0(D3_FINAL)
    {
        trace::set_reason(&error);
    }
    if let Some((handle, device)) = device::current() {
        let raw = handle.raw() as WDFDEVICE;
        // KMDF calls this also after a failed EvtDevicePrepareHardware
        if stage() >= Stage::Preparing
            && let Some(release) = device.callbacks.EvtDeviceReleaseHardware
            && let Some(list) = resources::translated()
        {
            // SAFETY: the driver's callback with its own device and a live list, at PASSIVE_LEVEL.
            let status = trace::callback("device", "EvtDeviceReleaseHardware", || unsafe {
                release(raw, list.raw() as WDFCMRESLIST)
            });
            if status < 0 {
                trace::set_reason(&failed("EvtDeviceReleaseHardware", status));
            }
        }
        set_stage(Stage::Loaded);
        let last = [
            (device.callbacks.EvtDeviceSelfManagedIoFlush, "EvtDeviceSelfManagedIoFlush"),
            (device.callbacks.EvtDeviceSelfManagedIoCleanup, "EvtDeviceSelfManagedIoCleanup"),
        ];
        for (callback, what) in last {
            if let Some(callback) = callback {
                // SAFETY: as above.
                trace::callback("device", what, || unsafe { callback(raw) });
            }
        }
        resources::release();
        adapter::forget();
        drop(device);
        device::remove();
    }
    image::unload();
    set_stage(Stage::Nothing);
}
