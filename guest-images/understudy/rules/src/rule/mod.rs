//! The rules' names, where each comes from, and whether it stops a run. This list is the one place: a test compares it
//! with every name that the sources use, and `cargo rig rules` and `RULES.md` print it.

mod table;

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

pub use table::{GROUPS, Group};

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Windows itself stops, hangs or loses memory: NDIS, the frameworks and the kernel check it, or fall over it.
    Windows,
    /// Driver Verifier, a framework's verifier or Static Driver Verifier stops, where it is on.
    Verifier,
    /// A page of Microsoft's, or the device's interface, forbids it, and nothing there looks.
    Documents,
    /// Nobody forbids it: we advise against it, or understudy lacks it.
    Advice,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Windows => "Windows stops",
            Self::Verifier => "a verifier stops",
            Self::Documents => "the documents forbid it",
            Self::Advice => "our advice",
        })
    }
}

/// What happens when a rule is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The run ends.
    Stop,
    /// The report has it, and the run goes on.
    Warn,
    /// Nothing.
    Off,
}

impl Level {
    /// `stop`, `warn` or `off`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "stop" => Some(Self::Stop),
            "warn" => Some(Self::Warn),
            "off" => Some(Self::Off),
            _ => None,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Its name in a report.
    pub name: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// When it is broken, in one line.
    pub when: &'static str,
    /// Whether there is something to go on with after it: only then can it be a warning, or off.
    pub goes_on: bool,
}

const fn rule(name: &'static str, source: Source, when: &'static str) -> Rule {
    Rule { name, source, when, goes_on: false }
}

const fn goes_on(name: &'static str, source: Source, when: &'static str) -> Rule {
    Rule { goes_on: true, ..rule(name, source, when) }
}

/// Every rule.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    GROUPS.iter().flat_map(|(_, rules)| rules.iter())
}

/// The rule of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.name == name)
}

/// Why a level cannot be set; one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Not `NAME = stop|warn|off`.
    Line(String),
    /// There is no such rule.
    Unknown(String),
    /// Not `stop`, `warn` or `off`: rule and word.
    Level(&'static str, String),
    /// Nothing could go on after it.
    AlwaysStops(&'static str),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "`{line}` is not NAME = stop|warn|off"),
            Self::Unknown(name) => write!(f, "there is no rule `{name}`; `cargo rig rules` lists them"),
            Self::Level(name, word) => write!(f, "{name} can be stop, warn or off, not `{word}`"),
            Self::AlwaysStops(name) => write!(f, "{name} always stops: nothing could go on after it"),
        }
    }
}

impl core::error::Error for Refused {}

/// The levels of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    set: Vec<(&'static str, Level)>,
    /// Advice that a run can go on after only warns, as for a driver that is not this project's.
    advice_warns: bool,
}

impl Levels {
    /// Those of an empty list.
    #[must_use]
    pub const fn usual() -> Self {
        Self { set: Vec::new(), advice_warns: false }
    }

    /// The same, and advice only warns.
    #[must_use]
    pub fn for_a_foreign_driver(self) -> Self {
        Self { advice_warns: true, ..self }
    }

    /// Sets one rule's level; a later one counts.
    ///
    /// # Errors
    /// There is no such rule or level, or the rule always stops.
    pub fn set(&mut self, name: &str, word: &str) -> Result<(), Refused> {
        let rule = find(name).ok_or_else(|| Refused::Unknown(name.to_string()))?;
        let level = Level::read(word).ok_or_else(|| Refused::Level(rule.name, word.to_string()))?;
        if level != Level::Stop && !rule.goes_on {
            return Err(Refused::AlwaysStops(rule.name));
        }
        self.set.retain(|(name, _)| *name != rule.name);
        self.set.push((rule.name, level));
        Ok(())
    }

    /// Reads a file of them: `NAME = stop|warn|off` a line; empty lines and what follows `#` do not count.
    ///
    /// # Errors
    /// The number of the first line that is wrong, from 1, and why.
    pub fn read(&mut self, text: &str) -> Result<(), (usize, Refused)> {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (name, word) =
                line.split_once('=').ok_or_else(|| (number, Refused::Line(line.to_string())))?;
            self.set(name.trim(), word.trim()).map_err(|refused| (number, refused))?;
        }
        Ok(())
    }

    /// What a broken rule of that name does. One that is in no list stops.
    #[must_use]
    pub fn of(&self, name: &str) -> Level {
        if let Some((_, level)) = self.set.iter().find(|(set, _)| *set == name) {
            return *level;
        }
        let advice = find(name).is_some_and(|rule| rule.goes_on && rule.source == Source::Advice);
        if self.advice_warns && advice { Level::Warn } else { Level::Stop }
    }

    /// The words of understudy's command line that say the same: `advice=warn`, `rule.NAME=LEVEL`.
    pub fn words(&self) -> impl Iterator<Item = String> + '_ {
        let advice = self.advice_warns.then(|| String::from("advice=warn"));
        let set = self.set.iter().map(|(name, level)| alloc::format!("rule.{name}={}", level.word()));
        advice.into_iter().chain(set)
    }
}

/// `RULES.md`: every rule with its source, in tables.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(
        "# The rules of understudy\n\nMade from `rules/src/rule/table.rs` (`CANCELNIC_BLESS=1 cargo test -p understudy-rules` \
         writes it after a change);\n`cargo rig rules` prints the same. A rule comes from one of four sources:\n\n",
    );
    for (source, meaning) in [
        (Source::Windows, "Windows itself stops, hangs or loses memory"),
        (
            Source::Verifier,
            "Driver Verifier, a framework's verifier or Static Driver Verifier does, where it is on",
        ),
        (
            Source::Documents,
            "a page of Microsoft's, or the device's interface, forbids it; nothing there looks",
        ),
        (Source::Advice, "nobody forbids it: we advise against it, or understudy lacks it"),
    ] {
        let _ = writeln!(page, "- *{source}*: {meaning}.");
    }
    page.push_str(
        "\nA rule with a star can be a warning or off (`--rules FILE` of `cargo rig demo` and `test`: a line `NAME = stop|warn|off`\nfor \
         each); after any other there is nothing to go on with. Advice with a star only warns for a driver given by `--driver`.\n",
    );
    for (title, rules) in GROUPS {
        let _ = write!(page, "\n## {title}\n\n| rule | source | broken when |\n|---|---|---|\n");
        for rule in rules {
            let star = if rule.goes_on { " *" } else { "" };
            let _ = writeln!(page, "| `{}`{star} | {} | {} |", rule.name, rule.source, rule.when);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn each_rule_is_in_the_table_once() {
        let names: BTreeSet<_> = all().map(|rule| rule.name).collect();
        assert_eq!(names.len(), all().count());
    }

    #[test]
    fn every_rule_stops_until_it_is_set() {
        let levels = Levels::usual();
        assert!(all().all(|rule| levels.of(rule.name) == Level::Stop));
        assert_eq!(levels.of("NoSuchRule"), Level::Stop);
        assert_eq!(levels.words().count(), 0);
    }

    #[test]
    fn advice_does_not_stop_a_foreign_driver_unless_it_is_set_to() {
        let mut levels = Levels::usual().for_a_foreign_driver();
        assert_eq!(levels.of("ControlDeviceWithoutSecurity"), Level::Warn);
        assert_eq!(levels.of("PageFault"), Level::Stop);
        assert_eq!(levels.of("PoolLeaked"), Level::Stop, "no advice, though it could warn");
        levels.set("ControlDeviceWithoutSecurity", "stop").unwrap();
        assert_eq!(levels.of("ControlDeviceWithoutSecurity"), Level::Stop);
    }

    #[test]
    fn a_file_sets_levels_and_the_last_line_of_a_rule_counts() {
        let mut levels = Levels::usual();
        let text = "# ours\n\nPoolLeaked = warn\nFlags_Irql=off  # for now\nPoolLeaked = off\n";
        levels.read(text).unwrap();
        assert_eq!((levels.of("PoolLeaked"), levels.of("Flags_Irql")), (Level::Off, Level::Off));
        let words: Vec<_> = levels.words().collect();
        assert_eq!(words, ["rule.Flags_Irql=off", "rule.PoolLeaked=off"]);
    }

    #[test]
    fn what_is_wrong_in_a_file_is_one_line_with_its_number() {
        for (text, line, part) in [
            ("PoolLeeked = warn", 1, "there is no rule `PoolLeeked`"),
            ("\nPoolLeaked = maybe", 2, "PoolLeaked can be stop, warn or off, not `maybe`"),
            ("PoolLeaked", 1, "`PoolLeaked` is not NAME = stop|warn|off"),
            ("PageFault = warn", 1, "PageFault always stops"),
        ] {
            let (number, refused) = Levels::usual().read(text).unwrap_err();
            assert_eq!(number, line, "{text}");
            let refused = refused.to_string();
            assert!(refused.contains(part) && !refused.contains('\n'), "{text}: {refused}");
        }
    }
}
