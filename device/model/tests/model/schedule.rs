//! Random schedules of everything that can happen to the queues.

use std::time::Duration;

use cancelnic_registers::{Caps, Op};
use proptest::prelude::*;

use crate::world::{Call, Plan, RX0, World};

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Chains are published; the doorbell may still be on its way.
    Post {
        lane: usize,
        count: usize,
        cuts: usize,
        ring: bool,
    },
    Run {
        lane: usize,
    },
    Gate {
        lane: usize,
        gate: usize,
        open: bool,
    },
    Steps {
        lane: usize,
        gate: usize,
        count: u64,
    },
    Advance {
        us: u64,
    },
    Command {
        lane: usize,
        op: Op,
        run: bool,
    },
    Pause {
        lane: usize,
        us: u64,
    },
    Reset {
        lane: usize,
    },
    Enable {
        lane: usize,
        on: bool,
    },
    Inject {
        count: usize,
    },
    Interrupts {
        lane: usize,
        wanted: bool,
    },
    /// Somebody runs the queue all the time, and then does not any more.
    Poll {
        lane: usize,
        on: bool,
    },
}

fn lane() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0usize), 1 => Just(1), 2 => Just(RX0)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (lane(), 1usize..6, 1usize..4, any::<bool>())
            .prop_map(|(lane, count, cuts, ring)| Step::Post { lane, count, cuts, ring }),
        3 => lane().prop_map(|lane| Step::Run { lane }),
        4 => (lane(), 0usize..3, any::<bool>()).prop_map(|(lane, gate, open)| Step::Gate { lane, gate, open }),
        4 => (lane(), 0usize..3, 1u64..4).prop_map(|(lane, gate, count)| Step::Steps { lane, gate, count }),
        4 => (0u64..300).prop_map(|us| Step::Advance { us }),
        6 => (lane(), prop_oneof![3 => Just(Op::Cancel), 3 => Just(Op::Resume), 1 => Just(Op::Drain)], any::<bool>())
            .prop_map(|(lane, op, run)| Step::Command { lane, op, run }),
        2 => (lane(), 0u64..200).prop_map(|(lane, us)| Step::Pause { lane, us }),
        1 => lane().prop_map(|lane| Step::Reset { lane }),
        1 => (lane(), any::<bool>()).prop_map(|(lane, on)| Step::Enable { lane, on }),
        3 => (1usize..4).prop_map(|count| Step::Inject { count }),
        1 => (lane(), any::<bool>()).prop_map(|(lane, wanted)| Step::Interrupts { lane, wanted }),
        2 => (lane(), any::<bool>()).prop_map(|(lane, on)| Step::Poll { lane, on }),
    ]
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..80)
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    (any::<bool>(), 1u16..8, prop_oneof![Just(4u16), Just(16)], any::<bool>()).prop_map(
        |(finite, fifo_depth, ring, event_idx)| Plan { finite, fifo_depth, ring, event_idx, caps: Caps::ALL },
    )
}

impl World {
    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Post { lane, count, cuts, ring } => {
                for _ in 0..count {
                    self.publish(lane, cuts);
                }
                if ring {
                    self.run(lane);
                }
            }
            Step::Run { lane } => self.run(lane),
            Step::Gate { lane, gate, open } => self.gate(lane, gate, open),
            Step::Steps { lane, gate, count } => self.step(lane, gate, count),
            Step::Advance { us } => self.advance(Duration::from_micros(us)),
            Step::Command { lane, op, run } => {
                self.command(lane, op);
                if run {
                    self.run(lane);
                }
            }
            Step::Pause { lane, us } => self.pause(lane, Duration::from_micros(us)),
            Step::Reset { lane } => self.reset(lane),
            Step::Enable { lane, on } => {
                self.enable(lane, on);
                self.run(lane);
            }
            Step::Inject { count } => (0..count).for_each(|_| self.inject()),
            Step::Interrupts { lane, wanted } => {
                self.lanes[lane].vq.want_interrupts(&self.memory.inner, wanted);
            }
            Step::Poll { lane, on } => {
                self.queue(lane).set_polled(on);
                self.run(lane);
            }
        }
    }
}

/// What happens in a world made by `plan` when `steps` are taken and everything is let go in the end.
pub(crate) fn play(plan: Plan, steps: &[Step]) -> World {
    let mut world = World::new(plan);
    for step in steps {
        world.take(*step);
    }
    world.finish();
    world
}

/// The calls on one queue.
pub(crate) fn calls(world: &World, lane: usize) -> impl Iterator<Item = &Call> {
    world.trace.iter().filter(move |call| call.lane == lane)
}
