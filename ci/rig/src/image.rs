//! `cargo rig image`: what an installation ISO of the user's own holds.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use comfy_table::{Table, presets::ASCII_MARKDOWN};
use windows_setup::{Image, Udf, UdfFault, Wim, WimFault};

use crate::failure::Usage;

/// Arguments of `cargo rig image`.
#[derive(Debug, clap::Subcommand)]
pub enum Options {
    /// List the editions of Windows on an installation ISO
    Windows {
        /// The ISO, as Microsoft offers it
        #[arg(long, value_name = "FILE")]
        iso: PathBuf,
    },
}

/// Carries out `cargo rig image`.
pub fn image(options: &Options) -> anyhow::Result<bool> {
    match options {
        Options::Windows { iso } => {
            println!("{}", table(&open(iso)?.images));
            Ok(true)
        }
    }
}

/// What is on an ISO.
fn open(iso: &Path) -> anyhow::Result<Wim> {
    let read = || -> Result<Wim, WimFault> {
        let file = File::open(iso).map_err(UdfFault::Io)?;
        Wim::read(&mut Udf::open(file)?)
    };
    read().map_err(|fault| Usage(format!("{}: {fault}", iso.display())).into())
}

/// The images, a line each.
fn table(images: &[Image]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["index", "name", "edition", "kind", "build", "processor", "language"]);
    for image in images {
        table.add_row([
            image.index.to_string(),
            image.name.clone(),
            image.edition.clone(),
            image.installation.clone(),
            format!("{}.{}", image.build, image.revision),
            image.architecture.to_string(),
            image.language.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use windows_setup::Architecture;

    #[test]
    fn an_image_is_one_line() {
        let image = Image {
            index: 2,
            name: "Windows Server 2025".to_owned(),
            edition: "ServerStandardEval".to_owned(),
            installation: "Server".to_owned(),
            architecture: Architecture::X64,
            build: 26100,
            revision: 1742,
            language: "en-US".to_owned(),
            size: 1,
        };
        let text = table(&[image]).to_string();
        let line = text.lines().nth(2).expect("a line after the heading");
        let words: Vec<_> = line.split('|').map(str::trim).filter(|word| !word.is_empty()).collect();
        let expected =
            ["2", "Windows Server 2025", "ServerStandardEval", "Server", "26100.1742", "x64", "en-US"];
        assert_eq!(words, expected);
    }

    #[test]
    fn a_file_that_is_no_iso_is_refused_in_one_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("song.ogg");
        std::fs::write(&path, "la").expect("a written file");
        let error = open(&path).expect_err("it is no ISO");
        assert!(error.is::<Usage>(), "{error:?}");
        let said = crate::failure::one_line(&error);
        assert_eq!(said, format!("{}: it is no disc image with a UDF file system", path.display()));
    }
}
