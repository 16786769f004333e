//! The part of an INF that only an NDIS filter has.
//!
//! Rules: NF33 to NF37 (`driver/docs/ndis-filter.md`).

use super::{Inf, InfError, fault, number, registry_values};
use alloc::{format, string::String};

/// NCF_LW_FILTER; NCF_FILTER, of the old intermediate drivers, must not come with it.
const LW_FILTER: u32 = 0x4_0000;
const OLD_FILTER: u32 = 0x400;

/// How NDIS binds a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterEntry {
    /// NetCfgInstanceId: what the driver gives as UniqueName.
    pub unique_name: String,
    /// FilterType 2: it may change and originate traffic; 1 only looks.
    pub modifying: bool,
    /// FilterRunType 1: the adapter's other bindings wait for it.
    pub mandatory: bool,
    /// FilterClass: where in the stack it stands.
    pub class: String,
}

/// Reads the install section of a filter.
pub(super) fn read(inf: &Inf, section: &str, service: &str) -> Result<FilterEntry, InfError> {
    let characteristics = inf.value(section, "Characteristics").as_deref().and_then(number);
    if !characteristics.is_some_and(|flags| flags & LW_FILTER != 0 && flags & OLD_FILTER == 0) {
        return fault(format!("[{section}] Characteristics is not 0x40000 (NCF_LW_FILTER)"));
    }
    let unique_name = inf.value(section, "NetCfgInstanceId").unwrap_or_default();
    if unique_name.len() != 38 || !unique_name.starts_with('{') || !unique_name.ends_with('}') {
        return fault(format!("[{section}] NetCfgInstanceId=\"{unique_name}\" is no GUID in braces"));
    }
    let values = registry_values(inf, section);
    let value = |subkey: &str, name: &str| {
        let mut found = values
            .iter()
            .filter(|(key, known, _)| key.eq_ignore_ascii_case(subkey) && known.eq_ignore_ascii_case(name));
        found.next().map(|(_, _, value)| value.as_str())
    };
    if !value("Ndi", "Service").is_some_and(|named| named.eq_ignore_ascii_case(service)) {
        return fault(format!("[{section}] writes no Ndi\\Service that is {service}"));
    }
    let one_of_two = |name: &str| match value("Ndi", name).and_then(number) {
        Some(number @ (1 | 2)) => Ok(number),
        _ => fault(format!("[{section}] Ndi\\{name} is neither 1 nor 2")),
    };
    let media = value("Ndi\\Interfaces", "FilterMediaTypes").unwrap_or_default();
    if !media.split(',').any(|medium| medium.trim().eq_ignore_ascii_case("ethernet")) {
        return fault(format!("[{section}] Ndi\\Interfaces\\FilterMediaTypes has no ethernet"));
    }
    let Some(class) = value("Ndi", "FilterClass").filter(|class| !class.is_empty()) else {
        return fault(format!("[{section}] writes no Ndi\\FilterClass"));
    };
    Ok(FilterEntry {
        unique_name,
        modifying: one_of_two("FilterType")? == 2,
        mandatory: one_of_two("FilterRunType")? == 1,
        class: class.into(),
    })
}
