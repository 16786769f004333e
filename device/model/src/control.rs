//! The state machine behind a queue's command and status registers. It decides; the queue acts.
//!
//! Rules: REG12 to REG16 (`device/registers/README.md`).

use cancelnic_registers::{Caps, CommandResult, CommandWord, Direction, Op, State, StatusWord};

use crate::StatusRegister;

/// State of one queue as far as commands go, and what its status register shows of it.
#[derive(Debug)]
pub(crate) struct Control {
    register: StatusRegister,
    can_cancel: bool,
    can_drain: bool,
    seq: u8,
    state: State,
    result: CommandResult,
    count: u16,
    /// A RESUME waits for STOPPED.
    latched: bool,
    /// C7: an interrupt is owed, whatever interrupt suppression asks for.
    owes_interrupt: bool,
    cancels: u64,
}

impl Control {
    /// Of a queue in that direction, of a device with these capabilities.
    pub(crate) fn new(direction: Direction, caps: Caps) -> Control {
        Control {
            register: StatusRegister::default(),
            can_cancel: match direction {
                Direction::Tx => caps.tx_cancel(),
                Direction::Rx => caps.rx_cancel(),
            },
            can_drain: direction == Direction::Tx && caps.tx_drain(),
            seq: 0,
            state: State::Running,
            result: CommandResult::Ok,
            count: 0,
            latched: false,
            owes_interrupt: false,
            cancels: 0,
        }
    }

    pub(crate) fn register(&self) -> StatusRegister {
        self.register.clone()
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// CANCELs carried out.
    pub(crate) fn cancels(&self) -> u64 {
        self.cancels
    }

    fn word(&self) -> StatusWord {
        StatusWord::new()
            .with_seq(self.seq)
            .with_state(self.state)
            .with_result(self.result)
            .with_count(self.count)
    }

    /// Makes what was decided readable. Every used element that it speaks of is written by now (C5).
    pub(crate) fn publish(&self) {
        self.register.publish(self.word());
    }

    /// Takes a command. `Some` if it is to be carried out by [`Control::cancel`], [`Control::resume`] or
    /// [`Control::drain`]; else it is refused and nothing but SEQ and RESULT changes.
    pub(crate) fn take(&mut self, word: CommandWord, health: Result<(), CommandResult>) -> Option<Op> {
        self.seq = word.seq();
        let op = match word.op() {
            None => Err(CommandResult::UnknownOp),
            Some(Op::Cancel) if !self.can_cancel => Err(CommandResult::NotSupported),
            Some(Op::Drain) if !self.can_drain => Err(CommandResult::NotSupported),
            Some(op) => health.map(|()| op),
        };
        op.map_err(|refusal| self.result = refusal).ok()
    }

    /// A command that was taken turns out to be impossible.
    pub(crate) fn refuse(&mut self, refusal: CommandResult) {
        self.result = refusal;
    }

    /// CANCEL, which takes back `taken` frames or buffers.
    pub(crate) fn cancel(&mut self, taken: usize) {
        let taken = u16::try_from(taken).unwrap_or(u16::MAX);
        self.count = match self.state {
            State::Cancelling => self.count.saturating_add(taken),
            State::Running | State::Draining | State::Stopped => taken,
        };
        self.state = match self.state {
            State::Running | State::Draining | State::Cancelling => State::Cancelling,
            State::Stopped => State::Stopped,
        };
        self.carried_out();
        self.cancels = self.cancels.saturating_add(1);
    }

    /// DRAIN.
    pub(crate) fn drain(&mut self) {
        self.state = match self.state {
            State::Running | State::Draining => State::Draining,
            State::Cancelling => State::Cancelling,
            State::Stopped => State::Stopped,
        };
        self.carried_out();
    }

    fn carried_out(&mut self) {
        self.latched = false;
        self.result = CommandResult::Ok;
        self.owes_interrupt |= self.state == State::Stopped;
    }

    /// RESUME.
    pub(crate) fn resume(&mut self) {
        match self.state {
            State::Running | State::Stopped => {
                self.state = State::Running;
                self.result = CommandResult::Ok;
            }
            State::Cancelling | State::Draining => {
                self.latched = true;
                self.result = CommandResult::Pending;
            }
        }
    }

    /// Nothing is outstanding: ends a cancel or a drain, readable at once. True if the state changed.
    pub(crate) fn finish_command(&mut self) -> bool {
        match self.state {
            State::Running | State::Stopped => false,
            State::Cancelling | State::Draining => {
                self.state = if self.latched { State::Running } else { State::Stopped };
                self.resolve_latch();
                self.owes_interrupt = true;
                self.publish();
                true
            }
        }
    }

    /// The queue enters service for a driver that knows nothing of what was before.
    pub(crate) fn begin_new_life(&mut self) {
        self.state = State::Running;
        self.resolve_latch();
        self.publish();
    }

    fn resolve_latch(&mut self) {
        self.latched = false;
        if self.result == CommandResult::Pending {
            self.result = CommandResult::Ok;
        }
    }

    /// Whether an interrupt is owed; true once.
    pub(crate) fn take_interrupt(&mut self) -> bool {
        std::mem::take(&mut self.owes_interrupt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_is_full_at_65535() {
        let mut control = Control::new(Direction::Tx, Caps::ALL);
        control.cancel(40_000);
        assert_eq!(control.word().count(), 40_000);
        control.cancel(40_000);
        assert_eq!(control.word().count(), 65535);
        assert!(control.finish_command());
        control.cancel(70_000);
        assert_eq!(control.word().count(), 65535);
    }

    #[test]
    fn receive_queue_never_drains() {
        let mut control = Control::new(Direction::Rx, Caps::ALL);
        assert_eq!(control.take(CommandWord::command(1, Op::Drain), Ok(())), None);
        assert_eq!(control.word().result(), Some(CommandResult::NotSupported));
    }

    #[test]
    fn register_shows_nothing_before_it_is_published() {
        let mut control = Control::new(Direction::Tx, Caps::ALL);
        let register = control.register();
        assert_eq!(control.take(CommandWord::command(1, Op::Cancel), Ok(())), Some(Op::Cancel));
        control.cancel(3);
        assert_eq!(register.read(), StatusWord::new());
        control.finish_command();
        assert_eq!(register.read().state(), Some(State::Stopped));
    }
}
