//! What the command tells of itself: its version, completions for shells, man pages.

use anyhow::{Context, Result};
use clap::{Command, ValueEnum};
use clap_complete::Shell;
use lab::base::workspace::Workspace;
use std::fs;
use std::io::Write;
use std::path::Path;

/// The name under which shells and man know the command.
const NAME: &str = "cargo-rig";
/// The program that cargo starts.
const PROGRAM: &str = "rig";

/// Shells that have completions for `cargo rig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Completed {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

impl Completed {
    /// Clap completes the program `rig`; these lines hand a command line that begins with `cargo rig` over to it.
    fn behind_cargo(self) -> (Shell, &'static str) {
        match self {
            Self::Bash => (Shell::Bash, BASH),
            Self::Zsh => (Shell::Zsh, ZSH),
            Self::Fish => (Shell::Fish, FISH),
        }
    }
}

/// Cargo's own completion, as far as it is loaded by then, goes on with every other subcommand.
const BASH: &str = r#"
_completion_loader cargo 2>/dev/null || _comp_load cargo 2>/dev/null || true
_rig_cargo=$(complete -p cargo 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
[ "$_rig_cargo" != _cargo_with_rig ] || _rig_cargo=
_cargo_with_rig() {
    if [ "${COMP_WORDS[1]}" = rig ] && [ "$COMP_CWORD" -gt 1 ]; then
        COMP_WORDS=(rig "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _rig rig "$2" "$3"
    elif [ -n "$_rig_cargo" ]; then
        "$_rig_cargo" "$@"
    fi
}
complete -F _cargo_with_rig -o nosort -o bashdefault -o default cargo
"#;

/// Cargo's completion calls a function of this name for a subcommand that it does not know.
const ZSH: &str = r#"
_cargo-rig() { _rig "$@" }
"#;

const FISH: &str = r#"
function __cargo_rig_complete
    complete -C (commandline -cp | string replace -r '^\s*cargo\s+rig' rig)
end
complete -c cargo -n '__fish_seen_subcommand_from rig' -xa '(__cargo_rig_complete)'
"#;

/// Writes the completions for `shell`.
pub(crate) fn completions(mut command: Command, shell: Completed, out: &mut impl Write) -> Result<()> {
    let (generator, behind_cargo) = shell.behind_cargo();
    let mut script = Vec::new();
    clap_complete::generate(generator, &mut command, PROGRAM, &mut script);
    script.extend_from_slice(behind_cargo.as_bytes());
    out.write_all(&script).context("cannot write the completions")
}

/// Writes a man page for the command and for each of its subcommands into `folder`.
pub(crate) fn man_pages(command: Command, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    clap_mangen::generate_to(command.name(NAME), folder)
        .with_context(|| format!("cannot write man pages into {}", folder.display()))
}

/// Version of the command, and commit and folder of the tree that it works in, where these are known.
pub(crate) fn version() -> String {
    let mut text = env!("CARGO_PKG_VERSION").to_owned();
    if let Ok(workspace) = Workspace::find() {
        if let Some(commit) = workspace.commit() {
            text.push_str(&format!(", commit {commit}"));
        }
        text.push_str(&format!(", in {}", workspace.root().display()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn command() -> Command {
        crate::Arguments::command()
    }

    #[test]
    fn bash_completes_a_subcommand_behind_cargo() {
        let mut script = Vec::new();
        completions(command(), Completed::Bash, &mut script).unwrap();
        script.extend_from_slice(
            b"COMP_WORDS=(cargo rig dem); COMP_CWORD=2; _cargo_with_rig cargo dem rig; echo \"${COMPREPLY[@]}\"\n\
              COMP_WORDS=(cargo rig demo --fra); COMP_CWORD=3; _cargo_with_rig cargo --fra demo; \
              echo \"${COMPREPLY[@]}\"\n",
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("completions.bash");
        fs::write(&file, script).unwrap();
        let output = std::process::Command::new("bash").args(["--norc", "--noprofile"]).arg(&file).output();
        let output = output.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "demo\n--frames\n", "{errors}");
    }

    #[test]
    fn every_shell_has_completions_for_the_command_behind_cargo() {
        for (shell, line) in [
            (Completed::Zsh, "_cargo-rig() {"),
            (Completed::Fish, "complete -c cargo -n '__fish_seen_subcommand_from rig'"),
        ] {
            let mut script = Vec::new();
            completions(command(), shell, &mut script).unwrap();
            assert!(String::from_utf8(script).unwrap().contains(line));
        }
    }

    #[test]
    fn each_subcommand_has_a_man_page() {
        let folder = tempfile::tempdir().unwrap();
        man_pages(command(), folder.path()).unwrap();
        for subcommand in command().get_subcommands() {
            let page = folder.path().join(format!("{NAME}-{}.1", subcommand.get_name()));
            let text =
                fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
            assert!(text.contains("cargo rig"), "{text}");
        }
        assert!(folder.path().join(format!("{NAME}.1")).is_file());
    }

    #[test]
    fn the_help_of_every_subcommand_has_examples() {
        fn check(command: &Command) {
            for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
                let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
                let wide = help.lines().find(|line| line.len() > 80);
                assert_eq!(wide, None, "a line of more than 80 characters");
                assert!(help.starts_with("Examples:\n"), "{} has no examples", subcommand.get_name());
                check(subcommand);
            }
        }
        check(&command());
    }
}
