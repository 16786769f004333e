//! The part of UDF (ECMA-167, OSTA UDF 1.02) that installation media use: one partition on a read-only disc.

use std::io::{self, Read, Seek, SeekFrom};

/// Sectors and logical blocks of optical discs have this many bytes.
const BLOCK: u64 = 2048;
/// Where the anchor stands (ECMA-167 3/8.4.2.1).
const ANCHOR: u64 = 256;
/// Folders have fewer bytes than this; a larger one is nonsense.
const LARGEST_FOLDER: u64 = 16 << 20;
/// Descriptors in a sequence, also of a file's extents: more is nonsense.
const MOST: usize = 4096;

/// Tag identifiers of descriptors (ECMA-167 3/7.2.1 and 4/7.2.1).
mod tag {
    pub(super) const ANCHOR: u16 = 2;
    pub(super) const PARTITION: u16 = 5;
    pub(super) const LOGICAL_VOLUME: u16 = 6;
    pub(super) const TERMINATING: u16 = 8;
    pub(super) const FILE_SET: u16 = 256;
    pub(super) const FILE_IDENTIFIER: u16 = 257;
    pub(super) const FILE_ENTRY: u16 = 261;
    pub(super) const EXTENDED_FILE_ENTRY: u16 = 266;
}

/// Why nothing can be read from what should be a disc.
#[derive(Debug, thiserror::Error)]
pub enum UdfFault {
    /// The file itself cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// No anchor: some other file.
    #[error("it is no disc image with a UDF file system")]
    NoDisc,
    /// A structure is not what it should be.
    #[error("its UDF file system is damaged or of an unknown kind: {what} at block {block}")]
    Structure {
        /// What was looked for.
        what: &'static str,
        /// Sector of the image, or block of the partition.
        block: u64,
    },
    /// No such file.
    #[error("it has no file {0}")]
    NotFound(String),
}

/// An extent of a file: byte offset in the image and length; none for a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    at: Option<u64>,
    length: u64,
}

/// A disc image.
#[derive(Debug)]
pub struct Udf<R> {
    image: R,
    /// First byte of the partition.
    partition: u64,
    /// Block of the root folder's entry in the partition.
    root: u32,
}

/// A file on the disc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdfFile {
    /// Its size in bytes.
    pub size: u64,
    folder: bool,
    extents: Vec<Extent>,
}

impl UdfFile {
    /// Byte offset in the image, if the file lies there in one piece.
    pub(crate) fn in_one_piece(&self) -> Option<u64> {
        let (first, rest) = self.extents.split_first()?;
        let start = first.at?;
        let mut end = start + first.length;
        for extent in rest {
            if extent.at != Some(end) {
                return None;
            }
            end += extent.length;
        }
        (end - start >= self.size).then_some(start)
    }
}

impl<R: Read + Seek> Udf<R> {
    /// Finds the file system in a disc image.
    ///
    /// # Errors
    /// [`UdfFault::NoDisc`] if there is none.
    pub fn open(mut image: R) -> Result<Self, UdfFault> {
        let size = image.seek(SeekFrom::End(0))?;
        if size < (ANCHOR + 1) * BLOCK {
            return Err(UdfFault::NoDisc);
        }
        let anchor = read_block(&mut image, ANCHOR * BLOCK)?;
        if identifier(&anchor) != Some(tag::ANCHOR) {
            return Err(UdfFault::NoDisc);
        }
        let (length, first) = (u64::from(u32_at(&anchor, 16)), u64::from(u32_at(&anchor, 20)));
        let (mut partition, mut file_set) = (None, None);
        for block in (first..).take(((length / BLOCK) as usize).min(MOST)) {
            let descriptor = read_block(&mut image, block * BLOCK)?;
            match identifier(&descriptor) {
                // ECMA-167 3/10.5: the partition's first sector
                Some(tag::PARTITION) => partition = Some(u64::from(u32_at(&descriptor, 188)) * BLOCK),
                // 3/10.6: block size, contents use (the file set's place), partition maps
                Some(tag::LOGICAL_VOLUME) => {
                    let one_plain_map = u32_at(&descriptor, 268) == 1 && descriptor[440] == 1;
                    if u64::from(u32_at(&descriptor, 212)) != BLOCK || !one_plain_map {
                        return Err(UdfFault::Structure { what: "one partition of 2048-byte blocks", block });
                    }
                    file_set = Some(u32_at(&descriptor, 252));
                }
                Some(tag::TERMINATING) => break,
                _ => {}
            }
        }
        let (Some(partition), Some(file_set)) = (partition, file_set) else {
            return Err(UdfFault::Structure { what: "partition and logical volume", block: first });
        };
        let descriptor = read_block(&mut image, partition + u64::from(file_set) * BLOCK)?;
        if identifier(&descriptor) != Some(tag::FILE_SET) {
            return Err(UdfFault::Structure { what: "a file set", block: file_set.into() });
        }
        // 4/14.1: the root folder's place
        let root = u32_at(&descriptor, 404);
        Ok(Self { image, partition, root })
    }

    /// The image that it was opened from.
    pub(crate) fn into_inner(self) -> R {
        self.image
    }

    /// Finds a file by its path, names apart by `/`, whatever their case.
    ///
    /// # Errors
    /// [`UdfFault::NotFound`] if there is none.
    pub fn find(&mut self, path: &str) -> Result<UdfFile, UdfFault> {
        let mut file = self.entry(self.root)?;
        for name in path.split('/') {
            if !file.folder {
                return Err(UdfFault::NotFound(path.to_owned()));
            }
            let block = self.look_up(&file, name)?.ok_or_else(|| UdfFault::NotFound(path.to_owned()))?;
            file = self.entry(block)?;
        }
        Ok(file)
    }

    /// Reads `length` bytes of a file from the byte `at` on.
    ///
    /// # Errors
    /// If the file ends before, or the image does.
    pub fn read(&mut self, file: &UdfFile, at: u64, length: usize) -> Result<Vec<u8>, UdfFault> {
        let end = at.checked_add(length as u64).filter(|end| *end <= file.size);
        let end = end.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let mut bytes = Vec::with_capacity(length);
        let mut start = 0;
        for extent in &file.extents {
            let stop = start + extent.length;
            let (from, to) = (at.max(start), end.min(stop));
            if from < to {
                let old = bytes.len();
                bytes.resize(old + (to - from) as usize, 0);
                if let Some(place) = extent.at {
                    self.image.seek(SeekFrom::Start(place + (from - start)))?;
                    self.image.read_exact(&mut bytes[old..])?;
                }
            }
            start = stop;
        }
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
        }
    }

    /// The file or folder whose entry is in a block of the partition (ECMA-167 4/14.9, 4/14.17).
    fn entry(&mut self, block: u32) -> Result<UdfFile, UdfFault> {
        let at = self.partition + u64::from(block) * BLOCK;
        let entry = read_block(&mut self.image, at)?;
        let lengths = match identifier(&entry) {
            Some(tag::FILE_ENTRY) => 168,
            Some(tag::EXTENDED_FILE_ENTRY) => 208,
            _ => return Err(UdfFault::Structure { what: "a file entry", block: block.into() }),
        };
        let size = u64_at(&entry, 56);
        let start = lengths + 8 + u32_at(&entry, lengths) as usize;
        let length = u32_at(&entry, lengths + 4) as usize;
        let fault = UdfFault::Structure { what: "allocation descriptors", block: block.into() };
        let Some(descriptors) = start.checked_add(length).and_then(|end| entry.get(start..end)) else {
            return Err(fault);
        };
        // ICB tag: kind of file, kind of allocation descriptors (4/14.6)
        let (folder, kind) = (entry[16 + 11] == 4, entry[16 + 18] & 7);
        let extents = match kind {
            // the data itself stands in place of its descriptors
            3 => vec![Extent { at: Some(at + start as u64), length: length as u64 }],
            0 => self.extents(descriptors.to_vec(), 8).ok_or(fault)?,
            1 => self.extents(descriptors.to_vec(), 16).ok_or(fault)?,
            _ => return Err(fault),
        };
        Ok(UdfFile { size, folder, extents })
    }

    /// Extents from short (8 bytes) or long (16 bytes) descriptors, which may go on in other blocks.
    fn extents(&mut self, mut descriptors: Vec<u8>, size: usize) -> Option<Vec<Extent>> {
        let mut extents = Vec::new();
        let mut index = 0;
        for _ in 0..MOST {
            let Some(descriptor) = descriptors.get(index * size..(index + 1) * size) else {
                return Some(extents);
            };
            index += 1;
            let word = u32_at(descriptor, 0);
            let place = self.partition + u64::from(u32_at(descriptor, 4)) * BLOCK;
            let length = u64::from(word & 0x3fff_ffff);
            match (word >> 30, length) {
                (_, 0) => return Some(extents),
                (0, _) => extents.push(Extent { at: Some(place), length }),
                (1 | 2, _) => extents.push(Extent { at: None, length }),
                // allocation extent descriptor (4/14.5): tag, previous, length, then more of them
                _ => {
                    let more = read_block(&mut self.image, place).ok()?;
                    identifier(&more)?;
                    descriptors = more.get(24..)?.get(..u32_at(&more, 20) as usize)?.to_vec();
                    index = 0;
                }
            }
        }
        None
    }

    /// The block of the entry of `name` in a folder.
    fn look_up(&mut self, folder: &UdfFile, name: &str) -> Result<Option<u32>, UdfFault> {
        let fault = || UdfFault::Structure { what: "a folder", block: 0 };
        if folder.size > LARGEST_FOLDER {
            return Err(fault());
        }
        let bytes = self.read(folder, 0, folder.size as usize)?;
        let mut rest = &bytes[..];
        // file identifier descriptors (4/14.4)
        while rest.len() >= 38 {
            if identifier(rest) != Some(tag::FILE_IDENTIFIER) {
                return Err(fault());
            }
            let (characteristics, length) = (rest[18], usize::from(rest[19]));
            let start = 38 + usize::from(u16_at(rest, 36));
            let found = rest.get(start..start + length).ok_or_else(fault)?;
            // deleted, or the parent folder
            let counts = characteristics & 0b1100 == 0;
            if counts && file_name(found).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
                return Ok(Some(u32_at(rest, 24)));
            }
            rest = rest.get((start + length).next_multiple_of(4)..).ok_or_else(fault)?;
        }
        Ok(None)
    }
}

/// Compressed Unicode (OSTA UDF 2.1.1): 8 or 16 bits a character.
fn file_name(bytes: &[u8]) -> Option<String> {
    match bytes.split_first()? {
        (8, rest) => Some(rest.iter().map(|&byte| char::from(byte)).collect()),
        (16, rest) => {
            let units: Vec<u16> =
                rest.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

fn read_block<R: Read + Seek>(image: &mut R, at: u64) -> io::Result<Vec<u8>> {
    let mut block = vec![0; BLOCK as usize];
    image.seek(SeekFrom::Start(at))?;
    image.read_exact(&mut block)?;
    Ok(block)
}

/// The identifier of a descriptor whose tag's checksum is right (ECMA-167 3/7.2).
fn identifier(descriptor: &[u8]) -> Option<u16> {
    let tag = descriptor.get(..16)?;
    let sum = tag.iter().enumerate().filter(|(index, _)| *index != 4);
    let sum = sum.fold(0u8, |sum, (_, byte)| sum.wrapping_add(*byte));
    (sum == tag[4]).then(|| u16_at(tag, 0)).filter(|identifier| *identifier != 0)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}
