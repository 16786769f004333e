//! The framework's ring checks (InvalidRing codes 50 to 78) over two snapshots of a queue's rings, taken before and
//! after EvtAdvance or EvtCancel. Pure: no ring memory, no driver.
//!
//! Names and numbers are NetAdapterCx's; [`Broken::code`] is the first parameter of bug check 0x19E. Code 77 is never
//! raised by the framework and has no rule here. Rules of ours carry no number.
//!
//! Rules: CX27 to CX29 (`driver/docs/netadaptercx.md`).

mod rx;

use super::element::{Fragment, Packet, RingHeader};
use alloc::{format, string::String, vec::Vec};
use cancelnic_registers::Direction;

/// One ring: its header and all of its elements' bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// The header.
    pub header: RingHeader,
    /// `stride * count` bytes.
    pub bytes: Vec<u8>,
}

impl Ring {
    /// The element's bytes, its extensions included.
    #[must_use]
    pub fn element(&self, index: u32) -> &[u8] {
        let stride = usize::from(self.header.stride);
        let at = (index & self.header.mask) as usize * stride;
        self.bytes.get(at..at + stride).unwrap_or_default()
    }

    fn len(&self) -> u32 {
        self.header.distance(self.header.begin, self.header.end)
    }

    /// Indices of the driver's elements.
    fn driver(&self) -> impl Iterator<Item = u32> + use<> {
        let (begin, mask) = (self.header.begin, self.header.mask);
        (0..self.len()).map(move |step| begin.wrapping_add(step) & mask)
    }

    /// Whether `index` lies in `[begin, end)`.
    fn holds(&self, index: u32) -> bool {
        index <= self.header.mask && self.header.distance(self.header.begin, index) < self.len()
    }
}

/// Both rings of a queue at one moment. System-allocated queues have no third one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The packet ring.
    pub packets: Ring,
    /// The fragment ring.
    pub fragments: Ring,
}

impl Snapshot {
    /// The packet at `index`.
    #[must_use]
    pub fn packet(&self, index: u32) -> Packet {
        Packet::read(self.packets.element(index))
    }

    /// The fragment at `index`.
    #[must_use]
    pub fn fragment(&self, index: u32) -> Fragment {
        Fragment::read(self.fragments.element(index))
    }
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// NetAdapterCx's code, 0 for a rule of ours.
    pub code: u32,
    /// The rule's name.
    pub rule: &'static str,
    /// Ring, index and what was found there.
    pub place: String,
}

fn broken<T>(code: u32, rule: &'static str, place: String) -> Result<T, Broken> {
    Err(Broken { code, rule, place })
}

/// Checks what the driver did between two snapshots. For Rx under the verifier, `before` carries the poison that
/// [`super::element::Packet::POISON`] describes in the whole of `[begin, end)`.
///
/// # Errors
/// The first rule that was broken, in the framework's order: rings, foreign elements, then the driver's own.
pub fn check(direction: Direction, before: &Snapshot, after: &Snapshot) -> Result<(), Broken> {
    ring("packet", &before.packets, &after.packets)?;
    ring("fragment", &before.fragments, &after.fragments)?;
    match direction {
        Direction::Tx => tx(before, after),
        Direction::Rx => rx::check(before, after),
    }
}

fn ring(name: &str, before: &Ring, after: &Ring) -> Result<(), Broken> {
    if let Some(field) = before.header.changed_before_begin(&after.header) {
        return broken(50, "InvalidRingImmutable", format!("{name} ring: {field} changed"));
    }
    if after.header.begin > after.header.mask || after.len() > before.len() {
        let (from, to) = (before.header.begin, after.header.begin);
        return broken(
            59,
            "InvalidRingBeginIndex",
            format!("{name} ring: BeginIndex {from} -> {to}, EndIndex {}", after.header.end),
        );
    }
    let count = before.header.mask.wrapping_add(1);
    let mine = count - before.len();
    for step in 0..mine {
        let index = before.header.end.wrapping_add(step) & before.header.mask;
        if before.element(index) == after.element(index) {
            continue;
        }
        // the framework leaves the element before BeginIndex unchecked; nobody may write it all the same
        if step + 1 == mine {
            return broken(0, "ElementBeforeBeginChanged", format!("{name} ring: element {index} changed"));
        }
        return broken(
            51,
            "InvalidRingImmutableFrameworkElement",
            format!(
                "{name} ring: element {index} changed, the driver's are [{}, {})",
                before.header.begin, before.header.end
            ),
        );
    }
    Ok(())
}

fn tx(before: &Snapshot, after: &Snapshot) -> Result<(), Broken> {
    for index in before.packets.driver() {
        let (was, is) = (before.packet(index), after.packet(index));
        if !was.same_but_scratch(&is) {
            return broken(
                52,
                "InvalidRingImmutableDriverTxPacket",
                format!("packet {index}: {was:?} -> {is:?}"),
            );
        }
    }
    for index in before.fragments.driver() {
        let (was, is) = (before.fragment(index), after.fragment(index));
        if !was.same_but_scratch(&is) {
            return broken(
                53,
                "InvalidRingImmutableDriverTxFragment",
                format!("fragment {index}: {was:?} -> {is:?}"),
            );
        }
    }
    Ok(())
}

/// For an empty Tx packet ring: the fragment ring must have followed, else Tx stalls.
///
/// # Errors
/// A rule of ours, as the framework does not look.
pub fn tx_fragments_followed(after: &Snapshot) -> Result<(), Broken> {
    if after.packets.len() == 0 && after.fragments.len() != 0 {
        let RingHeader { begin, end, .. } = after.fragments.header;
        return broken(
            0,
            "TxFragmentsNotReturned",
            format!("no packet is left, fragments [{begin}, {end}) are"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
