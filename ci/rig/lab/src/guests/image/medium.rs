//! What all images have in common: their machine starts from a disk, through firmware, and is off in the end, without an
//! exit code. As a guest, such a disk is understudy's: it can be asked for everything that needs no other start.

use crate::guest::agent::{Agent, AgentError};
use crate::guest::need::Need;
use crate::guest::symbols::Symbols;
use crate::machine::store::Image;
use crate::machine::{Overlay, Windows as Machine};
use crate::run::{Ended, Guest, Run};
use crate::session::boot::{Boot, End, Patience};
use crate::settings::Settings;
use anyhow::Result;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An image, and what its guest leaves when it fails.
#[derive(Debug, Clone)]
pub(super) struct Medium {
    image: Arc<Image>,
    patience: Patience,
    /// Whether the guest writes a dump at a bug check, and restarts.
    pub(super) writes_dumps: bool,
}

impl Medium {
    /// Understudy on a disk.
    pub(super) fn of_stand_in(image: Arc<Image>) -> Self {
        Self { image, patience: Patience { start: 120, act: 20, end: 20 }, writes_dumps: false }
    }

    /// Windows.
    pub(super) fn of_windows(image: Arc<Image>, patience: Patience) -> Self {
        Self { image, patience, writes_dumps: true }
    }
}

/// Why no image can be asked for something: how it starts is fixed.
pub(super) fn lacks(need: Need) -> Option<&'static str> {
    match need {
        Need::OwnKernel => Some("it is about the command itself, or about understudy's own kernel"),
        Need::TestBuild => Some("the drivers on the image are those that ship, not test builds"),
        Need::Framework => Some("the framework cannot be told which of its ways to take"),
        _ => None,
    }
}

impl Guest for Medium {
    fn boot(&self) -> Arc<dyn Boot> {
        Arc::new(self.clone())
    }

    fn lacks(&self, need: Need) -> Option<&'static str> {
        lacks(need)
    }

    fn other_files(&self) -> &'static str {
        "the image is of another build: make a new one"
    }

    /// A guest on an image has no command line to read the parameters from.
    fn configure(&self, run: &mut Run) -> Result<()> {
        let parameters = run.settings.parameters();
        if parameters.is_empty() {
            return Ok(());
        }
        let set = parameters.iter().map(|(name, value)| format!("{name} = {value}"));
        let set = set.collect::<Vec<_>>().join(", ");
        let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        run.step("set the drivers' parameters", |run| {
            run.ask(agent_protocol::Command::Configure { parameters })?;
            Ok(((), set))
        })
    }

    /// Its end is looked into when the run ends.
    fn explain_silence(&self, run: &mut Run, silence: Duration) -> anyhow::Error {
        run.session.explain(AgentError::TimedOut(silence))
    }

    /// Evidence is taken first of a guest that has failed.
    fn end(&self, run: &mut Run, Ended { stopped, went_well }: Ended) {
        if stopped || !went_well {
            run.take_evidence(self);
            // A failure is a step like any other: it stands in the facts.
            let _ = run.step("switch the machine off", |run| Ok((run.session.abandon()?, String::new())));
        } else if !run.may_go_on() {
            run.power_off(false);
        }
    }
}

impl Boot for Medium {
    fn arguments(&self, folder: &Path, settings: &Settings) -> Result<Vec<OsString>> {
        let overlay = Overlay::new(folder, &self.image)?;
        let machine = overlay.machine(settings.device.queue_size);
        Ok(Machine { gdb: settings.gdb, ..machine }.arguments())
    }

    fn agent(&self, line: UnixStream, symbols: Arc<Symbols>) -> io::Result<Agent> {
        Agent::behind_firmware(line, symbols)
    }

    fn name(&self, _told: String) -> (String, Option<String>) {
        let manifest = self.image.manifest();
        (manifest.description.guest.to_string(), Some(manifest.name.clone()))
    }

    fn patience(&self) -> Patience {
        self.patience
    }

    fn exit_code(&self, _end: End) -> i32 {
        0
    }

    fn outlives_its_agent(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_can_be_asked_for_what_needs_no_other_start() {
        assert_eq!(lacks(Need::Pause), None);
        assert!(lacks(Need::TestBuild).is_some());
    }
}
