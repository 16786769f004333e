//! The registered filter drivers and the attached modules: who stands where, and who is behind a handle.

use super::module::{FilterDriver, Module};
use super::violation::stop;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use alloc::{format, sync::Arc, vec::Vec};
use ndis_sys::{NDIS_FILTER_PARTIAL_CHARACTERISTICS as Handlers, NDIS_HANDLE};
use understudy_rules::ndis::ledger::Party;
use understudy_rules::ndis::state::State;

/// Registered drivers, in the order of their registration.
static DRIVERS: IrqLock<Vec<Arc<FilterDriver>>> = IrqLock::new(Vec::new());
/// Attached modules, top first.
static MODULES: IrqLock<Vec<Arc<Module>>> = IrqLock::new(Vec::new());
fn place_of(modules: &[Arc<Module>], party: Party) -> Option<usize> {
    modules.iter().position(|module| module.party() == party)
}

/// Whether lists, requests and events reach the module.
fn reachable(module: &Module) -> bool {
    !matches!(module.state(), State::Attaching | State::Detached)
}

/// The next module below `party` that `wants`, reserved for a call. Any IRQL.
pub(crate) fn below(party: Party, wants: impl Fn(&Handlers) -> bool) -> Option<Arc<Module>> {
    MODULES.with(|modules| {
        let from = place_of(modules, party).map_or(0, |at| at + 1);
        let found =
            modules.iter().skip(from).find(|module| reachable(module) && wants(&module.handlers()))?;
        found.reserve();
        Some(found.clone())
    })
}

/// The next module above `party` that `wants`, reserved for a call. Any IRQL.
pub(crate) fn above(party: Party, wants: impl Fn(&Handlers) -> bool) -> Option<Arc<Module>> {
    MODULES.with(|modules| {
        let to = place_of(modules, party).unwrap_or(modules.len());
        let found =
            modules.iter().take(to).rev().find(|module| reachable(module) && wants(&module.handlers()))?;
        found.reserve();
        Some(found.clone())
    })
}

/// The module with this number, reserved for a call. Any IRQL.
pub(crate) fn reserve(number: u32) -> Option<Arc<Module>> {
    MODULES.with(|modules| {
        let found = modules.iter().find(|module| module.number == number)?;
        found.reserve();
        Some(found.clone())
    })
}

/// The module behind a handle that a driver passes; any other handle is the end.
pub(crate) fn module(handle: NDIS_HANDLE, function: &str) -> Arc<Module> {
    let Some(number) = Module::number_of(handle) else {
        stop("InvalidFilterHandle", format!("{function}: {handle:p} is no filter module's handle"));
    };
    let found = MODULES.with(|modules| modules.iter().find(|module| module.number == number).cloned());
    found.unwrap_or_else(|| {
        stop("HandleAfterDetach", format!("{function}: module {number} has been detached"))
    })
}

/// The attached modules, top first.
pub(super) fn all() -> Vec<Arc<Module>> {
    let count = MODULES.with(|modules| modules.len());
    // cloned one by one, so that nothing is allocated with interrupts off
    (0..count).filter_map(|at| MODULES.with(|modules| modules.get(at).cloned())).collect()
}

/// The registered drivers, in the order of their registration.
pub(super) fn drivers() -> Vec<Arc<FilterDriver>> {
    let count = DRIVERS.with(|drivers| drivers.len());
    (0..count).filter_map(|at| DRIVERS.with(|drivers| drivers.get(at).cloned())).collect()
}

/// The driver behind a handle.
pub(crate) fn driver(handle: NDIS_HANDLE) -> Option<Arc<FilterDriver>> {
    DRIVERS.with(|drivers| drivers.iter().find(|driver| driver.handle == handle as u64).cloned())
}

/// Who a handle that NDIS gave stands for in the books: a module's, a driver's, or nobody's for NULL.
pub(crate) fn party_of(handle: NDIS_HANDLE, owner: Owner, function: &str) -> Party {
    if handle.is_null() || driver(handle).is_some() {
        return Party::Driver(owner.number());
    }
    module(handle, function).party()
}

/// Whose driver a live module belongs to.
pub(crate) fn owner_of(number: u32) -> Option<Owner> {
    MODULES.with(|modules| {
        modules.iter().find(|module| module.number == number).map(|module| module.driver.owner)
    })
}

/// Whose driver a driver's or a module's handle belongs to.
pub(crate) fn owner_of_handle(handle: NDIS_HANDLE) -> Option<Owner> {
    driver(handle).map(|driver| driver.owner).or_else(|| Module::number_of(handle).and_then(owner_of))
}

/// Adds a driver. PASSIVE_LEVEL.
pub(super) fn register(driver: Arc<FilterDriver>) {
    DRIVERS.with(|drivers| drivers.push(driver));
}

/// Forgets a driver, whose modules have been detached. PASSIVE_LEVEL.
pub(super) fn deregister(driver: &Arc<FilterDriver>) {
    DRIVERS.remove(driver);
}

/// Adds a module at the bottom: the first registered stands at the top. PASSIVE_LEVEL.
pub(super) fn add(module: Arc<Module>) {
    MODULES.with(|modules| modules.push(module));
}

/// Takes a module out. PASSIVE_LEVEL.
pub(super) fn remove(module: &Arc<Module>) {
    MODULES.remove(module);
}
