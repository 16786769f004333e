//! PCI: configuration space through ECAM, the functions on the bus, base addresses, capabilities, MSI-X, MSI, lines.

use super::physical::DIRECT;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// PCIEXBAR of the q35 host bridge.
const PCIEXBAR: u32 = 0x60;
/// Bytes of configuration space for 256 buses, the most that it has.
const CONFIG_LONGEST: usize = 0x1000_0000;
static ECAM: AtomicUsize = AtomicUsize::new(0);

/// Bytes of a function's configuration space.
const CONFIG_SPACE: u32 = 4096;

/// MSI and MSI-X capabilities.
const MSI: u8 = 0x05;
const MSIX: u8 = 0x11;
/// Command register: I/O and memory decoding, bus mastering; no line interrupts.
const DECODE: u32 = 3;
const MASTER: u32 = 4;
const NO_LINE: u32 = 0x400;
/// Where messages go to: this processor's APIC.
const MESSAGE_ADDRESS: u32 = 0xfee0_0000;

/// A function by bus, device and function number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Function(u32);

/// A base address register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bar {
    /// Its number, 0 to 5.
    pub index: u8,
    /// Physical address, or the first port.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Prefetchable.
    pub prefetchable: bool,
    /// Of ports, not of memory.
    pub io: bool,
}

/// Where a function's MSI-X table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MsixTable {
    /// The BAR that holds it.
    pub bar: u8,
    /// Its offset there.
    pub offset: u64,
    /// Its entries.
    pub entries: usize,
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

/// Every function on the bus, bridges and what is behind them included.
#[must_use]
pub(crate) fn all() -> Vec<Function> {
    let mut found = Vec::new();
    scan(0, &mut found);
    found
}

/// The functions of a bus, and of those behind its bridges.
fn scan(bus: u32, found: &mut Vec<Function>) {
    for slot in 0..32 {
        let first = Function(bus << 8 | slot << 3);
        let functions = if first.is_there() && first.read8(0x0e) & 0x80 != 0 { 8 } else { 1 };
        for function in (0..functions).map(|number| Function(first.0 | number)) {
            if !function.is_there() {
                continue;
            }
            found.push(function);
            let behind = u32::from(function.read8(0x19));
            // buses are numbered downwards from the host bridge: anything else is a circle
            if function.read8(0x0e) & 0x7f == 1 && behind > bus {
                scan(behind, found);
            }
        }
    }
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

    fn is_there(self) -> bool {
        self.read16(0) != 0xffff
    }

    /// Bus, device and function in one number.
    pub(crate) fn number(self) -> u32 {
        self.0
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

    /// Its base addresses with sizes, in their order. Decoding is off while it measures.
    #[must_use]
    pub(crate) fn bars(self) -> Vec<Bar> {
        let command = self.read32(4) & 0xffff;
        self.write32(4, command & !DECODE);
        // a bridge has two
        let count = if self.read8(0x0e) & 0x7f == 0 { 6 } else { 2 };
        let mut bars = Vec::new();
        let mut index = 0;
        while index < count {
            let offset = 0x10 + index * 4;
            let low = self.read32(offset);
            let io = low & 1 != 0;
            let wide = !io && low & 6 == 4;
            let high = if wide { self.read32(offset + 4) } else { 0 };
            self.write32(offset, u32::MAX);
            let bits = self.read32(offset) & if io { !3 } else { !0xf };
            self.write32(offset, low);
            let mut mask = u64::from(bits) | 0xffff_ffff_0000_0000;
            if io {
                // the upper half of a port's number need not be there
                mask |= 0xffff_0000;
            }
            if wide {
                self.write32(offset + 4, u32::MAX);
                mask = mask & 0xffff_ffff | u64::from(self.read32(offset + 4)) << 32;
                self.write32(offset + 4, high);
            }
            if bits != 0 || wide && mask != 0 {
                bars.push(Bar {
                    index: index as u8,
                    address: u64::from(low & if io { !3 } else { !0xf }) | u64::from(high) << 32,
                    size: (!mask).wrapping_add(1),
                    prefetchable: !io && low & 8 != 0,
                    io,
                });
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

    /// Its MSI-X table. `None` without MSI-X.
    #[must_use]
    pub(crate) fn msix_table(self) -> Option<MsixTable> {
        let at = *self.capabilities(MSIX).first()?;
        let place = self.read32(at + 4);
        let entries = usize::from(self.read16(at + 2) & 0x7ff) + 1;
        Some(MsixTable { bar: (place & 7) as u8, offset: u64::from(place & !7), entries })
    }

    /// Switches MSI-X on or off.
    pub(crate) fn enable_msix(self, on: bool) {
        if let Some(&at) = self.capabilities(MSIX).first() {
            let word = self.read32(at) & 0x3fff_ffff;
            self.write32(at, if on { word | 0x8000_0000 } else { word });
        }
    }

    /// Whether it can send MSI.
    #[must_use]
    pub(crate) fn has_msi(self) -> bool {
        !self.capabilities(MSI).is_empty()
    }

    /// Sends one message of this vector, or none.
    pub(crate) fn set_msi(self, vector: Option<u8>) {
        let Some(&at) = self.capabilities(MSI).first() else { return };
        let control = self.read32(at) & !0x0071_0000;
        self.write32(at, control);
        let Some(vector) = vector else { return };
        // 64-bit addresses move the data by a word
        let wide = control & 0x80_0000 != 0;
        self.write32(at + 4, MESSAGE_ADDRESS);
        if wide {
            self.write32(at + 8, 0);
        }
        let data = at + if wide { 12 } else { 8 };
        self.write32(data, self.read32(data) & 0xffff_0000 | u32::from(vector));
        self.write32(at, control | 1 << 16);
    }

    /// Which of the I/O APIC's lines it raises, by the wiring of q35: the pins of its slots 0 to 24 go round by one from slot to
    /// slot, over the lines 20 to 23. `None` without a pin, or elsewhere.
    #[must_use]
    pub(crate) fn line(self) -> Option<u8> {
        let (pin, slot) = (self.read8(0x3d), self.0 >> 3);
        ((1..=4).contains(&pin) && slot < 25).then(|| 20 + ((slot as u8 + pin - 1) & 3))
    }

    /// Decoding and bus mastering on, as the PCI bus driver starts a device; its line interrupt on or off.
    pub(crate) fn enable(self, line: bool) {
        let command = self.read32(4) & 0xffff & !NO_LINE | DECODE | MASTER;
        self.write32(4, if line { command } else { command | NO_LINE });
    }
}

/// The words of an MSI-X table's entry: this processor, the vector, masked or not.
#[must_use]
pub(crate) fn message(vector: u8, masked: bool) -> [u32; 4] {
    [MESSAGE_ADDRESS, 0, u32::from(vector), u32::from(masked)]
}
