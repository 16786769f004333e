//! Faults and sets of frames in words.

use agent_protocol::{Ids, Violation};
use std::fmt::Display;

/// A fault.
pub fn violation(rule: &str, callback: impl Display, place: impl Into<String>) -> Violation {
    Violation { rule: rule.into(), callback: callback.to_string(), place: place.into() }
}

/// A fault as the error of the step in which it was found.
pub fn fault_of(fault: &Violation) -> String {
    format!("{} in {} ({})", fault.rule, fault.callback, fault.place)
}

/// Where two lists differ first; `None` if they do not.
pub(super) fn first_difference(
    left_name: &str,
    left: &[u64],
    right_name: &str,
    right: &[u64],
) -> Option<String> {
    if left == right {
        return None;
    }
    let at = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let name = |id: Option<&u64>| id.map_or_else(|| "nothing".to_owned(), |id| format!("frame {id}"));
    Some(format!(
        "{} {left_name}, {} {right_name}; at place {at}: {} against {}",
        left.len(),
        right.len(),
        name(left.get(at)),
        name(right.get(at))
    ))
}

/// Runs of consecutive numbers that [`runs`] shows of a set.
pub const RUNS_SHOWN: usize = 12;

/// Frames for people: `frame 3`, `frames 1-5, 9`.
pub(super) fn frames(ids: &Ids) -> String {
    let noun = if ids.len() == 1 { "frame" } else { "frames" };
    format!("{noun} {}", runs(ids))
}

/// Numbers for people: `1-5, 9`.
pub fn runs(ids: &Ids) -> String {
    let mut text: Vec<String> = ids
        .0
        .iter()
        .take(RUNS_SHOWN)
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    if ids.0.len() > RUNS_SHOWN {
        text.push(format!("... ({} in all)", ids.len()));
    }
    if text.is_empty() { "none".to_owned() } else { text.join(", ") }
}
