//! A package: a folder with an INF, the driver that it names, and the catalog that it names.

use anyhow::Result;
use driver_inspect::Image;
use lab::base::artefact::Artefact;
use lab::base::failure::Usage;
use lab::base::files::{DriverFiles, Subject};
use std::fs;
use std::path::{Path, PathBuf};
use understudy_rules::inf;

/// The drivers of these folders, one for each INF, with the id that each is for.
///
/// # Errors
/// [`Usage`]: a folder is no package, or two packages are one.
pub(super) fn find(folders: &[PathBuf], symbols: &[PathBuf]) -> Result<Vec<(DriverFiles, String)>> {
    let mut found: Vec<(DriverFiles, String)> = Vec::new();
    for folder in folders {
        for (driver, id) in in_folder(folder)? {
            if let Some((other, _)) = found.iter().find(|(other, _)| is_same(other, &driver)) {
                let both = (other.inf.display(), driver.inf.display());
                return Err(Usage(format!("{} and {} install one driver or service", both.0, both.1)).into());
            }
            found.push((driver, id));
        }
    }
    for file in symbols {
        place(file, &mut found)?;
    }
    Ok(found)
}

fn is_same(one: &DriverFiles, other: &DriverFiles) -> bool {
    let service =
        |driver: &DriverFiles| driver.subject.as_ref().map(|subject| subject.service.to_ascii_lowercase());
    one.name.eq_ignore_ascii_case(other.name) || service(one) == service(other)
}

/// The symbols go to the driver of their name, or to the only one.
fn place(file: &Path, found: &mut [(DriverFiles, String)]) -> Result<()> {
    let refuse = |why: &str| Usage(format!("--symbols {}: {why}", file.display()));
    if let Err(error) = fs::File::open(file) {
        return Err(refuse(&error.to_string()).into());
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let place = match found.iter().position(|(driver, _)| driver.name.eq_ignore_ascii_case(&stem)) {
        Some(place) => place,
        None if found.len() == 1 => 0,
        None => return Err(refuse("no package has a driver of that name").into()),
    };
    found[place].0.symbols = file.to_path_buf();
    Ok(())
}

/// The drivers of one folder.
fn in_folder(folder: &Path) -> Result<Vec<(DriverFiles, String)>> {
    let refuse = |why: String| Usage(format!("--package {}: {why}", folder.display()));
    let entries = fs::read_dir(folder).map_err(|error| refuse(error.to_string()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    let infs =
        paths.iter().filter(|path| path.extension().is_some_and(|have| have.eq_ignore_ascii_case("inf")));
    let drivers: Vec<_> = infs
        .map(|inf| of_inf(inf, &paths).map_err(|why| refuse(format!("{}: {why}", name(inf)))))
        .collect::<Result<_, Usage>>()?;
    if drivers.is_empty() { Err(refuse("there is no .inf".into()).into()) } else { Ok(drivers) }
}

/// The driver of an INF, among the files of its folder.
fn of_inf(inf: &Path, files: &[PathBuf]) -> Result<(DriverFiles, String), String> {
    let bytes = fs::read(inf).map_err(|error| error.to_string())?;
    let package = inf::select(&bytes, None).map_err(|fault| fault.0)?;
    let there = |wanted: &str| files.iter().find(|path| name(path).eq_ignore_ascii_case(wanted));
    let missing = |what: &str, wanted: &str| format!("it names the {what} {wanted}, which is not there");
    let image = there(&package.binary).ok_or_else(|| missing("driver", &package.binary))?;
    if let Some(catalog) = package.catalog.as_deref().filter(|catalog| there(catalog).is_none()) {
        return Err(missing("catalog", catalog) + ": Windows does not install it");
    }
    let Some((stem, "sys" | "SYS")) = package.binary.rsplit_once('.') else {
        return Err(format!("the driver is called {}, which does not end with .sys", package.binary));
    };
    let bytes = fs::read(image).map_err(|error| format!("{}: {error}", package.binary))?;
    if let Err(fault) = Image::read(bytes) {
        return Err(format!("{}: {fault}", package.binary));
    }
    let files = DriverFiles {
        // one for the whole use of the command
        name: String::leak(stem.to_owned()),
        image: Artefact::of(image).map_err(|error| format!("{error:#}"))?,
        inf: inf.to_path_buf(),
        symbols: image.with_extension("pdb"),
        subject: Some(Subject { service: package.service, kind: package.kind, net: package.net }),
    };
    Ok((files, package.matched))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
