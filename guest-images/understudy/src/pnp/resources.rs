//! The device on the bus: its identity, its resources with private descriptors between them that differ with the seed, its
//! interrupt.

use crate::hal::pci::{self, Bar, Function};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Irql, interrupt, vectors};
use crate::mm::Owner;
use crate::netcx::watch;
use crate::verifier::trace;
use crate::wdf::interrupt::Interrupt;
use crate::wdf::object::{self, Attributes};
use crate::wdf::resources::ResourceList;
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use understudy_rules::inf::PciIdentity;
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_1,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_3,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4__bindgen_ty_1,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4__bindgen_ty_1__bindgen_ty_1,
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_RESOURCE_INTERRUPT_LATCHED, CM_RESOURCE_INTERRUPT_MESSAGE,
    CmResourceTypeInterrupt, CmResourceTypeMemory, LARGE_INTEGER,
};

/// virtio-net, modern.
const VENDOR: u16 = 0x1af4;
const DEVICE: u16 = 0x1041;
/// CmResourceShareDeviceExclusive, CmResourceShareShared.
const EXCLUSIVE: u8 = 1;
const SHARED: u8 = 3;
/// CmResourceTypeDevicePrivate.
const DEVICE_PRIVATE: u8 = 129;
/// CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE.
const CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE: u32 = 0;
/// CM_RESOURCE_MEMORY_PREFETCHABLE.
const PREFETCHABLE: u16 = 4;
/// Vendor-specific capability: virtio's structures.
const VIRTIO_CAPABILITY: u8 = 9;
/// Bytes mapped of each virtio structure that understudy looks at.
const LOOK: usize = 256;

/// What is mapped of the one device.
struct Hardware {
    /// Entry 0 of the MSI-X table, mapped.
    msix: usize,
    /// Mapped for the watch: common and device configuration.
    watch: (usize, usize),
}

static HARDWARE: IrqLock<Hardware> = IrqLock::new(Hardware { msix: 0, watch: (0, 0) });

/// Lets drivers map the device's memory.
fn grant(bars: &[Bar]) {
    crate::mm::grant(bars.iter().map(|bar| bar.address..bar.address + bar.size).collect());
}

/// Finds the device.
///
/// # Errors
/// There is none.
pub(super) fn find() -> Result<PciIdentity, String> {
    let function =
        Function::find(VENDOR, DEVICE).ok_or("no virtio network device (PCI 1af4:1041) on the bus")?;
    function.becomes_nic();
    grant(&function.bars());
    Ok(PciIdentity {
        vendor: VENDOR,
        device: DEVICE,
        revision: function.read8(8),
        subsystem_vendor: function.read16(0x2c),
        subsystem: function.read16(0x2e),
        class: function.read32(8) >> 8,
    })
}

fn memory(bar: &Bar) -> CM_PARTIAL_RESOURCE_DESCRIPTOR {
    CM_PARTIAL_RESOURCE_DESCRIPTOR {
        Type: CmResourceTypeMemory as u8,
        ShareDisposition: EXCLUSIVE,
        Flags: if bar.prefetchable { PREFETCHABLE } else { 0 },
        u: _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1 {
            Memory: _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_1 {
                Start: LARGE_INTEGER { QuadPart: bar.address as i64 },
                Length: bar.size as u32,
            },
        },
    }
}

/// One message, or a line that stays raised until the device is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    Message,
    Line,
}

/// The raw and the translated descriptor of the device's interrupt.
fn interrupts(signal: Signal) -> [CM_PARTIAL_RESOURCE_DESCRIPTOR; 2] {
    type Message = _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4__bindgen_ty_1;
    let vector = u32::from(vectors::DEVICE_VECTOR);
    let raw = _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4__bindgen_ty_1__bindgen_ty_1 {
        Reserved: 0,
        MessageCount: 1,
        Vector: vector,
        Affinity: 1,
    };
    // a line has level, vector and affinity in both halves
    let translated = _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_3 {
        Level: vector >> 4,
        Vector: vector,
        Affinity: 1,
    };
    let (share, flags, raw) = match signal {
        Signal::Message => {
            (EXCLUSIVE, CM_RESOURCE_INTERRUPT_MESSAGE | CM_RESOURCE_INTERRUPT_LATCHED, Message { Raw: raw })
        }
        Signal::Line => (SHARED, CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE, Message { Translated: translated }),
    };
    [raw, Message { Translated: translated }].map(|half| CM_PARTIAL_RESOURCE_DESCRIPTOR {
        Type: CmResourceTypeInterrupt as u8,
        ShareDisposition: share,
        Flags: flags as u16,
        u: _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1 {
            MessageInterrupt: _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4 {
                __bindgen_anon_1: half,
            },
        },
    })
}

/// A descriptor that is the bus driver's alone.
fn private(bar: &Bar) -> CM_PARTIAL_RESOURCE_DESCRIPTOR {
    CM_PARTIAL_RESOURCE_DESCRIPTOR { Type: DEVICE_PRIVATE, ..memory(bar) }
}

/// The memory in the order of its BARs, as Microsoft promises, then the interrupt. What the seed varies is what a bus driver
/// may: a private descriptor behind any of them.
fn arranged(
    bars: &[Bar],
    interrupt: CM_PARTIAL_RESOURCE_DESCRIPTOR,
    seed: u64,
) -> Box<[CM_PARTIAL_RESOURCE_DESCRIPTOR]> {
    let mut descriptors = Vec::new();
    for (at, bar) in bars.iter().enumerate() {
        descriptors.push(memory(bar));
        if seed >> at & 1 != 0 {
            descriptors.push(private(bar));
        }
    }
    descriptors.push(interrupt);
    if let Some(last) = bars.last().filter(|_| seed >> bars.len() & 1 != 0) {
        descriptors.push(private(last));
    }
    descriptors.into_boxed_slice()
}

/// Starts the device on the bus and makes its two resource lists, below the device object.
///
/// # Errors
/// The device has no MSI-X.
pub(super) fn assign(device: Handle) -> Result<(Handle, Handle), String> {
    let function = pci::nic().ok_or("no device")?;
    function.enable();
    let bars = function.bars();
    let (bar, offset) = function.msix_table().ok_or("the device has no MSI-X capability")?;
    let table = bars.iter().find(|known| known.index == bar).ok_or("the MSI-X table is in no memory BAR")?;
    let msix = crate::mm::map_mmio(table.address + offset, 16, Owner::UNDERSTUDY);

    let signal = if crate::settings::line_interrupt() { Signal::Line } else { Signal::Message };
    let [raw_interrupt, translated_interrupt] = interrupts(signal);
    let list = |interrupt: CM_PARTIAL_RESOURCE_DESCRIPTOR| {
        let payload = Arc::new(ResourceList(arranged(&bars, interrupt, crate::settings::seed())));
        object::create("PnP", payload, Some(device), Attributes::NONE)
    };
    let lists = (list(raw_interrupt), list(translated_interrupt));
    let watch = map_watch(function, &bars);
    HARDWARE.with(|hardware| *hardware = Hardware { msix, watch: watch.unwrap_or_default() });
    grant(&bars);
    watch::set(watch);
    Ok(lists)
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

/// Two empty lists, raw and translated: a root-enumerated device has neither memory nor interrupts.
pub(super) fn assign_none(device: Handle) -> (Handle, Handle) {
    let list = || {
        let payload = Arc::new(ResourceList(Box::default()));
        object::create("PnP", payload, Some(device), Attributes::NONE)
    };
    (list(), list())
}

/// Takes the device's resources back; their lists are the device stack's.
pub(super) fn release() {
    watch::set(None);
    let (msix, watch) =
        HARDWARE.with(|hardware| (core::mem::take(&mut hardware.msix), core::mem::take(&mut hardware.watch)));
    for (place, len) in [(msix, 16), (watch.0, LOOK), (watch.1, LOOK)] {
        if place != 0
            && let Err(error) = crate::mm::unmap_mmio(place, len)
        {
            crate::log!("release: {error}");
        }
    }
}

/// Connects the interrupt to its vector, masked at the device. Returns DIRQL.
pub(super) fn connect_interrupt(interrupt: Arc<Interrupt>) -> Irql {
    if crate::settings::line_interrupt() {
        trace::not_offered("an interrupt by a line, which the driver has taken");
    }
    interrupt::connect(vectors::DEVICE_VECTOR, Box::new(move || interrupt.service()));
    write_msix(true);
    if let Some(function) = pci::nic() {
        function.enable_msix(true);
    }
    Irql::of_vector(vectors::DEVICE_VECTOR)
}

/// Lets the device's messages through.
pub(super) fn unmask_interrupt() {
    write_msix(false);
}

/// Masks the message and disconnects the vector.
pub(super) fn disconnect_interrupt() {
    write_msix(true);
    if let Some(function) = pci::nic() {
        function.enable_msix(false);
    }
    interrupt::disconnect(vectors::DEVICE_VECTOR);
}

/// Entry 0 of the table: this processor, our vector, masked or not.
fn write_msix(masked: bool) {
    let table = HARDWARE.with(|hardware| hardware.msix);
    if table == 0 {
        return;
    }
    let words = [0xfee0_0000, 0, u32::from(vectors::DEVICE_VECTOR), u32::from(masked)];
    for (index, word) in words.into_iter().enumerate() {
        // SAFETY: the table is mapped while hardware is assigned; these are entry 0's four words.
        unsafe { ((table + index * 4) as *mut u32).write_volatile(word) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    const BARS: [Bar; 3] = [
        Bar { index: 0, address: 0xfe00_0000, size: 0x1000, prefetchable: false },
        Bar { index: 1, address: 0xfe00_1000, size: 0x1000, prefetchable: false },
        Bar { index: 4, address: 0x38_0000_0000, size: 0x4000, prefetchable: true },
    ];

    /// What each descriptor of the list of that seed is: where a memory range begins, `None` for the interrupt. Private ones
    /// are left out.
    fn order(seed: u64) -> Vec<Option<i64>> {
        let list = arranged(&BARS, interrupts(Signal::Message)[0], seed);
        let start = |of: &CM_PARTIAL_RESOURCE_DESCRIPTOR| {
            // SAFETY: plain numbers, of whichever kind the descriptor is.
            (of.Type == CmResourceTypeMemory as u8).then_some(unsafe { of.u.Memory.Start.QuadPart })
        };
        list.iter().filter(|of| of.Type != DEVICE_PRIVATE).map(start).collect()
    }

    #[test]
    fn memory_comes_in_the_order_of_its_bars_and_the_interrupt_behind_it_whatever_the_seed() {
        let all: Vec<Option<i64>> = BARS.iter().map(|bar| Some(bar.address as i64)).chain([None]).collect();
        for seed in (0..100).chain([u64::MAX]) {
            assert_eq!(order(seed), all, "seed {seed}");
        }
    }

    #[test]
    fn seeds_put_a_private_descriptor_behind_each() {
        let kinds =
            |seed| arranged(&BARS, interrupts(Signal::Message)[0], seed).iter().map(|of| of.Type).collect();
        let found: BTreeSet<Vec<u8>> = (0..16).map(kinds).collect();
        assert_eq!(found.len(), 16);
        assert!(found.iter().any(|kinds| kinds.last() == Some(&DEVICE_PRIVATE)));
    }

    #[test]
    fn a_device_without_memory_has_its_interrupt_alone() {
        for seed in 0..3 {
            assert_eq!(arranged(&[], interrupts(Signal::Message)[0], seed).len(), 1);
        }
    }

    #[test]
    fn a_line_is_shared_and_no_message() {
        for half in interrupts(Signal::Line) {
            assert_eq!((half.ShareDisposition, half.Flags), (SHARED, 0));
        }
    }

    #[test]
    fn memory_is_described_with_its_place_its_length_and_whether_it_may_be_prefetched() {
        let [low, _, high] = BARS.map(|bar| memory(&bar));
        assert_eq!((low.Flags, high.Flags, low.ShareDisposition), (0, PREFETCHABLE, EXCLUSIVE));
        // SAFETY: memory descriptors.
        let (start, len) = unsafe { (high.u.Memory.Start.QuadPart, high.u.Memory.Length) };
        assert_eq!((start, len), (0x38_0000_0000, 0x4000));
    }

    #[test]
    fn the_interrupt_is_one_message_whose_level_is_its_vectors() {
        let [raw, translated] = interrupts(Signal::Message);
        for half in [&raw, &translated] {
            assert_eq!(half.Type, CmResourceTypeInterrupt as u8);
            assert_eq!(u32::from(half.Flags), CM_RESOURCE_INTERRUPT_MESSAGE | CM_RESOURCE_INTERRUPT_LATCHED);
        }
        // SAFETY: each half's own member, of plain numbers.
        let (raw, translated) = unsafe {
            (
                raw.u.MessageInterrupt.__bindgen_anon_1.Raw,
                translated.u.MessageInterrupt.__bindgen_anon_1.Translated,
            )
        };
        assert_eq!((raw.MessageCount, raw.Vector), (1, translated.Vector));
        let level = Irql::of_vector(vectors::DEVICE_VECTOR);
        assert_eq!(translated.Level, u32::from(level.number()));
    }
}
