//! Places the bare-metal image in memory with the linker script.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rerun-if-changed=src/boot/start.s");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        // Cargo keeps these lines in the target folder. It corrects the path of OUT_DIR in them when that folder has
        // been copied or moved with its checkout, but no other path.
        let script = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("link.ld");
        fs::copy("link.ld", &script).expect("a copy of link.ld in OUT_DIR");
        println!("cargo::rustc-link-arg-bins=-T{}", script.display());
        println!("cargo::rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo::rustc-link-arg-bins=-znoexecstack");
    }
}
