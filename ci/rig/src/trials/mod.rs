//! Scenarios that use the command itself, or what only it has: they build, install, debug, are interrupted.

mod command;
mod copied;
mod debugger;
mod image;
mod packages;
mod page;
#[cfg(test)]
mod seeds;
mod uses;
mod windbg;
mod windows;

use scenarios::Scenario;

/// Every scenario. Those that take longest come first, so that workers side by side end together.
pub(crate) fn all() -> Vec<Scenario> {
    [
        windows::all(),
        image::all(),
        page::all(),
        packages::all(),
        windbg::all(),
        debugger::all(),
        command::all(),
        copied::all(),
        scenarios::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::all;
    use std::collections::HashSet;

    #[test]
    fn names_are_kebab_case_and_unique() {
        let scenarios = all();
        let names: HashSet<_> = scenarios.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), scenarios.len());
        let kebab =
            |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        assert!(names.iter().all(|name| kebab(name)), "{names:?}");
    }

    #[test]
    fn every_scenario_says_in_a_line_what_it_shows_and_no_two_say_the_same() {
        let scenarios = all();
        let lines: HashSet<_> = scenarios.iter().map(|scenario| scenario.description).collect();
        assert_eq!(lines.len(), scenarios.len());
        let long: Vec<_> = lines.iter().filter(|line| line.is_empty() || line.len() > 120).collect();
        assert!(long.is_empty(), "{long:?}");
    }
}
