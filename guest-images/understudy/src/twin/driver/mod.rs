//! A KMDF driver written in Rust: its callbacks are closures of the test.

mod handles;

use crate::io::Irp;
use crate::io::file::File;
use crate::ke::irqlock::IrqLock;
use crate::mm::{self, Owner};
use crate::pe::Image;
use crate::pnp::Node;
use crate::verifier::owners::Service;
use crate::wdf::{binding, device, driver as kmdf, io_target, queue::api as queue_api, request};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::mem::zeroed;
use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering::Relaxed;
pub(super) use handles::{Change, Queue, Request, Target};
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;
use understudy_rules::inf::{Kind, Package};
use wdk_offline::loader::{KMDF_1_31_FUNCTION_COUNT, WDF_BIND_INFO, WDF_VERSION};
use wdk_offline::*;

/// A status by its number.
pub(super) const fn status(number: u32) -> NTSTATUS {
    number as i32
}

/// STATUS_CANCELLED.
pub(super) const CANCELLED: NTSTATUS = status(0xC000_0120);
/// A buffered control code, as CTL_CODE makes it.
pub(super) const CODE: u32 = 0x22_2000;

type OnControl = Box<dyn Fn(Queue, Request) + Send + Sync>;
type OnRequest = Box<dyn Fn(Request) + Send + Sync>;
type OnQueue = Box<dyn Fn(Queue) + Send + Sync>;
type OnStop = Box<dyn Fn(Request, u32) + Send + Sync>;

/// What a queue's callbacks do.
#[derive(Default)]
pub(super) struct Callbacks {
    /// EvtIoDeviceControl.
    pub control: Option<OnControl>,
    /// EvtRequestCancel of requests that came from the queue.
    pub cancel: Option<OnRequest>,
    /// EvtIoCanceledOnQueue.
    pub canceled_on_queue: Option<OnRequest>,
    /// The state callbacks.
    pub state: Option<OnQueue>,
    /// EvtIoStop.
    pub stop: Option<OnStop>,
    /// EvtIoResume.
    pub resume: Option<OnRequest>,
}

static CALLBACKS: IrqLock<BTreeMap<u64, Arc<Callbacks>>> = IrqLock::new(BTreeMap::new());
/// EvtRequestCompletionRoutine of every request that a test sends.
static COMPLETION: IrqLock<Option<Arc<OnRequest>>> = IrqLock::new(None);
/// The init structure's last customer: the device that EvtDriverDeviceAdd has made.
static MADE: IrqLock<u64> = IrqLock::new(0);

fn callbacks(queue: WDFQUEUE) -> Arc<Callbacks> {
    CALLBACKS.with(|all| all.get(&(queue as u64)).cloned()).expect("a queue of the test's")
}

/// Sets what the completion routine does.
pub(super) fn on_completion(routine: impl Fn(Request) + Send + Sync + 'static) {
    let routine: OnRequest = Box::new(routine);
    COMPLETION.with(|slot| *slot = Some(Arc::new(routine)));
}

unsafe extern "win64" fn evt_device_control(
    queue: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    _code: u32,
) {
    let callbacks = callbacks(queue);
    let control = callbacks.control.as_ref().expect("a queue that presents has a callback");
    control(Queue(queue as u64), Request(request as u64));
}

unsafe extern "win64" fn evt_cancel(request: WDFREQUEST) {
    // SAFETY: KMDF's own request.
    let queue = unsafe { queue_api::get_io_queue(null_mut(), request) };
    let callbacks = callbacks(queue);
    let cancel = callbacks.cancel.as_ref().expect("a request that is marked has a callback");
    cancel(Request(request as u64));
}

unsafe extern "win64" fn evt_canceled_on_queue(queue: WDFQUEUE, request: WDFREQUEST) {
    let callbacks = callbacks(queue);
    callbacks.canceled_on_queue.iter().for_each(|canceled| canceled(Request(request as u64)));
}

unsafe extern "win64" fn evt_state(queue: WDFQUEUE, _context: WDFCONTEXT) {
    callbacks(queue).state.iter().for_each(|state| state(Queue(queue as u64)));
}

unsafe extern "win64" fn evt_stop(queue: WDFQUEUE, request: WDFREQUEST, action: u32) {
    callbacks(queue).stop.iter().for_each(|stop| stop(Request(request as u64), action));
}

unsafe extern "win64" fn evt_resume(queue: WDFQUEUE, request: WDFREQUEST) {
    callbacks(queue).resume.iter().for_each(|resume| resume(Request(request as u64)));
}

unsafe extern "win64" fn evt_completion(
    request: WDFREQUEST,
    _target: WDFIOTARGET,
    _params: *mut WDF_REQUEST_COMPLETION_PARAMS,
    _context: WDFCONTEXT,
) {
    if let Some(routine) = COMPLETION.with(|slot| slot.clone()) {
        routine(Request(request as u64));
    }
}

unsafe extern "win64" fn evt_device_add(driver: WDFDRIVER, mut init: PWDFDEVICE_INIT) -> NTSTATUS {
    let mut made = null_mut();
    let globals = globals_of(driver);
    // SAFETY: the framework's own handle and init structure.
    let status = unsafe { device::device_create(globals, &raw mut init, null_mut(), &raw mut made) };
    self::made(made);
    status
}

/// The globals of a driver, by its WDFDRIVER.
pub(super) fn globals_of(driver: WDFDRIVER) -> *mut WDF_DRIVER_GLOBALS {
    let known =
        GLOBALS.with(|globals| globals.iter().find(|known| known.0 == driver as u64).map(|known| known.1));
    known.unwrap_or_default() as *mut WDF_DRIVER_GLOBALS
}

/// EvtDriverDeviceAdd has made that device.
pub(super) fn made(device: WDFDEVICE) {
    MADE.with(|slot| *slot = device as u64);
}

/// Globals by WDFDRIVER.
static GLOBALS: IrqLock<Vec<(u64, u64)>> = IrqLock::new(Vec::new());

/// Globals of drivers that are about to go, by owner.
static UNBINDS: IrqLock<Vec<(u32, u64)>> = IrqLock::new(Vec::new());

/// What the linker's stub of KMDF does in the place of the framework's DriverUnload: that, and the binding goes.
unsafe extern "win64" fn evt_unload(driver: *mut DRIVER_OBJECT) {
    let owner = crate::verifier::owners::by_driver(driver).expect("a loaded driver").owner;
    kmdf::remove(owner);
    let globals =
        UNBINDS.with(|all| all.iter().find(|(number, _)| *number == owner.number()).map(|known| known.1));
    // SAFETY: the globals that the driver got when it bound.
    unsafe {
        let globals = globals.unwrap_or_default() as *mut WDF_DRIVER_GLOBALS;
        binding::version_unbind(null_mut(), null_mut(), globals);
    }
}

/// A driver that is loaded, with its device in D0.
#[derive(Clone)]
pub(super) struct Driver {
    /// Its service.
    pub service: Arc<Service>,
    /// Its device's stack.
    pub node: Arc<Node>,
    globals: u64,
    device: u64,
}

pub(super) fn package(name: &str) -> Package {
    Package {
        kind: Kind::Root,
        net: false,
        functions: Vec::new(),
        description: name.into(),
        matched: String::new(),
        service: name.into(),
        binary: String::new(),
        msi: false,
        message_limit: None,
        kmdf: Some((1, 31)),
        filter: None,
        keywords: BTreeMap::new(),
        catalog: None,
    }
}

/// Zero-terminated UTF-16 that stays.
pub(super) fn wide(text: &str) -> *const u16 {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    units.leak().as_ptr()
}

impl Driver {
    /// Loads a driver: it binds, creates its WDFDRIVER, and its root-enumerated device is started.
    pub(super) fn load(name: &'static str) -> Self {
        let driver = Self::add(name, evt_device_add, |_| ());
        driver.node.start().expect("the device starts");
        driver
    }

    /// A driver with an EvtDriverDeviceAdd of the test's, which is told by [`made`] of the device; it does `after` once it
    /// has bound. Its device is there and not started.
    pub(super) fn add(
        name: &'static str,
        device_add: unsafe extern "win64" fn(WDFDRIVER, PWDFDEVICE_INIT) -> NTSTATUS,
        after: impl FnOnce(*mut WDF_DRIVER_GLOBALS),
    ) -> Self {
        let object = DRIVER_OBJECT { DriverName: mm::leak_unicode(name), ..DRIVER_OBJECT::default() };
        let image = Image::of_the_process(name);
        let service = Service::new(name, package(name), Owner::next(), image, object);
        let driver_object = service.driver_object();
        let mut table: *const WDFFUNC = null();
        let mut globals = null_mut();
        let mut bind = WDF_BIND_INFO {
            Size: size_of::<WDF_BIND_INFO>() as u32,
            Component: wide("KmdfLibrary"),
            Version: WDF_VERSION { Major: 1, Minor: 31, Build: 0 },
            FuncCount: KMDF_1_31_FUNCTION_COUNT,
            FuncTable: (&raw mut table).cast(),
            Module: null_mut(),
        };
        let mut config = WDF_DRIVER_CONFIG {
            Size: size_of::<WDF_DRIVER_CONFIG>() as u32,
            EvtDriverDeviceAdd: Some(device_add),
            // SAFETY: numbers and nullable function pointers.
            ..unsafe { zeroed() }
        };
        let mut driver = null_mut();
        // SAFETY: what a driver's entry point does, with structures that live meanwhile.
        unsafe {
            let bound = binding::version_bind(driver_object, null_mut(), &raw mut bind, &raw mut globals);
            assert_eq!(bound, STATUS_SUCCESS);
            after(globals);
            let created = kmdf::driver_create(
                globals,
                driver_object,
                null(),
                null_mut(),
                &raw mut config,
                &raw mut driver,
            );
            assert_eq!(created, STATUS_SUCCESS);
        }
        assert!(!table.is_null(), "the table of functions");
        GLOBALS.with(|all| all.push((driver as u64, globals as u64)));
        service.entered.store(true, Relaxed);
        let node = Node::add(&service, None).expect("EvtDriverDeviceAdd makes a device");
        Self { service, node, globals: globals as u64, device: MADE.with(|made| *made) }
    }

    /// Unloads every driver; this one takes back what it bound.
    pub(super) fn unload(&self) {
        UNBINDS.with(|all| all.push((self.service.owner.number(), self.globals)));
        // SAFETY: the driver object of a driver that is loaded.
        unsafe { (*self.service.driver_object()).DriverUnload = Some(evt_unload) };
        crate::pnp::unload().expect("the driver goes");
    }

    /// Its globals.
    pub(super) fn globals(&self) -> *mut WDF_DRIVER_GLOBALS {
        self.globals as *mut WDF_DRIVER_GLOBALS
    }

    /// Its device.
    pub(super) fn device(&self) -> WDFDEVICE {
        self.device as WDFDEVICE
    }

    /// Its WDM device object.
    pub(super) fn object(&self) -> *mut DEVICE_OBJECT {
        // SAFETY: KMDF checks the handle.
        unsafe { device::wdm_get_device_object(self.globals(), self.device()) }
    }

    /// A configuration: 1 sequential, 2 parallel, 3 manual.
    pub(super) fn config(kind: i32, callbacks: &Callbacks) -> WDF_IO_QUEUE_CONFIG {
        // SAFETY: numbers and nullable function pointers.
        let mut config: WDF_IO_QUEUE_CONFIG = unsafe { zeroed() };
        config.Size = size_of::<WDF_IO_QUEUE_CONFIG>() as u32;
        config.DispatchType = kind;
        config.PowerManaged = 2;
        config.Settings.Parallel.NumberOfPresentedRequests = u32::MAX;
        config.EvtIoDeviceControl = callbacks.control.is_some().then_some(evt_device_control);
        config.EvtIoCanceledOnQueue = callbacks.canceled_on_queue.is_some().then_some(evt_canceled_on_queue);
        config.EvtIoStop = callbacks.stop.is_some().then_some(evt_stop);
        config.EvtIoResume = callbacks.resume.is_some().then_some(evt_resume);
        config
    }

    /// WdfIoQueueCreate with that configuration.
    pub(super) fn queue_of(
        &self,
        mut config: WDF_IO_QUEUE_CONFIG,
        callbacks: Callbacks,
    ) -> Result<Queue, NTSTATUS> {
        let mut made = null_mut();
        // SAFETY: KMDF checks the handle; the structures live meanwhile.
        let status = unsafe {
            queue_api::create(self.globals(), self.device(), &raw mut config, null_mut(), &raw mut made)
        };
        if status != STATUS_SUCCESS {
            return Err(status);
        }
        CALLBACKS.with(|all| all.insert(made as u64, Arc::new(callbacks)));
        Ok(Queue(made as u64))
    }

    /// The device's default queue: parallel.
    pub(super) fn default_queue(&self, callbacks: Callbacks) -> Queue {
        let config = WDF_IO_QUEUE_CONFIG { DefaultQueue: 1, ..Self::config(2, &callbacks) };
        self.queue_of(config, callbacks).expect("a default queue")
    }

    /// A manual queue; the device's default one if `default`.
    pub(super) fn manual_queue(&self, default: bool, callbacks: Callbacks) -> Queue {
        let config = WDF_IO_QUEUE_CONFIG { DefaultQueue: default.into(), ..Self::config(3, &callbacks) };
        self.queue_of(config, callbacks).expect("a manual queue")
    }

    /// A remote target that is open on another driver's device.
    pub(super) fn target_on(&self, other: &Self) -> Target {
        let mut target = null_mut();
        let mut params = WDF_IO_TARGET_OPEN_PARAMS {
            Size: size_of::<WDF_IO_TARGET_OPEN_PARAMS>() as u32,
            Type: 1,
            TargetDeviceObject: other.object(),
            ..WDF_IO_TARGET_OPEN_PARAMS::default()
        };
        // SAFETY: KMDF checks the handles; the structures live meanwhile.
        unsafe {
            let made = io_target::api::create(self.globals(), self.device(), null_mut(), &raw mut target);
            assert_eq!(made, STATUS_SUCCESS);
            assert_eq!(io_target::api::open(self.globals(), target, &raw mut params), STATUS_SUCCESS);
        }
        Target(target as u64)
    }

    /// WdfDeviceGetIoTarget.
    pub(super) fn local_target(&self) -> Target {
        // SAFETY: KMDF checks the handle.
        Target(unsafe { device::get_io_target(self.globals(), self.device()) } as u64)
    }

    /// WdfRequestCreate for a target.
    pub(super) fn request(&self, target: Target) -> Request {
        let mut made = null_mut();
        // SAFETY: as above.
        let status = unsafe { request::api::create(self.globals(), null_mut(), target.raw(), &raw mut made) };
        assert_eq!(status, STATUS_SUCCESS);
        Request(made as u64)
    }
}

/// What became of a program's request.
pub(super) type Outcome = Option<(NTSTATUS, u64)>;

/// A program's request on a device.
#[derive(Clone)]
pub(super) struct Io {
    irp: Arc<IrqLock<Option<Irp>>>,
    outcome: Arc<IrqLock<(Outcome, u32)>>,
}

impl Io {
    /// DeviceIoControl with 8 bytes each way, on a file that has been opened.
    pub(super) fn start(file: &Arc<File>) -> Self {
        let io = Self { irp: Arc::new(IrqLock::new(None)), outcome: Arc::new(IrqLock::new((None, 0))) };
        let (irp, outcome) = (io.irp.clone(), io.outcome.clone());
        file.control(
            CODE,
            &[0; 8],
            8,
            |made| irp.with(|slot| *slot = Some(made)),
            move |status, information, _| {
                outcome.with(|slot| {
                    slot.0 = Some((status, information));
                    slot.1 += 1;
                });
            },
        );
        io
    }

    /// CancelIoEx: whether a cancel routine ran.
    pub(super) fn cancel(&self) -> bool {
        let irp = self.irp.with(|irp| *irp).filter(|irp| irp.pin());
        irp.is_some_and(|irp| {
            let ran = irp.cancel();
            irp.unpin();
            ran
        })
    }

    /// How it ended, if it has.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome.with(|outcome| outcome.0)
    }

    /// How it ended: it must have, once.
    pub(super) fn ended(&self) -> NTSTATUS {
        let (outcome, times) = self.outcome.with(|outcome| *outcome);
        assert_eq!(times, 1, "a request is completed once");
        outcome.expect("a request has ended").0
    }
}

/// Opens a file on a driver's device, as a program does.
pub(super) fn open(driver: &Driver) -> Arc<File> {
    File::open(driver.object(), "", true).expect("the device can be opened")
}
