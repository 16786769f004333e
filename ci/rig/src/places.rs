//! Where things are: the workspace, its `target` folder, QEMU.

use crate::failure::SetupMissing;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The QEMU device that carries the NIC.
pub const QEMU_DEVICE: &str = "vhost-user-test-device-pci";
const QEMU: &str = "qemu-system-x86_64";

/// The workspace's top folder.
pub fn workspace() -> PathBuf {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.ancestors().nth(2).unwrap_or(&here).to_path_buf()
}

/// Where cargo and the rig put what they make.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => {
            let folder = PathBuf::from(folder);
            if folder.is_absolute() { folder } else { workspace().join(folder) }
        }
        _ => workspace().join("target"),
    }
}

/// A QEMU that has [`QEMU_DEVICE`]: `$CANCELNIC_QEMU` if set, else the first of PATH and `target/qemu`, as ci/setup.
pub fn qemu() -> Result<PathBuf, SetupMissing> {
    if let Some(named) = env::var_os("CANCELNIC_QEMU").filter(|value| !value.is_empty()) {
        let named = PathBuf::from(named);
        return if has_device(&named) {
            Ok(named)
        } else {
            Err(SetupMissing::new(
                format!("{QEMU_DEVICE} in $CANCELNIC_QEMU ({})", named.display()),
                "unset CANCELNIC_QEMU and run ci/setup, or name a QEMU 10.2 or later",
            ))
        };
    }
    let on_path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&on_path)
        .map(|folder| folder.join(QEMU))
        .chain([workspace().join("target/qemu/bin").join(QEMU)])
        .find(|file| file.is_file() && has_device(file))
        .ok_or_else(|| SetupMissing::new(format!("a QEMU with {QEMU_DEVICE}"), "ci/setup"))
}

fn has_device(qemu: &Path) -> bool {
    let listed = Command::new(qemu).args(["-device", "help"]).stdin(Stdio::null()).output();
    let Ok(listed) = listed else { return false };
    let name = format!("name \"{QEMU_DEVICE}\"");
    String::from_utf8_lossy(&listed.stdout).contains(&name)
}
