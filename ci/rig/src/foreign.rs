//! Another project's driver of the NIC, in the place of ours: a folder with its `.sys` and `.inf`, or these two files.
//!
//! It must drive the NIC of `device/registers` through NetAdapterCx. Our filter and our relay stay in the guest beside it;
//! scenarios that talk to cancelnic.sys itself do not concern it.

use crate::guest::GuestKind;
use anyhow::{Context, Result};
use clap::Args;
use driver_package::Inf;
use lab::base::artefact::Artefact;
use lab::base::failure::Usage;
use lab::base::files::{DriverFiles, Subject};
use std::fs;
use std::path::{Path, PathBuf};

/// The NIC's hardware id, as [`Inf`] gives it.
const HARDWARE: &str = "pci\\ven_1af4&dev_1041";

/// Options that name such a driver.
#[derive(Debug, Default, Args)]
#[group(id = "which_driver")]
pub(crate) struct Options {
    /// Run another project's driver of the NIC in place of ours: the folder with its .sys and .inf, or its .sys
    #[arg(long, value_name = "DIR|SYS")]
    driver: Option<PathBuf>,
    /// The INF of the driver, where --driver names a .sys file
    #[arg(long, value_name = "INF", requires = "driver")]
    inf: Option<PathBuf>,
}

impl Options {
    /// The driver, if one is named.
    ///
    /// # Errors
    /// [`Usage`]: `guest` is an image, or there is no such driver.
    pub(crate) fn find(&self, guest: GuestKind) -> Result<Option<DriverFiles>> {
        let Some(driver) = &self.driver else { return Ok(None) };
        if guest != GuestKind::Understudy {
            let usage = "--driver is for --guest understudy: an image holds its own drivers";
            return Err(Usage(usage.into()).into());
        }
        match &self.inf {
            None if driver.is_file() => {
                let usage = format!("--driver {}: name the INF of this file with --inf", driver.display());
                Err(Usage(usage).into())
            }
            None => find(driver).map(Some),
            Some(_) if driver.is_dir() => {
                let usage = format!("--inf goes with a .sys file; {} is a folder", driver.display());
                Err(Usage(usage).into())
            }
            Some(inf) => of_files(driver, inf).map(Some),
        }
    }

    /// Whether one is named.
    pub(crate) fn is_given(&self) -> bool {
        self.driver.is_some()
    }

    /// The same as arguments, for doing a run again.
    pub(crate) fn replay(&self) -> String {
        let named = [("--driver", &self.driver), ("--inf", &self.inf)];
        let given = named.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
        given.map(|(name, path)| format!(" {name} {}", path.display())).collect()
    }
}

/// Looks for the NIC's driver in `folder`.
///
/// # Errors
/// [`Usage`]: the folder does not hold exactly one INF for the NIC, or not the file that this one names.
pub(crate) fn find(folder: &Path) -> Result<DriverFiles> {
    let refuse = |why: String| Usage(format!("--driver {}: {why}", folder.display()));
    let entries = fs::read_dir(folder).map_err(|error| refuse(error.to_string()))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    let mut infs = Vec::new();
    let mut others = Vec::new();
    for path in with_extension(&paths, "inf") {
        let inf = read_inf(&path).map_err(|error| refuse(format!("{}: {error}", file_name(&path))))?;
        if is_for_the_nic(&inf) {
            infs.push((path, inf));
        } else {
            others.push(format!("{} is for {}", file_name(&path), inf.hardware_ids.join(", ")));
        }
    }
    let (path, inf) = match &infs[..] {
        [one] => one,
        [] if others.is_empty() => return Err(refuse("there is no .inf".into()).into()),
        [] => return Err(refuse(format!("no INF is for {HARDWARE}: {}", others.join("; "))).into()),
        several => {
            let names: Vec<_> = several.iter().map(|(path, _)| file_name(path)).collect();
            return Err(refuse(format!("several INFs are for the NIC: {}", names.join(", "))).into());
        }
    };
    let image = image_of(inf).map_err(|why| refuse(format!("{} {why}", file_name(path))))?;
    let found = paths.iter().find(|path| file_name(path).eq_ignore_ascii_case(image));
    let found =
        found.ok_or_else(|| refuse(format!("{} names {image}, which is not there", file_name(path))))?;
    of(image, found, path)
}

/// The NIC's driver `image`, whatever that file is called, with its INF.
///
/// # Errors
/// [`Usage`]: one of them cannot be read, or the INF is not for the NIC.
pub(crate) fn of_files(image: &Path, inf: &Path) -> Result<DriverFiles> {
    let refuse = |why: String| Usage(format!("--inf {}: {why}", inf.display()));
    let parsed = read_inf(inf).map_err(|error| refuse(error.to_string()))?;
    if !is_for_the_nic(&parsed) {
        let ids = parsed.hardware_ids.join(", ");
        return Err(refuse(format!("it is for {ids}, not for {HARDWARE}")).into());
    }
    let name = image_of(&parsed).map_err(|why| refuse(format!("it {why}")))?;
    if let Err(error) = fs::File::open(image) {
        return Err(Usage(format!("--driver {}: {error}", image.display())).into());
    }
    of(name, image, inf)
}

/// `name` is the file's name in the INF, `found` the file.
fn of(name: &str, found: &Path, inf: &Path) -> Result<DriverFiles> {
    let (stem, _) = name.rsplit_once('.').context("it ends with .sys")?;
    Ok(DriverFiles {
        // One for the whole use of the command.
        name: String::leak(stem.to_owned()),
        image: Artefact::of(found)?,
        inf: inf.to_path_buf(),
        symbols: found.with_extension("pdb"),
        subject: Subject::of(inf).ok(),
    })
}

fn read_inf(path: &Path) -> Result<Inf> {
    Ok(Inf::parse(&fs::read(path)?)?)
}

fn is_for_the_nic(inf: &Inf) -> bool {
    inf.hardware_ids.iter().any(|id| id.starts_with(HARDWARE))
}

/// The `.sys` file that an INF names; the error is a verb and its object.
fn image_of(inf: &Inf) -> Result<&String, String> {
    let images: Vec<&String> =
        inf.files.iter().filter(|file| file.to_ascii_lowercase().ends_with(".sys")).collect();
    match images[..] {
        [image] => Ok(image),
        _ => Err(format!("names {} .sys files, not one", images.len())),
    }
}

fn with_extension(paths: &[PathBuf], extension: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|have| have.eq_ignore_ascii_case(extension)))
        .cloned()
        .collect();
    found.sort();
    found
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: &str = "[Version]\nClass=Net\nCatalogFile=a.cat\nDriverVer=1/2/2026,1.0.0.0\n\
        [SourceDisksFiles]\nother.sys=1\n[Manufacturer]\nX=M,NTamd64\n[M.NTamd64]\nN=D,PCI\\VEN_1AF4&DEV_1041\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[track_caller]
    fn refused(files: &[(&str, &str)], why: &str) {
        let folder = folder(files);
        let error = find(folder.path()).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains(why), "{error:#}");
    }

    #[test]
    fn a_package_is_found_by_its_hardware() {
        let other = INF.replace("1041", "1042").replace("other.sys", "b.sys");
        let folder = folder(&[("a.inf", INF), ("b.inf", &other), ("Other.sys", "MZ"), ("b.sys", "MZ")]);
        let found = find(folder.path()).unwrap();
        assert_eq!((found.name, found.image.path), ("other", folder.path().join("Other.sys")));
    }

    fn utf_16(order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        "\u{feff}".encode_utf16().chain(INF.encode_utf16()).flat_map(order).collect()
    }

    #[test]
    fn an_inf_in_utf_16_or_ansi_is_read() {
        let ansi = [b"; \xa9 M\xfcller\r\n", INF.as_bytes()].concat();
        for bytes in [utf_16(u16::to_le_bytes), ansi] {
            let folder = folder(&[("other.sys", "MZ")]);
            fs::write(folder.path().join("a.inf"), bytes).unwrap();
            assert!(find(folder.path()).is_ok());
        }
    }

    #[test]
    fn an_inf_in_utf_16_be_is_refused_by_that_name() {
        let folder = folder(&[("other.sys", "MZ")]);
        fs::write(folder.path().join("a.inf"), utf_16(u16::to_be_bytes)).unwrap();
        let error = find(folder.path()).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("a.inf: it is UTF-16 BE"), "{error:#}");
    }

    fn options(driver: &Path, inf: Option<&Path>) -> Options {
        Options { driver: Some(driver.to_path_buf()), inf: inf.map(Path::to_path_buf) }
    }

    #[test]
    fn a_file_under_any_name_takes_the_one_in_its_inf() {
        let folder = folder(&[("a.inf", INF), ("built.dll", "MZ")]);
        let (file, inf) = (folder.path().join("built.dll"), folder.path().join("a.inf"));
        let options = options(&file, Some(&inf));
        let found = options.find(GuestKind::Understudy).unwrap().unwrap();
        assert_eq!((found.name, &found.image.path, &found.inf), ("other", &file, &inf));
        let again = format!(" --driver {} --inf {}", file.display(), inf.display());
        assert_eq!(options.replay(), again);
    }

    #[test]
    fn a_file_that_does_not_go_with_its_inf_is_wrong_usage() {
        let other = INF.replace("1041", "1042");
        let folder = folder(&[("a.inf", INF), ("b.inf", &other), ("a.sys", "MZ")]);
        let path = |name| folder.path().join(name);
        for (driver, inf, why) in [
            ("a.sys", Some("b.inf"), "it is for pci\\ven_1af4&dev_1042, not for pci\\ven_1af4&dev_1041"),
            ("b.sys", Some("a.inf"), "b.sys: No such file"),
            ("a.sys", None, "name the INF of this file with --inf"),
            ("", Some("a.inf"), "is a folder"),
        ] {
            let options = options(&path(driver), inf.map(path).as_deref());
            let error = options.find(GuestKind::Understudy).unwrap_err();
            assert!(error.is::<Usage>() && error.to_string().contains(why), "{error:#}");
            let error = options.find(GuestKind::Windows).unwrap_err();
            assert!(error.to_string().contains("for --guest understudy"), "{error:#}");
        }
    }

    #[test]
    fn what_is_no_package_for_the_nic_is_refused() {
        refused(&[("other.sys", "MZ")], "there is no .inf");
        refused(&[("a.inf", "nothing")], "a.inf: line 1");
        refused(&[("a.inf", &INF.replace("1041", "1042"))], "a.inf is for pci\\ven_1af4&dev_1042");
        refused(&[("a.inf", INF), ("b.inf", INF)], "a.inf, b.inf");
        refused(&[("a.inf", INF)], "a.inf names other.sys, which is not there");
        refused(&[("a.inf", &INF.replace("other.sys=1\n", ""))], "a.inf names 0 .sys files");
        let error = find(Path::new("/nowhere")).unwrap_err();
        assert!(error.is::<Usage>(), "{error:#}");
    }
}
