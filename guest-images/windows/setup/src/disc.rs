//! The second disc: the answers in its root, everything else in a folder.

use std::io::{self, Cursor};

use hadris_iso::{
    joliet::JolietLevel,
    read::PathSeparator,
    write::{
        InputEntry, InputTree, IsoImageWriter,
        options::{CreationFeatures, IsoFormatOptions},
    },
};

use crate::{AGENT, ANSWER_FILE, Answers, FOLDER, SCRIPT, first_logon_script};

/// Name of the volume.
pub const VOLUME: &str = "CANCELNIC";

/// An ISO 9660 image with Joliet names: answer file, first-logon script, and `package`, the files of the driver
/// package by name. If [`AGENT`] is among them, the script installs it.
///
/// # Errors
/// If a name cannot be written.
pub fn disc(answers: &Answers, package: Vec<(String, Vec<u8>)>) -> io::Result<Vec<u8>> {
    let has_agent = package.iter().any(|(name, _)| name == AGENT);
    let script = (SCRIPT.to_owned(), first_logon_script(has_agent).into_bytes());
    let files = package.into_iter().chain([script]);
    let files = files.map(|(name, bytes)| InputEntry::file(name, bytes)).collect();
    let root = vec![
        InputEntry::file(ANSWER_FILE, answers.to_xml()?.into_bytes()),
        InputEntry::directory(FOLDER, files),
    ];
    let options = IsoFormatOptions {
        volume_name: VOLUME.to_owned(),
        system_id: None,
        volume_set_id: None,
        publisher_id: None,
        preparer_id: None,
        application_id: None,
        sector_size: 2048,
        features: CreationFeatures::joliet(JolietLevel::Level3),
        path_separator: PathSeparator::ForwardSlash,
        strict_charset: true,
    };
    let tree = InputTree::new(PathSeparator::ForwardSlash, root);
    let image = IsoImageWriter::create(Cursor::new(Vec::new()), tree, options).map_err(io::Error::other)?;
    Ok(image.into_inner())
}
