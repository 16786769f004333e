//! The compiler sees every kind of wrong number; the same numbers it accepts.

use header_check::{BitField, Differs, Structure, judge, program};

fn structure() -> Structure {
    Structure {
        name: "PACKET".into(),
        size: 24,
        align: 8,
        fields: vec![("Index".into(), 0), ("Tail.Overlay.Thread".into(), 8), ("Tail.Key".into(), 8)],
        bit_fields: vec![BitField { name: "Ignore".into(), first: 131, width: 13 }],
    }
}

/// What C says of a structure that is published otherwise.
fn said(change: fn(&mut Structure)) -> String {
    let mut published = structure();
    change(&mut published);
    let Err(Differs(said)) = judge("packet", "", &[structure()], &[published]) else {
        panic!("nobody saw the difference")
    };
    said
}

#[test]
fn the_same_layout_is_accepted() {
    judge("packet", "", &[structure()], &[structure()]).expect("the same numbers");
}

#[test]
fn another_size_is_seen() {
    assert!(said(|published| published.size = 32).contains("PACKET__is_24_bytes"));
}

#[test]
fn another_alignment_is_seen() {
    assert!(said(|published| published.align = 4).contains("PACKET__is_aligned_to_8"));
}

#[test]
fn another_offset_is_seen() {
    assert!(said(|published| published.fields[1].1 = 9).contains("PACKET__Tail_Overlay_Thread__is_at_8"));
}

#[test]
fn a_field_that_is_not_there_is_seen() {
    assert!(said(|published| published.fields.truncate(2)).contains("Key"));
}

#[test]
fn a_bit_field_that_starts_elsewhere_is_seen() {
    assert!(said(|published| published.bit_fields[0].first = 130).contains("PACKET.Ignore"));
}

#[test]
fn a_bit_field_of_another_width_is_seen() {
    assert!(said(|published| published.bit_fields[0].width = 12).contains("Ignore"));
}

#[test]
fn a_bit_field_is_a_run_of_ones() {
    let field = BitField { name: "Ignore".into(), first: 3, width: 6 };
    assert_eq!(BitField::of_ones("Ignore", &[0b1111_1000, 1]), Some(field));
    assert_eq!(BitField::of_ones("Ignore", &[0b1010_0000]), None);
    assert_eq!(BitField::of_ones("Ignore", &[0]), None);
}

#[test]
fn the_program_asks_for_the_headers_that_it_is_told() {
    assert!(program("#include <wdf.h>", &[structure()]).contains("\n#include <wdf.h>\n"));
}

/// A structure with one field of two bytes behind another of one.
#[repr(C)]
struct Pair {
    first: u8,
    second: u16,
}

fn pair_differs(table: &str) -> Vec<String> {
    let layout = header_check::layout!(Pair as "PAIR": First = first, Second = second);
    layout.differences(&serde_json::from_str(table).unwrap(), |_| false)
}

#[test]
fn a_layout_as_published_has_no_differences() {
    let table = r#"{ "PAIR": { "size": 4, "align": 2, "fields": {
        "First": { "bit_offset": 0, "bits": 8 }, "Second": { "bit_offset": 16 } } } }"#;
    assert_eq!(pair_differs(table), Vec::<String>::new());
}

#[test]
fn every_number_that_is_published_otherwise_is_told() {
    let table = r#"{ "PAIR": { "size": 3, "align": 1, "fields": {
        "First": { "bit_offset": 0, "bits": 16 }, "Second": { "bit_offset": 8 } } } }"#;
    assert_eq!(
        pair_differs(table),
        [
            "Pair: size: 4, published 3",
            "Pair: alignment: 2, published 1",
            "Pair: size of first: 8, published 16",
            "Pair: offset of second: 16, published 8",
        ]
    );
    assert_eq!(pair_differs("{}").len(), 4, "what is not in the table is told as well");
}
