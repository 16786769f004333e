//! Which scenarios are run, and in which order: filters, skips, shards; long ones first.

use super::durations::Durations;
use lab::base::failure::Usage;
use std::str::FromStr;

/// The part K of N of all scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shard {
    part: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((part, of)) if (1..=of).contains(&part) => Ok(Self { part, of }),
            _ => Err("K/N with 1 <= K <= N is wanted, such as 1/4".to_owned()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

/// What the command line wants of all the names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Only names that contain one of these; all names if there is none.
    pub filters: &'a [String],
    /// None that contains one of these.
    pub skips: &'a [String],
    /// The texts are whole names.
    pub exact: bool,
    /// Of those, one part.
    pub shard: Option<Shard>,
}

impl Wanted<'_> {
    /// The names that are wanted, in their order.
    ///
    /// # Errors
    /// A filter or a skip that fits no name: it is misspelt.
    pub(super) fn choose(&self, names: &[&'static str]) -> Result<Vec<&'static str>, Usage> {
        for text in self.filters.iter().chain(self.skips) {
            if !names.iter().any(|name| self.fits(name, text)) {
                return Err(unknown(names, text, self.exact));
            }
        }
        let any = |texts: &[String], name: &str| texts.iter().any(|text| self.fits(name, text));
        let chosen = names
            .iter()
            .filter(|name| self.filters.is_empty() || any(self.filters, name))
            .filter(|name| !any(self.skips, name));
        let chosen: Vec<_> = match self.shard {
            Some(Shard { part, of }) => chosen.skip(part - 1).step_by(of).copied().collect(),
            None => chosen.copied().collect(),
        };
        if chosen.is_empty() {
            return Err(Usage("no scenario is left to run: --skip or --shard leave none".into()));
        }
        Ok(chosen)
    }

    fn fits(&self, name: &str, text: &str) -> bool {
        if self.exact { name == text } else { name.contains(text) }
    }
}

/// The error for a name that is none, with those that were perhaps meant.
fn unknown(names: &[&'static str], text: &str, exact: bool) -> Usage {
    let relation = if exact { "is called" } else { "has in its name" };
    let mut near: Vec<_> =
        names.iter().map(|name| (likeness(name, text), *name)).filter(|(near, _)| *near > 0.7).collect();
    near.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    near.truncate(3);
    let near: Vec<_> = near.into_iter().map(|(_, name)| name).collect();
    let advice = if near.is_empty() {
        "`cargo rig test --list` names them".to_owned()
    } else {
        format!("did you mean {}?", near.join(", "))
    };
    Usage(format!("no scenario {relation} `{text}`; {advice}"))
}

/// How much like `text` a name is, or a part of it of the same number of words; 1 is equal.
fn likeness(name: &str, text: &str) -> f64 {
    let words: Vec<_> = name.split('-').collect();
    let length = text.split('-').count();
    words
        .windows(length.min(words.len()))
        .map(|part| strsim::normalized_damerau_levenshtein(&part.join("-"), text))
        .chain([strsim::normalized_damerau_levenshtein(name, text)])
        .fold(0.0, f64::max)
}

/// Puts those first that took longest when they last ran, so that all workers end at about the same time. Those that
/// never ran come before them, in their order: nothing is known of them.
pub(super) fn longest_first<T>(
    scenarios: &mut [T],
    name: impl Fn(&T) -> &'static str,
    durations: &Durations,
) {
    scenarios.sort_by(|one, other| {
        let took = |scenario: &T| durations.of(name(scenario)).unwrap_or(f64::INFINITY);
        took(other).total_cmp(&took(one))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["tx-cancel", "tx-cancel-twice", "rx-cancel", "rx-cancel-idle", "reload"];

    fn choose(
        filters: &[&str],
        skips: &[&str],
        exact: bool,
        shard: Option<&str>,
    ) -> Result<Vec<&'static str>, String> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let (filters, skips) = (texts(filters), texts(skips));
        let shard = shard.map(|shard| shard.parse().unwrap());
        let wanted = Wanted { filters: &filters, skips: &skips, exact, shard };
        wanted.choose(&NAMES).map_err(|error| error.to_string())
    }

    #[test]
    fn several_filters_add_up_and_skips_take_away() {
        assert_eq!(choose(&["tx", "reload"], &["twice"], false, None).unwrap(), ["tx-cancel", "reload"]);
        assert_eq!(choose(&["tx-cancel"], &[], true, None).unwrap(), ["tx-cancel"]);
        assert_eq!(choose(&[], &["cancel"], false, None).unwrap(), ["reload"]);
        assert!(choose(&["tx"], &["tx"], false, None).unwrap_err().starts_with("no scenario is left"));
    }

    #[test]
    fn shards_together_are_all_of_it_once() {
        let mut all: Vec<_> =
            ["1/2", "2/2"].iter().flat_map(|shard| choose(&[], &[], false, Some(shard)).unwrap()).collect();
        all.sort_unstable();
        let mut names = NAMES;
        names.sort_unstable();
        assert_eq!(all, names);
        for wrong in ["0/2", "3/2", "1", "a/b", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_misspelt_name_is_wrong_usage_with_the_name_that_was_meant() {
        let error = choose(&["tx-cancle"], &[], false, None).unwrap_err();
        assert!(error.contains("no scenario has in its name `tx-cancle`; did you mean tx-cancel"), "{error}");
        let error = choose(&["rx-cancel-idel"], &[], true, None).unwrap_err();
        assert!(error.contains("did you mean rx-cancel-idle"), "{error}");
        let error = choose(&["nobody"], &[], false, None).unwrap_err();
        assert!(error.ends_with("`cargo rig test --list` names them"), "{error}");
        // One of several is enough, and a skip that skips nothing is a mistake as well.
        assert!(choose(&["tx", "nobody"], &[], false, None).is_err());
        assert!(choose(&[], &["nobody"], false, None).is_err());
    }

    #[test]
    fn the_longest_begin_and_those_that_nothing_is_known_of_before_them() {
        let mut durations = Durations::default();
        for (name, seconds) in [("tx-cancel", 2.0), ("rx-cancel", 9.0), ("reload", 5.0)] {
            durations.note(name, std::time::Duration::from_secs_f64(seconds));
        }
        let mut order = NAMES;
        longest_first(&mut order, |name| *name, &durations);
        assert_eq!(order, ["tx-cancel-twice", "rx-cancel-idle", "rx-cancel", "reload", "tx-cancel"]);
    }
}
