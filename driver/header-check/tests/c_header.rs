//! A header that is made from Rust: its names, and that each kind of wrong layout or value is seen.

use std::{fs, path::PathBuf};

use header_check::{
    Differs, Field, Layout,
    c_header::{Source, compiles, generate, kept},
};

const TEXT: &str = "
    /// How many.
    pub const MOST: usize = 2;
    /// Asks; see [`Question`], [`Question::tag`], [`kind`], [`Level::VeryHigh`](crate::Level::VeryHigh).
    pub const ASK: u32 = code(7);
    pub mod kind {
        pub const LONG: u32 = 1;
        pub const LAST: u32 = LONG;
    }
    #[repr(C)]
    pub struct Question {
        /// One of [`kind`].
        pub tag: u32,
        pub rest: [u16; MOST],
    }
    #[repr(u8)]
    pub enum Level { Low = 1, VeryHigh = 2 }
    struct Private;
    const HIDDEN: u32 = 1;
";

fn source() -> Source {
    let call = |name: &str, argument: u64| (name == "code").then_some(0x8000_0000 + argument);
    Source::read("bench", TEXT, &call).expect("Rust")
}

fn layout() -> Layout {
    let field = |name, offset| Field { name, path: name, offset, size: 4 };
    Layout {
        name: "Question",
        fact: "CancelnicBenchQuestion",
        size: 8,
        align: 4,
        fields: vec![field("tag", 0), field("rest", 4)],
    }
}

fn text(layouts: &[Layout]) -> Result<String, Differs> {
    generate("A test.", &[source()], "", layouts)
}

/// The header as a file in a folder that lives as long.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("made.h");
    fs::write(&path, text).expect("a written file");
    (folder, path)
}

fn refused(layouts: &[Layout], values: &[(String, u64)]) -> String {
    let (_folder, path) = file(&text(layouts).expect("a header"));
    let Err(Differs(why)) = compiles(&path, values) else { panic!("nobody saw it") };
    why
}

#[test]
fn items_and_links_have_their_names_in_c() {
    let text = text(&[layout()]).expect("a header");
    for part in [
        "#define CANCELNIC_BENCH_MOST 2\n",
        "#define CANCELNIC_BENCH_ASK 0x80000007u\n",
        "#define CANCELNIC_BENCH_KIND_LAST 1u\n",
        "uint16_t rest[CANCELNIC_BENCH_MOST];",
        "CANCELNIC_BENCH_LEVEL_VERY_HIGH = 2",
        "see CancelnicBenchQuestion, CancelnicBenchQuestion.tag, CANCELNIC_BENCH_KIND_..., CANCELNIC_BENCH_LEVEL_VERY_HIGH.",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(!text.contains("HIDDEN") && !text.contains("Private"), "{text}");
}

#[test]
fn the_right_layout_and_values_are_accepted() {
    let (_folder, path) = file(&text(&[layout()]).expect("a header"));
    let values: Vec<_> = source().constants().collect();
    assert_eq!(values.len(), 4);
    compiles(&path, &values).expect("C and C++");
}

#[test]
fn another_size_offset_or_value_is_seen() {
    let mut longer = layout();
    longer.size = 12;
    longer.fields[1].size = 8;
    assert!(refused(&[longer], &[]).contains("CancelnicBenchQuestion"));
    let mut moved = layout();
    (moved.fields[0].size, moved.fields[1].offset, moved.fields[1].size) = (2, 2, 6);
    assert!(refused(&[moved], &[]).contains("CancelnicBenchQuestion_rest"));
    assert!(refused(&[layout()], &[("CANCELNIC_BENCH_MOST".into(), 3)]).contains("check_0"));
}

#[test]
fn a_field_or_structure_that_nobody_checks_is_named() {
    for (at, why) in [(0, "a field before rest"), (1, "a field at its end")] {
        let mut short = layout();
        short.fields.remove(at);
        let Err(Differs(said)) = text(&[short]) else { panic!("nobody saw it") };
        assert!(said.contains(why), "{said}");
    }
    let mut other = layout();
    other.fact = "CancelnicBenchAnswer";
    let Err(Differs(said)) = text(&[other]) else { panic!("nobody saw it") };
    assert!(said.contains("CancelnicBenchQuestion: its layout is not checked"), "{said}");
}

#[test]
fn a_header_that_somebody_changed_is_told_with_the_way_to_mend_it() {
    let text = text(&[layout()]).expect("a header");
    let (_folder, path) = file(&text);
    kept(&path, &text).expect("the same");
    let Err(Differs(said)) = kept(&path, &(text + " ")) else { panic!("nobody saw it") };
    assert!(said.contains("CANCELNIC_BLESS=1"), "{said}");
}
