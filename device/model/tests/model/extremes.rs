//! Rings of every size and at every place, the end of memory included, that a hostile guest writes to.

use std::time::Duration;

use cancelnic_model::{Queue, Rings, Settings};
use cancelnic_registers::{CommandWord, Op, QueueId};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use crate::guest::{Nowhere, frame, settings};
use crate::memory::Watched;

/// Bytes of guest memory: room for a ring of 32768 entries.
const MEMORY: u64 = 0x10_0000;

/// Rings of `size` entries whose parts end `slack` bytes before the end of memory, or somewhere.
fn rings() -> impl Strategy<Value = Rings> {
    let size = prop_oneof![
        4 => (0u32..16).prop_map(|shift| 1u16 << shift),
        1 => any::<u16>(),
    ];
    let place = || prop_oneof![2 => (0u64..64).prop_map(|slack| (true, slack)), 3 => (0..MEMORY).prop_map(|at| (false, at)), 1 => any::<u64>().prop_map(|at| (false, at))];
    (size, place(), place(), place(), any::<u16>(), any::<bool>()).prop_map(
        |(size, desc, avail, used, base, event_idx)| {
            let at = |(from_end, place): (bool, u64), bytes: u64, align: u64| match from_end {
                true => MEMORY.saturating_sub(bytes).saturating_sub(place) & !(align - 1),
                false => place,
            };
            let n = u64::from(size);
            Rings {
                size,
                desc: at(desc, 16 * n, 16),
                avail: at(avail, 4 + 2 * n, 2),
                used: at(used, 4 + 8 * n, 4),
                base,
                event_idx,
            }
        },
    )
}

fn words() -> impl Strategy<Value = Vec<(u64, u16)>> {
    prop::collection::vec((0..MEMORY - 2, any::<u16>()), 0..400)
}

proptest! {
    #![proptest_config(crate::cases(512))]

    /// No panic, every run ends, transmit writes nothing outside the used ring.
    #[test]
    fn rings_of_any_size_and_place_are_withstood(
        rings in rings(),
        words in words(),
        ahead in prop_oneof![0u16..4, any::<u16>()],
        ops in prop::collection::vec(1u8..4, 0..6),
    ) {
        let memory = Watched::new(MEMORY as usize);
        for (at, value) in words {
            memory.inner.write_obj(value, GuestAddress(at)).unwrap();
        }
        // An index that leaves something to fetch, if it is in memory at all.
        let index = rings.avail.checked_add(2).map(GuestAddress);
        if let Some(index) = index {
            let _ = memory.inner.write_obj(rings.base.wrapping_add(ahead), index);
        }
        let mut tx = Queue::new(QueueId::TX0, &settings(4));
        let mut rx = Queue::new(QueueId::RX0, &Settings { pending_limit: 8, ..settings(4) });
        tx.set_enabled(true);
        rx.set_enabled(true);
        for number in 0..8 {
            rx.inject(frame(number, 60));
        }
        let now = Duration::ZERO;
        let _ = tx.enter(&memory, Duration::ZERO, &rings);
        for (seq, op) in (1u8..).zip(ops) {
            let runs = (0..1000).take_while(|_| tx.run(&memory, now, &mut Nowhere).again).count();
            prop_assert!(runs < 1000, "it never rests");
            let word = CommandWord::command(seq, [Op::Cancel, Op::Resume, Op::Drain][usize::from(op) - 1]);
            let _ = tx.command(&memory, now, word, &mut Nowhere);
        }
        let _ = tx.leave(&memory, now, &mut Nowhere);
        let used = rings.used..rings.used.saturating_add(6 + 8 * u64::from(rings.size));
        for access in memory.accesses().iter().filter(|access| access.write) {
            let end = access.address + access.len as u64;
            prop_assert!(used.contains(&access.address) && end <= used.end, "{:?}", access);
        }
        let _ = rx.enter(&memory, now, &rings);
        let runs = (0..1000).take_while(|_| rx.run(&memory, now, &mut Nowhere).again).count();
        prop_assert!(runs < 1000, "it never rests");
        let _ = rx.command(&memory, now, CommandWord::command(1, Op::Cancel), &mut Nowhere);
        let _ = rx.leave(&memory, now, &mut Nowhere);
    }
}

/// A turn's reads are bounded, however long the chains are: a command never waits for a ring of long ones.
#[test]
fn chains_as_long_as_the_ring_are_taken_in_small_turns() {
    const SIZE: u16 = 1024;
    let memory = Watched::new(0x10_0000);
    let rings = Rings { size: SIZE, desc: 0x4000, avail: 0x9000, used: 0xa000, base: 0, event_idx: false };
    for index in 0..SIZE {
        let at = rings.desc + 16 * u64::from(index);
        let next = u16::from(index + 1 < SIZE);
        memory.inner.write_obj(0x1000u64, GuestAddress(at)).unwrap();
        memory.inner.write_obj(1u32, GuestAddress(at + 8)).unwrap();
        memory.inner.write_obj([next, index + 1], GuestAddress(at + 12)).unwrap();
    }
    memory.inner.write_obj(SIZE, GuestAddress(rings.avail + 2)).unwrap();
    let mut tx = Queue::new(QueueId::TX0, &settings(64));
    tx.set_enabled(true);
    let _ = tx.enter(&memory, Duration::ZERO, &rings);
    let mut turns = 0;
    loop {
        memory.accesses();
        let again = tx.run(&memory, Duration::ZERO, &mut Nowhere).again;
        let descriptors = rings.desc..rings.desc + 16 * u64::from(SIZE);
        let looked = memory.accesses().iter().filter(|access| descriptors.contains(&access.address)).count();
        assert!(looked <= 3 * usize::from(SIZE), "{looked} in one turn");
        turns += 1;
        if !again {
            break;
        }
    }
    assert!(turns > 300, "{turns}");
    assert_eq!(tx.snapshot(&memory).totals.sent, u64::from(SIZE));
}

/// A turn's bytes are bounded as well, and with them the frames that a wire without an end keeps meanwhile.
#[test]
fn the_longest_frames_are_taken_in_small_turns() {
    const SIZE: u16 = 256;
    const LEN: u32 = 65550;
    let memory = Watched::new(0x10_0000);
    let rings = Rings { size: SIZE, desc: 0x4000, avail: 0x9000, used: 0xa000, base: 0, event_idx: false };
    for index in 0..SIZE {
        let at = rings.desc + 16 * u64::from(index);
        memory.inner.write_obj(0x2_0000u64, GuestAddress(at)).unwrap();
        memory.inner.write_obj(LEN, GuestAddress(at + 8)).unwrap();
        memory.inner.write_obj(index, GuestAddress(rings.avail + 4 + 2 * u64::from(index))).unwrap();
    }
    memory.inner.write_obj(SIZE, GuestAddress(rings.avail + 2)).unwrap();
    let mut tx = Queue::new(QueueId::TX0, &settings(64));
    tx.set_enabled(true);
    let _ = tx.enter(&memory, Duration::ZERO, &rings);
    let mut sent = 0;
    while tx.run(&memory, Duration::ZERO, &mut Nowhere).again {
        let now = tx.totals().sent;
        assert!((now - sent) * u64::from(LEN) <= 2 << 20, "{} frames in one turn", now - sent);
        sent = now;
    }
    assert_eq!(tx.totals().sent, u64::from(SIZE));
}
