//! The stack over the adapter: filter modules from top to bottom, attached, paused, restarted and detached in NDIS's
//! orders. What changes it runs on the PnP thread.

use super::binding;
use super::books;
use super::events;
use super::memory;
use super::miniport;
use super::module::{FilterDriver, Module};
use super::modules;
use super::protocol;
use super::requests;
use super::violation::stop;
use crate::mm::Owner;
use crate::verifier::trace;
use crate::verifier::window;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use ndis_sys::*;
use understudy_rules::ndis::state::State;

/// There is an adapter with queues to stand over.
static ADAPTER: AtomicBool = AtomicBool::new(false);

/// How long lists may take to come back once everything is paused, in microseconds.
const RETURN_BOUND_US: u64 = 10_000_000;

/// A change of the stack during which an earlier failure may be told.
type Change = Result<(), String>;

/// Takes a driver away; its modules are detached first. PASSIVE_LEVEL.
pub(crate) fn deregister(driver: &Arc<FilterDriver>) {
    if modules::all().iter().any(|module| Arc::ptr_eq(&module.driver, driver)) {
        changed(|| {
            detach_where(|module| Arc::ptr_eq(&module.driver, driver));
            Ok(())
        })
        .unwrap_or_else(|error| trace::set_reason(&error));
    }
    modules::deregister(driver);
}

/// What a driver has left of NDIS's after its unload, by rule and in words.
pub(crate) fn left_by(owner: Owner) -> Vec<(&'static str, String)> {
    let mut left = memory::left(|_, of| of == owner);
    if modules::drivers().iter().any(|driver| driver.owner == owner) {
        left.push(("NdisFDeregisterFilterDriver", "the filter driver is still registered".into()));
    }
    left
}

/// The adapter has its queues: filters attach, the protocol binds, all is started from the bottom up.
///
/// # Errors
/// A mandatory filter failed.
pub(crate) fn adapter_up() -> Change {
    ADAPTER.store(true, Relaxed);
    if modules::all().is_empty() {
        attach_missing()?;
    }
    protocol::bind();
    events::net_power(true);
    start();
    Ok(())
}

/// The adapter is about to lose its queues, for good if `last`: all is paused from the top down.
pub(crate) fn adapter_down(last: bool) {
    if !ADAPTER.swap(false, Relaxed) {
        miniport::get().take_down();
        return;
    }
    events::net_power(false);
    if last {
        protocol::close();
    }
    pause(1);
    if last {
        protocol::unbind();
        detach_where(|_| true);
    }
    miniport::get().take_down();
}

/// Pauses the filters from the top down, then the data path, whose EvtCancel is called `cancels` times.
pub(crate) fn pause(cancels: u32) {
    for module in modules::all() {
        pause_module(&module);
    }
    window::NDIS_PAUSE_FILTERS_PAUSED.pass();
    if miniport::get().is_running() {
        miniport::get().pause(cancels);
    }
    books::with(|ledger| ledger.forget_order());
}

/// Starts the data path, then the filters from the bottom up.
pub(crate) fn start() {
    if miniport::get().has_queues() && !miniport::get().is_running() {
        miniport::get().start();
    }
    for module in modules::all() {
        set_module_options(&module);
    }
    for module in modules::all().into_iter().rev().filter(|module| module.state() == State::Paused) {
        restart_module(&module);
    }
}

/// Changes the stack between a pause and a restart of it.
fn changed(change: impl FnOnce() -> Change) -> Change {
    let running = miniport::get().is_running();
    if running {
        pause(1);
    }
    let result = change();
    events::filter_list_changed();
    if running {
        start();
    }
    result
}

/// The protocol binds to the adapter.
///
/// # Errors
/// It is bound, or there is no adapter.
pub(crate) fn bind() -> Change {
    if !ADAPTER.load(Relaxed) {
        return Err("there is no adapter in D0".into());
    }
    if binding::is_bound() {
        return Err("the protocol is bound".into());
    }
    protocol::bind();
    Ok(())
}

/// The protocol unbinds: done when all that it sent has come back.
///
/// # Errors
/// It is not bound.
pub(crate) fn unbind() -> Change {
    if !binding::is_bound() {
        return Err("the protocol is not bound".into());
    }
    protocol::unbind_when_idle();
    Ok(())
}

/// Attaches every registered filter that is not attached.
///
/// # Errors
/// There is none, there is no adapter, or a FilterAttach failed.
pub(crate) fn attach() -> Change {
    if !ADAPTER.load(Relaxed) {
        return Err("there is no adapter in D0".into());
    }
    if modules::drivers().len() == modules::all().len() {
        return Err("no filter is registered that is not attached".into());
    }
    changed(attach_missing)
}

/// Detaches every filter.
///
/// # Errors
/// None is attached.
pub(crate) fn detach() -> Change {
    if modules::all().is_empty() {
        return Err("no filter is attached".into());
    }
    changed(|| {
        detach_where(|_| true);
        Ok(())
    })
}

/// Pauses and restarts the stack for a module: NdisFRestartFilter.
pub(crate) fn restart_on_request() {
    if miniport::get().is_running() {
        pause(1);
        start();
    }
}

fn attach_missing() -> Change {
    let attached = modules::all();
    for driver in modules::drivers() {
        if attached.iter().any(|module| Arc::ptr_eq(&module.driver, &driver)) {
            continue;
        }
        if let Err(error) = attach_module(&driver) {
            trace::note("device", &error);
            if driver.characteristics.Flags & NDIS_FILTER_DRIVER_MANDATORY != 0 {
                return Err(error);
            }
        }
    }
    Ok(())
}

fn attach_module(driver: &Arc<FilterDriver>) -> Change {
    let module = Module::new(driver.clone());
    modules::add(module.clone());
    let mut parameters = super::attach::parameters(&module);
    let Some(attach) = driver.characteristics.AttachHandler else { return Ok(()) };
    module.reserve();
    let status = module.call("FilterAttach", |_| {
        trace::note(driver.label, "FilterAttach");
        // SAFETY: the driver's handler with the new module's handle, its own context and live parameters.
        unsafe { attach(module.handle() as NDIS_HANDLE, driver.context as NDIS_HANDLE, parameters.pointer()) }
    });
    if status != NDIS_STATUS_SUCCESS {
        modules::remove(&module);
        require_freed(&module, "a failed FilterAttach");
        return Err(format!("FilterAttach failed with {:#010x}", status as u32));
    }
    if !module.attributes.load(Relaxed) {
        stop("FilterAttributesNotSet", "FilterAttach succeeded without NdisFSetAttributes".into());
    }
    module.change(|machine| machine.attached());
    Ok(())
}

fn pause_module(module: &Arc<Module>) {
    if module.state() != State::Running {
        return;
    }
    let Some(handler) = module.driver.characteristics.PauseHandler else { return };
    let mut parameters = NDIS_FILTER_PAUSE_PARAMETERS {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_FILTER_PAUSE_PARAMETERS,
            NDIS_FILTER_PAUSE_PARAMETERS_REVISION_1,
            size_of::<NDIS_FILTER_PAUSE_PARAMETERS>() as u16,
        ),
        Flags: 0,
        PauseReason: NDIS_PAUSE_NDIS_INTERNAL,
    };
    module.change(|machine| machine.pausing());
    window::NDIS_PAUSE_BEFORE_FILTER.pass();
    module.reserve();
    let watch = module.watch("NdisFilterTimedPauseComplete", "FilterPause");
    let status = module.call("FilterPause", |context| {
        trace::note(module.driver.label, "FilterPause");
        // SAFETY: the driver's handler with its module's context and live parameters, at PASSIVE_LEVEL.
        unsafe { handler(context, &raw mut parameters) }
    });
    drop(watch);
    module.require(|machine| machine.returned(status));
    module.wait_paused();
    let (held, out) = loop {
        // calls that began before the pause, and those with frames from below, may still carry lists through
        module.wait_idle();
        let (held, out, busy) = books::with(|ledger| {
            (ledger.foreign_held(module.party()), ledger.own_out(module.party()), module.is_busy())
        });
        if !busy {
            break (held, out);
        }
    };
    if held != 0 {
        stop(
            "PausedWithListsHeld",
            format!("module {} is paused and holds {held} lists of others", module.number),
        );
    }
    if out != 0 {
        stop(
            "PausedWithOwnListsOut",
            format!("module {} is paused, {out} of its own lists are out", module.number),
        );
    }
    module.change(|machine| machine.settle());
}

/// SetFilterModuleOptions, before the restart of any module.
fn set_module_options(module: &Arc<Module>) {
    let Some(handler) = module.driver.characteristics.SetFilterModuleOptionsHandler else { return };
    if module.state() != State::Paused {
        return;
    }
    module.reserve();
    let status = module.set_options(|| {
        module.call("FilterSetModuleOptions", |context| {
            trace::note(module.driver.label, "FilterSetModuleOptions");
            // SAFETY: the driver's handler with its module's context, at PASSIVE_LEVEL.
            unsafe { handler(context) }
        })
    });
    if status != NDIS_STATUS_SUCCESS {
        trace::not_offered(&format!("FilterSetModuleOptions that returns {:#010x}", status as u32));
    }
}

fn restart_module(module: &Arc<Module>) {
    let Some(handler) = module.driver.characteristics.RestartHandler else { return };
    let mut parameters = super::attach::restart_parameters();
    module.change(|machine| machine.restarting());
    module.reserve();
    let watch = module.watch("FilterRestartTimedOut", "FilterRestart");
    let status = module.call("FilterRestart", |context| {
        trace::note(module.driver.label, "FilterRestart");
        // SAFETY: the driver's handler with its module's context and live parameters, at PASSIVE_LEVEL.
        unsafe { handler(context, &raw mut parameters) }
    });
    drop(watch);
    if status != NDIS_STATUS_SUCCESS {
        trace::not_offered(&format!("FilterRestart that returns {:#010x}", status as u32));
    }
    module.change(|machine| machine.restarted());
}

/// Detaches paused modules from the top down.
fn detach_where(which: impl Fn(&Module) -> bool) {
    for module in modules::all().into_iter().filter(|module| which(module)) {
        let Some(handler) = module.driver.characteristics.DetachHandler else { continue };
        requests::require_none(&module);
        module.change(|machine| machine.detached());
        wait_uninvolved(&module);
        module.wait_idle();
        window::NDIS_DETACH_BEFORE_FILTER.pass();
        module.reserve();
        let watch = module.watch("FilterDetachTimedOut", "FilterDetach");
        module.call("FilterDetach", |context| {
            trace::note(module.driver.label, "FilterDetach");
            // SAFETY: the driver's handler with its module's context, for the last time, at PASSIVE_LEVEL.
            unsafe { handler(context) }
        });
        drop(watch);
        modules::remove(&module);
        module.wait_idle();
        require_freed(&module, "FilterDetach");
    }
}

/// Waits until no list has to come back through the module: everything below it is paused.
fn wait_uninvolved(module: &Module) {
    let until = crate::ke::now_us() + RETURN_BOUND_US;
    while books::with(|ledger| ledger.involved(module.party())) != 0 {
        if crate::ke::now_us() > until {
            let place = format!("module {}: {}", module.number, books::describe(module.party()));
            stop("DetachedWithLists", place);
        }
        crate::ke::delay_us(1_000);
    }
}

/// What a module made is gone when it goes.
fn require_freed(module: &Module, after: &str) {
    let party = module.party();
    let mut left = memory::left(|of, _| of == party);
    left.extend(requests::clones_left(party));
    if let Some((rule, what)) = left.into_iter().next() {
        stop(rule, format!("after {after} of module {}: {what}", module.number));
    }
}
