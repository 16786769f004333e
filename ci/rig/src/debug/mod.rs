//! `cargo rig debug`: the machine stopped in the driver's Cancel callback, under gdb, with symbols.
//!
//! The rig loads the driver, holds the wire, hands frames over, then stops the machine and asks for a pause: the
//! request waits in the serial port until gdb, attached with a break point on the callback, lets the machine go on.

mod boot;
mod link;
pub(crate) mod snapshot;
mod symbols;
mod types;

use crate::build;
use crate::kdnet;
use anyhow::{Context, Result, bail, ensure};
use boot::ALL_DAY;
use clap::{Args, ValueEnum};
use lab::base::failure::{SetupMissing, Usage};
use lab::base::files::{Files, NIC};
use lab::base::left;
use lab::base::process::Process;
use lab::base::wait::LIMIT;
use lab::base::workspace::Workspace;
use lab::base::{places, workspace};
use lab::facts::Step;
use lab::facts::reports::sizes;
use lab::guest::symbols::images;
use lab::guests::understudy;
use lab::machine::names;
use lab::machine::store::Store;
use lab::report::table::{self, Style};
use lab::run::{Pausing, Run, StepEvent, TX, WIRE};
use lab::settings::Settings;
use link::Link;
use std::fmt::Write;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use symbols::Function;

/// The callback at which the machine stops.
const CALLBACK: &str = "cancelnic::queue::tx_cancel";
const FRAMES: u32 = 64;

/// What can be debugged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Debugged {
    /// The stand-in kernel, under gdb
    Understudy,
    /// Windows, under WinDbg over kdnet
    Windows,
}

/// What `cargo rig debug` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo rig debug                                    gdb, in the Cancel callback\n  \
    cargo rig debug --check                            the same as a test\n  \
    cargo rig debug --guest windows                    commands for WinDbg\n  \
    cargo rig debug --guest windows --check --key KEY  does the target call?\n  \
    cargo rig debug --guest windows --image win11      start an image for WinDbg")]
pub(crate) struct Options {
    /// The guest to debug; `windows` is an image, or a machine of your own
    #[arg(long, value_enum, default_value_t = Debugged::Understudy)]
    guest: Debugged,
    /// Understudy: run gdb in batch mode and check that it stops in the callback. Windows: listen in the debugger's
    /// place and report whether the target calls, whether its key is right, and how to fix it if not
    #[arg(long)]
    check: bool,
    /// Seed for everything that the guest may vary
    #[arg(long, default_value_t = 1, help_heading = "Understudy")]
    seed: u64,
    #[command(flatten, next_help_heading = "Windows, over kdnet")]
    kdnet: kdnet::Options,
    /// Use KD over COM1 instead of kdnet; QEMU offers COM1 at this address
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:50001", help_heading = OTHER_LINK)]
    #[arg(conflicts_with_all = ["check", "gdb"])]
    serial: Option<SocketAddr>,
    /// Use WinDbg's EXDI instead of kdnet; QEMU offers its gdb server at this address
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:1234", help_heading = OTHER_LINK)]
    #[arg(conflicts_with = "check")]
    gdb: Option<SocketAddr>,
    /// Start this image, set up for the debugger, and hold the wire until Enter is pressed
    #[arg(long, value_name = "NAME", conflicts_with = "check", help_heading = IMAGE)]
    image: Option<String>,
    /// Folder of the images [default: $CANCELNIC_IMAGES, else cancelnic/images in the user's data folder]
    #[arg(long, value_name = "DIR", requires = "image", help_heading = IMAGE)]
    images: Option<PathBuf>,
    /// Offer the image's screen by VNC at this address, a port from 5900 on
    #[arg(long, value_name = "ADDRESS", requires = "image", num_args = 0..=1, help_heading = IMAGE)]
    #[arg(default_missing_value = "127.0.0.1:5900")]
    screen: Option<SocketAddr>,
}

/// Headings of the help.
const OTHER_LINK: &str = "Windows, without kdnet";
const IMAGE: &str = "Windows, from an image";

impl Options {
    /// Whether an option is given that concerns a debugger of Windows alone.
    fn concern_windows(&self) -> bool {
        self.kdnet.are_given() || self.serial.is_some() || self.gdb.is_some() || self.image.is_some()
    }
}

/// Whether gdb can be started.
pub(crate) fn gdb_is_there() -> bool {
    let version = Command::new("gdb").arg("--version").stdin(Stdio::null()).output();
    version.is_ok_and(|version| version.status.success())
}

/// Debugs; `true` if the run ended well.
pub(crate) fn debug(options: &Options) -> Result<bool> {
    match options.guest {
        Debugged::Windows => {
            let symbols = Workspace::find()?.out().join("cancelnic.pdb");
            if options.check {
                return kdnet::check(&options.kdnet, &symbols);
            }
            let link = Link::chosen(options.serial, options.gdb, &options.kdnet)?;
            // Before a line is printed: is there such an image?
            let image =
                options.image.as_deref().map(|name| Store::open(options.images.as_deref())?.find(name));
            let image = image.transpose()?;
            let (sheet, place) = match link {
                Some(link) => (link.sheet(options.kdnet.symbols(), &symbols), None),
                None => kdnet::sheet(&options.kdnet, &symbols)?,
            };
            if image.is_some() && link.is_none() && place.is_none() {
                let error = "--busparams: an image's adapter for kdnet is on bus 0, such as 0.2.0";
                return Err(Usage(error.into()).into());
            }
            print!("{sheet}");
            if let Some(image) = &image {
                return boot::boot(image, link, place, options.screen);
            }
            return Ok(true);
        }
        Debugged::Understudy if options.concern_windows() => {
            let error = "--port, --key, --host-ip, --busparams, --symbols, --serial, --gdb, --image and --images are \
                         for --guest windows";
            return Err(Usage(error.into()).into());
        }
        Debugged::Understudy => {}
    }
    places::qemu()?;
    if options.check && !gdb_is_there() {
        return Err(SetupMissing::new("gdb", "apt-get install gdb").into());
    }
    let files = Files::shipped(&build::build(build::Options::default())?);
    if options.check {
        let style = Style::of_stdout();
        let mut settings = Settings::new(files);
        settings.kernel.seed = options.seed;
        let told = check(settings, move |step| println!("{}", table::step_line(step, style)))?;
        println!("\ngdb said:\n{told}");
        return Ok(true);
    }
    with_a_person(files, options.seed)
}

/// The machine, stopped before the cancel, with all that gdb needs.
struct Stopped {
    run: Run,
    pausing: Pausing,
    script: PathBuf,
    /// File and line of the callback.
    line: String,
}

fn stop(mut settings: Settings, mut watcher: impl FnMut(&Step) + 'static) -> Result<Stopped> {
    settings.gdb = true;
    // The machine stands still at a break point; the watchdog must not take that for a hang.
    settings.kernel.parameters.insert("WatchdogMs", 0);
    let mut files = settings.files.clone();
    let told = move |event: StepEvent<'_>| {
        if let StepEvent::Ends(step) = event {
            watcher(step);
        }
    };
    let mut run = Run::start(settings, understudy(), None, Box::new(told))?;
    run.load()?;
    // One completion first: a queue that never completed anything starts anew when the machine goes on.
    run.send(1)?;
    run.await_guest("one sent and received", |tx, rx| tx.sent.len() == 1 && rx.received.len() == 1)?;
    run.hold(WIRE)?;
    run.send(FRAMES)?;
    run.await_device(TX, "all on the hardware", |tx| tx.available + tx.fetched == u64::from(FRAMES))?;
    run.stop_machine()?;
    let pausing = run.begin_pause(1)?;

    let log = std::fs::read_to_string(run.session.guest_log()).context("cannot read the guest's log")?;
    let (base, size) = image(&log, NIC).context("the guest's log does not say where cancelnic.sys is")?;
    let pdb = files.driver(NIC)?.symbols.clone();
    let functions = symbols::functions(&pdb)?;
    let callback = functions
        .iter()
        .find(|function| function.name == CALLBACK)
        .with_context(|| format!("{} has no {CALLBACK}", pdb.display()))?;
    let entry = base + u64::from(callback.rva);
    let script = write_script(run.session.folder(), &files.kernel, base, size, &functions, entry)?;
    let line =
        callback.lines.first().with_context(|| format!("{} has no lines of {CALLBACK}", pdb.display()))?;
    let line = format!("{}:{}", line.file, line.line);
    Ok(Stopped { run, pausing, script, line })
}

/// Where the log says that a driver is: first address and size.
fn image(log: &str, driver: &str) -> Option<(u64, u64)> {
    let file = format!("{driver}.sys");
    images(log).into_iter().find(|image| image.file == file).map(|image| (image.base, image.size))
}

fn write_script(
    folder: &Path,
    kernel: &Path,
    base: u64,
    size: u64,
    functions: &[Function],
    entry: u64,
) -> Result<PathBuf> {
    let driver = folder.join("cancelnic.elf");
    std::fs::write(&driver, symbols::elf(functions, (base, size), &workspace::checkout()?)?)?;
    let mut script = String::new();
    for line in [
        "set pagination off".to_owned(),
        "set confirm off".to_owned(),
        // Without it, `quit` would end the machine.
        "define hook-quit\n  detach\nend".to_owned(),
        "set architecture i386:x86-64".to_owned(),
        format!("file {}", kernel.display()),
        format!("add-symbol-file {} {base:#x}", driver.display()),
        format!("target remote {}", folder.join(names::GDB).display()),
        // By address: a path with colons would have to be quoted differently by each version of gdb.
        format!("break *{entry:#x}"),
        "continue".to_owned(),
        "info symbol $pc".to_owned(),
        "info line *$pc".to_owned(),
        "backtrace 6".to_owned(),
    ] {
        writeln!(script, "{line}")?;
    }
    let path = folder.join("cancel.gdb");
    std::fs::write(&path, script)?;
    Ok(path)
}

/// Runs gdb without a person. What it said, if the callback was reached and the run ended well.
pub(crate) fn check(settings: Settings, watcher: impl FnMut(&Step) + 'static) -> Result<String> {
    let Stopped { mut run, pausing, script, line } = stop(settings, watcher)?;
    let told = run.step("gdb: break in the Cancel callback, go on", |run| {
        let said = run.session.folder().join("gdb.txt");
        let mut command = Command::new("gdb");
        command
            .args(["-nx", "-batch", "-x"])
            .arg(&script)
            .args(["-ex", "delete", "-ex", "detach"])
            .stdout(std::fs::File::create(&said)?);
        let mut gdb = Process::start("gdb", command, run.session.folder().join("gdb.log"))?;
        let ended = gdb.wait(LIMIT);
        let said = std::fs::read_to_string(&said)?;
        ensure!(ended.is_some_and(|status| status.success()), "{}; it said: {said}", gdb.epitaph());
        let hit = said.lines().find(|line| line.starts_with("Breakpoint 1, ") && line.contains(CALLBACK));
        let hit = hit.with_context(|| format!("gdb did not stop in {CALLBACK}; it said: {said}"))?.to_owned();
        ensure!(hit.ends_with(&format!(" at {line}")), "gdb stopped, and not at {line}; it said: {said}");
        // The source itself follows, behind its number.
        let number = line.rsplit(':').next().unwrap_or_default();
        let source = said.lines().find_map(|told| told.strip_prefix(number)?.strip_prefix('\t'));
        ensure!(
            source.is_some_and(|text| text.contains("fn tx_cancel")),
            "gdb did not show {line}; it said: {said}"
        );
        Ok((said, hit))
    })?;
    run.finish_pause(&pausing)?;
    run.expect("[sent, taken back, never posted]", sizes(&run.facts.tx), [1, FRAMES.into(), 0])?;
    let (facts, _session) = run.finish(Ok(()));
    let violations = lab::verdict::judge(&facts);
    if let Some(first) = violations.first() {
        bail!("{}", table::fault_line(first));
    }
    Ok(told)
}

/// Leaves the machine to a person: in gdb, or in whatever they attach by the lines printed.
fn with_a_person(files: Files, seed: u64) -> Result<bool> {
    let style = Style::of_stdout();
    let mut settings = Settings::new(files);
    settings.kernel.seed = seed;
    let stopped = stop(settings, move |step| println!("{}", table::step_line(step, style)))?;
    let Stopped { mut run, pausing, script, .. } = stopped;
    if gdb_is_there() && std::io::stdin().is_terminal() {
        println!("\ngdb stops in {CALLBACK}; `detach` (or `quit`) lets the run go on to its end.\n");
        let interrupts = left::leave_interrupts_alone();
        let status = Command::new("gdb")
            .args(["-nx", "-q", "-x"])
            .arg(&script)
            .status()
            .context("cannot start gdb")?;
        drop(interrupts);
        ensure!(status.success(), "gdb ended with {status}");
    } else {
        println!("\nNo gdb with a terminal here. In one that reaches this machine's files, paste:\n");
        println!("{}", std::fs::read_to_string(&script)?);
        println!("Then `detach`; the run goes on to its end. Ctrl-C here ends it at once.\n");
        run.patience = ALL_DAY;
    }
    let outcome = run.finish_pause(&pausing);
    run.patience = LIMIT;
    let (facts, _session) = run.finish(outcome);
    let violations = lab::verdict::judge(&facts);
    println!("{}", table::verdict(&violations, style));
    Ok(violations.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_place_is_read_from_the_guests_log() {
        let log = "understudy: \"seed=1\"\ncancelnic.sys: 0xfffff80012340000, 69632 bytes, entry 0xfffff80012341000\n";
        assert_eq!(image(log, NIC), Some((0xffff_f800_1234_0000, 69632)));
        assert_eq!(image("cancelnic.sys: nowhere\n", NIC), None);
        assert_eq!(image(log, "cancelnic-lwf"), None);
    }
}
