//! What Windows would take from a driver's INF: which model matches, which service with which binary, whether the
//! device gets message interrupts, which frameworks, which adapter keywords, how a filter wants to be bound.
//!
//! The prefix of the models' ids is the bus: `PCI\`, `ROOT\`; an INF of the NetService class installs an NDIS filter, and one
//! that has [DefaultInstall] in place of models a service without a device. The class is anybody's; only the Net class asks for
//! more. Knows the file's text and the identities of PCI functions only; nothing of the machine. A wrong INF is one clear line.

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
        let class = format!("CC_{:06X}", self.class);
        let short_class = format!("CC_{:04X}", self.class >> 8);
        let vendor = format!("PCI\\VEN_{:04X}", self.vendor);
        alloc::vec![
            format!("{base}{subsystem}{revision}"),
            format!("{base}{subsystem}"),
            format!("{base}&{class}"),
            format!("{base}&{short_class}"),
            format!("{base}{revision}"),
            base,
            format!("{vendor}&{class}"),
            format!("{vendor}&{short_class}"),
            vendor,
            format!("PCI\\{class}"),
            format!("PCI\\{short_class}"),
        ]
    }

    /// The id that names what it is.
    #[must_use]
    pub fn id(&self) -> String {
        format!("PCI\\VEN_{:04X}&DEV_{:04X}", self.vendor, self.device)
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
    /// A device on the PCI bus: hardware id `PCI\...`.
    Pci,
    /// An NDIS filter, a service without a device of its own: class NetService.
    Filter,
    /// A device that the root enumerator reports: hardware id `ROOT\...`.
    Root,
    /// A service without a device: `[DefaultInstall]`.
    Service,
}

/// Name and GUID of the classes that are more than a name.
const NET: (&str, &str) = ("Net", "{4d36e972-e325-11ce-bfc1-08002be10318}");
const NET_SERVICE: (&str, &str) = ("NetService", "{4d36e974-e325-11ce-bfc1-08002be10318}");

/// What the INF says about the matched device or service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What it installs.
    pub kind: Kind,
    /// Of the Net class: a network adapter.
    pub net: bool,
    /// Places of the functions that it is for, among those given; of a PCI device only.
    pub functions: Vec<usize>,
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
    /// `KmdfLibraryVersion`: major, minor. Neither a filter has one, nor a driver without KMDF.
    pub kmdf: Option<(u32, u32)>,
    /// How a filter is bound.
    pub filter: Option<FilterEntry>,
    /// Adapter keywords: direct values and `Ndi\params` defaults (a direct value wins). Keys in lower case.
    pub keywords: BTreeMap<String, String>,
    /// `CatalogFile`: the file name of the catalog.
    pub catalog: Option<String>,
}

/// Architecture decorations of model and install sections that a 64-bit Windows accepts, best first.
const INSTALL_SUFFIXES: [&str; 3] = [".NTamd64", ".NT", ""];

/// Reads `bytes` as an INF ([`inf_text::decode`]). `bus`: the functions on the PCI bus, of which a driver of PCI devices needs
/// one; `None` where that is not known, and every PCI device may be there.
///
/// # Errors
/// One line that names the section and key which is missing or wrong.
pub fn select(bytes: &[u8], bus: Option<&[PciIdentity]>) -> Result<Package, InfError> {
    let text = inf_text::decode(bytes).map_err(|fault| InfError(fault.to_string()))?;
    let inf = Inf::parse(&text).map_err(|fault| InfError(fault.to_string()))?;
    let class = version(&inf)?;
    let chosen = if class == NET_SERVICE.0 { component(&inf)? } else { choose(&inf, bus)? };
    let Choice { kind, description, install, matched, functions } = chosen;
    let section = decorated(&inf, &install)
        .ok_or_else(|| InfError(format!("no install section [{install}] with .NTamd64 or .NT")))?;
    let (service, binary) = service(&inf, &section, kind)?;
    let is_device = matches!(kind, Kind::Pci | Kind::Root);
    let net = class == NET.0 && is_device;
    let interrupts = hardware_values(&inf, &section);
    let msi_key = |name: &str| {
        interrupts
            .get(&format!("interrupt management\\messagesignaledinterruptproperties\\{name}"))
            .map(String::as_str)
    };
    Ok(Package {
        kind,
        net,
        functions,
        description,
        matched,
        msi: msi_key("msisupported").and_then(number) == Some(1),
        message_limit: msi_key("messagenumberlimit").and_then(number),
        kmdf: if is_device { kmdf(&inf, &section, &service)? } else { None },
        filter: if kind == Kind::Filter { Some(filter::read(&inf, &section, &service)?) } else { None },
        keywords: if net { keywords(&inf, &section)? } else { BTreeMap::new() },
        catalog: catalog(&inf),
        service,
        binary,
    })
}

/// The device's class, by the name that it has for the two that are known here.
fn version(inf: &Inf) -> Result<String, InfError> {
    let class = inf.value("Version", "Class").unwrap_or_default();
    let guid = inf.value("Version", "ClassGuid").unwrap_or_default();
    for (name, id) in [NET, NET_SERVICE] {
        let same = [class.eq_ignore_ascii_case(name), guid.eq_ignore_ascii_case(id)];
        if same[0] != same[1] {
            return fault(format!("[Version] Class={class} ClassGuid={guid}: the {name} class has {id}"));
        }
        if same[0] {
            return stamped(inf, name.into());
        }
    }
    // a primitive driver's INF may be of no class
    if (class.is_empty() || guid.len() != 38) && inf.lines("Manufacturer").next().is_some() {
        return fault(format!(
            "[Version] Class=\"{class}\" ClassGuid=\"{guid}\": a name and a GUID in braces are wanted"
        ));
    }
    stamped(inf, class)
}

fn stamped(inf: &Inf, class: String) -> Result<String, InfError> {
    let date_and_version = inf.value("Version", "DriverVer").unwrap_or_default();
    if !date_and_version.contains('/') {
        return fault(format!("[Version] DriverVer=\"{date_and_version}\" is missing or not stamped"));
    }
    Ok(class)
}

/// The catalog's file name: that of this architecture, else that of all.
fn catalog(inf: &Inf) -> Option<String> {
    let keys = ["CatalogFile.NTamd64", "CatalogFile.NT", "CatalogFile"];
    keys.iter().find_map(|key| inf.value("Version", key)).filter(|name| !name.is_empty())
}

/// All models sections for amd64.
fn models(inf: &Inf) -> Result<Vec<String>, InfError> {
    let mut sections = Vec::new();
    let mut others = Vec::new();
    for line in inf.lines("Manufacturer") {
        let Some((base, targets)) = line.values.split_first() else { continue };
        let amd64 = targets.iter().find(|target| target.to_ascii_lowercase().starts_with("ntamd64"));
        match amd64 {
            Some(target) => sections.push(format!("{base}.{target}")),
            None if targets.is_empty() => sections.push(base.clone()),
            None => others.extend(targets.iter().map(String::as_str)),
        }
    }
    if sections.is_empty() {
        let only =
            if others.is_empty() { String::new() } else { format!(", only for {}", others.join(", ")) };
        return fault(format!("[Manufacturer] names no models section for NTamd64{only}"));
    }
    Ok(sections)
}

/// The model that is installed.
struct Choice {
    kind: Kind,
    description: String,
    /// Its install section, undecorated.
    install: String,
    /// Its id that decided.
    matched: String,
    functions: Vec<usize>,
}

impl Choice {
    fn of(kind: Kind, line: &Line, matched: &str, functions: Vec<usize>) -> Option<Self> {
        let (description, install) = (line.key.clone(), line.values.first()?.clone());
        Some(Self { kind, description, install, matched: matched.into(), functions })
    }
}

/// The first model, whatever its id: a network component's.
fn component(inf: &Inf) -> Result<Choice, InfError> {
    let sections = models(inf)?;
    let first = sections
        .iter()
        .flat_map(|section| inf.lines(section))
        .find_map(|line| Choice::of(Kind::Filter, line, line.values.get(1)?, Vec::new()));
    first.ok_or_else(|| InfError(format!("no model in [{}]", sections.join("], ["))))
}

/// Whether an id is of that bus.
fn is_on(bus: &str, id: &str) -> bool {
    id.get(..bus.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(bus))
}

/// The model of a device whose id fits a function best, of those on the bus; else one that the root enumerator reports.
fn choose(inf: &Inf, bus: Option<&[PciIdentity]>) -> Result<Choice, InfError> {
    if inf.lines("Manufacturer").next().is_none()
        && let Some(name) = ["DefaultInstall.NTamd64", "DefaultInstall.NT", "DefaultInstall"]
            .into_iter()
            .find(|name| inf.has(&format!("{name}.Services")))
    {
        let description = inf.value("Strings", "ServiceDesc").unwrap_or_else(|| name.into());
        let (install, matched, functions) = ("DefaultInstall".into(), name.into(), Vec::new());
        return Ok(Choice { kind: Kind::Service, description, install, matched, functions });
    }
    let sections = models(inf)?;
    let lines: Vec<&Line> = sections.iter().flat_map(|section| inf.lines(section)).collect();
    let ids = || lines.iter().flat_map(|line| line.values.iter().skip(1).map(move |id| (*line, id)));
    let first = |bus: &str| ids().find(|(_, id)| is_on(bus, id));
    let root = first("ROOT\\").and_then(|(line, id)| Choice::of(Kind::Root, line, id, Vec::new()));
    let Some((pci, id)) = first("PCI\\") else {
        return root.ok_or_else(|| {
            let found: Vec<&str> = ids().map(|(_, id)| id.as_str()).filter(|id| !id.is_empty()).collect();
            let found = if found.is_empty() { "none at all".into() } else { found.join(", ") };
            InfError(format!(
                "[{}] has no model with a PCI\\ or ROOT\\ id, but {found}",
                sections.join("], [")
            ))
        });
    };
    let Some(bus) = bus else {
        return Choice::of(Kind::Pci, pci, id, Vec::new())
            .ok_or_else(|| InfError("a model names no section".into()));
    };
    let best = |function: &PciIdentity| {
        let names = function.ids();
        let found = names.iter().find_map(|name| {
            ids().find(|(_, id)| id.eq_ignore_ascii_case(name)).map(|(line, _)| (line, name))
        });
        found.map(|(line, name)| (line, name.clone()))
    };
    let fitting: Vec<_> =
        bus.iter().enumerate().filter_map(|(at, function)| Some((at, best(function)?))).collect();
    let Some((_, (line, matched))) = fitting.first() else {
        return root.ok_or_else(|| {
            let there: Vec<String> = bus.iter().map(PciIdentity::id).collect();
            let there = if there.is_empty() { "nothing".into() } else { there.join(", ") };
            InfError(format!("no device on the bus is {id}: there is {there}"))
        });
    };
    let same = |other: &Line| other.values.first() == line.values.first();
    let functions = fitting.iter().filter(|(_, (other, _))| same(other)).map(|(at, _)| *at).collect();
    Choice::of(Kind::Pci, line, matched, functions).ok_or_else(|| InfError("a model names no section".into()))
}

/// The name of the install section as decorated for this machine, with its decoration.
fn decorated(inf: &Inf, base: &str) -> Option<String> {
    INSTALL_SUFFIXES.iter().map(|suffix| format!("{base}{suffix}")).find(|name| inf.has(name))
}

fn service(inf: &Inf, section: &str, kind: Kind) -> Result<(String, String), InfError> {
    let services = format!("{section}.Services");
    let is_device = matches!(kind, Kind::Pci | Kind::Root);
    // bit 1 of the flags: this service is the device's function driver; a filter drives no device
    let fits = |line: &&Line| {
        let flags = line.values.get(1).and_then(|flags| number(flags));
        !is_device || flags.is_some_and(|flags| flags & 2 != 0)
    };
    let chosen = inf.lines(&services).filter(|line| line.key.eq_ignore_ascii_case("AddService")).find(fits);
    let Some(line) = chosen else {
        let wanted = if is_device { " with flag 2 (function driver)" } else { "" };
        return fault(format!("[{services}] has no AddService{wanted}"));
    };
    let (Some(name), Some(install)) = (line.values.first(), line.values.get(2)) else {
        return fault(format!("[{services}] AddService names no service install section"));
    };
    // SERVICE_KERNEL_DRIVER; on demand or earlier, but not disabled
    for (key, wanted) in [("ServiceType", &[1][..]), ("StartType", &[3, 2, 1, 0])] {
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

/// The version that the INF asks for; one that has no such section leaves it to the driver's own request.
fn kmdf(inf: &Inf, section: &str, service: &str) -> Result<Option<(u32, u32)>, InfError> {
    let wdf = format!("{section}.Wdf");
    if !inf.has(&wdf) {
        return Ok(None);
    }
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
    parts.map(Some).ok_or_else(|| {
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
