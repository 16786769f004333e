//! The resources that a device gets: its base addresses, with private descriptors between them that differ with the seed, and
//! its interrupts.

use crate::hal::pci::Bar;
use crate::wdf::object::{self, Attributes};
use crate::wdf::resources::ResourceList;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_1,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_3,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4__bindgen_ty_1,
    _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4__bindgen_ty_1__bindgen_ty_1,
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_RESOURCE_INTERRUPT_LATCHED, CM_RESOURCE_INTERRUPT_MESSAGE,
    CmResourceTypeInterrupt, CmResourceTypeMemory, CmResourceTypePort, LARGE_INTEGER,
};

/// CmResourceShareDeviceExclusive, CmResourceShareShared.
const EXCLUSIVE: u8 = 1;
const SHARED: u8 = 3;
/// CmResourceTypeDevicePrivate.
const DEVICE_PRIVATE: u8 = 129;
/// CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE.
const CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE: u32 = 0;
/// CM_RESOURCE_MEMORY_PREFETCHABLE.
const PREFETCHABLE: u16 = 4;
/// CM_RESOURCE_PORT_IO, with CM_RESOURCE_PORT_16_BIT_DECODE.
const PORTS: u16 = 0x11;

/// Memory, or ports, whose descriptor has the same members.
fn range(bar: &Bar) -> CM_PARTIAL_RESOURCE_DESCRIPTOR {
    let (kind, flags) = match (bar.io, bar.prefetchable) {
        (true, _) => (CmResourceTypePort, PORTS),
        (false, true) => (CmResourceTypeMemory, PREFETCHABLE),
        (false, false) => (CmResourceTypeMemory, 0),
    };
    CM_PARTIAL_RESOURCE_DESCRIPTOR {
        Type: kind as u8,
        ShareDisposition: EXCLUSIVE,
        Flags: flags,
        u: _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1 {
            Memory: _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_1 {
                Start: LARGE_INTEGER { QuadPart: bar.address as i64 },
                Length: bar.size as u32,
            },
        },
    }
}

/// How a device interrupts: by a message, or by a line that stays raised until the device is asked; with this vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    Message(u8),
    Line(u8),
}

/// The raw and the translated descriptor of an interrupt.
fn interrupts(signal: Signal) -> [CM_PARTIAL_RESOURCE_DESCRIPTOR; 2] {
    type Message = _CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_4__bindgen_ty_1;
    let (Signal::Message(vector) | Signal::Line(vector)) = signal;
    let vector = u32::from(vector);
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
        Signal::Message(_) => {
            (EXCLUSIVE, CM_RESOURCE_INTERRUPT_MESSAGE | CM_RESOURCE_INTERRUPT_LATCHED, Message { Raw: raw })
        }
        Signal::Line(_) => {
            (SHARED, CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE, Message { Translated: translated })
        }
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
    CM_PARTIAL_RESOURCE_DESCRIPTOR { Type: DEVICE_PRIVATE, ..range(bar) }
}

/// Memory and ports in the order of their BARs, as Microsoft promises, then the interrupts. What the seed varies is what a bus
/// driver may: a private descriptor behind any of them.
fn arranged(
    bars: &[Bar],
    interrupts: impl Iterator<Item = CM_PARTIAL_RESOURCE_DESCRIPTOR>,
    seed: u64,
) -> Box<[CM_PARTIAL_RESOURCE_DESCRIPTOR]> {
    let mut descriptors = Vec::new();
    for (at, bar) in bars.iter().enumerate() {
        descriptors.push(range(bar));
        if seed >> at & 1 != 0 {
            descriptors.push(private(bar));
        }
    }
    descriptors.extend(interrupts);
    if let Some(last) = bars.last().filter(|_| seed >> bars.len() & 1 != 0) {
        descriptors.push(private(last));
    }
    descriptors.into_boxed_slice()
}

/// The device's two resource lists, raw and translated, below the device object.
pub(super) fn assign(device: Handle, bars: &[Bar], signals: &[Signal]) -> (Handle, Handle) {
    let list = |half: usize| {
        let interrupts = signals.iter().map(|&signal| interrupts(signal)[half]);
        let descriptors = arranged(bars, interrupts, crate::settings::seed());
        object::create("PnP", Arc::new(ResourceList(descriptors)), Some(device), Attributes::NONE)
    };
    (list(0), list(1))
}

/// Two empty lists, raw and translated: a root-enumerated device has neither memory nor interrupts.
pub(super) fn assign_none(device: Handle) -> (Handle, Handle) {
    let list = || {
        let payload = Arc::new(ResourceList(Box::default()));
        object::create("PnP", payload, Some(device), Attributes::NONE)
    };
    (list(), list())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ke::Irql;
    use alloc::collections::BTreeSet;

    const BARS: [Bar; 3] = [
        Bar { index: 0, address: 0xfe00_0000, size: 0x1000, prefetchable: false, io: false },
        Bar { index: 1, address: 0xc000, size: 0x20, prefetchable: false, io: true },
        Bar { index: 4, address: 0x38_0000_0000, size: 0x4000, prefetchable: true, io: false },
    ];
    const MESSAGE: Signal = Signal::Message(0x71);

    fn list(bars: &[Bar], signals: &[Signal], seed: u64) -> Box<[CM_PARTIAL_RESOURCE_DESCRIPTOR]> {
        arranged(bars, signals.iter().map(|&signal| interrupts(signal)[0]), seed)
    }

    /// What each descriptor of the list of that seed is: where a range begins, `None` for an interrupt. Private ones are left
    /// out.
    fn order(seed: u64) -> Vec<Option<i64>> {
        let start = |of: &CM_PARTIAL_RESOURCE_DESCRIPTOR| {
            // SAFETY: plain numbers, of whichever kind the descriptor is.
            (of.Type != CmResourceTypeInterrupt as u8).then_some(unsafe { of.u.Memory.Start.QuadPart })
        };
        let list = list(&BARS, &[MESSAGE, Signal::Message(0x72)], seed);
        list.iter().filter(|of| of.Type != DEVICE_PRIVATE).map(start).collect()
    }

    #[test]
    fn ranges_come_in_the_order_of_their_bars_and_the_interrupts_behind_them_whatever_the_seed() {
        let starts = BARS.iter().map(|bar| Some(bar.address as i64));
        let all: Vec<Option<i64>> = starts.chain([None, None]).collect();
        for seed in (0..100).chain([u64::MAX]) {
            assert_eq!(order(seed), all, "seed {seed}");
        }
    }

    #[test]
    fn seeds_put_a_private_descriptor_behind_each() {
        let kinds = |seed| list(&BARS, &[MESSAGE], seed).iter().map(|of| of.Type).collect();
        let found: BTreeSet<Vec<u8>> = (0..16).map(kinds).collect();
        assert_eq!(found.len(), 16);
        assert!(found.iter().any(|kinds| kinds.last() == Some(&DEVICE_PRIVATE)));
    }

    #[test]
    fn a_device_without_memory_has_its_interrupt_alone() {
        for seed in 0..3 {
            assert_eq!(list(&[], &[MESSAGE], seed).len(), 1);
        }
    }

    #[test]
    fn a_line_is_shared_and_no_message() {
        for half in interrupts(Signal::Line(0xc4)) {
            assert_eq!((half.ShareDisposition, half.Flags), (SHARED, 0));
        }
    }

    #[test]
    fn a_range_is_described_with_its_kind_its_place_its_length_and_whether_it_may_be_prefetched() {
        let [low, ports, high] = BARS.map(|bar| range(&bar));
        assert_eq!((low.Flags, high.Flags, low.ShareDisposition), (0, PREFETCHABLE, EXCLUSIVE));
        assert_eq!((ports.Type, ports.Flags), (CmResourceTypePort as u8, PORTS));
        // SAFETY: descriptors of ranges.
        let places = [ports, high].map(|of| unsafe { (of.u.Memory.Start.QuadPart, of.u.Memory.Length) });
        assert_eq!(places, [(0xc000, 0x20), (0x38_0000_0000, 0x4000)]);
    }

    #[test]
    fn the_interrupt_is_one_message_whose_level_is_its_vectors() {
        let [raw, translated] = interrupts(MESSAGE);
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
        let level = Irql::of_vector(0x71);
        assert_eq!(translated.Level, u32::from(level.number()));
    }
}
