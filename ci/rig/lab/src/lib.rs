//! The laboratory: everything that a run of a scenario is made of.
//!
//! The rooms stand on each other in the order base, device, machine, guest, settings, session,
//! facts, verdict, report, run, guests: a room knows only those before it (`ci/rig/tests/floors.rs` checks it).

// Its macros are those of all the others.
#[macro_use]
pub mod base;

pub mod device;
pub mod facts;
pub mod guest;
pub mod guests;
pub mod machine;
pub mod report;
pub mod run;
pub mod session;
pub mod settings;
pub mod verdict;
