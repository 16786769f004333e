//! The command as people use it: what it says and leaves behind when something goes wrong.
//!
//! Each use gets a folder for temporary files of its own, which must be empty afterwards, and whose path finds every
//! process that the use started.

use super::uses::{Ended, LOOK, Use, processes_with};
use crate::foreign;
use anyhow::{Context, Result, bail, ensure};
use lab::base::failure::{FAULT, INTERRUPTED, PIPE_CLOSED, SETUP, USAGE};
use lab::base::files::NIC;
use lab::base::folder::Folder;
use lab::base::process::Process;
use lab::base::wait::{LIMIT, until};
use lab::device::capture::Capture;
use lab::guests::understudy;
use lab::machine::Hardware;
use lab::machine::names;
use lab::run::Run;
use lab::session::Session;
use rustix::process::{Signal, kill_process};
use scenarios::{Circumstances, Scenario, Trial, command};
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

fn report_is_whole(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let json = folder.path().join("demo.json");
    let mut demo = Use::demo(trial, &["--json".as_ref(), json.as_os_str()], &[])?;
    let ended = demo.end()?;
    ensure!(ended.code == Some(0), "{:?}\n{}{}", ended.code, ended.output, ended.errors);
    demo.nothing_left()?;
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&json)?)?;
    ensure!(report["verdict"] == "good", "{report}");
    let capture = report["capture"].as_str().context("no capture")?;
    let sent = serde_json::to_value(Capture::read(&folder.path().join(capture))?.outbound)?;
    let tx = &report["queues"][0];
    ensure!(tx["ids"]["sent"] == sent, "the wire differs: {sent} against {}", tx["ids"]["sent"]);
    for set in ["sent", "taken_back", "never_posted"] {
        ensure!(tx[set].as_u64().is_some_and(|count| count > 0), "the demo shows no frame {set}");
    }
    for file in ["report.html", "report.json", "guest.log", "device.log", "qemu.log"] {
        ensure!(demo.report().join(file).is_file(), "no {file}");
    }
    Ok(())
}

fn device_killed(trial: &Trial) -> Result<()> {
    let mut demo = Use::demo::<&str>(trial, &[], &[])?;
    demo.reach_the_moment()?;
    // The rig stands still until the device is gone.
    demo.signal(Signal::STOP)?;
    kill_process(demo.process("vhost-device-cancelnic")?, Signal::KILL)?;
    demo.signal(Signal::CONT)?;
    demo.end()?.expect(FAULT, "the device process was killed by signal 9")?;
    demo.nothing_left()
}

fn interrupted(trial: &Trial) -> Result<()> {
    let mut demo = Use::demo::<&str>(trial, &[], &[])?;
    demo.reach_the_moment()?;
    demo.signal(Signal::INT)?;
    demo.end()?.expect(INTERRUPTED, "interrupted")?;
    demo.nothing_left()
}

/// Ctrl-C in a test while its scenario runs a rig of its own: the inner rig cleans up before it is ended.
fn interrupted_inside(trial: &Trial) -> Result<()> {
    let arguments = ["--exact", "demo-report-is-whole"];
    let mut test = Use::of(trial, "test", &arguments, &[])?;
    // The machine of the inner rig, whose temporary files are inside those of the outer one.
    let inner = until(30 * LIMIT, LOOK, || {
        ensure!(test.process.status().is_none(), "it ended too soon: {}", test.errors()?);
        Ok(processes_with(&[&test.marker(), "qemu-system"])?.pop())
    })?;
    inner.context("the inner rig never started a machine")?;
    test.signal(Signal::INT)?;
    test.end()?.expect(INTERRUPTED, "interrupted")?;
    test.nothing_left()
}

/// Whoever reads the output goes away, or the output cannot be written: the command ends, and leaves nothing.
fn output_cut_off(trial: &Trial) -> Result<()> {
    let mut demo = Use::demo::<&str>(trial, &[], &[])?;
    demo.reach("sha256")?;
    demo.output = None;
    let ended = demo.end()?;
    let complaint = ended.errors.lines().find(|line| !line.starts_with("building "));
    ensure!(
        ended.code == Some(PIPE_CLOSED.into()) && complaint.is_none(),
        "after its reader had gone: {:?}, {}",
        ended.code,
        ended.errors
    );
    demo.nothing_left()?;

    let folder = trial.folder()?;
    let full = File::options().write(true).open("/dev/full").context("/dev/full")?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["test", "--list"]).stdin(Stdio::null()).stdout(full);
    rig_ends(command, folder.path(), SETUP, "cannot write to standard output: No space left on device")
}

/// What is wrong with the machine, and with files that are given, is never taken for a fault of the driver.
fn machine_is_no_fault(trial: &Trial) -> Result<()> {
    let folder = trial.folder()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("file"), "")?;
    let long = path(&"x".repeat(90));
    std::fs::create_dir(&long)?;
    let nowhere = path("nowhere");
    let report = path("report");
    for subcommand in ["demo", "test"] {
        for (temporary, report, wanted) in [
            (&nowhere, &report, "cannot make a temporary folder"),
            (&long, &report, "is too long for the path of a socket"),
            (&folder.path().to_path_buf(), &path("file"), "cannot create"),
        ] {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(subcommand).arg("--report").arg(report).env("TMPDIR", temporary);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            rig_ends(command, folder.path(), SETUP, wanted)
                .with_context(|| format!("{subcommand}, TMPDIR {}", temporary.display()))?;
        }
    }
    Ok(())
}

/// The rig ends with this exit code and one line that contains `text`.
fn rig_ends(command: Command, folder: &Path, code: u8, text: &str) -> Result<()> {
    let errors = folder.join("errors.txt");
    let status = Process::start_rig(command, errors.clone())?.wait_for_end()?;
    let errors = std::fs::read_to_string(&errors)?;
    Ended { code: status.code(), output: String::new(), errors }.expect(code, text)
}

/// A driver that imports a function which understudy does not offer: no scenario is run, and the function is named.
fn missing_import(trial: &Trial) -> Result<()> {
    const IMPORT: &[u8] = b"KeBugCheckEx\0";
    let folder = foreign_package(trial)?;
    let image = folder.path().join("other.sys");
    let mut bytes = std::fs::read(&image)?;
    let at = bytes.windows(IMPORT.len()).position(|piece| piece == IMPORT);
    let at = at.context("the driver does not import KeBugCheckEx")? + IMPORT.len() - 2;
    bytes[at] = b'9';
    std::fs::write(&image, bytes)?;
    let mut test = Use::of(trial, "test", &["--driver".as_ref(), folder.path().as_os_str()], &[])?;
    let ended = test.end()?;
    ended.expect(SETUP, "imports that understudy does not offer: ntoskrnl.exe!KeBugCheckE9")?;
    let inspected = "other.sys needs what understudy does not offer: ntoskrnl.exe: KeBugCheckE9";
    ensure!(ended.output.contains(inspected), "not inspected:\n{}", ended.output);
    ensure!(!ended.output.contains("running"), "scenarios were run:\n{}", ended.output);
    test.nothing_left()
}

/// A rig that is killed cannot clean its folder, but nothing goes on running.
fn rig_killed(trial: &Trial) -> Result<()> {
    let mut demo = Use::demo::<&str>(trial, &[], &[])?;
    demo.reach_the_moment()?;
    demo.signal(Signal::KILL)?;
    demo.process.wait_for_end()?;
    demo.no_process_left()
}

fn qemu_without_the_device(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let qemu = folder.path().join("qemu-system-x86_64");
    std::fs::write(&qemu, "#!/bin/sh\necho 'name \"virtio-net-pci\", bus PCI'\n")?;
    std::fs::set_permissions(&qemu, std::fs::Permissions::from_mode(0o755))?;
    let mut demo = Use::demo::<&str>(trial, &[], &[("CANCELNIC_QEMU", qemu.as_os_str())])?;
    demo.end()?.expect(SETUP, "missing: vhost-user-test-device-pci in $CANCELNIC_QEMU")?;
    demo.nothing_left()
}

/// QEMU ends because it does not know what it was asked for: its own line is the failure, and nothing is judged.
fn qemu_gives_up(trial: &Trial) -> Result<()> {
    let mut demo = Use::demo::<&str>(trial, &[], &[("CANCELNIC_ACCEL", "foo".as_ref())])?;
    let ended = demo.end()?;
    for part in ["invalid accelerator foo", "unset CANCELNIC_ACCEL"] {
        ended.expect(SETUP, part)?;
    }
    let kept =
        std::fs::read_to_string(demo.report().join(names::QEMU_LOG)).context("QEMU's log is not kept")?;
    ensure!(kept.contains("invalid accelerator foo"), "{kept}");
    demo.nothing_left()
}

fn with_files(trial: &Trial, driver: &Path, inf: &Path) -> Result<Use> {
    let arguments = ["--driver".as_ref(), driver.as_os_str(), "--inf".as_ref(), inf.as_os_str()];
    Use::demo(trial, &arguments, &[])
}

fn truncated_driver(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let driver = folder.path().join("cancelnic.sys");
    let whole = std::fs::read(&trial.built.driver(NIC)?.image.path)?;
    std::fs::write(&driver, &whole[..whole.len() / 2])?;
    let mut demo = with_files(trial, &driver, &trial.built.driver(NIC)?.inf.path)?;
    demo.end()?.expect(SETUP, "the driver cannot be loaded: cancelnic.sys")?;
    demo.nothing_left()
}

fn inf_does_not_match(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let inf = folder.path().join("cancelnic.inf");
    let text = std::fs::read_to_string(&trial.built.driver(NIC)?.inf.path)?;
    let other = text.replace("DEV_1041", "DEV_1042");
    ensure!(other != text, "the INF names no DEV_1041");
    std::fs::write(&inf, other)?;
    let mut demo = with_files(trial, &trial.built.driver(NIC)?.image.path, &inf)?;
    demo.end()?.expect(USAGE, "cancelnic.inf: it is for pci\\ven_1af4&dev_1042")?;
    demo.nothing_left()
}

/// Somebody else listens where the device wants to.
fn socket_busy(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let path = folder.path().to_path_buf();
    let _other = UnixListener::bind(path.join("device"))?;
    let error = match Session::start_in(folder, &trial.settings(), &understudy().boot()) {
        Ok(_) => bail!("the session started all the same"),
        Err(error) => lab::base::failure::one_line(&error),
    };
    ensure!(error.contains("the device process ended with exit code 3"), "{error}");
    ensure!(!path.exists(), "{} is left behind", path.display());
    ensure!(processes_with(&[&path.display().to_string()])?.is_empty(), "a process is left behind");
    Ok(())
}

fn wrong_usage(trial: &Trial) -> Result<()> {
    let mut demo = Use::demo(trial, &["--frames", "0"], &[])?;
    let ended = demo.end()?;
    ensure!(
        ended.code == Some(USAGE.into()) && ended.errors.contains("--frames"),
        "{:?} {}",
        ended.code,
        ended.errors
    );
    demo.nothing_left()?;

    // Nothing is there of what is named: that the two do not go together comes first.
    let image = ["--guest", "windows", "--images", "/nowhere"];
    for (command, refusal) in [
        (&["test", "--driver", "/nowhere"][..], "--driver is for --guest understudy"),
        (&["demo", "--driver", "/nowhere", "--inf", "/nowhere"][..], "--driver is for --guest understudy"),
    ] {
        let mut rig = Command::new(std::env::current_exe()?);
        rig.args(command).args(image).env("CANCELNIC_QEMU", "/nowhere").stdin(Stdio::null());
        let rig = rig.output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let ended = Ended { code: rig.status.code(), output: text(rig.stdout), errors: text(rig.stderr) };
        ended.expect(USAGE, refusal)?;
    }
    Ok(())
}

/// Our own package under other names, as another project's would come: file, INF and service.
fn foreign_package(trial: &Trial) -> Result<Folder> {
    let folder = Folder::new()?;
    let ours = trial.built.driver(NIC)?;
    let inf = std::fs::read_to_string(&ours.inf.path)?;
    let mut other = inf.replace("cancelnic.sys", "other.sys");
    for service in ["AddService = cancelnic,", "KmdfService = cancelnic,"] {
        ensure!(other.contains(service), "the INF has no `{service}`");
        other = other.replace(service, &service.replace("cancelnic", "other"));
    }
    std::fs::write(folder.path().join("other.inf"), other)?;
    std::fs::copy(&ours.image.path, folder.path().join("other.sys"))?;
    Ok(folder)
}

/// Such a package goes through a scenario, and its hash stands where ours would.
fn foreign_driver(trial: &Trial) -> Result<()> {
    let folder = foreign_package(trial)?;
    let foreign = foreign::find(folder.path())?;
    let scenarios = scenarios::all();
    let name = "tx-cancel-wire-held-64";
    let scenario = scenarios.iter().find(|scenario| scenario.name == name && scenario.is_of_any_driver());
    let circumstances = Circumstances {
        again: "cargo rig test --seed 1".into(),
        guest: understudy(),
        built: trial.built.clone(),
        seed: 1,
        foreign: Some(foreign),
        words: vec!["advice=warn".into()],
        machines: None,
        packages: Vec::new(),
        with: Vec::new(),
        hardware: Hardware::default(),
    };
    scenario
        .with_context(|| format!("{name} is not for every driver"))?
        .run(&circumstances, &trial.evidence)?;
    // It is this file that ran: cut in half it is refused under its own name.
    let image = folder.path().join("other.sys");
    let whole = std::fs::read(&image)?;
    std::fs::write(&image, &whole[..whole.len() / 2])?;
    let foreign = foreign::find(folder.path())?;
    let mut settings = trial.settings();
    settings.files.take_over(&foreign)?;
    let mut run = Run::start(settings, understudy(), None, Box::new(|_| ()))?;
    let error = run.load().err().context("half a driver was loaded")?;
    ensure!(error.to_string().contains("other.sys"), "{error:#}");
    Ok(())
}

/// The debugger that stops there.
fn gdb() -> Option<&'static str> {
    (!crate::debug::gdb_is_there()).then_some("gdb is not installed")
}

fn debugger_stops_in_cancel(trial: &Trial) -> Result<()> {
    crate::debug::check(trial.settings(), |_| ()).map(drop)
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        command(
            "demo-report-is-whole",
            "the demo leaves page, JSON, capture and logs, and its JSON agrees with the capture",
            report_is_whole,
        ),
        command(
            "foreign-driver-in-the-place-of-ours",
            "a package under other names runs in the place of ours; half of it is refused by name",
            foreign_driver,
        ),
        command(
            "debug-stops-in-cancel-callback",
            "gdb stops in the driver's Cancel callback, and the run goes on to a good end",
            debugger_stops_in_cancel,
        )
        .tool(gdb),
        command(
            "failure-device-killed",
            "a killed device process is named as the cause, and nothing is left behind",
            device_killed,
        ),
        command(
            "failure-interrupted",
            "Ctrl-C in a demo ends it with exit code 130 and leaves no process and no file",
            interrupted,
        ),
        command(
            "failure-interrupted-inside-a-scenario",
            "Ctrl-C in a test whose scenario runs a rig of its own leaves no process and no file of either",
            interrupted_inside,
        ),
        command(
            "failure-output-cut-off",
            "a closed pipe ends the command in silence with exit code 141, a full output with one line and 3",
            output_cut_off,
        ),
        command(
            "failure-of-the-machine-is-no-fault",
            "no place for temporary files or for the report is one line and exit code 3, before anything is built",
            machine_is_no_fault,
        ),
        command(
            "failure-driver-imports-what-is-not-offered",
            "a driver with an import that understudy does not offer ends the test at once with its name",
            missing_import,
        ),
        command(
            "failure-rig-killed",
            "a rig that is killed takes its device and its machine along",
            rig_killed,
        ),
        command(
            "failure-qemu-without-the-device",
            "a QEMU without the vhost-user device is named, with exit code 3",
            qemu_without_the_device,
        ),
        command(
            "failure-qemu-gives-up",
            "a QEMU that ends at its start is named with its own last line and exit code 3",
            qemu_gives_up,
        ),
        command(
            "failure-truncated-driver",
            "half a driver file ends the demo with one line and exit code 3",
            truncated_driver,
        ),
        command(
            "failure-inf-does-not-match",
            "an INF of another device ends the demo with one line and exit code 3",
            inf_does_not_match,
        ),
        command(
            "failure-socket-busy",
            "a socket that somebody else has is named as the device's failure, and nothing is left",
            socket_busy,
        ),
        command("failure-wrong-usage", "wrong flags end with one line and exit code 2", wrong_usage),
    ]
}
