//! `cargo rig inspect`: what a driver asks for and understudy does not offer, read from its files. Nothing is run.

use anyhow::Result;
use clap::Args;
use driver_inspect::{Asked, Comparison, Image, Offers, OffersFault, bindings, compare};
use driver_package::Inf;
use lab::base::console;
use lab::base::evidence::write_whole;
use lab::base::failure::{Machine, Usage};
use lab::base::files::DriverFiles;
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The page that understudy's tests keep current.
const OFFERS: &str = include_str!("../../../guest-images/understudy/OFFERS.md");
/// Longest driver that is read.
const LONGEST: u64 = 256 << 20;

/// What understudy offers.
///
/// # Errors
/// The page is damaged.
pub(crate) fn offers() -> Result<Offers, OffersFault> {
    Offers::read(OFFERS)
}

/// Options of `inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo rig inspect mynic.sys            what it needs and is not offered\n  \
    cargo rig inspect mynic.sys mynic.inf  with what its INF says\n  \
    cargo rig inspect mynic.sys --json -   for programs\n\n\
    Exit codes: 0 all is offered; 4 something is not; 2 and 3 as everywhere.")]
pub(crate) struct Options {
    /// The driver
    #[arg(value_name = "SYS")]
    driver: PathBuf,
    /// Its INF
    #[arg(value_name = "INF")]
    inf: Option<PathBuf>,
    /// Write what was found as JSON into a file; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What was found in a driver's files.
pub(crate) struct Inspection {
    name: String,
    image: Image,
    comparison: Comparison,
    inf: Option<Inf>,
}

impl Inspection {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them cannot be read, or is of another kind.
    fn of(driver: &Path, inf: Option<&Path>) -> Result<Self> {
        let name = driver.file_name().unwrap_or(driver.as_os_str()).to_string_lossy().into_owned();
        let refuse = |path: &Path, why: String| Machine(format!("{}: {why}", path.display()));
        let image = read(driver).and_then(|bytes| Image::read(bytes).map_err(|fault| fault.to_string()));
        let image = image.map_err(|why| refuse(driver, why))?;
        let parsed = |inf: &Path| {
            let parsed = read(inf).and_then(|bytes| Inf::parse(&bytes).map_err(|fault| fault.to_string()));
            parsed.map_err(|why| refuse(inf, why))
        };
        let inf = inf.map(parsed).transpose()?;
        let comparison = compare(&image, &offers()?);
        Ok(Self { name, image, comparison, inf })
    }

    /// What is missing, one line each; empty if nothing is.
    fn missing(&self) -> Vec<String> {
        let Comparison { imports, tables, refused } = &self.comparison;
        let asked = imports.iter().chain(tables).filter(|asked| !asked.missing.is_empty());
        let lists = asked.map(|asked| format!("{}: {}", asked.module, join(&asked.missing)));
        refused.iter().cloned().chain(lists).collect()
    }

    /// As text.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| _ = writeln!(text, "{line}");
        let Comparison { imports, tables, .. } = &self.comparison;
        line(format!(
            "{}: x64 driver, {}",
            self.name,
            if self.image.signed { "signed" } else { "not signed" }
        ));
        for binding in bindings(&self.image) {
            line(format!("  binds {}, {} functions", binding.title(), binding.functions));
        }
        if let Some((_, _, file)) = &self.image.symbols {
            line(format!("  symbols {}", file.rsplit(['\\', '/']).next().unwrap_or(file)));
        }
        for section in &self.image.sections {
            let rights = [
                (section.writable, "writable"),
                (section.executable, "executable"),
                (section.discardable, "discardable"),
            ];
            let rights: Vec<&str> =
                rights.into_iter().filter(|(has, _)| *has).map(|(_, what)| what).collect();
            let rights = if rights.is_empty() { "read-only".to_owned() } else { rights.join(", ") };
            line(format!(
                "  section {:8} {:7} bytes  {rights}",
                section.name.trim_end_matches('\0'),
                section.place.len()
            ));
        }
        if let Some(inf) = &self.inf {
            line(format!("  INF: class {}, for {}", inf.class, inf.hardware_ids.join(", ")));
        }
        for (what, asked) in [("imports", imports), ("calls", tables)] {
            for Asked { module, offered, missing } in asked {
                let all = offered.len() + missing.len();
                line(format!("  {what} {module}: {} of {all} offered", offered.len()));
            }
        }
        match &self.missing()[..] {
            [] => line("understudy offers everything that was found".to_owned()),
            missing => {
                line(format!("understudy does not offer ({}):", self.comparison.missing()));
                missing.iter().for_each(|missing| line(format!("  {missing}")));
            }
        }
        text
    }

    fn json(&self) -> Result<String> {
        let asked = |asked: &Asked| json!({ "module": asked.module, "offered": asked.offered, "missing": asked.missing });
        let bindings = bindings(&self.image).into_iter().map(|binding| {
            json!({
                "framework": binding.framework.component(),
                "version": [binding.major, binding.minor, binding.build],
                "functions": binding.functions,
                "structure_size": binding.size,
            })
        });
        let json = json!({
            "driver": self.name,
            "signed": self.image.signed,
            "bindings": bindings.collect::<Vec<_>>(),
            "refused": self.comparison.refused,
            "imports": self.comparison.imports.iter().map(asked).collect::<Vec<_>>(),
            "calls": self.comparison.tables.iter().map(asked).collect::<Vec<_>>(),
            "inf": self.inf.as_ref().map(|inf| json!({ "class": inf.class, "hardware_ids": inf.hardware_ids })),
            "missing": self.comparison.missing(),
        });
        Ok(serde_json::to_string_pretty(&json)? + "\n")
    }
}

fn join(names: &std::collections::BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let len = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if len > LONGEST {
        return Err(format!("{len} bytes are more than a driver has"));
    }
    fs::read(path).map_err(|error| error.to_string())
}

/// Inspects; whether all that the driver asks for is offered.
///
/// # Errors
/// [`Usage`] or [`Machine`]: the files cannot be read, or the report cannot be written.
pub(crate) fn inspect(options: &Options) -> Result<bool> {
    if options.driver.is_dir() {
        let usage = format!("{} is a folder: name the .sys file in it", options.driver.display());
        return Err(Usage(usage).into());
    }
    let found = Inspection::of(&options.driver, options.inf.as_deref())?;
    let on_output = console::is_output(options.json.as_deref());
    match &options.json {
        Some(_) if on_output => console::print_file(&found.json()?),
        Some(path) => write_whole(path, found.json()?.as_bytes())?,
        None => print!("{}", found.text()),
    }
    Ok(found.comparison.missing() == 0)
}

/// Prints what a driver that could not be loaded needs in vain; nothing if nothing is missing, or its file cannot be read.
pub(crate) fn explain(driver: &DriverFiles) {
    let Ok(found) = Inspection::of(&driver.image.path, None) else { return };
    for missing in found.missing() {
        println!("{} needs what understudy does not offer: {missing}", found.name);
    }
}
