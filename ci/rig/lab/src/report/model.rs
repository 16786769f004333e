//! The report's JSON form (`report.schema.json` describes it).

use super::about::About;
use super::fates;
use super::way::path_from;
use crate::device::capture::Foreign;
use crate::device::control::Finding;
use crate::device::{RX, TX};
use crate::facts::hang::Hang;
use crate::facts::{self, Facts};
use crate::guest::crash::Crash;
use crate::guest::symbols::Stack;
use agent_protocol::{DriverFile, Ids, QueueReport, Violation};
use anyhow::Result;
use cancelnic_registers::QueueId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The report's JSON form.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `good` or `bad`.
    pub verdict: &'static str,
    /// When, how long, with which command and in which versions.
    pub about: About,
    /// `understudy`, `stand-in` or `windows`; empty if the guest never came up.
    pub guest: String,
    /// The image that the guest was started from; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Seed of the run.
    pub seed: u64,
    /// The drivers as the guest saw them.
    pub drivers: Vec<DriverFile>,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// One for each queue.
    pub queues: Vec<Queue>,
    /// How far the queues' sets are what the device saw; left out if the guest told them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at_device: Option<SeenAtDevice>,
    /// How many frames met each fate; a fate that no frame met is left out.
    pub fates: BTreeMap<&'static str, u64>,
    /// The fates of all frames, in the order in which they were given to the sender.
    pub frames: Vec<fates::Run>,
    /// Subgroups of sends with cancellation IDs.
    pub subgroups: Vec<Subgroup>,
    /// Recalled requests.
    pub recalls: Vec<Recall>,
    /// The capture file; in JSON its path from the JSON file's folder.
    pub capture: PathBuf,
    /// What the device's judge found, as it saw it.
    pub findings: Vec<QueueFinding>,
    /// What was wrong, the cause first.
    pub violations: Vec<Violation>,
    /// Rules that were broken and only warn, in order; left out if there was none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Violation>,
    /// The lines that the drivers printed, in order.
    pub prints: Vec<Print>,
    /// Queues that were not given back; left out if there was none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hangs: Vec<Hang>,
    /// The calls that had not returned where the guest stopped; absent if it did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stacks: Vec<Stack>,
    /// How the guest as a whole failed, with its dumps; left out if it did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crashes: Vec<Crash>,
    /// What the guest said it can never do, so that the run ended there; left out if there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A finding of the device's judge.
#[derive(Debug, Serialize)]
pub struct QueueFinding {
    /// `tx0` or `rx0`.
    pub queue: String,
    /// What, where and when.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What is to be known of sets that the device saw.
#[derive(Debug, Serialize)]
pub struct SeenAtDevice {
    /// Whether the guest waited for its lists before it took the data path down, so that what a gate held was sent.
    pub lists_first: bool,
    /// Frames of the guest's own protocols, which are in no set.
    pub foreign: Foreign,
}

/// A line that a driver printed.
#[derive(Debug, Serialize)]
pub struct Print {
    /// From the start of the run to the moment at which the rig read it, in milliseconds.
    pub ms: f64,
    /// The line.
    pub text: String,
}

/// To the microsecond.
fn milliseconds(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A step of the run.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// Whether it went as it should.
    pub ok: bool,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// What was seen.
    pub detail: String,
}

/// A packet queue.
#[derive(Debug, Serialize)]
pub struct Queue {
    /// `tx0` or `rx0`.
    pub queue: String,
    /// Frames that the sender gave to the packet ring.
    pub posted: u64,
    /// Frames that came back as sent.
    pub sent: u64,
    /// Frames that the hardware gave back.
    pub taken_back: u64,
    /// Frames that were in the packet ring only.
    pub never_posted: u64,
    /// Frames that were posted and have no fate yet: the driver has not given them back.
    pub kept: u64,
    /// Frames received.
    pub received: u64,
    /// Receive buffers that came back empty.
    pub returned_empty: u64,
    /// Which frames, in order.
    pub ids: Sets,
}

/// Frames that a sender marked with one cancellation ID.
#[derive(Debug, Serialize)]
pub struct Subgroup {
    /// The ID, in hexadecimal: a number of 64 bits is no number to every reader of JSON.
    pub cancel_id: String,
    /// How many were given.
    pub given: u64,
    /// How many left the wire.
    pub sent: u64,
    /// How many came back with NDIS_STATUS_SEND_ABORTED.
    pub aborted: u64,
    /// Which frames.
    pub ids: SubgroupSets,
}

/// The numbers behind a subgroup's counts, in order.
#[derive(Debug, Serialize)]
pub struct SubgroupSets {
    /// Of [`Subgroup::sent`].
    pub sent: Vec<u64>,
    /// Of [`Subgroup::aborted`].
    pub aborted: Vec<u64>,
}

/// A request that was recalled.
#[derive(Debug, Serialize)]
pub struct Recall {
    /// What was asked for.
    pub request: String,
    /// What WdfRequestCancelSentRequest returned.
    pub returned: bool,
    /// Final NTSTATUS, in hexadecimal.
    pub status: String,
    /// What happened on both sides, in order.
    pub events: Vec<RequestEvent>,
}

/// One line of a driver's request log.
#[derive(Debug, Serialize)]
pub struct RequestEvent {
    /// The driver.
    pub driver: &'static str,
    /// What happened.
    pub what: &'static str,
    /// IRQL at which it happened.
    pub irql: u32,
}

/// The numbers behind a queue's counts, in order.
#[derive(Debug, Serialize)]
pub struct Sets {
    /// Of [`Queue::sent`].
    pub sent: Vec<u64>,
    /// Of [`Queue::taken_back`].
    pub taken_back: Vec<u64>,
    /// Of [`Queue::never_posted`].
    pub never_posted: Vec<u64>,
    /// Of [`Queue::kept`].
    pub kept: Vec<u64>,
    /// Of [`Queue::received`].
    pub received: Vec<u64>,
}

impl Report {
    /// Puts facts and judgement together. `capture` is where the capture file stands after the run.
    pub fn new(facts: &Facts, violations: &[Violation], capture: &Path) -> Self {
        let frames = fates::of(facts);
        Self {
            verdict: if violations.is_empty() { "good" } else { "bad" },
            about: About::of(facts),
            fates: fates::counts(&frames).into_iter().map(|(fate, count)| (fate.key(), count)).collect(),
            frames,
            guest: facts.greeting.as_ref().map(|greeting| greeting.guest.clone()).unwrap_or_default(),
            image: facts.greeting.as_ref().and_then(|greeting| greeting.image.clone()),
            seed: facts.seed,
            drivers: facts.greeting.as_ref().map(|greeting| greeting.drivers.clone()).unwrap_or_default(),
            steps: facts
                .steps
                .iter()
                .map(|step| Step {
                    name: step.name.clone(),
                    ok: step.ok,
                    ms: milliseconds(step.took),
                    detail: step.detail.clone(),
                })
                .collect(),
            queues: vec![queue(TX, &facts.tx, &facts.kept()), queue(RX, &facts.rx, &Ids::default())],
            seen_at_device: facts
                .fates_untold
                .then_some(SeenAtDevice { lists_first: facts.lists_first, foreign: facts.capture.foreign }),
            subgroups: facts.subgroups.iter().map(|group| subgroup(group, facts)).collect(),
            recalls: facts.recalls.iter().map(recall).collect(),
            capture: capture.to_path_buf(),
            findings: facts
                .device
                .queues
                .iter()
                .flat_map(|queue| {
                    queue
                        .findings
                        .iter()
                        .map(|finding| QueueFinding { queue: queue.queue.name().into(), finding: *finding })
                })
                .collect(),
            violations: violations.to_vec(),
            warnings: facts.warnings.iter().map(|warning| warning.violation.clone()).collect(),
            prints: facts
                .prints
                .iter()
                .map(|print| Print { ms: milliseconds(print.at), text: print.text.clone() })
                .collect(),
            hangs: facts.hangs.clone(),
            stacks: facts.stacks.clone(),
            crashes: facts.crashes.clone(),
            refused: facts.refused.clone(),
        }
    }

    /// The JSON form for a file in `folder`.
    pub fn json(&self, folder: &Path) -> Result<String> {
        let mut json = serde_json::to_value(self)?;
        json["capture"] = path_from(folder, &self.capture).to_string_lossy().into();
        Ok(format!("{json:#}\n"))
    }
}

fn subgroup(group: &facts::Subgroup, facts: &Facts) -> Subgroup {
    let sent = group.sent(facts);
    Subgroup {
        cancel_id: format!("{:#x}", group.cancel_id),
        given: group.given.len(),
        sent: sent.len(),
        aborted: group.aborted.len(),
        ids: SubgroupSets { sent: list(&sent), aborted: list(&group.aborted) },
    }
}

fn recall(recall: &facts::Recall) -> Recall {
    let event = |event: &facts::RequestEvent| RequestEvent {
        driver: event.driver,
        what: event.what,
        irql: event.irql,
    };
    Recall {
        request: recall.request.clone(),
        returned: recall.returned,
        status: format!("{:#010x}", recall.status),
        events: recall.events.iter().map(event).collect(),
    }
}

fn list(ids: &Ids) -> Vec<u64> {
    ids.iter().collect()
}

fn queue(queue: QueueId, report: &QueueReport, kept: &Ids) -> Queue {
    Queue {
        queue: queue.name().to_owned(),
        posted: report.posted.len(),
        sent: report.sent.len(),
        taken_back: report.taken_back.len(),
        never_posted: report.never_posted.len(),
        kept: kept.len(),
        received: report.received.len(),
        returned_empty: report.returned_empty,
        ids: Sets {
            sent: list(&report.sent),
            taken_back: list(&report.taken_back),
            never_posted: list(&report.never_posted),
            kept: list(kept),
            received: list(&report.received),
        },
    }
}
