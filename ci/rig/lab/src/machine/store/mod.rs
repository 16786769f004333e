//! Where images are kept: a folder with one folder for each image.
//!
//! | file | what |
//! |---|---|
//! | `disk.qcow2` | the disk, complete in itself; runs write into overlays on it |
//! | `vars.fd` | the firmware's variables; runs write into copies |
//! | `manifest.json` | what the image is, with the hashes of both ([`Manifest`]) |
//!
//! An image is made as a [`Draft`], in a folder that does not count as an image, and [`Draft::seal`] turns it into one
//! in a single step. Nobody writes into a sealed image.

pub mod manifest;
#[cfg(test)]
mod tests;

use std::{
    env,
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io::{ErrorKind, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use manifest::{Description, Manifest, SealedFile};

use crate::base::failure::{SetupMissing, Usage};
use crate::base::folder::Folder;

/// Files of an image.
const DISK: &str = "disk.qcow2";
const VARS: &str = "vars.fd";
const MANIFEST: &str = "manifest.json";
/// Folder of a draft for what is of no use once it is sealed.
const SCRATCH: &str = "scratch";
/// Held by whoever makes the image of a draft.
const LOCK: &str = "lock";
/// What the name of a draft's folder ends with; no image's name has such an end.
const DRAFT: &str = ".draft";
/// Longest name of an image, bytes.
const LONGEST_NAME: usize = 64;
/// Bytes that are hashed between two reports of progress.
const CHUNK: usize = 1 << 20;

/// Told bytes done and bytes in all, again and again.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// The folder of all images.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

/// An image as a list has it.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The image, or why there is none.
    pub image: Result<Image>,
}

impl Store {
    /// The images in `folder`; without one, in `$CANCELNIC_IMAGES`, else in the user's folder for data.
    ///
    /// # Errors
    /// If there is nowhere to keep them.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = folder
            .map(Path::to_path_buf)
            .or_else(|| set("CANCELNIC_IMAGES"))
            .or_else(|| Some(set("XDG_DATA_HOME")?.join("cancelnic/images")))
            .or_else(|| Some(set("HOME")?.join(".local/share/cancelnic/images")))
            .ok_or_else(|| Usage("no folder for images: name one in CANCELNIC_IMAGES".into()))?;
        let folder = std::path::absolute(&folder).with_context(|| format!("{}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Where the images are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every image, and what has been left half made, by name.
    ///
    /// # Errors
    /// If the folder is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>> {
        let found = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            found => found.with_context(|| format!("reading {}", self.folder.display()))?,
        };
        let mut entries = Vec::new();
        for found in found {
            let found = found.with_context(|| format!("reading {}", self.folder.display()))?;
            let Ok(name) = found.file_name().into_string() else { continue };
            if let Some(name) = name.strip_suffix(DRAFT) {
                entries.push(Entry { name: name.to_owned(), image: Err(half_made(name, &found.path())) });
            } else if found.path().is_dir() {
                entries.push(Entry { image: Image::load(&found.path()), name });
            }
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// The image of that name.
    ///
    /// # Errors
    /// [`Usage`] for a name that no image has, [`SetupMissing`] if there are no images at all, otherwise what is wrong
    /// with the image or the folder.
    pub fn find(&self, name: &str) -> Result<Image> {
        check_name(name)?;
        let folder = self.folder.join(name);
        if folder.is_dir() {
            return Image::load(&folder);
        }
        let draft = self.draft_folder(name);
        if draft.is_dir() {
            return Err(half_made(name, &draft));
        }
        Err(self.unknown(name))
    }

    /// Begins an image of that name.
    ///
    /// # Errors
    /// [`Usage`] if there is one already, or another run of the rig makes one.
    pub fn begin(&self, name: &str) -> Result<Draft> {
        check_name(name)?;
        let sealed = self.folder.join(name);
        if sealed.exists() {
            let what = format!("there is an image {name} already, in {}", sealed.display());
            return Err(
                Usage(format!("{what}: `cargo rig image remove {name}` first, or choose a --name")).into()
            );
        }
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create the folder of images, {}", self.folder.display()))?;
        let path = self.draft_folder(name);
        if path.exists() {
            if in_the_making(&path) {
                return Err(Usage(format!("another run of the rig makes {name}")).into());
            }
            remove(&path)?;
        }
        let folder = Folder::at(&path)?;
        let lock = File::create(path.join(LOCK)).context("the draft's lock")?;
        lock.try_lock().with_context(|| format!("another run of the rig makes {name}"))?;
        Ok(Draft { name: name.to_owned(), sealed, folder, lock })
    }

    /// Removes the image of that name, or what has been left of a half-made one.
    ///
    /// # Errors
    /// [`Usage`] for a name that nothing has, for a folder with other things in it, and for an image in the making.
    pub fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let [image, draft] = [self.folder.join(name), self.draft_folder(name)];
        if !image.is_dir() && !draft.is_dir() {
            return Err(self.unknown(name));
        }
        if in_the_making(&draft) {
            return Err(Usage(format!("another run of the rig makes {name}: end that first")).into());
        }
        for folder in [image, draft] {
            if folder.is_dir() {
                remove(&folder)?;
            }
        }
        Ok(())
    }

    fn draft_folder(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{DRAFT}"))
    }

    fn unknown(&self, name: &str) -> anyhow::Error {
        let names: Vec<_> = match self.list() {
            Ok(entries) => entries.into_iter().map(|entry| entry.name).collect(),
            Err(error) => return error,
        };
        let place = self.folder.display();
        if names.is_empty() {
            SetupMissing::new(
                format!("image {name} (none is in {place})"),
                "cargo rig image windows --iso FILE",
            )
            .into()
        } else {
            Usage(format!("no image {name} in {place}: there are {}", names.join(", "))).into()
        }
    }
}

/// A sealed image.
#[derive(Debug)]
pub struct Image {
    folder: PathBuf,
    manifest: Manifest,
}

impl Image {
    /// The image in a folder. Looks at the manifest and at the files' sizes; [`Image::verify`] looks at every byte.
    ///
    /// # Errors
    /// What is wrong with it, with its folder.
    pub fn load(folder: &Path) -> Result<Self> {
        let load = || -> Result<Self> {
            let path = folder.join(MANIFEST);
            let text = match fs::read(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => bail!("it has no {MANIFEST}"),
                text => text.context(MANIFEST)?,
            };
            let manifest = Manifest::parse(&text)?;
            if folder.file_name() != Some(OsStr::new(&manifest.name)) {
                bail!("its {MANIFEST} is that of {}", manifest.name);
            }
            let image = Self { folder: folder.to_path_buf(), manifest };
            for (name, file) in image.files() {
                let size = fs::metadata(folder.join(name)).with_context(|| name.to_owned())?.len();
                if size != file.size {
                    bail!("{name} has {size} bytes, and had {} when it was sealed", file.size);
                }
            }
            Ok(image)
        };
        load().with_context(|| format!("the image in {} is damaged", folder.display()))
    }

    /// Hashes every file and compares.
    ///
    /// # Errors
    /// What differs from the image as it was sealed.
    pub fn verify(&self, progress: Progress<'_>) -> Result<()> {
        for (name, file) in self.files() {
            let path = self.folder.join(name);
            if sha256(&path, progress)? != file.sha256 {
                bail!("{} is not what was sealed: its SHA-256 differs", path.display());
            }
            if fs::metadata(&path)?.permissions().mode() & 0o222 != 0 {
                bail!("{} can be written: chmod a-w it", path.display());
            }
        }
        check_disk(&self.disk())
    }

    /// What it is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its disk, not to be written.
    pub fn disk(&self) -> PathBuf {
        self.folder.join(DISK)
    }

    /// The firmware's variables, not to be written.
    pub fn vars(&self) -> PathBuf {
        self.folder.join(VARS)
    }

    fn files(&self) -> [(&'static str, &SealedFile); 2] {
        [(DISK, &self.manifest.disk), (VARS, &self.manifest.vars)]
    }
}

/// An image in the making. Unless it is sealed, nothing is left of it.
#[derive(Debug)]
pub struct Draft {
    name: String,
    sealed: PathBuf,
    folder: Folder,
    /// Held while the draft is.
    lock: File,
}

impl Draft {
    /// Where its disk has to be written, as qcow2.
    pub fn disk(&self) -> PathBuf {
        self.folder.path().join(DISK)
    }

    /// Where the firmware's variables have to be written.
    pub fn vars(&self) -> PathBuf {
        self.folder.path().join(VARS)
    }

    /// Where a file can be put that is only needed for the making.
    ///
    /// # Errors
    /// If the folder for them cannot be made.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(SCRATCH);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder.join(name))
    }

    /// Makes an image of it. Nothing may have its files open for writing any more.
    ///
    /// # Errors
    /// If the disk is no complete qcow2 image, or a file cannot be read or written.
    pub fn seal(self, description: Description, progress: Progress<'_>) -> Result<Image> {
        let Self { name, sealed, folder, lock } = self;
        let [disk, vars] = [DISK, VARS].map(|name| folder.path().join(name));
        check_disk(&disk)?;
        let manifest = Manifest::new(name, description, seal(&disk, progress)?, seal(&vars, progress)?);
        let path = folder.path().join(MANIFEST);
        fs::write(&path, manifest.to_json()?).with_context(|| format!("writing {}", path.display()))?;
        read_only(&path)?;
        for file in [&disk, &vars, &path] {
            File::open(file)?.sync_all().with_context(|| format!("{}", file.display()))?;
        }
        let scratch = folder.path().join(SCRATCH);
        if scratch.exists() {
            fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))?;
        }
        fs::remove_file(folder.path().join(LOCK)).context("the draft's lock")?;
        drop(lock);
        fs::rename(folder.path(), &sealed).with_context(|| format!("cannot make {}", sealed.display()))?;
        drop(folder);
        Image::load(&sealed)
    }
}

/// Hash and size of a file from now on not to be written.
fn seal(path: &Path, progress: Progress<'_>) -> Result<SealedFile> {
    read_only(path)?;
    let size = fs::metadata(path)?.len();
    Ok(SealedFile { sha256: sha256(path, progress)?, size })
}

fn read_only(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o444))
        .with_context(|| format!("{}", path.display()))
}

/// SHA-256 of a file, in lower-case hexadecimal.
///
/// # Errors
/// If it cannot be read.
pub fn sha256(path: &Path, progress: Progress<'_>) -> Result<String> {
    let mut hash = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        let (mut hash, mut done, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(hex::encode(hash.finalize())),
                read => {
                    hash.update(&chunk[..read]);
                    done += read as u64;
                    progress(done, size);
                }
            }
        }
    };
    hash().with_context(|| format!("reading {}", path.display()))
}

/// Whether a disk is qcow2, complete in itself and properly closed (QEMU's docs/interop/qcow2).
fn check_disk(path: &Path) -> Result<()> {
    let mut header = [0; 80];
    let mut file = File::open(path).with_context(|| format!("{}", path.display()))?;
    file.read_exact(&mut header).with_context(|| format!("{} is no qcow2 image", path.display()))?;
    let field = |at: usize| header[at..at + 8].iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    if &header[..4] != b"QFI\xfb" {
        bail!("{} is no qcow2 image", path.display());
    }
    // byte 8: where the name of a backing file stands; byte 72 from version 3 on: incompatible features
    let (version, backing, features) = (field(0) & 0xffff_ffff, field(8), field(72));
    if backing != 0 {
        bail!("{} is only an overlay on another disk", path.display());
    }
    if version >= 3 && features & 0b11 != 0 {
        bail!("{} has not been closed properly, or is corrupt", path.display());
    }
    Ok(())
}

/// Names are those of folders, and never hidden.
fn check_name(name: &str) -> Result<(), Usage> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if begins && name.len() <= LONGEST_NAME && name.bytes().all(good) && !name.ends_with(DRAFT) {
        return Ok(());
    }
    Err(Usage(format!(
        "`{name}` is no name of an image: small letters, digits, `-`, `_` and `.`, at most {LONGEST_NAME}"
    )))
}

fn half_made(name: &str, draft: &Path) -> anyhow::Error {
    if in_the_making(draft) {
        anyhow::anyhow!("image {name} is being made by another run of the rig")
    } else {
        anyhow::anyhow!("image {name} was only half made: `cargo rig image remove {name}`")
    }
}

/// Whether somebody holds the lock of a draft.
fn in_the_making(draft: &Path) -> bool {
    let Ok(lock) = File::open(draft.join(LOCK)) else { return false };
    matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
}

/// Removes the folder of an image, with nothing else in it.
fn remove(folder: &Path) -> Result<()> {
    let context = || format!("removing {}", folder.display());
    let found: Vec<_> =
        fs::read_dir(folder).and_then(Iterator::collect::<Result<_, _>>).with_context(context)?;
    let ours = [DISK, VARS, MANIFEST, SCRATCH, LOCK];
    if let Some(other) =
        found.iter().map(fs::DirEntry::file_name).find(|name| !ours.iter().any(|our| name == our))
    {
        let what = format!("{} holds {}, which is no part of an image", folder.display(), other.display());
        return Err(Usage(format!("{what}: nothing is removed")).into());
    }
    fs::remove_dir_all(folder).with_context(context)
}
