//! PCI: configuration space through ECAM, base addresses, capabilities, MSI-X.

use super::physical::DIRECT;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// PCIEXBAR of the q35 host bridge.
const PCIEXBAR: u32 = 0x60;
/// Bytes of configuration space for 256 buses, the most that it has.
const CONFIG_LONGEST: usize = 0x1000_0000;
static ECAM: AtomicUsize = AtomicUsize::new(0);

/// Number of the function that drivers are for; [`NONE`] before it has been found.
static NIC: AtomicU32 = AtomicU32::new(NONE);
const NONE: u32 = u32::MAX;
/// Bytes of a function's configuration space.
const CONFIG_SPACE: u32 = 4096;

/// MSI-X capability.
const MSIX: u8 = 0x11;

/// A function by bus, device and function number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Function(u32);

/// A memory base address register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bar {
    /// Its number, 0 to 5.
    pub index: u8,
    /// Physical address.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Prefetchable.
    pub prefetchable: bool,
}

/// Finds the configuration space: where firmware has put it, as physical addresses.
pub(crate) fn start() -> Range<usize> {
    let read = |offset: u32| {
        super::port::write32(0xcf8, 0x8000_0000 | offset);
        super::port::read32(0xcfc)
    };
    let low = read(PCIEXBAR);
    if low & 1 == 0 {
        super::power::fatal("the machine has no PCI Express configuration space; q35 is needed");
    }
    if read(PCIEXBAR + 4) != 0 {
        super::power::fatal("firmware has put the PCI Express configuration space above 4 GiB");
    }
    // 256 MiB, 128 MiB or 64 MiB, which is what the address is a multiple of
    let size = CONFIG_LONGEST >> (low >> 1 & 3).min(2);
    let base = low as usize & !(size - 1);
    ECAM.store(DIRECT + base, Relaxed);
    base..base + size
}

/// The function that drivers are for, once it has been found.
pub(crate) fn nic() -> Option<Function> {
    Some(NIC.load(Relaxed)).filter(|&number| number != NONE).map(Function)
}

impl Function {
    fn at(self, offset: u32) -> usize {
        ECAM.load(Relaxed) + ((self.0 as usize) << 12) + offset as usize
    }

    /// Reads a word at a multiple of 4 below 4096.
    #[must_use]
    pub(crate) fn read32(self, offset: u32) -> u32 {
        // SAFETY: ECAM is mapped; configuration reads have no side effects here.
        unsafe { (self.at(offset & 0xffc) as *const u32).read_volatile() }
    }

    /// Writes a word at a multiple of 4 below 4096.
    pub(crate) fn write32(self, offset: u32, value: u32) {
        // SAFETY: as above; callers know the register.
        unsafe { (self.at(offset & 0xffc) as *mut u32).write_volatile(value) };
    }

    /// Reads one byte.
    #[must_use]
    pub(crate) fn read8(self, offset: u32) -> u8 {
        (self.read32(offset) >> (8 * (offset & 3))) as u8
    }

    /// Reads two bytes at an even offset.
    #[must_use]
    pub(crate) fn read16(self, offset: u32) -> u16 {
        (self.read32(offset) >> (8 * (offset & 2))) as u16
    }

    /// Writes one byte, leaving the others of its word.
    pub(crate) fn write8(self, offset: u32, value: u8) {
        // SAFETY: as above; a byte write touches no neighbour (status bits are cleared by writing ones).
        unsafe { (self.at(offset & 0xfff) as *mut u8).write_volatile(value) };
    }

    /// The first function with these ids.
    #[must_use]
    pub(crate) fn find(vendor: u16, device: u16) -> Option<Self> {
        let wanted = u32::from(vendor) | u32::from(device) << 16;
        (0..=0xffff).map(Self).find(|function| function.read32(0) == wanted)
    }

    /// Makes it the function that [`nic`] gives.
    pub(crate) fn becomes_nic(self) {
        NIC.store(self.0, Relaxed);
    }

    /// Reads configuration space from `offset` on; returns how many bytes.
    pub(crate) fn read_config(self, offset: u32, buffer: &mut [u8]) -> u32 {
        let len = (CONFIG_SPACE.saturating_sub(offset) as usize).min(buffer.len());
        for (at, byte) in buffer.iter_mut().take(len).enumerate() {
            *byte = self.read8(offset + at as u32);
        }
        len as u32
    }

    /// Writes configuration space from `offset` on; returns how many bytes.
    pub(crate) fn write_config(self, offset: u32, buffer: &[u8]) -> u32 {
        let len = (CONFIG_SPACE.saturating_sub(offset) as usize).min(buffer.len());
        for (at, &byte) in buffer.iter().take(len).enumerate() {
            self.write8(offset + at as u32, byte);
        }
        len as u32
    }

    /// Its memory base addresses with sizes. Decoding is off while it measures.
    #[must_use]
    pub(crate) fn bars(self) -> Vec<Bar> {
        let command = self.read32(4) & 0xffff;
        self.write32(4, command & !3);
        let mut bars = Vec::new();
        let mut index = 0;
        while index < 6 {
            let offset = 0x10 + index * 4;
            let low = self.read32(offset);
            let wide = low & 6 == 4;
            let high = if wide { self.read32(offset + 4) } else { 0 };
            if low & 1 == 0 {
                self.write32(offset, u32::MAX);
                let mut mask = u64::from(self.read32(offset) & !0xf) | 0xffff_ffff_0000_0000;
                self.write32(offset, low);
                if wide {
                    self.write32(offset + 4, u32::MAX);
                    mask = mask & 0xffff_ffff | u64::from(self.read32(offset + 4)) << 32;
                    self.write32(offset + 4, high);
                }
                let size = (!mask).wrapping_add(1);
                if mask as u32 != 0 {
                    bars.push(Bar {
                        index: index as u8,
                        address: u64::from(low & !0xf) | u64::from(high) << 32,
                        size,
                        prefetchable: low & 8 != 0,
                    });
                }
            }
            index += if wide { 2 } else { 1 };
        }
        self.write32(4, command);
        bars
    }

    /// Offsets of the capabilities with this id.
    #[must_use]
    pub(crate) fn capabilities(self, id: u8) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = u32::from(self.read8(0x34));
        // a list longer than the space holds is broken
        for _ in 0..48 {
            if at == 0 {
                break;
            }
            if self.read8(at) == id {
                found.push(at);
            }
            at = u32::from(self.read8(at + 1));
        }
        found
    }

    /// Where entry 0 of the MSI-X table is: BAR index and offset. `None` without MSI-X.
    #[must_use]
    pub(crate) fn msix_table(self) -> Option<(u8, u64)> {
        let word = self.read32(self.capabilities(MSIX).first()? + 4);
        Some(((word & 7) as u8, u64::from(word & !7)))
    }

    /// Switches MSI-X on or off.
    pub(crate) fn enable_msix(self, on: bool) {
        if let Some(&at) = self.capabilities(MSIX).first() {
            let word = self.read32(at) & 0x3fff_ffff;
            self.write32(at, if on { word | 0x8000_0000 } else { word });
        }
    }

    /// Memory decoding and bus mastering on, as the PCI bus driver starts a device; line interrupts off.
    pub(crate) fn enable(self) {
        self.write32(4, self.read32(4) & 0xffff | 0x406);
    }
}
