//! C1 to C11, each by its name, over random schedules; judged from outside only: by what is in guest
//! memory, what was on the wire and what the status register read.

use std::collections::HashSet;
use std::time::Duration;

use cancelnic_registers::{CommandResult, Op, State};
use proptest::prelude::*;

use crate::memory::Access;
use crate::schedule::{Step, calls, plan, play, steps};
use crate::world::{Call, Fate, RX0, TX0, TX1, What, World};

const LANES: [usize; 3] = [TX0, TX1, RX0];

/// A CANCEL that was carried out.
fn cancelled(call: &Call) -> bool {
    call.what == What::Command(Op::Cancel) && call.after.result() == Some(CommandResult::Ok)
}

fn state(word: cancelnic_registers::StatusWord) -> State {
    word.state().expect("a state of the interface")
}

/// For each CANCEL on `lane`: the chains that it covers, and the calls from it (included) to the end of
/// that life of the queue.
fn cancels(world: &World, lane: usize) -> Vec<(Vec<u64>, Vec<&Call>)> {
    let all: Vec<&Call> = calls(world, lane).collect();
    let mut found = Vec::new();
    for (i, call) in all.iter().enumerate().filter(|(_, call)| cancelled(call)) {
        let life = all[i..].iter().take_while(|call| call.what != What::Enter { base: 0 });
        found.push((call.outstanding.clone(), life.copied().collect()));
    }
    found
}

fn used_in<'a>(calls: impl IntoIterator<Item = &'a Call>) -> Vec<(u64, Fate)> {
    calls.into_iter().flat_map(|call| call.used.iter().copied()).collect()
}

proptest! {
    #![proptest_config(crate::cases(192))]

    /// Every chain available when the command was taken gets exactly one used element.
    #[test]
    fn c1_complete(plan in plan(), steps in steps()) {
        let world = play(plan, &steps);
        for lane in LANES {
            for (covered, life) in cancels(&world, lane) {
                let used = used_in(life.iter().copied());
                for chain in covered {
                    prop_assert_eq!(used.iter().filter(|used| used.0 == chain).count(), 1, "chain {}", chain);
                }
            }
            prop_assert!(world.out(lane).is_empty() || lane == RX0, "chains left at the end");
            let mut seen = HashSet::new();
            for (chain, _) in used_in(calls(&world, lane)) {
                prop_assert!(seen.insert(chain), "chain {} used twice", chain);
            }
        }
    }

    /// At most one of them finishes on the wire afterwards; those off the wire are sent; all others are
    /// taken back.
    #[test]
    fn c2_bounded(plan in plan(), steps in steps()) {
        let world = play(plan, &steps);
        for lane in [TX0, TX1] {
            for (covered, life) in cancels(&world, lane) {
                let later: HashSet<u64> =
                    life.iter().flat_map(|call| call.left.iter().map(|left| left.0)).collect();
                let finished = covered.iter().filter(|chain| later.contains(*chain)).count();
                prop_assert!(finished <= 1, "{} frames finished after the command", finished);
                for (chain, fate) in used_in(life.iter().copied()).iter().filter(|used| covered.contains(&used.0)) {
                    let on_the_wire = world.sent(lane).contains(chain);
                    prop_assert_eq!(*fate, if on_the_wire { Fate::Sent } else { Fate::TakenBack });
                }
            }
        }
        // On receive only the frame that was being written may still arrive.
        for (covered, life) in cancels(&world, RX0) {
            let used = used_in(life.iter().copied());
            let received = used
                .iter()
                .filter(|(chain, fate)| covered.contains(chain) && matches!(fate, Fate::Received(_)))
                .count();
            prop_assert!(received <= 1, "{} frames received after the command", received);
        }
    }

    /// A frame reported as taken back never reaches the wire, and one reported as sent did, once.
    #[test]
    fn c3_never_on_the_wire(plan in plan(), steps in steps()) {
        let world = play(plan, &steps);
        for lane in [TX0, TX1] {
            let left = world.sent(lane);
            let set: HashSet<u64> = left.iter().copied().collect();
            prop_assert_eq!(set.len(), left.len(), "a frame was on the wire twice");
            for (chain, fate) in used_in(calls(&world, lane)) {
                prop_assert_eq!(set.contains(&chain), fate == Fate::Sent, "chain {}: {:?}", chain, fate);
            }
            // Not one byte: what was ever being serialised is never taken back.
            let begun: HashSet<u64> = calls(&world, lane).filter_map(|call| call.on_wire).collect();
            for (chain, fate) in used_in(calls(&world, lane)) {
                prop_assert!(fate == Fate::Sent || !begun.contains(&chain), "chain {} was on the wire", chain);
            }
        }
    }

    /// While STATE reads STOPPED no buffer is read or written and no used ring is written, but by CANCEL.
    #[test]
    fn c4_quiet(plan in plan(), steps in steps()) {
        let world = play(plan, &steps);
        for lane in LANES {
            let vq = &world.lanes[lane].vq;
            for call in calls(&world, lane) {
                if state(call.before) == State::Stopped && cancelled(call) {
                    continue;
                }
                for access in call.accesses.iter().filter(|access| state(access.status) == State::Stopped) {
                    prop_assert!(!access.write, "{:?} while stopped, in {:?}", access, call.what);
                    prop_assert!(
                        !access.touches(vq.buffers(), vq.end() - vq.buffers()),
                        "{:?} while stopped, in {:?}", access, call.what
                    );
                }
            }
        }
    }

    /// All used elements of the cancelled chains are visible before STATE reads STOPPED (or RUNNING, with a
    /// latched RESUME).
    #[test]
    fn c5_ordered(plan in plan(), steps in steps()) {
        let world = play(plan, &steps);
        for lane in LANES {
            for (covered, life) in cancels(&world, lane) {
                let mut due: HashSet<u64> = covered.into_iter().collect();
                for (i, call) in life.iter().enumerate() {
                    let over = |word: cancelnic_registers::StatusWord| {
                        // The register shows the command at its end: before, the state is the old one.
                        word.seq() == call.after.seq()
                            && matches!(state(word), State::Stopped | State::Running)
                            && (i > 0 || word.seq() != call.before.seq())
                    };
                    // The index that the driver could read when the first access after that began, or ever.
                    let index = |access: Option<&Access>| access.map_or(call.oldest, |access| access.used_idx);
                    let begun = index(call.accesses.first());
                    let visible = index(call.accesses.iter().find(|access| over(access.status)));
                    let mine = call.used.iter().rposition(|used| due.contains(&used.0)).map_or(0, |last| last + 1);
                    prop_assert!(
                        usize::from(visible.wrapping_sub(begun)) >= mine,
                        "used elements written after STATE changed, in {:?}", call
                    );
                    for used in &call.used {
                        due.remove(&used.0);
                    }
                    if state(call.after) != State::Cancelling {
                        prop_assert!(due.is_empty(), "{:?} not used when {:?} was read", due, call.after);
                        break;
                    }
                }
            }
        }
    }

    /// Used elements keep the order of the available ring.
    #[test]
    fn c6_in_order(plan in plan(), steps in steps()) {
        let world = play(plan, &steps);
        for lane in LANES {
            let used = used_in(calls(&world, lane));
            prop_assert!(used.is_sorted_by_key(|used| used.0), "{:?}", used);
        }
        let received = used_in(calls(&world, RX0));
        let numbers: Vec<u64> = received
            .iter()
            .filter_map(|used| match used.1 { Fate::Received(number) => Some(number), _ => None })
            .collect();
        prop_assert!(numbers.is_sorted(), "{:?}", numbers);
    }

    /// The call eventfd is written after the end of a cancel or drain is readable, whatever interrupt
    /// suppression says.
    #[test]
    fn c7_told(plan in plan(), steps in steps()) {
        let mut quiet: Vec<Step> =
            LANES.into_iter().map(|lane| Step::Interrupts { lane, wanted: false }).collect();
        quiet.extend(steps);
        let world = play(plan, &quiet);
        for call in &world.trace {
            let busy = |word| matches!(state(word), State::Cancelling | State::Draining);
            let ended = busy(call.before) && !busy(call.after) && !matches!(call.what, What::Enter { .. });
            let at_once = matches!(call.what, What::Command(Op::Cancel | Op::Drain))
                && call.after.result() == Some(CommandResult::Ok)
                && state(call.after) == State::Stopped;
            if ended || at_once {
                prop_assert!(call.signal, "nobody was told in {:?}", call.what);
            }
        }
    }

    /// Commands on one queue change nothing on another.
    #[test]
    fn c8_isolated(plan in plan(), steps in steps()) {
        let plan = crate::world::Plan { finite: false, ..plan };
        let busy = play(plan, &steps);
        // Numbers are given in the order of posting, so posts on all lanes stay; those that fail because the
        // ring is full do not take one.
        let calm: Vec<Step> = steps
            .iter()
            .filter(|step| !matches!(step, Step::Command { lane: TX0, .. } | Step::Gate { lane: TX0, .. }))
            .copied()
            .collect();
        let calm = play(plan, &calm);
        let story = |world: &World, lane: usize| -> Vec<(usize, String)> {
            // Frames by their place in the queue, not by number.
            calls(world, lane)
                .flat_map(|call| call.used.iter().map(|used| format!("{:?} at {:?}", used.1, call.now)))
                .map(|text| text.split('(').next().unwrap_or_default().to_string())
                .enumerate()
                .collect()
        };
        for lane in [TX1, RX0] {
            prop_assert_eq!(story(&busy, lane), story(&calm, lane));
        }
        let times = |world: &World| -> Vec<Duration> {
            calls(world, TX1).flat_map(|call| call.left.iter().map(|left| left.1)).collect()
        };
        prop_assert_eq!(times(&busy), times(&calm));
    }

    /// CANCEL on a STOPPED queue with nothing available changes nothing but SEQ, RESULT ok and COUNT 0.
    #[test]
    fn c9_idempotent(plan in plan(), steps in steps()) {
        let mut world = World::new(plan);
        for step in steps {
            world.take(step);
        }
        for lane in LANES {
            for gate in 0..3 {
                world.gate(lane, gate, true);
            }
            world.command(lane, Op::Cancel);
            world.advance(Duration::from_secs(1));
            prop_assert_eq!(world.state(lane), State::Stopped);
            prop_assert!(world.out(lane).is_empty());
            let before = world.status(lane);
            let after = world.command(lane, Op::Cancel);
            let expected = before.with_seq(before.seq().wrapping_add(1)).with_result(CommandResult::Ok).with_count(0);
            prop_assert_eq!(after, expected);
            let call = world.trace.last().unwrap();
            prop_assert!(call.used.is_empty() && call.left.is_empty());
            prop_assert!(call.accesses.iter().all(|access| !access.write));
        }
    }

    /// After RESUME the queue works as before; what was made available while STOPPED is served in order.
    #[test]
    fn c10_resumable(plan in plan(), steps in steps(), count in 1usize..4) {
        let mut world = World::new(plan);
        for step in steps {
            world.take(step);
        }
        for lane in [TX0, TX1] {
            world.command(lane, Op::Cancel);
            for gate in 0..3 {
                world.gate(lane, gate, true);
            }
            world.advance(Duration::from_secs(1));
            world.enable(lane, true);
            let chains = world.post(lane, count);
            prop_assert_eq!(chains.len(), count);
            prop_assert_eq!(world.out(lane), chains.clone());
            world.command(lane, Op::Resume);
            world.run(lane);
            world.advance(Duration::from_secs(1));
            prop_assert_eq!(world.fates(&chains), vec![Fate::Sent; count]);
            let sent = world.sent(lane);
            prop_assert_eq!(&sent[sent.len() - count..], &chains[..]);
        }
    }

    /// A queue that leaves service finishes what it owes first, names the oldest chain without a used
    /// element, and touches nothing afterwards.
    #[test]
    fn c11_leaves_service_cleanly(plan in plan(), steps in steps()) {
        let world = play(plan, &steps);
        for lane in LANES {
            let (from, to) = (world.lanes[lane].vq.start(), world.lanes[lane].vq.end());
            let mut out = false;
            let mut owed: HashSet<u64> = HashSet::new();
            for call in calls(&world, lane) {
                match call.what {
                    What::Enter { .. } => out = false,
                    _ if out => {
                        let touched = call.accesses.iter().find(|access| access.touches(from, to - from));
                        prop_assert_eq!(touched, None, "out of service, in {:?}", call.what);
                    }
                    _ => {}
                }
                owed.extend(call.left.iter().map(|left| left.0));
                for used in &call.used {
                    owed.remove(&used.0);
                }
                if let What::Leave { base } = call.what {
                    out = true;
                    prop_assert_eq!(base, call.oldest);
                    prop_assert!(owed.is_empty(), "{:?} were on the wire and are not completed", owed);
                    prop_assert_ne!(state(call.after), State::Cancelling);
                    if state(call.before) == State::Cancelling {
                        prop_assert!(call.signal);
                        // Any other result is of a command that was refused since, and says nothing of a latched RESUME.
                        match call.before.result() {
                            Some(CommandResult::Pending) => prop_assert_eq!(state(call.after), State::Running),
                            Some(CommandResult::Ok) => prop_assert_eq!(state(call.after), State::Stopped),
                            _ => {}
                        }
                    }
                }
            }
        }
    }
}
