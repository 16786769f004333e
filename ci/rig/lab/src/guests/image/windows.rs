//! Windows, and what it may do: the one place for what nobody has seen yet. The stand-in that is asked only for what Windows
//! can be asked for goes this way too.
//!
//! - A program cannot pause a data path: it disables the device, which ends the files open on it.
//! - NDIS may pause filters and protocols, which wait for their lists, before it turns to the miniport.
//! - A device that is disabled could be reset in place of a cancel.
//! - No frame's fate is told: the sets are those that the device saw ([`outside`]).
//! - There is no protocol driver of ours: plain frames are sent by the filter.

use super::medium::{self, Medium};
use super::outside;
use crate::base::wait::Look;
use crate::device::control::{COMPLETE, FETCH, State, WIRE};
use crate::device::{RX, TX};
use crate::facts::Facts;
use crate::facts::reports::sizes;
use crate::guest::agent::AgentError;
use crate::guest::need::Need;
use crate::run::filter::Filter;
use crate::run::{Ended, FATES, Guest, Pausing, Run};
use crate::session::boot::{Boot, Patience};
use crate::verdict::violation;
use agent_protocol::Command;
use anyhow::{Result, anyhow};
use cancelnic_ioctl::FILTER_DEVICE;
use cancelnic_registers::QueueId;
use std::sync::Arc;
use std::time::Duration;

/// How long Windows takes at most.
pub(super) const PATIENCE: Patience = Patience { start: 900, act: 120, end: 300 };

/// Between two looks at the device.
const LOOK: Duration = Duration::from_millis(5);

/// How long a guest that disables a device may let its queues run on before it counts as one that waits for its lists.
const HESITATION: Duration = Duration::from_secs(2);

/// The guest.
#[derive(Debug)]
pub(super) struct Windows(pub(super) Medium);

/// Why it cannot be asked for something; `None` if it can.
fn lacks(need: Need) -> Option<&'static str> {
    match need {
        Need::Parameters => None,
        Need::Pause => {
            Some("Windows pauses a data path only on the way to something else, such as a disabled device")
        }
        Need::Sleep => Some("a program can only disable a device, which ends the files open on it"),
        Need::Callbacks => Some("only a debugger sees its drivers' callbacks and prints"),
        Need::HoldPoints => Some("its framework cannot be held in the middle of a call"),
        Need::Views => Some("its rings are seen from outside only"),
        Need::Fates => Some("it does not tell the fate of a frame that is not on the hardware"),
        Need::Protocol => Some("the protocols over the NIC are its own"),
        Need::NoMemory => Some("which of its allocations fails cannot be chosen"),
        Need::Surprise => Some("no program in it can pull the device out"),
        Need::OwnKernel | Need::TestBuild | Need::Framework => medium::lacks(need),
    }
}

/// Whether it waits for its lists while a gate holds frames: then the gates of transmit are opened.
fn open_gates_for_lists(run: &mut Run, pausing: &Pausing) -> Result<bool> {
    let tx = run.session.control.queue(TX).map_err(|error| run.session.explain(error))?;
    let owed = tx.available + tx.fetched + tx.on_wire + tx.off_wire;
    let waits = tx.cancels == pausing.cancels[0] && owed > 0;
    if !waits || pausing.since.elapsed() < HESITATION {
        return Ok(false);
    }
    run.facts.lists_first = true;
    pausing.gates_opened.set(true);
    for gate in [FETCH, WIRE, COMPLETE] {
        let opened = run.session.control.set_gate(gate, true);
        opened.map_err(|error| run.session.explain(error))?;
    }
    Ok(true)
}

impl Guest for Windows {
    fn boot(&self) -> Arc<dyn Boot> {
        self.0.boot()
    }

    fn lacks(&self, need: Need) -> Option<&'static str> {
        lacks(need)
    }

    fn other_files(&self) -> &'static str {
        self.0.other_files()
    }

    fn configure(&self, run: &mut Run) -> Result<()> {
        self.0.configure(run)
    }

    /// The filter is opened for it alone: a file left open would outlast the drivers.
    fn send(&self, run: &mut Run, count: u32) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let filter = Filter { file: run.open(FILTER_DEVICE)? };
        filter.send(run, count, 0)?;
        run.close(filter.file)
    }

    fn pause(&self, cancels: u32) -> (&'static str, Command) {
        match cancels {
            1 => ("disable the device: cancel both queues", Command::PowerDown),
            _ => ("pause: cancel both queues", Command::Pause { cancels }),
        }
    }

    fn restart(&self) -> (&'static str, Command) {
        ("enable the device", Command::PowerUp)
    }

    /// Until the command is answered, or has taken so long that the usual end of patience will judge it.
    fn help_down(&self, run: &mut Run, pausing: &Pausing) -> Result<()> {
        while pausing.since.elapsed() < run.patience {
            match run.session.agent.finish(&pausing.pending, LOOK) {
                Err(AgentError::TimedOut(_)) => _ = open_gates_for_lists(run, pausing)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// It may let its lists come back before; then nothing is waited for.
    fn await_cancelling(&self, run: &mut Run, pausing: &Pausing, queue: QueueId) -> Result<()> {
        run.step(format!("wait for {queue} CANCELLING"), |run| {
            let seen = run.wait(&format!("{queue} CANCELLING"), |run| {
                let seen = run.session.control.queue(queue).map_err(|error| run.session.explain(error))?;
                Ok(if seen.state == State::Cancelling {
                    Look::Found(seen.describe())
                } else if open_gates_for_lists(run, pausing)? {
                    Look::Found("not before its lists have come back".into())
                } else {
                    Look::NotYet(seen.describe())
                })
            })?;
            Ok(((), seen))
        })
    }

    /// Each queue that can be cancelled has been.
    fn check_down(&self, run: &mut Run, pausing: &Pausing) -> Result<&'static str> {
        let [tx, rx] = run.cancels()?;
        let missed = if run.settings.device.tx_cancel && tx == pausing.cancels[0] {
            TX
        } else if rx == pausing.cancels[1] {
            RX
        } else {
            return Ok(if pausing.gates_opened.get() { "; lists first, gates opened" } else { "" });
        };
        let place = format!("{missed}: stopped without CANCEL");
        Err(run.fault(violation("QueueNotCancelled", "EvtCancel", place)))
    }

    fn look(&self, run: &mut Run) -> Result<()> {
        run.facts.device = run.session.control.stats().map_err(|error| run.session.explain(error))?;
        run.facts.capture = run.session.read_capture()?;
        outside::look(&mut run.facts);
        Ok(())
    }

    fn close_books(&self, run: &mut Run) -> Result<()> {
        self.look(run)?;
        outside::assume_never_posted(&mut run.facts);
        Ok(())
    }

    /// Once it has let all lists come back before it took the data path down, those that were on the hardware and waited have
    /// been sent.
    fn expect_fates(&self, run: &mut Run, expected: [u64; 3]) -> Result<()> {
        if !run.facts.lists_first {
            return run.expect(FATES, sizes(&run.facts.tx), expected);
        }
        run.step(format!("expect {FATES}, or sent instead"), |run| {
            let (seen, sent) = (sizes(&run.facts.tx), expected[0]);
            if seen.iter().sum::<u64>() != expected.iter().sum::<u64>() || seen[0] < sent {
                return Err(anyhow!("expected {expected:?} or more sent instead, saw {seen:?}"));
            }
            run.facts.sent_instead = seen[0] - sent;
            Ok(((), format!("{seen:?}")))
        })
    }

    fn hear_last(&self, _run: &mut Run) -> bool {
        true
    }

    fn complete_fates(&self, facts: &mut Facts, _all_reported: bool) {
        outside::look(facts);
    }

    fn explain_silence(&self, run: &mut Run, silence: Duration) -> anyhow::Error {
        self.0.explain_silence(run, silence)
    }

    fn end(&self, run: &mut Run, ended: Ended) {
        self.0.end(run, ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lacks_what_no_image_can_do_and_a_pause() {
        assert!(lacks(Need::Pause).is_some() && lacks(Need::TestBuild).is_some());
        assert_eq!(lacks(Need::Parameters), None);
    }
}
