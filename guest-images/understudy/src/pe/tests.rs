//! Small images, put together byte by byte, and what is wrong with them.

use super::*;
use alloc::{vec, vec::Vec};
use std::panic;

const SECTIONS: usize = 0x148;
/// Where a section's content lies in the file; in the image each begins a page: 0x1000, 0x2000, 0x3000.
const TEXT: usize = 0x400;
const DATA: usize = 0x600;
const RELOC: usize = 0x800;
const LEN: usize = 0xa00;
const BASE: u64 = 0x1_4000_0000;

/// An image under construction.
struct Small(Vec<u8>);

impl Small {
    /// Code with its entry point at 0x1010; data with a pointer to itself that is relocated, and the imports One and Two
    /// of dll.sys, whose slots are at 0x20a0.
    fn new() -> Self {
        let mut small = Self(vec![0; LEN]);
        small.put(0, b"MZ").put32(0x3c, 0x40).put(0x40, b"PE\0\0");
        small.put16(0x44, IMAGE_FILE_MACHINE_AMD64).put16(0x46, 3).put16(0x54, 240).put16(0x56, 0x22);
        small.put16(0x58, 0x20b).put32(0x68, 0x1010).put64(0x70, BASE).put32(0x78, 0x1000).put32(0x7c, 0x200);
        small.put32(0x90, 0x4000).put32(0x94, 0x400).put16(0x9c, 1).put32(0xc4, 16);
        small.directory(1, 0x2040, 40).directory(5, 0x3000, 12);
        small.section(0, b".text", (0x1000, 0x200), (TEXT, 0x200), 0x6000_0020);
        small.section(1, b".data", (0x2000, 0x800), (DATA, 0x200), 0xc000_0040);
        small.section(2, b".reloc", (0x3000, 12), (RELOC, 0x200), 0x4200_0040);
        small.put(TEXT + 0x10, &[0xc3]);
        small.put64(DATA, BASE + 0x2000);
        // the descriptor: lookup table, name, slots
        small.put32(DATA + 0x40, 0x2080).put32(DATA + 0x4c, 0x20e0).put32(DATA + 0x50, 0x20a0);
        for table in [0x80, 0xa0] {
            small.put64(DATA + table, 0x20c0).put64(DATA + table + 8, 0x20d0);
        }
        small.put(DATA + 0xc2, b"One\0").put(DATA + 0xd2, b"Two\0").put(DATA + 0xe0, b"dll.sys\0");
        small.put32(RELOC, 0x2000).put32(RELOC + 4, 12).put16(RELOC + 8, 10 << 12);
        small
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn put16(&mut self, at: usize, value: u16) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    fn put32(&mut self, at: usize, value: u32) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    fn put64(&mut self, at: usize, value: u64) -> &mut Self {
        self.put(at, &value.to_le_bytes())
    }

    fn directory(&mut self, number: usize, at: u32, len: u32) -> &mut Self {
        self.put32(0xc8 + number * 8, at).put32(0xcc + number * 8, len)
    }

    fn section(
        &mut self,
        number: usize,
        name: &[u8],
        (at, len): (u32, u32),
        (from, raw): (usize, u32),
        rights: u32,
    ) {
        let header = SECTIONS + number * 40;
        self.put(header, name).put32(header + 8, len).put32(header + 12, at).put32(header + 16, raw);
        self.put32(header + 20, from as u32).put32(header + 36, rights);
    }

    /// As [`Self::new`], with something else in it.
    fn with(change: impl FnOnce(&mut Self) -> &mut Self) -> Self {
        let mut small = Self::new();
        change(&mut small);
        small
    }

    fn load(&self) -> Result<Image, String> {
        load("small.sys", &self.0, Owner::next(), known)
    }

    fn refused(&self) -> String {
        self.load().expect_err("the image is refused")
    }
}

fn known(dll: &str, function: &str) -> Option<usize> {
    match (dll, function) {
        ("dll.sys", "One") => Some(0x1111),
        ("dll.sys", "Two") => Some(0x2222),
        _ => None,
    }
}

fn bytes(image: &Image) -> &[u8] {
    // SAFETY: the image's memory, which lives as long as the image.
    unsafe { core::slice::from_raw_parts(image.backing as *const u8, image.size) }
}

fn word(image: &Image, at: usize) -> u64 {
    u64::from_le_bytes(bytes(image)[at..at + 8].try_into().unwrap())
}

/// What is wrong with an image, and part of the line that refuses it.
type Case<'a> = (fn(&mut Small) -> &mut Small, &'a str);

fn each_is_refused(cases: &[Case<'_>]) {
    for (at, (change, expected)) in cases.iter().enumerate() {
        let error = Small::with(change).refused();
        assert!(error.contains(expected) && !error.contains('\n'), "case {at}: {error}");
    }
}

#[test]
fn headers_and_sections_are_where_the_image_has_them_and_the_rest_is_zero() {
    let image = Small::new().load().unwrap();
    let bytes = bytes(&image);
    assert_eq!((image.size, image.name.as_str()), (0x4000, "small.sys"));
    assert_eq!((&bytes[..2], bytes[0x1010]), (&b"MZ"[..], 0xc3));
    assert!(bytes[0x400..0x1000].iter().all(|&byte| byte == 0), "behind the headers");
    assert!(bytes[0x2200..0x3000].iter().all(|&byte| byte == 0), "data that the file does not hold");
}

#[test]
fn the_entry_point_is_where_the_image_runs() {
    let image = Small::new().load().unwrap();
    assert_eq!(image.entry, image.base + 0x1010);
    assert!(image.base >= PLACES);
}

#[test]
fn each_driver_has_a_place_that_no_other_image_reaches() {
    let (first, second) = (Small::new().load().unwrap(), Small::new().load().unwrap());
    assert_eq!(first.base.abs_diff(second.base) % DISTANCE, 0);
    assert!(first.contains(first.base as u64) && !first.contains(second.base as u64));
    assert!(!first.contains((first.base + first.size) as u64));
}

#[test]
fn an_address_in_the_image_is_moved_by_as_much_as_the_image() {
    let image = Small::new().load().unwrap();
    assert_eq!(word(&image, 0x2000), image.base as u64 + 0x2000);
}

#[test]
fn padding_between_relocations_moves_nothing() {
    let image = Small::with(|small| small.put16(RELOC + 8, 0)).load().unwrap();
    assert_eq!(word(&image, 0x2000), BASE + 0x2000);
}

#[test]
fn an_image_above_its_place_is_moved_down() {
    let base = 0xffff_ffff_0000_0000;
    let small = Small::with(|small| small.put64(0x70, base).put64(DATA, base + 0x18));
    let image = small.load().unwrap();
    assert_eq!(word(&image, 0x2000), image.base as u64 + 0x18);
}

#[test]
fn an_import_lies_in_the_slot_of_its_name() {
    let image = Small::new().load().unwrap();
    assert_eq!([word(&image, 0x20a0), word(&image, 0x20a8), word(&image, 0x20b0)], [0x1111, 0x2222, 0]);
}

#[test]
fn without_a_lookup_table_the_slots_name_the_imports() {
    let image = Small::with(|small| small.put32(DATA + 0x40, 0)).load().unwrap();
    assert_eq!([word(&image, 0x20a0), word(&image, 0x20a8)], [0x1111, 0x2222]);
}

#[test]
fn every_import_that_is_missing_is_named_in_one_line() {
    let small = Small::with(|small| small.put(DATA + 0xc2, b"Ono").put(DATA + 0xd2, b"Tow"));
    assert_eq!(small.refused(), "imports that understudy does not offer: dll.sys!Ono, dll.sys!Tow");
}

#[test]
fn an_image_that_imports_nothing_is_loaded() {
    assert!(Small::with(|small| small.directory(1, 0, 0)).load().is_ok());
}

#[test]
fn a_section_without_a_size_in_memory_has_the_files() {
    let image = Small::with(|small| small.put32(SECTIONS + 8, 0)).load().unwrap();
    assert_eq!(bytes(&image)[0x1010], 0xc3);
}

#[test]
fn a_section_that_is_longer_in_the_file_ends_where_the_image_has_its_end() {
    let small = Small::with(|small| small.put32(SECTIONS + 8, 0x18).put(TEXT + 0x18, &[7]));
    let image = small.load().unwrap();
    assert_eq!((bytes(&image)[0x1010], bytes(&image)[0x1018]), (0xc3, 0));
}

#[test]
fn what_is_no_image_for_this_processor_is_refused() {
    each_is_refused(&[
        (|small| small.put(0, b"ZM"), "DOS"),
        (|small| small.put32(0x3c, 0xffff_fff0), "PE"),
        (|small| small.put(0x40, b"NE"), "PE"),
        (|small| small.put16(0x58, 0x10b), "PE"),
        (|small| small.put16(0x44, 0xaa64), "machine 0xaa64"),
    ]);
}

#[test]
fn an_image_of_no_bytes_or_of_more_than_a_place_holds_is_refused() {
    each_is_refused(&[
        (|small| small.put32(0x90, 0), "an image of 0x0 bytes"),
        (|small| small.put32(0x90, 0x1000_1000), "an image of 0x10001000 bytes"),
        (|small| small.put32(0x90, u32::MAX), "an image of 0x100000000 bytes"),
    ]);
}

#[test]
fn a_section_outside_the_image_or_the_file_is_refused() {
    const RELOC_HEADER: usize = SECTIONS + 80;
    each_is_refused(&[
        (|small| small.put32(RELOC_HEADER + 12, 0x4000), "outside the image"),
        (|small| small.put32(RELOC_HEADER + 12, 0xffff_f000), "outside the image"),
        // the file fills none of it: only its pages would be somebody else's
        (|small| small.put32(RELOC_HEADER + 8, 0x2000).put32(RELOC_HEADER + 16, 0), "outside the image"),
        (|small| small.put32(SECTIONS + 20, 0xffff_ff00), "outside the file"),
        (|small| small.put32(SECTIONS + 20, LEN as u32 - 0x100), "outside the file"),
        (|small| small.put16(0x46, 0xffff), "section"),
    ]);
}

#[test]
fn sections_that_share_pages_are_refused() {
    each_is_refused(&[
        (|small| small.put32(SECTIONS + 12, 0x1004), "no page's beginning"),
        (|small| small.put32(SECTIONS + 12, 0), "over what lies before"),
        (|small| small.put32(SECTIONS + 8, 0x1001), "over what lies before"),
        (|small| small.put32(SECTIONS + 52, 0x1000), "over what lies before"),
    ]);
}

#[test]
fn a_section_that_is_writable_and_executable_is_refused_by_name() {
    each_is_refused(&[
        (|small| small.put32(SECTIONS + 36, 0xe000_0020), "section .text is writable and executable"),
        (|small| small.put32(SECTIONS + 76, 0xe000_0040), "section .data is writable and executable"),
    ]);
}

/// With a load configuration at 0x2100 that names a cookie at 0x2180.
fn with_cookie(small: &mut Small, value: u64) -> &mut Small {
    let address = BASE + 0x2180;
    small.directory(10, 0x2100, 0x70).put32(DATA + 0x100, 0x70).put64(DATA + 0x158, address);
    // its address is relocated
    small.put64(DATA + 0x180, value).put16(RELOC + 8, 10 << 12 | 0x158)
}

#[test]
fn the_compilers_security_cookie_is_replaced_by_one_whose_upper_16_bits_are_0() {
    let image = Small::with(|small| with_cookie(small, DEFAULT_COOKIE)).load().unwrap();
    let cookie = word(&image, 0x2180);
    assert!(![0, DEFAULT_COOKIE].contains(&cookie) && cookie >> 48 == 0, "{cookie:#x}");
    assert_eq!(word(&image, 0x2158), image.base as u64 + 0x2180);
}

#[test]
fn no_new_cookie_is_0_or_the_compilers() {
    assert!(
        (0..10_000)
            .map(new_cookie)
            .chain([new_cookie(u64::MAX)])
            .all(|cookie| { ![0, DEFAULT_COOKIE].contains(&cookie) && cookie >> 48 == 0 })
    );
}

#[test]
fn a_cookie_of_the_images_own_and_an_image_without_one_stay_as_they_are() {
    let image = Small::with(|small| with_cookie(small, 4711)).load().unwrap();
    assert_eq!(word(&image, 0x2180), 4711);
    let older =
        Small::with(|small| with_cookie(small, DEFAULT_COOKIE).put32(DATA + 0x100, 0x58)).load().unwrap();
    assert_eq!(word(&older, 0x2180), DEFAULT_COOKIE, "a load configuration that ends before it");
    let none = Small::with(|small| with_cookie(small, 7).put16(RELOC + 8, 0).put64(DATA + 0x158, 0)).load();
    assert_eq!(word(&none.unwrap(), 0x2180), 7);
}

#[test]
fn a_load_configuration_or_a_cookie_outside_the_image_is_refused() {
    each_is_refused(&[
        (|small| with_cookie(small, 1).directory(10, 0x3ffe, 0x70), "a load configuration outside the image"),
        (|small| with_cookie(small, 1).put64(DATA + 0x158, BASE + 0x3ff9), "a security cookie outside"),
        (|small| with_cookie(small, 1).put64(DATA + 0x158, BASE - 8), "a security cookie outside"),
    ]);
}

/// The kinds of an image's sections when the one of code has this name and these rights.
fn kinds(name: &[u8; 8], rights: u32) -> Vec<Kind> {
    let mut small = Small::new();
    small.put(SECTIONS, name).put32(SECTIONS + 36, rights);
    let image = small.load().unwrap();
    image.sections.iter().map(|section| section.kind).collect()
}

#[test]
fn sections_page_are_pageable_and_init_and_discardable_ones_go() {
    const CODE: u32 = 0x6000_0020;
    for (name, rights, kind) in [
        (b".text\0\0\0", CODE, Kind::Resident),
        (b"PAGE\0\0\0\0", CODE, Kind::Paged),
        (b"PAGENIC\0", CODE, Kind::Paged),
        (b".edata\0\0", CODE, Kind::Paged),
        (b"INIT\0\0\0\0", CODE, Kind::Initial),
        (b".text\0\0\0", CODE | 0x0200_0000, Kind::Initial),
        (b"page\0\0\0\0", CODE, Kind::Resident),
    ] {
        // .reloc is discardable
        assert_eq!(kinds(name, rights), [kind, Kind::Resident, Kind::Initial], "{name:?}");
    }
}

#[test]
fn an_address_in_a_section_is_known_by_the_sections_name() {
    let image = Small::with(|small| small.put(SECTIONS, b"PAGE\0")).load().unwrap();
    let named = |offset: u64| image.section_of(image.base as u64 + offset).map(|section| section.name());
    assert_eq!([named(0x1000).as_deref(), named(0x11ff).as_deref()], [Some("PAGE"); 2]);
    assert_eq!([named(0x1200), named(0x10), named(0x5000)], [None, None, None]);
}

#[test]
fn headers_longer_than_the_file_or_over_a_section_are_refused() {
    each_is_refused(&[
        (|small| small.put32(0x94, LEN as u32 + 1), "headers outside"),
        (|small| small.put32(0x94, 0x1001), "over what lies before"),
        (|small| small.put32(0x94, u32::MAX), "over what lies before"),
    ]);
}

#[test]
fn an_entry_point_that_is_no_code_is_refused() {
    each_is_refused(&[
        (|small| small.put32(0x68, 0), "entry point 0x0"),
        (|small| small.put32(0x68, 0x2000), "entry point 0x2000"),
        (|small| small.put32(0x68, 0x1200), "entry point 0x1200"),
        (|small| small.put32(0x68, u32::MAX), "entry point 0xffffffff"),
    ]);
}

#[test]
fn relocations_that_are_missing_strange_or_outside_are_refused() {
    each_is_refused(&[
        (|small| small.directory(5, 0, 0), "no relocations"),
        (|small| small.put16(RELOC + 8, 3 << 12), "relocation type 3"),
        (|small| small.put32(RELOC, 0x3000).put16(RELOC + 8, 10 << 12 | 0xff9), "outside the image"),
        (|small| small.put32(RELOC, 0xffff_f000), "outside the image"),
        (|small| small.put32(RELOC + 4, 3), "reloc"),
        (|small| small.put32(RELOC + 4, 0xffff_fff0), "reloc"),
        (|small| small.directory(5, 0x9000, 12), "data dir"),
    ]);
}

#[test]
fn imports_that_cannot_be_read_or_written_are_refused() {
    each_is_refused(&[
        (|small| small.put64(DATA + 0x80, 1 << 63 | 7), "dll.sys: import by ordinal"),
        (|small| small.put32(DATA + 0x50, 0x3ff9), "an import slot outside the image"),
        (|small| small.put32(DATA + 0x50, u32::MAX), "an import slot outside the image"),
        (|small| small.put32(DATA + 0x40, 0x9000), "import"),
        (|small| small.put32(DATA + 0x4c, 0x9000), "import"),
        (|small| small.put64(DATA + 0x80, 0x9000), "import"),
        (|small| small.directory(1, 0x9000, 40), "import"),
    ]);
}

/// Loads what may be anything: it is refused in one line, or it is an image whose entry point is its own.
fn load_anything(file: &[u8], what: &str) {
    let loaded = panic::catch_unwind(|| load("small.sys", file, Owner::next(), known));
    match loaded.unwrap_or_else(|_| panic!("{what}: the loader panics")) {
        Ok(image) => assert!(image.contains(image.entry as u64), "{what}"),
        Err(error) => assert!(!error.is_empty() && !error.contains('\n'), "{what}: {error}"),
    }
}

#[test]
fn a_file_that_ends_anywhere_is_refused() {
    let small = Small::new();
    for len in 0..RELOC + 0x200 {
        assert!(Small(small.0[..len].to_vec()).load().is_err(), "{len} bytes");
    }
}

#[test]
fn a_damaged_byte_is_no_harm_wherever_it_lies() {
    let small = Small::new();
    for at in 0..RELOC + 16 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut file = small.0.clone();
            file[at] = value;
            load_anything(&file, &format!("{value:#x} at {at:#x}"));
        }
    }
}

#[test]
fn a_damaged_word_is_no_harm_wherever_it_lies() {
    let small = Small::new();
    for at in (0..RELOC + 16).step_by(4) {
        for value in
            [0_u32, 1, 0xfff, 0x1fff, 0x3ffc, 0x4000, 0x7fff_ffff, 0x8000_0000, u32::MAX - 7, u32::MAX]
        {
            let mut file = small.0.clone();
            file[at..at + 4].copy_from_slice(&value.to_le_bytes());
            load_anything(&file, &format!("{value:#x} at {at:#x}"));
        }
    }
}
