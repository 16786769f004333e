//! Device interfaces: a class GUID, an instance of it on a device, and the link that stands while it is enabled.

use super::names;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use alloc::{format, string::String, vec::Vec};
use wdk_offline::{DEVICE_OBJECT, GUID};

struct Interface {
    class: GUID,
    device: *mut DEVICE_OBJECT,
    link: String,
    owner: Owner,
    enabled: bool,
}

// SAFETY: an address of a device object, looked up before use.
unsafe impl Send for Interface {}

static INTERFACES: IrqLock<Vec<Interface>> = IrqLock::new(Vec::new());

/// A GUID as INF files and links write it.
pub(crate) fn text(guid: &GUID) -> String {
    let tail = guid.Data4;
    let rest = tail[2..].iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!(
        "{{{:08x}-{:04x}-{:04x}-{:02x}{:02x}-{rest}}}",
        guid.Data1, guid.Data2, guid.Data3, tail[0], tail[1]
    )
}

/// Registers an instance of that service and reference string, not enabled. One device has each class once. Returns whether
/// it was new.
pub(crate) fn register(
    class: GUID,
    device: *mut DEVICE_OBJECT,
    (service, reference): (&str, &str),
    owner: Owner,
) -> bool {
    let below = if reference.is_empty() { String::new() } else { format!("\\{reference}") };
    let link = format!("ROOT#{service}#0000#{}{below}", text(&class));
    let made = Interface { class, device, link, owner, enabled: false };
    INTERFACES.with(|interfaces| {
        let known = interfaces.iter().any(|known| known.class == class && known.device == device);
        if !known {
            interfaces.push(made);
        }
        !known
    })
}

/// Enables or disables every instance of a device: their links come and go.
pub(crate) fn set_enabled(device: *mut DEVICE_OBJECT, enabled: bool) {
    change(device, |_| true, enabled);
}

/// As [`set_enabled`], for the instances of one class.
pub(crate) fn set_class_enabled(device: *mut DEVICE_OBJECT, class: &GUID, enabled: bool) {
    change(device, |known| known == class, enabled);
}

fn change(device: *mut DEVICE_OBJECT, is_meant: impl Fn(&GUID) -> bool, enabled: bool) {
    let count = INTERFACES.with(|interfaces| interfaces.len());
    for at in 0..count {
        let change = INTERFACES.with(|interfaces| {
            let known = interfaces.get_mut(at)?;
            if known.device != device || known.enabled == enabled || !is_meant(&known.class) {
                return None;
            }
            known.enabled = enabled;
            Some((known.link.clone(), known.owner))
        });
        if let Some((link, owner)) = change {
            let done = if enabled { names::link_device(&link, device, owner) } else { names::unlink(&link) };
            if let Err(status) = done {
                crate::log!("device interface {link}: {:#010x}", status as u32);
            }
        }
    }
}

/// Forgets the instances of a device that is about to go.
pub(crate) fn forget(device: *mut DEVICE_OBJECT) {
    set_enabled(device, false);
    INTERFACES.with(|interfaces| interfaces.retain(|known| known.device != device));
}

/// The links of the enabled instances of a class, with their full prefix.
pub(crate) fn links(class: &GUID) -> Vec<String> {
    INTERFACES.with(|interfaces| {
        let enabled = interfaces.iter().filter(|known| known.class == *class && known.enabled);
        enabled.map(|known| format!("\\??\\{}", known.link)).collect()
    })
}

/// The first enabled instance's link of a class that is written in braces.
pub(crate) fn first_link(class: &str) -> Option<String> {
    INTERFACES.with(|interfaces| {
        let found =
            interfaces.iter().find(|known| known.enabled && text(&known.class).eq_ignore_ascii_case(class));
        found.map(|known| known.link.clone())
    })
}
