//! The model against a driver that keeps its own view of the rings.

mod config;
mod contracts;
mod extremes;
mod guest;
mod hostile;
mod judge;
mod malformed;
mod memory;
mod schedule;
mod service;
mod table;
mod world;

use proptest::test_runner::{Config, RngSeed};

/// So many cases of a property, the same in every run. Under `ci/fuzz`, which gives a seed in CANCELNIC_FUZZ, eight times as
/// many, and others.
fn cases(usual: u32) -> Config {
    let seed: Option<u64> = std::env::var("CANCELNIC_FUZZ").ok().map(|seed| seed.parse().expect("a number"));
    Config {
        cases: seed.map_or(usual, |_| 8 * usual),
        rng_seed: RngSeed::Fixed(seed.unwrap_or(1)),
        failure_persistence: None,
        ..Config::default()
    }
}
