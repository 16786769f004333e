//! The PnP manager's part: which drivers the bundle holds, in which order they and their devices come and go.
//!
//! Up: the filter's service, as Windows starts it at boot; the NIC with its data path; root-enumerated devices.
//! Down: the reverse. Runs on the agent's PnP thread alone.

mod failure;
mod node;
mod resources;
mod service;

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

/// A driver of the bundle: its file's name and bytes, and what its INF says.
type Found = (&'static str, &'static [u8], Package);

/// The drivers in the bundle, in the order in which they are loaded.
fn packages() -> Result<Vec<Found>, String> {
    let identity = resources::find()?;
    let files = crate::settings::files();
    let mut found = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(".inf")) {
        let package = inf::select(text, &identity).map_err(|error| format!("{name}: {error}"))?;
        if package.kind == Kind::Pci && !package.msi {
            return Err(format!(
                "{name}: without MSISupported the device gets a line interrupt, which understudy does not have"
            ));
        }
        let (file, bytes) = files
            .iter()
            .find(|(file, _)| file.eq_ignore_ascii_case(&package.binary))
            .ok_or_else(|| format!("{name}: the bundle holds no {}", package.binary))?;
        crate::log!("{} as {}: {}", package.description, package.matched, package.binary);
        found.push((*file, *bytes, package));
    }
    if found.is_empty() {
        return Err("the bundle holds no INF".into());
    }
    found.sort_by_key(|(_, _, package)| match package.kind {
        Kind::Filter => 0,
        Kind::Pci => 1,
        Kind::Root => 2,
    });
    Ok(found)
}

/// Loads every driver of the bundle and brings its device up, the NIC's to a running data path.
///
/// # Errors
/// One line; whatever had been set up is taken down again.
pub(crate) fn load() -> Result<(), NotLoaded> {
    if !owners::all().is_empty() {
        return Err(NotLoaded::Failed("a driver is loaded already".into()));
    }
    let found = packages().map_err(NotLoaded::Refused)?;
    datapath::forget_books();
    for (file, bytes, package) in found {
        let kind = package.kind;
        let up = service::start((file, bytes), package).and_then(|service| match kind {
            // NDIS attaches it when the NIC's stack starts
            Kind::Filter => Ok(()),
            Kind::Pci | Kind::Root => {
                Node::add(&service).and_then(|node| node.start()).map_err(NotLoaded::Failed)
            }
        });
        if let Err(error) = up {
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

fn node_of(service: &str) -> Result<Arc<Node>, String> {
    let found = node::all().into_iter().find(|node| node.service.name.eq_ignore_ascii_case(service));
    found.ok_or_else(|| format!("no device of a service {service:?}"))
}

/// Takes the device of a service out of D0, or back.
///
/// # Errors
/// There is no such device, it is in another state, or a callback failed.
pub(crate) fn power(service: &str, on: bool) -> Result<(), String> {
    to_power(&*node_of(service)?, on)
}

/// Removes the device of a service and unloads its driver; the rest stays.
///
/// # Errors
/// There is no such device, a driver above refuses, or a callback failed on the way.
pub(crate) fn remove(service: &str, surprise: bool) -> Result<(), String> {
    let node = node_of(service)?;
    let object = node.device().map_or(core::ptr::null_mut(), |(_, device)| device.object());
    let targets = if surprise {
        io_target::pnp::open_on(object)
    } else {
        io_target::pnp::query_remove(object).map_err(|status| failed("EvtIoTargetQueryRemove", status))?
    };
    node.remove(surprise, &targets);
    service::stop(&node.service);
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
