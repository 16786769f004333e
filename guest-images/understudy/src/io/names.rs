//! Symbolic links: the names by which programs reach devices.

use super::STATUS_OBJECT_NAME_COLLISION;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use alloc::{string::String, vec::Vec};
use wdk_offline::{DEVICE_OBJECT, NTSTATUS, STATUS_OBJECT_NAME_NOT_FOUND};

struct Link {
    /// Without its prefix.
    name: String,
    target: Target,
    owner: Owner,
}

/// Where a link leads.
enum Target {
    /// A device by its name, looked up when it is opened.
    Named(String),
    /// A device interface's device.
    Device(*mut DEVICE_OBJECT),
}

// SAFETY: an address of a device object, looked up before use.
unsafe impl Send for Link {}

static LINKS: IrqLock<Vec<Link>> = IrqLock::new(Vec::new());

/// The name without the prefix of its directory, which all are one here.
fn plain(name: &str) -> &str {
    let prefixes =
        ["\\DosDevices\\Global\\", "\\DosDevices\\", "\\GLOBAL??\\", "\\??\\", "\\\\?\\", "\\\\.\\"];
    let found = prefixes.iter().find_map(|prefix| {
        let head = name.get(..prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then(|| &name[prefix.len()..])
    });
    found.unwrap_or(name)
}

fn add(name: &str, target: Target, owner: Owner) -> Result<(), NTSTATUS> {
    let link = Link { name: plain(name).into(), target, owner };
    LINKS.with(|links| {
        if links.iter().any(|known| known.name.eq_ignore_ascii_case(&link.name)) {
            return Err(STATUS_OBJECT_NAME_COLLISION);
        }
        links.push(link);
        Ok(())
    })
}

/// IoCreateSymbolicLink.
///
/// # Errors
/// STATUS_OBJECT_NAME_COLLISION.
pub(crate) fn link(name: &str, device: &str, owner: Owner) -> Result<(), NTSTATUS> {
    add(name, Target::Named(device.into()), owner)
}

/// The link of a device interface.
///
/// # Errors
/// STATUS_OBJECT_NAME_COLLISION.
pub(crate) fn link_device(name: &str, device: *mut DEVICE_OBJECT, owner: Owner) -> Result<(), NTSTATUS> {
    add(name, Target::Device(device), owner)
}

/// IoDeleteSymbolicLink.
///
/// # Errors
/// STATUS_OBJECT_NAME_NOT_FOUND.
pub(crate) fn unlink(name: &str) -> Result<(), NTSTATUS> {
    let gone = LINKS.with(|links| {
        let at = links.iter().position(|link| link.name.eq_ignore_ascii_case(plain(name)));
        at.map(|at| links.swap_remove(at))
    });
    gone.map(drop).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)
}

/// The device behind a link or a device name.
pub(crate) fn resolve(name: &str) -> Option<*mut DEVICE_OBJECT> {
    if let Some(device) = super::device::find(name) {
        return Some(device);
    }
    let found = LINKS.with(|links| {
        let link = links.iter().find(|link| link.name.eq_ignore_ascii_case(plain(name)))?;
        Some(match &link.target {
            Target::Named(device) => Err(device.clone()),
            Target::Device(device) => Ok(*device),
        })
    })?;
    match found {
        Ok(device) => super::device::exists(device).then_some(device),
        Err(name) => super::device::find(&name),
    }
}

/// The name of a file below its device: for a link of an interface with a reference string that string, as the system hands
/// on what stands behind the link's last `}`.
pub(crate) fn below(name: &str) -> &str {
    name.rfind("}\\").map_or("", |at| &name[at + 1..])
}

/// Links of a driver that are left, in words.
pub(crate) fn report(owner: Owner) -> Vec<String> {
    LINKS
        .with(|links| links.iter().filter(|link| link.owner == owner).map(|link| link.name.clone()).collect())
}
