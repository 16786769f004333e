//! The driver files that this machine runs, or would run.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use agent_protocol::DriverFile;
use sha2::{Digest as _, Sha256};

use crate::guest::{FILTER, Guest, NIC, RELAY};

/// The project's drivers as they are installed, with their hashes. One that is not installed, or whose file cannot be
/// read, is left out.
#[must_use]
pub fn installed(guest: &dyn Guest) -> Vec<DriverFile> {
    let root = guest.system_root();
    [NIC.service, FILTER, RELAY.service]
        .into_iter()
        .filter_map(|service| {
            // a driver of a device that was never there has no service yet, and lies in the driver store
            let path = match guest.image_path(service) {
                Some(path) => resolve(&path, &root),
                None => newest_staged(service, &root)?,
            };
            let sha256 = File::open(path).and_then(hash).ok()?;
            Some(DriverFile { file: format!("{service}.sys"), sha256 })
        })
        .collect()
}

/// SHA-256 of all that `from` gives, lower-case hexadecimal.
///
/// # Errors
/// It cannot be read.
pub fn hash(mut from: impl Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut part = vec![0; 64 << 10];
    loop {
        match from.read(&mut part)? {
            0 => return Ok(hex::encode(digest.finalize())),
            read => digest.update(&part[..read]),
        }
    }
}

/// The file that a service's ImagePath means: below the system's folder unless it says otherwise.
fn resolve(image_path: &str, root: &Path) -> PathBuf {
    let path = image_path.trim().trim_matches('"').replace('\\', "/");
    let after = |prefix: &str| {
        let (start, rest) = path.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then(|| rest.to_owned())
    };
    if let Some(rest) = after("/SystemRoot/").or_else(|| after("%SystemRoot%/")) {
        return root.join(rest);
    }
    if let Some(rest) = after("/??/") {
        return PathBuf::from(rest);
    }
    if path.chars().nth(1) == Some(':') {
        return PathBuf::from(path);
    }
    root.join(path.trim_start_matches('/'))
}

/// The `.sys` of this name in the driver store; the one staged last if there are several.
#[must_use]
pub fn newest_staged(name: &str, root: &Path) -> Option<PathBuf> {
    let package = format!("{name}.inf_");
    let folders = fs::read_dir(root.join("System32/DriverStore/FileRepository")).ok()?.flatten();
    folders
        .filter(|folder| {
            let folder = folder.file_name().to_string_lossy().to_ascii_lowercase();
            folder.starts_with(&package)
        })
        .filter_map(|folder| {
            let path = folder.path().join(format!("{name}.sys"));
            let staged = folder.metadata().and_then(|about| about.modified()).ok()?;
            path.is_file().then_some((staged, path))
        })
        .max()
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretend::Pretend;

    #[test]
    fn every_form_of_an_image_path_finds_its_file() {
        let root = Path::new("C:/Windows");
        for (form, file) in [
            (
                r"\SystemRoot\System32\DriverStore\FileRepository\x\cancelnic.sys",
                "C:/Windows/System32/DriverStore/FileRepository/x/cancelnic.sys",
            ),
            (r"%systemroot%\System32\drivers\a.sys", "C:/Windows/System32/drivers/a.sys"),
            (r"System32\drivers\a.sys", "C:/Windows/System32/drivers/a.sys"),
            (r"\??\D:\here\a.sys", "D:/here/a.sys"),
            ("\"C:\\with blank\\a.sys\"", "C:/with blank/a.sys"),
        ] {
            assert_eq!(resolve(form, root), Path::new(file), "{form}");
        }
    }

    #[test]
    fn a_driver_is_hashed_where_its_service_or_the_store_has_it() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            fs::write(path, text).expect("a file");
        };
        put("System32/drivers/cancelnic.sys", "abc");
        put("System32/DriverStore/FileRepository/cancelnic-relay.inf_amd64_1/cancelnic-relay.sys", "");
        let guest = Pretend {
            system_root: root.path().to_path_buf(),
            image_paths: [("cancelnic", r"\SystemRoot\System32\drivers\cancelnic.sys".to_owned())].into(),
            ..Pretend::default()
        };
        let found = installed(&guest);
        let told: Vec<_> =
            found.iter().map(|driver| (driver.file.as_str(), driver.sha256.as_str())).collect();
        // FIPS 180-4's example, and the hash of nothing
        let expected = [
            ("cancelnic.sys", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("cancelnic-relay.sys", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ];
        assert_eq!(told, expected);
    }
}
