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
    select(text.as_bytes(), &DEVICE).unwrap_err().0
}

#[test]
fn a_good_file_yields_all_that_windows_takes_from_it() {
    let package = select(GOOD.as_bytes(), &DEVICE).unwrap();

    assert_eq!(package.description, "A NIC, with a comma");
    assert_eq!(package.matched, "PCI\\VEN_1AF4&DEV_1041");
    assert_eq!((package.service.as_str(), package.binary.as_str()), ("sample", "sample.sys"));
    assert!(package.msi);
    assert_eq!(package.message_limit, Some(1));
    assert_eq!(package.kmdf, (1, 31));
    assert_eq!(package.keywords["watchdogms"], "2000");
}

#[test]
fn a_direct_value_wins_over_the_default_of_its_parameter() {
    assert_eq!(select(GOOD.as_bytes(), &DEVICE).unwrap().keywords["direct"], "7");
}

#[test]
fn utf16_with_a_byte_order_mark_reads_the_same() {
    let bytes: Vec<u8> =
        [0xfeff_u16].into_iter().chain(GOOD.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(select(&bytes, &DEVICE), select(GOOD.as_bytes(), &DEVICE));
}

#[test]
fn a_subsystem_id_matches_before_the_short_id() {
    let text = GOOD.replace(
        "%Nic% = Nic, PCI\\VEN_1AF4&DEV_1041 ; trailing",
        "%Maker% = Nic, PCI\\VEN_1AF4&DEV_1041\n%Nic% = Nic, PCI\\VEN_1af4&DEV_1041&SUBSYS_11001AF4",
    );
    let package = select(text.as_bytes(), &DEVICE).unwrap();
    assert_eq!(package.matched, "PCI\\VEN_1AF4&DEV_1041&SUBSYS_11001AF4");
    assert_eq!(package.description, "A NIC, with a comma");
}

#[test]
fn another_device_matches_no_model() {
    let other = PciIdentity { device: 0x1042, ..DEVICE };
    assert!(select(GOOD.as_bytes(), &other).unwrap_err().0.contains("no model"));
}

#[test]
fn without_msisupported_the_device_has_no_message_interrupt() {
    let text = GOOD.replace("MSISupported, 0x10001, 1", "MSISupported, 0x10001, 0");
    assert!(!select(text.as_bytes(), &DEVICE).unwrap().msi);
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
