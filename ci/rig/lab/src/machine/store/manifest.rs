//! What an image says of itself.

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};

/// The format that this rig writes and reads.
const FORMAT: u64 = 1;

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u64,
    /// The image's name.
    pub name: String,
    /// What is on it.
    #[serde(flatten)]
    pub description: Description,
    /// When it was sealed.
    pub created: DateTime<Utc>,
    /// Its disk.
    pub disk: SealedFile,
    /// The firmware's variables.
    pub vars: SealedFile,
}

/// What is on an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Which guest.
    pub guest: ImageKind,
    /// Release, for people, such as `Windows Server 2025`.
    pub release: String,
    /// Edition, such as `ServerStandardEval`.
    pub edition: String,
    /// Build, such as `26100.1742`.
    pub build: String,
    /// SHA-256 of the ISO that it was installed from; none for the stand-in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso_sha256: Option<String>,
    /// The drivers' files that were put on it.
    pub drivers: Vec<DriverFile>,
    /// Version of the agent on it; none without agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The machine that it was made on.
    pub settings: Machine,
}

/// The guest of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageKind {
    /// Windows.
    Windows,
    /// Understudy in Windows' place.
    StandIn,
    /// The same, and asked only for what Windows can be asked for.
    StandInLikeWindows,
}

impl std::fmt::Display for ImageKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Windows => "windows",
            Self::StandIn => "stand-in",
            Self::StandInLikeWindows => "stand-in-like-windows",
        })
    }
}

/// A file of a driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverFile {
    /// Its name.
    pub file: String,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

/// The machine that an image was made on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Memory, MiB.
    pub memory_mb: u64,
    /// Processors.
    pub cpus: u32,
    /// `kvm` or `tcg`.
    pub accel: String,
}

/// A file of a sealed image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedFile {
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

impl Manifest {
    /// That of an image that is sealed now.
    pub(super) fn new(name: String, description: Description, disk: SealedFile, vars: SealedFile) -> Self {
        Self { format: FORMAT, name, description, created: Utc::now().trunc_subsecs(0), disk, vars }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// If it is none, or one of another version of the rig.
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let context = "its manifest cannot be read";
        let Format { format } = serde_json::from_slice(text).context(context)?;
        if format != FORMAT {
            bail!("its manifest has format {format}, and this rig reads {FORMAT}");
        }
        serde_json::from_slice(text).context(context)
    }

    pub(super) fn to_json(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self).context("writing the manifest")?;
        text.push('\n');
        Ok(text)
    }
}
