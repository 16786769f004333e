//! Lets a C compiler judge the layouts of the binding crates against the headers that they stand for.
//!
//! 1. A binding crate's test lists its structures as Rust lays them out ([`Structure`]; [`Layout`], where the published
//!    numbers are a table).
//! 2. [`program`] turns the list into a C program: sizes, alignments and offsets are compared when it is compiled, bit
//!    fields, which have no offset in C, when it runs.
//! 3. [`judge`] compiles and runs it over a header that [`header`] makes from the published numbers, so that every test
//!    shows here that a number that is wrong is seen. It keeps the program where [`KEEP`] says, for a machine that has the
//!    real headers: there the same program is compiled once more.
//!
//! [`c_header`] is the other way: it makes C headers of our own crates.
//!
//! It knows neither the structures nor Windows.

#![warn(clippy::multiple_unsafe_ops_per_block)]
pub mod c_header;
mod layout;

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::PathBuf, process::Command};

pub use layout::{Field, Layout, number, size_by};

/// Environment variable: the folder in which [`judge`] keeps the programs.
pub const KEEP: &str = "CANCELNIC_HEADER_CHECK";

/// A structure's layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// Its name in C.
    pub name: String,
    /// In bytes.
    pub size: usize,
    /// In bytes.
    pub align: usize,
    /// Path of each field in C, such as `Tail.Overlay.Thread`, and its offset in bytes.
    pub fields: Vec<(String, usize)>,
    /// Bit fields.
    pub bit_fields: Vec<BitField>,
}

/// A bit field of a [`Structure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitField {
    /// Its name in C.
    pub name: String,
    /// Its first bit, from the structure's start, least significant first.
    pub first: usize,
    /// How many bits it has.
    pub width: usize,
}

impl BitField {
    /// The field that all ones in `bytes` stand for; `None` if these are not one run of bits.
    #[must_use]
    pub fn of_ones(name: &str, bytes: &[u8]) -> Option<Self> {
        let ones: Vec<usize> =
            (0..bytes.len() * 8).filter(|bit| bytes[bit / 8] >> (bit % 8) & 1 == 1).collect();
        let (first, width) = (*ones.first()?, ones.len());
        (ones.last()? + 1 - first == width).then(|| Self { name: name.to_owned(), first, width })
    }

    /// The bytes of a structure of `size` bytes in which this field is all ones and the rest 0.
    fn ones(&self, size: usize) -> Vec<u8> {
        let set = self.first..self.first + self.width;
        (0..size)
            .map(|byte| (0..8).filter(|bit| set.contains(&(byte * 8 + bit))).map(|bit| 1 << bit).sum())
            .collect()
    }
}

/// A Rust path as C writes it: without the names that bindings give to unnamed parts.
#[must_use]
pub fn c_path(rust: &str, unnamed: &[&str]) -> String {
    let named = rust.split('.').filter(|part| !part.starts_with("__bindgen_anon") && !unnamed.contains(part));
    named.collect::<Vec<_>>().join(".")
}

/// The C program that compiles, and then returns 0, only if `preamble`'s headers lay the structures out so.
#[must_use]
pub fn program(preamble: &str, structures: &[Structure]) -> String {
    let mut text = format!(
        "/* Made by the crate header-check from the layouts that Rust has. Compiles and returns 0 only if C agrees. */\n\
         {preamble}\n#include <stddef.h>\n#include <stdio.h>\n#include <string.h>\n\n\
         #define CHECK(what, holds) typedef char what[(holds) ? 1 : -1]\n\n"
    );
    let mut checks = String::new();
    for Structure { name, size, align, fields, bit_fields } in structures {
        let mut line = |what: &str, holds: String| {
            let what = what.replace('.', "_");
            // Writing to a String does not fail.
            let _ = writeln!(text, "CHECK({name}__{what}, {holds});");
        };
        line(&format!("is_{size}_bytes"), format!("sizeof({name}) == {size}"));
        line(
            &format!("is_aligned_to_{align}"),
            format!("offsetof(struct {{ char first; {name} second; }}, second) == {align}"),
        );
        for (path, offset) in fields {
            line(&format!("{path}__is_at_{offset}"), format!("offsetof({name}, {path}) == {offset}"));
        }
        for field in bit_fields {
            let bytes: Vec<String> = field.ones(*size).iter().map(u8::to_string).collect();
            let _ = writeln!(
                checks,
                "    {{\n        static const unsigned char wanted[] = {{ {} }};\n        {name} value;\n        \
                 memset(&value, 0, sizeof value);\n        value.{field} = {};\n        \
                 if (memcmp(&value, wanted, sizeof wanted) != 0) {{ puts(\"{name}.{field}\"); wrong++; }}\n    }}",
                bytes.join(", "),
                if field.width < 64 { (1_u64 << field.width) - 1 } else { u64::MAX },
                field = field.name,
            );
        }
        text.push('\n');
    }
    let _ = write!(text, "int main(void)\n{{\n    int wrong = 0;\n{checks}    return wrong != 0;\n}}\n");
    text
}

/// A C header that lays the structures out as they say, whatever the types of their fields.
#[must_use]
pub fn header(structures: &[Structure]) -> String {
    let mut text = String::from("#pragma once\n");
    for Structure { name, size, align, fields, bit_fields } in structures {
        let mut members = Members::default();
        fields.iter().for_each(|(path, offset)| members.insert(path, *offset));
        let _ = write!(text, "typedef union {{\n_Alignas({align}) char whole[{size}];\n");
        members.write(&mut text);
        for BitField { name, first, width } in bit_fields {
            let padding = pad(name, first / 8);
            let skip =
                if first % 8 == 0 { String::new() } else { format!("unsigned long long : {}; ", first % 8) };
            let _ = writeln!(
                text,
                "struct __attribute__((packed)) {{ {padding}{skip}unsigned long long {name} : {width}; }};"
            );
        }
        let _ = writeln!(text, "}} {name};");
    }
    text
}

/// Fields by the parts of their paths.
#[derive(Default)]
struct Members {
    offset: Option<usize>,
    inner: BTreeMap<String, Members>,
}

impl Members {
    fn insert(&mut self, path: &str, offset: usize) {
        let last = path.split('.').fold(self, |at, part| at.inner.entry(part.to_owned()).or_default());
        last.offset = Some(offset);
    }

    /// Offsets are those from the start of the whole, so each level starts there.
    fn write(&self, text: &mut String) {
        for (name, member) in &self.inner {
            if member.inner.is_empty() {
                let padding = pad(name, member.offset.unwrap_or(0));
                let _ = writeln!(text, "struct {{ {padding}char {name}; }};");
            } else {
                text.push_str("union {\n");
                member.write(text);
                let _ = writeln!(text, "}} {name};");
            }
        }
    }
}

/// What stands before a field, under a name that its neighbours do not have.
fn pad(field: &str, bytes: usize) -> String {
    if bytes == 0 { String::new() } else { format!("char before_{field}[{bytes}]; ") }
}

/// Why C and Rust differ, or why C could not be asked.
#[derive(Debug)]
pub struct Differs(pub String);

/// Compiles and runs the program for `rust` over a header for `published`, and keeps it as `NAME.c` for the real one.
///
/// # Errors
/// The compiler's words; the bit fields that differ; what is missing.
pub fn judge(name: &str, includes: &str, rust: &[Structure], published: &[Structure]) -> Result<(), Differs> {
    let failed = |what: &str, error: std::io::Error| Differs(format!("{what}: {error}"));
    if let Some(folder) = env::var_os(KEEP).map(PathBuf::from) {
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join(name).with_extension("c"), program(includes, rust)))
            .map_err(|error| failed("keeping the program", error))?;
    }
    let folder = tempfile::tempdir().map_err(|error| failed("a temporary folder", error))?;
    let [source, header_file, executable] =
        ["check.c", "published.h", "check"].map(|file| folder.path().join(file));
    fs::write(&header_file, header(published))
        .and_then(|()| fs::write(&source, program("#include \"published.h\"", rust)))
        .map_err(|error| failed("writing", error))?;
    run(Command::new("cc").args(["-std=c11", "-o"]).arg(&executable).arg(&source), "the C compiler (cc)")?;
    run(&mut Command::new(&executable), "the program")
}

fn run(command: &mut Command, what: &str) -> Result<(), Differs> {
    let output = command.output().map_err(|error| Differs(format!("cannot start {what}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(Differs(format!("{what}: {}", String::from_utf8_lossy(&said))))
}
