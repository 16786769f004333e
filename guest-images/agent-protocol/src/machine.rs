//! What a guest with a whole operating system tells of its machine, and the dumps that it left.

use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Most bytes of a dump in one [`Chunk`].
pub const MOST_CHUNK: u32 = 256 << 10;

/// A guest's machine, as its agent sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Version of the agent, `major.minor.patch`.
    pub agent: String,
    /// Version of the system, of Windows `major.minor.build.revision`.
    pub system: String,
    /// Logical processors.
    pub processors: u32,
    /// Memory in MiB.
    pub memory_mb: u64,
    /// When the system started, by its own clock, in seconds since 1970-01-01 00:00 UTC. Another value than before: it
    /// has started anew.
    pub started_unix: u64,
}

/// A dump that a bug check has left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpFile {
    /// Its name below the system's folder, such as `MEMORY.DMP` or `Minidump\112126-9812-01.dmp`.
    pub file: String,
    /// Bytes.
    pub len: u64,
    /// When it was written, in seconds since 1970-01-01 00:00 UTC.
    pub written_unix: u64,
}

/// A part of a dump.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The bytes in base64, padded.
    pub data: String,
    /// Bytes of the whole file.
    pub total: u64,
    /// With the part that reaches the end: SHA-256 of the whole file, lower-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}
