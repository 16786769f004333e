//! The answer file: what Windows Setup would otherwise ask.
//!
//! The settings are those of Microsoft's "Unattended Windows Setup Reference". The disk is wiped: it has to be the
//! machine's only one, and empty.

use std::io;

use base64ct::{Base64, Encoding as _};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

use crate::{Edition, FIRST_LOGON_COMMAND, ReportedPhase};

/// Name of the file, in the root of a disc or a removable disk.
pub const ANSWER_FILE: &str = "Autounattend.xml";
/// The machine's name.
const COMPUTER: &str = "CANCELNIC";
/// The account that clients get; servers have Administrator.
const CLIENT_ACCOUNT: &str = "cancelnic";
/// Megabytes of the EFI system partition and of Microsoft's reserved one.
const PARTITIONS: [(&str, &str); 2] = [("EFI", "260"), ("MSR", "128")];
/// US English, whatever the language of Windows.
const KEYBOARD: &str = "0409:00000409";

/// What the answers are made from.
#[derive(Clone, Debug)]
pub struct Answers {
    /// What is installed.
    pub edition: Edition,
    /// Password of that account, which Windows logs on by itself once.
    pub password: String,
}

/// An element: with text, or with others in it.
enum Node {
    Text(&'static str, String),
    Group(&'static str, Vec<Node>),
    /// One of a list, which Setup wants marked so.
    Item(&'static str, Vec<Node>),
}

use Node::{Group, Item, Text};

fn text(name: &'static str, value: impl Into<String>) -> Node {
    Text(name, value.into())
}

/// A pass of Setup, and the settings of its components.
type Pass = (&'static str, Vec<(&'static str, Vec<Node>)>);

impl Answers {
    /// The answer file, UTF-8.
    ///
    /// # Errors
    /// If the XML writer refuses.
    pub fn to_xml(&self) -> io::Result<String> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        write(&mut writer, &self.passes())?;
        let mut text = String::from_utf8(writer.into_inner()).map_err(io::Error::other)?;
        text.push('\n');
        Ok(text)
    }

    fn passes(&self) -> Vec<Pass> {
        let mut specialize = vec![
            ("Microsoft-Windows-Shell-Setup", vec![text("ComputerName", COMPUTER)]),
            ("Microsoft-Windows-Security-SPP-UX", vec![text("SkipAutoActivation", "true")]),
        ];
        if self.is_server() {
            let no_manager = vec![text("DoNotOpenServerManagerAtLogon", "true")];
            specialize.push(("Microsoft-Windows-ServerManager-SvrMgrNc", no_manager));
        }
        // now: the first logon installs drivers, which load with a test signature only if Windows was started with this
        let mut commands = vec![
            ReportedPhase::Specialize.command(),
            "cmd.exe /c bcdedit.exe /set testsigning on".to_owned(),
        ];
        if !self.is_server() {
            // the network page of Windows 11 has no other way past it
            let key = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\OOBE";
            commands.push(set_dword(key, "BypassNRO", 1));
        }
        specialize.push(("Microsoft-Windows-Deployment", vec![run_synchronous(&commands)]));
        vec![
            (
                "windowsPE",
                vec![
                    ("Microsoft-Windows-International-Core-WinPE", self.setup_language()),
                    ("Microsoft-Windows-Setup", self.setup()),
                ],
            ),
            ("specialize", specialize),
            (
                "oobeSystem",
                vec![
                    ("Microsoft-Windows-International-Core", self.language()),
                    (
                        "Microsoft-Windows-SecureStartup-FilterDriver",
                        vec![text("PreventDeviceEncryption", "true")],
                    ),
                    ("Microsoft-Windows-Shell-Setup", self.first_start()),
                ],
            ),
        ]
    }

    fn is_server(&self) -> bool {
        self.edition.image.is_server()
    }

    fn language(&self) -> Vec<Node> {
        let language = || self.edition.image.language.clone();
        vec![
            text("InputLocale", KEYBOARD),
            text("SystemLocale", language()),
            text("UILanguage", language()),
            text("UserLocale", language()),
        ]
    }

    fn setup_language(&self) -> Vec<Node> {
        let setup = vec![text("UILanguage", &self.edition.image.language)];
        let mut settings = vec![Group("SetupUILanguage", setup)];
        settings.extend(self.language());
        settings
    }

    fn setup(&self) -> Vec<Node> {
        let mut user = vec![text("AcceptEula", "true"), text("FullName", "cancelnic")];
        if let Some(key) = &self.edition.product_key {
            user.push(Group("ProductKey", vec![text("Key", key), text("WillShowUI", "OnError")]));
        }
        let source = vec![text("Key", "/IMAGE/INDEX"), text("Value", self.edition.image.index.to_string())];
        let image = vec![
            Group("InstallFrom", vec![Item("MetaData", source)]),
            Group("InstallTo", vec![text("DiskID", "0"), text("PartitionID", "3")]),
            text("WillShowUI", "OnError"),
        ];
        let mut commands = vec![ReportedPhase::WindowsPe.command()];
        if !self.is_server() {
            let bypasses = ["BypassTPMCheck", "BypassSecureBootCheck", "BypassRAMCheck"];
            commands.extend(bypasses.map(|name| set_dword(r"HKLM\SYSTEM\Setup\LabConfig", name, 1)));
        }
        vec![
            disk(),
            Group("DynamicUpdate", vec![text("Enable", "false"), text("WillShowUI", "Never")]),
            Group("ImageInstall", vec![Group("OSImage", image)]),
            Group("UserData", user),
            run_synchronous(&commands),
        ]
    }

    fn first_start(&self) -> Vec<Node> {
        let (account, accounts) = if self.is_server() {
            ("Administrator", self.password("AdministratorPassword"))
        } else {
            let account = vec![
                text("Group", "Administrators"),
                text("Name", CLIENT_ACCOUNT),
                self.password("Password"),
            ];
            (CLIENT_ACCOUNT, Group("LocalAccounts", vec![Item("LocalAccount", account)]))
        };
        let pages = [
            "HideEULAPage",
            "HideLocalAccountScreen",
            "HideOEMRegistrationScreen",
            "HideOnlineAccountScreens",
            "HideWirelessSetupInOOBE",
        ];
        let mut welcome: Vec<_> = pages.map(|page| text(page, "true")).into();
        welcome.push(text("ProtectYourPC", "3"));
        let command = vec![
            text("CommandLine", FIRST_LOGON_COMMAND),
            text("Order", "1"),
            text("RequiresUserInput", "false"),
        ];
        vec![
            Group(
                "AutoLogon",
                vec![
                    text("Enabled", "true"),
                    text("LogonCount", "1"),
                    self.password("Password"),
                    text("Username", account),
                ],
            ),
            Group("FirstLogonCommands", vec![Item("SynchronousCommand", command)]),
            Group("OOBE", welcome),
            Group("UserAccounts", vec![accounts]),
        ]
    }

    /// A password as Setup hides it: base64 of its UTF-16 with the element's name behind it.
    fn password(&self, element: &'static str) -> Node {
        let hidden: Vec<u8> =
            format!("{}{element}", self.password).encode_utf16().flat_map(u16::to_le_bytes).collect();
        Group(element, vec![text("PlainText", "false"), text("Value", Base64::encode_string(&hidden))])
    }
}

/// The only disk, wiped: EFI system, Microsoft reserved, and the rest for Windows.
fn disk() -> Node {
    let created = PARTITIONS.iter().map(|&(kind, size)| (kind, text("Size", size)));
    let created =
        created.chain([("Primary", text("Extend", "true"))]).enumerate().map(|(at, (kind, size))| {
            Item("CreatePartition", vec![text("Order", (at + 1).to_string()), size, text("Type", kind)])
        });
    let created = created.collect();
    let format = |order: &str, partition: &str, format: &str, label: &str| {
        Item(
            "ModifyPartition",
            vec![
                text("Format", format),
                text("Label", label),
                text("Order", order),
                text("PartitionID", partition),
            ],
        )
    };
    let formatted = vec![format("1", "1", "FAT32", "System"), format("2", "3", "NTFS", "Windows")];
    let disk = vec![
        Group("CreatePartitions", created),
        text("DiskID", "0"),
        Group("ModifyPartitions", formatted),
        text("WillWipeDisk", "true"),
    ];
    Group("DiskConfiguration", vec![Item("Disk", disk), text("WillShowUI", "OnError")])
}

fn set_dword(key: &str, name: &str, value: u32) -> String {
    format!("reg.exe add {key} /v {name} /t REG_DWORD /d {value} /f")
}

fn run_synchronous(commands: &[String]) -> Node {
    let commands = commands.iter().enumerate().map(|(at, command)| {
        Item("RunSynchronousCommand", vec![text("Order", (at + 1).to_string()), text("Path", command)])
    });
    Group("RunSynchronous", commands.collect())
}

fn write(writer: &mut Writer<Vec<u8>>, passes: &[Pass]) -> io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
    let root = BytesStart::new("unattend").with_attributes([
        ("xmlns", "urn:schemas-microsoft-com:unattend"),
        ("xmlns:wcm", "http://schemas.microsoft.com/WMIConfig/2002/State"),
    ]);
    writer.write_event(Event::Start(root))?;
    for (pass, components) in passes {
        let settings = BytesStart::new("settings").with_attributes([("pass", *pass)]);
        writer.write_event(Event::Start(settings))?;
        for (name, settings) in components {
            let component = BytesStart::new("component").with_attributes([
                ("name", *name),
                ("processorArchitecture", "amd64"),
                ("publicKeyToken", "31bf3856ad364e35"),
                ("language", "neutral"),
                ("versionScope", "nonSxS"),
            ]);
            writer.write_event(Event::Start(component))?;
            for node in settings {
                write_node(writer, node)?;
            }
            writer.write_event(Event::End(BytesEnd::new("component")))?;
        }
        writer.write_event(Event::End(BytesEnd::new("settings")))?;
    }
    writer.write_event(Event::End(BytesEnd::new("unattend")))
}

fn write_node(writer: &mut Writer<Vec<u8>>, node: &Node) -> io::Result<()> {
    let (name, start, nodes) = match node {
        Text(name, value) => {
            writer.write_event(Event::Start(BytesStart::new(*name)))?;
            writer.write_event(Event::Text(BytesText::new(value)))?;
            return writer.write_event(Event::End(BytesEnd::new(*name)));
        }
        Group(name, nodes) => (*name, BytesStart::new(*name), nodes),
        Item(name, nodes) => (*name, BytesStart::new(*name).with_attributes([("wcm:action", "add")]), nodes),
    };
    writer.write_event(Event::Start(start))?;
    for node in nodes {
        write_node(writer, node)?;
    }
    writer.write_event(Event::End(BytesEnd::new(name)))
}
