//! What a queue does next, and what it tells of its state: decisions alone, in the framework's order.
//!
//! Rules: RQ20 to RQ25 (`driver/docs/requests.md`).

/// A power-managed queue's way through a power transition; a queue that is not stays [`Power::On`] until removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Requests are presented.
    On,
    /// None is.
    Off,
    /// Dispatching threads are to come to rest before the driver hears of anything.
    Starting,
    /// The driver's requests are about to be gone through with EvtIoStop(Suspend).
    Stopping,
    /// EvtIoStop(Suspend) is called for one after another.
    StoppingNotifying,
    /// Each was told; the queue waits until each is completed, requeued or acknowledged.
    StoppingNotified,
    /// As [`Power::Stopping`], with EvtIoStop(Purge).
    Purge,
    /// As [`Power::StoppingNotifying`].
    PurgeNotifying,
    /// As [`Power::StoppingNotified`].
    PurgeNotified,
    /// The driver's requests are about to be gone through with EvtIoResume.
    Restarting,
    /// EvtIoResume is called for one after another.
    RestartingNotifying,
    /// Each was told.
    RestartingNotified,
}

impl Power {
    /// EvtIoStop or EvtIoResume may be running: cancel callbacks wait.
    #[must_use]
    pub fn notifies(self) -> bool {
        matches!(self, Self::StoppingNotifying | Self::PurgeNotifying | Self::RestartingNotifying)
    }
}

/// How a queue hands requests to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One at a time.
    Sequential,
    /// As they come, up to a number.
    Parallel(u32),
    /// The driver fetches them.
    Manual,
}

/// All that the decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// How it dispatches.
    pub kind: Kind,
    /// Its power.
    pub power: Power,
    /// Bit 1 of its state: dispatching.
    pub dispatch: bool,
    /// Requests on the queue, the new one counted.
    pub queued: u32,
    /// Requests that the driver owns.
    pub owned: u32,
    /// Requests whose EvtRequestCancel is due.
    pub cancelled: bool,
    /// Requests whose EvtIoCanceledOnQueue is due.
    pub cancelled_on_queue: bool,
    /// A callback waits for the driver to own none.
    pub idle_wanted: bool,
    /// A callback waits for the queue to be empty and the driver to own none.
    pub purge_wanted: bool,
    /// A manual queue was empty, has a request since, and a callback wants to hear of it.
    pub ready_wanted: bool,
    /// Threads in the dispatch loop, this one counted.
    pub dispatching: u32,
    /// The queue is being deleted.
    pub disposing: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// EvtRequestCancel of one.
    Cancel,
    /// EvtIoCanceledOnQueue of one.
    CancelOnQueue,
    /// The stop callback.
    Idle,
    /// The purge or drain callback.
    Purge,
    /// A step of the power transition.
    Power,
    /// The queue is empty and may go.
    Gone,
    /// The callback of a manual queue that was empty.
    Ready,
    /// A request goes to the driver.
    Present,
    /// Nothing can be done now.
    Rest,
}

/// The next step.
#[must_use]
pub fn next(view: &View) -> Step {
    let alone = view.dispatching == 1;
    let all = view.queued + view.owned;
    if view.cancelled && !view.power.notifies() {
        Step::Cancel
    } else if view.cancelled_on_queue && !view.power.notifies() {
        Step::CancelOnQueue
    } else if view.idle_wanted && alone && view.owned == 0 {
        Step::Idle
    } else if view.purge_wanted && alone && all == 0 {
        Step::Purge
    } else if !matches!(view.power, Power::On | Power::Off) {
        Step::Power
    } else if view.disposing && alone && all == 0 {
        Step::Gone
    } else if view.power == Power::Off || !view.dispatch {
        Step::Rest
    } else if view.kind == Kind::Manual {
        // the last request may have gone meanwhile: the driver hears of it all the same
        if view.ready_wanted { Step::Ready } else { Step::Rest }
    } else if view.queued == 0 {
        Step::Rest
    } else {
        match view.kind {
            Kind::Sequential if view.owned > 0 => Step::Rest,
            Kind::Parallel(most) if view.owned >= most => Step::Rest,
            _ => Step::Present,
        }
    }
}

/// WDF_IO_QUEUE_STATE.
#[must_use]
pub fn bits(accept: bool, dispatch: bool, queued: u32, owned: u32, power: Power) -> i32 {
    let held = power != Power::On;
    i32::from(accept)
        | i32::from(dispatch) << 1
        | i32::from(queued == 0) << 2
        | i32::from(owned == 0) << 3
        | i32::from(held) << 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: View = View {
        kind: Kind::Sequential,
        power: Power::On,
        dispatch: true,
        queued: 1,
        owned: 0,
        cancelled: false,
        cancelled_on_queue: false,
        idle_wanted: false,
        purge_wanted: false,
        ready_wanted: false,
        dispatching: 1,
        disposing: false,
    };

    #[test]
    fn a_sequential_queue_presents_one_at_a_time() {
        assert_eq!(next(&READY), Step::Present);
        assert_eq!(next(&View { owned: 1, ..READY }), Step::Rest);
    }

    #[test]
    fn a_parallel_queue_presents_up_to_its_number() {
        let parallel = View { kind: Kind::Parallel(2), owned: 1, ..READY };
        assert_eq!(next(&parallel), Step::Present);
        assert_eq!(next(&View { owned: 2, ..parallel }), Step::Rest);
    }

    #[test]
    fn nothing_is_presented_by_a_manual_stopped_or_powered_off_queue() {
        for view in [
            View { kind: Kind::Manual, ..READY },
            View { dispatch: false, ..READY },
            View { power: Power::Off, ..READY },
            View { queued: 0, ..READY },
        ] {
            assert_eq!(next(&view), Step::Rest);
        }
    }

    #[test]
    fn a_manual_queue_tells_of_its_first_request_unless_stopped_or_without_power() {
        let ready = View { kind: Kind::Manual, ready_wanted: true, ..READY };
        assert_eq!(next(&ready), Step::Ready);
        assert_eq!(next(&View { queued: 0, ..ready }), Step::Ready);
        for view in [View { dispatch: false, ..ready }, View { power: Power::Off, ..ready }] {
            assert_eq!(next(&view), Step::Rest);
        }
        assert_eq!(next(&View { kind: Kind::Sequential, ..ready }), Step::Present);
    }

    #[test]
    fn cancel_callbacks_come_first_but_not_during_stop_notifications() {
        let due = View { cancelled: true, ..READY };
        assert_eq!(next(&due), Step::Cancel);
        assert_eq!(next(&View { power: Power::StoppingNotifying, ..due }), Step::Power);
        assert_eq!(next(&View { power: Power::StoppingNotified, ..due }), Step::Cancel);
    }

    #[test]
    fn stop_waits_for_the_driver_purge_also_for_the_queue() {
        let stop = View { dispatch: false, idle_wanted: true, owned: 1, ..READY };
        assert_eq!(next(&stop), Step::Rest);
        assert_eq!(next(&View { owned: 0, ..stop }), Step::Idle);
        let purge = View { dispatch: false, purge_wanted: true, ..READY };
        assert_eq!(next(&purge), Step::Rest);
        assert_eq!(next(&View { queued: 0, ..purge }), Step::Purge);
        assert_eq!(next(&View { queued: 0, dispatching: 2, ..purge }), Step::Rest);
    }

    #[test]
    fn the_state_bits_are_the_headers() {
        assert_eq!(bits(true, true, 0, 0, Power::On), 1 | 2 | 4 | 8);
        assert_eq!(bits(false, true, 1, 1, Power::Off), 2 | 16);
    }
}
