//! Gates: places in the pipeline where work can be held, and let through piece by piece.

use cancelnic_registers::Direction;

/// A place where a queue can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Transmit: between available ring and FIFO.
    Fetch,
    /// Transmit: between FIFO and wire.
    Wire,
    /// Transmit: between wire and used ring. Chains taken back or refused, which have no business with the wire, pass.
    Complete,
    /// Receive: in the middle of writing a frame into its buffer.
    RxWrite,
}

impl Gate {
    /// The gates of a queue of that direction, in the order in which its frames come to them.
    pub const fn of(direction: Direction) -> &'static [Gate] {
        match direction {
            Direction::Tx => &[Gate::Fetch, Gate::Wire, Gate::Complete],
            Direction::Rx => &[Gate::RxWrite],
        }
    }
}

/// One gate as it is now. Open at first. A closed gate lets through as many pieces as it was given steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateState {
    /// Lets everything through.
    pub open: bool,
    /// Pieces that it still lets through although it is closed.
    pub steps: u64,
}

impl Default for GateState {
    fn default() -> Self {
        GateState { open: true, steps: 0 }
    }
}

impl GateState {
    /// Opens or closes it. Steps that are left over are forgotten.
    pub(crate) fn set(&mut self, open: bool) {
        *self = GateState { open, steps: 0 };
    }

    /// Lets `count` more pieces through while the gate is closed. An open gate takes no notice.
    pub(crate) fn step(&mut self, count: u64) {
        if !self.open {
            self.steps = self.steps.saturating_add(count);
        }
    }

    /// Pieces that could pass now.
    pub(crate) fn lets_through(&self) -> usize {
        if self.open { usize::MAX } else { usize::try_from(self.steps).unwrap_or(usize::MAX) }
    }

    /// Lets a piece pass, if it can; true if it did.
    pub(crate) fn pass(&mut self) -> bool {
        if self.open {
            return true;
        }
        match self.steps.checked_sub(1) {
            Some(left) => {
                self.steps = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_gate_lets_exactly_its_steps_through() {
        let mut gate = GateState::default();
        assert!(gate.pass());
        gate.set(false);
        assert!(!gate.pass());
        gate.step(2);
        assert_eq!(gate.lets_through(), 2);
        assert!(gate.pass() && gate.pass() && !gate.pass());
        assert_eq!(gate.lets_through(), 0);
    }

    #[test]
    fn steps_of_an_open_gate_are_forgotten() {
        let mut gate = GateState::default();
        gate.step(5);
        gate.set(false);
        assert!(!gate.pass());
        gate.step(5);
        gate.set(false);
        assert!(!gate.pass());
    }
}
