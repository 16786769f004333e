//! The first message of a guest's agent, with what the rig knows of the guest by itself.

use agent_protocol::DriverFile;
use std::time::{Duration, Instant};

/// What the guest said of itself.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// `understudy`, `stand-in` or `windows`.
    pub guest: String,
    /// The image that it was started from.
    pub image: Option<String>,
    /// The drivers as the guest sees them.
    pub drivers: Vec<DriverFile>,
    /// From the guest's first instruction to its greeting.
    pub boot: Duration,
    /// When the rig read it.
    pub at: Instant,
}

impl Greeting {
    /// Guest and image, for people.
    pub fn name(&self) -> String {
        match &self.image {
            Some(image) => format!("{} (image {image})", self.guest),
            None => self.guest.clone(),
        }
    }

    /// From `start` to the guest's microsecond `us`, which it counts from its first instruction: `boot` before it greeted.
    /// A machine may have greeted long before the run that `start` is of.
    pub fn since(&self, start: Instant, us: u64) -> Duration {
        let moment =
            self.at.checked_sub(self.boot).and_then(|zero| zero.checked_add(Duration::from_micros(us)));
        moment.map_or(Duration::ZERO, |moment| moment.saturating_duration_since(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_clock_is_tied_to_its_greeting_whenever_the_run_began() {
        let second = Duration::from_secs(1);
        let at = Instant::now() + 10 * second;
        let greeting =
            Greeting { guest: String::new(), image: None, drivers: Vec::new(), boot: 2 * second, at };
        // The machine was started for the run, and greeted 3 s after its beginning.
        assert_eq!(greeting.since(at - 3 * second, 5_000_000), 6 * second);
        // The machine greeted 7 s before the run began.
        assert_eq!(greeting.since(at + 7 * second, 12_500_000), 3 * second + second / 2);
        // What was before the run was at its beginning.
        assert_eq!(greeting.since(at + 7 * second, 1_000_000), Duration::ZERO);
    }
}
