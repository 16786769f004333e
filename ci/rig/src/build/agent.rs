//! The agent of Windows guests: a program for Windows, linked here by the linker that comes with Rust, with the static
//! libraries of mingw-w64. It needs no DLL that Windows does not have.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use lab::base::places;

use super::step::{Options, copy};
use lab::base::artefact::Artefact;
use lab::base::failure::SetupMissing;
use lab::base::workspace::{Verb, Workspace};

/// Target of the agent.
pub(super) const AGENT_TARGET: &str = "x86_64-pc-windows-gnu";
/// Its package, and its file without extension.
pub(super) const AGENT: &str = "cancelnic-agent";
/// The parts of mingw-w64 that a link needs.
struct Mingw {
    /// Folder of `crt2.o` and the libraries of Windows' DLLs.
    libraries: PathBuf,
    /// Folder of the compiler's own libraries.
    compiler: PathBuf,
    /// Makes a library of a DLL.
    dlltool: PathBuf,
}

impl Mingw {
    /// That of the system, else what ci/setup has unpacked.
    fn find() -> anyhow::Result<Self> {
        let unpacked = places::unpacked("mingw")?;
        Ok(installed().or_else(|| in_folder(&unpacked)).ok_or(SetupMissing::Mingw)?)
    }
}

/// What the compiler on PATH says of its files.
fn installed() -> Option<Mingw> {
    let folder_of = |file: &str| {
        let asked =
            Command::new("x86_64-w64-mingw32-gcc").arg(format!("-print-file-name={file}")).output().ok()?;
        let path = PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim()).canonicalize().ok()?;
        path.parent().map(Path::to_path_buf)
    };
    let libraries = folder_of("crt2.o")?;
    let compiler = folder_of("libgcc_eh.a")?;
    Some(Mingw { libraries, compiler, dlltool: "x86_64-w64-mingw32-dlltool".into() })
}

fn in_folder(folder: &Path) -> Option<Mingw> {
    let libraries = folder.join("root/usr/x86_64-w64-mingw32/lib");
    let versions = folder.join("root/usr/lib/gcc/x86_64-w64-mingw32");
    let mut compilers = std::fs::read_dir(versions).ok()?.flatten().map(|version| version.path());
    let compiler = compilers.find(|compiler| compiler.join("libgcc_eh.a").is_file())?;
    let dlltool = folder.join("bin/x86_64-w64-mingw32-dlltool");
    (libraries.join("crt2.o").is_file() && dlltool.is_file()).then_some(Mingw {
        libraries,
        compiler,
        dlltool,
    })
}

/// The examples are for the tests of what Windows makes of the project's files.
const ARGUMENTS: [&str; 4] = ["--bins", "--examples", "--target", AGENT_TARGET];

/// Cargo's settings for the agent.
fn settings(workspace: &Workspace) -> anyhow::Result<[String; 2]> {
    let Mingw { libraries, compiler, dlltool } = Mingw::find()?;
    let path = |path: PathBuf| path.display().to_string();
    let flags = [
        "-Ctarget-feature=+crt-static".to_owned(),
        "-Cstrip=symbols".to_owned(),
        format!("-Cdlltool={}", path(dlltool)),
        format!("-Clink-arg={}", path(libraries.join("crt2.o"))),
        // the same bytes at every time
        "-Clink-arg=--no-insert-timestamp".to_owned(),
        format!("-Lnative={}", path(libraries)),
        format!("-Lnative={}", path(compiler)),
    ];
    let linker = format!("target.{AGENT_TARGET}.linker=\"rust-lld\"");
    Ok([linker, workspace.flags_config(AGENT_TARGET, &flags)])
}

/// Builds the agent into `out`.
pub(super) fn build(workspace: &Workspace, options: &Options, out: &Path) -> anyhow::Result<Artefact> {
    workspace.require_target(AGENT_TARGET)?;
    let arguments = [&ARGUMENTS[..], &["--release"]].concat();
    workspace.cargo(Verb::Build, options.verbose, AGENT, &arguments, &settings(workspace)?)?;
    let file = format!("{AGENT}.exe");
    let path = out.join(&file);
    copy(&workspace.target().join(AGENT_TARGET).join("release").join(&file), &path)?;
    Artefact::of(&path).with_context(|| file)
}

/// Runs clippy over the agent; a warning is an error.
pub(super) fn lint(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    workspace.require_target(AGENT_TARGET)?;
    workspace.cargo(Verb::Lint, options.verbose, AGENT, &ARGUMENTS, &settings(workspace)?)
}
