//! `RULES.md` is what the table makes, and the sources use the table's names.

use std::fs;
use std::path::PathBuf;

fn page() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../RULES.md")
}

#[test]
fn the_page_is_what_the_table_makes() {
    let made = understudy_rules::rule::page();
    if std::env::var_os("CANCELNIC_BLESS").is_some() {
        fs::write(page(), &made).expect("RULES.md can be written");
    }
    let kept = fs::read_to_string(page()).expect("RULES.md");
    assert!(kept == made, "RULES.md is old: CANCELNIC_BLESS=1 cargo test -p understudy-rules");
}
