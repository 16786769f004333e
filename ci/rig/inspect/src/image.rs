//! Headers, sections and imports of an image.

use object::{
    LittleEndian as LE,
    pe::{
        IMAGE_DIRECTORY_ENTRY_SECURITY, IMAGE_FILE_MACHINE_AMD64, IMAGE_SCN_MEM_DISCARDABLE,
        IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_WRITE, IMAGE_SUBSYSTEM_NATIVE, ImageNtHeaders64,
    },
    read::pe::{ImageThunkData as _, PeFile64},
};
use std::ops::Range;

/// Most imports that are read: a real driver has some hundred.
const MOST_IMPORTS: usize = 20_000;
/// Most sections of an image that Windows loads (PE format, COFF file header).
const MOST_SECTIONS: usize = 96;

/// Why a file is no driver's image.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageFault {
    /// The headers cannot be read.
    #[error("no 64-bit PE image: {0}")]
    Malformed(String),
    /// Another processor.
    #[error("machine {0:#06x}, not x64 (0x8664): understudy runs x64 drivers")]
    Machine(u16),
    /// A user-mode image.
    #[error("subsystem {0}, not native (1): no driver")]
    Subsystem(u16),
    /// More imports than a driver has.
    #[error("more than {MOST_IMPORTS} imports")]
    Imports,
    /// More sections than an image can have.
    #[error("{0} sections, more than {MOST_SECTIONS}")]
    Sections(usize),
    /// Sections share bytes of the file.
    #[error("the sections have more bytes than the file")]
    Overlap,
}

impl From<object::Error> for ImageFault {
    fn from(error: object::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A function of another module.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// The module, as it is written.
    pub module: String,
    /// The function; `#7` for the ordinal 7.
    pub function: String,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its place from the image's beginning.
    pub place: Range<u32>,
    /// Pages can be written.
    pub writable: bool,
    /// Pages can be executed.
    pub executable: bool,
    /// Gone after DriverEntry.
    pub discardable: bool,
    /// Where its bytes are in the file; the rest of its place is zero.
    pub(crate) data: Range<usize>,
}

/// What an image's file says.
#[derive(Debug, Clone)]
pub struct Image {
    pub(crate) file: Vec<u8>,
    /// The address that it was linked for.
    pub(crate) base: u64,
    /// Entry point, from the image's beginning.
    pub entry: u32,
    /// Its sections.
    pub sections: Vec<Section>,
    /// Its imports, sorted.
    pub imports: Vec<Import>,
    /// It carries a signature (whose worth is not looked at).
    pub signed: bool,
    /// GUID and age of its symbols, and the name of their file.
    pub symbols: Option<([u8; 16], u32, String)>,
}

impl Image {
    /// Reads an image.
    ///
    /// # Errors
    /// [`ImageFault`]: it is none, or none of a driver.
    pub fn read(file: Vec<u8>) -> Result<Self, ImageFault> {
        let pe = PeFile64::parse(&*file)?;
        let headers = pe.nt_headers();
        let machine = headers.file_header.machine.get(LE);
        if machine != IMAGE_FILE_MACHINE_AMD64 {
            return Err(ImageFault::Machine(machine));
        }
        let optional = &headers.optional_header;
        let subsystem = optional.subsystem.get(LE);
        if subsystem != IMAGE_SUBSYSTEM_NATIVE {
            return Err(ImageFault::Subsystem(subsystem));
        }
        let symbols = symbols(&pe);
        let signature = pe.data_directories().get(IMAGE_DIRECTORY_ENTRY_SECURITY);
        let (base, entry) = (optional.image_base.get(LE), optional.address_of_entry_point.get(LE));
        let (sections, imports) = (sections(&pe, &file)?, imports(&pe)?);
        let signed = signature.is_some_and(|directory| directory.size.get(LE) != 0);
        Ok(Self { file, base, entry, sections, imports, signed, symbols })
    }

    /// The bytes at an address that the image was linked for, up to the end of what the file holds of that section.
    pub(crate) fn at(&self, address: u64) -> Option<&[u8]> {
        let offset = u32::try_from(address.checked_sub(self.base)?).ok()?;
        let section = self.sections.iter().find(|section| section.place.contains(&offset))?;
        self.bytes(section).get((offset - section.place.start) as usize..)
    }

    /// A section's bytes in the file.
    pub(crate) fn bytes(&self, section: &Section) -> &[u8] {
        self.file.get(section.data.clone()).unwrap_or_default()
    }

    /// Where a section begins, as an address.
    pub(crate) fn address(&self, section: &Section) -> u64 {
        self.base.wrapping_add(u64::from(section.place.start))
    }
}

fn sections(pe: &PeFile64<'_>, file: &[u8]) -> Result<Vec<Section>, ImageFault> {
    let table = pe.section_table();
    if table.len() > MOST_SECTIONS {
        return Err(ImageFault::Sections(table.len()));
    }
    let section = |header: &object::pe::ImageSectionHeader| {
        let flags = header.characteristics.get(LE);
        let start = header.virtual_address.get(LE);
        let (at, len) = header.pe_file_range();
        let (at, end) = ((at as usize).min(file.len()), at.saturating_add(len) as usize);
        Section {
            name: String::from_utf8_lossy(header.raw_name()).into_owned(),
            place: start..start.saturating_add(header.virtual_size.get(LE)),
            writable: flags & IMAGE_SCN_MEM_WRITE != 0,
            executable: flags & IMAGE_SCN_MEM_EXECUTE != 0,
            discardable: flags & IMAGE_SCN_MEM_DISCARDABLE != 0,
            data: at..end.min(file.len()),
        }
    };
    let sections: Vec<Section> = table.iter().map(section).collect();
    // each byte is looked at once for all sections, whatever a file claims
    if sections.iter().map(|section| section.data.len()).sum::<usize>() > file.len() {
        return Err(ImageFault::Overlap);
    }
    Ok(sections)
}

fn imports(pe: &PeFile64<'_>) -> Result<Vec<Import>, ImageFault> {
    let mut imports = Vec::new();
    let Some(table) = pe.import_table()? else { return Ok(imports) };
    let mut descriptors = table.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let module = String::from_utf8_lossy(table.name(descriptor.name.get(LE))?).into_owned();
        // a linker may leave the table of names out: then the addresses' table has them
        let names = descriptor.original_first_thunk.get(LE);
        let names = if names == 0 { descriptor.first_thunk.get(LE) } else { names };
        let mut thunks = table.thunks(names)?;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>()? {
            let function = if thunk.is_ordinal() {
                format!("#{}", thunk.ordinal())
            } else {
                let (_, name) = table.hint_name(thunk.address())?;
                String::from_utf8_lossy(name).into_owned()
            };
            if imports.len() == MOST_IMPORTS {
                return Err(ImageFault::Imports);
            }
            imports.push(Import { module: module.clone(), function });
        }
    }
    imports.sort();
    imports.dedup();
    Ok(imports)
}

fn symbols(pe: &PeFile64<'_>) -> Option<([u8; 16], u32, String)> {
    use object::Object as _;
    let codeview = pe.pdb_info().ok()??;
    Some((codeview.guid(), codeview.age(), String::from_utf8_lossy(codeview.path()).into_owned()))
}
