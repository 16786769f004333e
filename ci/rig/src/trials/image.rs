//! `cargo rig image windows` from an ISO to a sealed image, without Windows: a program of ours plays Setup.
//!
//! The medium is built as Microsoft's are: two EFI boot images, of which El Torito names the one that asks for a key.
//! Firmware, drives, monitor and COM1 are those of a real installation.

use crate::build;
use crate::fat::{BOOT_PROGRAM, volume};
use crate::image::install::{self, Order};
use crate::image::progress::Progress;
use anyhow::{Context, Result, bail, ensure};
use lab::base::failure::{INTERRUPTED, one_line};
use lab::base::folder::Folder;
use lab::base::process::Process;
use lab::machine::Accelerator;
use lab::machine::store::Store;
use rustix::process::{Signal, kill_process};
use scenarios::{Scenario, Trial, command};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use windows_setup::{Answers, Edition, Udf, Wim};

/// By wimlib; image 1 is an evaluation of Server 2022.
const WIM: &[u8] = include_bytes!("../../../../guest-images/windows/setup/tests/data/install.wim");
/// Size of a boot image: some more than Microsoft's.
const BOOT_IMAGE: usize = 2 << 20;
/// Limits that fit a program which needs seconds where Windows needs minutes.
const PATIENCE: f64 = 0.5;
/// Limits that are soon reached.
const LITTLE_PATIENCE: f64 = 0.2;
const NAME: &str = "stand-in-setup";

/// What makes a test medium. Where the judges are asked for, the scenario runs and reports which is missing.
fn genisoimage() -> Option<&'static str> {
    let is_there = || {
        let version = Command::new("genisoimage").arg("--version").stdin(Stdio::null()).output();
        version.is_ok_and(|version| version.status.success())
    };
    (std::env::var_os("CANCELNIC_JUDGES").is_none() && !is_there())
        .then_some("genisoimage is not installed (ci/judges gets it)")
}

/// A medium whose boot image that does not ask holds this variant of the program.
fn medium(folder: &Path, variant: &str) -> Result<PathBuf> {
    let program = build::setup_stand_in()?;
    let program = fs::read(program.path)?;
    let (tree, iso) = (folder.join("tree"), folder.join("medium.iso"));
    let boot = tree.join("efi/microsoft/boot");
    fs::create_dir_all(&boot)?;
    fs::create_dir_all(tree.join("sources"))?;
    fs::write(tree.join("sources/install.wim"), WIM)?;
    for (name, variant) in [("efisys.bin", "asks"), ("efisys_noprompt.bin", variant)] {
        let image = volume(BOOT_IMAGE, &[(BOOT_PROGRAM, &program), ("variant", variant.as_bytes())])?;
        fs::write(boot.join(name), image)?;
    }
    let mut make = Command::new("genisoimage");
    make.args(["-quiet", "-udf", "-R", "-eltorito-alt-boot", "-e", "efi/microsoft/boot/efisys.bin"]);
    let made = make.args(["-no-emul-boot", "-o"]).args([&iso, &tree]).output().context("genisoimage")?;
    ensure!(made.status.success(), "genisoimage: {}", String::from_utf8_lossy(&made.stderr));
    Ok(iso)
}

/// An attempt to install.
struct Attempt {
    store: Store,
    iso: PathBuf,
    wreck: PathBuf,
    /// Held: it is the place of all the others.
    _folder: Folder,
}

impl Attempt {
    fn new(trial: &Trial, variant: &str) -> Result<Self> {
        let folder = trial.folder()?;
        let iso = medium(folder.path(), variant)?;
        let store = Store::open(Some(&folder.path().join("images")))?;
        Ok(Self { wreck: folder.path().join("wreck"), store, iso, _folder: folder })
    }

    /// Installs as `cargo rig image windows` does; the lines that the user is told.
    fn install(&self, patience: f64) -> Result<Vec<String>> {
        let wim = Wim::read(&mut Udf::open(File::open(&self.iso)?)?)?;
        let image = wim.images.first().context("the medium has no image")?;
        let edition = Edition::of(image, None)?;
        let order = Order {
            iso: self.iso.clone(),
            answers: Answers { edition, password: "Cancelnic-1".into() },
            name: NAME.into(),
            disk: 256 << 20,
            memory_mb: 512,
            accelerator: Accelerator::chosen_or("tcg"),
            patience,
            wreck: self.wreck.clone(),
        };
        let files = vec![("cancelnic.sys".to_owned(), b"a driver".to_vec())];
        let mut progress = Progress::kept();
        install::prepare(order, &self.store)?.install(files, &mut progress)?;
        Ok(progress.into_lines())
    }

    /// Why it could not be installed. Nothing may be left of it.
    fn refused(&self, patience: f64) -> Result<String> {
        let Err(error) = self.install(patience) else { bail!("it was installed") };
        let left: Vec<_> = fs::read_dir(self.store.folder())?.collect();
        ensure!(left.is_empty(), "{left:?} is left");
        Ok(one_line(&error))
    }
}

/// From the ISO to an image that is listed and verified. Setup never asked for a key.
fn installed(trial: &Trial) -> Result<()> {
    let attempt = Attempt::new(trial, "installs")?;
    let lines = attempt.install(PATIENCE)?;
    for wanted in
        ["starting the medium", "Setup in Windows PE", "specialize", "first logon", "drivers", "powering off"]
    {
        ensure!(lines.iter().any(|line| line.contains(wanted)), "no `{wanted}` in {lines:#?}");
    }
    let listed = attempt.store.list()?;
    ensure!(listed.len() == 1 && listed.iter().all(|entry| entry.image.is_ok()), "{listed:?}");
    let image = attempt.store.find(NAME)?;
    image.verify(&mut |_, _| ())?;
    let described = &image.manifest().description;
    ensure!(described.iso_sha256 == Some(hex::encode(Sha256::digest(fs::read(&attempt.iso)?))));
    ensure!(described.build == "20348.587" && described.edition == "ServerStandardEval", "{described:?}");
    ensure!(described.drivers.len() == 1 && described.drivers[0].file == "cancelnic.sys", "{described:?}");
    // the filling of the stand-in: the disk is the one that the guest wrote
    ensure!(fs::metadata(image.disk())?.len() > 96 << 20, "the sealed disk holds too little");
    Ok(())
}

/// Setup that stands still ends with its phase and a picture of its screen.
fn stalled(trial: &Trial) -> Result<()> {
    let attempt = Attempt::new(trial, "silent")?;
    let why = attempt.refused(LITTLE_PATIENCE)?;
    for wanted in
        ["stands still", "no use of the drives", "Setup in Windows PE", "usually takes", "screen.png"]
    {
        ensure!(why.contains(wanted), "no `{wanted}` in {why}");
    }
    let picture = fs::read(attempt.wreck.join("screen.png"))?;
    ensure!(
        picture.starts_with(b"\x89PNG\r\n\x1a\n") && picture.len() > 1000,
        "no picture: {} bytes",
        picture.len()
    );
    Ok(())
}

/// A guest that reports a failed step ends it at once.
fn failed(trial: &Trial) -> Result<()> {
    let attempt = Attempt::new(trial, "fails")?;
    let why = attempt.refused(PATIENCE)?;
    ensure!(why.contains("the guest reports that this failed: drivers: exit code 5"), "{why}");
    let log = fs::read_to_string(attempt.wreck.join("guest.log"))?;
    ensure!(log.contains("cancelnic-setup: step drivers"), "{log}");
    Ok(())
}

/// Ctrl-C within an installation leaves neither files nor processes.
fn interrupted(trial: &Trial) -> Result<()> {
    // Built here, not by the command: binutils' dlltool leaves files of its own in a folder for temporary files.
    build::build_agent(&build::Options::default())?;
    let folder = trial.folder()?;
    let iso = medium(folder.path(), "silent")?;
    let [images, temporary, errors] = ["images", "t", "errors.txt"].map(|name| folder.path().join(name));
    fs::create_dir(&temporary)?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["image", "windows", "--index", "1", "--accept-eula", "--memory", "2048", "--iso"])
        .arg(&iso)
        .arg("--out")
        .arg(&images)
        .env("TMPDIR", &temporary)
        .env("CANCELNIC_ACCEL", Accelerator::chosen_or("tcg").name())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut process = Process::start_rig(command, errors.clone())?;
    let output = BufReader::new(process.take_stdout().context("piped above")?);
    // The machine runs then. Without the line the command has ended. It may say more: the pipe stays open.
    let mut lines = output.lines().map_while(Result::ok);
    let began = lines.any(|line| line.contains("starting the medium"));
    if began {
        for folder in [&images, &temporary] {
            let made = fs::read_dir(folder)?.next();
            ensure!(made.is_some(), "nothing is in {} that an interruption could leave", folder.display());
        }
        kill_process(process.pid(), Signal::INT)?;
    }
    let status = process.wait_for_end()?;
    let said = fs::read_to_string(&errors)?;
    ensure!(began && status.code() == Some(INTERRUPTED.into()), "{status}: {said}");
    for folder in [images, temporary] {
        let left: Vec<_> = fs::read_dir(&folder)?.collect();
        ensure!(left.is_empty(), "{left:?} is left in {}", folder.display());
    }
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        command(
            "image-is-installed-sealed-and-verified",
            "from an ISO to a sealed image that is listed and verified, with a stand-in for Setup",
            installed,
        )
        .tool(genisoimage),
        command(
            "image-stall-ends-with-a-picture-of-the-screen",
            "an installation that stands still ends with its phase and a picture of the screen",
            stalled,
        )
        .tool(genisoimage),
        command(
            "image-failed-step-ends-the-installation",
            "a guest that reports a failed step of its installation ends it at once",
            failed,
        )
        .tool(genisoimage),
        command(
            "image-interrupted-leaves-nothing",
            "Ctrl-C in an installation leaves no file and no process",
            interrupted,
        )
        .tool(genisoimage),
    ]
}
