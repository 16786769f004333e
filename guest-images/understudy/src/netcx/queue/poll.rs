//! What a queue's execution context does with it: polls, arming, and the tasks between.
//!
//! Rules: CX4 to CX6, CX13 (`driver/docs/netadaptercx.md`).

use super::Queue;
use crate::netcx::ec::{Client, Mode, Task};
use crate::netcx::watch;
use crate::verifier::{trace, window};
use alloc::format;
use cancelnic_registers::Direction;
use core::sync::atomic::Ordering::Relaxed;
use netadaptercx_sys::NETPACKETQUEUE;
use understudy_rules::netcx::verifier;

impl Queue {
    /// Takes what came back from above apart.
    fn recycle(&self) -> bool {
        let recycled = self.above.recycle();
        recycled.unwrap_or_else(|(rule, place)| self.stop(rule, 0, format!("{}: {place}", self.name)))
    }

    /// Whether neither the driver nor whoever is above has anything left.
    fn is_settled(&self) -> bool {
        self.is_empty() && self.above.is_settled()
    }
}

impl Client for Queue {
    fn poll(&self, mode: Mode) -> bool {
        let recycled = self.recycle();
        if self.muted.load(Relaxed) {
            return recycled;
        }
        let filled = mode == Mode::Running && self.fill();
        let advance = match (self.direction, mode) {
            (Direction::Tx, _) => self.packets.held() != 0,
            (Direction::Rx, Mode::Stopping) => !self.is_empty(),
            (Direction::Rx, _) => true,
        };
        let reaped = advance && {
            let moved = self.call("EvtAdvance");
            self.reap("EvtAdvance", moved)
        };
        let handed = self.above.hand_up(mode == Mode::Stopping && self.is_empty());
        if mode == Mode::Stopping && self.is_settled() {
            self.ready.set();
        }
        recycled || filled || reaped || handed
    }

    fn arm(&self, _mode: Mode) {
        if self.muted.load(Relaxed) || self.is_empty() && self.direction == Direction::Tx {
            return;
        }
        let Some(callback) = self.config.EvtSetNotificationEnabled else { return };
        window::NETCX_ARM_BEFORE.pass_as(self.name);
        self.last.with(|last| *last = "EvtSetNotificationEnabled");
        self.arms.begin();
        let handle = self.handle() as NETPACKETQUEUE;
        // SAFETY: the driver's callback with its own handle, at the poll's IRQL.
        trace::quick_callback(self.name, "EvtSetNotificationEnabled", || unsafe { callback(handle, 1) });
        self.arms.end();
        window::NETCX_ARM_AFTER.pass_as(self.name);
    }

    fn is_to_be_held(&self) -> bool {
        window::NETCX_ARM_BEFORE.is_held_for(self.name) || window::NETCX_ARM_AFTER.is_held_for(self.name)
    }

    fn task(&self, task: Task) {
        match task {
            Task::Start => {
                self.calls.store(0, Relaxed);
                self.started.store(true, Relaxed);
                self.lifecycle("EvtStart", self.config.EvtStart);
                self.resumed.store(false, Relaxed);
                self.find_used_ring();
            }
            Task::Cancel => {
                self.cancelled.store(true, Relaxed);
                // a notification that comes during the call counts
                self.muted.store(self.direction == Direction::Rx && crate::settings::documented(), Relaxed);
                let moved = self.call("EvtCancel");
                self.reap("EvtCancel", moved);
                if self.is_empty() {
                    self.muted.store(false, Relaxed);
                }
            }
            Task::Stop => {
                self.lifecycle("EvtStop", self.config.EvtStop);
                self.started.store(false, Relaxed);
                self.arms.forget();
                if self.direction == Direction::Tx
                    && let Err(broken) = verifier::tx_fragments_followed(&self.snapshot())
                {
                    self.judge_rings("EvtStop", broken);
                }
            }
        }
    }

    fn asleep(&self, mode: Mode) {
        // one look per life, once the driver has had packets to post
        if mode == Mode::Running && !self.resumed.load(Relaxed) && self.packets.held() != 0 {
            self.resumed.store(true, Relaxed);
            if watch::is_stopped(self.direction) {
                self.stop(
                    "QueueNotResumed",
                    0,
                    format!(
                        "{}: packets are posted, but the device's STATE is STOPPED since EvtStart",
                        self.name
                    ),
                );
            }
        }
    }
}
