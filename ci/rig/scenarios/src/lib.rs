//! The scenarios of `cargo rig test` that run drivers: each a value ([`Scenario`]) in the file of its subject. Those that use
//! the command itself are the command's (`ci/rig/src/trials`).

mod binding;
mod broken;
mod cause;
pub mod filter;
mod filter_broken;
mod filter_random;
mod filter_requests;
mod filter_stack;
mod form;
mod forms;
mod hang;
mod hardware;
mod lifecycle;
mod machine;
mod memory;
mod packages;
pub mod path;
mod receive;
mod requests;
mod scenario;
mod stuck;
pub mod transmit;
mod trespass;
mod wake_up;
mod want;
mod windows;

pub use scenario::{Circumstances, Failed, Scenario, Trial, command, take_test_build};
pub use want::{Cast, Want};

/// Every scenario that runs drivers.
pub fn all() -> Vec<Scenario> {
    [
        transmit::all(),
        receive::all(),
        wake_up::all(),
        forms::all(),
        filter::all(),
        filter_random::all(),
        filter_requests::all(),
        filter_stack::all(),
        filter_broken::all(),
        lifecycle::all(),
        machine::all(),
        memory::all(),
        packages::all(),
        requests::all(),
        broken::all(),
        cause::all(),
        binding::all(),
        stuck::all(),
        trespass::all(),
        hang::all(),
        hardware::all(),
        windows::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::all;
    use cancelnic_mutants::Mutant;

    #[test]
    fn every_mutant_of_the_drivers_has_a_scenario_that_shows_it() {
        let scenarios = all();
        let shown = |wanted: &Mutant| scenarios.iter().any(|scenario| scenario.mutant() == Some(*wanted));
        let unseen: Vec<_> = Mutant::ALL.iter().filter(|mutant| !shown(mutant)).collect();
        assert!(unseen.is_empty(), "{unseen:?}");
    }
}
