//! Other projects' driver packages, of any kind, and the device that they are for: from the command line and from the project's
//! `cancelnic.toml`.

mod package;
mod parameter;
mod project;

use crate::foreign;
use crate::guest::GuestKind;
use anyhow::Result;
use clap::Args;
use lab::base::failure::Usage;
use lab::base::files::DriverFiles;
use lab::base::places;
use lab::machine::Hardware;
use parameter::Parameter;
use project::Project;
use scenarios::Cast;
use std::path::{Path, PathBuf};
use understudy_rules::inf::Kind;

/// The id of cancelnic's device.
const CANCELNIC: &str = "PCI\\VEN_1AF4&DEV_1041";

/// Options that name packages.
#[derive(Debug, Default, Args)]
#[group(id = "which_packages")]
pub(crate) struct Options {
    /// Run another project's driver, of any kind, in place of all of ours: the folder with its .inf, .sys and .cat; may be given
    /// several times
    #[arg(long = "package", value_name = "DIR", conflicts_with_all = ["driver", "inf"])]
    packages: Vec<PathBuf>,
    /// Take packages, device and more from DIR/cancelnic.toml [default: the current folder's, if there is one]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["driver", "inf"])]
    project: Option<PathBuf>,
    /// Keep this driver of ours beside the packages: cancelnic, cancelnic-lwf, cancelnic-relay
    #[arg(long, value_name = "NAME")]
    with: Vec<String>,
    /// The device of the packages: cancelnic, qemu:NAME, vhost-user:SOCKET[,virtio-id=N], vfio-user:SOCKET or none
    #[arg(long, value_name = "DEVICE")]
    device: Option<Hardware>,
    /// Set a driver's parameter, an adapter keyword of its INF
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<Parameter>,
    /// The symbols of a package's driver, where they are not beside its .sys
    #[arg(long, value_name = "PDB")]
    symbols: Vec<PathBuf>,
}

/// What a run has been given.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    /// The packages' drivers.
    pub packages: Vec<DriverFiles>,
    /// Those of ours that stay.
    pub with: Vec<String>,
    /// The device.
    pub hardware: Hardware,
    /// Words of understudy's command line.
    pub words: Vec<String>,
    /// The levels of rules that the project wants.
    pub rules: Option<PathBuf>,
    /// The seed that it wants.
    pub seed: Option<u64>,
    /// The same as arguments, for doing a run again.
    pub replay: String,
}

impl Options {
    /// What the options and the project's file name.
    ///
    /// # Errors
    /// [`Usage`]: a package is none, the device is none, or `guest` is an image.
    pub(crate) fn gather(&self, guest: GuestKind, driver: &foreign::Options) -> Result<Brought> {
        let given = |is_given: bool, name: &str| is_given.then(|| name.to_owned());
        let project = match &self.project {
            Some(folder) => Project::read(folder)?,
            // a folder that a driver is named in by hand is not asked
            None if driver.is_given() || guest != GuestKind::Understudy => Project::default(),
            None if Path::new(Project::FILE).is_file() => Project::read(Path::new(""))?,
            None => Project::default(),
        };
        let joined =
            |theirs: Vec<PathBuf>, ours: &[PathBuf]| theirs.into_iter().chain(ours.iter().cloned()).collect();
        let packages: Vec<PathBuf> = joined(project.package, &self.packages);
        let symbols: Vec<PathBuf> = joined(project.symbols, &self.symbols);
        let with: Vec<String> = project.with.into_iter().chain(self.with.iter().cloned()).collect();
        let mut params = project.param;
        params.extend(self.params.iter().cloned());
        let device = self.device.clone().or(project.device);
        if packages.is_empty() {
            let without = [
                given(device.is_some(), "--device"),
                given(!with.is_empty(), "--with"),
                given(!symbols.is_empty(), "--symbols"),
                given(self.project.is_some(), "--project, whose file names no package,"),
            ];
            if let Some(option) = without.into_iter().flatten().next() {
                return Err(Usage(format!("{option} goes with --package")).into());
            }
        }
        let asks = !packages.is_empty() || !params.is_empty();
        if asks && guest != GuestKind::Understudy {
            let usage = "--package and --param are for --guest understudy: an image holds its own drivers";
            return Err(Usage(usage.into()).into());
        }
        let (packages, found) = package::find(&packages, &symbols).map(|found| (packages, found))?;
        let hardware = match device {
            Some(device) if device.is_ours() || device == Hardware::None => device,
            Some(device) => device.known_to(&places::qemu()?)?,
            None => usual_device(&found)?,
        };
        let mut replay = String::new();
        let mut say =
            |name: &str, value: &dyn std::fmt::Display| replay.push_str(&format!(" {name} {value}"));
        packages.iter().for_each(|folder| say("--package", &folder.display()));
        with.iter().for_each(|name| say("--with", name));
        if !packages.is_empty() {
            say("--device", &hardware);
        }
        params.iter().for_each(|param| say("--param", &format_args!("{}={}", param.name, param.value)));
        symbols.iter().for_each(|file| say("--symbols", &file.display()));
        Ok(Brought {
            packages: found.into_iter().map(|(files, _)| files).collect(),
            with,
            hardware,
            words: params.iter().map(|param| format!("param.{}={}", param.name, param.value)).collect(),
            rules: project.rules,
            seed: project.seed,
            replay,
        })
    }
}

impl Brought {
    /// The drivers of the run, and their device.
    pub(crate) fn cast(&self) -> Cast {
        if self.packages.is_empty() {
            return Cast::ours();
        }
        Cast::of(&self.packages, &self.with, &self.hardware)
    }
}

/// The device where none is named: cancelnic's for a driver of it, none for drivers without one.
fn usual_device(found: &[(DriverFiles, String)]) -> Result<Hardware> {
    let on_pci =
        |files: &DriverFiles| files.subject.as_ref().is_some_and(|subject| subject.kind == Kind::Pci);
    let is_ours = |id: &str| id.get(..CANCELNIC.len()).is_some_and(|id| id.eq_ignore_ascii_case(CANCELNIC));
    match found.iter().find(|(files, id)| on_pci(files) && !is_ours(id)) {
        Some((files, id)) => {
            let usage = format!(
                "{} is for {id}: name its device with --device, such as qemu:e1000e",
                files.inf.display()
            );
            Err(Usage(usage).into())
        }
        None if found.is_empty() || found.iter().any(|(files, _)| on_pci(files)) => Ok(Hardware::Cancelnic),
        None => Ok(Hardware::None),
    }
}

#[cfg(test)]
mod tests;
