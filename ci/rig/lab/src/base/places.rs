//! Where things are: the workspace, QEMU and its firmware. Cargo tells where the workspace builds into:
//! [`crate::base::workspace::Workspace::target`].

use crate::base::failure::SetupMissing;
use crate::base::workspace::Workspace;
use anyhow::Result;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The QEMU device that carries the NIC.
pub const QEMU_DEVICE: &str = "vhost-user-test-device-pci";
const QEMU: &str = "qemu-system-x86_64";

/// Where ci/setup unpacks what it fetches under this name: in the target folder.
pub fn unpacked(name: &str) -> Result<PathBuf> {
    Ok(Workspace::find()?.target().join(name))
}

/// A QEMU that has [`QEMU_DEVICE`]: `$CANCELNIC_QEMU` if set, else the first of PATH and `target/qemu`, as ci/setup.
pub fn qemu() -> Result<PathBuf> {
    if let Some(named) = env::var_os("CANCELNIC_QEMU").filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        return if has_device(&named) {
            Ok(named)
        } else {
            Err(SetupMissing::new(
                format!("{QEMU_DEVICE} in $CANCELNIC_QEMU ({})", named.display()),
                "unset CANCELNIC_QEMU and run ci/setup, or name a QEMU 10.2 or later",
            )
            .into())
        };
    }
    let on_path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&on_path)
        .map(|folder| folder.join(QEMU))
        .chain([unpacked("qemu")?.join("bin").join(QEMU)])
        .find(|file| file.is_file() && has_device(file))
        .ok_or_else(|| SetupMissing::new(format!("a QEMU with {QEMU_DEVICE}"), "ci/setup").into())
}

fn has_device(qemu: &Path) -> bool {
    let listed = Command::new(qemu).args(["-device", "help"]).stdin(Stdio::null()).output();
    let Ok(listed) = listed else { return false };
    let name = format!("name \"{QEMU_DEVICE}\"");
    String::from_utf8_lossy(&listed.stdout).contains(&name)
}

/// UEFI firmware of QEMU's PC: its code, and variables that are empty but for Secure Boot being off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Read only, shared by all machines.
    pub code: PathBuf,
    /// To be copied for each machine.
    pub vars: PathBuf,
}

impl Firmware {
    /// The two files in `folder`, under the names that Debian gives them.
    fn within(folder: &Path) -> Option<Self> {
        let firmware = Self { code: folder.join("OVMF_CODE_4M.fd"), vars: folder.join("OVMF_VARS_4M.fd") };
        (firmware.code.is_file() && firmware.vars.is_file()).then_some(firmware)
    }
}

/// OVMF: in the folder `$CANCELNIC_OVMF` if set, else in the system, else in `target/guest-tools`, as ci/setup.
pub fn ovmf() -> Result<Firmware> {
    if let Some(named) = env::var_os("CANCELNIC_OVMF").filter(|value| !value.is_empty()) {
        return Firmware::within(Path::new(&named)).ok_or_else(|| {
            SetupMissing::new(
                format!(
                    "OVMF_CODE_4M.fd and OVMF_VARS_4M.fd in $CANCELNIC_OVMF ({})",
                    Path::new(&named).display()
                ),
                "unset CANCELNIC_OVMF and run ci/setup",
            )
            .into()
        });
    }
    [PathBuf::from("/usr/share/OVMF"), unpacked("guest-tools")?.join("root/usr/share/OVMF")]
        .iter()
        .find_map(|folder| Firmware::within(folder))
        .ok_or_else(|| {
            SetupMissing::new("OVMF, QEMU's UEFI firmware", "ci/setup, or apt-get install ovmf").into()
        })
}

/// QEMU's tool for disk images: on PATH, else in `target/guest-tools`, as ci/setup.
pub fn qemu_img() -> Result<PathBuf> {
    let on_path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&on_path)
        .chain([unpacked("guest-tools")?.join("bin")])
        .map(|folder| folder.join("qemu-img"))
        .find(|file| file.is_file())
        .ok_or_else(|| SetupMissing::new("qemu-img", "ci/setup, or apt-get install qemu-utils").into())
}
