//! What is to be installed, and on what.

use lab::machine::Accelerator;
use std::path::PathBuf;
use windows_setup::Answers;

/// What is to be installed, and on what.
#[derive(Debug)]
pub(crate) struct Order {
    /// The user's ISO.
    pub iso: PathBuf,
    /// The answers, with the edition.
    pub answers: Answers,
    /// Name of the image.
    pub name: String,
    /// Size of the disk, bytes.
    pub disk: u64,
    /// Memory of the machine, MiB.
    pub memory_mb: u64,
    /// How the machine's instructions are carried out.
    pub accelerator: Accelerator,
    /// Factor on the limits after which an installation counts as stalled.
    pub patience: f64,
    /// Where screen and log go if it fails.
    pub wreck: PathBuf,
}
