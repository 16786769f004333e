//! The files that a run leaves: page, JSON, trace and capture on the run's clock, the dissector.

use super::model::Report;
use super::way::path_from;
use super::{html, trace, wire};
use crate::base::evidence::write_whole;
use crate::device::trace::Trace;
use crate::facts::Facts;
use agent_protocol::Violation;
use anyhow::{Context, Result};
use chrono::DateTime;
use serde_json::Value;
use std::path::Path;

/// Completes what a run has left in `folder`: puts its trace and its capture, as the device wrote them, on the run's
/// clock and under its name, and writes the dissector, the JSON form and the page beside them.
///
/// # Errors
/// The first thing that failed. Page and JSON are written all the same, if they can be.
pub fn leave(folder: &Path, facts: &Facts, violations: &[Violation]) -> Result<()> {
    let (trace, capture) = (folder.join("trace.json"), folder.join("capture.pcapng"));
    let report = Report::new(facts, violations, &capture);
    let mut commands = Vec::new();
    let traced = rewrite(&trace, |bytes| {
        let device = Trace::parse(&String::from_utf8_lossy(bytes))?;
        commands = device.commands(facts.origin.monotonic_us);
        Ok(trace::text(&trace::merge(device, facts)).into_bytes())
    });
    let since =
        facts.origin.began.and_then(|began| began.signed_duration_since(DateTime::UNIX_EPOCH).to_std().ok());
    let captured = rewrite(&capture, |bytes| {
        wire::annotate(bytes, &wire::comment(&report, facts), since.unwrap_or_default())
    });
    if capture.is_file() {
        write(&folder.join("cancelnic.lua"), wire::DISSECTOR)?;
    }
    write(&folder.join("report.json"), &report.json(folder)?)?;
    let page = html::page(&report, facts, &commands, |name| folder.join(name).is_file());
    write(&folder.join("report.html"), &page)?;
    traced.and(captured)
}

/// Copies a JSON form to another place, where the way to the capture is another one.
pub fn copy_json(from: &Path, to: &Path) -> Result<()> {
    write(to, &json_seen_from(from, to.parent().unwrap_or(Path::new("")))?)
}

/// A JSON form for somebody in `folder`, from which the way to the capture begins.
pub fn json_seen_from(from: &Path, folder: &Path) -> Result<String> {
    let text = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let mut json: Value = serde_json::from_slice(&text)?;
    let beside = from.parent().unwrap_or(Path::new(""));
    let capture = beside.join(json["capture"].as_str().unwrap_or_default());
    json["capture"] = path_from(folder, &capture).to_string_lossy().into();
    Ok(format!("{json:#}\n"))
}

/// Puts other bytes in a file's place. A file that is not there stays away, one that cannot be read as it should stays as
/// it is.
fn rewrite(path: &Path, change: impl FnOnce(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let changed =
        change(&bytes).with_context(|| format!("cannot read {} as what it should be", path.display()))?;
    write_whole(path, &changed)
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    write_whole(path, text.as_bytes())
}
