//! The ground: errors, processes, clocks, files, the workspace. It knows nothing of runs.

// First: its macros are those of all the others.
#[macro_use]
pub mod console;

pub mod artefact;
pub mod built;
pub mod evidence;
pub mod failure;
pub mod fair;
pub mod files;
pub mod folder;
pub mod left;
pub mod line;
pub mod places;
pub mod process;
pub mod visible;
pub mod wait;
pub mod workspace;
