//! `cargo rig build`: every artefact of the project, checked and hashed.
//!
//! Three targets from one workspace: the device process for the host, understudy for bare metal,
//! the drivers for the Windows kernel. The last needs no Windows kit: wdk-sys gets the
//! hand-written bindings of the crate wdk-offline through Cargo's `links` override.

mod agent;
mod driver;
mod image;
mod inf;
mod stamp;
mod step;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::{fs, sync::Once};

use lab::base::artefact::{Artefact, Built, Driver};
use lab::base::failure::SetupMissing;
use lab::base::workspace::{Verb, Workspace};
pub(crate) use step::Options;
use step::{BARE_TARGET, DRIVER_TARGET, FIRMWARE_TARGET, copy};

#[cfg(test)]
pub(crate) use tests::{check_image, example};

/// Builds the device process, understudy and the drivers into `target/` and `target/cancelnic/`.
///
/// # Errors
/// [`SetupMissing`] if a target or program is missing; otherwise what cargo or a check reported.
pub(crate) fn build(options: Options) -> anyhow::Result<Built> {
    let (workspace, options) = (&begin()?, &options);
    for target in [BARE_TARGET, DRIVER_TARGET] {
        workspace.require_target(target)?;
    }
    let device = build_device(workspace, options)?;
    let understudy = build_understudy(workspace, options, &workspace.out())?;
    if options.test_builds {
        build_test_drivers(workspace, options)?;
    }
    Ok(Built { device, understudy, drivers: drivers_in(workspace, options)? })
}

/// Builds the drivers alone.
///
/// # Errors
/// As for [`build`].
pub(crate) fn build_drivers(options: &Options) -> anyhow::Result<Vec<Driver>> {
    drivers_in(&begin()?, options)
}

/// The workspace to build. The first build of a run reports which one that is, before anything else.
fn begin() -> anyhow::Result<Workspace> {
    static REPORTED: Once = Once::new();
    let workspace = Workspace::find()?;
    REPORTED.call_once(|| eprintln!("building the tree in {}", workspace.root().display()));
    let out = workspace.out();
    fs::create_dir_all(&out)
        .and_then(|()| tempfile::tempfile_in(&out).map(drop))
        .map_err(|source| SetupMissing::Unwritable { folder: out, source })?;
    Ok(workspace)
}

/// Builds the agent of Windows guests into `target/cancelnic/`.
///
/// # Errors
/// As for [`build`].
pub(crate) fn build_agent(options: &Options) -> anyhow::Result<Artefact> {
    let workspace = begin()?;
    agent::build(&workspace, options, &workspace.out())
}

fn drivers_in(workspace: &Workspace, options: &Options) -> anyhow::Result<Vec<Driver>> {
    workspace.require_target(DRIVER_TARGET)?;
    let out = workspace.out();
    driver::DRIVERS.iter().map(|source| build_driver(workspace, options, source, &out)).collect()
}

/// One driver with its INF, and with its test build if asked for.
fn build_driver(
    workspace: &Workspace,
    options: &Options,
    source: &driver::Source,
    out: &Path,
) -> anyhow::Result<Driver> {
    let (image, symbols) = driver::build(workspace, options, source, driver::Variant::Shipped, out)?;
    let inf = out.join(source.name).with_extension("inf");
    inf::stamp(workspace, source, &inf)?;
    let test_build = if options.test_builds {
        let folder = out.join("test-builds");
        let (image, _) = driver::build(workspace, options, source, driver::Variant::Test, &folder)?;
        Some(image)
    } else {
        None
    };
    Ok(Driver { name: source.name, image, symbols, inf: Artefact::of(inf)?, test_build })
}

/// The folder of the test drivers' packages: `NAME`, and `NAME+MUTANT`.
const TEST_DRIVERS: &str = "test-drivers";

/// The package of a test driver, with a mutant or without, once the test builds are made.
///
/// # Errors
/// There is no workspace.
pub(crate) fn test_driver(name: &str, mutant: Option<&str>) -> anyhow::Result<PathBuf> {
    let folder = mutant.map_or_else(|| name.to_owned(), |mutant| format!("{name}+{mutant}"));
    Ok(Workspace::find()?.out().join(TEST_DRIVERS).join(folder))
}

/// The drivers that are run as packages of other projects.
fn build_test_drivers(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    for (source, mutants) in &driver::TEST_DRIVERS {
        let variants = mutants.iter().map(|mutant| (Some(*mutant), driver::Variant::With(mutant)));
        for (mutant, variant) in [(None, driver::Variant::Shipped)].into_iter().chain(variants) {
            let folder = test_driver(source.name, mutant)?;
            driver::build(workspace, options, source, variant, &folder)?;
            inf::stamp(workspace, source, &folder.join(source.name).with_extension("inf"))?;
        }
    }
    Ok(())
}

/// Runs clippy over the kernel images, what firmware starts and the agent of Windows guests, with the settings of their
/// builds but for the profile; a warning is an error. A plain `cargo clippy` sees none of them: understudy and the agent are empty programs
/// on the host, the drivers are for Windows only.
///
/// # Errors
/// [`SetupMissing`] if a target or program is missing; otherwise what clippy found.
pub(crate) fn lint(options: Options) -> anyhow::Result<()> {
    let workspace = begin()?;
    for target in [BARE_TARGET, DRIVER_TARGET, FIRMWARE_TARGET] {
        workspace.require_target(target)?;
    }
    agent::lint(&workspace, &options)?;
    lint_understudy(&workspace, &options)?;
    for program in [LOADER, SETUP] {
        workspace.cargo(Verb::Lint, options.verbose, program, &FIRMWARE_ARGUMENTS, &[])?;
    }
    for source in &driver::DRIVERS {
        driver::lint(&workspace, &options, source, driver::Variant::Shipped)?;
        driver::lint(&workspace, &options, source, driver::Variant::Test)?;
    }
    for (source, mutants) in &driver::TEST_DRIVERS {
        driver::lint(&workspace, &options, source, driver::Variant::Shipped)?;
        for mutant in *mutants {
            driver::lint(&workspace, &options, source, driver::Variant::With(mutant))?;
        }
    }
    Ok(())
}

/// The device process, for the host.
fn build_device(workspace: &Workspace, options: &Options) -> anyhow::Result<Artefact> {
    Artefact::of(device_in(workspace, "dev", options.verbose)?)
}

/// The device process, built with cargo's profile `release` (as it is measured) or `dev` (as scenarios run it).
pub(crate) fn device_in(workspace: &Workspace, profile: &str, verbose: bool) -> anyhow::Result<PathBuf> {
    let (folder, flag) = if profile == "dev" { ("debug", None) } else { (profile, Some("--release")) };
    let arguments: Vec<&str> = ["--bins"].into_iter().chain(flag).collect();
    workspace.cargo(Verb::Build, verbose, "vhost-device-cancelnic", &arguments, &[])?;
    Ok(workspace.target().join(folder).join("vhost-device-cancelnic"))
}

const UNDERSTUDY_ARGUMENTS: [&str; 3] = ["--bins", "--target", BARE_TARGET];

fn lint_understudy(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let flags = workspace.flags_config(BARE_TARGET, &[]);
    workspace.cargo(Verb::Lint, options.verbose, "understudy", &UNDERSTUDY_ARGUMENTS, &[flags])
}

/// The stand-in kernel, for bare metal.
fn build_understudy(workspace: &Workspace, options: &Options, out: &Path) -> anyhow::Result<Artefact> {
    let flags = workspace.flags_config(BARE_TARGET, &[]);
    let arguments = [&UNDERSTUDY_ARGUMENTS[..], &KERNEL].concat();
    workspace.cargo(Verb::Build, options.verbose, "understudy", &arguments, &[flags])?;
    let path = out.join("understudy");
    copy(&workspace.target().join(BARE_TARGET).join("kernel/understudy"), &path)?;
    Artefact::of(path)
}

/// The UEFI program that starts understudy from a disk, and the one in the place of Windows Setup.
const LOADER: &str = "understudy-loader";
const SETUP: &str = "setup-stand-in";
const FIRMWARE_ARGUMENTS: [&str; 3] = ["--bins", "--target", FIRMWARE_TARGET];
/// cargo's profile for what runs in a kernel's place.
const KERNEL: [&str; 2] = ["--profile", "kernel"];

/// The UEFI program that starts understudy from a disk.
///
/// # Errors
/// [`SetupMissing`] if the target is missing; otherwise what cargo reported.
pub(crate) fn loader() -> anyhow::Result<Artefact> {
    build_firmware(LOADER)
}

/// The program in the place of Windows Setup, for the tests.
///
/// # Errors
/// [`SetupMissing`] if the target is missing; otherwise what cargo reported.
pub(crate) fn setup_stand_in() -> anyhow::Result<Artefact> {
    build_firmware(SETUP)
}

fn build_firmware(program: &str) -> anyhow::Result<Artefact> {
    let workspace = begin()?;
    workspace.require_target(FIRMWARE_TARGET)?;
    workspace.cargo(Verb::Build, false, program, &[&FIRMWARE_ARGUMENTS[..], &KERNEL].concat(), &[])?;
    let folder = workspace.target().join(FIRMWARE_TARGET).join("kernel");
    Artefact::of(folder.join(program).with_extension("efi"))
}
