//! The NIC's parameters: the keywords of its INF, which Windows keeps in the device's driver key.
//!
//! `Ndi\params\NAME` below that key, written when the driver is installed, says what a keyword is. Its value is NAME of
//! the key itself: a text in decimal, like the INF's own default for it, of which NDIS (NdisReadConfiguration, on which
//! an adapter's NetConfigurationQueryUlong stands) makes a number. The driver reads it whenever its device is added.

use std::collections::BTreeMap;

use crate::guest::{DriverKey, Fault, Guest, NIC};

/// Sets parameters for every load from now on; all of them, or none if one is refused.
///
/// # Errors
/// One is no keyword of the INF or has a value that its keyword does not take, or what Windows said.
pub fn set(guest: &dyn Guest, parameters: &BTreeMap<String, u32>) -> Result<(), Fault> {
    let key = guest.driver_key(NIC)?;
    for (name, value) in parameters {
        check(&*key, name, *value)?;
    }
    for (name, value) in parameters {
        key.set_text(name, &value.to_string())?;
    }
    Ok(())
}

/// Refuses what the property page would not let through.
fn check(key: &dyn DriverKey, name: &str, value: u32) -> Result<(), String> {
    // a backslash would lead into another key, and a NUL ends a name
    let is_name = !name.is_empty() && !name.contains(['\\', '\0']);
    let described = format!(r"Ndi\params\{name}");
    let kind = if is_name { key.text(&described, "type")? } else { None };
    let kind = kind.ok_or_else(|| format!("the NIC's INF has no keyword {name:?}"))?;
    if kind.eq_ignore_ascii_case("enum") {
        return match key.text(&format!(r"{described}\enum"), &value.to_string())? {
            Some(_) => Ok(()),
            None => Err(format!("{name}: {value} is none of the choices of the NIC's INF")),
        };
    }
    if !["int", "long", "word", "dword"].iter().any(|numeric| kind.eq_ignore_ascii_case(numeric)) {
        return Err(format!("{name} is of type {kind:?} in the NIC's INF, which has no numbers"));
    }
    if let Some(base) = key.text(&described, "base")?.filter(|base| base.trim() != "10") {
        return Err(format!("{name} is written to base {base:?} in the NIC's INF, not 10"));
    }
    let bound = |which: &str, otherwise: u32| match key.text(&described, which)? {
        Some(text) => {
            text.trim().parse().map_err(|_| format!("{name}: {which} {text:?} of the NIC's INF is no number"))
        }
        None => Ok(otherwise),
    };
    let range = bound("min", 0)?..=bound("max", u32::MAX)?;
    if range.contains(&value) { Ok(()) } else { Err(format!("{name}: {value} is not in {range:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretend::Pretend;

    /// A NIC with keywords like those of its INF, and some that are odd.
    fn guest() -> Pretend {
        let guest = Pretend::default();
        for (below, name, text) in [
            ("WatchdogMs", "type", "int"),
            ("WatchdogMs", "min", "0"),
            ("WatchdogMs", "max", "600000"),
            ("WatchdogMs", "base", "10"),
            ("CancelForm", "type", "enum"),
            (r"CancelForm\enum", "0", "Net ring iterators"),
            (r"CancelForm\enum", "1", "BeginIndex, as in 2018"),
            ("Free", "type", "DWord"),
            ("Hex", "type", "int"),
            ("Hex", "base", "16"),
            ("Broken", "type", "int"),
            ("Broken", "max", "many"),
            ("NetworkAddress", "type", "edit"),
        ] {
            guest.put_into_driver_key(&format!(r"Ndi\params\{below}"), name, text);
        }
        guest
    }

    fn set_one(guest: &Pretend, name: &str, value: u32) -> Result<(), Fault> {
        set(guest, &[(name.to_owned(), value)].into())
    }

    #[test]
    fn a_value_that_the_inf_allows_is_written_in_decimal() {
        for (name, value) in
            [("WatchdogMs", 0), ("WatchdogMs", 600_000), ("CancelForm", 1), ("Free", 0), ("Free", u32::MAX)]
        {
            let guest = guest();
            set_one(&guest, name, value).unwrap();
            assert_eq!(guest.driver_key_texts(), [(name.to_owned(), value.to_string())]);
        }
    }

    #[test]
    fn a_value_that_the_inf_does_not_allow_is_refused_and_nothing_is_written() {
        for (name, value, why) in [
            ("WatchdogMs", 600_001, "WatchdogMs: 600001 is not in 0..=600000"),
            ("CancelForm", 2, "CancelForm: 2 is none of the choices of the NIC's INF"),
            (
                "NetworkAddress",
                0,
                r#"NetworkAddress is of type "edit" in the NIC's INF, which has no numbers"#,
            ),
            ("Hex", 10, r#"Hex is written to base "16" in the NIC's INF, not 10"#),
            ("Broken", 0, r#"Broken: max "many" of the NIC's INF is no number"#),
        ] {
            let guest = guest();
            let refused = set(&guest, &[("CancelForm".to_owned(), 1), (name.to_owned(), value)].into());
            assert_eq!(refused, Err(Fault::Failed(why.into())));
            assert_eq!(guest.driver_key_texts(), []);
        }
    }

    #[test]
    fn what_is_no_keyword_is_refused_by_name() {
        let guest = guest();
        for name in ["Mutant", "", r"CancelForm\enum", r"WatchdogMs\", "WatchdogMs\0"] {
            let why = format!("the NIC's INF has no keyword {name:?}");
            assert_eq!(set_one(&guest, name, 0), Err(Fault::Failed(why)));
        }
        assert_eq!(guest.driver_key_texts(), []);
    }

    #[test]
    fn a_nic_without_a_driver_is_told() {
        let guest = Pretend { refusal: Some("no such device".into()), ..guest() };
        assert_eq!(set_one(&guest, "WatchdogMs", 0), Err(Fault::Failed("no such device".into())));
    }
}
