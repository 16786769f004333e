//! The receive rules: what a driver must and must not write in packets and fragments.
//!
//! Rules: CX28, CX29 (`driver/docs/netadaptercx.md`).

use super::{Broken, Snapshot, broken};
use crate::netcx::element::{Fragment, Packet};
use alloc::format;

pub(super) fn check(before: &Snapshot, after: &Snapshot) -> Result<(), Broken> {
    let mut returned = before.packets.header.begin != after.packets.header.begin;
    let mut previous: Option<(u32, u32)> = None;
    for index in before.packets.driver() {
        let (was, is) = (before.packet(index), after.packet(index));
        if is.ignore {
            if !is.same_but_ignored(&was) {
                return broken(
                    54,
                    "InvalidRingImmutableDriverRxPacketIgnore",
                    format!("packet {index}: {is:?}"),
                );
            }
            continue;
        }
        // the framework notices only here that the returned ones are over: an ignored packet at the new BeginIndex
        // hides it (a quirk that drivers must live with)
        if index == after.packets.header.begin {
            returned = false;
        }
        if is.reserved != was.reserved || is.layout_reserved != was.layout_reserved {
            return broken(
                55,
                "InvalidRingModifiedRxPacket",
                format!("packet {index}: reserved bits {was:?} -> {is:?}"),
            );
        }
        if returned {
            self::packet(index, &is)?;
            fragments(index, &is, before, after, &mut previous)?;
        }
    }
    Ok(())
}

/// What a returned packet must say about itself.
fn packet(index: u32, packet: &Packet) -> Result<(), Broken> {
    if packet.any_required_is_poison() {
        return broken(57, "InvalidRingUnmodifiedRxPacket", format!("packet {index}: {packet:?}"));
    }
    layout(packet).or_else(|(code, rule)| broken(code, rule, format!("packet {index}: {packet:?}")))
}

const ETHERNET: u8 = 2;
const NULL_LAYER: u8 = 1;

fn layout(packet: &Packet) -> Result<(), (u32, &'static str)> {
    let Packet { l2_type, l3_type, l4_type, l2_len, l3_len, l4_len, .. } = *packet;
    let short = |len: u16, least: u16| len != 0 && len < least;
    let rules = [
        (l2_type > 3, 66, "InvalidRingLayer2Type"),
        (l3_type > 6, 73, "InvalidRingLayer3Type"),
        (l4_type > 4, 74, "InvalidRingLayer4Type"),
        (l2_type == NULL_LAYER && l2_len != 0, 67, "InvalidRingLayer2NullLength"),
        (l2_type == ETHERNET && short(l2_len.into(), 14), 68, "InvalidRingLayer2EthernetLength"),
        (matches!(l3_type, 1..=3) && short(l3_len, 20), 69, "InvalidRingLayer3IPv4Length"),
        (matches!(l3_type, 4..=6) && short(l3_len, 40), 70, "InvalidRingLayer3IPv6Length"),
        (
            l4_type == 1 && l4_len != 0 && !(matches!(l4_len, 20..=60) && l4_len % 4 == 0),
            71,
            "InvalidRingLayer4TcpLength",
        ),
        (l4_type == 2 && short(l4_len.into(), 8), 72, "InvalidRingLayer4UdpLength"),
    ];
    rules.into_iter().find(|rule| rule.0).map_or(Ok(()), |(_, code, name)| Err((code, name)))
}

/// The fragments that a returned packet names.
fn fragments(
    index: u32,
    packet: &Packet,
    before: &Snapshot,
    after: &Snapshot,
    previous: &mut Option<(u32, u32)>,
) -> Result<(), Broken> {
    let held = before.fragments.len();
    let count = u32::from(packet.fragment_count);
    let first = packet.fragment_index;
    let place =
        || format!("packet {index}: FragmentIndex {first}, FragmentCount {count}, {held} fragments held");
    if count == 0 {
        return broken(60, "InvalidRingFragmentCountZero", place());
    }
    if count > held {
        return broken(61, "InvalidRingFragmentCountOutOfRange", place());
    }
    if !before.fragments.holds(first) {
        return broken(62, "InvalidRingFragmentIndexOutOfPreRange", place());
    }
    let mask = before.fragments.header.mask;
    let last = first.wrapping_add(count - 1) & mask;
    // within the range, and not wrapped around past its end
    let offset = before.fragments.header.distance(before.fragments.header.begin, first);
    if offset + count > held {
        return broken(63, "InvalidRingFragmentCountOutOfPreRange", place());
    }
    if after.fragments.holds(first) {
        return broken(64, "InvalidRingFragmentIndexOutOfPostRange", place());
    }
    if after.fragments.holds(last) {
        return broken(65, "InvalidRingFragmentCountOutOfPostRange", place());
    }
    if let Some((start, end)) = *previous {
        if offset < start {
            return broken(75, "InvalidRingFragmentIndexOverlap", place());
        }
        if offset < end {
            return broken(76, "InvalidRingFragmentCountOverlap", place());
        }
    }
    *previous = Some((offset, offset + count));
    for step in 0..count {
        let at = first.wrapping_add(step) & mask;
        fragment(at, &before.fragment(at), &after.fragment(at))?;
    }
    Ok(())
}

fn fragment(index: u32, was: &Fragment, is: &Fragment) -> Result<(), Broken> {
    let place = || format!("fragment {index}: {was:?} -> {is:?}");
    if is.valid_length == Fragment::POISON_LENGTH || is.offset == Fragment::POISON_OFFSET {
        return broken(56, "InvalidRingModifiedRxFragment", place());
    }
    if is.bounced != was.bounced || is.capacity != was.capacity {
        return broken(58, "InvalidRingUnmodifiedRxFragment", place());
    }
    if u32::from(is.offset) + is.valid_length > is.capacity {
        return broken(78, "InvalidRingFragmentLengthInvalid", place());
    }
    Ok(())
}
