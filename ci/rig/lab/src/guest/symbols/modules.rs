//! What is known of a guest's drivers, and of its kernel: the files that they were loaded from.

use crate::base::files::{DriverFiles, Files};
use std::path::PathBuf;

/// A driver, and the file that its image was loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// As the guest names it.
    pub(super) file: String,
    pub(super) image: PathBuf,
}

/// What is known of a guest's drivers, and of its kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbols {
    modules: Vec<Module>,
    /// understudy's ELF file.
    pub(super) kernel: PathBuf,
}

impl Symbols {
    /// For a guest that was given these files.
    pub fn of(files: &Files) -> Self {
        let module = |driver: &DriverFiles| Module {
            file: format!("{}.sys", driver.name),
            image: driver.image.path.clone(),
        };
        Self { modules: files.drivers.iter().map(module).collect(), kernel: files.kernel.clone() }
    }

    pub(super) fn module(&self, file: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.file.eq_ignore_ascii_case(file))
    }
}
