//! A queue that sleeps: whether somebody will wake it.

use super::Queue;
use crate::netcx::watch;
use crate::verifier::{BugCheck, trace};
use alloc::format;
use core::sync::atomic::Ordering::Relaxed;
use understudy_rules::netcx::unseen::{Suspicion, Unseen};

impl Queue {
    /// EvtStart has returned: finds the virtqueue.
    pub(super) fn find_used_ring(&self) {
        self.used_ring.store(watch::used_ring(self.direction).unwrap_or(0), Relaxed);
        self.unseen.with(|unseen| *unseen = Unseen::new());
    }

    /// The device's used index, if the virtqueue is known.
    fn used(&self) -> Option<u16> {
        Some(self.used_ring.load(Relaxed)).filter(|&ring| ring != 0).and_then(watch::ring_index)
    }

    /// The driver is about to be called: notes what it can see. Returns what the call is to prove.
    pub(super) fn note_used(&self) -> Option<Suspicion> {
        let used = self.used()?;
        self.unseen.with(|unseen| unseen.call(used))
    }

    /// Looks at the queue from outside, at a fixed period: a suspicion after `bound` looks leads to one more EvtAdvance.
    /// Any thread at PASSIVE_LEVEL.
    pub(crate) fn look_asleep(&self, bound: u32) {
        let waits = self.ec.sleeps()
            && self.arms.is_waiting()
            && !self.muted.load(Relaxed)
            && self.packets.held() != 0
            && !watch::device_failed();
        let used = if waits { self.used() } else { None };
        let Some(used) = used else { return self.unseen.with(Unseen::awake) };
        if self.unseen.with(|unseen| unseen.look(used, bound)) {
            trace::note(self.name, "sleeps before completions: EvtAdvance is called unasked");
            self.ec.wake();
        }
    }

    /// The call that was made on a suspicion has given `packets` back.
    pub(super) fn judge_wake_up(&self, suspicion: Suspicion, packets: u32) {
        if packets == 0 || self.used() != Some(suspicion.used) {
            return;
        }
        let place = format!(
            "{}: the queue has slept for {} ms before completions, its notification enabled, and nobody has notified: the \
             device's used index was {} when the driver last looked and has been {} since; EvtAdvance, called unasked, \
             gave {packets} packet(s) back",
            self.name,
            crate::settings::wake_ms(),
            suspicion.noted,
            suspicion.used,
        );
        let callback = format!("{} EvtSetNotificationEnabled", self.name);
        trace::stop_in(callback, BugCheck::WDF_VIOLATION, [0; 4], "LostWakeUp", place)
    }
}
