//! The end of a run: the guest is heard out, the machine goes, what the device has left is read.

use super::trouble::Trouble;
use super::{Ended, LAST_WORDS, Run, timeline};
use crate::base::failure::one_line;
use crate::device::trace;
use crate::facts::Facts;
use crate::guest::agent::AgentError;
use crate::session::Session;
use crate::verdict::violation;
use agent_protocol::Command;
use anyhow::Result;
use std::sync::Arc;

impl Run {
    /// After a failure: asks the guest once more about its queues, so that what is judged is as complete as can be.
    /// Whether the guest has reported the fates that there are.
    pub(super) fn hear_last(&mut self) -> bool {
        if self.facts.steps.iter().all(|step| step.ok) {
            return true;
        }
        if self.mute || self.trouble == Some(Trouble::Gone) || self.session.agent.bug_check().is_some() {
            return false;
        }
        match self.session.agent.call(Command::Report, LAST_WORDS) {
            Ok(report) => {
                self.keep(report);
                true
            }
            // A guest that refuses to report, before its drivers are loaded say, has no frames.
            Err(AgentError::Failed(_) | AgentError::Unsupported(_)) => true,
            Err(_) => false,
        }
    }

    /// Lets the guest power off, or waits for its end if it has stopped with a bug check.
    pub(crate) fn power_off(&mut self, stopped: bool) {
        // A failure is a step like any other: it stands in the facts.
        let _ = self.step("power off", |run| {
            if stopped {
                run.session.end_after_bug_check()?
            } else {
                run.session.end()?
            }
            Ok(((), String::new()))
        });
    }

    /// Whether the machine may run another scenario once this one is judged.
    pub(crate) fn may_go_on(&self) -> bool {
        self.pool.is_some()
    }

    /// Ends the run: unloads if the scenario went well and left the driver loaded, powers off, reads the capture.
    pub fn finish(mut self, scenario: Result<()>) -> (Facts, Session) {
        if scenario.is_ok() && self.loaded {
            // A failure is a step like any other: it stands in the facts.
            let _ = self.unload();
        }
        let guest = Arc::clone(&self.guest);
        let fates_are_known = guest.hear_last(&mut self);
        match self.session.control.stats() {
            Ok(stats) => self.facts.device = stats,
            // A device that has gone is named by the step that missed it. It leaves when QEMU does, and QEMU when the guest
            // has stopped: the guest's last words may still be on their way.
            Err(_) if self.facts.steps.iter().any(|step| !step.ok) => self.session.hear_out(),
            Err(error) => self.facts.violations.push(violation("NoDeviceCounts", "", one_line(&error))),
        }
        let bug_check = self.session.bug_check();
        let stopped = bug_check.is_some();
        if let Some(AgentError::BugCheck { violation, view, stack, .. }) = bug_check
            && !self.facts.violations.contains(&violation)
        {
            // A step that failed for another reason, as the machine was off already.
            self.note_bug_check(violation, view, stack);
        }
        let went_well = self.facts.steps.iter().all(|step| step.ok);
        guest.end(&mut self, Ended { stopped, went_well });
        if let Err(error) = scenario
            && self.facts.steps.iter().all(|step| step.ok)
        {
            self.facts.violations.push(violation("ScenarioFailed", "", one_line(&error)));
        }
        self.facts.origin.lasted = self.started.elapsed();
        timeline::collect(&self.session, self.started, &self.ended_lives, &mut self.facts);
        match self.session.read_capture() {
            Ok(capture) => self.facts.capture = capture,
            Err(error) => self.facts.violations.push(violation("NoCapture", "", one_line(&error))),
        }
        let trace = self.session.folder().join("trace.json");
        match trace::states(&trace, self.facts.origin.monotonic_us) {
            _ if self.facts.other_device => {}
            Ok(states) => self.facts.states = states,
            Err(error) => self.facts.violations.push(violation("NoTrace", "", one_line(&error))),
        }
        guest.complete_fates(&mut self.facts, fates_are_known);
        (self.facts, self.session)
    }
}
