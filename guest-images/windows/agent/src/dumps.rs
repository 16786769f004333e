//! The dumps that bug checks have left, and their way out.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use agent_protocol::{Chunk, DumpFile, MOST_CHUNK, Reply};
use base64ct::{Base64, Encoding as _};

use crate::{drivers::hash, guest::Fault};

/// Folders of small dumps below the system's. Each component that makes live reports has a folder of its own there,
/// NDIS too.
const FOLDERS: [&str; 2] = ["Minidump", "LiveKernelReports"];

/// What there is below the system's folder `root`: the memory dump, then small ones by name.
#[must_use]
pub fn list(root: &Path) -> Vec<DumpFile> {
    let mut names = vec!["MEMORY.DMP".to_owned()];
    for folder in FOLDERS {
        let (mut dumps, folders) = in_folder(root, folder);
        dumps.extend(folders.iter().flat_map(|folder| in_folder(root, folder).0));
        dumps.sort();
        names.extend(dumps);
    }
    names.into_iter().filter_map(|name| about(root, name)).collect()
}

/// The dumps in a folder, and its folders, all by their names below `root`.
fn in_folder(root: &Path, folder: &str) -> (Vec<String>, Vec<String>) {
    let (mut dumps, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path(root, folder)).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let is_dump = name.to_ascii_lowercase().ends_with(".dmp");
        let name = format!("{folder}\\{name}");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            folders.push(name);
        } else if is_dump {
            dumps.push(name);
        }
    }
    (dumps, folders)
}

fn path(root: &Path, name: &str) -> PathBuf {
    root.join(name.replace('\\', "/"))
}

fn about(root: &Path, file: String) -> Option<DumpFile> {
    let about = fs::metadata(path(root, &file)).ok().filter(fs::Metadata::is_file)?;
    let written = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    Some(DumpFile { file, len: about.len(), written_unix: written.map_or(0, |since| since.as_secs()) })
}

/// Reads a part of a dump that [`list`] names, of no other file.
///
/// # Errors
/// There is no such dump, `len` is out of its range, or it cannot be read.
pub fn copy(root: &Path, file: &str, offset: u64, len: u32) -> Result<Reply, Fault> {
    if !(1..=MOST_CHUNK).contains(&len) {
        return Err(format!("len {len} is not in 1..={MOST_CHUNK}").into());
    }
    let known = list(root).into_iter().find(|dump| dump.file.eq_ignore_ascii_case(file));
    let dump = known.ok_or_else(|| format!("no dump is named {file:?}"))?;
    let read = || {
        let mut file = File::open(path(root, &dump.file))?;
        let total = file.metadata()?.len();
        file.seek(SeekFrom::Start(offset))?;
        let mut data = Vec::new();
        file.by_ref().take(len.into()).read_to_end(&mut data)?;
        let sha256 = if offset.saturating_add(data.len() as u64) >= total {
            file.seek(SeekFrom::Start(0))?;
            Some(hash(file)?)
        } else {
            None
        };
        Ok(Chunk { data: Base64::encode_string(&data), total, sha256 })
    };
    let chunk = read().map_err(|error: std::io::Error| format!("{}: {error}", dump.file))?;
    Ok(Reply { chunk: Some(chunk), ..Reply::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a temporary folder");
        for folder in ["Minidump", "LiveKernelReports/NDIS"] {
            fs::create_dir_all(root.path().join(folder)).expect("a folder");
        }
        for (name, text) in [
            ("MEMORY.DMP", "0123456789"),
            ("Minidump/b.dmp", "b"),
            ("Minidump/a.DMP", ""),
            ("Minidump/notes.txt", "no dump"),
            ("LiveKernelReports/whole.dmp", "whole"),
            ("LiveKernelReports/NDIS/NDIS-1.dmp", "of NDIS"),
            ("secret.txt", "no dump"),
        ] {
            fs::write(root.path().join(name), text).expect("a file");
        }
        root
    }

    #[test]
    fn dumps_are_listed_and_nothing_else() {
        let dumps = list(machine().path());
        let told: Vec<_> = dumps.iter().map(|dump| (dump.file.as_str(), dump.len)).collect();
        let expected = [
            ("MEMORY.DMP", 10),
            (r"Minidump\a.DMP", 0),
            (r"Minidump\b.dmp", 1),
            (r"LiveKernelReports\NDIS\NDIS-1.dmp", 7),
            (r"LiveKernelReports\whole.dmp", 5),
        ];
        assert_eq!(told, expected);
        assert!(dumps.iter().all(|dump| dump.written_unix > 1_700_000_000));
        assert_eq!(list(Path::new("/nowhere")), []);
    }

    #[test]
    fn parts_make_the_whole_and_the_last_has_its_hash() {
        let root = machine();
        let mut copied = Vec::new();
        let mut told = None;
        while told.is_none() {
            let reply = copy(root.path(), "memory.dmp", copied.len() as u64, 4).expect("a part");
            let chunk = reply.chunk.expect("a part");
            assert_eq!(chunk.total, 10);
            copied.extend(Base64::decode_vec(&chunk.data).expect("base64"));
            told = chunk.sha256;
        }
        assert_eq!(copied, b"0123456789");
        assert_eq!(told, Some(hash(&copied[..]).expect("its hash")));
    }

    #[test]
    fn behind_the_end_there_is_an_empty_part() {
        let root = machine();
        for (file, offset) in
            [("MEMORY.DMP", 10), ("MEMORY.DMP", u64::from(u32::MAX)), (r"Minidump\a.DMP", 0)]
        {
            let chunk = copy(root.path(), file, offset, 4).expect("a part").chunk.expect("a part");
            assert!(chunk.data.is_empty() && chunk.sha256.is_some(), "{file} {offset}");
        }
    }

    #[test]
    fn what_is_no_dump_is_not_read() {
        let root = machine();
        for file in ["secret.txt", r"Minidump\notes.txt", r"Minidump\..\secret.txt", "/etc/passwd", ""] {
            let error = copy(root.path(), file, 0, 4).expect_err("no dump");
            assert_eq!(error, Fault::Failed(format!("no dump is named {file:?}")));
        }
        for len in [0, MOST_CHUNK + 1] {
            let error = copy(root.path(), "MEMORY.DMP", 0, len).expect_err("out of range");
            assert!(matches!(error, Fault::Failed(error) if error.contains("is not in")));
        }
    }
}
