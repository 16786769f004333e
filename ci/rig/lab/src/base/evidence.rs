//! Evidence that stays: page, JSON, capture, trace and logs of a run, in a folder for people.
//!
//! Each `cargo rig demo` and each `cargo rig test` has a [`RunFolder`] in `target/rig/runs`, named by its time and its
//! process; `target/rig/latest` leads to the newest one, and the oldest are removed. Inside it each session leaves its files
//! through an [`Evidence`]: logs are copied as soon as the session's temporary folder goes, however the run ends; page
//! and JSON are written once it is known that they are wanted.
//!
//! No file is ever seen half written under its name: it is written under another one and renamed.

use super::failure::Usage;
use super::workspace::Workspace;
use anyhow::{Context, Result};
use chrono::{Datelike, Timelike, Utc};
use std::fs::{self, File, Permissions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Folders of runs that are kept.
const RUNS: usize = 10;
/// Held by the process whose folder it is in.
const LOCK: &str = "lock";
/// Kinds of files that are worth keeping of a temporary folder.
const KINDS: [&str; 6] = ["log", "txt", "json", "pcapng", "png", "xml"];

/// The folder of one use of the command, held against other runs for as long as this value lives.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// A new folder in `target/rig/runs`, to which `target/rig/latest` leads from now on.
    pub fn new() -> Result<Self> {
        Self::within(&Workspace::find()?.target().join("rig"))
    }

    fn within(root: &Path) -> Result<Self> {
        let now = Utc::now();
        let name = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z-{}",
            now.year(),
            now.month(),
            now.day(),
            now.hour(),
            now.minute(),
            now.second(),
            std::process::id()
        );
        let runs = root.join("runs");
        let folder = Self::at(&runs.join(&name))?;
        lead(&root.join("latest"), &Path::new("runs").join(&name))?;
        remove_old(&runs);
        Ok(folder)
    }

    /// The folder at `path`, made if it is not there, in which files can be written.
    ///
    /// # Errors
    /// [`Usage`] if another run has it.
    pub fn at(path: &Path) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
        let lock = File::create(path.join(LOCK))
            .with_context(|| format!("cannot write in the folder {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Usage(format!(
                "{} is in use by another run: choose another folder with --report",
                path.display()
            ))
            .into()),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock the folder {}", path.display()))
            }
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Lets `link` lead to `target` from now on, in one step.
fn lead(link: &Path, target: &Path) -> Result<()> {
    let new = link.with_extension(std::process::id().to_string());
    // Left by a process of the same number that was killed.
    let _ = fs::remove_file(&new);
    symlink(target, &new)
        .and_then(|()| fs::rename(&new, link))
        .with_context(|| format!("cannot make the link {}", link.display()))
}

/// Removes the oldest folders of runs, save those that are still in use. One that cannot be removed stays.
fn remove_old(runs: &Path) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    // The names begin with the time.
    folders.sort_unstable();
    let old = folders.len().saturating_sub(RUNS);
    for folder in folders.into_iter().take(old) {
        let idle = File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if idle {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The place for what one scenario leaves. Its clones are the same place.
#[derive(Debug, Clone)]
pub struct Evidence {
    folder: PathBuf,
    /// How many sessions have left something right here.
    sessions: Arc<AtomicUsize>,
    shared: Arc<Mutex<Shared>>,
}

/// What is left to do for an evidence that turns out to be wanted.
type Later = Box<dyn FnOnce() -> Result<()> + Send>;

#[derive(Default)]
struct Shared {
    later: Vec<Later>,
    /// The first thing that could not be kept.
    trouble: Option<anyhow::Error>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to write, trouble: {:?}", self.later.len(), self.trouble)
    }
}

impl Evidence {
    /// Evidence in `folder`, which is made when the first file comes.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, sessions: Arc::default(), shared: Arc::default() }
    }

    /// A place inside this one, for one of several runs.
    pub fn part(&self, name: &str) -> Self {
        Self { folder: self.folder.join(name), sessions: Arc::default(), shared: Arc::clone(&self.shared) }
    }

    /// Its folder. It may not be there.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The folder for the files of the next session or program: this one, then `2`, `3` and so on in it.
    pub fn claim(&self) -> PathBuf {
        match self.sessions.fetch_add(1, Ordering::Relaxed) {
            0 => self.folder.clone(),
            earlier => self.folder.join((earlier + 1).to_string()),
        }
    }

    fn note(&self, kept: Result<()>) {
        if let Err(error) = kept {
            self.shared().trouble.get_or_insert(error);
        }
    }

    /// Keeps the files of a temporary folder that is about to go.
    pub fn files(&self, from: &Path) {
        self.complete(from, |_| Ok(()));
    }

    /// Keeps the files of a folder. If the evidence turns out to be wanted, `complete` writes more into the folder of the
    /// copies, which it gets.
    pub fn complete(&self, from: &Path, complete: impl FnOnce(&Path) -> Result<()> + Send + 'static) {
        let folder = self.claim();
        self.note(copy_files(from, &folder));
        self.shared().later.push(Box::new(move || complete(&folder)));
    }

    /// All is over: writes pages and JSON if the evidence is wanted, and removes all of it if not.
    ///
    /// # Errors
    /// The first thing that could not be kept, though it was wanted.
    pub fn settle(&self, wanted: bool) -> Result<()> {
        let Shared { later, trouble } = std::mem::take(&mut *self.shared());
        if !wanted {
            return match fs::remove_dir_all(&self.folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).with_context(|| format!("cannot remove {}", self.folder.display()))
                }
                _ => Ok(()),
            };
        }
        trouble.map_or(Ok(()), Err)?;
        later.into_iter().try_for_each(|complete| complete())
    }
}

/// Every file below a folder, page first, then by name.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort_by_cached_key(|path| (path.extension().is_none_or(|kind| kind != "html"), path.clone()));
    found
}

/// Copies the files that are worth keeping. One that is not there is not missed: a run may end before it comes.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", from.display()))?.path();
        let wanted = path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known));
        let Some(name) = path.file_name().filter(|_| wanted && path.is_file()) else { continue };
        copy(&path, &to.join(name))?;
    }
    Ok(())
}

/// Copies a file; the copy is seen whole or not at all.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = File::open(from).with_context(|| format!("cannot read {}", from.display()))?;
    write_with(to, |file| std::io::copy(&mut source, file).map(drop))
}

/// Writes a file that is seen whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

fn write_with(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut partial = tempfile::Builder::new()
        .prefix(".partial-")
        // As any other file: the user's mask decides.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(cannot)?;
    write(partial.as_file_mut()).with_context(cannot)?;
    partial.persist(path).map_err(|error| error.error).with_context(cannot)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn latest_leads_to_the_newest_run_and_the_oldest_idle_ones_go() {
        let root = tempfile::tempdir().unwrap();
        let runs = root.path().join("runs");
        let busy = RunFolder::at(&runs.join("20200101T000000Z-1")).unwrap();
        for day in 2..=RUNS + 2 {
            drop(RunFolder::at(&runs.join(format!("202001{day:02}T000000Z-1"))).unwrap());
        }
        let new = RunFolder::within(root.path()).unwrap();
        assert_eq!(root.path().join("latest").canonicalize().unwrap(), new.path());
        let left = names(&runs);
        // The busy one is the oldest, and stays.
        assert_eq!(left.len(), RUNS + 1, "{left:?}");
        assert!(left.contains(&"20200101T000000Z-1".into()) && busy.path().is_dir());
        assert!(!left.contains(&"20200102T000000Z-1".into()), "{left:?}");
    }

    #[test]
    fn a_folder_that_another_run_has_is_wrong_usage_and_a_file_in_its_place_is_not() {
        let root = tempfile::tempdir().unwrap();
        let _first = RunFolder::at(root.path()).unwrap();
        assert!(RunFolder::at(root.path()).unwrap_err().is::<Usage>());
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let error = RunFolder::at(&file).unwrap_err();
        assert!(!error.is::<Usage>(), "{error:#}");
        assert!(format!("{error:#}").starts_with("cannot create "), "{error:#}");
    }

    #[test]
    fn a_temporary_folders_logs_stay_if_wanted_and_each_session_has_its_own_place() {
        let root = tempfile::tempdir().unwrap();
        let from = tempfile::tempdir().unwrap();
        for file in ["guest.log", "capture.pcapng", "disk.qcow2"] {
            fs::write(from.path().join(file), file).unwrap();
        }
        let evidence = Evidence::new(root.path().join("tx"));
        evidence.files(from.path());
        evidence.part("without-the-fault").files(from.path());
        evidence.clone().files(from.path());
        evidence.settle(true).unwrap();
        assert_eq!(names(evidence.folder()), ["2", "capture.pcapng", "guest.log", "without-the-fault"]);
        assert_eq!(names(&evidence.folder().join("2")), ["capture.pcapng", "guest.log"]);
        assert_eq!(files_below(evidence.folder()).len(), 6);
        evidence.settle(false).unwrap();
        assert!(!evidence.folder().exists());
        evidence.settle(false).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_whole_is_not_there_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report.html");
        let full = |_: &mut File| Err(std::io::ErrorKind::StorageFull.into());
        let error = write_with(&file, full).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot write "), "{error:#}");
        assert_eq!(names(folder.path()), Vec::<String>::new());
        write_whole(&file, b"whole").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"whole");
    }
}
