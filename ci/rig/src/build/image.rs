//! Whether a file is a proper x64 driver image, told from its headers alone.

use driver_inspect::{Image, Import};
use driver_package::authenticode::checksum;
use object::{
    LittleEndian as LE,
    pe::{IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, IMAGE_DLLCHARACTERISTICS_NX_COMPAT},
    read::pe::PeFile64,
};

/// Why an image would not load, or should not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImageFault {
    /// Not a driver's image.
    #[error(transparent)]
    Image(#[from] driver_inspect::ImageFault),
    /// Execution of data is not ruled out.
    #[error("not marked NX compatible")]
    Executable,
    /// The image cannot be moved.
    #[error("no base relocations: the image cannot be loaded at another address")]
    NotRelocatable,
    /// A section that can be written and executed.
    #[error("section `{0}` is writable and executable")]
    WritableCode(String),
    /// A module that a kernel driver cannot have.
    #[error("imports `{function}` from `{module}`, which it has no business with")]
    Import {
        /// The module.
        module: String,
        /// The function.
        function: String,
    },
    /// The checksum, which the kernel verifies, is wrong.
    #[error("checksum is {found:#x}, should be {expected:#x}")]
    Checksum {
        /// In the header.
        found: u32,
        /// Of the bytes.
        expected: u32,
    },
    /// Entry point outside the image's code.
    #[error("the entry point {0:#x} lies in no executable section")]
    EntryPoint(u32),
}

/// What a checked image says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageFacts {
    /// Its imports.
    pub imports: Vec<Import>,
    /// Count of base relocations.
    pub relocations: usize,
}

impl From<object::Error> for ImageFault {
    fn from(error: object::Error) -> Self {
        Self::Image(error.into())
    }
}

/// Checks an image's bytes; it may import from `modules` only.
///
/// # Errors
/// The first fault found.
pub(super) fn check(image: &[u8], modules: &[&str]) -> Result<ImageFacts, ImageFault> {
    let Image { entry, sections, imports, .. } = Image::read(image.to_vec())?;
    let file = PeFile64::parse(image)?;
    let optional = &file.nt_headers().optional_header;
    let characteristics = optional.dll_characteristics.get(LE);
    if characteristics & IMAGE_DLLCHARACTERISTICS_NX_COMPAT == 0 {
        return Err(ImageFault::Executable);
    }
    if characteristics & IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE == 0 {
        return Err(ImageFault::NotRelocatable);
    }

    if let Some(section) = sections.iter().find(|section| section.executable && section.writable) {
        return Err(ImageFault::WritableCode(section.name.clone()));
    }
    let entry_is_code = sections.iter().any(|section| section.executable && section.place.contains(&entry));
    if !entry_is_code {
        return Err(ImageFault::EntryPoint(entry));
    }

    let relocations = relocations(&file, image)?;
    if relocations == 0 {
        return Err(ImageFault::NotRelocatable);
    }
    let allowed = |module: &str| modules.iter().any(|allowed| allowed.eq_ignore_ascii_case(module));
    if let Some(Import { module, function }) = imports.iter().find(|import| !allowed(&import.module)) {
        return Err(ImageFault::Import { module: module.clone(), function: function.clone() });
    }

    let (found, expected) = (optional.check_sum.get(LE), checksum(image, checksum_offset(&file)));
    if found != expected {
        return Err(ImageFault::Checksum { found, expected });
    }
    Ok(ImageFacts { imports, relocations })
}

/// Counts the base relocations.
fn relocations(file: &PeFile64<'_>, image: &[u8]) -> Result<usize, ImageFault> {
    let mut count = 0;
    if let Some(mut blocks) = file.data_directories().relocation_blocks(image, &file.section_table())? {
        while let Some(block) = blocks.next()? {
            count += block.count();
        }
    }
    Ok(count)
}

/// Where the checksum stands in the file.
pub(super) fn checksum_offset(file: &PeFile64<'_>) -> usize {
    // signature, file header, then the checksum 64 bytes into the optional header (PE format)
    file.dos_header().nt_headers_offset() as usize + 4 + 20 + 64
}
