//! The drivers without a Windows kit: the bindings folder, the link, the stamp, the checks.

use std::{
    fs, iter,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::step::{DRIVER_TARGET, Options, write_if_changed};
use super::{image, stamp};
use lab::base::artefact::Artefact;
use lab::base::workspace::{Verb, Workspace};

/// Which build of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// What is meant to be installed.
    Shipped,
    /// With the mutants and the test bench of requests. Never installed.
    Test,
    /// A test driver with that deliberate fault.
    With(&'static str),
}

/// A driver of the workspace, as its build sees it.
#[derive(Debug)]
pub(super) struct Source {
    /// Package, `.sys`, `.inf` and service.
    pub name: &'static str,
    /// Its folder in the workspace; the `.inx` lies in it.
    pub folder: &'static str,
    /// Symbol at which the image is entered.
    entry: &'static str,
    /// Modules that it may import from.
    modules: &'static [&'static str],
}

/// The drivers, that of the NIC first.
pub(super) static DRIVERS: [Source; 3] = [
    Source {
        name: "cancelnic",
        folder: "driver/netadapter",
        entry: "FxDriverEntry",
        modules: &["ntoskrnl.exe", "HAL.dll", "WDFLDR.SYS"],
    },
    Source {
        name: "cancelnic-lwf",
        folder: "driver/filter",
        entry: "DriverEntry",
        modules: &["ntoskrnl.exe", "NDIS.SYS"],
    },
    Source {
        name: "cancelnic-relay",
        folder: "driver/relay",
        entry: "FxDriverEntry",
        modules: &["ntoskrnl.exe", "WDFLDR.SYS"],
    },
];

/// Drivers that are run as packages of other projects, and their mutants, each a feature.
pub(super) static TEST_DRIVERS: [(Source, &[&str]); 2] = [
    (
        Source {
            name: "test-driver-edu",
            folder: "guest-images/understudy/tests/drivers/edu",
            entry: "FxDriverEntry",
            modules: &["ntoskrnl.exe", "WDFLDR.SYS"],
        },
        &["keeps-mapping", "claims-no-interrupt"],
    ),
    (
        Source {
            name: "test-driver-soft",
            folder: "guest-images/understudy/tests/drivers/soft",
            entry: "FxDriverEntry",
            modules: &["ntoskrnl.exe", "WDFLDR.SYS"],
        },
        &["leaks-without-memory", "never-sleeps"],
    ),
];

/// Arguments of the linker for a driver image. `/RELEASE` sets the checksum, `/Brepro` keeps the
/// time of the build out; the rest is what the Windows kit passes for a driver.
const LINK_ARGUMENTS: [&str; 11] = [
    "/DRIVER",
    "/SUBSYSTEM:NATIVE,10.00",
    "/NODEFAULTLIB",
    "/KERNEL",
    "/OPT:REF,ICF",
    "/NXCOMPAT",
    "/DYNAMICBASE",
    "/RELEASE",
    "/Brepro",
    "/MANIFEST:NO",
    "/DEBUG:FULL",
];

/// How cargo is to be called for a variant: the profile of its build, arguments and settings.
struct Call {
    profile: &'static str,
    arguments: Vec<&'static str>,
    settings: Vec<String>,
}

fn call(workspace: &Workspace, variant: Variant) -> anyhow::Result<Call> {
    let bindings = write_bindings(workspace)?;
    let mut settings = vec![
        format!("target.{DRIVER_TARGET}.linker=\"rust-lld\""),
        workspace.flags_config(DRIVER_TARGET, &[]),
        format!("target.{DRIVER_TARGET}.wdk.rustc-cfg=['driver_model__driver_type=\"KMDF\"']"),
        format!("target.{DRIVER_TARGET}.wdk.rustc-env.OUT_DIR={:?}", bindings.display().to_string()),
    ];
    // A profile of its own keeps the variants' output files, which have the same names, apart.
    let profile = match variant {
        Variant::Shipped => "kernel",
        Variant::Test | Variant::With(_) => {
            settings.push("profile.kernel-test.inherits=\"kernel\"".to_owned());
            "kernel-test"
        }
    };
    let mut arguments = vec!["--target", DRIVER_TARGET];
    match variant {
        Variant::Shipped => {}
        Variant::Test => arguments.extend(["--features", "test-build"]),
        Variant::With(mutant) => arguments.extend(["--features", mutant]),
    }
    Ok(Call { profile, arguments, settings })
}

/// Runs clippy over a variant; a warning is an error.
pub(super) fn lint(
    workspace: &Workspace,
    options: &Options,
    source: &Source,
    variant: Variant,
) -> anyhow::Result<()> {
    let Call { arguments, settings, .. } = call(workspace, variant)?;
    workspace.cargo(Verb::Lint, options.verbose, source.name, &arguments, &settings)
}

/// Builds a variant into `out`; gives the image and its symbols.
pub(super) fn build(
    workspace: &Workspace,
    options: &Options,
    source: &Source,
    variant: Variant,
    out: &Path,
) -> anyhow::Result<(Artefact, Artefact)> {
    let Call { profile, mut arguments, settings } = call(workspace, variant)?;
    arguments.extend(["--profile", profile]);
    let entry = format!("/ENTRY:{}", source.entry);
    let link =
        LINK_ARGUMENTS.into_iter().chain([entry.as_str()]).map(|argument| format!("-Clink-arg={argument}"));
    let flags: Vec<_> = iter::once("-Clinker-flavor=lld-link".to_owned()).chain(link).collect();
    workspace.cargo(Verb::Rustc(&flags), options.verbose, source.name, &arguments, &settings)?;

    let linked = workspace.target().join(DRIVER_TARGET).join(profile);
    // cargo puts underscores into the names of libraries
    let file = source.name.replace('-', "_");
    let read = |extension: &str| {
        let path = linked.join(&file).with_extension(extension);
        fs::read(&path).with_context(|| format!("reading {}", path.display()))
    };
    let mut image = read("dll")?;
    let mut symbols = read("pdb")?;
    let name = format!("{}.sys", source.name);
    stamp::stamp(&mut image, &mut symbols).with_context(|| name.clone())?;
    image::check(&image, source.modules).with_context(|| format!("{name} is no proper driver image"))?;

    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    let (image_path, symbols_path) = (out.join(name), out.join(source.name).with_extension("pdb"));
    write_if_changed(&image_path, &image)?;
    write_if_changed(&symbols_path, &symbols)?;
    Ok((Artefact::of(image_path)?, Artefact::of(symbols_path)?))
}

/// Writes the folder that stands in for the output of wdk-sys's build script; gives its path.
fn write_bindings(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let folder = workspace.out().join("wdk-sys");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let place = workspace.target().display().to_string();
    let stamp = folder.join("target-folder");
    if fs::read(&stamp).ok().as_deref() != Some(place.as_bytes()) {
        forget_scratch_folders(workspace)?;
        write_if_changed(&stamp, place.as_bytes())?;
    }
    let types = folder.join("types.rs").display().to_string();
    for (name, text) in wdk_offline::sources::FILES {
        let text = text.replace("TYPES_PATH", &types);
        if write_if_changed(&folder.join(name), text.as_bytes())? && name == "types.rs" {
            forget_parsed_types(workspace)?;
        }
    }
    Ok(folder)
}

/// wdk-sys's macros keep files in a folder whose path is compiled into them, through the crate `scratch`. In a target
/// folder that was copied or moved, cargo takes that crate for fresh, and the path is the one of the old place: the macros
/// would write into another tree, or fail. Without its fingerprint, cargo compiles it again, and the macros after it.
fn forget_scratch_folders(workspace: &Workspace) -> anyhow::Result<()> {
    for kept in folders(workspace.target()).flat_map(|profile| folders(&profile.join(".fingerprint"))) {
        if kept.file_name().is_some_and(|name| name.to_string_lossy().starts_with("scratch-")) {
            fs::remove_dir_all(&kept).with_context(|| format!("removing {}", kept.display()))?;
        }
    }
    Ok(())
}

/// The entries of a folder; none if there is no such folder.
fn folders(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// wdk-sys's macros keep what they read from `types.rs`, in each profile's folder, and never look again.
fn forget_parsed_types(workspace: &Workspace) -> anyhow::Result<()> {
    for build in folders(workspace.target()).flat_map(|profile| folders(&profile.join("build"))) {
        let kept = build.join("out/wdk_macros_ast_fragments/cached_function_info_map.json");
        if kept.is_file() {
            fs::remove_file(&kept).with_context(|| format!("removing {}", kept.display()))?;
        }
    }
    Ok(())
}
