//! A guest that writes anything anywhere into its rings, at any time.

use std::time::Duration;

use cancelnic_model::{Frame, Gate, Queue, Settings, Turn, Wire};
use cancelnic_registers::{CommandWord, Direction, Op, QueueId, next_seq};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use crate::guest::{Virtqueue, frame, settings};
use crate::memory::Watched;

const RING: u16 = 16;

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Eight bytes somewhere in descriptors and rings.
    Scribble {
        at: u64,
        value: u64,
    },
    AvailableIndex(u16),
    Descriptor {
        index: u16,
        raw: (u64, u32, u16, u16),
    },
    Head {
        slot: u64,
        head: u16,
    },
    Command(Op),
    Enter,
    Leave,
    Gate {
        gate: usize,
        open: bool,
    },
    Inject,
    Run,
}

/// A wire that takes frames as long as a chain may be, and looks at those taken back as well.
struct Narrow;

fn fits(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() <= 65550 - 12
}

impl Wire for Narrow {
    fn transmit(&mut self, _: QueueId, frame: Frame, _: Duration) -> Option<Frame> {
        assert!(fits(&frame), "{}", frame.len());
        Some(frame)
    }
    fn wants_taken_back(&self) -> bool {
        true
    }
    fn taken_back(&mut self, _: QueueId, bytes: Option<&[u8]>, _: Duration) {
        assert!(bytes.is_none_or(fits));
    }
}

fn act() -> impl Strategy<Value = Act> {
    let address = prop_oneof![4 => 0u64..0x20000, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    let len = prop_oneof![3 => 0u32..3000, 1 => any::<u32>()];
    let op = prop_oneof![Just(Op::Cancel), Just(Op::Resume), Just(Op::Drain)];
    prop_oneof![
        2 => (0u64..0x400, any::<u64>()).prop_map(|(at, value)| Act::Scribble { at, value }),
        4 => prop_oneof![0..20u16, any::<u16>()].prop_map(Act::AvailableIndex),
        6 => (0u16..RING, (address, len, 0u16..8, 0u16..18)).prop_map(|(index, raw)| Act::Descriptor { index, raw }),
        4 => (0u64..RING.into(), 0u16..18).prop_map(|(slot, head)| Act::Head { slot, head }),
        3 => op.prop_map(Act::Command),
        1 => Just(Act::Enter),
        1 => Just(Act::Leave),
        1 => (0usize..3, any::<bool>()).prop_map(|(gate, open)| Act::Gate { gate, open }),
        2 => Just(Act::Inject),
        6 => Just(Act::Run),
    ]
}

/// The queue under attack.
struct Victim {
    memory: Watched,
    vq: Virtqueue,
    now: Duration,
    seq: u8,
    base: u16,
    in_service: bool,
}

impl Victim {
    fn new(event_idx: bool) -> Victim {
        let vq = Virtqueue::new(0x1000, RING, event_idx);
        let memory = Watched::new(0x20000);
        Victim { memory, vq, now: Duration::ZERO, seq: 0, base: 0, in_service: false }
    }

    fn write(&self, at: u64, value: u16) {
        self.memory.inner.write_obj(value.to_le(), GuestAddress(at)).unwrap();
    }

    fn next_word(&mut self, op: Op) -> CommandWord {
        self.seq = next_seq(self.seq);
        CommandWord::command(self.seq, op)
    }

    /// What the guest does by itself; false if it is something for the device.
    fn scribbles(&self, act: Act) -> bool {
        match act {
            Act::Scribble { at, value } => {
                self.memory.inner.write_obj(value, GuestAddress(self.vq.start() + at)).unwrap();
            }
            Act::AvailableIndex(value) => self.write(self.vq.avail() + 2, value),
            Act::Descriptor { index, raw } => self.vq.put_descriptor(&self.memory.inner, index, raw),
            Act::Head { slot, head } => self.write(self.vq.avail() + 4 + 2 * slot, head),
            _ => return false,
        }
        true
    }

    /// Runs the queue until it rests, which must be soon.
    fn rest(&self, mut run: impl FnMut(&Watched) -> Turn) {
        let runs = (0..100).take_while(|_| run(&self.memory).again).count();
        assert!(runs < 100, "it never rests");
    }
}

/// Only a driver that publishes over a chain that is out can have more used elements owed at once than its ring holds.
#[test]
fn no_used_element_is_written_over_one_that_is_not_visible_yet() {
    const RING: u16 = 2;
    let memory = Watched::new(0x20000);
    let mut vq = Virtqueue::new(0x1000, RING, false);
    let mut rx = Queue::new(QueueId::RX0, &settings(4));
    rx.set_enabled(true);
    rx.set_gate(Gate::RxWrite, false, Duration::ZERO);
    let _ = rx.enter(&memory, Duration::ZERO, &vq.rings(0));
    (0..RING).for_each(|index| vq.put_descriptor(&memory.inner, index, (vq.buffer(index), 2048, 2, 0)));
    vq.publish(&memory.inner, 0);
    (0..3).for_each(|number| assert!(rx.inject(frame(number, 60))));
    let _ = rx.run(&memory, Duration::ZERO, &mut Narrow);
    assert_eq!(rx.inside().writing, 1);
    vq.publish(&memory.inner, 1);
    vq.publish(&memory.inner, 0);
    rx.set_gate(Gate::RxWrite, true, Duration::ZERO);
    memory.accesses();
    let _ = rx.run(&memory, Duration::ZERO, &mut Narrow);
    assert_eq!(rx.totals().received, 3);
    let mut hidden = 0;
    for access in memory.accesses().iter().filter(|access| access.write) {
        if access.address == vq.used() + 2 {
            hidden = 0;
        } else if access.touches(vq.used() + 4, 8 * u64::from(RING)) {
            hidden += access.len / 8;
        }
        assert!(hidden <= usize::from(RING), "{hidden} elements at once");
    }
}

proptest! {
    #![proptest_config(crate::cases(256))]

    /// No panic, every run ends, nothing but the used ring is written, every frame is as long as one may be.
    #[test]
    fn transmit_withstands_hostile_rings(acts in prop::collection::vec(act(), 1..200), event_idx in any::<bool>()) {
        let mut queue = Queue::new(QueueId::TX0, &settings(4));
        let mut victim = Victim::new(event_idx);
        queue.set_enabled(true);
        for act in acts {
            victim.now += Duration::from_micros(10);
            let now = victim.now;
            if victim.scribbles(act) {
                continue;
            }
            match act {
                Act::Command(op) => {
                    let word = victim.next_word(op);
                    let _ = queue.command(&victim.memory, now, word, &mut Narrow);
                    prop_assert_eq!(queue.status().read().seq(), word.seq());
                }
                Act::Enter => {
                    victim.in_service = true;
                    let _ = queue.enter(&victim.memory, now, &victim.vq.rings(victim.base));
                }
                Act::Leave => {
                    victim.in_service = false;
                    victim.base = queue.leave(&victim.memory, now, &mut Narrow).base;
                }
                Act::Gate { gate, open } => {
                    queue.set_gate(Gate::of(Direction::Tx)[gate], open, now);
                }
                _ => victim.rest(|memory| queue.run(memory, now, &mut Narrow)),
            }
            let used = victim.vq.used()..victim.vq.used() + victim.vq.used_len();
            for access in victim.memory.accesses() {
                let inside = used.contains(&access.address) && access.address + access.len as u64 <= used.end;
                prop_assert!(!access.write || inside, "{:?}", access);
            }
            let snapshot = queue.snapshot(&victim.memory);
            victim.memory.accesses();
            prop_assert_eq!(snapshot.in_service, victim.in_service);
            prop_assert!(snapshot.inside.fetched + snapshot.inside.off_wire <= RING.into());
        }
    }

    /// No panic, every run ends, as many frames are accounted for as came.
    #[test]
    fn receive_withstands_hostile_rings(acts in prop::collection::vec(act(), 1..200), event_idx in any::<bool>()) {
        let mut queue = Queue::new(QueueId::RX0, &Settings { pending_limit: 8, ..settings(4) });
        let mut victim = Victim::new(event_idx);
        let mut arrived = 0;
        queue.set_enabled(true);
        for act in acts {
            victim.now += Duration::from_micros(10);
            let now = victim.now;
            if victim.scribbles(act) {
                continue;
            }
            match act {
                Act::Command(op) => {
                    let word = victim.next_word(op);
                    let _ = queue.command(&victim.memory, now, word, &mut Narrow);
                    prop_assert_eq!(queue.status().read().seq(), word.seq());
                }
                Act::Enter if !victim.in_service => {
                    victim.in_service = true;
                    let _ = queue.enter(&victim.memory, now, &victim.vq.rings(victim.base));
                }
                Act::Leave => {
                    victim.in_service = false;
                    victim.base = queue.leave(&victim.memory, now, &mut Narrow).base;
                }
                Act::Gate { open, .. } => queue.set_gate(Gate::RxWrite, open, now),
                Act::Inject => {
                    arrived += 1;
                    queue.inject(frame(arrived, 60));
                }
                _ => victim.rest(|memory| queue.run(memory, now, &mut Narrow)),
            }
            let snapshot = queue.snapshot(&victim.memory);
            prop_assert_eq!(snapshot.in_service, victim.in_service);
            let known = snapshot.inside.pending + snapshot.inside.writing + snapshot.totals.received + snapshot.totals.dropped;
            prop_assert_eq!(known, arrived);
        }
    }
}
