//! Each rule once broken and, in the `allowed` tests, once kept.

use super::*;
use alloc::vec;

const MASK: u32 = 7;

fn ring(stride: u16, begin: u32, end: u32) -> Ring {
    let header =
        RingHeader { stride, count: MASK + 1, mask: MASK, end, begin, next: begin, reserved: (0, [0; 4]) };
    Ring { header, bytes: vec![0; usize::from(stride) * 8] }
}

fn set_packet(snapshot: &mut Snapshot, index: u32, packet: Packet) {
    let stride = usize::from(snapshot.packets.header.stride);
    packet.write(&mut snapshot.packets.bytes[index as usize * stride..]);
}

fn set_fragment(snapshot: &mut Snapshot, index: u32, fragment: Fragment) {
    let stride = usize::from(snapshot.fragments.header.stride);
    fragment.write(&mut snapshot.fragments.bytes[index as usize * stride..]);
}

/// Four packets of one fragment each at [6, 2), as given to a driver.
fn given(direction: Direction) -> Snapshot {
    let mut snapshot = Snapshot { packets: ring(16, 6, 2), fragments: ring(24, 6, 2) };
    for index in [6, 7, 0, 1] {
        let (packet, fragment) = match direction {
            Direction::Tx => (
                Packet { fragment_index: index, fragment_count: 1, ..Packet::default() },
                Fragment { valid_length: 60, capacity: 60, ..Fragment::default() },
            ),
            Direction::Rx => {
                (Packet::default().poisoned(), Fragment { capacity: 2048, ..Fragment::default() }.poisoned())
            }
        };
        set_packet(&mut snapshot, index, packet);
        set_fragment(&mut snapshot, index, fragment);
    }
    snapshot
}

const FRAME: Packet = Packet {
    fragment_index: 0,
    fragment_count: 1,
    l2_len: 14,
    l3_len: 0,
    l4_len: 0,
    l2_type: 2,
    l3_type: 0,
    l4_type: 0,
    layout_reserved: 0,
    ignore: false,
    scratch: false,
    reserved: 0,
};

/// The first `count` packets returned as frames with their fragments.
fn received(count: u32) -> Snapshot {
    let mut snapshot = given(Direction::Rx);
    for step in 0..count {
        let index = (6 + step) & MASK;
        set_packet(&mut snapshot, index, Packet { fragment_index: index, ..FRAME });
        set_fragment(
            &mut snapshot,
            index,
            Fragment { valid_length: 100, capacity: 2048, ..Fragment::default() },
        );
    }
    snapshot.packets.header.begin = (6 + count) & MASK;
    snapshot.fragments.header.begin = (6 + count) & MASK;
    snapshot
}

fn code(direction: Direction, after: &Snapshot) -> Option<u32> {
    check(direction, &given(direction), after).err().map(|broken| broken.code)
}

/// `received(2)` with the first packet changed.
fn with_packet(change: impl FnOnce(&mut Packet)) -> Option<u32> {
    let mut after = received(2);
    let mut packet = after.packet(6);
    change(&mut packet);
    set_packet(&mut after, 6, packet);
    code(Direction::Rx, &after)
}

/// `received(2)` with the first fragment changed.
fn with_fragment(change: impl FnOnce(&mut Fragment)) -> Option<u32> {
    let mut after = received(2);
    let mut fragment = after.fragment(6);
    change(&mut fragment);
    set_fragment(&mut after, 6, fragment);
    code(Direction::Rx, &after)
}

#[test]
fn allowed_nothing_changed() {
    assert_eq!(code(Direction::Tx, &given(Direction::Tx)), None);
    assert_eq!(code(Direction::Rx, &given(Direction::Rx)), None);
}

#[test]
fn allowed_tx_packets_return_with_scratch_and_next() {
    let mut after = given(Direction::Tx);
    after.packets.header.begin = 2;
    after.packets.header.next = 2;
    after.fragments.header.begin = 2;
    for index in [6, 7, 0, 1] {
        let (mut packet, mut fragment) = (after.packet(index), after.fragment(index));
        packet.scratch = true;
        fragment.scratch = true;
        set_packet(&mut after, index, packet);
        set_fragment(&mut after, index, fragment);
    }
    assert_eq!(code(Direction::Tx, &after), None);
    assert_eq!(tx_fragments_followed(&after), Ok(()));
}

#[test]
fn allowed_rx_frames_then_ignored_packets_return() {
    let mut after = received(2);
    for index in [0, 1] {
        let packet = Packet { ignore: true, ..after.packet(index) };
        set_packet(&mut after, index, packet);
    }
    after.packets.header.begin = 2;
    after.fragments.header.begin = 2;
    assert_eq!(code(Direction::Rx, &after), None);
}

#[test]
fn allowed_rx_packets_are_ignored_without_the_verifiers_poison() {
    let mut before = given(Direction::Rx);
    [6, 7, 0, 1].into_iter().for_each(|index| set_packet(&mut before, index, Packet::default()));
    let mut after = before.clone();
    set_packet(&mut after, 6, Packet { ignore: true, ..Packet::default() });
    after.packets.header.begin = 7;
    after.fragments.header.begin = 7;
    assert_eq!(check(Direction::Rx, &before, &after), Ok(()));
}

#[test]
fn code_50_end_index_written_by_the_driver() {
    let mut after = given(Direction::Tx);
    after.packets.header.end = 3;
    assert_eq!(code(Direction::Tx, &after), Some(50));
}

#[test]
fn code_51_a_framework_element_written() {
    let mut after = given(Direction::Tx);
    after.fragments.bytes[3 * 24 + 20] = 1;
    assert_eq!(code(Direction::Tx, &after), Some(51));
}

#[test]
fn the_element_before_begin_is_a_rule_of_ours() {
    let mut after = given(Direction::Tx);
    after.packets.bytes[5 * 16] = 1;
    let broken = check(Direction::Tx, &given(Direction::Tx), &after).unwrap_err();
    assert_eq!((broken.code, broken.rule), (0, "ElementBeforeBeginChanged"));
}

#[test]
fn code_52_a_tx_packet_written() {
    for change in [
        |packet: &mut Packet| packet.ignore = true,
        |packet: &mut Packet| packet.fragment_count = 0,
        |packet: &mut Packet| packet.reserved = 1,
        |packet: &mut Packet| packet.l3_type = 1,
    ] {
        let mut after = given(Direction::Tx);
        let mut packet = after.packet(7);
        change(&mut packet);
        set_packet(&mut after, 7, packet);
        assert_eq!(code(Direction::Tx, &after), Some(52));
    }
}

#[test]
fn code_53_a_tx_fragment_written() {
    let mut after = given(Direction::Tx);
    let fragment = Fragment { valid_length: 61, ..after.fragment(0) };
    set_fragment(&mut after, 0, fragment);
    assert_eq!(code(Direction::Tx, &after), Some(53));
}

#[test]
fn code_54_an_ignored_rx_packet_written_returned_or_not() {
    assert_eq!(with_packet(|packet| packet.ignore = true), Some(54));
    let mut after = given(Direction::Rx);
    set_packet(&mut after, 1, Packet { ignore: true, fragment_index: 1, ..Packet::POISON });
    assert_eq!(code(Direction::Rx, &after), Some(54));
}

#[test]
fn code_55_reserved_bits_of_an_rx_packet_written() {
    assert_eq!(with_packet(|packet| packet.reserved = 1), Some(55));
    assert_eq!(with_packet(|packet| packet.layout_reserved = 1), Some(55));
}

#[test]
fn code_56_a_returned_fragment_without_length_or_offset() {
    assert_eq!(with_fragment(|fragment| fragment.valid_length = Fragment::POISON_LENGTH), Some(56));
    assert_eq!(with_fragment(|fragment| fragment.offset = Fragment::POISON_OFFSET), Some(56));
}

#[test]
fn code_57_a_returned_packet_that_says_nothing() {
    assert_eq!(with_packet(|packet| packet.fragment_index = u32::MAX), Some(57));
    assert_eq!(with_packet(|packet| packet.fragment_count = u16::MAX), Some(57));
    assert_eq!(with_packet(|packet| packet.l4_type = 0xf), Some(57));
}

#[test]
fn code_57_quirk_an_ignored_unreturned_packet_at_begin_hides_the_end_of_the_returned() {
    let mut after = received(2);
    let packet = Packet { ignore: true, ..after.packet(0) };
    set_packet(&mut after, 0, packet);
    assert_eq!(code(Direction::Rx, &after), Some(57));
}

#[test]
fn code_58_capacity_of_a_returned_fragment_written() {
    assert_eq!(with_fragment(|fragment| fragment.capacity = 4096), Some(58));
    assert_eq!(with_fragment(|fragment| fragment.bounced = true), Some(58));
}

#[test]
fn code_59_begin_moved_backwards_or_past_the_end() {
    for begin in [5, 3, 200] {
        let mut after = given(Direction::Tx);
        after.packets.header.begin = begin;
        assert_eq!(code(Direction::Tx, &after), Some(59), "{begin}");
    }
}

#[test]
fn codes_60_to_63_fragment_counts_and_ranges() {
    assert_eq!(with_packet(|packet| packet.fragment_count = 0), Some(60));
    assert_eq!(with_packet(|packet| packet.fragment_count = 5), Some(61));
    assert_eq!(with_packet(|packet| packet.fragment_index = 4), Some(62));
    assert_eq!(with_packet(|packet| packet.fragment_index = 8), Some(62));
    assert_eq!(
        with_packet(|packet| {
            packet.fragment_index = 1;
            packet.fragment_count = 2;
        }),
        Some(63)
    );
}

#[test]
fn codes_64_and_65_fragments_that_stay_with_the_driver() {
    assert_eq!(with_packet(|packet| packet.fragment_index = 0), Some(64));
    assert_eq!(with_packet(|packet| packet.fragment_count = 3), Some(65));
}

#[test]
fn layout_rules_by_number() {
    assert_eq!(with_packet(|packet| packet.l2_type = 4), Some(66));
    assert_eq!(with_packet(|packet| packet.l2_type = 1), Some(67));
    assert_eq!(with_packet(|packet| packet.l2_len = 13), Some(68));
    assert_eq!(with_packet(|packet| (packet.l3_type, packet.l3_len) = (2, 19)), Some(69));
    assert_eq!(with_packet(|packet| (packet.l3_type, packet.l3_len) = (5, 39)), Some(70));
    assert_eq!(with_packet(|packet| (packet.l4_type, packet.l4_len) = (1, 22)), Some(71));
    assert_eq!(with_packet(|packet| (packet.l4_type, packet.l4_len) = (2, 7)), Some(72));
    assert_eq!(with_packet(|packet| packet.l3_type = 7), Some(73));
    assert_eq!(with_packet(|packet| packet.l4_type = 5), Some(74));
}

#[test]
fn allowed_layouts_that_touch_the_limits() {
    assert_eq!(with_packet(|packet| (packet.l3_type, packet.l3_len) = (2, 20)), None);
    assert_eq!(with_packet(|packet| (packet.l3_type, packet.l3_len) = (5, 0)), None);
    assert_eq!(with_packet(|packet| (packet.l4_type, packet.l4_len) = (1, 60)), None);
    assert_eq!(with_packet(|packet| (packet.l4_type, packet.l4_len) = (2, 8)), None);
}

#[test]
fn codes_75_and_76_fragments_named_twice() {
    let mut after = received(2);
    set_packet(&mut after, 6, Packet { fragment_index: 7, ..FRAME });
    set_packet(&mut after, 7, Packet { fragment_index: 6, ..FRAME });
    assert_eq!(code(Direction::Rx, &after), Some(75));
    set_packet(&mut after, 7, Packet { fragment_index: 7, ..FRAME });
    assert_eq!(code(Direction::Rx, &after), Some(76));
}

#[test]
fn code_78_more_bytes_than_the_buffer_has() {
    assert_eq!(with_fragment(|fragment| fragment.valid_length = 2049), Some(78));
    assert_eq!(with_fragment(|fragment| fragment.valid_length = 2048), None);
}

#[test]
fn tx_fragments_left_behind_are_named() {
    let mut after = given(Direction::Tx);
    after.packets.header.begin = 2;
    assert_eq!(tx_fragments_followed(&after).unwrap_err().rule, "TxFragmentsNotReturned");
}

#[test]
fn elements_write_and_read_back() {
    let packet = Packet { layout_reserved: 5, scratch: true, reserved: 0x21, l3_len: 0x155, ..FRAME };
    let mut bytes = [0; 16];
    packet.write(&mut bytes);
    assert_eq!(Packet::read(&bytes), packet);
    let fragment =
        Fragment { valid_length: 1, capacity: 0x2ff_ffff, offset: 0x155, scratch: true, bounced: false };
    fragment.write(&mut bytes);
    assert_eq!(Fragment::read(&bytes), fragment);
}
