//! Takes the accidents of the build's folder out of a linked driver image.
//!
//! The linker derives the image's time stamps and the identity that ties it to its PDB from the
//! PDB's content, which names object files by absolute and random paths. Here both are derived
//! from the image itself: same code, same bytes, whatever folder it was built in. The PDB gets the
//! same identity, so that debuggers accept the pair.

use anyhow::{Context as _, bail, ensure};
use driver_package::authenticode::checksum;
use object::{
    LittleEndian as LE,
    pe::{
        IMAGE_DEBUG_TYPE_CODEVIEW, IMAGE_DIRECTORY_ENTRY_DEBUG, IMAGE_DIRECTORY_ENTRY_EXPORT,
        ImageDebugDirectory,
    },
    read::pe::PeFile64,
};
use sha2::{Digest as _, Sha256};

use super::image::checksum_offset;

/// Size of the identity.
const GUID: usize = 16;
/// First word of a PDB's identity stream: the format's version.
const PDB_VERSION: [u8; 4] = 20_000_404_u32.to_le_bytes();

/// Offsets in the file of what depends on the build's folder.
struct Accidents {
    /// Time stamps, 4 bytes each.
    times: Vec<usize>,
    /// The identity in the debug record.
    guid: usize,
    /// The checksum, 4 bytes.
    checksum: usize,
}

/// Stamps an image and its PDB in place.
pub(super) fn stamp(image: &mut [u8], symbols: &mut [u8]) -> anyhow::Result<()> {
    let accidents = find(image)?;
    let old: [u8; GUID] = image[accidents.guid..accidents.guid + GUID].try_into()?;

    for &at in &accidents.times {
        image[at..at + 4].fill(0);
    }
    image[accidents.guid..accidents.guid + GUID].fill(0);
    image[accidents.checksum..accidents.checksum + 4].fill(0);
    let digest = Sha256::digest(&*image);
    let guid: [u8; GUID] = digest[..GUID].try_into()?;
    let time: [u8; 4] = digest[GUID..GUID + 4].try_into()?;

    for &at in &accidents.times {
        image[at..at + 4].copy_from_slice(&time);
    }
    image[accidents.guid..accidents.guid + GUID].copy_from_slice(&guid);
    let sum = checksum(image, accidents.checksum);
    image[accidents.checksum..accidents.checksum + 4].copy_from_slice(&sum.to_le_bytes());

    stamp_symbols(symbols, &old, &guid)
}

/// Finds the accidents in an image.
fn find(image: &[u8]) -> anyhow::Result<Accidents> {
    let file = PeFile64::parse(image)?;
    let sections = file.section_table();
    let nt = file.dos_header().nt_headers_offset() as usize;
    // the time stamp stands 4 bytes into the file header, which follows the 4-byte signature
    let mut times = vec![nt + 8];
    let range = |index| file.data_directory(index).and_then(|directory| directory.file_range(&sections).ok());
    if let Some((at, _)) = range(IMAGE_DIRECTORY_ENTRY_EXPORT) {
        times.push(at as usize + 4);
    }
    let (debug, size) = range(IMAGE_DIRECTORY_ENTRY_DEBUG).context("the image has no debug directory")?;
    let count = size as usize / size_of::<ImageDebugDirectory>();
    let mut guid = None;
    for index in 0..count {
        let at = debug as usize + index * size_of::<ImageDebugDirectory>();
        times.push(at + 4);
        let bytes = image.get(at..).context("debug directory outside the file")?;
        let (entry, _) = object::pod::from_bytes::<ImageDebugDirectory>(bytes)
            .map_err(|()| anyhow::anyhow!("debug directory outside the file"))?;
        if entry.typ.get(LE) == IMAGE_DEBUG_TYPE_CODEVIEW {
            let record = entry.pointer_to_raw_data.get(LE) as usize;
            ensure!(image.get(record..record + 4) == Some(b"RSDS"), "no RSDS record at {record:#x}");
            guid = Some(record + 4);
        }
    }
    let guid = guid.context("the image does not name its PDB")?;
    Ok(Accidents { times, guid, checksum: checksum_offset(&file) })
}

/// Gives the PDB the identity `new` instead of `old`.
fn stamp_symbols(symbols: &mut [u8], old: &[u8; GUID], new: &[u8; GUID]) -> anyhow::Result<()> {
    // identity stream: version, time stamp, age, GUID (the PDB's other streams do not repeat it)
    let places: Vec<_> = symbols
        .windows(12 + GUID)
        .enumerate()
        .filter(|(_, window)| window.starts_with(&PDB_VERSION) && window.ends_with(old))
        .map(|(at, _)| at)
        .collect();
    let [at] = places[..] else { bail!("the PDB's identity occurs {} times instead of once", places.len()) };
    symbols[at + 12..at + 12 + GUID].copy_from_slice(new);
    Ok(())
}
