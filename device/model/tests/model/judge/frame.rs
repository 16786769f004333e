//! Sent frames, and what was negotiated.

use super::*;

/// What a bench finds against a sent frame of these bytes, header included, in a descriptor for each part.
fn sent(negotiated: Option<Negotiated>, parts: &[&[u8]]) -> Vec<(Rule, Option<u16>)> {
    let mut bench = Bench::new(false);
    if let Some(negotiated) = negotiated {
        bench.tx.negotiated(negotiated);
    }
    let head = bench.out.post_out(&bench.memory, parts);
    bench.ring();
    assert_eq!(bench.tx.snapshot(&bench.memory).totals.sent, 1);
    assert!(bench.found().iter().all(|(_, at)| *at == Some(head)));
    bench.found()
}

/// The device's driver accepts nothing but an MTU of 100.
const MTU_100: Negotiated = Negotiated { indirect: false, mtu: Some(100) };

#[test]
fn header_with_flags_or_a_segmentation_type_is_found() {
    let (frame, good) = (frame(1, 60), [0; 12]);
    for (at, value) in [(0, 1), (0, 2), (0, 0x80), (1, 1), (1, 0x83)] {
        let mut header = good;
        header[at] = value;
        let rules: Vec<_> = sent(None, &[&header, &frame]).iter().map(|(rule, _)| *rule).collect();
        assert_eq!(rules, [Rule::HeaderInvalid], "{at} {value}");
        let (first, second) = header.split_at(1);
        assert_eq!(sent(None, &[first, second, &frame]).len(), 1, "in pieces");
    }
    assert_eq!(sent(Some(MTU_100), &[&good, &frame]), []);
    let lengths = [0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0];
    assert_eq!(sent(None, &[&lengths, &frame]), [], "they mean nothing without flags and type");
}

#[test]
fn frame_that_is_shorter_than_its_ethernet_header_is_found() {
    let header = [0; 12];
    for (len, found) in [(1, 1), (13, 1), (14, 0)] {
        let rules = sent(Some(MTU_100), &[&header, &frame(1, 60)[..len]]);
        assert_eq!(rules.iter().filter(|(rule, _)| *rule == Rule::FrameTooShort).count(), found, "{len}");
    }
}

#[test]
fn frame_that_is_longer_than_the_negotiated_mtu_is_found() {
    let header = [0; 12];
    for (len, kind, found) in
        [(114, 0x0800_u16, 0), (115, 0x0800, 1), (118, 0x8100, 0), (119, 0x8100, 1), (118, 0x88a8, 0)]
    {
        let mut bytes = frame(1, len);
        bytes[12..14].copy_from_slice(&kind.to_be_bytes());
        let rules = sent(Some(MTU_100), &[&header, &bytes]);
        assert_eq!(
            rules.iter().filter(|(rule, _)| *rule == Rule::FrameTooLong).count(),
            found,
            "{len} {kind:x}"
        );
        assert_eq!(
            sent(Some(Negotiated { mtu: None, ..MTU_100 }), &[&header, &bytes]),
            [],
            "no MTU negotiated"
        );
    }
}

#[test]
fn indirect_descriptor_that_was_not_negotiated_is_found() {
    for indirect in [false, true] {
        let mut bench = Bench::new(false);
        bench.tx.negotiated(Negotiated { indirect, mtu: None });
        let (table, data) = (bench.out.buffer(8), bench.out.buffer(9));
        bench.memory.write_obj(data, GuestAddress(table)).unwrap();
        bench.memory.write_obj(100u32, GuestAddress(table + 8)).unwrap();
        bench.memory.write_obj([0u16; 2], GuestAddress(table + 12)).unwrap();
        bench.out.put_descriptor(&bench.memory, 3, (table, 16, 4, 0));
        bench.out.publish(&bench.memory, 3);
        bench.ring();
        let expected = [(Rule::FeatureNotNegotiated, Some(3))];
        assert_eq!(bench.found(), expected[..usize::from(!indirect)]);
    }
}

#[test]
fn frame_in_an_indirect_table_is_looked_at() {
    let mut bench = Bench::new(false);
    bench.tx.negotiated(Negotiated { indirect: true, mtu: Some(100) });
    let (table, data) = (bench.out.buffer(8), bench.out.buffer(9));
    // The chain goes from entry 0 to entry 2; entry 1 is in no chain.
    for (entry, (at, len, flags, next)) in
        [(data, 12u32, 1u16, 2u16), (data, 999, 0, 0), (data + 100, 115, 0, 0)].into_iter().enumerate()
    {
        let entry = table + 16 * entry as u64;
        bench.memory.write_obj(at, GuestAddress(entry)).unwrap();
        bench.memory.write_obj(len, GuestAddress(entry + 8)).unwrap();
        bench.memory.write_obj([flags, next], GuestAddress(entry + 12)).unwrap();
    }
    bench.scribble(data, 0x0101);
    bench.out.put_descriptor(&bench.memory, 3, (table, 48, 4, 0));
    bench.out.publish(&bench.memory, 3);
    bench.ring();
    assert_eq!(bench.found(), [(Rule::HeaderInvalid, Some(3)), (Rule::FrameTooLong, Some(3))]);
}

#[test]
fn flags_of_the_available_ring_that_were_not_negotiated_are_found_once() {
    for (event_idx, flags, found) in [(false, 1, 0), (true, 1, 1), (false, 2, 1), (false, 3, 1)] {
        let mut bench = Bench::new(event_idx);
        bench.scribble(bench.out.avail(), flags);
        for _ in 0..3 {
            bench.tx.look(&bench.memory, bench.now);
        }
        let expected = [(Rule::FeatureNotNegotiated, None)];
        assert_eq!(bench.found(), expected[..found], "{event_idx} {flags}");
    }
}
