//! The NIC's parameters, in the registry of a device that the test makes, with the keywords of the real INF.

use std::{fmt::Write as _, fs};

use agent_protocol::Reply;

use crate::tests::{Machine, done, failure, stamped};

/// The device as Windows' PnP would register it.
const DEVICE: &str =
    r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Enum\PCI\VEN_1AF4&DEV_1041\3&11583659&0&18";
/// Network adapters, and the device's number among them: the name of its driver key.
const CLASS: &str = "{4d36e972-e325-11ce-bfc1-08002be10318}";
const NUMBER: &str = "0007";

fn driver_key() -> String {
    format!(r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Class\{CLASS}\{NUMBER}")
}

/// `configure` in all its answers.
pub(crate) fn configure(machine: &mut Machine) {
    let keywords = keywords(machine);
    let configure = |machine: &mut Machine, parameters: &str| {
        machine.port().call(&format!(r#"{{"do":"configure","parameters":{parameters}}}"#))
    };
    let absent = failure(configure(machine, r#"{"WatchdogMs":0}"#));
    assert_eq!(absent, r"no device PCI\VEN_1AF4&DEV_1041 is there");

    let ids = multi(r"PCI\VEN_1AF4&DEV_1041&REV_01");
    let device = format!("[{DEVICE}]\n\"ClassGUID\"=\"{CLASS}\"\n\"HardwareID\"=hex(7):{ids}\n");
    import(machine, &device);
    let bare = failure(configure(machine, r#"{"WatchdogMs":0}"#));
    assert!(bare.starts_with(r"the driver key of PCI\VEN_1AF4&DEV_1041, whose driver may not"), "{bare}");

    import(machine, &format!("{device}\"Driver\"=\"{CLASS}\\\\{NUMBER}\"\n{keywords}"));
    assert_eq!(done(configure(machine, r#"{"WatchdogMs":600000,"CancelForm":1}"#)), Reply::default());
    let set = [("CancelForm", "REG_SZ 1"), ("WatchdogMs", "REG_SZ 600000")];
    assert_eq!(values(machine), set.map(|(name, value)| (name.into(), value.into())));
    for (parameters, why) in [
        (r#"{"WatchdogMs":600001}"#, "WatchdogMs: 600001 is not in 0..=600000"),
        (r#"{"CancelForm":2}"#, "CancelForm: 2 is none of the choices of the NIC's INF"),
        (r#"{"CancelForm":0,"Mutant":3}"#, "the NIC's INF has no keyword \"Mutant\""),
        (r#"{"CancelForm\\enum":0}"#, r#"the NIC's INF has no keyword "CancelForm\\enum""#),
    ] {
        assert_eq!(failure(configure(machine, parameters)), why);
    }
    assert_eq!(values(machine), set.map(|(name, value)| (name.into(), value.into())));
    assert_eq!(done(configure(machine, r#"{"WatchdogMs":0}"#)), Reply::default());
    assert_eq!(values(machine)[1].1, "REG_SZ 0");

    import(machine, &format!("[-{DEVICE}]\n[-{}]\n", driver_key()));
}

/// What the INF's AddReg section of keywords writes into the driver key, as SetupAPI reads it.
fn keywords(machine: &Machine) -> String {
    let inf = stamped(machine, "netadapter/cancelnic.inx", |text| text);
    let walked = machine.prefix.say(&[r"C:\walk-inf.exe", &inf]);
    let mut keywords = String::new();
    for line in walked.lines().filter_map(|line| line.trim_end().strip_prefix("Cancelnic_Keywords||HKR|")) {
        let [below, name, "0", text] = line.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
        writeln!(keywords, "[{}\\{below}]\n\"{name}\"=\"{text}\"", driver_key()).expect("text");
    }
    assert!(!keywords.is_empty(), "{walked}");
    keywords
}

/// The values of the driver key itself, by name: type and text.
fn values(machine: &Machine) -> Vec<(String, String)> {
    let said = machine.prefix.say(&["reg", "query", &driver_key()]);
    let words = said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let value = |words: Vec<&str>| match words[..] {
        [name, kind, text] => Some((name.to_owned(), format!("{kind} {text}"))),
        _ => None,
    };
    let mut values: Vec<_> = words.filter_map(value).collect();
    values.sort();
    values
}

fn import(machine: &Machine, keys: &str) {
    fs::write(machine.prefix.drive().join("keys.reg"), format!("REGEDIT4\n\n{keys}")).expect("a file");
    machine.prefix.say(&["reg", "import", r"C:\keys.reg"]);
}

/// A list of one text, in the way of REGEDIT4.
fn multi(text: &str) -> String {
    let bytes = text.bytes().chain([0, 0]).map(|byte| format!("{byte:02x}"));
    bytes.collect::<Vec<_>>().join(",")
}
