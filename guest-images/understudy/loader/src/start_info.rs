//! hvm_start_info and what it points to.

/// hvm_start_info, version 1.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct StartInfo {
    /// [`MAGIC`].
    pub magic: u32,
    /// 1: it has a memory map.
    pub version: u32,
    /// 0.
    pub flags: u32,
    /// How many [`Module`]s.
    pub module_count: u32,
    /// Physical address of the first [`Module`].
    pub modules: u64,
    /// Physical address of the command line, which ends with a zero.
    pub command_line: u64,
    /// Physical address of ACPI's root pointer; 0 without one.
    pub rsdp: u64,
    /// Physical address of the first [`MemoryRange`].
    pub memory_map: u64,
    /// How many.
    pub memory_map_count: u32,
    /// 0.
    pub reserved: u32,
}

/// hvm_modlist_entry.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Module {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Physical address of its command line; 0 without one.
    pub command_line: u64,
    /// 0.
    pub reserved: u64,
}

/// hvm_memmap_table_entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MemoryRange {
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// As in ACPI's address range types.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
}

/// [`StartInfo::magic`].
pub const MAGIC: u32 = 0x336e_c578;

/// What memory is for, as ACPI numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// The kernel may use it.
    Ram = 1,
    /// Not to be touched; what the loader hands over is here too.
    Reserved = 2,
    /// Tables, free once they have been read.
    AcpiTables = 3,
    /// The firmware's.
    AcpiFirmware = 4,
}

/// Puts ranges, which must be in order of their addresses, into `map`, joining neighbours of a kind. How many `map` has
/// then, or `None` if it is too small.
pub fn write_map(ranges: impl Iterator<Item = (u64, u64, Kind)>, map: &mut [MemoryRange]) -> Option<usize> {
    let mut count = 0;
    for (address, size, kind) in ranges {
        let kind = kind as u32;
        match map.get_mut(count.max(1) - 1) {
            Some(last) if count > 0 && last.kind == kind && last.address + last.size == address => {
                last.size += size;
            }
            _ => {
                *map.get_mut(count)? = MemoryRange { address, size, kind, reserved: 0 };
                count += 1;
            }
        }
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_a_kind_are_one_range() {
        let ranges = [
            (0, 0x1000, Kind::Ram),
            (0x1000, 0x1000, Kind::Ram),
            (0x2000, 0x1000, Kind::Reserved),
            (0x3000, 0x1000, Kind::Ram),
            (0x5000, 0x1000, Kind::Ram),
        ];
        let mut map = [MemoryRange::default(); 8];
        assert_eq!(write_map(ranges.into_iter(), &mut map), Some(4));
        let seen = map.map(|range| (range.address, range.size, range.kind));
        assert_eq!(
            seen[..4],
            [(0, 0x2000, 1), (0x2000, 0x1000, 2), (0x3000, 0x1000, 1), (0x5000, 0x1000, 1)]
        );
    }

    #[test]
    fn a_map_that_is_too_small_is_not_cut() {
        let ranges = [(0, 0x1000, Kind::Ram), (0x1000, 0x1000, Kind::Reserved)];
        assert_eq!(write_map(ranges.into_iter(), &mut [MemoryRange::default(); 1]), None);
    }

    #[test]
    fn structures_have_the_sizes_of_the_interface() {
        assert_eq!((size_of::<StartInfo>(), size_of::<Module>(), size_of::<MemoryRange>()), (56, 32, 24));
    }
}
