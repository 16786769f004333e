//! The configuration space: layout, and which writes are commands.

use cancelnic_model::{Command, ConfigSpace, NetConfig, StatusRegister};
use cancelnic_registers::{Caps, CommandWord, Direction, Op, QueueId, SPACE_SIZE, StatusWord};
use proptest::prelude::*;

fn net() -> NetConfig {
    NetConfig { mac: [2, 0, 0, 0, 0, 7], link_up: true, mtu: 1400, speed: 10_000, full_duplex: true }
}

fn space(pairs: u8) -> ConfigSpace {
    let queues = QueueId::all(pairs).map(|queue| (queue, StatusRegister::default()));
    ConfigSpace::new(&net(), Caps::ALL, queues)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// QEMU: a cached copy with the written word laid over it, sent whole.
struct Front {
    cache: [u8; SPACE_SIZE],
}

impl Front {
    fn write(&mut self, space: &mut ConfigSpace, at: usize, value: u32) -> Vec<Command> {
        self.cache[at..at + 4].copy_from_slice(&value.to_le_bytes());
        space.write(0, &self.cache).commands
    }
    fn read(&mut self, space: &ConfigSpace) {
        self.cache = space.bytes();
    }
}

fn front() -> Front {
    Front { cache: [0; SPACE_SIZE] }
}

fn command(seq: u8, op: Op) -> u32 {
    CommandWord::command(seq, op).into_bits()
}

#[test]
fn space_reads_as_written_down() {
    let bytes = space(3).bytes();
    assert_eq!(bytes[..6], [2, 0, 0, 0, 0, 7]);
    assert_eq!(bytes[6..18], [1, 0, 3, 0, 0x78, 5, 0x10, 0x27, 0, 0, 1, 0]);
    assert_eq!(bytes[0x40..0x44], *b"CINC");
    assert_eq!((word(&bytes, 0x44), word(&bytes, 0x48), word(&bytes, 0x4c)), (0x10000, 7, 0x303));
    assert!(bytes[18..0x40].iter().chain(&bytes[0x50..]).all(|byte| *byte == 0));
}

#[test]
fn reads_behind_the_end_give_zeros() {
    let space = space(1);
    assert_eq!(space.read(0x42, 2), b"NC");
    assert_eq!(space.read(254, 4), [0; 4]);
    assert_eq!(space.read(u32::MAX, 8), [0; 8]);
    assert_eq!(space.read(0, u32::MAX).len(), SPACE_SIZE);
}

#[test]
fn command_is_found_in_a_whole_blob_and_reads_back() {
    let (mut space, mut front) = (space(2), front());
    let found = front.write(&mut space, 0x88, command(1, Op::Cancel));
    let queue = QueueId::new(Direction::Tx, 1).unwrap();
    let expected = Command { queue, word: CommandWord::command(1, Op::Cancel) };
    assert_eq!(found, [expected]);
    assert_eq!(word(&space.bytes(), 0x88), command(1, Op::Cancel));
}

#[test]
fn commands_of_two_queues_are_told_apart() {
    let (mut space, mut front) = (space(1), front());
    assert_eq!(front.write(&mut space, 0x80, command(1, Op::Cancel)).len(), 1);
    let found = front.write(&mut space, 0xc0, command(1, Op::Cancel));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].queue, QueueId::RX0);
}

#[test]
fn rewrite_of_the_same_word_is_no_command() {
    let (mut space, mut front) = (space(1), front());
    let _ = front.write(&mut space, 0x80, command(1, Op::Cancel));
    assert!(front.write(&mut space, 0x80, command(1, Op::Cancel)).is_empty());
}

#[test]
fn another_operation_with_the_last_seq_is_no_command() {
    let (mut space, mut front) = (space(1), front());
    let _ = front.write(&mut space, 0x80, command(1, Op::Cancel));
    assert!(front.write(&mut space, 0x80, command(1, Op::Resume)).is_empty());
    assert_eq!(word(&space.bytes(), 0x80), command(1, Op::Resume));
}

#[test]
fn operation_zero_is_no_command_and_takes_no_seq() {
    let (mut space, mut front) = (space(1), front());
    assert!(front.write(&mut space, 0x80, 5 << 24).is_empty());
    assert_eq!(front.write(&mut space, 0x80, command(5, Op::Cancel)).len(), 1);
}

#[test]
fn unknown_operation_is_a_command() {
    let (mut space, mut front) = (space(1), front());
    assert_eq!(front.write(&mut space, 0x80, 1 << 24 | 9 << 16).len(), 1);
}

#[test]
fn first_write_before_any_read_carries_zeros_that_change_nothing() {
    let (mut space, mut front) = (space(2), front());
    assert_eq!(front.write(&mut space, 0xc8, command(1, Op::Cancel)).len(), 1);
    assert_eq!(space.bytes()[..6], net().mac);
}

#[test]
fn old_words_sent_again_do_not_act_again() {
    let (mut space, mut front) = (space(1), front());
    let _ = front.write(&mut space, 0x80, command(1, Op::Cancel));
    front.read(&space);
    // A reset: QEMU sends its whole copy again.
    assert!(space.write(0, &front.cache).commands.is_empty());
    // Even after zeros were seen in between.
    assert!(space.write(0, &[0; SPACE_SIZE]).commands.is_empty());
    assert!(space.write(0, &front.cache).commands.is_empty());
}

#[test]
fn short_write_at_an_offset_is_served() {
    let mut space = space(1);
    let found = space.write(0xc0, &command(1, Op::Cancel).to_le_bytes()).commands;
    assert_eq!(found.len(), 1);
    // Byte by byte: the last one makes it another word with a new SEQ.
    assert!(space.write(0xc2, &[Op::Resume as u8]).commands.is_empty());
    let found = space.write(0xc3, &[2]).commands;
    assert_eq!(found[0].word, CommandWord::command(2, Op::Resume));
}

#[test]
fn writes_elsewhere_change_nothing() {
    let mut space = space(1);
    let before = space.bytes();
    for at in (0..SPACE_SIZE).filter(|at| !(0x80..0x84).contains(at) && !(0xc0..0xc4).contains(at)) {
        assert!(space.write(at as u32, &[0xff]).commands.is_empty());
    }
    assert!(space.write(u32::MAX, &[0xff; 300]).commands.is_empty());
    assert!(space.write(0x88, &command(1, Op::Cancel).to_le_bytes()).commands.is_empty());
    assert_eq!(space.bytes(), before);
}

#[test]
fn status_words_are_shown_and_not_written() {
    let space = space(1);
    assert_eq!(word(&space.bytes(), 0x84), StatusWord::new().into_bits());
    assert_eq!(word(&space.bytes(), 0xc4), 0);
}

proptest! {
    #![proptest_config(crate::cases(256))]

    /// A driver that goes on from STAT.SEQ + 1 has each of its commands taken exactly once, however often
    /// the front end reads, rewrites or repeats its copy.
    #[test]
    fn each_command_is_taken_once(steps in prop::collection::vec((0usize..4, 0usize..4, any::<bool>()), 1..300)) {
        let (mut space, mut front) = (space(2), front());
        let mut seqs = [0u8; 4];
        let at = [0x80, 0x88, 0xc0, 0xc8];
        for (queue, act, read) in steps {
            if read {
                front.read(&space);
            }
            if act == 0 {
                prop_assert!(space.write(0, &front.cache).commands.is_empty());
                continue;
            }
            seqs[queue] = seqs[queue].wrapping_add(1);
            let op = [Op::Cancel, Op::Resume, Op::Drain][act - 1];
            let found = front.write(&mut space, at[queue], command(seqs[queue], op));
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!(usize::from(found[0].queue.pair()), queue % 2);
            prop_assert_eq!(found[0].word, CommandWord::command(seqs[queue], op));
        }
    }
}
