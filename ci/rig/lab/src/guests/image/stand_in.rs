//! Understudy on a disk: it can be asked for everything that needs no other start.

use super::medium::Medium;
use crate::guest::agent::AgentError;
use crate::guest::need::Need;
use crate::run::{Ended, Guest, Run};
use crate::session::boot::Boot;
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;

/// The stand-in's guest.
#[derive(Debug)]
pub(super) struct StandIn(pub(super) Medium);

/// Why no image can be asked for something: how it starts is fixed.
pub(super) fn lacks(need: Need) -> Option<&'static str> {
    match need {
        Need::OwnKernel => Some("it is about the command itself, or about understudy's own kernel"),
        Need::TestBuild => Some("the drivers on the image are those that ship, not test builds"),
        Need::Framework => Some("the framework cannot be told which of its ways to take"),
        _ => None,
    }
}

impl Guest for StandIn {
    fn boot(&self) -> Arc<dyn Boot> {
        Arc::new(self.0.clone())
    }

    fn lacks(&self, need: Need) -> Option<&'static str> {
        lacks(need)
    }

    fn other_files(&self) -> &'static str {
        Medium::OTHER_FILES
    }

    fn configure(&self, run: &mut Run) -> Result<()> {
        Medium::configure(run)
    }

    /// Its end is looked into when the run ends.
    fn explain_silence(&self, run: &mut Run, silence: Duration) -> anyhow::Error {
        run.session.explain(AgentError::TimedOut(silence))
    }

    fn end(&self, run: &mut Run, ended: Ended) {
        self.0.end(run, ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_can_be_asked_for_what_needs_no_other_start() {
        assert_eq!(lacks(Need::Pause), None);
        assert!(lacks(Need::TestBuild).is_some());
    }
}
