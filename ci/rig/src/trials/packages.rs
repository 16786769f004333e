//! `cargo rig test --package` with the test drivers: each passes on its own device and without one, and each of its mutants is
//! caught by a scenario that knows nothing of the driver.

use super::uses::Use;
use crate::build::test_driver;
use anyhow::{Context, Result, ensure};
use lab::base::failure::FAULT;
use scenarios::{Scenario, Trial, command};
use std::fs;
use std::path::{Path, PathBuf};

const EDU: &str = "test-driver-edu";
const SOFT: &str = "test-driver-soft";
/// What the INF says for a message interrupt.
const MESSAGE: &str = "MSISupported, 0x00010001, 1";

/// `cargo rig test --package PACKAGE...` with more arguments: its exit code and output.
fn test(trial: &Trial, packages: &[&Path], more: &[&str]) -> Result<(Option<i32>, String, PathBuf)> {
    let folders: Vec<&str> =
        packages.iter().map(|folder| folder.to_str().context("a folder's name")).collect::<Result<_>>()?;
    let named = folders.into_iter().flat_map(|folder| ["--package", folder]);
    let arguments: Vec<&str> = ["-j", "1"].into_iter().chain(named).chain(more.iter().copied()).collect();
    let mut command = Use::of(trial, "test", &arguments, &[])?;
    let ended = command.end()?;
    command.nothing_left()?;
    Ok((ended.code, ended.output + &ended.errors, command.report()))
}

/// All of these pass.
fn pass(trial: &Trial, packages: &[&Path], more: &[&str], scenarios: usize) -> Result<PathBuf> {
    let (code, output, report) = test(trial, packages, more)?;
    let wanted = format!("{scenarios} passed, 0 failed, 0 skipped");
    ensure!(code == Some(0) && output.contains(&wanted), "not {wanted}: exit code {code:?},\n{output}");
    Ok(report)
}

/// A mutant fails in this scenario, with this first line.
fn caught(trial: &Trial, package: &Path, more: &[&str], scenario: &str, rule: &str) -> Result<()> {
    let exact = ["--exact", scenario];
    let more: Vec<&str> = more.iter().chain(&exact).copied().collect();
    let (code, output, _) = test(trial, &[package], &more)?;
    let wanted = format!("failed: {scenario}: {rule}");
    ensure!(
        code == Some(FAULT.into()) && output.contains(&wanted),
        "not {wanted:?}: exit code {code:?},\n{output}"
    );
    Ok(())
}

/// A copy of the package whose device gets its line.
fn by_a_line(trial: &Trial, package: &Path) -> Result<(lab::base::folder::Folder, PathBuf)> {
    let folder = trial.folder()?;
    let copy = folder.path().join("package");
    fs::create_dir(&copy)?;
    for extension in ["sys", "pdb", "inf"] {
        let name = Path::new(EDU).with_extension(extension);
        fs::copy(package.join(&name), copy.join(&name))?;
    }
    let inf = copy.join(EDU).with_extension("inf");
    let text = fs::read_to_string(&inf)?;
    ensure!(text.contains(MESSAGE), "{} asks for no message", inf.display());
    fs::write(&inf, text.replace(MESSAGE, "MSISupported, 0x00010001, 0"))?;
    Ok((folder, copy))
}

const ON_EDU: [&str; 2] = ["--device", "qemu:edu"];

fn of_a_device(trial: &Trial) -> Result<()> {
    pass(trial, &[&test_driver(EDU, None)?], &ON_EDU, 5).map(drop)
}

fn of_a_device_with_a_line(trial: &Trial) -> Result<()> {
    let (_folder, package) = by_a_line(trial, &test_driver(EDU, None)?)?;
    let report = pass(trial, &[&package], &["--device", "qemu:edu", "--keep", "all"], 5)?;
    let page = fs::read_to_string(report.join("any-driver-loads-and-unloads/guest.log"))?;
    ensure!(page.contains("[Line("), "the device got no line:\n{page}");
    Ok(())
}

fn of_no_device(trial: &Trial) -> Result<()> {
    pass(trial, &[&test_driver(SOFT, None)?], &[], 5).map(drop)
}

/// Both at once, named by a project's file, with our filter beside them.
fn of_a_project(trial: &Trial) -> Result<()> {
    let folder = trial.folder()?;
    let package = |name| test_driver(name, None).map(|folder| format!("{:?}", folder.display().to_string()));
    let text = format!(
        "package = [{}, {}]\ndevice = \"qemu:edu\"\nwith = [\"cancelnic-lwf\"]\nseed = 3\n",
        package(EDU)?,
        package(SOFT)?
    );
    fs::write(folder.path().join("cancelnic.toml"), text)?;
    let project = folder.path().to_str().context("a folder's name")?;
    pass(trial, &[], &["--project", project], 5).map(drop)
}

fn mutants(trial: &Trial) -> Result<()> {
    let loads = "any-driver-loads-and-unloads";
    caught(trial, &test_driver(EDU, Some("keeps-mapping"))?, &ON_EDU, loads, "MappingLeaked")?;
    let (_folder, package) = by_a_line(trial, &test_driver(EDU, Some("claims-no-interrupt"))?)?;
    caught(trial, &package, &ON_EDU, loads, "InterruptStorm")?;
    let leaks = test_driver(SOFT, Some("leaks-without-memory"))?;
    pass(trial, &[&leaks], &["--exact", loads], 1)?;
    caught(trial, &leaks, &[], "any-driver-without-memory", "PoolLeaked")?;
    let hangs = test_driver(SOFT, Some("never-sleeps"))?;
    caught(
        trial,
        &hangs,
        &[],
        "any-driver-sleeps-and-wakes",
        "CallbackDoesNotReturn in test-driver-soft EvtDeviceD0Exit",
    )
}

pub(super) fn all() -> Vec<Scenario> {
    vec![
        command(
            "package-mutants-are-caught",
            "four faults of the test drivers, each caught by a scenario that knows nothing of the driver",
            mutants,
        ),
        command("package-of-a-device", "a KMDF driver of QEMU's edu passes on it, by messages", of_a_device),
        command(
            "package-of-a-device-with-a-line",
            "the same driver without messages in its INF: its device interrupts by a line",
            of_a_device_with_a_line,
        ),
        command(
            "package-of-no-device",
            "a root-enumerated KMDF driver passes on a machine without a device",
            of_no_device,
        ),
        command(
            "packages-of-a-project",
            "two packages, a device and our filter from a project's cancelnic.toml",
            of_a_project,
        ),
    ]
}
