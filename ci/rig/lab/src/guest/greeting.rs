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
}
