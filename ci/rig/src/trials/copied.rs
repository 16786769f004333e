//! A checkout that was copied or moved together with its `target` folder: the command works in the tree that it runs
//! in, not in the one that it was built in.

use anyhow::{Context, Result, ensure};
use lab::base::failure::{FAULT, SETUP};
use lab::base::process::Process;
use lab::base::workspace::Workspace;
use scenarios::{Scenario, Trial, command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A part of every build of the NIC's driver.
const SOURCE: &str = "driver/core/src/tx.rs";
/// What the compiler reports of the copy's driver, and of no other.
const FAULTY: &str = "this is the driver of the copy";

/// What a build of the drivers leaves for the next one, within the target folder: the macros and scripts that run here.
const BUILT: &str = "kernel";

/// A copy of the built tree, with its rig. The copy's driver cannot be compiled.
struct Copy {
    root: PathBuf,
    rig: PathBuf,
}

impl Copy {
    fn make(folder: &Path) -> Result<Self> {
        let root = folder.canonicalize()?.join("copy");
        let workspace = Workspace::find()?;
        workspace.copy_sources(&root)?;
        let source = root.join(SOURCE);
        let text =
            fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
        fs::write(&source, format!("{text}\ncompile_error!(\"{FAULTY}\");\n"))?;
        let rig = root.join("target/debug/rig");
        fs::create_dir_all(root.join("target/debug"))?;
        fs::copy(std::env::current_exe()?, &rig)?;
        // With its times, by which cargo takes it for fresh.
        let (built, target) = (workspace.target().join(BUILT), root.join("target"));
        let copied =
            Command::new("cp").args(["--archive", "--reflink=auto"]).args([&built, &target]).status();
        ensure!(copied.context("cannot start cp")?.success(), "cannot copy {}", built.display());
        Ok(Self { root, rig })
    }

    /// The error output of the copied rig.
    fn errors(&self) -> PathBuf {
        self.root.with_file_name("errors.txt")
    }

    /// Builds the drivers with the copied rig, started in `current`; `package` is what cargo would say of its package.
    /// Gives the exit code and the error output.
    fn build(&self, current: &Path, package: Option<&Path>) -> Result<(Option<i32>, String)> {
        let mut command = Command::new(&self.rig);
        command.args(["build", "--drivers"]).current_dir(current).stdin(Stdio::null()).stdout(Stdio::null());
        for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_MANIFEST_DIR"] {
            command.env_remove(name);
        }
        if let Some(package) = package {
            command.env("CARGO_MANIFEST_DIR", package);
        }
        let errors = self.errors();
        let status = Process::start_rig(command, errors.clone())?.wait_for_end()?;
        let errors = fs::read(&errors).with_context(|| format!("cannot read {}", errors.display()))?;
        Ok((status.code(), String::from_utf8_lossy(&errors).into_owned()))
    }
}

fn builds_its_own_driver(trial: &Trial) -> Result<()> {
    let folder = trial.folder()?;
    let copy = Copy::make(folder.path())?;
    let first = format!("building the tree in {}", copy.root.display());
    let by_cargo = copy.root.join("ci/rig");
    for (current, package) in [(folder.path(), Some(&*by_cargo)), (&copy.root.join("driver"), None)] {
        let (code, errors) = copy.build(current, package)?;
        ensure!(
            code == Some(FAULT.into())
                && errors.lines().next() == Some(&first)
                && errors.contains(FAULTY)
                && errors.contains(SOURCE),
            "expected `{first}` and a driver that cannot be compiled; got exit code {code:?} and\n{errors}"
        );
    }
    let (code, errors) = copy.build(folder.path(), None)?;
    ensure!(
        code == Some(SETUP.into())
            && errors.lines().count() == 1
            && errors.contains("missing: the checkout to work in"),
        "outside every tree: exit code {code:?} and\n{errors}"
    );
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![command(
        "copied-tree-builds-its-own-driver",
        "a copied checkout with its target folder builds its own driver, not the one it was copied from",
        builds_its_own_driver,
    )]
}
