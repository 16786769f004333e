//! The report as people see it: pages of a good run, of a failing one and of one with thousands of frames, opened in
//! Chromium on a wide and on a narrow screen, light and dark. And the trace beside it, as a viewer reads it.

use crate::browser::{self, Browser, Scheme};
use agent_protocol::Ids;
use anyhow::{Context, Result, ensure};
use cancelnic_mutants::Mutant;
use lab::base::evidence::Evidence;
use lab::facts::Facts;
use lab::guests::understudy;
use lab::report;
use lab::run::{Run, TX, WIRE, judged};
use lab::settings::Settings;
use lab::verdict::judge;
use scenarios::{Scenario, Trial, command, path, take_test_build};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// One cancelled transmit packet is kept by the driver.
const KEEPS_A_PACKET: Mutant = Mutant::KeepsAPacket;

/// Widths in pixels: a desk and a telephone.
const WIDTHS: [u32; 2] = [1400, 420];

/// What the page measures of itself: how wide it is and which elements are too wide, the strip's and the legend's counts,
/// texts of too little contrast (WCAG 2.1, 1.4.3: 4.5 to 1), and fills that a grey picture cannot tell apart.
const MEASURE: &str = include_str!("page_measure.js");

/// A click on a cell: whether the table is open then, at the frame's row.
const CLICK: &str = "document.querySelector('.strip a').click(); new Promise(done => setTimeout(() => done(\
    document.querySelector('#frames').open && document.querySelector('tr:target') !== null), 0))";
/// Two neighbouring fills differ at least by this ratio of luminance; each has a pattern besides.
const DISTINCT: f64 = 1.25;

/// Folder in which pictures of the pages are left, if it is set.
const PICTURES: &str = "CANCELNIC_PICTURES";

fn good(run: &mut Run) -> Result<()> {
    path::cancel_path(run, 200)
}

fn failing(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(200)?;
    run.await_device(TX, "the virtqueue full", |tx| tx.available + tx.fetched == 64)?;
    run.pause()
}

/// Runs `body` and leaves everything about it in `folder`.
fn leave(folder: &Path, mut settings: Settings, body: fn(&mut Run) -> Result<()>) -> Result<()> {
    let evidence = Evidence::new(folder.to_path_buf());
    settings.evidence = Some(evidence.clone());
    judged(settings, &understudy(), None, body)?;
    evidence.settle(true)
}

/// 7,000 frames, every hundredth aborted, one in two sets and one lost.
fn thousands() -> Facts {
    let mut facts = Facts { offered: Ids(vec![(1, 7000)]), ..Facts::default() };
    facts.originated_ended = (1..=60).map(|hundred| hundred * 100).collect();
    facts.tx.posted = (1..7000).filter(|id| id % 100 != 0 || *id > 6000).collect();
    facts.tx.sent = facts.tx.posted.iter().filter(|id| *id < 5000).collect();
    facts.tx.taken_back = facts.tx.posted.iter().filter(|id| (4999..6000).contains(id)).collect();
    facts.tx.never_posted = facts.tx.posted.iter().filter(|id| *id >= 6000).collect();
    facts.capture.outbound = facts.tx.sent.iter().collect();
    facts.capture.taken_back = facts.tx.taken_back.iter().collect();
    facts
}

/// Opens one page in both widths and both schemes.
fn look(browser: &mut Browser, folder: &Path, name: &str) -> Result<()> {
    let json: Value = serde_json::from_slice(&std::fs::read(folder.join("report.json"))?)?;
    for width in WIDTHS {
        for scheme in [Scheme::Light, Scheme::Dark] {
            let place = format!("{name}, {width} px, {}", scheme.name());
            browser.open(&folder.join("report.html"), width, scheme)?;
            picture(browser, &format!("{name}-{width}-{}", scheme.name()))?;
            let seen = browser.evaluate(MEASURE)?;
            let complaints = browser.complaints()?;
            ensure!(complaints.is_empty(), "{place}: the page complains: {complaints:?}");
            ensure!(seen["wide"] == Value::Array(Vec::new()), "{place}: too wide: {}", seen["wide"]);
            ensure!(seen["scroll"].as_u64() <= Some(width.into()), "{place}: {} px wide", seen["scroll"]);
            ensure!(seen["faint"] == Value::Array(Vec::new()), "{place}: too faint: {}", seen["faint"]);
            for fills in ["fates", "states"] {
                let closest = seen["closest"][fills]["ratio"].as_f64();
                ensure!(closest >= Some(DISTINCT), "{place}: {fills}: {}", seen["closest"][fills]);
            }
            for counted in ["strip", "legend"] {
                ensure!(
                    seen[counted] == json["fates"],
                    "{place}: the {counted} has {}, the JSON {}",
                    seen[counted],
                    json["fates"]
                );
            }
            // A click on a cell opens the table at the frame's row.
            let row = browser.evaluate(CLICK)?;
            ensure!(row == true, "{place}: a click on the first frame does not lead to its row");
        }
    }
    Ok(())
}

/// Leaves pictures where they are wanted.
fn picture(browser: &mut Browser, name: &str) -> Result<()> {
    let Some(folder) = std::env::var_os(PICTURES).filter(|folder| !folder.is_empty()).map(PathBuf::from)
    else {
        return Ok(());
    };
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{name}.png")), browser.picture(false)?)?;
    std::fs::write(folder.join(format!("{name}-whole.png")), browser.picture(true)?)?;
    Ok(())
}

fn settings(trial: &Trial, mutant: Option<Mutant>) -> Result<Settings> {
    let mut settings = trial.settings();
    settings.device.queue_size = path::QUEUE_SIZE;
    if let Some(mutant) = mutant {
        take_test_build(&mut settings, &trial.built, mutant.driver())?;
        settings.mutant = Some(mutant);
    }
    Ok(settings)
}

fn page_is_readable(trial: &Trial) -> Result<()> {
    let program = browser::find().context("chromium is not installed")?;
    let place = |name: &str| trial.evidence.folder().join(name);
    leave(&place("good"), settings(trial, None)?, good)?;
    leave(&place("failing"), settings(trial, Some(KEEPS_A_PACKET))?, failing)?;
    let many = thousands();
    report::leave(&place("thousands"), &many, &judge(&many))?;
    let mut browser = Browser::start(&program)?;
    for name in ["good", "failing", "thousands"] {
        look(&mut browser, &place(name), name)?;
    }
    Ok(())
}

fn trace_is_sound(trial: &Trial) -> Result<()> {
    let place = trial.evidence.folder().join("good");
    leave(&place, settings(trial, None)?, good)?;
    let events: Vec<Value> = serde_json::from_slice(&std::fs::read(place.join("trace.json"))?)?;
    let problems = report::trace::problems(&events);
    ensure!(problems.is_empty(), "{problems:#?}");
    let count = |ph: &str, name: &str| {
        let named =
            |event: &&Value| event["ph"] == ph && event["name"].as_str().is_some_and(|of| of.contains(name));
        events.iter().filter(named).count()
    };
    for (ph, name, least) in [
        ("M", "process_name", 3),
        ("X", "pause: cancel both queues", 1),
        ("X", "EvtCancel", 2),
        ("X", "CANCEL", 2),
        ("X", "doorbell", 1),
        ("X", "interrupt", 1),
        ("C", "tx0: fetched", 2),
        ("C", "tx0: taken back", 1),
        ("s", "doorbell to interrupt", 1),
        ("s", "CANCEL to STOPPED, COUNT 64", 1),
    ] {
        ensure!(count(ph, name) >= least, "{} events {ph} {name}, and not {least}", count(ph, name));
    }
    // On one clock: the device carries CANCEL out after the rig has asked for it, and before the rig has seen its end.
    let span = |name: &str| {
        let event = events.iter().find(|event| event["ph"] == "X" && event["name"] == name)?;
        let began = event["ts"].as_f64()?;
        Some((began, began + event["dur"].as_f64()?))
    };
    let asked = span("pause: cancel both queues").context("no span of the pause")?;
    let seen = span("every packet back, queues stopped").context("no span of its end")?;
    let command = span("CANCEL").context("no span of a CANCEL")?;
    ensure!(
        asked.0 <= command.0 && command.1 <= seen.1,
        "CANCEL {command:?} is not between {asked:?} and the end of {seen:?}"
    );
    Ok(())
}

/// The browser that shows the page.
fn chromium() -> Option<&'static str> {
    browser::find().is_none().then_some("chromium is not installed (or set CANCELNIC_CHROMIUM)")
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        command(
            "report-page-is-readable-in-a-browser",
            "pages of a good, a failing and a long run fit each screen, light and dark, and count right",
            page_is_readable,
        )
        .tool(chromium),
        command(
            "report-trace-is-sound",
            "a run's trace is valid: rig, device and callbacks on one clock, with counters and arrows",
            trace_is_sound,
        ),
    ]
}
