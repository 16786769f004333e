//! The rig's agent in a Windows guest, as far as it needs no Windows.
//!
//! 1. A [`Link`](conversation::Link) opens the serial port; [`Conversation`](conversation::Conversation) greets, reads
//!    lines, and opens the port anew when it is lost, until it is told to stop.
//! 2. [`line`] cuts what comes into lines; [`Agent`](agent::Agent) takes each as a request and answers it once.
//! 3. What a request asks of the machine goes through the trait [`Guest`](guest::Guest), of which the program
//!    `cancelnic-agent` has the one implementation for Windows.

pub mod agent;
pub mod conversation;
pub mod device;
pub mod drivers;
pub mod dumps;
pub mod files;
pub mod filter;
pub mod guest;
pub mod line;
pub mod outbox;
pub mod parameters;
#[cfg(test)]
mod pretend;
pub mod tools;
