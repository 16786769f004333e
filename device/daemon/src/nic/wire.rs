//! Where frames go once the model is done with them: into the capture, and to the far end of the wire.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cancelnic_model::Wire;

use crate::capture::{Capture, Way};
use crate::cli::WireKind;

/// What is between the queues. Called under a queue's lock; takes only locks of its own.
pub struct Ether {
    kind: WireKind,
    capture: Option<Mutex<Writing>>,
    /// Frames that came back and wait to be handed to the receive queue, in order.
    back: Mutex<VecDeque<Vec<u8>>>,
}

struct Writing {
    capture: Capture,
    /// Frames that could not be written.
    lost: u64,
}

impl Ether {
    /// A wire of that kind, recorded in `capture`.
    pub fn new(kind: WireKind, capture: Option<Capture>) -> Ether {
        Ether {
            kind,
            capture: capture.map(|capture| Mutex::new(Writing { capture, lost: 0 })),
            back: Mutex::default(),
        }
    }

    fn record(&self, way: Way, frame: &[u8]) {
        let Some(writing) = &self.capture else { return };
        let mut writing = lock(writing);
        if let Err(error) = writing.capture.frame(way, frame) {
            writing.lost = writing.lost.saturating_add(1);
            tracing::error!(%error, lost = writing.lost, "the capture is incomplete");
        }
    }

    /// A frame that was taken back was not read: its chain is malformed, or one cancel took more than an honest ring holds.
    fn record_unread(&self) {
        let Some(writing) = &self.capture else { return };
        let mut writing = lock(writing);
        writing.lost = writing.lost.saturating_add(1);
        tracing::warn!(lost = writing.lost, "a frame taken back is not in the capture: it cannot be read");
    }

    /// Frames that the capture lacks because the file could not be written, or a frame taken back not be read.
    pub fn capture_lost(&self) -> u64 {
        self.capture.as_ref().map_or(0, |writing| lock(writing).lost)
    }

    /// Takes the frames that came back. To be called under the receive queue's lock, which keeps their order.
    pub fn take_back(&self) -> VecDeque<Vec<u8>> {
        std::mem::take(&mut lock(&self.back))
    }
}

/// The model's view of the wire; a value for each call, the state is behind it.
impl Wire for &Ether {
    fn transmit(&mut self, _: usize, frame: Vec<u8>, _: Duration) {
        self.record(Way::Outbound, &frame);
        match self.kind {
            WireKind::Null => {}
            WireKind::Loopback => lock(&self.back).push_back(frame),
        }
    }

    fn wants_taken_back(&self) -> bool {
        self.capture.is_some()
    }

    fn taken_back(&mut self, _: usize, frame: Option<Vec<u8>>, _: Duration) {
        match frame {
            Some(frame) => self.record(Way::TakenBack, &frame),
            None => self.record_unread(),
        }
    }

    fn delivered(&mut self, _: usize, frame: Vec<u8>, _: Duration) {
        self.record(Way::Inbound, &frame);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_gives_frames_back_in_order_once() {
        let ether = Ether::new(WireKind::Loopback, None);
        (&ether).transmit(0, vec![1; 60], Duration::ZERO);
        (&ether).transmit(0, vec![2; 60], Duration::ZERO);
        assert_eq!(ether.take_back(), [vec![1; 60], vec![2; 60]]);
        assert!(ether.take_back().is_empty());
    }

    #[test]
    fn null_wire_gives_nothing_back() {
        let ether = Ether::new(WireKind::Null, None);
        (&ether).transmit(0, vec![1; 60], Duration::ZERO);
        assert!(ether.take_back().is_empty());
    }
}
