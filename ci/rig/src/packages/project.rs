//! `cancelnic.toml`: what a project wants to be run with, in its own folder.

use super::parameter::Parameter;
use anyhow::Result;
use lab::base::failure::Usage;
use lab::machine::Hardware;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The file's keys, each the option of that name. Others are refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    package: Vec<PathBuf>,
    #[serde(default)]
    with: Vec<String>,
    device: Option<String>,
    #[serde(default)]
    param: BTreeMap<String, Value>,
    rules: Option<PathBuf>,
    #[serde(default)]
    symbols: Vec<PathBuf>,
    seed: Option<u64>,
}

/// A parameter's value: a number or a word.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Number(u32),
    Word(String),
}

/// What the file says, paths seen from the folder in which the command runs.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub package: Vec<PathBuf>,
    pub with: Vec<String>,
    pub device: Option<Hardware>,
    pub param: Vec<Parameter>,
    pub rules: Option<PathBuf>,
    pub symbols: Vec<PathBuf>,
    pub seed: Option<u64>,
}

impl Project {
    /// Its name.
    pub(super) const FILE: &str = "cancelnic.toml";

    /// Reads it in `folder`.
    ///
    /// # Errors
    /// [`Usage`]: it is not there, or something in it is not understood.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let refuse = |why: &str| Usage(format!("{}: {why}", path.display()));
        let text = fs::read_to_string(&path).map_err(|error| refuse(&error.to_string()))?;
        let file: File = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            refuse(&format!("line {line}: {}", error.message().replace('\n', ", ")))
        })?;
        let here = |path: PathBuf| folder.join(path);
        let device = file.device.map(|device| {
            let read = device
                .parse::<Hardware>()
                .map_err(|wanted| refuse(&format!("device is {device:?}, not {wanted}")))?;
            Ok(match read {
                Hardware::VhostUser { socket, virtio_id } => {
                    Hardware::VhostUser { socket: here(socket), virtio_id }
                }
                Hardware::VfioUser(socket) => Hardware::VfioUser(here(socket)),
                other => other,
            })
        });
        let param = file.param.into_iter().map(|(name, value)| {
            let value = match value {
                Value::Number(number) => number.to_string(),
                Value::Word(word) => word,
            };
            format!("{name}={value}").parse().map_err(|why: String| refuse(&format!("param.{name}: {why}")))
        });
        Ok(Self {
            package: file.package.into_iter().map(here).collect(),
            with: file.with,
            device: device.transpose().map_err(|error: Usage| error)?,
            param: param.collect::<Result<_, Usage>>()?,
            rules: file.rules.map(here),
            symbols: file.symbols.into_iter().map(here).collect(),
            seed: file.seed,
        })
    }
}
