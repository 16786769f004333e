//! `cargo rig build`: every artefact of the project, checked and hashed.

use std::path::PathBuf;

/// What to build and where to put it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Build the driver with deliberately broken behaviours as well.
    pub mutants: bool,
    /// Print cargo's own output.
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

/// Everything that a run needs.
#[derive(Clone, Debug)]
pub struct Built {
    /// The device process, `vhost-device-cancelnic`.
    pub device: Artefact,
    /// The stand-in kernel.
    pub understudy: Artefact,
    /// `cancelnic.sys`.
    pub driver: Artefact,
    /// `cancelnic.pdb`.
    pub symbols: Artefact,
    /// `cancelnic.inf`.
    pub inf: Artefact,
    /// `cancelnic.sys` with the mutants, if asked for.
    pub mutants: Option<Artefact>,
}

/// Builds the host programs, understudy and the driver.
pub fn build(options: Options) -> anyhow::Result<Built> {
    let _ = options;
    anyhow::bail!("the build pipeline is not connected yet")
}
