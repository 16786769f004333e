//! Filter drivers, their modules, and the calls into a module that have not returned.

use super::violation::{checked, stop};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Timer};
use crate::mm::Owner;
use crate::verifier::trace;
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use ndis_sys::{
    NDIS_FILTER_DRIVER_CHARACTERISTICS, NDIS_FILTER_PARTIAL_CHARACTERISTICS, NDIS_HANDLE, NDIS_OBJECT_HEADER,
};
use understudy_rules::ndis::ledger::{Broken, Party};
use understudy_rules::ndis::state::{Began, Machine, State};
use wdk_offline::DRIVER_OBJECT;

/// Handles of drivers and modules are no addresses: whatever follows one faults.
const DRIVER_HANDLES: u64 = 0x5d0b_4e44_0000_0000;
const MODULE_HANDLES: u64 = 0x5d0b_4e46_0000_0000;

/// A registered filter driver.
pub(crate) struct FilterDriver {
    /// NdisFilterDriverHandle.
    pub handle: u64,
    /// Its driver object.
    pub object: *mut DRIVER_OBJECT,
    /// Whose image it is.
    pub owner: Owner,
    /// What stands on the time line before its callbacks.
    pub label: &'static str,
    /// FilterDriverContext.
    pub context: usize,
    /// What it registered.
    pub characteristics: NDIS_FILTER_DRIVER_CHARACTERISTICS,
}

// SAFETY: function pointers, and strings that belong to the driver's image and are not read after registration.
unsafe impl Send for FilterDriver {}
// SAFETY: as above; nothing changes after registration.
unsafe impl Sync for FilterDriver {}

static NEXT: AtomicU32 = AtomicU32::new(1);

impl FilterDriver {
    /// A driver with these characteristics.
    pub(crate) fn new(
        (object, owner): (*mut DRIVER_OBJECT, Owner),
        context: usize,
        characteristics: NDIS_FILTER_DRIVER_CHARACTERISTICS,
    ) -> Arc<Self> {
        let handle = DRIVER_HANDLES | u64::from(NEXT.fetch_add(1, Relaxed)) << 4;
        Arc::new(Self {
            handle,
            object,
            owner,
            label: crate::verifier::owners::label(owner),
            context,
            characteristics,
        })
    }
}

/// A filter module: one filter driver over the adapter.
pub(crate) struct Module {
    /// Its number, never used again.
    pub number: u32,
    /// The driver.
    pub driver: Arc<FilterDriver>,
    /// FilterModuleContext.
    pub context: AtomicUsize,
    /// NdisFSetAttributes has been called.
    pub attributes: AtomicBool,
    /// FilterSetModuleOptions runs.
    options: AtomicBool,
    machine: IrqLock<Machine>,
    handlers: IrqLock<NDIS_FILTER_PARTIAL_CHARACTERISTICS>,
    /// Calls into it that have not returned.
    calls: AtomicU32,
    /// Set when the machine or `calls` changed.
    changed: Event,
}

// SAFETY: function pointers; all that changes is atomic or behind a lock.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// One call into a module that has not returned.
#[derive(Clone, Copy)]
struct Call {
    thread: u64,
    module: u32,
    /// What the module could believe of itself when it began.
    began: Began,
    /// FilterCancelSendNetBufferLists with this ID, and how often that was passed on.
    cancel: Option<(u64, u32)>,
    /// A PnP event, and how often that was passed on.
    event: Option<(usize, u32)>,
}

static CALLS: IrqLock<Vec<Call>> = IrqLock::new(Vec::new());

fn innermost<R>(module: u32, read: impl FnOnce(&mut Call) -> R) -> Option<R> {
    let thread = crate::ke::current_thread();
    CALLS.with(|calls| {
        calls.iter_mut().rev().find(|call| call.thread == thread && call.module == module).map(read)
    })
}

impl Module {
    /// A module of `driver`, attaching.
    pub(crate) fn new(driver: Arc<FilterDriver>) -> Arc<Self> {
        let all = &driver.characteristics;
        let handlers = NDIS_FILTER_PARTIAL_CHARACTERISTICS {
            Header: NDIS_OBJECT_HEADER::default(),
            Flags: 0,
            SendNetBufferListsHandler: all.SendNetBufferListsHandler,
            SendNetBufferListsCompleteHandler: all.SendNetBufferListsCompleteHandler,
            CancelSendNetBufferListsHandler: all.CancelSendNetBufferListsHandler,
            ReceiveNetBufferListsHandler: all.ReceiveNetBufferListsHandler,
            ReturnNetBufferListsHandler: all.ReturnNetBufferListsHandler,
        };
        Arc::new(Self {
            number: NEXT.fetch_add(1, Relaxed),
            driver,
            context: AtomicUsize::new(0),
            attributes: AtomicBool::new(false),
            options: AtomicBool::new(false),
            machine: IrqLock::new(Machine::attaching()),
            handlers: IrqLock::new(handlers),
            calls: AtomicU32::new(0),
            changed: Event::auto(),
        })
    }

    /// NdisFilterHandle.
    pub(crate) fn handle(&self) -> u64 {
        MODULE_HANDLES | u64::from(self.number) << 4
    }

    /// The number behind a module's handle, of a live module or a dead one.
    pub(crate) fn number_of(handle: NDIS_HANDLE) -> Option<u32> {
        let raw = handle as u64;
        (raw & !0xffff_fff0 == MODULE_HANDLES).then_some((raw as u32) >> 4)
    }

    /// Who it is in the books.
    pub(crate) fn party(&self) -> Party {
        Party::Module(self.number)
    }

    /// FilterModuleContext.
    pub(crate) fn context(&self) -> NDIS_HANDLE {
        self.context.load(Relaxed) as NDIS_HANDLE
    }

    /// Its data handlers.
    pub(crate) fn handlers(&self) -> NDIS_FILTER_PARTIAL_CHARACTERISTICS {
        self.handlers.with(|handlers| *handlers)
    }

    /// Changes its data handlers: NdisSetOptionalHandlers.
    pub(crate) fn set_handlers(&self, handlers: NDIS_FILTER_PARTIAL_CHARACTERISTICS) {
        self.handlers.with(|slot| *slot = handlers);
    }

    /// Whether its FilterSetModuleOptions runs.
    pub(crate) fn sets_options(&self) -> bool {
        self.options.load(Relaxed)
    }

    /// Runs its FilterSetModuleOptions.
    pub(crate) fn set_options<R>(&self, run: impl FnOnce() -> R) -> R {
        self.options.store(true, Relaxed);
        let result = run();
        self.options.store(false, Relaxed);
        result
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> State {
        self.machine.with(|machine| machine.state())
    }

    /// Changes its state machine and wakes who waits for that.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Machine) -> R) -> R {
        let result = self.machine.with(change);
        self.changed.set();
        result
    }

    /// As [`Self::change`], for a change that may break a rule.
    pub(crate) fn require<R>(&self, change: impl FnOnce(&mut Machine) -> Result<R, Broken>) -> R {
        checked(self.change(change))
    }

    /// Counts a call before it begins, so that nobody detaches the module meanwhile. Any IRQL.
    pub(crate) fn reserve(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// Takes a reserved call back that will not be made. Any IRQL.
    pub(crate) fn release(&self) {
        if self.calls.fetch_sub(1, Relaxed) == 1 {
            self.changed.set();
        }
    }

    /// Calls into the module, which has been reserved for this call. `what` is the callback's name.
    pub(crate) fn call<R>(&self, what: &'static str, run: impl FnOnce(NDIS_HANDLE) -> R) -> R {
        self.call_as(what, None, None, run).0
    }

    /// A cancel by ID: returns how often it was passed on.
    pub(crate) fn call_cancel(&self, id: u64, run: impl FnOnce(NDIS_HANDLE)) -> u32 {
        let ((), call) = self.call_as("FilterCancelSendNetBufferLists", Some((id, 0)), None, run);
        call.and_then(|call| call.cancel).map_or(0, |cancel| cancel.1)
    }

    /// A PnP event at `event`: returns what the callback returned and how often it was passed on.
    pub(crate) fn call_event<R>(
        &self,
        what: &'static str,
        event: usize,
        run: impl FnOnce(NDIS_HANDLE) -> R,
    ) -> (R, u32) {
        let (result, call) = self.call_as(what, None, Some((event, 0)), run);
        (result, call.and_then(|call| call.event).map_or(0, |event| event.1))
    }

    fn call_as<R>(
        &self,
        what: &'static str,
        cancel: Option<(u64, u32)>,
        event: Option<(usize, u32)>,
        run: impl FnOnce(NDIS_HANDLE) -> R,
    ) -> (R, Option<Call>) {
        let thread = crate::ke::current_thread();
        let began = self.machine.with(|machine| machine.began());
        let call = Call { thread, module: self.number, began, cancel, event };
        CALLS.with(|calls| calls.push(call));
        let result = trace::quick_callback(self.driver.label, what, || run(self.context()));
        let ended = CALLS.with(|calls| {
            let at = calls.iter().rposition(|call| call.thread == thread && call.module == self.number);
            at.map(|at| calls.remove(at))
        });
        self.release();
        (result, ended)
    }

    /// What the module could believe of itself when the call began through which it acts now on this thread; without
    /// such a call a thread of the driver's own acts.
    pub(crate) fn began(&self) -> Began {
        innermost(self.number, |call| call.began).unwrap_or(Began::Between)
    }

    /// Notes that the cancel which runs on this thread was passed on; `None` if there is none, else its ID.
    pub(crate) fn cancel_passed(&self) -> Option<u64> {
        innermost(self.number, |call| {
            call.cancel.as_mut().map(|cancel| {
                cancel.1 += 1;
                cancel.0
            })
        })
        .flatten()
    }

    /// Notes that the PnP event which runs on this thread was passed on; whether it is that event.
    pub(crate) fn event_passed(&self, event: usize) -> bool {
        innermost(self.number, |call| match &mut call.event {
            Some((known, passed)) if *known == event => {
                *passed += 1;
                true
            }
            _ => false,
        })
        .unwrap_or_default()
    }

    /// Whether a call into the module has not returned. Any IRQL.
    pub(crate) fn is_busy(&self) -> bool {
        self.calls.load(Relaxed) != 0
    }

    /// Whether another thread is inside the module, or on its way through it.
    pub(crate) fn busy_elsewhere(&self) -> bool {
        let thread = crate::ke::current_thread();
        CALLS.with(|calls| calls.iter().any(|call| call.thread != thread && call.module == self.number))
            || trace::active_elsewhere()
    }

    /// Waits until `done`, at most `us` microseconds. PASSIVE_LEVEL. Returns whether it came true.
    fn wait(&self, us: u64, done: impl Fn() -> bool) -> bool {
        let until = crate::ke::now_us().saturating_add(us);
        while !done() {
            let now = crate::ke::now_us();
            if now >= until {
                return false;
            }
            self.changed.wait_timeout(until - now);
        }
        true
    }

    /// Waits until no call into the module is in flight. PASSIVE_LEVEL, outside such a call.
    pub(crate) fn wait_idle(&self) {
        if !self.wait(CALL_BOUND_US, || self.calls.load(Relaxed) == 0) {
            let place = format!(
                "{} s after its pause calls into the module are in flight",
                CALL_BOUND_US / 1_000_000
            );
            stop("CallbackDoesNotReturn", place);
        }
    }

    /// Stops unless the guard is dropped in time: a callback that must not stay away. `what` is its name.
    #[must_use]
    pub(crate) fn watch(&self, rule: &'static str, what: &'static str) -> Timer {
        let (number, party) = (self.number, self.party());
        let timer = Timer::new(Box::new(move || {
            let held: String = super::books::describe(party);
            let place = format!(
                "module {number}: {what} has not returned after {} s; {held}",
                OPERATION_BOUND_US / 1_000_000
            );
            stop(rule, place);
        }));
        timer.start(OPERATION_BOUND_US);
        timer
    }

    /// Waits for the end of FilterPause, be it later than its return.
    pub(crate) fn wait_paused(&self) {
        if !self.wait(OPERATION_BOUND_US, || self.machine.with(|machine| machine.has_paused())) {
            let held: String = super::books::describe(self.party());
            let place =
                format!("FilterPause has not ended after {} s; {held}", OPERATION_BOUND_US / 1_000_000);
            stop("NdisFilterTimedPauseComplete", place);
        }
    }
}

/// How long a pause may take: NdisFilterTimedPauseComplete.
const OPERATION_BOUND_US: u64 = 10_000_000;
/// How long a call into a module may last.
const CALL_BOUND_US: u64 = 20_000_000;
