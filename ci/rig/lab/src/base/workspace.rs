//! The workspace that is built, and how cargo is run in it.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::built;
use super::failure::SetupMissing;

/// The rig's own folder in the workspace.
const RIG: &str = "ci/rig";

/// The workspace's top folder: the one that cargo runs the rig in; without cargo, the one that holds the current folder.
///
/// A path that was compiled in would name the tree that the program was built in, even when it runs in a copy.
pub fn checkout() -> Result<PathBuf, SetupMissing> {
    let current = env::current_dir().unwrap_or_default();
    checkout_seen_from(env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).as_deref(), &current).ok_or_else(
        || {
            SetupMissing::new(
                format!("the checkout to work in ({} is not in one)", current.display()),
                "cd to a folder of a checkout of cancelnic",
            )
        },
    )
}

/// `package` is the folder of the package that cargo runs: the rig's, unless the rig is started by another's program.
fn checkout_seen_from(package: Option<&Path>, current: &Path) -> Option<PathBuf> {
    let is_workspace =
        |folder: &&Path| folder.join("Cargo.toml").is_file() && folder.join(RIG).join("Cargo.toml").is_file();
    let of_package = package.filter(|package| package.ends_with(RIG)).and_then(|package| {
        let top = package.ancestors().nth(Path::new(RIG).components().count())?;
        Some(top).filter(is_workspace)
    });
    of_package.or_else(|| current.ancestors().find(is_workspace)).map(Path::to_path_buf)
}

/// What cargo is to do with a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb<'a> {
    /// `cargo build`.
    Build,
    /// `cargo rustc`: a build with flags for the package itself and not for what it needs. Flags
    /// that differ between packages would otherwise have all that they share built anew each time.
    Rustc(&'a [String]),
    /// `cargo clippy`, warnings being errors. In the profile `dev`, whatever the build's is: the macros and build scripts
    /// that it needs are then those that the host's tests have built, and half of the time was theirs.
    Lint,
}

impl Verb<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Rustc(_) => "rustc",
            Self::Lint => "clippy",
        }
    }

    fn doing(self) -> &'static str {
        match self {
            Self::Build | Self::Rustc(_) => "building",
            Self::Lint => "linting",
        }
    }
}

/// A checked-out workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
    /// What each driver says of itself.
    versions: HashMap<String, Version>,
}

/// A driver's version.
#[derive(Clone, Debug)]
pub struct Version {
    /// `major.minor.patch`.
    pub number: String,
    /// Date of that version, `year-month-day`.
    pub date: String,
}

impl Workspace {
    /// The workspace to work in: [`checkout`]. Cargo is asked about it once.
    pub fn find() -> anyhow::Result<Self> {
        static FOUND: Mutex<Option<Workspace>> = Mutex::new(None);
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_none() {
            *found = Some(Self::at(&checkout()?)?);
        }
        found.clone().context("found above")
    }

    /// The workspace in the folder `root`.
    pub fn at(root: &Path) -> anyhow::Result<Self> {
        let root = root.canonicalize().with_context(|| format!("no workspace at {}", root.display()))?;
        // In this program's own folder, where cargo has started it: a relative CARGO_TARGET_DIR starts there.
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"]);
        command.arg(root.join("Cargo.toml"));
        let output = start(&mut command, |command| command.output())?;
        if !output.status.success() {
            bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
        let version = |package: &Value| {
            let date = package["metadata"]["cancelnic"]["driver-date"].as_str()?;
            let number = package["version"].as_str()?;
            Some((package["name"].as_str()?.to_owned(), Version { number: number.into(), date: date.into() }))
        };
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let text = |value: &Value, what: &str| {
            value.as_str().map(str::to_owned).with_context(|| format!("cargo metadata: no {what}"))
        };
        Ok(Self {
            target: PathBuf::from(text(&metadata["target_directory"], "target directory")?),
            versions: packages.filter_map(version).collect(),
            root,
        })
    }

    /// Copies the sources into the new folder `to`: everything but the target folder and the history.
    pub fn copy_sources(&self, to: &Path) -> anyhow::Result<()> {
        copy_sources(&self.root, to).with_context(|| format!("copying the sources to {}", to.display()))
    }

    /// The commit that is checked out, with `-dirty` behind it if files differ; `None` where there is no git, or no
    /// history.
    pub fn commit(&self) -> Option<String> {
        // Without a history here, git would answer for a repository around this folder.
        if !self.root.join(".git").exists() {
            return None;
        }
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.root).args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
        let output = git.output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
    }

    /// The same workspace, building into another folder.
    #[must_use]
    pub fn with_target(self, target: PathBuf) -> Self {
        Self { target, ..self }
    }

    /// The workspace's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Cargo's target folder.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Where the finished artefacts go.
    #[must_use]
    pub fn out(&self) -> PathBuf {
        self.target.join("cancelnic")
    }

    /// Version of a driver's package.
    ///
    /// # Errors
    /// The package is not there, or names no `driver-date` in `package.metadata.cancelnic`.
    pub fn version(&self, package: &str) -> anyhow::Result<&Version> {
        self.versions
            .get(package)
            .with_context(|| format!("the workspace has no package `{package}` with a driver-date"))
    }

    /// Fails if the toolchain has no core library for `target`.
    pub fn require_target(&self, target: &'static str) -> anyhow::Result<()> {
        let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        command.args(["--print", "target-libdir", "--target", target]).current_dir(&self.root);
        let output = start(&mut command, |command| command.output())?;
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let installed = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"));
        if installed { Ok(()) } else { Err(SetupMissing::Target { target }.into()) }
    }

    /// Runs cargo on one package with more arguments and `--config` settings; a build that this run has made is not
    /// made again.
    pub fn cargo(
        &self,
        verb: Verb<'_>,
        verbose: bool,
        package: &str,
        arguments: &[&str],
        settings: &[String],
    ) -> anyhow::Result<()> {
        let mut command = cargo();
        command.current_dir(&self.root).args([verb.name(), "--package", package]).args(arguments);
        command.arg("--target-dir").arg(&self.target);
        for setting in settings {
            command.args(["--config", setting]);
        }
        command.arg(if verbose { "--verbose" } else { "--quiet" });
        match verb {
            Verb::Build => {}
            Verb::Rustc(flags) => _ = command.arg("--").args(flags),
            // a kernel has nobody who unwinds
            Verb::Lint => _ = command.args(["--config", "profile.dev.panic='abort'", "--", "-D", "warnings"]),
        }
        // A path's debug form is one line.
        let entry = format!("{:?} {:?}", self.root, command.get_args().collect::<Vec<_>>());
        let mut call = || {
            // cargo says nothing while all is well, and the first time takes minutes
            eprintln!("{} {package} {}", verb.doing(), arguments.join(" "));
            let status = start(&mut command, |command| command.status())?;
            if !status.success() {
                bail!("cargo {} of `{package}` failed ({status})", verb.name());
            }
            Ok(())
        };
        if verb == Verb::Lint { call() } else { built::once(entry, call) }
    }

    /// The setting that gives `flags` to rustc for `target`, together with those that hide where
    /// the workspace and the registry lie, so that a build gives the same bytes in every folder.
    #[must_use]
    pub fn flags_config(&self, target: &str, flags: &[String]) -> String {
        let remapped = self
            .remapped_folders()
            .into_iter()
            .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
        // a later remapping wins: the target folder lies in the workspace
        let quoted: Vec<_> = flags.iter().cloned().chain(remapped).map(|flag| format!("{flag:?}")).collect();
        format!("target.{target}.rustflags=[{}]", quoted.join(","))
    }

    /// Folders that appear in paths, and the names they get; the more particular ones last.
    fn remapped_folders(&self) -> Vec<(PathBuf, &'static str)> {
        let mut folders = vec![(self.root.clone(), "/cancelnic"), (self.target.clone(), "/cancelnic/target")];
        let cargo_home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
        if let Some(home) = cargo_home {
            let registries = fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
            folders.extend(registries.map(|entry| (entry.path(), "/registry")));
        }
        folders
    }
}

fn copy_sources(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if name == "target" || name == ".git" {
            continue;
        }
        if kind.is_dir() {
            copy_sources(&entry.path(), &to.join(&name))?;
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

/// Cargo without what the environment would add to the compiler's flags.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        command.env_remove(name);
    }
    command
}

/// Runs a command, naming the program if it cannot be started.
fn start<T>(
    command: &mut Command,
    run: impl FnOnce(&mut Command) -> std::io::Result<T>,
) -> Result<T, SetupMissing> {
    run(command).map_err(|source| SetupMissing::Program {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with two trees side by side, as far as the search looks at them.
    fn two_trees() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for tree in ["one", "two"] {
            let rig = folder.path().join(tree).join(RIG);
            fs::create_dir_all(rig.join("src")).unwrap();
            fs::write(rig.join("Cargo.toml"), "").unwrap();
            fs::write(folder.path().join(tree).join("Cargo.toml"), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_tree_is_the_one_that_cargo_runs_the_rig_in_else_the_one_around_the_current_folder() {
        let folder = two_trees();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let seen = |package: Option<&Path>, current: &Path| checkout_seen_from(package, current);
        assert_eq!(seen(Some(&one.join(RIG)), &two), Some(one.clone()));
        assert_eq!(seen(None, &two.join(RIG).join("src")), Some(two.clone()));
        // Another package's program has started the rig.
        assert_eq!(seen(Some(&folder.path().join("other")), &two), Some(two.clone()));
        // The tree that cargo named has been moved away meanwhile.
        assert_eq!(seen(Some(&folder.path().join("gone").join(RIG)), &two), Some(two));
    }

    #[test]
    fn outside_every_tree_there_is_none() {
        let folder = two_trees();
        assert_eq!(checkout_seen_from(None, folder.path()), None);
    }

    /// A copied tree's programs and tests would read the tree that they were built in.
    #[test]
    fn no_code_of_the_workspace_opens_a_compiled_in_path() {
        // Folders of what is made or fetched: not the project's, and not always readable.
        const NOT_OURS: [&str; 3] = [".git", "target", "node_modules"];
        fn look(folder: &Path, found: &mut Vec<PathBuf>) {
            let needle = concat!("env!(", "\"CARGO_MANIFEST_DIR\")");
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    let ours = NOT_OURS.iter().all(|name| entry.file_name() != *name);
                    if ours && !path.join("CACHEDIR.TAG").exists() {
                        look(&path, found);
                    }
                } else if path.extension().is_some_and(|extension| extension == "rs")
                    && fs::read_to_string(&path).unwrap().contains(needle)
                {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        look(&checkout().unwrap(), &mut found);
        assert!(found.is_empty(), "std::env::var_os instead, which cargo sets at run time: {found:?}");
    }
}
