//! One queue's command and status register.

use cancelnic_registers::{CommandResult, CommandWord, Op, QueueId, State, StatusWord, next_seq};

use crate::{hardware::Registers, outcome::Fault};

/// What the status register says about the last command written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The device has not taken it yet.
    NotYet,
    /// Taken; the queue is in this state.
    Taken(State),
}

/// The registers of one queue. Nobody else writes this queue's command register.
#[derive(Debug)]
pub struct CommandPort {
    command: u32,
    status: u32,
    last: Option<u8>,
}

impl CommandPort {
    /// The registers of `queue`.
    #[must_use]
    pub const fn new(queue: QueueId) -> Self {
        Self { command: queue.command_offset() as u32, status: queue.status_offset() as u32, last: None }
    }

    /// Writes `op` under the SEQ that follows the device's own count, which goes on over resets and
    /// reloads. One read, one write.
    ///
    /// # Errors
    /// [`Fault::Gone`]: nothing was written.
    pub fn issue(&mut self, registers: &impl Registers, op: Op) -> Result<(), Fault> {
        let status = StatusWord::from_bits(registers.read(self.status));
        if status.is_gone() {
            return Err(Fault::Gone);
        }
        let seq = next_seq(status.seq());
        self.last = Some(seq);
        registers.write(self.command, CommandWord::command(seq, op).into_bits());
        Ok(())
    }

    /// What became of the last command that [`Self::issue`] wrote. One read.
    ///
    /// # Errors
    /// The device is gone, refused the command, or answers nonsense.
    pub fn answer(&self, registers: &impl Registers) -> Result<Answer, Fault> {
        let status = StatusWord::from_bits(registers.read(self.status));
        if status.is_gone() {
            return Err(Fault::Gone);
        }
        if self.last != Some(status.seq()) {
            return Ok(Answer::NotYet);
        }
        match (status.result(), status.state()) {
            (Some(CommandResult::Ok | CommandResult::Pending), Some(state)) => Ok(Answer::Taken(state)),
            (Some(refusal), Some(_)) => Err(Fault::Refused(refusal)),
            _ => Err(Fault::Nonsense(status)),
        }
    }
}
