//! The PnP manager's part: which drivers the bundle holds, in which order they and their devices come and go.
//!
//! Up: filters and services without a device, as Windows starts them at boot; NICs with their data path; other devices on the
//! bus; root-enumerated ones. Down: the reverse. Runs on the agent's PnP thread alone.

mod failure;
mod hardware;
mod node;
mod resources;
mod service;

use crate::hal::pci::Function;
use crate::ndis::stack;
use crate::translator::datapath;
use crate::verifier::owners;
use crate::verifier::trace;
use crate::wdf::bus::{Bus as _, Stage};
use crate::wdf::io_target;
use alloc::{format, string::String, sync::Arc, vec::Vec};
pub(crate) use failure::NotLoaded;
use failure::failed;
pub(crate) use node::Node;
use node::nic;
use understudy_rules::inf::{self, Kind, Package};

/// A driver of the bundle: its file's name and bytes, what its INF says, and the functions on the bus that it is for.
type Found = (&'static str, &'static [u8], Package, Vec<Function>);

/// The drivers in the bundle, in the order in which they are loaded.
fn packages() -> Result<Vec<Found>, String> {
    let (functions, bus): (Vec<_>, Vec<_>) = hardware::functions().into_iter().unzip();
    let files = crate::settings::files();
    let mut found: Vec<Found> = Vec::new();
    let mut taken: Vec<(Function, &str)> = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| is_inf(name)) {
        let package = inf::select(text, Some(&bus)).map_err(|error| format!("{name}: {error}"))?;
        let (file, bytes) = files
            .iter()
            .find(|(file, _)| file.eq_ignore_ascii_case(&package.binary))
            .ok_or_else(|| format!("{name}: the bundle holds no {}", package.binary))?;
        let mine: Vec<Function> = package.functions.iter().map(|&at| functions[at]).collect();
        for &function in &mine {
            if let Some((_, other)) = taken.iter().find(|(known, _)| *known == function) {
                return Err(format!("{other} and {name} are both for the device {}", package.matched));
            }
            taken.push((function, name));
        }
        let same = |(_, _, other, _): &&Found| other.service.eq_ignore_ascii_case(&package.service);
        if let Some((other, ..)) = found.iter().find(same) {
            return Err(format!("{name}: the service {} is that of {other} already", package.service));
        }
        crate::log!("{} as {}: {}", package.description, package.matched, package.binary);
        found.push((*file, *bytes, package, mine));
    }
    if found.is_empty() {
        return Err("the bundle holds no INF".into());
    }
    crate::mm::grant(hardware::memory(taken.into_iter().map(|(function, _)| function)));
    found.sort_by_key(|(_, _, package, _)| match package.kind {
        Kind::Filter | Kind::Service => 0,
        _ if package.net => 1,
        Kind::Pci => 2,
        Kind::Root => 3,
    });
    Ok(found)
}

/// Whether a driver of the bundle is of that service, loaded or not.
///
/// # Errors
/// None is.
pub(crate) fn require_service(name: &str) -> Result<(), String> {
    let bus: Vec<_> = hardware::functions().into_iter().map(|(_, identity)| identity).collect();
    let files = crate::settings::files();
    let found = files.iter().filter(|(file, _)| is_inf(file)).any(|(_, text)| {
        inf::select(text, Some(&bus)).is_ok_and(|package| package.service.eq_ignore_ascii_case(name))
    });
    if found { Ok(()) } else { Err(format!("no service {name:?}")) }
}

fn is_inf(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, kind)| kind.eq_ignore_ascii_case("inf"))
}

/// Loads a driver and starts its devices, one after the other.
fn bring_up(file: (&str, &[u8]), package: Package, functions: &[Function]) -> Result<(), NotLoaded> {
    let kind = package.kind;
    let service = service::start(file, package)?;
    let start = |function| Node::add(&service, function)?.start();
    let started = match kind {
        // NDIS attaches a filter when the NIC's stack starts
        Kind::Filter | Kind::Service => Ok(()),
        Kind::Pci => functions.iter().try_for_each(|&function| start(Some(function))),
        Kind::Root => start(None),
    };
    started.map_err(NotLoaded::Failed)
}

/// Loads every driver of the bundle and brings its devices up, the NIC's to a running data path.
///
/// # Errors
/// One line; whatever had been set up is taken down again.
pub(crate) fn load() -> Result<(), NotLoaded> {
    if !owners::all().is_empty() {
        return Err(NotLoaded::Failed("a driver is loaded already".into()));
    }
    let found = packages().map_err(NotLoaded::Refused)?;
    datapath::forget_books();
    for (file, bytes, package, functions) in found {
        if let Err(error) = bring_up((file, bytes), package, &functions) {
            let (NotLoaded::Refused(why) | NotLoaded::Failed(why)) = &error;
            crate::log!("load of {file}: {why}");
            take_down();
            return Err(error);
        }
    }
    Ok(())
}

/// Pauses the data path.
///
/// # Errors
/// It does not run.
pub(crate) fn pause(cancels: u32) -> Result<(), String> {
    if !datapath::is_running() {
        return Err("the data path does not run".into());
    }
    stack::pause(cancels);
    Ok(())
}

/// Starts a paused data path.
///
/// # Errors
/// It runs, or there is none.
pub(crate) fn restart() -> Result<(), String> {
    if datapath::is_running() || !datapath::exists() {
        return Err("the data path is not paused".into());
    }
    stack::start();
    Ok(())
}

fn to_power(node: &Node, on: bool) -> Result<(), String> {
    match (on, node.stage()) {
        (false, Stage::Working) => node.leave_d0(node::D3),
        (false, _) => Err("the device is not in D0".into()),
        (true, Stage::Prepared) => node.enter_d0(node::D3),
        (true, _) => Err("the device is not in D3".into()),
    }
}

/// Takes the NIC out of D0, or back; the driver stays loaded.
///
/// # Errors
/// The device is in another state, or a callback failed.
pub(crate) fn power_nic(on: bool) -> Result<(), String> {
    let node = nic().ok_or(if on { "the device is not in D3" } else { "the device is not in D0" })?;
    to_power(&node, on)
}

fn nodes_of(service: &str) -> Result<Vec<Arc<Node>>, String> {
    let named = |node: &Arc<Node>| node.service.name.eq_ignore_ascii_case(service);
    let found: Vec<_> = node::all().into_iter().filter(named).collect();
    if found.is_empty() { Err(format!("no device of a service {service:?}")) } else { Ok(found) }
}

/// Takes the devices of a service out of D0, or back.
///
/// # Errors
/// There is none, one is in another state, or a callback failed.
pub(crate) fn power(service: &str, on: bool) -> Result<(), String> {
    nodes_of(service)?.iter().try_for_each(|node| to_power(node, on))
}

/// Removes the devices of a service and unloads its driver; the rest stays.
///
/// # Errors
/// There is none, a driver above refuses, or a callback failed on the way.
pub(crate) fn remove(service: &str, surprise: bool) -> Result<(), String> {
    let nodes = nodes_of(service)?;
    let mut targets = Vec::new();
    for node in &nodes {
        let object = node.device().map_or(core::ptr::null_mut(), |(_, device)| device.object());
        targets.push(if surprise {
            io_target::pnp::open_on(object)
        } else {
            io_target::pnp::query_remove(object).map_err(|status| failed("EvtIoTargetQueryRemove", status))?
        });
    }
    for (node, targets) in nodes.iter().zip(targets) {
        node.remove(surprise, &targets);
    }
    service::stop(&nodes[0].service);
    trace::take_reason().map_or(Ok(()), Err)
}

/// Takes every device and driver away and checks that nothing is left.
///
/// # Errors
/// Nothing is loaded, or a callback failed on the way.
pub(crate) fn unload() -> Result<(), String> {
    if owners::all().is_empty() {
        return Err("no driver is loaded".into());
    }
    take_down();
    trace::take_reason().map_or(Ok(()), Err)
}

/// The way down from wherever the devices are: the last driver loaded goes first.
fn take_down() {
    for service in owners::all().into_iter().rev() {
        for node in node::all().into_iter().rev() {
            if Arc::ptr_eq(&node.service, &service) {
                node.remove(false, &[]);
            }
        }
        service::stop(&service);
    }
}
