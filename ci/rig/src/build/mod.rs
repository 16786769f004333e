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
#[cfg(test)]
mod tests;
mod workspace;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Once,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

#[cfg(test)]
pub use tests::{check_image, example};
pub use workspace::{Verb, Workspace};

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Build the drivers with deliberately broken behaviours as well.
    pub test_builds: bool,
    /// Show cargo's own output.
    pub verbose: bool,
}

/// One file that the build made.
#[derive(Clone, Debug)]
pub struct Artefact {
    /// Absolute path.
    pub path: PathBuf,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Artefact {
    /// Hashes the file at `path`.
    pub fn of(path: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let path = path.into();
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self::with_bytes(path, &bytes))
    }

    /// The file that `bytes` make at `path`.
    pub fn with_bytes(path: impl Into<PathBuf>, bytes: &[u8]) -> Self {
        Self { path: path.into(), sha256: hexadecimal(&Sha256::digest(bytes)) }
    }
}

/// A built driver.
#[derive(Clone, Debug)]
pub struct Driver {
    /// Its name without extension, such as `cancelnic`; also that of its service.
    pub name: &'static str,
    /// The `.sys` file.
    pub image: Artefact,
    /// Its PDB.
    pub symbols: Artefact,
    /// Its INF.
    pub inf: Artefact,
    /// The `.sys` file of the test build, if asked for.
    pub test_build: Option<Artefact>,
}

impl Driver {
    /// Every file, in the order in which it was built.
    pub fn files(&self) -> impl Iterator<Item = &Artefact> {
        [&self.image, &self.symbols, &self.inf].into_iter().chain(&self.test_build)
    }
}

/// Everything that a run needs.
#[derive(Clone, Debug)]
pub struct Built {
    /// The device process, `vhost-device-cancelnic`.
    pub device: Artefact,
    /// The stand-in kernel, an ELF image.
    pub understudy: Artefact,
    /// The drivers, that of the NIC first.
    pub drivers: Vec<Driver>,
}

impl Built {
    /// The driver called `name`.
    ///
    /// # Errors
    /// The workspace has no such driver.
    pub fn driver(&self, name: &str) -> anyhow::Result<&Driver> {
        self.drivers
            .iter()
            .find(|driver| driver.name == name)
            .with_context(|| format!("there is no driver {name}"))
    }

    /// Every file, in the order in which it was built.
    pub fn files(&self) -> impl Iterator<Item = &Artefact> {
        [&self.device, &self.understudy].into_iter().chain(self.drivers.iter().flat_map(Driver::files))
    }
}

/// Something that the machine lacks; the message says how to get it. The program exits 3.
#[derive(Debug, thiserror::Error)]
pub enum SetupMissing {
    /// The toolchain has no standard library for a target.
    #[error("the Rust target {target} is not installed: run `rustup target add {target}` (./ci/setup does)")]
    Target {
        /// Target triple.
        target: &'static str,
    },
    /// The libraries for a program of Windows are not there.
    #[error(
        "mingw-w64 is not there, to link a program for Windows with: run ./ci/setup \
        (on Debian: apt-get install gcc-mingw-w64-x86-64-win32)"
    )]
    Mingw,
    /// A program cannot be started.
    #[error("cannot start `{program}`: {source}; it comes with the Rust toolchain (https://rustup.rs)")]
    Program {
        /// What was to be started.
        program: String,
        /// Why it did not start.
        source: std::io::Error,
    },
    /// The build has nowhere to write to.
    #[error(
        "cannot write to {}: {source}; make it writable, or name another target folder with CARGO_TARGET_DIR",
        folder.display()
    )]
    Unwritable {
        /// Where the finished artefacts go.
        folder: PathBuf,
        /// Why nothing can be written there.
        source: std::io::Error,
    },
}

/// Bare-metal target of understudy.
const BARE_TARGET: &str = "x86_64-unknown-none";
/// Target of the drivers.
const DRIVER_TARGET: &str = "x86_64-pc-windows-msvc";

/// Target of the programs that firmware starts.
const FIRMWARE_TARGET: &str = "x86_64-unknown-uefi";

/// Builds the device process, understudy and the drivers into `target/` and `target/cancelnic/`.
///
/// # Errors
/// [`SetupMissing`] if a target or program is missing; otherwise what cargo or a check reported.
pub fn build(options: Options) -> anyhow::Result<Built> {
    let (workspace, options) = (&begin()?, &options);
    for target in [BARE_TARGET, DRIVER_TARGET] {
        workspace.require_target(target)?;
    }
    let device = build_device(workspace, options)?;
    let understudy = build_understudy(workspace, options, &workspace.out())?;
    Ok(Built { device, understudy, drivers: drivers_in(workspace, options)? })
}

/// Builds the drivers alone.
///
/// # Errors
/// As for [`build`].
pub fn build_drivers(options: &Options) -> anyhow::Result<Vec<Driver>> {
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
pub fn build_agent(options: &Options) -> anyhow::Result<Artefact> {
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

/// Runs clippy over the kernel images, what firmware starts and the agent of Windows guests, with the settings of their
/// builds; a warning is an error. A plain `cargo clippy` sees none of them: understudy and the agent are empty programs
/// on the host, the drivers are for Windows only.
///
/// # Errors
/// [`SetupMissing`] if a target or program is missing; otherwise what clippy found.
pub fn lint(options: Options) -> anyhow::Result<()> {
    let workspace = begin()?;
    for target in [BARE_TARGET, DRIVER_TARGET, FIRMWARE_TARGET] {
        workspace.require_target(target)?;
    }
    agent::lint(&workspace, &options)?;
    lint_understudy(&workspace, &options)?;
    for program in [LOADER, SETUP] {
        workspace.cargo(Verb::Lint, &options, program, &FIRMWARE_ARGUMENTS, &[])?;
    }
    for source in &driver::DRIVERS {
        driver::lint(&workspace, &options, source, driver::Variant::Shipped)?;
        driver::lint(&workspace, &options, source, driver::Variant::Test)?;
    }
    Ok(())
}

/// The device process, for the host.
fn build_device(workspace: &Workspace, options: &Options) -> anyhow::Result<Artefact> {
    workspace.cargo(Verb::Build, options, "vhost-device-cancelnic", &["--bins"], &[])?;
    Artefact::of(workspace.target().join("debug/vhost-device-cancelnic"))
}

const UNDERSTUDY_ARGUMENTS: [&str; 5] = ["--bins", "--target", BARE_TARGET, "--profile", "kernel"];

fn lint_understudy(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let flags = workspace.flags_config(BARE_TARGET, &[]);
    workspace.cargo(Verb::Lint, options, "understudy", &UNDERSTUDY_ARGUMENTS, &[flags])
}

/// The stand-in kernel, for bare metal.
fn build_understudy(workspace: &Workspace, options: &Options, out: &Path) -> anyhow::Result<Artefact> {
    let flags = workspace.flags_config(BARE_TARGET, &[]);
    workspace.cargo(Verb::Build, options, "understudy", &UNDERSTUDY_ARGUMENTS, &[flags])?;
    let path = out.join("understudy");
    copy(&workspace.target().join(BARE_TARGET).join("kernel/understudy"), &path)?;
    Artefact::of(path)
}

/// The UEFI program that starts understudy from a disk, and the one in the place of Windows Setup.
const LOADER: &str = "understudy-loader";
const SETUP: &str = "setup-stand-in";
const FIRMWARE_ARGUMENTS: [&str; 5] = ["--bins", "--target", FIRMWARE_TARGET, "--profile", "kernel"];

/// The UEFI program that starts understudy from a disk.
///
/// # Errors
/// [`SetupMissing`] if the target is missing; otherwise what cargo reported.
pub fn loader() -> anyhow::Result<Artefact> {
    build_firmware(LOADER)
}

/// The program in the place of Windows Setup, for the tests.
///
/// # Errors
/// [`SetupMissing`] if the target is missing; otherwise what cargo reported.
pub fn setup_stand_in() -> anyhow::Result<Artefact> {
    build_firmware(SETUP)
}

fn build_firmware(program: &str) -> anyhow::Result<Artefact> {
    let workspace = begin()?;
    workspace.require_target(FIRMWARE_TARGET)?;
    workspace.cargo(Verb::Build, &Options::default(), program, &FIRMWARE_ARGUMENTS, &[])?;
    let folder = workspace.target().join(FIRMWARE_TARGET).join("kernel");
    Artefact::of(folder.join(program).with_extension("efi"))
}

/// Copies a file, with its name in the error; leaves a copy that is the same already untouched.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    write_if_changed(to, &bytes).map(drop)
}

/// Writes `bytes` unless the file holds them already, so that cargo sees no change. True if written.
///
/// The file is replaced whole: a run beside this one may have the old one open, or mapped.
fn write_if_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(true)
}

/// Lower-case hexadecimal digits.
fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
