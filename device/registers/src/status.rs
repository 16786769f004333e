//! What a driver reads.

use bitfield_struct::bitfield;

/// The word in a status register: `[31:24] SEQ` of the last command taken, `[23:20] STATE`,
/// `[19:16] RESULT` of that command, `[15:0] COUNT`.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct StatusWord {
    /// Frames (transmit) or buffers (receive) that the last CANCEL took back; 65535 stands for more, too.
    pub count: u16,
    #[bits(4)]
    result_bits: u8,
    #[bits(4)]
    state_bits: u8,
    /// SEQ of the last command taken.
    pub seq: u8,
}

impl StatusWord {
    /// What every register reads once the device is gone from the bus.
    pub const GONE: StatusWord = StatusWord::from_bits(u32::MAX);

    /// Where the queue is; `None` if revision 1.0 knows no such state, as in [`StatusWord::GONE`].
    pub const fn state(self) -> Option<State> {
        match self.state_bits() {
            0 => Some(State::Running),
            1 => Some(State::Cancelling),
            2 => Some(State::Draining),
            3 => Some(State::Stopped),
            _ => None,
        }
    }

    /// The same word with another state.
    #[must_use]
    pub const fn with_state(self, state: State) -> StatusWord {
        self.with_state_bits(state as u8)
    }

    /// How the last command taken ended; `None` if revision 1.0 knows no such result.
    pub const fn result(self) -> Option<CommandResult> {
        match self.result_bits() {
            0 => Some(CommandResult::Ok),
            1 => Some(CommandResult::Pending),
            2 => Some(CommandResult::UnknownOp),
            3 => Some(CommandResult::NotSupported),
            4 => Some(CommandResult::NotInService),
            5 => Some(CommandResult::Broken),
            _ => None,
        }
    }

    /// The same word with another result.
    #[must_use]
    pub const fn with_result(self, result: CommandResult) -> StatusWord {
        self.with_result_bits(result as u8)
    }

    /// Whether this is what the bus answers for a device that is gone. No device in service reads so.
    pub const fn is_gone(self) -> bool {
        self.into_bits() == StatusWord::GONE.into_bits()
    }
}

/// Where a queue is, as far as commands go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// The queue works as any virtio-net queue does.
    Running = 0,
    /// A CANCEL was taken; some chain that it covers has no used element yet. Nothing is fetched.
    Cancelling = 1,
    /// A DRAIN was taken; some fetched chain has no used element yet. Nothing more is fetched.
    Draining = 2,
    /// The device reads and writes no buffer and no used ring of the queue until RESUME or CANCEL.
    Stopped = 3,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CommandResult {
    /// Done, or under way as [`State`] tells.
    Ok = 0,
    /// A RESUME that takes effect as soon as the queue is stopped.
    Pending = 1,
    /// No such operation.
    UnknownOp = 2,
    /// The device's [`Caps`](crate::Caps) do not have it.
    NotSupported = 3,
    /// The queue is not in service.
    NotInService = 4,
    /// The queue is broken (the available index ran ahead by more than the queue's size) until it leaves
    /// service.
    Broken = 5,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_word_packs_all_fields() {
        let word = StatusWord::new()
            .with_seq(0x12)
            .with_state(State::Stopped)
            .with_result(CommandResult::Broken)
            .with_count(0x3456);
        assert_eq!(word.into_bits(), 0x1235_3456);
        assert_eq!(word.state(), Some(State::Stopped));
        assert_eq!(word.result(), Some(CommandResult::Broken));
    }

    #[test]
    fn states_and_results_survive_the_round_trip() {
        for state in [State::Running, State::Cancelling, State::Draining, State::Stopped] {
            assert_eq!(StatusWord::new().with_state(state).state(), Some(state));
        }
        for bits in 0..6 {
            let word = StatusWord::new().with_result_bits(bits);
            assert_eq!(word.result().map(|result| result as u8), Some(bits));
        }
    }

    #[test]
    fn all_ones_is_a_device_that_is_gone() {
        assert!(StatusWord::GONE.is_gone());
        assert_eq!(StatusWord::GONE.state(), None);
        assert_eq!(StatusWord::GONE.result(), None);
        assert!(!StatusWord::new().is_gone());
    }
}
