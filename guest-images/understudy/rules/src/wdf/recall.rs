//! Who completes a sent request: the count and the marks of `driver/docs/requests.md`, RQ1 to RQ13, without any machine.
//!
//! 0: not sent, or done. 1: sent. Whoever cancels holds one more. A count that falls to 0 makes the one who dropped it
//! the completer, so an IRP is completed once whichever side is first. Each method is one indivisible step.

use wdk_offline::NTSTATUS;

const STATUS_CANCELLED: NTSTATUS = 0xC000_0120_u32 as i32;
const STATUS_IO_TIMEOUT: NTSTATUS = 0xC000_00B5_u32 as i32;

/// The time-out of a sent request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Timer {
    #[default]
    None,
    Set,
    /// It has fired, and its callback has not dropped out yet.
    Fired,
}

/// A sent request's count and marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recall {
    count: u32,
    /// m_Canceled: sticky until the request is used again.
    canceled: bool,
    from_timer: bool,
    timer: Timer,
}

/// What the submitter finds when it looks at the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submit {
    /// Not cancelled: send it.
    Go,
    /// Cancelled before, and the count is 0 again: not sent, STATUS_CANCELLED, no completion routine.
    Refused,
    /// Cancelled, and the canceller holds the count: it completes with STATUS_CANCELLED; the sender is told TRUE.
    CancellerCompletes,
}

/// What the fired timer is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// The request came back in time.
    Nothing,
    /// Cancel it.
    Cancel,
}

impl Recall {
    /// Never sent, never cancelled.
    #[must_use]
    pub const fn new() -> Self {
        Self { count: 0, canceled: false, from_timer: false, timer: Timer::None }
    }

    /// Whether it is sent, or a canceller still holds it.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.count != 0
    }

    /// m_Canceled.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        self.canceled
    }

    /// Submitter, first step: the count is 1. `false`: it is out already, which is bug check 0x10D/6 sub 3.
    #[must_use]
    pub fn raise(&mut self) -> bool {
        if self.count != 0 {
            return false;
        }
        self.count = 1;
        self.from_timer = false;
        true
    }

    /// Submitter, second step: the mark, after the count.
    #[must_use]
    pub fn look(&mut self) -> Submit {
        match (self.canceled, self.canceled && self.release()) {
            (false, _) => Submit::Go,
            (true, true) => Submit::Refused,
            (true, false) => Submit::CancellerCompletes,
        }
    }

    /// Canceller, first step: the mark, before the count.
    pub fn flag(&mut self) {
        self.canceled = true;
    }

    /// Canceller, second step: one more, if it is out at all.
    #[must_use]
    pub fn hold(&mut self) -> bool {
        let out = self.count != 0;
        self.count += u32::from(out);
        out
    }

    /// One less; `true`: the caller completes the request.
    #[must_use]
    pub fn release(&mut self) -> bool {
        self.count = self.count.saturating_sub(1);
        self.count == 0
    }

    /// The timer has been started.
    pub fn set_timer(&mut self) {
        self.timer = Timer::Set;
    }

    /// The timer's callback begins.
    #[must_use]
    pub fn fire(&mut self) -> Fired {
        if self.timer != Timer::Set {
            return Fired::Nothing;
        }
        self.timer = Timer::Fired;
        self.from_timer = true;
        Fired::Cancel
    }

    /// The waiter of a synchronous send has waited long enough.
    pub fn timed_out(&mut self) {
        self.from_timer = true;
    }

    /// The request is back: its timer does nothing any more.
    pub fn stop_timer(&mut self) {
        if self.timer == Timer::Set {
            self.timer = Timer::None;
        }
    }

    /// The status that the sender sees: of a request that its timer recalled, exactly STATUS_CANCELLED becomes
    /// STATUS_IO_TIMEOUT.
    #[must_use]
    pub fn outcome(&self, status: NTSTATUS) -> NTSTATUS {
        if self.from_timer && status == STATUS_CANCELLED { STATUS_IO_TIMEOUT } else { status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelling_what_was_never_sent_sticks_until_reuse() {
        let mut recall = Recall::new();
        recall.flag();
        assert!(!recall.hold());
        assert!(recall.raise());
        assert_eq!(recall.look(), Submit::Refused);
        assert!(!recall.is_out());
        assert!(recall.is_canceled());
        assert!(!Recall::new().is_canceled());
    }

    #[test]
    fn a_request_that_is_out_cannot_be_raised() {
        let mut recall = Recall::new();
        assert!(recall.raise());
        assert!(!recall.raise());
    }

    #[test]
    fn only_cancelled_becomes_a_time_out() {
        let mut recall = Recall::new();
        assert_eq!(recall.outcome(STATUS_CANCELLED), STATUS_CANCELLED);
        recall.set_timer();
        assert_eq!(recall.fire(), Fired::Cancel);
        assert_eq!(recall.outcome(STATUS_CANCELLED), STATUS_IO_TIMEOUT);
        assert_eq!(recall.outcome(0), 0);
    }

    #[test]
    fn a_timer_that_was_stopped_does_nothing() {
        let mut recall = Recall::new();
        recall.set_timer();
        recall.stop_timer();
        assert_eq!(recall.fire(), Fired::Nothing);
    }

    /// A submitter, whose request comes back at some time, and two cancellers, in every order of their steps.
    #[derive(Clone, Copy)]
    struct World {
        recall: Recall,
        submitter: u8,
        cancellers: [u8; 2],
        completions: u32,
        /// The sender was told that it is sent.
        sent: bool,
    }

    fn explore(world: World, seen: &mut u32) {
        let mut moved = false;
        let mut try_step = |step: &dyn Fn(&mut World)| {
            let mut next = world;
            step(&mut next);
            explore(next, seen);
            moved = true;
        };
        match world.submitter {
            0 => try_step(&|world| {
                assert!(world.recall.raise());
                world.submitter = 1;
            }),
            1 => try_step(&|world| {
                world.submitter = 3;
                match world.recall.look() {
                    Submit::Go => {
                        world.sent = true;
                        world.submitter = 2;
                    }
                    Submit::Refused => {}
                    Submit::CancellerCompletes => world.sent = true,
                }
            }),
            // the lower driver completes, by itself or because it was cancelled
            2 => try_step(&|world| {
                world.submitter = 3;
                world.completions += u32::from(world.recall.release());
            }),
            _ => {}
        }
        for which in 0..2 {
            match world.cancellers[which] {
                0 => try_step(&|world| {
                    world.recall.flag();
                    world.cancellers[which] = 1;
                }),
                1 => try_step(&|world| {
                    world.cancellers[which] = if world.recall.hold() { 2 } else { 3 };
                }),
                2 => try_step(&|world| {
                    world.cancellers[which] = 3;
                    world.completions += u32::from(world.recall.release());
                }),
                _ => {}
            }
        }
        if !moved {
            *seen += 1;
            assert_eq!(world.completions, u32::from(world.sent));
            assert!(!world.recall.is_out());
        }
    }

    #[test]
    fn whatever_the_order_a_sent_request_is_completed_once() {
        let mut seen = 0;
        let world =
            World { recall: Recall::new(), submitter: 0, cancellers: [0; 2], completions: 0, sent: false };
        explore(world, &mut seen);
        assert!(seen > 100, "{seen} orders");
    }
}
