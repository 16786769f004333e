//! The rules by which a run is judged. Each reads the facts alone, and names what it finds.
//!
//! Faults are listed with the cause before the symptom. A rule that [`Holds::Always`] is judged in every run: what it
//! compares is definite as soon as it is known. A rule that [`Holds::AtEnd`] needs a run that got to its end, because
//! it compares whole sets.

mod device;
mod fates;
mod sets;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub use device::{device_faults, given_up};
pub use words::{RUNS_SHOWN, fault_of, runs, violation};

use crate::facts::Facts;
use agent_protocol::Violation;
use device::driver_reset;

/// When a rule can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Also in a run that failed half-way: whatever is still missing could not explain what the rule finds.
    Always,
    /// Only when the run got to its end: until then sets may lack frames whose fate is not known yet.
    AtEnd,
}

/// What a rule has to have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    /// The guest's reports alone.
    Guest,
    /// The wire's capture too.
    Wire,
    /// The counts of cancelnic's device too.
    Device,
}

impl Sees {
    /// Whether that was to be seen.
    fn is_there(self, facts: &Facts) -> bool {
        match self {
            Self::Guest => true,
            Self::Wire => !facts.other_device || facts.wire,
            Self::Device => !facts.other_device,
        }
    }
}

/// A rule reads the facts and adds what it finds.
type Judge = fn(&Facts, &mut Vec<Violation>);

/// The rules, in the order in which their faults are listed.
const RULES: [(Holds, Sees, Judge); 14] = [
    (Holds::Always, Sees::Wire, fates::contradictions),
    (Holds::Always, Sees::Guest, sets::sets_disjoint),
    (Holds::Always, Sees::Guest, sets::lists_sound),
    (Holds::Always, Sees::Wire, sets::frames_whole),
    (Holds::Always, Sees::Wire, sets::received_was_delivered),
    (Holds::Always, Sees::Device, sets::device_refused),
    (Holds::AtEnd, Sees::Guest, sets::nothing_kept),
    (Holds::AtEnd, Sees::Guest, sets::above_the_ring),
    (Holds::AtEnd, Sees::Guest, sets::lists_agree),
    (Holds::AtEnd, Sees::Wire, fates::wire_agrees),
    (Holds::AtEnd, Sees::Wire, sets::receive_agrees),
    (Holds::AtEnd, Sees::Device, sets::everything_arrived),
    (Holds::AtEnd, Sees::Guest, sets::driver_agrees),
    (Holds::AtEnd, Sees::Device, sets::device_agrees),
];

/// Faults seen while a run went on that are mostly consequences of others, which the sets and the device's judge name.
const CONSEQUENCES: [&str; 11] = [
    "AgentLost",
    "GuestHangs",
    "GuestRestarted",
    "MachineOff",
    "NoCapture",
    "NoDeviceCounts",
    "NoTrace",
    "PacketKept",
    "QueueNotCancelled",
    "QueueNotResumed",
    "ScenarioFailed",
];

/// Everything that is wrong with a run, the cause before the symptom:
///
/// 1. the driver has given the device up: nothing of what follows can be right;
/// 2. a rule of the guest's framework, or another fault that ended the run where it happened;
/// 3. contradictions between what driver, device and wire report of a frame;
/// 4. the findings of the device's judge;
/// 5. consequences: the guest hangs, a queue does not run;
/// 6. failed steps;
/// 7. the rules on whole sets, if none of the others was broken and the run got to its end.
pub fn judge(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    driver_reset(facts, &mut found);
    let is_consequence = |fault: &&Violation| CONSEQUENCES.contains(&fault.rule.as_str());
    found.extend(facts.violations.iter().filter(|fault| !is_consequence(fault)).cloned());
    apply(Holds::Always, facts, &mut found);
    found.extend(device_faults(&facts.device, facts.device_given_up));
    found.extend(facts.violations.iter().filter(is_consequence).cloned());
    let ended = facts.steps.iter().all(|step| step.ok);
    for step in facts.steps.iter().filter(|step| !step.ok) {
        // A fault that a step named itself is in the list already.
        if !found.iter().any(|violation| step.detail.contains(&violation.rule)) {
            found.push(violation("StepFailed", &step.name, &step.detail));
        }
    }
    if ended && facts.violations.is_empty() && device_faults(&facts.device, facts.device_given_up).is_empty()
    {
        apply(Holds::AtEnd, facts, &mut found);
    }
    found
}

fn apply(holds: Holds, facts: &Facts, found: &mut Vec<Violation>) {
    let due = RULES.iter().filter(|(when, sees, _)| *when == holds && sees.is_there(facts));
    due.for_each(|(.., judge)| judge(facts, found));
}
