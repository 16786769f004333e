//! An installation from start to end: a machine with an empty disk, the user's medium and the disc with the answers,
//! followed by what its guest reports, and sealed when the guest has powered itself off.
//!
//! 1. [`prepare`] refuses what cannot work, before anything is written.
//! 2. [`Prepared::install`] copies the medium without its key prompt, hashing it, and writes the disc with the answers.
//! 3. It starts the machine and follows it ([`follow::Follower`]) until there is a verdict.
//! 4. It seals the disk, or says what went wrong, with a picture of the guest's screen. Nothing else is left then.

mod follow;
mod host;
mod machine;
mod order;

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};
use windows_setup::AGENT;

use super::progress::Progress;
use crate::package;
use lab::base::failure::Usage;
use lab::base::places::{self, Firmware};
use lab::machine::store::manifest::{Description, DriverFile, ImageKind, Machine};
use lab::machine::store::{Draft, Image, Store};
pub(crate) use order::Order;

/// Bytes copied at a time.
const CHUNK: usize = 4 << 20;

/// An order that can be carried out here.
#[derive(Debug)]
pub(crate) struct Prepared {
    order: Order,
    draft: Draft,
    emulator: PathBuf,
    qemu_img: PathBuf,
    firmware: Firmware,
}

/// Looks whether this host can carry out the order, and begins the image.
///
/// # Errors
/// One line that says what is in the way.
pub(crate) fn prepare(order: Order, store: &Store) -> Result<Prepared> {
    order.accelerator.check()?;
    let (emulator, qemu_img, firmware) = (places::qemu()?, places::qemu_img()?, places::ovmf()?);
    let iso = fs::metadata(&order.iso).with_context(|| format!("{}", order.iso.display()))?.len();
    let image = order.answers.edition.image.size;
    if order.disk < image {
        let wanted = host::gigabytes(image);
        return Err(
            Usage(format!("a disk of {} has no room for {wanted}", host::gigabytes(order.disk))).into()
        );
    }
    host::require_memory(order.memory_mb << 20)?;
    // Beside its image Windows writes a page file, logs and components: half as much again.
    host::require_space(store.folder(), iso + order.disk.min(image + image / 2))?;
    let draft = store.begin(&order.name)?;
    Ok(Prepared { order, draft, emulator, qemu_img, firmware })
}

impl Prepared {
    /// Installs, with these files on the disc beside the answers.
    ///
    /// # Errors
    /// What went wrong; nothing is left of the image then.
    pub(crate) fn install(self, files: package::Files, progress: &mut Progress) -> Result<Image> {
        let Self { order, draft, emulator, qemu_img, firmware } = self;
        let medium = draft.scratch("medium.iso")?;
        let iso_sha256 = copy(&order.iso, &medium, progress)?;
        let on_disc = File::options().read(true).write(true).open(&medium)?;
        windows_setup::skip_key_prompt(on_disc)
            .map_err(|fault| Usage(format!("{}: {fault}", order.iso.display())))?;
        let description = describe(&order, iso_sha256, &files);
        let disc = draft.scratch("answers.iso")?;
        let bytes =
            windows_setup::disc(&order.answers, files).context("writing the disc with the answers")?;
        fs::write(&disc, bytes).with_context(|| format!("writing {}", disc.display()))?;
        make_disk(&qemu_img, &draft.disk(), order.disk)?;
        fs::copy(&firmware.vars, draft.vars()).context("copying the firmware's variables")?;
        machine::run(
            &machine::Installation {
                emulator: &emulator,
                firmware: &firmware,
                draft: &draft,
                discs: &[medium, disc],
                order: &order,
            },
            progress,
        )?;
        progress.line("sealing");
        let image =
            draft.seal(description, &mut |done, all| progress.bytes("hashing the disk", done, all))?;
        progress.clear();
        Ok(image)
    }
}

/// What the image will say of itself.
fn describe(order: &Order, iso_sha256: String, files: &package::Files) -> Description {
    let edition = &order.answers.edition;
    let drivers =
        files.iter().filter(|(name, _)| [".sys", ".inf", ".cat"].iter().any(|end| name.ends_with(end)));
    let has_agent = files.iter().any(|(name, _)| name == AGENT);
    Description {
        guest: ImageKind::Windows,
        release: edition.release.to_string(),
        edition: edition.image.edition.clone(),
        build: format!("{}.{}", edition.image.build, edition.image.revision),
        iso_sha256: Some(iso_sha256),
        drivers: drivers
            .map(|(name, bytes)| DriverFile {
                file: name.clone(),
                sha256: hex::encode(Sha256::digest(bytes)),
            })
            .collect(),
        agent: has_agent.then(|| env!("CARGO_PKG_VERSION").to_owned()),
        settings: Machine {
            memory_mb: order.memory_mb,
            cpus: lab::machine::Windows::PROCESSORS,
            accel: order.accelerator.name().to_owned(),
        },
    }
}

/// Copies the ISO; its SHA-256.
fn copy(from: &Path, to: &Path, progress: &mut Progress) -> Result<String> {
    let copy = || -> std::io::Result<String> {
        let (mut source, mut copy) = (File::open(from)?, File::create(to)?);
        let size = source.metadata()?.len();
        let (mut hash, mut done, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK]);
        loop {
            let read = source.read(&mut chunk)?;
            if read == 0 {
                return Ok(hex::encode(hash.finalize()));
            }
            copy.write_all(&chunk[..read])?;
            hash.update(&chunk[..read]);
            done += read as u64;
            progress.bytes("copying and hashing the ISO", done, size);
        }
    };
    copy().with_context(|| format!("copying {} to {}", from.display(), to.display()))
}

/// An empty qcow2 disk.
fn make_disk(qemu_img: &Path, path: &Path, size: u64) -> Result<()> {
    let mut command = Command::new(qemu_img);
    command.args(["create", "-q", "-f", "qcow2"]).arg(path).arg(size.to_string());
    let made = command.stdin(Stdio::null()).output().context("cannot start qemu-img")?;
    if !made.status.success() {
        bail!("qemu-img makes no disk: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    Ok(())
}
