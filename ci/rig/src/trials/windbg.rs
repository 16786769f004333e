//! The debugger's extension over stopped machines: `ci/windbg/cancelnic.js` under Node, in a stand-in for WinDbg.

use crate::debug::snapshot;
use anyhow::{Result, ensure};
use lab::base::process::Process;
use lab::base::wait::LIMIT;
use lab::base::workspace;
use lab::device::control::State;
use lab::guests::understudy;
use lab::run::{Run, TX, WIRE};
use scenarios::filter::{A, B, C, holding};
use scenarios::transmit::one_of_ten_off_the_wire;
use scenarios::{Scenario, Trial, command};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// Elements of the transmit virtqueue where it is to be too small for what is sent: two for each packet.
const SMALL: u16 = 64;

/// What runs the tests of the extension: Node with its test runner.
fn node() -> Option<&'static str> {
    let version = Command::new("node").args(["--test", "--version"]).stdin(Stdio::null()).output();
    let is_there = version.is_ok_and(|version| version.status.success());
    (!is_there).then_some("node (with its test runner, `node --test`) is not installed")
}

/// 50 packets wait for a held wire: 32 of them at the device, for 18 there was no room.
fn held(run: &mut Run) -> Result<Value> {
    run.load()?;
    run.send(1)?;
    run.await_traffic("one sent and received", 1, 1)?;
    run.hold(WIRE)?;
    run.send(50)?;
    let room = u64::from(SMALL) / 2;
    run.await_device(TX, "as many on the hardware as fit", |tx| tx.available + tx.fetched == room)?;
    run.stop_machine()?;
    Ok(json!({ "with_the_driver": 50, "at_the_device": room, "not_posted": 50 - room, "returned": 1 }))
}

/// A cancel waits for one completion that a gate holds, of ten packets. Stopping the machine completes it.
fn cancelling(run: &mut Run) -> Result<Value> {
    run.load()?;
    // Three, so that the next chains begin elsewhere than at descriptor 0, which unwritten memory would name as well.
    run.send(3)?;
    run.await_traffic("three sent and received", 3, 3)?;
    one_of_ten_off_the_wire(run)?;
    // The machine ends with the session: the pause is never finished.
    let _pausing = run.begin_pause(1)?;
    run.await_device(TX, "CANCELLING", |tx| tx.state == State::Cancelling)?;
    run.stop_machine()?;
    run.await_device(TX, "the queue out of service", |tx| !tx.in_service && tx.off_wire == 0)?;
    Ok(json!({ "with_the_driver": 10, "sent": 1, "taken_back": 9 }))
}

/// The filter holds an overlying driver's lists under two IDs and none, then its own in two subgroups. One ID was
/// cancelled before.
fn filtered(run: &mut Run) -> Result<Value> {
    let filter = holding(run)?;
    for (count, id) in [(2, A), (1, B), (1, 0), (3, C), (1, A)] {
        run.send_marked(count, id)?;
    }
    run.cancel_send(B)?;
    let own = filter.send(run, 4, 2)?;
    let held = filter.held(run)?;
    let counters = filter.counters(run)?;
    run.stop_machine()?;
    let ids = held.iter().map(|list| format!("{:#x}", list.cancel_id));
    let mine = held.iter().map(|list| own.numbers().contains(&list.number));
    Ok(json!({
        "ids": ids.collect::<Vec<_>>(),
        "own": mine.collect::<Vec<_>>(),
        "counters": {
            "queued": counters.queued,
            "cancelled": counters.cancelled,
            "cancel_calls": counters.cancel_calls,
            "own_originated": counters.own_originated,
            "own_outstanding": counters.own_outstanding,
        },
    }))
}

/// One stopped machine as a snapshot in `folder`.
fn take(trial: &Trial, queue_size: u16, body: fn(&mut Run) -> Result<Value>, folder: &Path) -> Result<()> {
    std::fs::create_dir(folder)?;
    let mut settings = trial.settings();
    settings.device.queue_size = queue_size;
    settings.kernel.parameters.insert("WatchdogMs", 0);
    let drivers = settings.files.drivers.clone();
    let mut run = Run::start(settings, understudy(), None, Box::new(|_| ()))?;
    let expected = body(&mut run)?;
    snapshot::write(&mut run, &drivers, folder, &expected)
}

fn extension(trial: &Trial) -> Result<()> {
    let folder = trial.folder()?;
    take(trial, SMALL, held, &folder.path().join("held"))?;
    take(trial, 1024, cancelling, &folder.path().join("cancelling"))?;
    take(trial, 1024, filtered, &folder.path().join("filtered"))?;
    let said = folder.path().join("node.txt");
    let mut command = Command::new("node");
    command
        .args(["--test", "--test-reporter", "spec", "test/host.test.js", "test/snapshot.test.js"])
        .current_dir(workspace::checkout()?.join("ci/windbg"))
        .env("CANCELNIC_SNAPSHOTS", folder.path())
        .stdout(std::fs::File::create(&said)?);
    let mut node = Process::start("node", command, folder.path().join("node.log"))?;
    let ended = node.wait(LIMIT);
    let said = std::fs::read_to_string(&said)?;
    ensure!(ended.is_some_and(|status| status.success()), "{}; it said:\n{said}", node.epitaph());
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        command(
            "windbg-extension-reads-a-stopped-driver",
            "the debugger's extension reads three stopped machines as they are",
            extension,
        )
        .tool(node),
    ]
}
