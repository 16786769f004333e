//! Gates: places in the pipeline where work can be held, and let through piece by piece.

use crate::GateSnapshot;

/// One gate. Open at first. A closed gate lets through as many pieces as it was given steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gate {
    open: bool,
    steps: u64,
}

impl Default for Gate {
    fn default() -> Self {
        Gate { open: true, steps: 0 }
    }
}

impl Gate {
    /// Opens or closes it. Steps that are left over are forgotten.
    pub fn set(&mut self, open: bool) {
        *self = Gate { open, steps: 0 };
    }

    /// Lets `count` more pieces through while the gate is closed. An open gate takes no notice.
    pub fn step(&mut self, count: u64) {
        if !self.open {
            self.steps = self.steps.saturating_add(count);
        }
    }

    /// Whether a piece could pass now.
    pub fn lets_through(&self) -> bool {
        self.open || self.steps > 0
    }

    /// Lets a piece pass, if it can; true if it did.
    pub fn pass(&mut self) -> bool {
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

    /// How it stands.
    pub fn snapshot(&self) -> GateSnapshot {
        GateSnapshot { open: self.open, steps: self.steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_gate_lets_exactly_its_steps_through() {
        let mut gate = Gate::default();
        assert!(gate.pass());
        gate.set(false);
        assert!(!gate.pass());
        gate.step(2);
        assert!(gate.lets_through());
        assert!(gate.pass() && gate.pass() && !gate.pass());
        assert!(!gate.lets_through());
    }

    #[test]
    fn steps_of_an_open_gate_are_forgotten() {
        let mut gate = Gate::default();
        gate.step(5);
        gate.set(false);
        assert!(!gate.pass());
        gate.step(5);
        gate.set(false);
        assert!(!gate.pass());
    }
}
