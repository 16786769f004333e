//! Answer files for every medium, setting by setting against what Microsoft's "Unattended Windows Setup Reference"
//! says of component, pass and type; and the disc that carries them.

use std::{fs, path::Path, process::Command};

use quick_xml::{Reader, events::Event};
use windows_setup::{
    AGENT, ANSWER_FILE, Answers, Architecture, Edition, EditionFault, FIRST_LOGON_COMMAND, FOLDER, Image,
    REPORT, Release, Report, ReportedPhase, SCRIPT, VOLUME, disc, first_logon_script,
};

const PASSWORD: &str = "Pass-w0rd";

/// What a setting's value has to be.
#[derive(Clone, Copy, Debug)]
enum Type {
    /// `true` or `false`.
    Boolean,
    /// A number in this range.
    Number(u32, u32),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// Text of at most so many characters.
    Text(usize),
    /// A language, or a locale and a keyboard.
    Locale,
    /// A product key.
    Key,
    /// A computer's name.
    Computer,
    /// Base64 of UTF-16 that ends so.
    Hidden(&'static str),
}

use Type::{Boolean, Computer, Hidden, Key, Locale, Number, OneOf, Text};

const PE: &str = "windowsPE";
const OOBE: &str = "oobeSystem";
const SETUP: &str = "Microsoft-Windows-Setup";
const SHELL: &str = "Microsoft-Windows-Shell-Setup";
const PE_LANGUAGE: &str = "Microsoft-Windows-International-Core-WinPE";
const LANGUAGE: &str = "Microsoft-Windows-International-Core";
const SHOW: Type = OneOf(&["Always", "Never", "OnError"]);

/// Pass, component, setting, type, after the reference.
const REFERENCE: [(&str, &str, &str, Type); 59] = [
    (PE, PE_LANGUAGE, "SetupUILanguage/UILanguage", Locale),
    (PE, PE_LANGUAGE, "InputLocale", Locale),
    (PE, PE_LANGUAGE, "SystemLocale", Locale),
    (PE, PE_LANGUAGE, "UILanguage", Locale),
    (PE, PE_LANGUAGE, "UserLocale", Locale),
    (PE, SETUP, "DiskConfiguration/WillShowUI", SHOW),
    (PE, SETUP, "DiskConfiguration/Disk/DiskID", Number(0, 1000)),
    (PE, SETUP, "DiskConfiguration/Disk/WillWipeDisk", Boolean),
    (PE, SETUP, "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Order", Number(1, 100)),
    (PE, SETUP, "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Size", Number(1, 1 << 30)),
    (PE, SETUP, "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Extend", Boolean),
    (
        PE,
        SETUP,
        "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Type",
        OneOf(&["Primary", "EFI", "Extended", "Logical", "MSR"]),
    ),
    (PE, SETUP, "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Order", Number(1, 100)),
    (PE, SETUP, "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/PartitionID", Number(1, 100)),
    (PE, SETUP, "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Format", OneOf(&["NTFS", "FAT32"])),
    (PE, SETUP, "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/Label", Text(32)),
    (PE, SETUP, "DynamicUpdate/Enable", Boolean),
    (PE, SETUP, "DynamicUpdate/WillShowUI", SHOW),
    (PE, SETUP, "ImageInstall/OSImage/InstallFrom/MetaData/Key", OneOf(&["/IMAGE/INDEX", "/IMAGE/NAME"])),
    (PE, SETUP, "ImageInstall/OSImage/InstallFrom/MetaData/Value", Number(1, 100)),
    (PE, SETUP, "ImageInstall/OSImage/InstallTo/DiskID", Number(0, 1000)),
    (PE, SETUP, "ImageInstall/OSImage/InstallTo/PartitionID", Number(1, 100)),
    (PE, SETUP, "ImageInstall/OSImage/WillShowUI", SHOW),
    (PE, SETUP, "UserData/AcceptEula", Boolean),
    (PE, SETUP, "UserData/FullName", Text(63)),
    (PE, SETUP, "UserData/ProductKey/Key", Key),
    (PE, SETUP, "UserData/ProductKey/WillShowUI", SHOW),
    (PE, SETUP, "RunSynchronous/RunSynchronousCommand/Order", Number(1, 500)),
    (PE, SETUP, "RunSynchronous/RunSynchronousCommand/Path", Text(259)),
    ("specialize", SHELL, "ComputerName", Computer),
    ("specialize", "Microsoft-Windows-Security-SPP-UX", "SkipAutoActivation", Boolean),
    ("specialize", "Microsoft-Windows-ServerManager-SvrMgrNc", "DoNotOpenServerManagerAtLogon", Boolean),
    (
        "specialize",
        "Microsoft-Windows-Deployment",
        "RunSynchronous/RunSynchronousCommand/Order",
        Number(1, 500),
    ),
    ("specialize", "Microsoft-Windows-Deployment", "RunSynchronous/RunSynchronousCommand/Path", Text(259)),
    (OOBE, LANGUAGE, "InputLocale", Locale),
    (OOBE, LANGUAGE, "SystemLocale", Locale),
    (OOBE, LANGUAGE, "UILanguage", Locale),
    (OOBE, LANGUAGE, "UserLocale", Locale),
    (OOBE, "Microsoft-Windows-SecureStartup-FilterDriver", "PreventDeviceEncryption", Boolean),
    (OOBE, SHELL, "AutoLogon/Enabled", Boolean),
    (OOBE, SHELL, "AutoLogon/LogonCount", Number(1, 1000)),
    (OOBE, SHELL, "AutoLogon/Username", Text(256)),
    (OOBE, SHELL, "AutoLogon/Password/PlainText", Boolean),
    (OOBE, SHELL, "AutoLogon/Password/Value", Hidden("Password")),
    (OOBE, SHELL, "FirstLogonCommands/SynchronousCommand/CommandLine", Text(1024)),
    (OOBE, SHELL, "FirstLogonCommands/SynchronousCommand/Order", Number(1, 500)),
    (OOBE, SHELL, "FirstLogonCommands/SynchronousCommand/RequiresUserInput", Boolean),
    (OOBE, SHELL, "OOBE/HideEULAPage", Boolean),
    (OOBE, SHELL, "OOBE/HideLocalAccountScreen", Boolean),
    (OOBE, SHELL, "OOBE/HideOEMRegistrationScreen", Boolean),
    (OOBE, SHELL, "OOBE/HideOnlineAccountScreens", Boolean),
    (OOBE, SHELL, "OOBE/HideWirelessSetupInOOBE", Boolean),
    (OOBE, SHELL, "OOBE/ProtectYourPC", Number(1, 3)),
    (OOBE, SHELL, "UserAccounts/AdministratorPassword/PlainText", Boolean),
    (OOBE, SHELL, "UserAccounts/AdministratorPassword/Value", Hidden("AdministratorPassword")),
    (OOBE, SHELL, "UserAccounts/LocalAccounts/LocalAccount/Group", Text(256)),
    (OOBE, SHELL, "UserAccounts/LocalAccounts/LocalAccount/Name", Text(20)),
    (OOBE, SHELL, "UserAccounts/LocalAccounts/LocalAccount/Password/PlainText", Boolean),
    (OOBE, SHELL, "UserAccounts/LocalAccounts/LocalAccount/Password/Value", Hidden("Password")),
];

/// A setting of an answer file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    pass: String,
    component: String,
    path: String,
    value: String,
}

/// Every setting, in the file's order; each element of a list has to be marked as one.
fn settings(xml: &str) -> Vec<Setting> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().trim_text(true);
    let (mut path, mut settings): (Vec<String>, Vec<Setting>) = (Vec::new(), Vec::new());
    let (mut pass, mut component) = (String::new(), String::new());
    loop {
        match reader.read_event().expect("well-formed XML") {
            Event::Start(start) => {
                let name = String::from_utf8(start.name().as_ref().to_vec()).expect("a name");
                let attribute = |name: &str| {
                    let found = start.try_get_attribute(name).expect("attributes");
                    found.map(|found| String::from_utf8(found.value.to_vec()).expect("a value"))
                };
                match path.len() {
                    1 => pass = attribute("pass").expect("a pass"),
                    2 => {
                        component = attribute("name").expect("a component");
                        assert_eq!(attribute("processorArchitecture").as_deref(), Some("amd64"));
                        assert_eq!(attribute("publicKeyToken").as_deref(), Some("31bf3856ad364e35"));
                        assert_eq!(attribute("language").as_deref(), Some("neutral"));
                        assert_eq!(attribute("versionScope").as_deref(), Some("nonSxS"));
                    }
                    _ => {
                        let lists =
                            ["Disk", "CreatePartition", "ModifyPartition", "MetaData", "LocalAccount"];
                        let commands = ["RunSynchronousCommand", "SynchronousCommand"];
                        let listed = lists.iter().chain(&commands).any(|list| *list == name);
                        assert_eq!(attribute("wcm:action").is_some(), listed, "{name}");
                    }
                }
                path.push(name);
            }
            Event::Text(text) => settings.push(Setting {
                pass: pass.clone(),
                component: component.clone(),
                path: path[3..].join("/"),
                value: text.decode().expect("text").into_owned(),
            }),
            Event::End(_) => {
                path.pop();
            }
            Event::Eof => return settings,
            _ => {}
        }
    }
}

/// The text behind base64 of UTF-16, decoded by hand.
fn revealed(value: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for letter in value.bytes().filter(|letter| *letter != b'=') {
        let six = LETTERS.iter().position(|found| *found == letter).expect("a letter of base64");
        bits = bits << 6 | six as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    let units: Vec<u16> = bytes.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).expect("UTF-16")
}

fn has_type(value: &str, wanted: Type) -> bool {
    let alphanumeric = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match wanted {
        Boolean => ["true", "false"].contains(&value),
        Number(least, most) => value.parse().is_ok_and(|value| (least..=most).contains(&value)),
        OneOf(values) => values.contains(&value),
        Text(most) => !value.is_empty() && value.chars().count() <= most,
        Locale => value == "0409:00000409" || (value.len() == 5 && value.as_bytes()[2] == b'-'),
        Key => value.len() == 29 && value.split('-').all(|group| group.len() == 5 && alphanumeric(group)),
        Computer => (1..=15).contains(&value.len()) && alphanumeric(value),
        Hidden(element) => revealed(value) == format!("{PASSWORD}{element}"),
    }
}

fn image(edition: &str, installation: &str, build: u32) -> Image {
    Image {
        index: 2,
        name: format!("Windows {edition}"),
        edition: edition.to_owned(),
        installation: installation.to_owned(),
        architecture: Architecture::X64,
        build,
        revision: 1,
        language: "de-DE".to_owned(),
        size: 1 << 34,
    }
}

/// Every medium: release, image, and whether Setup is given a key.
fn media() -> Vec<(Release, Image, bool)> {
    use Release::{Server2022, Server2025, Windows11V24H2, Windows11V25H2};
    let mut media = Vec::new();
    for (release, build) in [(Server2022, 20348), (Server2025, 26100)] {
        for installation in ["Server", "Server Core"] {
            for edition in ["ServerStandard", "ServerDatacenter"] {
                media.push((release, image(edition, installation, build), true));
                media.push((release, image(&format!("{edition}Eval"), installation, build), false));
            }
        }
    }
    for (release, build) in [(Windows11V24H2, 26100), (Windows11V25H2, 26200)] {
        media.push((release, image("Enterprise", "Client", build), true));
        media.push((release, image("Professional", "Client", build), true));
        media.push((release, image("EnterpriseEval", "Client", build), false));
    }
    media.push((Windows11V24H2, image("EnterpriseS", "Client", 26100), true));
    media.push((Windows11V24H2, image("EnterpriseSEval", "Client", 26100), false));
    media
}

fn answers(image: &Image) -> Answers {
    Answers { edition: Edition::of(image, None).expect("an edition"), password: PASSWORD.to_owned() }
}

fn values(settings: &[Setting], path: &str) -> Vec<String> {
    settings.iter().filter(|setting| setting.path == path).map(|setting| setting.value.clone()).collect()
}

#[test]
fn every_setting_of_every_medium_is_in_the_reference() {
    for (release, image, _) in media() {
        for setting in settings(&answers(&image).to_xml().expect("XML")) {
            let found = REFERENCE.iter().find(|(pass, component, path, _)| {
                (*pass, *component, *path) == (&setting.pass, &setting.component, &setting.path)
            });
            let (.., wanted) =
                found.unwrap_or_else(|| panic!("{release}: {setting:?} is not in the reference"));
            assert!(has_type(&setting.value, *wanted), "{release}: {setting:?} is no {wanted:?}");
        }
    }
}

#[test]
fn every_release_is_recognized_and_only_full_media_get_a_key() {
    for (release, image, key) in media() {
        let edition = Edition::of(&image, None).expect("an edition");
        assert_eq!(edition.release, release, "{image:?}");
        let settings = settings(&answers(&image).to_xml().expect("XML"));
        assert_eq!(values(&settings, "UserData/ProductKey/Key").len(), usize::from(key), "{image:?}");
    }
}

#[test]
fn the_image_is_named_by_number_and_goes_to_the_third_partition() {
    for (_, image, _) in media() {
        let settings = settings(&answers(&image).to_xml().expect("XML"));
        assert_eq!(values(&settings, "ImageInstall/OSImage/InstallFrom/MetaData/Key"), ["/IMAGE/INDEX"]);
        assert_eq!(values(&settings, "ImageInstall/OSImage/InstallFrom/MetaData/Value"), ["2"]);
        assert_eq!(values(&settings, "ImageInstall/OSImage/InstallTo/PartitionID"), ["3"]);
        let kinds = values(&settings, "DiskConfiguration/Disk/CreatePartitions/CreatePartition/Type");
        assert_eq!(kinds, ["EFI", "MSR", "Primary"]);
    }
}

#[test]
fn the_reserved_partition_is_not_modified() {
    // the reference, ModifyPartition: "Microsoft Reserved (MSR) and Extended partitions cannot be modified"
    let settings = settings(&answers(&media()[0].1).to_xml().expect("XML"));
    let path = "DiskConfiguration/Disk/ModifyPartitions/ModifyPartition/PartitionID";
    assert_eq!(values(&settings, path), ["1", "3"]);
}

#[test]
fn setup_speaks_the_language_of_the_image() {
    let settings = settings(&answers(&media()[0].1).to_xml().expect("XML"));
    assert_eq!(values(&settings, "SetupUILanguage/UILanguage"), ["de-DE"]);
    assert_eq!(values(&settings, "UILanguage"), ["de-DE", "de-DE"]);
}

#[test]
fn clients_get_an_account_and_servers_their_administrator() {
    for (release, image, _) in media() {
        let settings = settings(&answers(&image).to_xml().expect("XML"));
        let accounts = values(&settings, "UserAccounts/LocalAccounts/LocalAccount/Name");
        let administrator = values(&settings, "UserAccounts/AdministratorPassword/Value");
        let logon = values(&settings, "AutoLogon/Username");
        if image.is_server() {
            assert_eq!(
                (accounts.len(), administrator.len(), &logon[0][..]),
                (0, 1, "Administrator"),
                "{release}"
            );
        } else {
            assert_eq!((&accounts, administrator.len()), (&logon, 0), "{release}");
        }
    }
}

#[test]
fn only_clients_skip_the_checks_of_the_machine() {
    for (release, image, _) in media() {
        let xml = answers(&image).to_xml().expect("XML");
        for check in ["BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck", "BypassNRO"] {
            assert_eq!(xml.contains(check), !image.is_server(), "{release}: {check}");
        }
    }
}

#[test]
fn no_password_stands_in_the_clear() {
    for (_, image, _) in media() {
        let xml = answers(&image).to_xml().expect("XML");
        assert!(!xml.contains(PASSWORD));
        for path in values(&settings(&xml), "AutoLogon/Password/PlainText") {
            assert_eq!(path, "false");
        }
    }
}

#[test]
fn another_xml_parser_reads_the_answers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(ANSWER_FILE);
    fs::write(&path, answers(&media()[0].1).to_xml().expect("XML")).expect("a written file");
    let program = "import sys, xml.etree.ElementTree as tree; print(tree.parse(sys.argv[1]).getroot().tag)";
    let Ok(output) = Command::new("python3").args(["-c", program]).arg(&path).output() else {
        assert!(std::env::var_os("CANCELNIC_JUDGES").is_none(), "python3 is not there");
        eprintln!("NOT TESTED: python3 is not installed");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tag = String::from_utf8_lossy(&output.stdout);
    assert_eq!(tag.trim(), "{urn:schemas-microsoft-com:unattend}unattend");
}

#[test]
fn what_setup_would_stumble_over_is_refused() {
    let server = image("ServerStandard", "Server", 26100);
    let arm = Image { architecture: Architecture::Arm64, ..server.clone() };
    assert!(matches!(Edition::of(&arm, None), Err(EditionFault::Architecture { index: 2, .. })));
    let old = Image { build: 17763, ..server.clone() };
    assert!(matches!(Edition::of(&old, None), Err(EditionFault::Build { build: 17763, .. })));
    let home = image("Core", "Client", 26100);
    assert!(matches!(Edition::of(&home, None), Err(EditionFault::Key { .. })));
    let evaluation = image("ServerStandardEval", "Server", 26100);
    let own = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE";
    assert!(matches!(Edition::of(&evaluation, Some(own)), Err(EditionFault::Evaluation { .. })));
    assert!(matches!(Edition::of(&server, Some("1234")), Err(EditionFault::Malformed(_))));
}

#[test]
fn a_key_of_the_users_own_goes_before_the_generic_one() {
    let own = "aaaaa-bbbbb-ccccc-ddddd-eeeee";
    let edition = Edition::of(&image("Core", "Client", 26100), Some(own)).expect("an edition");
    assert_eq!(edition.product_key.as_deref(), Some("AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"));
}

/// The lines of the script, which has Windows' line ends.
fn script(agent: bool) -> Vec<String> {
    let script = first_logon_script(agent);
    assert!(script.is_ascii());
    let lines: Vec<_> = script.split_terminator("\r\n").map(str::to_owned).collect();
    assert!(!lines.iter().any(|line| line.contains(['\n', '\r'])));
    lines
}

#[test]
fn the_script_reports_every_step_and_powers_off_only_at_its_end() {
    for agent in [false, true] {
        let lines = script(agent);
        let at = |wanted: &str| {
            lines.iter().position(|line| line == wanted).unwrap_or_else(|| panic!("no {wanted}"))
        };
        assert!(
            at("call :say done") < at("shutdown.exe /s /t 0") && at("shutdown.exe /s /t 0") < at(":failed")
        );
        assert_eq!(lines[at(":say") + 1], format!(">COM1 echo {REPORT}%*"));
        assert_eq!(lines[1], "call :say phase first-logon");
        // name, report, command, and a look at how it went
        let steps = &lines[2..at("call :say done")];
        for step in steps.chunks(4) {
            assert!(step[0].starts_with("set step="), "{step:?}");
            assert_eq!(step[1], "call :say step %step%");
            assert_eq!(step[3], "if not %errorlevel%==0 goto failed", "after {}", step[2]);
        }
        assert_eq!(lines[at(":failed") + 1], "call :say failed %step%: exit code %errorlevel%");
    }
    assert!(FIRST_LOGON_COMMAND.ends_with(&format!(r"\{FOLDER}\{SCRIPT}")));
}

#[test]
fn an_agent_on_the_disc_becomes_a_service_before_windows_gets_quiet() {
    let (with, without) = (script(true), script(false));
    let at = |lines: &[String], wanted: &str| lines.iter().position(|line| line.contains(wanted));
    let installed = at(&with, AGENT).expect("the agent installs itself");
    assert!(with[installed].ends_with("--install"), "{}", with[installed]);
    assert!(at(&with, "install.cmd") < Some(installed) && Some(installed) < at(&with, "powercfg.exe"));
    assert!(at(&without, "agent").is_none());
}

#[test]
fn every_answer_file_reports_its_passes() {
    for (release, image, _) in media() {
        let settings = settings(&answers(&image).to_xml().expect("XML"));
        let path = "RunSynchronous/RunSynchronousCommand/Path";
        let reported: Vec<_> = settings
            .iter()
            .filter(|setting| setting.path == path)
            .filter_map(|setting| {
                Some((setting.pass.as_str(), Report::parse(setting.value.split('&').next()?)?))
            })
            .collect();
        let phase = Report::Phase;
        let expected =
            [(PE, phase(ReportedPhase::WindowsPe)), ("specialize", phase(ReportedPhase::Specialize))];
        assert_eq!(reported, expected, "{release}");
    }
}

#[test]
fn a_report_is_read_wherever_it_begins() {
    let parse = |line: &str| Report::parse(line);
    for phase in [ReportedPhase::WindowsPe, ReportedPhase::Specialize, ReportedPhase::FirstLogon] {
        assert_eq!(parse(&phase.line()), Some(Report::Phase(phase)));
    }
    assert_eq!(parse("\u{1b}[2Jcancelnic-setup: done \r"), Some(Report::Done));
    assert_eq!(parse("cancelnic-setup: step no sleep"), Some(Report::Step("no sleep".to_owned())));
    let failed = "cancelnic-setup: failed drivers: exit code 1";
    assert_eq!(parse(failed), Some(Report::Failed("drivers: exit code 1".to_owned())));
    for other in ["BdsDxe: starting Boot0001", "cancelnic-setup: phase two", "cancelnic-setup: song"] {
        assert_eq!(parse(other), None, "{other}");
    }
}

/// Lists or extracts with xorriso; none if it is not installed.
fn xorriso(iso: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("xorriso");
    command.args(["-osirrox", "on", "-read_fs", "norock", "-indev"]).arg(iso).args(arguments);
    match command.output() {
        Ok(output) => {
            let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
            assert!(output.status.success(), "{said}");
            Some(said)
        }
        Err(error) => {
            assert!(std::env::var_os("CANCELNIC_JUDGES").is_none(), "xorriso: {error}");
            eprintln!("NOT TESTED: xorriso: {error}; on Debian it is in the package of that name");
            None
        }
    }
}

fn written_disc(folder: &Path) -> std::path::PathBuf {
    let package = vec![
        ("cancelnic-lwf.sys".to_owned(), vec![0x5a; 5000]),
        ("install.cmd".to_owned(), b"@echo off\r\n".to_vec()),
        ("empty.txt".to_owned(), Vec::new()),
    ];
    let iso = folder.join("answers.iso");
    fs::write(&iso, disc(&answers(&media()[0].1), package).expect("a disc")).expect("a written file");
    iso
}

#[test]
fn xorriso_reads_the_disc() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let iso = written_disc(folder.path());
    let Some(listed) = xorriso(&iso, &["-find", "/", "-exec", "echo"]) else { return };
    for wanted in [
        format!("'/{ANSWER_FILE}'"),
        format!("'/{FOLDER}/{SCRIPT}'"),
        format!("'/{FOLDER}/cancelnic-lwf.sys'"),
        format!("'/{FOLDER}/install.cmd'"),
    ] {
        assert!(listed.contains(&wanted), "no {wanted} in {listed}");
    }
    assert!(listed.contains(VOLUME), "{listed}");
    let out = folder.path().join("out");
    let to = out.to_str().expect("a path");
    xorriso(&iso, &["-extract", "/", to]);
    assert_eq!(fs::read(out.join(FOLDER).join("cancelnic-lwf.sys")).expect("it"), vec![0x5a; 5000]);
    assert_eq!(fs::read(out.join(FOLDER).join("empty.txt")).expect("it"), b"");
    let xml = fs::read_to_string(out.join(ANSWER_FILE)).expect("the answers");
    assert_eq!(xml, answers(&media()[0].1).to_xml().expect("XML"));
}

#[test]
fn the_disc_has_iso_9660_and_joliet_volumes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = fs::read(written_disc(folder.path())).expect("the disc");
    // volume descriptors from sector 16 on: kind, "CD001", version (ECMA-119 8.1)
    let descriptors: Vec<_> =
        bytes.chunks(2048).skip(16).take_while(|sector| &sector[1..6] == b"CD001").collect();
    assert_eq!(descriptors[0][0], 1);
    let joliet = descriptors.iter().find(|sector| sector[0] == 2).expect("a supplementary volume");
    assert_eq!(&joliet[88..91], b"%/E");
    assert_eq!(descriptors.last().expect("descriptors")[0], 255);
}
