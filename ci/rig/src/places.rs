//! Where things are: the workspace, QEMU and its firmware. Cargo tells where the workspace builds into:
//! [`crate::build::Workspace::target`].

use crate::build::Workspace;
use crate::failure::SetupMissing;
use anyhow::Result;
use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The QEMU device that carries the NIC.
pub const QEMU_DEVICE: &str = "vhost-user-test-device-pci";
const QEMU: &str = "qemu-system-x86_64";

/// The rig's own folder in the workspace.
const RIG: &str = "ci/rig";

/// The workspace's top folder: the one that cargo runs the rig in; without cargo, the one that holds the current folder.
///
/// A path that was compiled in would name the tree that the program was built in, even when it runs in a copy.
pub fn workspace() -> Result<PathBuf, SetupMissing> {
    let current = env::current_dir().unwrap_or_default();
    workspace_seen_from(env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).as_deref(), &current).ok_or_else(
        || {
            SetupMissing::new(
                format!("the checkout to work in ({} is not in one)", current.display()),
                "cd to a folder of a checkout of cancelnic",
            )
        },
    )
}

/// `package` is the folder of the package that cargo runs: the rig's, unless the rig is started by another's program.
fn workspace_seen_from(package: Option<&Path>, current: &Path) -> Option<PathBuf> {
    let is_workspace =
        |folder: &&Path| folder.join("Cargo.toml").is_file() && folder.join(RIG).join("Cargo.toml").is_file();
    let of_package = package.filter(|package| package.ends_with(RIG)).and_then(|package| {
        let top = package.ancestors().nth(Path::new(RIG).components().count())?;
        Some(top).filter(is_workspace)
    });
    of_package.or_else(|| current.ancestors().find(is_workspace)).map(Path::to_path_buf)
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with two trees side by side, as far as the search looks at them.
    fn two_trees() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for tree in ["one", "two"] {
            let rig = folder.path().join(tree).join(RIG);
            fs::create_dir_all(rig.join("src")).unwrap();
            fs::write(rig.join("Cargo.toml"), "").unwrap();
            fs::write(folder.path().join(tree).join("Cargo.toml"), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_tree_is_the_one_that_cargo_runs_the_rig_in_else_the_one_around_the_current_folder() {
        let folder = two_trees();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let seen = |package: Option<&Path>, current: &Path| workspace_seen_from(package, current);
        assert_eq!(seen(Some(&one.join(RIG)), &two), Some(one.clone()));
        assert_eq!(seen(None, &two.join(RIG).join("src")), Some(two.clone()));
        // Another package's program has started the rig.
        assert_eq!(seen(Some(&folder.path().join("other")), &two), Some(two.clone()));
        // The tree that cargo named has been moved away meanwhile.
        assert_eq!(seen(Some(&folder.path().join("gone").join(RIG)), &two), Some(two));
    }

    #[test]
    fn outside_every_tree_there_is_none() {
        let folder = two_trees();
        assert_eq!(workspace_seen_from(None, folder.path()), None);
    }

    /// A copied tree's programs and tests would read the tree that they were built in.
    #[test]
    fn no_code_of_the_workspace_opens_a_compiled_in_path() {
        // Folders of what is made or fetched: not the project's, and not always readable.
        const NOT_OURS: [&str; 3] = [".git", "target", "node_modules"];
        fn look(folder: &Path, found: &mut Vec<PathBuf>) {
            let needle = concat!("env!(", "\"CARGO_MANIFEST_DIR\")");
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    let ours = NOT_OURS.iter().all(|name| entry.file_name() != *name);
                    if ours && !path.join("CACHEDIR.TAG").exists() {
                        look(&path, found);
                    }
                } else if path.extension().is_some_and(|extension| extension == "rs")
                    && fs::read_to_string(&path).unwrap().contains(needle)
                {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        look(&workspace().unwrap(), &mut found);
        assert!(found.is_empty(), "std::env::var_os instead, which cargo sets at run time: {found:?}");
    }
}
