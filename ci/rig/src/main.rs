//! The command people type: build, demo, test, debug.

mod agent;
mod build;
mod capture;
mod control;
mod driver_log;
mod facts;
mod failure;
mod places;
mod process;
mod qmp;
mod session;
mod settings;
mod verdict;

fn main() {}
