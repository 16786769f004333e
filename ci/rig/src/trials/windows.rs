//! The machine of a Windows guest, without Windows: its whole command line starts, and its firmware finds every device
//! where it is said to be. The stand-in image then goes the way of an image of Windows, to a good end and to each of the
//! bad ones.

use crate::build;
use crate::image::stand_in;
use crate::kdnet::BusParams;
use anyhow::{Context, Result, bail, ensure};
use cancelnic_mutants::Mutant;
use cancelnic_registers::{ID, ID_OFFSET};
use lab::base::folder::Folder;
use lab::base::places;
use lab::base::process::Process;
use lab::base::wait::{LIMIT, PERIOD, until};
use lab::facts::Facts;
use lab::guest::crash::{self, Crash, Source};
use lab::guests::on_image;
use lab::machine::qmp::{PciFunction, Qmp};
use lab::machine::store::manifest::ImageKind::StandIn;
use lab::machine::store::{Image, Store};
use lab::machine::{self, Accelerator, Windows, names, place};
use lab::report::Report;
use lab::run::{COMPLETE, Run, TX, WIRE, archive};
use lab::session::device::start_device;
use lab::session::lines::{accept, listen};
use lab::settings::Settings;
use lab::verdict::judge;
use scenarios::{Scenario, Trial, command, take_test_build};
use serde_json::Value;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The driver's fault: one cancelled transmit packet is kept.
const KEEPS_A_PACKET: Mutant = Mutant::KeepsAPacket;

/// Where virtio's device configuration is in the fifth region of QEMU's device (register 4), 16 KiB in size.
const DEVICE_CONFIG: u64 = 0x2000;
const DEVICE_REGION: u64 = 0x4000;

/// Starts the machine with all it can have, and waits until its firmware has put every device to work.
fn answers(trial: &Trial) -> Result<()> {
    let accelerator = Accelerator::chosen_or("tcg");
    accelerator.check()?;
    let folder = trial.folder()?;
    let path = |name: &str| folder.path().join(name);
    let firmware = places::ovmf()?;
    let kdnet: BusParams = "0.2.0".parse().map_err(anyhow::Error::msg)?;
    let kdnet = kdnet.place().context("bus 0")?;
    let (vars, disk, disc) = (path("vars.fd"), path("disk.qcow2"), path("disc.iso"));
    std::fs::copy(&firmware.vars, &vars)?;
    // An empty disk and an empty disc: the firmware looks at both and finds nothing to start.
    std::fs::write(&disc, vec![0; 1 << 20])?;
    let made = Command::new(places::qemu_img()?)
        .args(["create", "-q", "-f", "qcow2"])
        .arg(&disk)
        .arg("64M")
        .status()?;
    ensure!(made.success(), "qemu-img makes no disk: {made}");
    let machine = Windows {
        folder: folder.path(),
        firmware: &firmware,
        vars: &vars,
        disk: &disk,
        discs: &[disc],
        memory: Windows::MEMORY,
        processors: Windows::PROCESSORS,
        accelerator,
        nic: Some(1024),
        debug_nic: Some(kdnet),
        debug_port: None,
        gdb: true,
    };
    let (agent, monitor) = (listen(&path(names::AGENT))?, listen(&path(names::MONITOR))?);
    let settings = trial.settings();
    let (_device, _control) = start_device(&folder, &settings)?;
    let mut qemu = machine::start(&places::qemu()?, &machine.arguments(), folder.path())?;
    let _agent = accept(&agent, &mut qemu)?;
    let mut monitor = Qmp::new(accept(&monitor, &mut qemu)?)?;

    let expected = [
        (place::VGA, (0x1234, 0x1111)),
        (kdnet, (0x8086, 0x10d3)),
        (place::USB, (0x1b36, 0x000d)),
        (place::NIC, (0x1af4, 0x1041)),
        (place::AHCI, (0x8086, 0x2922)),
    ];
    let mut last = String::new();
    let at_work = until(3 * LIMIT, PERIOD, || {
        ensure!(qemu.status().is_none(), "{}", qemu.epitaph());
        let functions = monitor.pci()?;
        let there = |(place, id)| {
            let is_it = |function: &&PciFunction| function.place == place && function.id == id;
            functions.iter().find(is_it).is_some_and(|function| !function.memory.is_empty())
        };
        let id = nic_id(&mut monitor, &functions, &folder)?;
        last = format!("there is {functions:x?}; the NIC's ID register reads {id:x?}");
        Ok((expected.into_iter().all(there) && id == Some(ID)).then_some(()))
    })?;
    at_work.with_context(|| format!("wanted at work: {expected:x?}; {last}"))
}

/// The NIC's ID register, read as the guest would: through QEMU, by the device process. The firmware switches regions
/// off again while it measures them; there is nothing to read then.
fn nic_id(monitor: &mut Qmp, functions: &[PciFunction], folder: &Folder) -> Result<Option<u32>> {
    let nic = functions.iter().find(|function| function.place == place::NIC).context("no NIC")?;
    let Some(region) = nic.memory.iter().find(|region| region.1 == DEVICE_REGION) else { return Ok(None) };
    let file = folder.path().join("id");
    monitor.save_physical(region.0 + DEVICE_CONFIG + ID_OFFSET as u64, 4, &file)?;
    let bytes = std::fs::read(&file)?;
    Ok(bytes.as_slice().try_into().ok().map(u32::from_le_bytes))
}

/// An image whose driver of the NIC is its test build, in a store of its own, and the settings that run it.
fn image(trial: &Trial, name: &'static str, folder: &Folder) -> Result<(Settings, Arc<Image>)> {
    let mut settings = trial.settings();
    settings.name = name;
    take_test_build(&mut settings, &trial.built, KEEPS_A_PACKET.driver())?;
    let store = Store::open(Some(folder.path()))?;
    let loader = build::loader()?;
    let image = stand_in::write(&store, "broken", StandIn, &loader, &trial.built, &settings)?;
    settings.kernel.parameters.insert("WatchdogMs", 0);
    Ok((settings, Arc::new(image)))
}

/// Runs `body`, which must end as a failure of the guest; its report and log, the image being as it was sealed.
fn failed(
    (settings, image): (Settings, Arc<Image>),
    body: fn(&mut Run) -> Result<()>,
) -> Result<(Facts, Value, Crash, String)> {
    let evidence = settings.evidence.clone();
    let mut run = Run::start(settings, on_image(Arc::clone(&image)), None, Box::new(|_| ()))?;
    let outcome = body(&mut run);
    ensure!(outcome.is_err(), "the scenario went well");
    let (facts, mut session) = run.finish(outcome);
    let violations = judge(&facts);
    if let Some(evidence) = evidence {
        archive(&evidence, &mut session, &facts, &violations);
    }
    let report = serde_json::to_value(Report::new(&facts, &violations, &session.capture()))?;
    ensure!(report["verdict"] == "bad" && report["guest"] == "stand-in", "{report}");
    let [crash] = &facts.crashes[..] else { bail!("not one failure of the guest: {:?}", facts.crashes) };
    let crash = crash.clone();
    ensure!(!facts.steps.iter().any(|step| !step.ok && step.name.contains("off")), "{:?}", facts.steps);
    image.verify(&mut |_, _| ())?;
    let log = String::from_utf8_lossy(&std::fs::read(session.guest_log())?).into_owned();
    Ok((facts, report, crash, log))
}

/// The dump is a core file of the whole memory. It is removed then: nobody is going to look at it.
fn check_memory(crash: &Crash) -> Result<()> {
    let [dump] = &crash.dumps[..] else { bail!("not one dump: {crash:?}") };
    let mut begins = [0; 4];
    File::open(&dump.file)?.read_exact(&mut begins)?;
    let size = std::fs::metadata(&dump.file)?.len();
    std::fs::remove_dir_all(dump.file.parent().context("a dump without a folder")?)?;
    ensure!(begins == *b"\x7fELF" && size > 256 << 20, "{} bytes of {begins:x?}", size);
    ensure!(dump.source == Source::Memory && dump.open.contains("memory.elf"), "{dump:?}");
    Ok(())
}

fn cancel_ten(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(10)?;
    run.await_device(TX, "ten on the hardware", |tx| tx.available + tx.fetched == 10)?;
    run.pause()
}

fn bug_check(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let (mut settings, image) = image(trial, "stand-in-bug-check-is-reported", &folder)?;
    settings.mutant = Some(KEEPS_A_PACKET);
    let (_, report, crash, _) = failed((settings, image), cancel_ten)?;
    let stop = crash.stop.context("no STOP code")?;
    ensure!(crash.kind == crash::CrashKind::BugCheck && stop.code != 0, "{crash:?}");
    ensure!(report["violations"][0]["rule"] == "QueueNotDrained", "{report}");
    ensure!(report["crashes"][0]["stop"]["code"] == stop.code, "{report}");
    ensure!(crash.device.iter().any(|line| line.starts_with("tx0: STOPPED")), "{crash:?}");
    check_memory(&crash)
}

/// The device keeps a completion back: the guest waits for ever, as it must, and is taken for one that hangs.
fn hang(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let settings = image(trial, "stand-in-hang-is-reported", &folder)?;
    let (facts, report, crash, log) = failed(settings, |run| {
        run.load()?;
        run.hold(COMPLETE)?;
        run.send(1)?;
        run.await_device(TX, "one off the wire", |tx| tx.off_wire == 1)?;
        run.patience = Duration::from_secs(2);
        run.pause()
    })?;
    ensure!(crash.kind == crash::CrashKind::Hang, "{crash:?}");
    ensure!(
        report["violations"].as_array().is_some_and(|all| all.iter().any(|one| one["rule"] == "GuestHangs")),
        "{report}"
    );
    ensure!(crash.device.iter().any(|line| line.starts_with("tx0: CANCELLING")), "{crash:?}");
    ensure!(facts.hangs.iter().any(|hang| hang.view.queue == TX.name()), "{:?}", facts.hangs);
    // The NMI came through: its handler tells where the guest was.
    ensure!(log.lines().any(|line| line.starts_with("NMI at ")), "{log}");
    check_memory(&crash)
}

fn agent_loss(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let settings = image(trial, "stand-in-agent-loss-is-reported", &folder)?;
    let (_, report, crash, _) = failed(settings, |run| {
        run.load()?;
        run.session.agent.cut()?;
        run.send(1)
    })?;
    ensure!(crash.kind == crash::CrashKind::AgentLoss && crash.dumps.is_empty(), "{crash:?}");
    ensure!(
        report["violations"].as_array().is_some_and(|all| all.iter().any(|one| one["rule"] == "AgentLost")),
        "{report}"
    );
    Ok(())
}

/// The commands that people type, with an image in a folder of its own.
struct Typed {
    folder: Folder,
}

impl Typed {
    fn new(trial: &Trial) -> Result<Self> {
        Ok(Self { folder: trial.folder()? })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command with these arguments, and options with the names of files here.
    fn command(&self, arguments: &[&str], places: &[(&str, &str)]) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments);
        places.iter().for_each(|(option, name)| _ = command.arg(option).arg(self.path(name)));
        Ok(command)
    }

    fn output(&self, arguments: &[&str], places: &[(&str, &str)]) -> Result<String> {
        let output = self.command(arguments, places)?.output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    fn rig(&self, arguments: &[&str], places: &[(&str, &str)]) -> Result<()> {
        let mut command = self.command(arguments, places)?;
        command.stdin(Stdio::null()).stdout(File::create(self.path("output.txt"))?);
        let mut process = Process::start_rig(command, self.path("errors.txt"))?;
        let ended = process.wait(30 * LIMIT);
        ensure!(ended.is_some_and(|status| status.success()), "{arguments:?}: {}", process.epitaph());
        Ok(())
    }

    /// The report of a demo on the image, which must be good.
    fn demo(&self) -> Result<Value> {
        let places = [("--images", "images"), ("--report", "report"), ("--json", "report.json")];
        self.rig(&["demo", "--guest", "windows"], &places)?;
        let report: Value = serde_json::from_slice(&std::fs::read(self.path("report.json"))?)?;
        ensure!(report["verdict"] == "good" && report["image"] == "stand-in", "{report}");
        Ok(report)
    }
}

/// From the image to the report.
fn demo(trial: &Trial) -> Result<()> {
    let typed = Typed::new(trial)?;
    typed.rig(&["image", "stand-in"], &[("--out", "images")])?;
    let report = typed.demo()?;
    ensure!(report["guest"] == "stand-in" && report.get("seen_at_device").is_none(), "{report}");
    typed.rig(&["image", "verify"], &[("--out", "images")])
}

/// The same with a guest that is asked only for what Windows can be asked for: frames come from the filter, which waits
/// for them before it pauses; the data path goes down with the device; fates are seen at the device.
fn like_windows(trial: &Trial) -> Result<()> {
    let typed = Typed::new(trial)?;
    typed.rig(&["image", "stand-in", "--like-windows"], &[("--out", "images")])?;
    let report = typed.demo()?;
    ensure!(report["guest"] == "stand-in-like-windows", "{report}");
    ensure!(report["seen_at_device"]["lists_first"] == true, "{report}");
    let sent: u64 = 200 + 100 + 60;
    ensure!(report["queues"][0]["sent"] == sent && report["subgroups"][1]["aborted"] == 30, "{report}");
    let listed = typed.output(&["test", "--guest", "windows", "--list"], &[("--images", "images")])?;
    let cannot = listed.lines().filter(|line| line.contains(": cannot be run, ")).count();
    let can_run = listed.lines().count() - cannot;
    let all = typed.output(&["test", "--list"], &[])?.lines().count();
    ensure!(can_run > 0 && can_run + cannot == all, "{listed}");
    let places = [("--images", "images"), ("--junit", "junit.xml"), ("--report", "scenarios")];
    typed.rig(&["test", "--guest", "windows"], &places)?;
    let results = std::fs::read_to_string(typed.path("junit.xml"))?;
    let count = |what: &str| results.matches(what).count();
    let seen = [count("<testcase "), count("<skipped"), count("<failure")];
    ensure!(seen == [can_run + cannot, cannot, 0], "{seen:?} of {can_run} and {cannot}: {results}");
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        command(
            "windows-machine-answers-at-every-address",
            "the machine of a Windows guest starts, and each device answers at its place",
            answers,
        ),
        command(
            "stand-in-image-runs-the-demo",
            "the demo runs on a stand-in image to a good verdict, and the image stays as sealed",
            demo,
        ),
        command(
            "stand-in-like-windows-runs-demo-and-scenarios",
            "a guest limited to what Windows offers runs the demo and every scenario it can",
            like_windows,
        ),
        command(
            "stand-in-bug-check-is-reported",
            "a bug check on an image is reported with its STOP code and a memory dump",
            bug_check,
        ),
        command(
            "stand-in-hang-is-reported",
            "a guest that hangs on an image is reported with queues, NMI and a memory dump",
            hang,
        ),
        command(
            "stand-in-agent-loss-is-reported",
            "an agent that goes silent on an image is reported as such",
            agent_loss,
        ),
    ]
}
