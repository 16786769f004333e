//! A kernel's ELF file.

use alloc::vec::Vec;
use object::LittleEndian as LE;
use object::elf::{EM_X86_64, FileHeader64, PT_LOAD, PT_NOTE};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

/// Name and type of the note that tells the 32-bit entry point (XEN_ELFNOTE_PHYS32_ENTRY).
const NOTE_NAME: &[u8] = b"Xen";
const NOTE_TYPE: u32 = 18;

/// Why a file is no kernel that can be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is no ELF file for this processor.
    NotElf,
    /// It is cut short, or a header leads out of it.
    Cut,
    /// It has nothing to be loaded.
    Empty,
    /// It has no PVH entry point, or one outside of what is loaded.
    NoEntry,
    /// It wants to be above 4 GiB, where its entry cannot run.
    TooHigh,
}

impl core::fmt::Display for Fault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotElf => "no ELF file for x86-64",
            Self::Cut => "the ELF file is cut short",
            Self::Empty => "the ELF file has nothing to load",
            Self::NoEntry => "the ELF file has no PVH entry",
            Self::TooHigh => "the kernel wants to be above 4 GiB",
        })
    }
}

/// A piece of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Its physical address.
    pub address: u64,
    /// Its bytes; zeros follow.
    pub content: &'a [u8],
    /// Bytes in memory, no fewer.
    pub size: u64,
}

/// A kernel that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel<'a> {
    /// Its pieces.
    pub segments: Vec<Segment<'a>>,
    /// Physical address at which it is entered, in 32-bit protected mode.
    pub entry: u32,
}

impl<'a> Kernel<'a> {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// Why it is none that can be started.
    pub fn parse(file: &'a [u8]) -> Result<Self, Fault> {
        let header = FileHeader64::<LE>::parse(file).map_err(|_| Fault::NotElf)?;
        if header.e_machine.get(LE) != EM_X86_64 || !header.is_little_endian() {
            return Err(Fault::NotElf);
        }
        let (mut segments, mut entry) = (Vec::new(), None);
        for program in header.program_headers(LE, file).map_err(|_| Fault::Cut)? {
            let content = program.data(LE, file).map_err(|()| Fault::Cut)?;
            match program.p_type(LE) {
                PT_LOAD => {
                    let (address, size) = (program.p_paddr(LE), program.p_memsz(LE));
                    let fits = address.checked_add(size).is_some_and(|end| end <= 1 << 32);
                    if !fits {
                        return Err(Fault::TooHigh);
                    }
                    if size < content.len() as u64 {
                        return Err(Fault::Cut);
                    }
                    segments.push(Segment { address, content, size });
                }
                PT_NOTE => entry = entry.or(pvh_entry(content)),
                _ => {}
            }
        }
        if segments.is_empty() {
            return Err(Fault::Empty);
        }
        let entry = entry.ok_or(Fault::NoEntry)?;
        let holds =
            |segment: &Segment<'_>| (segment.address..segment.address + segment.size).contains(&entry.into());
        if !segments.iter().any(holds) {
            return Err(Fault::NoEntry);
        }
        Ok(Self { segments, entry })
    }

    /// First and last physical address, rounded to whole pages; the last is behind the kernel.
    #[must_use]
    pub fn pages(&self) -> (u64, u64) {
        let first = self.segments.iter().map(|segment| segment.address).min().unwrap_or_default();
        let last = self.segments.iter().map(|segment| segment.address + segment.size).max();
        (first & !0xfff, last.unwrap_or_default().next_multiple_of(0x1000))
    }
}

/// The entry that the notes tell of.
fn pvh_entry(mut notes: &[u8]) -> Option<u32> {
    loop {
        let (header, rest) = notes.split_at_checked(12)?;
        let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let (name_size, size, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let name = rest.get(..name_size)?;
        let rest = rest.get(name_size.checked_next_multiple_of(4)?..)?;
        let content = rest.get(..size)?;
        if kind == NOTE_TYPE && name.strip_suffix(&[0]) == Some(NOTE_NAME) {
            // 4 or 8 bytes, by the size of the kernel's addresses.
            let (low, high) = content.split_at_checked(4)?;
            let low = u32::from_le_bytes(low.try_into().ok()?);
            return (matches!(high, [] | [0, 0, 0, 0])).then_some(low);
        }
        notes = rest.get(size.checked_next_multiple_of(4)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with a note and one segment of 0x20 bytes, 0x3000 in memory, at `address`.
    fn file(address: u64, note: &[u8]) -> Vec<u8> {
        let (notes_at, code_at) = (64 + 2 * 56, 0x200_u64);
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
        for word in [address, 64, 0] {
            file.extend(word.to_le_bytes());
        }
        file.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
        for (kind, flags, at, size, memory) in
            [(4_u32, 4_u32, notes_at as u64, note.len() as u64, 0), (1, 5, code_at, 0x20, 0x3000)]
        {
            file.extend(kind.to_le_bytes());
            file.extend(flags.to_le_bytes());
            for word in [at, address, address, size, memory, 0x1000] {
                file.extend(word.to_le_bytes());
            }
        }
        file.extend(note);
        file.resize(code_at as usize, 0);
        file.extend([0x90; 0x20]);
        file
    }

    fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [name.len() as u32, content.len() as u32, kind] {
            note.extend(word.to_le_bytes());
        }
        note.extend(name);
        note.resize(note.len().next_multiple_of(4), 0);
        note.extend(content);
        note.resize(note.len().next_multiple_of(4), 0);
        note
    }

    #[test]
    fn the_entry_is_the_notes_not_the_headers() {
        let mut notes = note(b"GNU\0", 1, b"abi");
        notes.extend(note(b"Xen\0", 18, &0x20_0020_u64.to_le_bytes()));
        let file = file(0x20_0000, &notes);
        let kernel = Kernel::parse(&file).unwrap();
        assert_eq!((kernel.entry, kernel.pages()), (0x20_0020, (0x20_0000, 0x20_3000)));
        assert_eq!((kernel.segments[0].content.len(), kernel.segments[0].size), (0x20, 0x3000));
    }

    #[test]
    fn a_note_of_four_bytes_will_do() {
        let file = file(0x20_0000, &note(b"Xen\0", 18, &0x20_0020_u32.to_le_bytes()));
        assert_eq!(Kernel::parse(&file).unwrap().entry, 0x20_0020);
    }

    #[test]
    fn files_that_cannot_be_started_say_why() {
        let entry = |at: u64| note(b"Xen\0", 18, &at.to_le_bytes());
        let good = file(0x20_0000, &entry(0x20_0020));
        assert_eq!(Kernel::parse(b"MZ"), Err(Fault::NotElf));
        assert_eq!(Kernel::parse(&good[..good.len() - 1]), Err(Fault::Cut));
        assert_eq!(Kernel::parse(&file(0x20_0000, &note(b"Xen\0", 17, &[0; 8]))), Err(Fault::NoEntry));
        assert_eq!(Kernel::parse(&file(0x20_0000, &entry(0x40_0000))), Err(Fault::NoEntry));
        assert_eq!(Kernel::parse(&file(0x20_0000, &entry(1 << 32 | 0x20_0020))), Err(Fault::NoEntry));
        assert_eq!(Kernel::parse(&file(0xffff_f000, &entry(0xffff_f000))), Err(Fault::TooHigh));
    }
}
