//! What Windows would take from a driver's INF: which model matches, which service with which binary, whether the
//! device gets message interrupts, which frameworks, which adapter keywords, how a filter wants to be bound.
//!
//! Three kinds are known: a network adapter on PCI, an NDIS filter, and a root-enumerated device of the System class.
//! Knows the file's text and the PCI device's identity only; nothing of the machine. A wrong INF is one clear line.

mod filter;

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};
pub use filter::FilterEntry;
use inf_text::{Inf, Line};

/// Identity of a PCI function, from its configuration header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PciIdentity {
    /// Vendor id, offset 0x00.
    pub vendor: u16,
    /// Device id, offset 0x02.
    pub device: u16,
    /// Revision, offset 0x08.
    pub revision: u8,
    /// Subsystem vendor id, offset 0x2c.
    pub subsystem_vendor: u16,
    /// Subsystem id, offset 0x2e.
    pub subsystem: u16,
    /// Class, subclass and programming interface, offset 0x09.
    pub class: u32,
}

impl PciIdentity {
    /// Hardware ids, then compatible ids, in the order in which the PCI bus driver reports them: best match first.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let base = format!("PCI\\VEN_{:04X}&DEV_{:04X}", self.vendor, self.device);
        let subsystem = format!("&SUBSYS_{:04X}{:04X}", self.subsystem, self.subsystem_vendor);
        let revision = format!("&REV_{:02X}", self.revision);
        let class = format!("&CC_{:06X}", self.class);
        let short_class = format!("&CC_{:04X}", self.class >> 8);
        alloc::vec![
            format!("{base}{subsystem}{revision}"),
            format!("{base}{subsystem}"),
            format!("{base}{class}"),
            format!("{base}{short_class}"),
            format!("{base}{revision}"),
            base,
        ]
    }
}

/// Why the INF cannot be used for the device; the text names section and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfError(pub String);

impl core::fmt::Display for InfError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "INF: {}", self.0)
    }
}

fn fault<T>(text: String) -> Result<T, InfError> {
    Err(InfError(text))
}

/// What the INF installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A network adapter on the PCI bus: class Net.
    Pci,
    /// An NDIS filter, a service without a device of its own: class NetService.
    Filter,
    /// A device that the root enumerator reports: class System, hardware id `ROOT\...`.
    Root,
}

/// Classes by name and GUID.
const CLASSES: [(&str, &str, Kind); 3] = [
    ("Net", "{4d36e972-e325-11ce-bfc1-08002be10318}", Kind::Pci),
    ("NetService", "{4d36e974-e325-11ce-bfc1-08002be10318}", Kind::Filter),
    ("System", "{4d36e97d-e325-11ce-bfc1-08002be10318}", Kind::Root),
];

/// What the INF says about the matched device or service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What it installs.
    pub kind: Kind,
    /// The model's description, strings expanded.
    pub description: String,
    /// The hardware id of the model that matched.
    pub matched: String,
    /// Service that drives the device.
    pub service: String,
    /// File name of the service's binary, without folder.
    pub binary: String,
    /// `MSISupported` = 1: without it Windows gives the device a line interrupt.
    pub msi: bool,
    /// `MessageNumberLimit`, if given.
    pub message_limit: Option<u32>,
    /// `KmdfLibraryVersion`: major, minor. A filter has none.
    pub kmdf: Option<(u32, u32)>,
    /// How a filter is bound.
    pub filter: Option<FilterEntry>,
    /// Adapter keywords: direct values and `Ndi\params` defaults (a direct value wins). Keys in lower case.
    pub keywords: BTreeMap<String, String>,
}

/// Architecture decorations of model and install sections that a 64-bit Windows accepts, best first.
const INSTALL_SUFFIXES: [&str; 3] = [".NTamd64", ".NT", ""];

/// Reads `bytes` as an INF ([`inf_text::decode`]); `device` is the identity for the Net class.
///
/// # Errors
/// One line that names the section and key which is missing or wrong.
pub fn select(bytes: &[u8], device: &PciIdentity) -> Result<Package, InfError> {
    let text = inf_text::decode(bytes).map_err(|fault| InfError(fault.to_string()))?;
    let inf = Inf::parse(&text).map_err(|fault| InfError(fault.to_string()))?;
    let kind = version(&inf)?;
    let wanted = match kind {
        Kind::Pci => device.ids(),
        Kind::Filter => Vec::new(),
        Kind::Root => root_ids(&inf)?,
    };
    let (description, install, matched) = model(&inf, &wanted)?;
    let section = decorated(&inf, &install)
        .ok_or_else(|| InfError(format!("no install section [{install}] with .NTamd64 or .NT")))?;
    let (service, binary) = service(&inf, &section, kind)?;
    let kmdf = if kind == Kind::Filter { None } else { Some(kmdf(&inf, &section, &service)?) };
    let interrupts = hardware_values(&inf, &section);
    let msi_key = |name: &str| {
        interrupts
            .get(&format!("interrupt management\\messagesignaledinterruptproperties\\{name}"))
            .map(String::as_str)
    };
    let keywords = if kind == Kind::Pci { keywords(&inf, &section)? } else { BTreeMap::new() };
    let filter = if kind == Kind::Filter { Some(filter::read(&inf, &section, &service)?) } else { None };
    Ok(Package {
        kind,
        description,
        matched,
        service,
        binary,
        msi: msi_key("msisupported").and_then(number) == Some(1),
        message_limit: msi_key("messagenumberlimit").and_then(number),
        kmdf,
        filter,
        keywords,
    })
}

fn version(inf: &Inf) -> Result<Kind, InfError> {
    let class = inf.value("Version", "Class").unwrap_or_default();
    let guid = inf.value("Version", "ClassGuid").unwrap_or_default();
    let known = CLASSES
        .iter()
        .find(|(name, id, _)| class.eq_ignore_ascii_case(name) && guid.eq_ignore_ascii_case(id));
    let Some((_, _, kind)) = known else {
        return fault(format!(
            "[Version] Class={class} ClassGuid={guid}: not the Net class, nor NetService or System"
        ));
    };
    let date_and_version = inf.value("Version", "DriverVer").unwrap_or_default();
    if !date_and_version.contains('/') {
        return fault(format!("[Version] DriverVer=\"{date_and_version}\" is missing or not stamped"));
    }
    Ok(*kind)
}

/// All models sections for amd64.
fn models(inf: &Inf) -> Result<Vec<String>, InfError> {
    let mut sections = Vec::new();
    for line in inf.lines("Manufacturer") {
        let Some((base, targets)) = line.values.split_first() else { continue };
        let amd64 = targets.iter().find(|target| target.to_ascii_lowercase().starts_with("ntamd64"));
        match amd64 {
            Some(target) => sections.push(format!("{base}.{target}")),
            None if targets.is_empty() => sections.push(base.clone()),
            None => {}
        }
    }
    if sections.is_empty() {
        return fault("[Manufacturer] names no models section for NTamd64".into());
    }
    Ok(sections)
}

/// The hardware ids that begin with `ROOT\`: the rig installs the device by one of them, as devcon does.
fn root_ids(inf: &Inf) -> Result<Vec<String>, InfError> {
    let sections = models(inf)?;
    let lines = sections.iter().flat_map(|section| inf.lines(section));
    let ids = lines.flat_map(|line| line.values.iter().skip(1));
    let found: Vec<String> = ids
        .filter(|id| id.get(..5).is_some_and(|root| root.eq_ignore_ascii_case("ROOT\\")))
        .cloned()
        .collect();
    if found.is_empty() {
        return fault(format!("[{}] has no model with a ROOT\\ id", sections.join("], [")));
    }
    Ok(found)
}

/// The first model, best id first, of all manufacturers' sections for amd64; any model where no id is wanted.
fn model(inf: &Inf, wanted: &[String]) -> Result<(String, String, String), InfError> {
    let sections = models(inf)?;
    let lines = || sections.iter().flat_map(|section| inf.lines(section));
    let of = |line: &Line, id: String| Some((line.key.clone(), line.values.first()?.clone(), id));
    let found = if wanted.is_empty() {
        lines().find_map(|line| of(line, line.values.get(1)?.clone()))
    } else {
        wanted.iter().find_map(|id| {
            let matches =
                |line: &&Line| line.values.iter().skip(1).any(|model| model.eq_ignore_ascii_case(id));
            of(lines().find(matches)?, id.clone())
        })
    };
    let sections = sections.join("], [");
    found.ok_or_else(|| {
        InfError(format!("no model in [{sections}] matches {}", wanted.get(1).map_or("anything", |id| id)))
    })
}

/// The name of the install section as decorated for this machine, with its decoration.
fn decorated(inf: &Inf, base: &str) -> Option<String> {
    INSTALL_SUFFIXES.iter().map(|suffix| format!("{base}{suffix}")).find(|name| inf.has(name))
}

fn service(inf: &Inf, section: &str, kind: Kind) -> Result<(String, String), InfError> {
    let services = format!("{section}.Services");
    // bit 1 of the flags: this service is the device's function driver; a filter drives no device
    let fits = |line: &&Line| {
        let flags = line.values.get(1).and_then(|flags| number(flags));
        kind == Kind::Filter || flags.is_some_and(|flags| flags & 2 != 0)
    };
    let chosen = inf.lines(&services).filter(|line| line.key.eq_ignore_ascii_case("AddService")).find(fits);
    let Some(line) = chosen else {
        let wanted = if kind == Kind::Filter { "" } else { " with flag 2 (function driver)" };
        return fault(format!("[{services}] has no AddService{wanted}"));
    };
    let (Some(name), Some(install)) = (line.values.first(), line.values.get(2)) else {
        return fault(format!("[{services}] AddService names no service install section"));
    };
    // SERVICE_KERNEL_DRIVER; on demand, a filter also at system start
    let starts: &[u32] = if kind == Kind::Filter { &[1, 3] } else { &[3] };
    for (key, wanted) in [("ServiceType", &[1][..]), ("StartType", starts)] {
        let value = inf.value(install, key).as_deref().and_then(number);
        if !value.is_some_and(|value| wanted.contains(&value)) {
            return fault(format!("[{install}] {key} is not {}", wanted[0]));
        }
    }
    let Some(path) = inf.value(install, "ServiceBinary") else {
        return fault(format!("[{install}] has no ServiceBinary"));
    };
    let binary = path.rsplit('\\').next().unwrap_or_default();
    Ok((name.clone(), binary.into()))
}

fn kmdf(inf: &Inf, section: &str, service: &str) -> Result<(u32, u32), InfError> {
    let wdf = format!("{section}.Wdf");
    let line = inf.lines(&wdf).find(|line| line.key.eq_ignore_ascii_case("KmdfService"));
    let (Some(named), Some(target)) =
        (line.and_then(|l| l.values.first()), line.and_then(|l| l.values.get(1)))
    else {
        return fault(format!("[{wdf}] has no KmdfService"));
    };
    if !named.eq_ignore_ascii_case(service) {
        return fault(format!("[{wdf}] KmdfService={named}, but the function driver is {service}"));
    }
    let text = inf.value(target, "KmdfLibraryVersion").unwrap_or_default();
    let parts =
        text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    parts.ok_or_else(|| {
        InfError(format!("[{target}] KmdfLibraryVersion=\"{text}\" is not major.minor (not stamped?)"))
    })
}

/// Values that the `.HW` section writes below the device's hardware key: `subkey\name`, lower case, to value.
fn hardware_values(inf: &Inf, section: &str) -> BTreeMap<String, String> {
    registry_values(inf, &format!("{section}.HW"))
        .into_iter()
        .map(|(key, name, value)| (format!("{key}\\{name}").to_ascii_lowercase(), value))
        .collect()
}

fn keywords(inf: &Inf, section: &str) -> Result<BTreeMap<String, String>, InfError> {
    let mut defaults = BTreeMap::new();
    let mut direct = BTreeMap::new();
    // the four standard keywords of the Net class may stand directly in the install section
    for line in inf.lines(section).filter(|line| line.key.starts_with('*')) {
        if let Some(value) = line.values.first() {
            direct.insert(line.key.to_ascii_lowercase(), value.clone());
        }
    }
    let mut service = None;
    for (key, name, value) in registry_values(inf, section) {
        let key = key.to_ascii_lowercase();
        let name = name.to_ascii_lowercase();
        if key.is_empty() {
            direct.insert(name, value);
        } else if key == "ndi" && name == "service" {
            service = Some(value);
        } else if let Some(keyword) = key.strip_prefix("ndi\\params\\")
            && name == "default"
        {
            defaults.insert(keyword.into(), value);
        }
    }
    if service.is_none() {
        return fault(format!("[{section}] writes no Ndi\\Service"));
    }
    defaults.append(&mut direct);
    for required in ["*iftype", "*mediatype", "*physicalmediatype"] {
        if !defaults.contains_key(required) {
            return fault(format!(
                "[{section}] has no {required}: Windows does not install it as a network adapter"
            ));
        }
    }
    Ok(defaults)
}

/// All `HKR` values of the section's AddReg lists: subkey, name, value.
fn registry_values(inf: &Inf, section: &str) -> Vec<(String, String, String)> {
    let lists = inf.lines(section).filter(|line| line.key.eq_ignore_ascii_case("AddReg"));
    let mut values = Vec::new();
    for list in lists.flat_map(|line| line.values.iter()) {
        for line in inf.lines(list) {
            // a line without "=": its key is the first field
            let mut fields = core::iter::once(&line.key).chain(line.values.iter()).cloned();
            if !fields.next().is_some_and(|root| root.eq_ignore_ascii_case("HKR")) {
                continue;
            }
            let key = fields.next().unwrap_or_default();
            let name = fields.next().unwrap_or_default();
            let _flags = fields.next();
            values.push((key, name, fields.next().unwrap_or_default()));
        }
    }
    values
}

/// A decimal or 0x number as INF files write them.
#[must_use]
pub fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests;
