use super::*;

const GOOD: &str = r#"
; a comment
[Version]
Signature   = "$WINDOWS NT$"
Class       = Net
ClassGuid   = {4d36e972-e325-11ce-bfc1-08002be10318}
DriverVer   = 11/21/2026,0.1.0.0

[Manufacturer]
%Maker% = Models, NTamd64.10.0...19041

[Models.NTamd64.10.0...19041]
%Nic% = Nic, PCI\VEN_1AF4&DEV_1041 ; trailing

[Nic.NT]
*IfType = 6
*MediaType = 0
*PhysicalMediaType = 14
AddReg = Nic.Reg, \
         Nic.Params

[Nic.Reg]
HKR, Ndi, Service, 0, "sample"
HKR,, Direct, 0, "7"

[Nic.Params]
HKR, Ndi\params\WatchdogMs, ParamDesc, 0, "Time; in ms"
HKR, Ndi\params\WatchdogMs, default, 0, "2000"
HKR, Ndi\params\Direct, default, 0, "1"

[Nic.NT.HW]
AddReg = Nic.Msi

[Nic.Msi]
HKR, "Interrupt Management",, 0x10
HKR, "Interrupt Management\MessageSignaledInterruptProperties",, 0x10
HKR, "Interrupt Management\MessageSignaledInterruptProperties", MSISupported, 0x10001, 1
HKR, "Interrupt Management\MessageSignaledInterruptProperties", MessageNumberLimit, 0x10001, 1

[Nic.NT.Services]
AddService = sample, 0x2, Nic.Service

[Nic.Service]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %13%\sample.sys

[Nic.NT.Wdf]
KmdfService = sample, Nic.Kmdf

[Nic.Kmdf]
KmdfLibraryVersion = 1.31

[Strings]
Maker = "The makers"
Nic = "A NIC, with a comma"
"#;

const DEVICE: PciIdentity = PciIdentity {
    vendor: 0x1af4,
    device: 0x1041,
    revision: 1,
    subsystem_vendor: 0x1af4,
    subsystem: 0x1100,
    class: 0x078000,
};

fn error_of(text: &str) -> String {
    select(text.as_bytes(), Some(&[DEVICE])).unwrap_err().0
}

#[test]
fn a_good_file_yields_all_that_windows_takes_from_it() {
    let package = select(GOOD.as_bytes(), Some(&[DEVICE])).unwrap();

    assert_eq!(package.description, "A NIC, with a comma");
    assert_eq!(package.matched, "PCI\\VEN_1AF4&DEV_1041");
    assert_eq!((package.service.as_str(), package.binary.as_str()), ("sample", "sample.sys"));
    assert!(package.msi);
    assert_eq!(package.message_limit, Some(1));
    assert_eq!(package.kmdf, Some((1, 31)));
    assert_eq!(package.keywords["watchdogms"], "2000");
}

#[test]
fn a_direct_value_wins_over_the_default_of_its_parameter() {
    assert_eq!(select(GOOD.as_bytes(), Some(&[DEVICE])).unwrap().keywords["direct"], "7");
}

#[test]
fn an_inf_in_utf_16_or_ansi_reads_the_same() {
    let text = GOOD.replace("A NIC", "Gerät");
    let utf_16: Vec<u8> =
        [0xfeff_u16].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let ansi: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
    for bytes in [utf_16, ansi] {
        assert_eq!(select(&bytes, Some(&[DEVICE])), select(text.as_bytes(), Some(&[DEVICE])));
    }
    assert_eq!(select(text.as_bytes(), Some(&[DEVICE])).unwrap().description, "Gerät, with a comma");
}

#[test]
fn a_text_in_utf_16_be_is_refused_by_that_name() {
    let bytes: Vec<u8> =
        [0xfeff_u16].into_iter().chain(GOOD.encode_utf16()).flat_map(u16::to_be_bytes).collect();
    assert!(select(&bytes, Some(&[DEVICE])).unwrap_err().0.contains("UTF-16 BE"));
}

#[test]
fn a_subsystem_id_matches_before_the_short_id() {
    let text = GOOD.replace(
        "%Nic% = Nic, PCI\\VEN_1AF4&DEV_1041 ; trailing",
        "%Maker% = Nic, PCI\\VEN_1AF4&DEV_1041\n%Nic% = Nic, PCI\\VEN_1af4&DEV_1041&SUBSYS_11001AF4",
    );
    let package = select(text.as_bytes(), Some(&[DEVICE])).unwrap();
    assert_eq!(package.matched, "PCI\\VEN_1AF4&DEV_1041&SUBSYS_11001AF4");
    assert_eq!(package.description, "A NIC, with a comma");
}

#[test]
fn another_device_matches_no_model() {
    let other = PciIdentity { device: 0x1042, ..DEVICE };
    assert!(
        select(GOOD.as_bytes(), Some(&[other])).unwrap_err().0.contains("there is PCI\\VEN_1AF4&DEV_1042")
    );
}

#[test]
fn without_msisupported_the_device_has_no_message_interrupt() {
    let text = GOOD.replace("MSISupported, 0x10001, 1", "MSISupported, 0x10001, 0");
    assert!(!select(text.as_bytes(), Some(&[DEVICE])).unwrap().msi);
}

#[test]
fn an_unstamped_framework_version_is_named() {
    let text = GOOD.replace("KmdfLibraryVersion = 1.31", "KmdfLibraryVersion = $KMDFVERSION$");
    assert!(error_of(&text).contains("KmdfLibraryVersion=\"$KMDFVERSION$\""));
}

#[test]
fn each_missing_piece_is_named() {
    for (cut, named) in [
        ("Class       = Net\n", "Net class"),
        ("ClassGuid   = {4d36e972-e325-11ce-bfc1-08002be10318}\n", "Net class"),
        ("DriverVer   = 11/21/2026,0.1.0.0\n", "DriverVer"),
        ("%Maker% = Models, NTamd64.10.0...19041\n", "[Manufacturer]"),
        ("AddService = sample, 0x2, Nic.Service\n", "AddService"),
        ("ServiceBinary = %13%\\sample.sys\n", "ServiceBinary"),
        ("StartType = 3\n", "StartType"),
        ("KmdfService = sample, Nic.Kmdf\n", "KmdfService"),
        ("HKR, Ndi, Service, 0, \"sample\"\n", "Ndi\\Service"),
        ("*PhysicalMediaType = 14\n", "*physicalmediatype"),
    ] {
        assert!(GOOD.contains(cut), "{cut}");
        let error = error_of(&GOOD.replace(cut, ""));
        assert!(error.contains(named), "{named}: {error}");
    }
}

#[test]
fn a_service_that_is_not_the_function_driver_does_not_count() {
    assert!(
        error_of(&GOOD.replace("sample, 0x2, Nic.Service", "sample, 0x0, Nic.Service"))
            .contains("AddService")
    );
}

const FILTER: &str = r#"
[Version]
Class       = NetService
ClassGuid   = {4D36E974-E325-11CE-BFC1-08002BE10318}
DriverVer   = 11/21/2026,0.1.0.0

[Manufacturer]
Maker = Models, NTamd64.10.0...19041

[Models.NTamd64.10.0...19041]
"A filter" = Install, ms_sample

[Install.NT]
Characteristics  = 0x40000
NetCfgInstanceId = "{5cbf81bd-5055-47cd-9055-a76b2b4e3697}"
AddReg           = Registry

[Registry]
HKR, Ndi,            Service,          0,       "sample"
HKR, Ndi,            FilterClass,      0,       "custom"
HKR, Ndi,            FilterType,       0x10001, 2
HKR, Ndi,            FilterRunType,    0x10001, 2
HKR, Ndi\Interfaces, FilterMediaTypes, 0,       "ethernet, wan"

[Install.NT.Services]
AddService = sample,, Service

[Service]
ServiceType   = 1
StartType     = 1
ServiceBinary = %13%\sample.sys
"#;

#[test]
fn a_filter_is_a_service_without_a_device() {
    let package = select(FILTER.as_bytes(), Some(&[DEVICE])).unwrap();
    assert_eq!((package.kind, package.kmdf), (Kind::Filter, None));
    assert_eq!((package.service.as_str(), package.binary.as_str()), ("sample", "sample.sys"));
    let entry = package.filter.unwrap();
    assert_eq!(entry.unique_name, "{5cbf81bd-5055-47cd-9055-a76b2b4e3697}");
    assert_eq!((entry.modifying, entry.mandatory, entry.class.as_str()), (true, false, "custom"));
}

#[test]
fn each_missing_piece_of_a_filter_is_named() {
    for (cut, named) in [
        ("Characteristics  = 0x40000\n", "Characteristics"),
        ("NetCfgInstanceId = \"{5cbf81bd-5055-47cd-9055-a76b2b4e3697}\"\n", "NetCfgInstanceId"),
        ("HKR, Ndi,            Service,          0,       \"sample\"\n", "Ndi\\Service"),
        ("HKR, Ndi,            FilterType,       0x10001, 2\n", "FilterType"),
        ("HKR, Ndi,            FilterRunType,    0x10001, 2\n", "FilterRunType"),
        ("HKR, Ndi,            FilterClass,      0,       \"custom\"\n", "FilterClass"),
        ("HKR, Ndi\\Interfaces, FilterMediaTypes, 0,       \"ethernet, wan\"\n", "FilterMediaTypes"),
    ] {
        assert!(FILTER.contains(cut), "{cut}");
        let error = error_of(&FILTER.replace(cut, ""));
        assert!(error.contains(named), "{named}: {error}");
    }
}

const ROOT: &str = r#"
[Version]
Class       = System
ClassGuid   = {4d36e97d-e325-11ce-bfc1-08002be10318}
DriverVer   = 11/21/2026,0.1.0.0

[Manufacturer]
Maker = Models, NTamd64.10.0...19041

[Models.NTamd64.10.0...19041]
"A device" = Install, ROOT\sample

[Install.NT.Services]
AddService = sample, 2, Service

[Install.NT]

[Service]
ServiceType   = 1
StartType     = 3
ServiceBinary = %13%\sample.sys

[Install.NT.Wdf]
KmdfService = sample, Kmdf

[Kmdf]
KmdfLibraryVersion = 1.31
"#;

#[test]
fn a_root_enumerated_device_is_found_by_its_root_id() {
    let package = select(ROOT.as_bytes(), Some(&[DEVICE])).unwrap();
    assert_eq!((package.kind, package.kmdf), (Kind::Root, Some((1, 31))));
    assert_eq!((package.matched.as_str(), package.service.as_str()), ("ROOT\\sample", "sample"));
    assert!(error_of(&ROOT.replace("ROOT\\sample", "ACPI\\sample")).contains("ROOT\\ id, but ACPI\\sample"));
}

#[test]
fn the_prefix_of_the_id_is_the_bus_whatever_the_class() {
    let sample = "Class       = Sample\nClassGuid   = {78a1c341-4539-11d3-b88d-00c04fad5171}";
    let system = "Class       = System\nClassGuid   = {4d36e97d-e325-11ce-bfc1-08002be10318}";
    assert!(ROOT.contains(system));
    let text = ROOT.replace(system, sample);
    let package = select(text.as_bytes(), Some(&[])).unwrap();
    assert_eq!((package.kind, package.net), (Kind::Root, false));
    let text = text.replace("ROOT\\sample", "PCI\\VEN_1AF4&DEV_1041");
    let package =
        select(text.as_bytes(), Some(&[PciIdentity { device: 0x1005, ..DEVICE }, DEVICE, DEVICE])).unwrap();
    assert_eq!((package.kind, package.net, package.functions), (Kind::Pci, false, alloc::vec![1, 2]));
    let text = GOOD.replace("PCI\\VEN_1AF4&DEV_1041", "ROOT\\nic");
    let package = select(text.as_bytes(), Some(&[])).unwrap();
    assert_eq!(
        (package.kind, package.net, package.keywords["watchdogms"].as_str()),
        (Kind::Root, true, "2000")
    );
}

#[test]
fn a_bus_that_is_not_known_may_hold_every_device() {
    let package = select(GOOD.as_bytes(), None).unwrap();
    assert_eq!((package.kind, package.matched.as_str()), (Kind::Pci, "PCI\\VEN_1AF4&DEV_1041"));
    assert_eq!(package.functions, []);
    assert!(error_of_bus(GOOD, &[]).ends_with("there is nothing"));
}

fn error_of_bus(text: &str, bus: &[PciIdentity]) -> String {
    select(text.as_bytes(), Some(bus)).unwrap_err().0
}

#[test]
fn a_model_for_every_device_of_a_class_fits_one() {
    let text = GOOD.replace("PCI\\VEN_1AF4&DEV_1041", "PCI\\CC_0780");
    assert_eq!(select(text.as_bytes(), Some(&[DEVICE])).unwrap().matched, "PCI\\CC_0780");
}

#[test]
fn an_inf_of_another_architecture_is_named_with_it() {
    let text = GOOD.replace("NTamd64", "NTarm64");
    assert!(error_of(&text).ends_with("names no models section for NTamd64, only for NTarm64.10.0...19041"));
}

#[test]
fn an_inf_without_a_section_for_kmdf_leaves_the_version_to_the_driver() {
    let text = ROOT.replace("[Install.NT.Wdf]\nKmdfService = sample, Kmdf\n", "");
    assert_eq!(select(text.as_bytes(), Some(&[])).unwrap().kmdf, None);
}

const SERVICE: &str = r#"
[Version]
Class       = System
ClassGuid   = {4d36e97d-e325-11ce-bfc1-08002be10318}
DriverVer   = 11/21/2026,0.1.0.0
CatalogFile.NTamd64 = sample.cat
CatalogFile = other.cat

[DefaultInstall.NTamd64]

[DefaultInstall.NTamd64.Services]
AddService = sample,, Service

[Service]
ServiceType   = 1
StartType     = 2
ServiceBinary = %13%\sample.sys
"#;

#[test]
fn a_service_without_a_device_is_installed_by_default() {
    let package = select(SERVICE.as_bytes(), Some(&[])).unwrap();
    assert_eq!((package.kind, package.service.as_str(), package.kmdf), (Kind::Service, "sample", None));
    assert_eq!(package.catalog.as_deref(), Some("sample.cat"));
    assert!(error_of(&SERVICE.replace("StartType     = 2", "StartType     = 4")).contains("StartType"));
}
