//! `cargo rig debug --guest windows --image`: an image is started for a debugger, which finds its way in, and its agent turns
//! the driver's watchdog off.

use crate::build;
use crate::image::stand_in;
use anyhow::{Context, Result, bail, ensure};
use lab::base::folder::Folder;
use lab::base::places;
use lab::base::process::Process;
use lab::base::wait::{LIMIT, Limits, Look, PERIOD, follow};
use lab::machine::store::Store;
use lab::machine::store::manifest::{Description, ImageKind, Machine};
use scenarios::{Scenario, Trial, command};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

const EMPTY: &str = "empty";
const STAND_IN: &str = "stand-in";
const HELD: &str = "the wire gate of tx0 is held";
const OPEN: &str = "the wire gate of tx0 is open";

/// An image with an empty disk: the firmware finds nothing to start, and says so on COM1.
fn empty_image(store: &Path) -> Result<()> {
    let draft = Store::open(Some(store))?.begin(EMPTY)?;
    let mut create = Command::new(places::qemu_img()?);
    let made = create.args(["create", "-q", "-f", "qcow2"]).arg(draft.disk()).arg("64M").status()?;
    ensure!(made.success(), "qemu-img makes no disk: {made}");
    std::fs::copy(places::ovmf()?.vars, draft.vars())?;
    let nothing = || "none".to_owned();
    let description = Description {
        guest: ImageKind::StandIn,
        release: nothing(),
        edition: nothing(),
        build: nothing(),
        iso_sha256: None,
        drivers: Vec::new(),
        agent: None,
        settings: Machine { memory_mb: 512, cpus: 1, accel: "tcg".into() },
    };
    draft.seal(description, &mut |_, _| ()).map(drop)
}

/// A port that nobody has, by the system's word.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The command in use.
struct Use {
    process: Process,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    seen: String,
    /// Its outputs, which stay as evidence.
    kept: PathBuf,
}

impl Use {
    fn start(
        trial: &Trial,
        store: &Path,
        temporary: &Path,
        image: &str,
        way: &str,
        at: SocketAddr,
    ) -> Result<Self> {
        let kept = trial.evidence.claim();
        std::fs::create_dir_all(&kept)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["debug", "--guest", "windows", "--image", image, way, &at.to_string()])
            .env("CANCELNIC_IMAGES", store)
            .env("TMPDIR", temporary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start_rig(command, kept.join("errors.txt"))?;
        let input = process.take_stdin();
        let output = BufReader::new(process.take_stdout().context("piped above")?);
        Ok(Self { process, input, output, seen: String::new(), kept })
    }

    /// Reads on to a line with `what`.
    fn says(&mut self, what: &str) -> Result<()> {
        loop {
            let from = self.seen.len();
            if self.output.read_line(&mut self.seen)? == 0 {
                bail!("it ended, and never said `{what}`:\n{}", self.seen);
            }
            if self.seen[from..].contains(what) {
                return Ok(());
            }
        }
    }

    fn enter(&mut self) -> Result<()> {
        self.input.as_mut().context("the input is open")?.write_all(b"\n").context("the command's input")
    }

    /// Opens and holds the wire, then ends the input, and with it the machine.
    fn end(mut self, temporary: &Path) -> Result<()> {
        self.enter()?;
        self.says(OPEN)?;
        self.enter()?;
        self.says(HELD)?;
        self.input = None;
        let status = self.process.wait_for_end()?;
        ensure!(status.success(), "it ended with {status}");
        let left = std::fs::read_dir(temporary)?.count();
        ensure!(left == 0, "{left} files are left in its temporary folder");
        Ok(())
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let _ = std::fs::write(self.kept.join("output.txt"), &self.seen);
    }
}

/// Waits for `wanted` from a debugger's connection, as long as something new comes.
fn hears(stream: &mut TcpStream, wanted: &str) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(250)))?;
    let mut heard = Vec::new();
    let mut piece = [0; 512];
    let what = format!("`{wanted}` on the debugger's connection");
    follow(&what, Limits::of(3 * LIMIT), PERIOD, || {
        match stream.read(&mut piece) {
            Ok(0) => bail!("the connection ended after {:?}", String::from_utf8_lossy(&heard)),
            Ok(length) => heard.extend_from_slice(&piece[..length]),
            // Nothing came meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error).with_context(|| format!("waiting for {what}")),
        }
        let text = String::from_utf8_lossy(&heard);
        Ok(if text.contains(wanted) { Look::Found(()) } else { Look::NotYet(format!("{text:?}")) })
    })
}

fn boots_for_a_debugger(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let [store, temporary] = ["images", "t"].map(|name| folder.path().join(name));
    std::fs::create_dir(&temporary)?;
    empty_image(&store)?;
    let settings = trial.settings();
    stand_in::write(
        &Store::open(Some(&store))?,
        STAND_IN,
        ImageKind::StandIn,
        &build::loader()?,
        &trial.built,
        &settings,
    )?;

    // COM1 is the debugger's: what the firmware writes there comes to it.
    let at = free_address()?;
    let mut serial = Use::start(trial, &store, &temporary, STAND_IN, "--serial", at)?;
    serial.says(&format!("-k com:ipport={},port=127.0.0.1", at.port()))?;
    serial.says(HELD)?;
    let mut stream = TcpStream::connect(at)?;
    hears(&mut stream, "BdsDxe")?;
    serial.says("the driver's watchdog is off from its next load on")?;
    serial.end(&temporary)?;

    // QEMU's gdb server stops the machine for whoever connects, and says so.
    let at = free_address()?;
    let mut gdb = Use::start(trial, &store, &temporary, EMPTY, "--gdb", at)?;
    gdb.says("-kx exdi:")?;
    gdb.says(HELD)?;
    stream = TcpStream::connect(at)?;
    stream.write_all(b"$?#3f")?;
    hears(&mut stream, "$T")?;
    gdb.end(&temporary)
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![command(
        "debug-boots-an-image-for-windbg",
        "an image is started for a debugger: KD over COM1, then gdb's protocol for EXDI",
        boots_for_a_debugger,
    )]
}
