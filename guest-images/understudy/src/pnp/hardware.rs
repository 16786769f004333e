//! A PCI device that a driver has been given: what is mapped of it, and its interrupts' way to the processor.
//!
//! Messages where the INF asks for them and the device can send some: MSI-X, up to the INF's limit, else one of MSI. A line of the
//! I/O APIC otherwise, which devices may share.

use super::resources::Signal;
use crate::hal::apic;
use crate::hal::pci::{self, Bar, Function};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Irql, interrupt, vectors};
use crate::mm::Owner;
use crate::netcx::watch;
use crate::verifier::violation;
use crate::wdf::interrupt::Interrupt;
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use understudy_rules::inf::{Package, PciIdentity};

/// Vendor-specific capability: virtio's structures.
const VIRTIO_CAPABILITY: u8 = 9;
/// Bytes mapped of each virtio structure that understudy looks at.
const LOOK: usize = 256;
/// Bytes of an entry of an MSI-X table.
const ENTRY: usize = 16;
/// Interrupts of a line in a row that no driver takes: they do not end any more.
const STORM: u32 = 10_000;

/// The functions on the bus.
pub(super) fn functions() -> Vec<(Function, PciIdentity)> {
    let identity = |function: Function| PciIdentity {
        vendor: function.read16(0),
        device: function.read16(2),
        revision: function.read8(8),
        subsystem_vendor: function.read16(0x2c),
        subsystem: function.read16(0x2e),
        class: function.read32(8) >> 8,
    };
    pci::all().into_iter().map(|function| (function, identity(function))).collect()
}

/// The memory of these functions, which drivers may map.
pub(super) fn memory(functions: impl Iterator<Item = Function>) -> Vec<Range<u64>> {
    let bars = functions.flat_map(Function::bars).filter(|bar| !bar.io);
    bars.map(|bar| bar.address..bar.address + bar.size).collect()
}

/// What its interrupts come through.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Place of the mapped table, and its entries in use.
    MsiX(usize),
    Msi,
    Line(u8),
    None,
}

/// A device on the bus, started.
pub(super) struct Hardware {
    function: Function,
    bars: Vec<Bar>,
    way: Way,
    signals: Vec<Signal>,
    /// Mapped for the watch: common and device configuration.
    watch: Option<(usize, usize)>,
}

impl Hardware {
    /// Starts the device on the bus. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// It has an interrupt that cannot be had here.
    pub(super) fn start(function: Function, package: &Package) -> Result<Self, String> {
        let bars = function.bars();
        let messages = package.msi && !crate::settings::line_interrupt();
        let (way, signals) = match (messages, function.msix_table()) {
            (true, Some(table)) => {
                let bar = bars.iter().find(|bar| bar.index == table.bar && !bar.io);
                let place = bar.ok_or("the MSI-X table is in no memory BAR")?.address + table.offset;
                let most =
                    package.message_limit.map_or(table.entries, |limit| table.entries.min(limit as usize));
                let signals: Vec<Signal> =
                    (0..most.max(1)).map_while(|_| vectors::take().map(Signal::Message)).collect();
                (Way::MsiX(crate::mm::map_mmio(place, ENTRY * signals.len(), Owner::UNDERSTUDY)), signals)
            }
            (true, None) if function.has_msi() => {
                (Way::Msi, vectors::take().map(Signal::Message).into_iter().collect())
            }
            _ if function.read8(0x3d) == 0 => (Way::None, Vec::new()),
            _ => {
                let line = function
                    .line()
                    .ok_or("a line interrupt behind a bridge, which understudy does not have")?;
                (Way::Line(line), alloc::vec![Signal::Line(vectors::of_line(line))])
            }
        };
        function.enable(matches!(way, Way::Line(_)));
        let watch = if package.net { map_watch(function, &bars) } else { None };
        if package.net {
            watch::set(watch);
        }
        let hardware = Self { function, bars, way, signals, watch };
        crate::log!("{:#x}: {} BARs, {:x?}", function.number(), hardware.bars.len(), hardware.signals);
        Ok(hardware)
    }

    /// Its base addresses.
    pub(super) fn bars(&self) -> &[Bar] {
        &self.bars
    }

    /// Its interrupts.
    pub(super) fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// Takes the device back from its driver. PASSIVE_LEVEL.
    pub(super) fn release(&self) {
        if let Some((common, device)) = self.watch {
            watch::set(None);
            unmap(common, LOOK);
            unmap(device, LOOK);
        }
        if let Way::MsiX(table) = self.way {
            unmap(table, ENTRY * self.signals.len());
        }
        for &signal in &self.signals {
            if let Signal::Message(vector) = signal {
                vectors::give_back(vector);
            }
        }
    }

    /// Connects an interrupt to its signal, masked at the device. Returns DIRQL; `None` where the device has no such signal,
    /// and the interrupt stays unconnected.
    pub(super) fn connect(&self, interrupt: Arc<Interrupt>) -> Option<Irql> {
        match *self.signals.get(interrupt.message as usize)? {
            Signal::Message(vector) => {
                self.write_entry(interrupt.message as usize, vector, true);
                interrupt::connect(vector, Box::new(move || interrupt.service()));
                self.function.enable_msix(matches!(self.way, Way::MsiX(_)));
                Some(Irql::of_vector(vector))
            }
            Signal::Line(vector) => {
                let Way::Line(line) = self.way else { return None };
                let sharing = &LINES[usize::from(line & 7)];
                sharing.drivers.with(|drivers| drivers.push(interrupt));
                interrupt::connect(vector, Box::new(|| sharing.serve()));
                Some(Irql::of_vector(vector))
            }
        }
    }

    /// Lets the signal through.
    pub(super) fn unmask(&self, interrupt: &Interrupt) {
        match (self.way, self.signals.get(interrupt.message as usize)) {
            (Way::MsiX(_), Some(&Signal::Message(vector))) => {
                self.write_entry(interrupt.message as usize, vector, false);
            }
            (Way::Msi, Some(&Signal::Message(vector))) => self.function.set_msi(Some(vector)),
            (Way::Line(line), Some(&Signal::Line(vector))) => apic::set_line(line, Some(vector)),
            _ => {}
        }
    }

    /// Masks the signal and disconnects the interrupt.
    pub(super) fn disconnect(&self, gone: &Arc<Interrupt>) {
        match (self.way, self.signals.get(gone.message as usize)) {
            (Way::MsiX(_), Some(&Signal::Message(vector))) => {
                self.write_entry(gone.message as usize, vector, true);
                if gone.message == 0 {
                    self.function.enable_msix(false);
                }
                interrupt::disconnect(vector);
            }
            (Way::Msi, Some(&Signal::Message(vector))) => {
                self.function.set_msi(None);
                interrupt::disconnect(vector);
            }
            (Way::Line(line), Some(&Signal::Line(vector))) => {
                let drivers = &LINES[usize::from(line & 7)].drivers;
                drivers.with(|drivers| drivers.retain(|known| !Arc::ptr_eq(known, gone)));
                if drivers.with(|drivers| drivers.is_empty()) {
                    apic::set_line(line, None);
                    interrupt::disconnect(vector);
                }
            }
            _ => {}
        }
    }

    fn write_entry(&self, entry: usize, vector: u8, masked: bool) {
        let Way::MsiX(table) = self.way else { return };
        for (index, word) in pci::message(vector, masked).into_iter().enumerate() {
            // SAFETY: the table is mapped while the hardware is started, with an entry for each signal; these are its four words.
            unsafe { ((table + entry * ENTRY + index * 4) as *mut u32).write_volatile(word) };
        }
    }
}

fn unmap(place: usize, len: usize) {
    if let Err(error) = crate::mm::unmap_mmio(place, len) {
        crate::log!("release: {error}");
    }
}

/// Maps virtio's common and device configuration for understudy's own looks.
fn map_watch(function: Function, bars: &[Bar]) -> Option<(usize, usize)> {
    let place = |kind: u8| {
        let at =
            function.capabilities(VIRTIO_CAPABILITY).into_iter().find(|at| function.read8(at + 3) == kind)?;
        let bar = bars.iter().find(|bar| bar.index == function.read8(at + 4))?;
        Some(bar.address + u64::from(function.read32(at + 8)))
    };
    let (common, device) = (place(1)?, place(4)?);
    Some((
        crate::mm::map_mmio(common, LOOK, Owner::UNDERSTUDY),
        crate::mm::map_mmio(device, LOOK, Owner::UNDERSTUDY),
    ))
}

/// A line and the interrupts of the devices on it.
struct Line {
    drivers: IrqLock<Vec<Arc<Interrupt>>>,
    /// Interrupts in a row that nobody has taken.
    unclaimed: AtomicU32,
}

/// The lines 16 to 23.
static LINES: [Line; 8] =
    [const { Line { drivers: IrqLock::new(Vec::new()), unclaimed: AtomicU32::new(0) } }; 8];

impl Line {
    /// Asks one driver after the other whether the interrupt was its device's.
    fn serve(&self) -> bool {
        let count = self.drivers.with(|drivers| drivers.len());
        let mut known = (0..count).filter_map(|at| self.drivers.with(|drivers| drivers.get(at).cloned()));
        if known.any(|interrupt| interrupt.service()) {
            self.unclaimed.store(0, Relaxed);
            return true;
        }
        if self.unclaimed.fetch_add(1, Relaxed) == STORM {
            let text = format!("{STORM} interrupts of a line in a row, and no EvtInterruptIsr returned TRUE");
            violation("InterruptStorm", 0, u64::from(STORM), text);
        }
        false
    }
}
