//! Everything that a run has shown, before anyone judges it.
//!
//! All times are on one clock: the machine's monotonic clock as the rig reads it, from the start of the run.
//!
//! - The rig's steps are measured on it.
//! - The device writes its trace on the same machine, and names the monotonic time of its 0 there: its states are as
//!   exact as the rig's steps.
//! - The guest counts from its first instruction. Its 0 follows from its greeting, which reports how long the guest has
//!   run and which the rig has read at a known time: callbacks may be late by as long as that line took, about a
//!   millisecond on an idle machine.
//! - A line that a driver prints bears no time: it has that at which the rig read it.

pub mod example;
pub mod hang;
pub mod reports;

use crate::device::capture::Capture;
use crate::device::control::Stats;
use crate::device::trace::Sample;
use crate::facts::hang::Hang;
use crate::guest::crash::Crash;
use crate::guest::driver_log::DriverLog;
use crate::guest::greeting::Greeting;
use crate::guest::need::Need;
use crate::guest::symbols::Stack;
use agent_protocol::{Ids, ListReport, QueueReport, Violation};
use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

/// One step of a run.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// Whether it went as it should.
    pub ok: bool,
    /// From the start of the run to its beginning.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// What was seen.
    pub detail: String,
}

/// A callback or framework step, on the rig's clock.
#[derive(Debug, Clone)]
pub struct Callback {
    /// From the start of the run to its beginning.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// `tx0`, `rx0` or `device`.
    pub queue: String,
    /// Its name.
    pub what: String,
    /// IRQL at which it ran.
    pub irql: u8,
}

/// A line that a driver printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Print {
    /// From the start of the run to the moment at which the rig read it.
    pub at: Duration,
    /// The line, which begins with the driver's name.
    pub text: String,
}

/// A rule that was broken and only warns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// From the start of the run.
    pub at: Duration,
    /// What was broken.
    pub violation: Violation,
}

/// A stretch of frames that left the wire while receive was up: places in the capture's outbound order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// First place.
    pub from: u64,
    /// Behind the last place.
    pub to: u64,
    /// How many of them the device had no buffer for.
    pub dropped: u64,
}

/// Frames that one sender marked with one cancellation ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subgroup {
    /// The ID.
    pub cancel_id: u64,
    /// All of them.
    pub given: Ids,
    /// Those that came back with NDIS_STATUS_SEND_ABORTED.
    pub aborted: Ids,
}

impl Subgroup {
    /// Those that came back from the ring as sent, in order.
    pub fn sent(&self, facts: &Facts) -> Ids {
        let given: HashSet<u64> = self.given.iter().collect();
        facts.tx.sent.iter().filter(|id| given.contains(id)).collect()
    }
}

/// A request that a driver sent to another and recalled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// What was asked for.
    pub request: String,
    /// What WdfRequestCancelSentRequest returned.
    pub returned: bool,
    /// Its final NTSTATUS.
    pub status: u32,
    /// What happened on both sides, in order.
    pub events: Vec<RequestEvent>,
}

/// One line of a driver's request log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestEvent {
    /// The driver.
    pub driver: &'static str,
    /// What happened.
    pub what: &'static str,
    /// IRQL at which it happened.
    pub irql: u32,
}

/// Which run it was, and when.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// `demo`, or the scenario's name; empty of a run that never began.
    pub name: &'static str,
    /// The command line that does it again; empty if nobody gave one.
    pub command: String,
    /// Time 0 of all moments here, on the time of day: the capture's clock.
    pub began: Option<DateTime<Utc>>,
    /// Time 0 on CLOCK_MONOTONIC, in microseconds: the clock to which the device's trace is tied.
    pub monotonic_us: f64,
    /// From there to the end.
    pub lasted: Duration,
}

impl Origin {
    /// A run that begins now.
    pub fn now(name: &'static str, command: &str) -> Self {
        let monotonic = clock_gettime(ClockId::Monotonic);
        Self {
            name,
            command: command.to_owned(),
            began: Some(Utc::now()),
            monotonic_us: monotonic.tv_sec as f64 * 1e6 + monotonic.tv_nsec as f64 / 1e3,
            lasted: Duration::ZERO,
        }
    }
}

/// What is known when a run is over.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Which run it was, and when.
    pub origin: Origin,
    /// The guest's seed.
    pub seed: u64,
    /// Whether the NIC's driver is another project's: it need not print its counts as ours does.
    pub foreign_driver: bool,
    /// Whether the device is not cancelnic's, so that nobody counts there, and takes back.
    pub other_device: bool,
    /// Whether there is a capture of the wire of such a device.
    pub wire: bool,
    /// Whether the guest refused to load the drivers, as it had to: none of them has run queues.
    pub load_refused: bool,
    /// What the guest said of itself; `None` if it never came up.
    pub greeting: Option<Greeting>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Callbacks in order.
    pub callbacks: Vec<Callback>,
    /// Every change of a queue's STATE, in order.
    pub states: Vec<Sample>,
    /// What the drivers printed, in order.
    pub prints: Vec<Print>,
    /// Rules that were broken and only warn, in order.
    pub warnings: Vec<Warning>,
    /// Numbers that the rig gave to the sender.
    pub offered: Ids,
    /// Numbers that the rig injected at the device, for receive.
    pub injected: Ids,
    /// The guest's last word on the transmit queue.
    pub tx: QueueReport,
    /// The guest's last word on the receive queue.
    pub rx: QueueReport,
    /// The overlying driver's last word on its net buffer lists, summed over the run; `None` from a guest without one.
    pub lists: Option<ListReport>,
    /// Numbers of the frames that the filter made by itself; part of [`Facts::offered`].
    pub originated: Ids,
    /// Of those, the ones that ended in the filter: cancelled by ID, or refused by a paused stack.
    pub originated_ended: Ids,
    /// Subgroups of the filter's own sends, in the order of their IDs' making.
    pub subgroups: Vec<Subgroup>,
    /// Requests that were recalled.
    pub recalls: Vec<Recall>,
    /// The driver's stop lines.
    pub driver: DriverLog,
    /// The device's last counts.
    pub device: Stats,
    /// The device's capture.
    pub capture: Capture,
    /// Frames that must have been received.
    pub must_arrive: Vec<Stretch>,
    /// Queues that were not given back.
    pub hangs: Vec<Hang>,
    /// The calls that had not returned where the guest stopped.
    pub stacks: Vec<Stack>,
    /// How the guest as a whole failed.
    pub crashes: Vec<Crash>,
    /// Frames whose fate the guest did not report before it ended: they are in the sets by what the device saw.
    pub only_at_device: Ids,
    /// Whether the guest tells no frame's fate: then the queues' sets are what was seen at the device.
    pub fates_untold: bool,
    /// Whether the guest waited for its lists before it took the data path down, so that what a gate held was sent.
    pub lists_first: bool,
    /// Frames that were sent, where the scenario has them taken back, by a guest that waits for its lists first.
    pub sent_instead: u64,
    /// What the guest was asked for that not every guest can do.
    pub needed: BTreeSet<Need>,
    /// What the guest said it can never do; the run ended there.
    pub refused: Option<String>,
    /// Faults that were seen while the run went on.
    pub violations: Vec<Violation>,
    /// Whether the driver is expected to have given the device up: then what was under way may be in no set of the
    /// device's.
    pub device_given_up: bool,
}

impl Facts {
    /// Frames that were posted and of which no fate is known: neither sent, nor taken back, nor never posted.
    pub fn kept(&self) -> Ids {
        let tx = &self.tx;
        let known: HashSet<u64> =
            [&tx.sent, &tx.taken_back, &tx.never_posted].into_iter().flat_map(Ids::iter).collect();
        tx.posted.iter().filter(|id| !known.contains(id)).collect()
    }
}
