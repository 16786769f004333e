//! The rules of understudy: their list, and what a project wants of each.

use crate::guest::GuestKind;
use anyhow::Result;
use clap::Args;
use lab::base::failure::Usage;
use std::fs;
use std::path::{Path, PathBuf};
use understudy_rules::rule::{self, Levels};

/// Prints each rule with where it comes from and when it is broken.
pub(crate) fn print() {
    for rule in rule::all() {
        let can = if rule.goes_on { "*" } else { " " };
        println!("{:<41}{can} {:<24} {}", rule.name, rule.source.to_string(), rule.when);
    }
}

/// The option that names such a file.
#[derive(Debug, Args)]
#[group(id = "which_rules")]
pub(crate) struct Options {
    /// Levels of rules, a line `NAME = stop|warn|off` each; `cargo rig rules` lists those that can (*)
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
}

impl Options {
    /// The words of understudy's command line for it, or for the file that the project names. Advice does not stop another project's driver.
    ///
    /// # Errors
    /// [`Usage`]: the file cannot be read, a line is wrong, or `guest` is an image.
    pub(crate) fn words(
        &self,
        guest: GuestKind,
        is_foreign: bool,
        of_project: Option<&Path>,
    ) -> Result<Vec<String>> {
        let mut levels = Levels::usual();
        if is_foreign {
            levels = levels.for_a_foreign_driver();
        }
        if let Some(file) = self.rules.as_deref().or(of_project) {
            if guest != GuestKind::Understudy {
                return Err(
                    Usage("--rules is for --guest understudy: its rules are no image's".into()).into()
                );
            }
            let refuse = |why: String| Usage(format!("--rules {}{why}", file.display()));
            let text = fs::read_to_string(file).map_err(|error| refuse(format!(": {error}")))?;
            levels.read(&text).map_err(|(line, refused)| refuse(format!(":{line}: {refused}")))?;
        }
        Ok(levels.words().collect())
    }

    /// The same as an argument, for doing a run again.
    pub(crate) fn replay(&self, of_project: Option<&Path>) -> String {
        self.rules
            .as_deref()
            .or(of_project)
            .map_or_else(String::new, |file| format!(" --rules {}", file.display()))
    }
}

/// What `Options` makes of a file with this text.
#[cfg(test)]
fn of_text(text: &str, driver: &[&str]) -> Result<Vec<String>> {
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        rules: Options,
        #[command(flatten)]
        driver: crate::foreign::Options,
    }

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules");
    fs::write(&file, text)?;
    let file = file.to_str().expect("a path of ours");
    let line = Line::parse_from(["test", "--rules", file].into_iter().chain(driver.iter().copied()));
    assert_eq!(line.rules.replay(None), format!(" --rules {file}"));
    line.rules.words(GuestKind::Understudy, line.driver.is_given(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projects_file_becomes_words_of_the_kernels_command_line() {
        assert_eq!(of_text("PoolLeaked = warn\n", &[]).unwrap(), ["rule.PoolLeaked=warn"]);
        let words = of_text("NotifyWithoutArm = stop", &["--driver", "x"]).unwrap();
        assert_eq!(words, ["advice=warn", "rule.NotifyWithoutArm=stop"]);
    }

    #[test]
    fn a_name_that_is_no_rule_is_wrong_usage_with_its_line() {
        let error = of_text("# ours\nPoolLeeked = warn\n", &[]).unwrap_err();
        assert!(error.is::<Usage>());
        let text = error.to_string();
        assert!(text.contains("rules:2: there is no rule `PoolLeeked`") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn a_file_for_an_image_or_that_is_not_there_is_wrong_usage() {
        let options = Options { rules: Some("/nowhere/rules".into()) };
        for (guest, part) in
            [(GuestKind::Windows, "for --guest understudy"), (GuestKind::Understudy, "/nowhere/rules: ")]
        {
            let error = options.words(guest, false, None).unwrap_err();
            assert!(error.is::<Usage>() && error.to_string().contains(part), "{error:#}");
        }
    }
}
