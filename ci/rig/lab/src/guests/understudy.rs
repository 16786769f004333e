//! The stand-in kernel, started by QEMU itself: it can be asked for everything.

use crate::guest::agent::Agent;
use crate::guest::need::Need;
use crate::guest::symbols::Symbols;
use crate::machine::{Accelerator, Understudy as Machine};
use crate::run::{Ended, Guest, Run};
use crate::session::boot::{Boot, End, Patience};
use crate::session::exits::{EXIT_BUG_CHECK, EXIT_ORDERLY};
use crate::settings::Settings;
use anyhow::{Context as _, Result};
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

/// The stand-in kernel.
#[derive(Debug, Clone, Copy)]
struct Understudy;

/// The stand-in kernel as a guest.
pub fn understudy() -> Arc<dyn Guest> {
    Arc::new(Understudy)
}

impl Boot for Understudy {
    fn arguments(&self, folder: &Path, settings: &Settings) -> Result<Vec<OsString>> {
        Accelerator::chosen_or("tcg").check_choice()?;
        let bundle = folder.join(Machine::BUNDLE);
        std::fs::write(&bundle, settings.files.bundle()?)
            .with_context(|| format!("cannot write {}", bundle.display()))?;
        let machine = Machine {
            folder,
            kernel: &settings.files.kernel,
            command_line: settings.command_line(),
            hardware: &settings.hardware,
            queue_size: settings.device.queue_size,
            gdb: settings.gdb,
        };
        Ok(machine.arguments())
    }

    fn agent(&self, line: UnixStream, symbols: Arc<Symbols>) -> io::Result<Agent> {
        Agent::with_symbols(line, symbols)
    }

    fn name(&self, told: String) -> (String, Option<String>) {
        (told, None)
    }

    fn patience(&self) -> Patience {
        Patience { start: 20, act: 20, end: 20 }
    }

    fn exit_code(&self, end: End) -> i32 {
        match end {
            End::PowerOff => EXIT_ORDERLY,
            End::BugCheck => EXIT_BUG_CHECK,
        }
    }

    fn outlives_its_agent(&self) -> bool {
        false
    }
}

impl Guest for Understudy {
    fn boot(&self) -> Arc<dyn Boot> {
        Arc::new(*self)
    }

    fn lacks(&self, _need: Need) -> Option<&'static str> {
        None
    }

    fn other_files(&self) -> &'static str {
        "understudy was given other files"
    }

    fn end(&self, run: &mut Run, Ended { stopped, went_well }: Ended) {
        if stopped || (went_well && !run.may_go_on()) {
            run.power_off(stopped);
        }
    }
}
