//! Whether a file is a proper x64 driver image, told from its headers alone.

use driver_package::authenticode::checksum;
use object::{
    LittleEndian as LE,
    pe::{
        IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, IMAGE_DLLCHARACTERISTICS_NX_COMPAT, IMAGE_FILE_MACHINE_AMD64,
        IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_WRITE, IMAGE_SUBSYSTEM_NATIVE,
    },
    read::pe::PeFile64,
};

/// Why an image would not load, or should not.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ImageFault {
    /// The headers cannot be read.
    #[error("not a 64-bit PE image: {0}")]
    Malformed(String),
    /// Another processor.
    #[error("machine {0:#x} is not x64")]
    Machine(u16),
    /// A user-mode image.
    #[error("subsystem {0} is not native")]
    Subsystem(u16),
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
    /// Imports, `module!function`.
    pub imports: Vec<String>,
    /// Count of base relocations.
    pub relocations: usize,
}

impl From<object::Error> for ImageFault {
    fn from(error: object::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Checks an image's bytes; it may import from `modules` only.
///
/// # Errors
/// The first fault found.
pub(super) fn check(image: &[u8], modules: &[&str]) -> Result<ImageFacts, ImageFault> {
    let file = PeFile64::parse(image)?;
    let headers = file.nt_headers();
    let machine = headers.file_header.machine.get(LE);
    if machine != IMAGE_FILE_MACHINE_AMD64 {
        return Err(ImageFault::Machine(machine));
    }
    let optional = &headers.optional_header;
    let subsystem = optional.subsystem.get(LE);
    if subsystem != IMAGE_SUBSYSTEM_NATIVE {
        return Err(ImageFault::Subsystem(subsystem));
    }
    let characteristics = optional.dll_characteristics.get(LE);
    if characteristics & IMAGE_DLLCHARACTERISTICS_NX_COMPAT == 0 {
        return Err(ImageFault::Executable);
    }
    if characteristics & IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE == 0 {
        return Err(ImageFault::NotRelocatable);
    }

    let entry = optional.address_of_entry_point.get(LE);
    let mut entry_is_code = false;
    for section in file.section_table().iter() {
        let flags = section.characteristics.get(LE);
        let executable = flags & IMAGE_SCN_MEM_EXECUTE != 0;
        if executable && flags & IMAGE_SCN_MEM_WRITE != 0 {
            let name = String::from_utf8_lossy(section.raw_name()).into_owned();
            return Err(ImageFault::WritableCode(name));
        }
        let start = section.virtual_address.get(LE);
        let end = start.saturating_add(section.virtual_size.get(LE));
        entry_is_code |= executable && (start..end).contains(&entry);
    }
    if !entry_is_code {
        return Err(ImageFault::EntryPoint(entry));
    }

    let relocations = relocations(&file, image)?;
    if relocations == 0 {
        return Err(ImageFault::NotRelocatable);
    }
    let imports = imports(&file, modules)?;

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

/// Collects the imports and refuses those from other modules.
fn imports(file: &PeFile64<'_>, modules: &[&str]) -> Result<Vec<String>, ImageFault> {
    use object::read::pe::ImageThunkData as _;

    let mut names = Vec::new();
    let Some(table) = file.import_table()? else { return Ok(names) };
    let mut descriptors = table.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let module = String::from_utf8_lossy(table.name(descriptor.name.get(LE))?).into_owned();
        let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE))?;
        while let Some(thunk) = thunks.next::<object::pe::ImageNtHeaders64>()? {
            let function = if thunk.is_ordinal() {
                format!("#{}", thunk.ordinal())
            } else {
                let (_, name) = table.hint_name(thunk.address())?;
                String::from_utf8_lossy(name).into_owned()
            };
            if !modules.iter().any(|allowed| allowed.eq_ignore_ascii_case(&module)) {
                return Err(ImageFault::Import { module, function });
            }
            names.push(format!("{module}!{function}"));
        }
    }
    Ok(names)
}

/// Where the checksum stands in the file.
pub(super) fn checksum_offset(file: &PeFile64<'_>) -> usize {
    // signature, file header, then the checksum 64 bytes into the optional header (PE format)
    file.dos_header().nt_headers_offset() as usize + 4 + 20 + 64
}
