//! `OFFERS.md`: every function that a driver can import from understudy, or find in a framework's table.

use crate::netcx::functions::NetAdapterCx;
use crate::nt;
use crate::wdf::class::ClassExtension as _;
use crate::wdf::functions;
use alloc::collections::BTreeSet;
use alloc::string::String;
use core::fmt::Write as _;
use std::path::Path;
use std::{env, format, fs};
use wdk_offline::FUNCTION_NAMES;

/// A section of the page: `of` is how many functions the module has, where that is known.
fn section(page: &mut String, module: &str, names: &BTreeSet<&str>, of: Option<usize>) {
    let count = names.len();
    let of = of.map_or_else(String::new, |of| format!(" of {of}"));
    writeln!(page, "\n## {module}\n\n{count}{of} functions.\n").unwrap();
    names.iter().for_each(|name| writeln!(page, "- `{name}`").unwrap());
}

fn page() -> String {
    let mut page = String::from(
        "# What understudy offers\n\n\
         Every function that a driver can import, or find in the table of its framework. Any other one stops the run with the\n\
         function's name. `cargo rig inspect` compares a driver with this list.\n\n\
         Made from understudy's tables: `CANCELNIC_BLESS=1 cargo test -p understudy offers` writes it again.\n",
    );
    for module in nt::MODULES {
        let names = nt::exports(module).unwrap().into_iter().map(|(name, _)| name).collect();
        section(&mut page, module, &names, None);
    }
    let names = functions::names().collect();
    section(&mut page, "KmdfLibrary 1.33", &names, Some(FUNCTION_NAMES.len()));
    let names = NetAdapterCx.offered().iter().map(|&(index, _)| NetAdapterCx.function_name(index)).collect();
    section(&mut page, "NetAdapterCx 2.5", &names, Some(netadaptercx_sys::NET_FUNCTION_NAMES.len()));
    page
}

#[test]
fn the_page_of_what_is_offered_is_what_the_tables_make() {
    let path = Path::new(&env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("OFFERS.md");
    let made = page();
    if env::var_os("CANCELNIC_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(kept == made, "OFFERS.md is old: CANCELNIC_BLESS=1 cargo test -p understudy offers");
}

#[test]
fn no_function_is_offered_twice() {
    for module in nt::MODULES {
        let exports = nt::exports(module).unwrap();
        let names: BTreeSet<_> = exports.iter().map(|&(name, _)| name).collect();
        assert_eq!(names.len(), exports.len(), "{module}");
    }
}
