//! What a driver writes.

use bitfield_struct::bitfield;

/// A word for a command register: `[31:24] SEQ`, `[23:16] OP`, `[15:0] ARG` (0 in revision 1.0).
///
/// The device takes it as a command if it differs from the last word seen in that register, its OP is
/// not 0, and its SEQ differs from that of the last command taken.
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct CommandWord {
    /// Argument of the command; 0 in revision 1.0.
    pub arg: u16,
    /// The OP byte as it stands. 0 is no command; see [`CommandWord::op`].
    pub op_bits: u8,
    /// Sequence number of the command.
    pub seq: u8,
}

impl CommandWord {
    /// The word that asks for `op` as command `seq`.
    pub const fn command(seq: u8, op: Op) -> CommandWord {
        CommandWord::new().with_seq(seq).with_op_bits(op as u8)
    }

    /// The operation asked for; `None` if revision 1.0 knows none of that number (0 included).
    pub const fn op(self) -> Option<Op> {
        match self.op_bits() {
            1 => Some(Op::Cancel),
            2 => Some(Op::Resume),
            3 => Some(Op::Drain),
            _ => None,
        }
    }
}

/// What a queue can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    /// Take back every available chain that is not yet on the wire, then stop.
    Cancel = 1,
    /// Leave [`State::Stopped`](crate::State::Stopped).
    Resume = 2,
    /// Fetch no more, send what is fetched, then stop.
    Drain = 3,
}

/// The sequence number of the command that follows command `seq`. A driver takes `seq` from the queue's
/// status register, also after a reset and when freshly loaded.
pub const fn next_seq(seq: u8) -> u8 {
    seq.wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_word_packs_seq_op_and_no_argument() {
        assert_eq!(CommandWord::command(0xab, Op::Drain).into_bits(), 0xab03_0000);
    }

    #[test]
    fn op_is_known_for_one_to_three_only() {
        let known = [Op::Cancel, Op::Resume, Op::Drain];
        for op in known {
            assert_eq!(CommandWord::command(1, op).op(), Some(op));
        }
        let count =
            (0..=u8::MAX).filter(|bits| CommandWord::new().with_op_bits(*bits).op().is_some()).count();
        assert_eq!(count, known.len());
    }

    #[test]
    fn seq_wraps() {
        assert_eq!(next_seq(0), 1);
        assert_eq!(next_seq(255), 0);
    }
}
