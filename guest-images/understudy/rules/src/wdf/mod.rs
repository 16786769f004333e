//! KMDF's decisions: `driver/docs/requests.md`.

pub mod queue_state;
pub mod recall;
pub mod table;
