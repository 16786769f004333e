//! A device stack: one device on a bus with its function driver, led up and down in KMDF's order.

use super::failure::{check, failed};
use super::hardware::Hardware;
use super::resources;
use crate::hal::pci::Function;
use crate::io::pdo::Pdo;
use crate::io::{file, interface};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Thread};
use crate::ndis::{events, stack};
use crate::netcx::adapter;
use crate::translator::datapath;
use crate::verifier::owners::Service;
use crate::verifier::trace;
use crate::wdf::bus::{Bus, Stage};
use crate::wdf::device::{Device, DeviceInit};
use crate::wdf::io_target::{self, Target};
use crate::wdf::object::{self, Attributes};
use crate::wdf::{client, driver, interrupt, queue};
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{NTSTATUS, PWDFDEVICE_INIT, WDFCMRESLIST, WDFDEVICE, WDFDRIVER};

/// WdfPowerDeviceD3 and WdfPowerDeviceD3Final.
pub(super) const D3: i32 = 4;
const D3_FINAL: i32 = 5;

/// How the device's self-managed I/O stands (RQ28, `driver/docs/requests.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SelfManaged {
    /// It has never begun: neither suspended, nor flushed, nor cleaned up.
    Created,
    /// EvtDeviceSelfManagedIoInit, or -Restart, was successful.
    Started,
    /// It is suspended, or that callback failed: flushed and cleaned up when the device goes.
    Stopped,
}

/// One device with its function driver.
pub(crate) struct Node {
    /// Its function driver.
    pub service: Arc<Service>,
    /// The bottom of the stack.
    pub pdo: Pdo,
    stage: AtomicU8,
    /// The WDFDEVICE; 0 before WdfDeviceCreate and after removal.
    handle: AtomicU64,
    self_managed: IrqLock<SelfManaged>,
    /// Raw and translated resources, while assigned.
    lists: IrqLock<Option<(Handle, Handle)>>,
    /// The function on the PCI bus; `None` of a root-enumerated device.
    function: Option<Function>,
    /// What of it is started, while resources are assigned.
    hardware: IrqLock<Option<Arc<Hardware>>>,
}

/// The device stacks, in the order in which they were started.
static NODES: IrqLock<Vec<Arc<Node>>> = IrqLock::new(Vec::new());

/// All device stacks.
pub(super) fn all() -> Vec<Arc<Node>> {
    let count = NODES.with(|nodes| nodes.len());
    (0..count).filter_map(|at| NODES.with(|nodes| nodes.get(at).cloned())).collect()
}

/// The NIC's stack, if it is there.
pub(super) fn nic() -> Option<Arc<Node>> {
    NODES.with(|nodes| nodes.iter().find(|node| node.service.package.net).cloned())
}

impl Bus for Node {
    fn service(&self) -> &Service {
        &self.service
    }

    fn pdo(&self) -> &Pdo {
        &self.pdo
    }

    fn function(&self) -> Option<Function> {
        self.function
    }

    fn stage(&self) -> Stage {
        match self.stage.load(Relaxed) {
            0 => Stage::Added,
            1 => Stage::Preparing,
            2 => Stage::Prepared,
            _ => Stage::Working,
        }
    }

    fn set_device(&self, handle: Handle) -> bool {
        self.handle.compare_exchange(0, handle.raw(), Relaxed, Relaxed).is_ok()
    }

    fn has_device(&self) -> bool {
        self.handle.load(Relaxed) != 0
    }

    fn lists(&self) -> Option<(Handle, Handle)> {
        self.lists.with(|lists| *lists)
    }
}

impl Node {
    /// Adds a device, at that place of the bus if it is on one, for a driver that has been loaded: EvtDriverDeviceAdd.
    /// PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The driver's status, or what it forgot. [`Self::remove`] takes away what there is.
    pub(crate) fn add(service: &Arc<Service>, function: Option<Function>) -> Result<Arc<Self>, String> {
        let pdo = Pdo::new().map_err(|status| failed("IoCreateDevice of the bus", status))?;
        let node = Arc::new(Self {
            service: service.clone(),
            pdo,
            stage: AtomicU8::new(Stage::Added as u8),
            handle: AtomicU64::new(0),
            self_managed: IrqLock::new(SelfManaged::Created),
            lists: IrqLock::new(None),
            function,
            hardware: IrqLock::new(None),
        });
        let listed = node.clone();
        NODES.with(|nodes| nodes.push(listed));
        let handle = client::handle(service.owner).ok_or("the driver has created no WDFDRIVER")?;
        let Some(callback) = object::get::<driver::Driver>(handle.raw(), "PnP").device_add else {
            return Err("the driver has no EvtDriverDeviceAdd".into());
        };
        let init = Arc::new(DeviceInit::new(node.clone()));
        let init_handle = object::create("PnP", init, None, Attributes::NONE);
        let raw = init_handle.raw();
        // SAFETY: the driver's callback with its own driver handle and a live init handle, at PASSIVE_LEVEL.
        let status = trace::callback(service.label, "EvtDriverDeviceAdd", || unsafe {
            callback(handle.raw() as WDFDRIVER, raw as PWDFDEVICE_INIT)
        });
        object::delete(init_handle);
        check("EvtDriverDeviceAdd", status)?;
        node.device().map(|_| node.clone()).ok_or_else(|| "EvtDriverDeviceAdd created no device".into())
    }

    fn hardware(&self) -> Option<Arc<Hardware>> {
        self.hardware.with(|slot| slot.clone())
    }

    /// Sets how the self-managed I/O stands, and returns how it did.
    fn set_self_managed(&self, to: SelfManaged) -> SelfManaged {
        self.self_managed.with(|state| core::mem::replace(state, to))
    }

    fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Relaxed);
    }

    /// The device's handle and object.
    pub(crate) fn device(&self) -> Option<(Handle, Arc<Device>)> {
        let raw = self.handle.load(Relaxed);
        (raw != 0).then(|| (Handle::from_raw(raw), object::get::<Device>(raw, "PnP")))
    }

    fn the_device(&self) -> Result<(WDFDEVICE, Arc<Device>), String> {
        let (handle, device) = self.device().ok_or("there is no device")?;
        Ok((handle.raw() as WDFDEVICE, device))
    }

    /// Whether the data path above the NetAdapterCx adapter is this device's.
    fn has_adapter(&self) -> bool {
        adapter::current().is_some_and(|(handle, _)| {
            object::parent(handle.raw(), "PnP")
                .is_some_and(|parent| parent.raw() == self.handle.load(Relaxed))
        })
    }

    fn call(&self, what: &'static str, callback: impl FnOnce() -> NTSTATUS) -> Result<(), String> {
        check(what, trace::callback(self.service.label, what, callback))
    }

    /// Gives the device its resources and takes it to D0. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// A callback failed.
    pub(crate) fn start(&self) -> Result<(), String> {
        let (raw, device) = self.the_device()?;
        let handle = Handle::from_raw(raw as u64);
        let lists = match self.function {
            Some(function) => {
                let hardware = Arc::new(Hardware::start(function, &self.service.package)?);
                let lists = resources::assign(handle, hardware.bars(), hardware.signals());
                self.hardware.with(|slot| *slot = Some(hardware));
                lists
            }
            None => resources::assign_none(handle),
        };
        self.lists.with(|slot| *slot = Some(lists));
        self.set_stage(Stage::Preparing);
        if let Some(prepare) = device.callbacks.EvtDevicePrepareHardware {
            // SAFETY: the driver's callback with its own device and live resource lists, at PASSIVE_LEVEL.
            self.call("EvtDevicePrepareHardware", || unsafe {
                prepare(raw, lists.0.raw() as WDFCMRESLIST, lists.1.raw() as WDFCMRESLIST)
            })?;
        }
        self.set_stage(Stage::Prepared);
        self.enter_d0(D3_FINAL)?;
        interface::set_enabled(device.object(), true);
        Ok(())
    }

    /// D0 entry. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// A callback failed.
    pub(crate) fn enter_d0(&self, previous: i32) -> Result<(), String> {
        let (raw, device) = self.the_device()?;
        let callbacks = device.callbacks;
        if let Some(entry) = callbacks.EvtDeviceD0Entry {
            // SAFETY: the driver's callback with its own device, at PASSIVE_LEVEL; so are all below.
            self.call("EvtDeviceD0Entry", || unsafe { entry(raw, previous) })?;
        }
        self.set_stage(Stage::Working);
        if let Some(hardware) = self.hardware() {
            for interrupt in interrupt::of_device(raw as u64) {
                // one that the device has no signal for stays unconnected
                let Some(irql) = hardware.connect(interrupt.clone()) else { continue };
                interrupt.connect(irql).map_err(|status| failed("EvtInterruptEnable", status))?;
                hardware.unmask(&interrupt);
            }
        }
        if let Some(post) = callbacks.EvtDeviceD0EntryPostInterruptsEnabled {
            // SAFETY: as above.
            self.call("EvtDeviceD0EntryPostInterruptsEnabled", || unsafe { post(raw, previous) })?;
        }
        if self.has_adapter() {
            datapath::create()?;
            stack::adapter_up()?;
        }
        queue::power::resume(&device);
        let begun = self.set_self_managed(SelfManaged::Stopped) != SelfManaged::Created;
        let (callback, what) = match begun {
            false => (callbacks.EvtDeviceSelfManagedIoInit, "EvtDeviceSelfManagedIoInit"),
            true => (callbacks.EvtDeviceSelfManagedIoRestart, "EvtDeviceSelfManagedIoRestart"),
        };
        if let Some(callback) = callback {
            // SAFETY: as above.
            self.call(what, || unsafe { callback(raw) })?;
        }
        self.set_self_managed(SelfManaged::Started);
        Ok(())
    }

    /// D0 exit, to the end whatever fails on the way. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The first callback that failed.
    pub(crate) fn leave_d0(&self, target: i32) -> Result<(), String> {
        self.leave_d0_with(target, || {
            if self.has_adapter() {
                stack::adapter_down(target == D3_FINAL);
            }
        })
    }

    /// The same, with what NetAdapterCx does before the hardware is disabled.
    fn leave_d0_with(&self, target: i32, class_extension: impl FnOnce()) -> Result<(), String> {
        let (raw, device) = self.the_device()?;
        let callbacks = device.callbacks;
        let mut result = Ok(());
        let mut note = |done: Result<(), String>| {
            if result.is_ok() {
                result = done;
            }
        };
        if self.self_managed.with(|state| *state) == SelfManaged::Started {
            self.set_self_managed(SelfManaged::Stopped);
            if let Some(suspend) = callbacks.EvtDeviceSelfManagedIoSuspend {
                // SAFETY: the driver's callback with its own device, at PASSIVE_LEVEL; so are all below.
                note(self.call("EvtDeviceSelfManagedIoSuspend", || unsafe { suspend(raw) }));
            }
        }
        class_extension();
        queue::power::hold(&device);
        if let Some(pre) = callbacks.EvtDeviceD0ExitPreInterruptsDisabled {
            // SAFETY: as above.
            note(self.call("EvtDeviceD0ExitPreInterruptsDisabled", || unsafe { pre(raw, target) }));
        }
        if let Some(hardware) = self.hardware() {
            for interrupt in interrupt::of_device(raw as u64).into_iter().rev() {
                if interrupt.is_connected() {
                    note(interrupt.disconnect().map_err(|status| failed("EvtInterruptDisable", status)));
                    hardware.disconnect(&interrupt);
                }
            }
        }
        if let Some(exit) = callbacks.EvtDeviceD0Exit {
            // SAFETY: as above.
            note(self.call("EvtDeviceD0Exit", || unsafe { exit(raw, target) }));
        }
        io_target::pnp::require_stopped(self.service.owner);
        self.set_stage(Stage::Prepared);
        result
    }

    /// Removes the device, from wherever it is, in the order of RQ28 (`driver/docs/requests.md`); `surprise`: the
    /// hardware is gone already. `targets` are the I/O targets of other drivers on it, which hear of it at the end. What
    /// fails on the way is the reason that stays with the trace. PASSIVE_LEVEL.
    pub(crate) fn remove(self: &Arc<Self>, surprise: bool, targets: &[Arc<Target>]) {
        if let Some((handle, device)) = self.device() {
            let raw = handle.raw() as WDFDEVICE;
            let callbacks = device.callbacks;
            if let Some(gone) = callbacks.EvtDeviceSurpriseRemoval.filter(|_| surprise) {
                // SAFETY: the driver's callback with its own device, at PASSIVE_LEVEL; so are all below.
                trace::callback(self.service.label, "EvtDeviceSurpriseRemoval", || unsafe { gone(raw) });
            }
            let torn_down = (surprise && self.has_adapter()).then(|| {
                events::surprise_removed();
                tear_down()
            });
            if self.stage() == Stage::Working {
                let left = match torn_down {
                    Some(_) => self.leave_d0_with(D3_FINAL, || ()),
                    None => self.leave_d0(D3_FINAL),
                };
                left.unwrap_or_else(|error| trace::set_reason(&error));
            }
            if let Some(done) = torn_down {
                done.wait();
            }
            // KMDF calls this also after a failed EvtDevicePrepareHardware
            if self.stage() >= Stage::Preparing
                && let Some(release) = callbacks.EvtDeviceReleaseHardware
                && let Some(lists) = self.lists()
            {
                // SAFETY: as above, with a live list.
                let done = self.call("EvtDeviceReleaseHardware", || unsafe {
                    release(raw, lists.1.raw() as WDFCMRESLIST)
                });
                if let Err(error) = done {
                    trace::set_reason(&error);
                }
            }
            self.set_stage(Stage::Added);
            interface::set_enabled(device.object(), false);
            let last = [
                (true, callbacks.EvtDeviceSelfManagedIoFlush, "EvtDeviceSelfManagedIoFlush"),
                (false, callbacks.EvtDeviceSelfManagedIoCleanup, "EvtDeviceSelfManagedIoCleanup"),
            ];
            let begun = self.self_managed.with(|state| *state) != SelfManaged::Created;
            for (managed, callback, what) in last {
                queue::power::purge(&device, managed);
                if let Some(callback) = callback.filter(|_| begun) {
                    // SAFETY: as above.
                    trace::callback(self.service.label, what, || unsafe { callback(raw) });
                }
            }
            io_target::pnp::remove_complete(targets);
            file::close_all(device.object());
            if let Some(hardware) = self.hardware.with(Option::take) {
                hardware.release();
            }
            if let Some(lists) = self.lists.with(Option::take) {
                object::delete(lists.0);
                object::delete(lists.1);
            }
            if self.has_adapter() {
                adapter::forget();
            }
            drop(device);
            self.handle.store(0, Relaxed);
            object::delete(handle);
        }
        NODES.remove(self);
    }
}

/// Takes the data path down for a surprise removal, as NetAdapterCx does: on a thread of its own. D0Exit does not wait for
/// it, ReleaseHardware does. The event is set at the end. PASSIVE_LEVEL.
fn tear_down() -> Arc<Event> {
    let done = Arc::new(Event::manual());
    let set_at_the_end = done.clone();
    Thread::spawn(
        "netcx",
        Box::new(move || {
            stack::adapter_down(true);
            set_at_the_end.set();
        }),
    );
    done
}
