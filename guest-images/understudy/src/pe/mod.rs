//! Loads a driver's image: sections, relocations, imports, and the rights of each section's pages.

mod export;
#[cfg(test)]
mod tests;

pub(crate) use export::{Export, exports};

use crate::mm::{self, Access, Owner};
use alloc::{format, string::String, string::ToString, vec::Vec};
use core::alloc::Layout;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use object::LittleEndian as LE;
use object::pe::{
    IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG, IMAGE_FILE_MACHINE_AMD64, IMAGE_REL_BASED_ABSOLUTE,
    IMAGE_REL_BASED_DIR64, IMAGE_SCN_MEM_DISCARDABLE, IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_WRITE,
    ImageNtHeaders64, ImageSectionHeader,
};
use object::read::pe::{ImageNtHeaders as _, ImageOptionalHeader as _, ImageThunkData as _, PeFile64};

const PAGE: usize = 4096;
/// Where images run: high, as on Windows, and never at their preferred address. Each driver has a place of its own.
const PLACES: usize = 0xffff_f800_1234_0000;
/// No image comes near to it; understudy's own is behind it.
const END_OF_PLACES: u64 = 0xffff_f900_0000_0000;
/// Distance of two images.
const DISTANCE: usize = 0x1000_0000;

/// What the compiler gives the security cookie, and where IMAGE_LOAD_CONFIG_DIRECTORY64 has its address.
const DEFAULT_COOKIE: u64 = 0x2b99_2ddf_a232;
const COOKIE_IN_LOAD_CONFIG: usize = 0x58;

/// Whether an address is where images are loaded, and nothing else is.
pub(crate) fn is_place(address: u64) -> bool {
    (PLACES as u64..END_OF_PLACES).contains(&address)
}

/// A loaded image.
#[derive(Debug)]
pub(crate) struct Image {
    /// File name.
    pub name: String,
    /// First address.
    pub base: usize,
    /// Bytes, whole pages.
    pub size: usize,
    /// Entry point.
    pub entry: usize,
    sections: Vec<Section>,
    /// Its pageable sections are paged.
    paging: AtomicBool,
    /// Where its memory is; 0: it is nothing that was loaded.
    backing: usize,
}

/// What becomes of a section's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It stays.
    Resident,
    /// It is not there at DISPATCH_LEVEL and above: sections whose name begins with PAGE, and the export section.
    Paged,
    /// It goes after DriverEntry: sections whose name begins with INIT, and discardable ones.
    Initial,
}

/// A section of a loaded image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section {
    name: [u8; 8],
    /// What becomes of it.
    pub kind: Kind,
    access: Access,
    from: usize,
    len: usize,
}

impl Section {
    fn new(header: &ImageSectionHeader, place: usize) -> Result<Self, String> {
        let (from, len) = extent(header);
        let kind = match &header.name {
            [b'P', b'A', b'G', b'E', ..] | [b'.', b'e', b'd', b'a', ..] => Kind::Paged,
            [b'I', b'N', b'I', b'T', ..] => Kind::Initial,
            _ if is(header, IMAGE_SCN_MEM_DISCARDABLE) => Kind::Initial,
            _ => Kind::Resident,
        };
        Ok(Self { name: header.name, kind, access: access(header)?, from: place + from, len })
    }

    /// Its name, for people.
    pub(crate) fn name(&self) -> String {
        name(&self.name)
    }
}

impl Image {
    /// One that holds every address of a process: a driver that is compiled into it.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn of_the_process(name: &str) -> Self {
        Self {
            name: name.into(),
            base: 0,
            size: usize::MAX,
            entry: 0,
            sections: Vec::new(),
            paging: AtomicBool::new(false),
            backing: 0,
        }
    }

    /// Whether the address lies in the image.
    #[must_use]
    pub(crate) fn contains(&self, address: u64) -> bool {
        (self.base as u64..(self.base + self.size) as u64).contains(&address)
    }

    /// The section that holds the address.
    pub(crate) fn section_of(&self, address: u64) -> Option<Section> {
        let holds =
            |section: &&Section| (section.from..section.from + section.len).contains(&(address as usize));
        self.sections.iter().find(holds).copied()
    }

    /// Pages its pageable sections, before its code runs.
    pub(crate) fn page(&self) {
        for section in self.sections.iter().filter(|section| section.kind == Kind::Paged) {
            mm::paged::add(section.from, section.len, section.access);
            self.paging.store(true, Relaxed);
        }
    }

    /// DriverEntry has returned: takes the sections away that are for it alone.
    pub(crate) fn discard(&self) {
        for section in self.sections.iter().filter(|section| section.kind == Kind::Initial) {
            mm::unmap(section.from, section.len);
        }
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.backing == 0 {
            return;
        }
        if self.paging.load(Relaxed) {
            mm::paged::remove(self.base, self.size);
        }
        mm::unmap(self.base, self.size);
        if let Ok(layout) = Layout::from_size_align(self.size, PAGE) {
            // SAFETY: allocated with this layout in `load`; nothing maps it any more.
            unsafe { alloc::alloc::dealloc(self.backing as *mut u8, layout) };
        }
    }
}

fn text(error: object::read::Error) -> String {
    error.to_string()
}

/// Loads `file` to the place of driver `owner`; `resolve` gives the address of a DLL's function.
///
/// # Errors
/// One line: the file is damaged, or imports are missing (all of them are named).
pub(crate) fn load(
    name: &str,
    file: &[u8],
    owner: Owner,
    resolve: impl Fn(&str, &str) -> Option<usize>,
) -> Result<Image, String> {
    let place = PLACES + owner.number() as usize * DISTANCE;
    let parsed = PeFile64::parse(file).map_err(text)?;
    let optional = parsed.nt_headers().optional_header();
    let machine = parsed.nt_headers().file_header().machine.get(LE);
    if machine != IMAGE_FILE_MACHINE_AMD64 {
        return Err(format!("the image is for machine {machine:#x}, not for x86-64"));
    }
    let size = (optional.size_of_image() as usize).next_multiple_of(PAGE);
    if !(PAGE..=DISTANCE).contains(&size) {
        return Err(format!("an image of {size:#x} bytes"));
    }
    let entry = optional.address_of_entry_point() as usize;
    check(&parsed, size, entry)?;
    let sections = parsed.section_table().iter().map(|header| Section::new(header, place));
    let sections = sections.collect::<Result<Vec<_>, _>>()?;
    let layout = Layout::from_size_align(size, PAGE).map_err(|error| error.to_string())?;
    // SAFETY: the size is not zero.
    let backing = unsafe { alloc::alloc::alloc_zeroed(layout) };
    if backing.is_null() {
        return Err(format!("no memory for an image of {size} bytes"));
    }
    // from here on dropping the image frees the memory
    let backing_at = backing as usize;
    let image = Image {
        name: name.into(),
        base: place,
        size,
        entry: place + entry,
        sections,
        paging: AtomicBool::new(false),
        backing: backing_at,
    };
    // SAFETY: fresh memory of that size, nobody else knows it.
    let bytes = unsafe { core::slice::from_raw_parts_mut(backing, size) };
    fill(&parsed, file, bytes)?;
    relocate(&parsed, file, bytes, (place as u64).wrapping_sub(optional.image_base()))?;
    import(&parsed, bytes, resolve)?;
    set_cookie(&parsed, bytes, place)?;
    mm::map(place, backing as usize, headers(&parsed), Access::Read);
    for section in &image.sections {
        mm::map(section.from, backing_at + (section.from - place), section.len, section.access);
    }
    Ok(image)
}

fn headers(parsed: &PeFile64<'_>) -> usize {
    parsed.nt_headers().optional_header().size_of_headers() as usize
}

fn is(section: &ImageSectionHeader, right: u32) -> bool {
    section.characteristics.get(LE) & right != 0
}

/// A section's name, for people.
fn name(raw: &[u8; 8]) -> String {
    let end = raw.iter().position(|&byte| byte == 0).unwrap_or(raw.len());
    String::from_utf8_lossy(&raw[..end]).escape_debug().collect()
}

/// What code may do with a section.
///
/// # Errors
/// It asks to be written and executed, which memory integrity (HVCI) refuses as well.
fn access(section: &ImageSectionHeader) -> Result<Access, String> {
    match (is(section, IMAGE_SCN_MEM_WRITE), is(section, IMAGE_SCN_MEM_EXECUTE)) {
        (true, true) => Err(format!("section {} is writable and executable", name(&section.name))),
        (true, false) => Ok(Access::Write),
        (false, true) => Ok(Access::Execute),
        (false, false) => Ok(Access::Read),
    }
}

/// Where a section lies in the image, and how many bytes it has there: those of the file where it does not say.
fn extent(section: &ImageSectionHeader) -> (usize, usize) {
    let len = match section.virtual_size.get(LE) {
        0 => section.size_of_raw_data.get(LE),
        len => len,
    };
    (section.virtual_address.get(LE) as usize, len as usize)
}

/// The sections lie behind the headers, one after the other, each on pages of its own, and one of them has the entry
/// point as code: what is mapped is the image's, with the rights that its section asks for.
fn check(parsed: &PeFile64<'_>, size: usize, entry: usize) -> Result<(), String> {
    let mut free = headers(parsed);
    let mut entered = false;
    for section in parsed.section_table().iter() {
        let (from, len) = extent(section);
        if !from.is_multiple_of(PAGE) {
            return Err(format!("a section at {from:#x}, which is no page's beginning"));
        }
        if from < free.next_multiple_of(PAGE) {
            return Err(format!("a section at {from:#x}, over what lies before it"));
        }
        free = from + len;
        if free > size {
            return Err("a section outside the image".into());
        }
        entered |= (from..free).contains(&entry) && is(section, IMAGE_SCN_MEM_EXECUTE);
    }
    if entered { Ok(()) } else { Err(format!("the entry point {entry:#x} is no code of the image")) }
}

fn fill(parsed: &PeFile64<'_>, file: &[u8], bytes: &mut [u8]) -> Result<(), String> {
    let headers = headers(parsed);
    let (to, from) = (bytes.get_mut(..headers), file.get(..headers));
    let (to, from) = to.zip(from).ok_or("headers outside the image or the file")?;
    to.copy_from_slice(from);
    for section in parsed.section_table().iter() {
        let (at, len) = extent(section);
        let raw = section.size_of_raw_data.get(LE) as usize;
        let from = section.pointer_to_raw_data.get(LE) as usize;
        let content = file.get(from..from + raw).ok_or("a section outside the file")?;
        let content = &content[..raw.min(len)];
        let to = bytes.get_mut(at..at + content.len()).ok_or("a section outside the image")?;
        to.copy_from_slice(content);
    }
    Ok(())
}

fn relocate(parsed: &PeFile64<'_>, file: &[u8], bytes: &mut [u8], by: u64) -> Result<(), String> {
    let blocks = parsed.data_directories().relocation_blocks(file, &parsed.section_table()).map_err(text)?;
    let mut blocks = blocks.ok_or("the image has no relocations")?;
    while let Some(block) = blocks.next().map_err(text)? {
        for relocation in block {
            let at = relocation.virtual_address as usize;
            match relocation.typ {
                IMAGE_REL_BASED_ABSOLUTE => {}
                IMAGE_REL_BASED_DIR64 => {
                    let place = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<8>());
                    let place = place.ok_or("a relocation outside the image")?;
                    *place = u64::from_le_bytes(*place).wrapping_add(by).to_le_bytes();
                }
                other => return Err(format!("relocation type {other}")),
            }
        }
    }
    Ok(())
}

fn import(
    parsed: &PeFile64<'_>,
    bytes: &mut [u8],
    resolve: impl Fn(&str, &str) -> Option<usize>,
) -> Result<(), String> {
    let Some(table) = parsed.import_table().map_err(text)? else { return Ok(()) };
    let mut missing = Vec::new();
    let mut descriptors = table.descriptors().map_err(text)?;
    while let Some(descriptor) = descriptors.next().map_err(text)? {
        let dll = String::from_utf8_lossy(table.name(descriptor.name.get(LE)).map_err(text)?);
        let slots = descriptor.first_thunk.get(LE);
        // a linker may leave the lookup table out: the slots hold the names' places then
        let names = Some(descriptor.original_first_thunk.get(LE)).filter(|&at| at != 0).unwrap_or(slots);
        let mut thunks = table.thunks(names).map_err(text)?;
        let mut slot = slots as usize;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>().map_err(text)? {
            if thunk.is_ordinal() {
                return Err(format!("{dll}: import by ordinal"));
            }
            let function = String::from_utf8_lossy(table.hint_name(thunk.address()).map_err(text)?.1);
            match resolve(&dll, &function) {
                Some(address) => bytes
                    .get_mut(slot..slot + 8)
                    .ok_or("an import slot outside the image")?
                    .copy_from_slice(&(address as u64).to_le_bytes()),
                None => missing.push(format!("{dll}!{function}")),
            }
            slot += 8;
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("imports that understudy does not offer: {}", missing.join(", ")))
    }
}

/// Sets the security cookie that the load configuration directory names (/GS), where it has the value that the compiler
/// gives it: the image's entry point ends in a fast fail if that is still there. Another value is the image's own.
fn set_cookie(parsed: &PeFile64<'_>, bytes: &mut [u8], place: usize) -> Result<(), String> {
    let Some(directory) = parsed.data_directories().get(IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG) else {
        return Ok(());
    };
    let at = directory.virtual_address.get(LE) as usize;
    let word = |bytes: &[u8], at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk::<8>()?));
    let size = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().map(u32::from_le_bytes);
    let size = match size {
        _ if at == 0 => return Ok(()),
        None => return Err("a load configuration outside the image".into()),
        Some(size) => size as usize,
    };
    if size < COOKIE_IN_LOAD_CONFIG + 8 {
        return Ok(());
    }
    let Some(address) = word(bytes, at + COOKIE_IN_LOAD_CONFIG) else {
        return Err("a load configuration outside the image".into());
    };
    if address == 0 {
        return Ok(());
    }
    let at = usize::try_from(address).ok().and_then(|address| address.checked_sub(place));
    let cookie = at.and_then(|at| bytes.get_mut(at..)).and_then(|rest| rest.first_chunk_mut::<8>());
    let cookie = cookie.ok_or("a security cookie outside the image")?;
    if u64::from_le_bytes(*cookie) == DEFAULT_COOKIE {
        *cookie = new_cookie(crate::hal::cpu::counter() ^ place as u64).to_le_bytes();
    }
    Ok(())
}

/// A cookie, whose upper 16 bits are 0 as in Windows, from something that differs.
fn new_cookie(seed: u64) -> u64 {
    let cookie = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    if cookie == 0 || cookie == DEFAULT_COOKIE { cookie + 1 } else { cookie }
}
