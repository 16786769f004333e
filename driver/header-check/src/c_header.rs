//! C headers of Rust crates, for authors of drivers and programs in C and C++.
//!
//! 1. [`Source::read`] takes the public integer constants, `repr` enumerations and `repr(C)` structures out of a module's
//!    text, with their documentation.
//! 2. [`generate`] gives each its name in C, lets cbindgen write the header, and appends checks of the layouts that Rust
//!    has, so that a compiler that lays them out in another way refuses the header.
//! 3. [`kept`] compares the header with the one in the repository, and [`compiles`] gives it to a C and a C++ compiler.

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path, process::Command};

use cbindgen::{Builder, Config, DocumentationStyle, ItemType, Language, RenameRule, Style};
use syn::{Attribute, Expr, Fields, Item, ItemConst, Lit, Meta, Type, Visibility};

use crate::{Differs, Layout, run};

/// Environment variable: write the header that was generated into the repository, instead of comparing.
pub const BLESS: &str = "CANCELNIC_BLESS";

/// What the functions are that constants call: the value for a name and an argument.
pub type Call<'a> = &'a dyn Fn(&str, u64) -> Option<u64>;

/// A Rust module as far as C is concerned.
#[derive(Debug, Default)]
pub struct Source {
    prefix: String,
    /// Constants by their path in the module, in order.
    constants: Vec<Constant>,
    /// Structures and enumerations, in order.
    types: Vec<Named>,
}

#[derive(Debug)]
struct Constant {
    path: Vec<String>,
    docs: Vec<String>,
    kind: String,
    value: u64,
}

#[derive(Debug)]
struct Named {
    name: String,
    docs: Vec<String>,
    repr: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Documentation, name, type, and the length of an array.
    Structure(Vec<(Vec<String>, String, String, Option<String>)>),
    /// Documentation, name, value.
    Enumeration(Vec<(Vec<String>, String, u64)>),
}

impl Source {
    /// Reads a module. `prefix` is its name, or empty for a crate's root; names in C begin with `Cancelnic` and it.
    ///
    /// # Errors
    /// The text is not Rust.
    pub fn read(prefix: &str, text: &str, call: Call<'_>) -> Result<Self, Differs> {
        let file = syn::parse_file(text).map_err(|error| Differs(format!("{prefix}: {error}")))?;
        let mut source = Self { prefix: prefix.to_owned(), ..Self::default() };
        source.items(&file.items, &[], call);
        Ok(source)
    }

    /// The constants' names in C and their values.
    pub fn constants(&self) -> impl Iterator<Item = (String, u64)> {
        self.constants.iter().map(|constant| (self.constant(&constant.path), constant.value))
    }

    fn items(&mut self, items: &[Item], inside: &[String], call: Call<'_>) {
        for item in items {
            match item {
                Item::Const(item) if matches!(item.vis, Visibility::Public(_)) => {
                    self.take_constant(item, inside, call);
                }
                Item::Mod(item) if matches!(item.vis, Visibility::Public(_)) => {
                    let inside = [inside, &[item.ident.to_string()]].concat();
                    self.items(item.content.as_ref().map_or(&[], |(_, items)| items), &inside, call);
                }
                Item::Struct(item) if repr(&item.attrs).as_deref() == Some("C") => {
                    let Fields::Named(fields) = &item.fields else { continue };
                    let fields = fields.named.iter().map(|field| {
                        let name = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
                        let (kind, length) = kind(&field.ty);
                        (docs(&field.attrs), name, kind, length)
                    });
                    let body = Body::Structure(fields.collect());
                    self.take_type(item.ident.to_string(), &item.attrs, body);
                }
                Item::Enum(item) if repr(&item.attrs).is_some() => {
                    let variants = item.variants.iter().filter_map(|variant| {
                        let value = self.value(&variant.discriminant.as_ref()?.1, inside, call)?;
                        Some((docs(&variant.attrs), variant.ident.to_string(), value))
                    });
                    let body = Body::Enumeration(variants.collect());
                    self.take_type(item.ident.to_string(), &item.attrs, body);
                }
                _ => {}
            }
        }
    }

    fn take_constant(&mut self, item: &ItemConst, inside: &[String], call: Call<'_>) {
        let (kind, _) = kind(&item.ty);
        if let Some(value) = self.value(&item.expr, inside, call) {
            let path = [inside, &[item.ident.to_string()]].concat();
            self.constants.push(Constant { path, docs: docs(&item.attrs), kind, value });
        }
    }

    fn take_type(&mut self, name: String, attributes: &[Attribute], body: Body) {
        let repr = repr(attributes).unwrap_or_default();
        self.types.push(Named { name, docs: docs(attributes), repr, body });
    }

    /// The value of an expression of integers; `None` for anything else.
    fn value(&self, expression: &Expr, inside: &[String], call: Call<'_>) -> Option<u64> {
        let value = |expression| self.value(expression, inside, call);
        match expression {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Int(number) => number.base10_parse().ok(),
                _ => None,
            },
            Expr::Path(path) => {
                let name = path.path.segments.last()?.ident.to_string();
                if name == "MAX" {
                    return Some(u64::MAX >> (64 - bits(&path.path.segments.first()?.ident.to_string())?));
                }
                let wanted = [inside, std::slice::from_ref(&name)].concat();
                let mut found = self.constants.iter().filter(|constant| constant.path.last() == Some(&name));
                let same = self.constants.iter().find(|constant| constant.path == wanted);
                same.or_else(|| found.next()).map(|constant| constant.value).or_else(|| call(&name, 0))
            }
            Expr::Binary(binary) => match binary.op {
                syn::BinOp::BitOr(_) => Some(value(&binary.left)? | value(&binary.right)?),
                _ => None,
            },
            Expr::Call(called) => {
                let Expr::Path(path) = &*called.func else { return None };
                let argument = called.args.first()?;
                let name = path.path.segments.last()?.ident.to_string();
                call(&name, value(argument).unwrap_or_default())
            }
            _ => None,
        }
    }

    fn constant(&self, path: &[String]) -> String {
        let parts = [&["cancelnic".to_owned(), self.prefix.clone()], path].concat();
        let parts: Vec<_> =
            parts.iter().filter(|part| !part.is_empty()).map(|part| part.to_uppercase()).collect();
        parts.join("_")
    }

    fn type_name(&self, name: &str) -> String {
        let mut letters = self.prefix.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        format!("Cancelnic{}{}{name}", first.map(String::from).unwrap_or_default(), letters.as_str())
    }

    fn has_type(&self, name: &str) -> bool {
        self.types.iter().any(|named| named.name == name)
    }
}

/// Bits of an integer type.
fn bits(name: &str) -> Option<u32> {
    match name {
        "u8" => Some(8),
        "u16" => Some(16),
        "u32" => Some(32),
        "u64" | "usize" => Some(64),
        _ => None,
    }
}

/// The representation that an item asks for: `C`, or an integer type.
fn repr(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("repr"))?;
    attribute.parse_args::<syn::Ident>().ok().map(|name| name.to_string())
}

/// The lines of documentation.
fn docs(attributes: &[Attribute]) -> Vec<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect()
}

/// A type's last name, and an array's length.
fn kind(kind_: &Type) -> (String, Option<String>) {
    match kind_ {
        Type::Path(path) => {
            (path.path.segments.last().map(|part| part.ident.to_string()).unwrap_or_default(), None)
        }
        Type::Array(array) => {
            let length = match &array.len {
                Expr::Lit(literal) => match &literal.lit {
                    Lit::Int(number) => number.base10_digits().to_owned(),
                    _ => String::new(),
                },
                Expr::Path(path) => {
                    path.path.segments.last().map(|part| part.ident.to_string()).unwrap_or_default()
                }
                _ => String::new(),
            };
            (kind(&array.elem).0, Some(length))
        }
        _ => (String::new(), None),
    }
}

/// `TakenBack` as `taken_back`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

/// A line of the header in which a large number, which is a code or a mask, is hexadecimal.
fn with_hexadecimal(line: &str) -> String {
    let number =
        line.strip_prefix("#define ").and_then(|rest| rest.split_once(' ')).and_then(|(name, number)| {
            let digits = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let value = digits.parse::<u64>().ok().filter(|value| *value > 0xffff)?;
            Some(format!("#define {name} 0x{value:x}{}", &number[digits.len()..]))
        });
    number.unwrap_or_else(|| line.to_owned())
}

/// The names that all sources give in C.
struct Names<'a>(&'a [Source]);

impl Names<'_> {
    /// A type of `source`, or of another one.
    fn of_type(&self, source: &Source, name: &str) -> String {
        let has = |source: &&Source| source.has_type(name);
        let owner = Some(source).filter(has).or_else(|| self.0.iter().find(has));
        owner.map_or_else(|| name.to_owned(), |owner| owner.type_name(name))
    }

    /// Documentation in which a link to an item is its name in C.
    fn in_docs(&self, source: &Source, line: &str) -> String {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("[`")
            && let Some((link, tail)) = after.split_once("`]")
        {
            out.push_str(before);
            out.push_str(&self.of_link(source, link.trim_start_matches("crate::")));
            // the target of `[`Op::Cancel`](crate::Op::Cancel)`
            rest =
                tail.strip_prefix('(').and_then(|tail| tail.split_once(')')).map_or(tail, |(_, tail)| tail);
        }
        out.push_str(rest);
        out
    }

    /// The name in C of a constant, a module of constants, a type, its field or variant; otherwise the link itself.
    fn of_link(&self, source: &Source, link: &str) -> String {
        let path: Vec<String> = link.split("::").filter(|part| *part != "super").map(str::to_owned).collect();
        let other = self.0.iter().find(|other| path.len() > 1 && path[0] == other.prefix);
        let (source, path) = other.map_or((source, &path[..]), |other| (other, &path[1..]));
        if source.constants.iter().any(|constant| constant.path == path) {
            return source.constant(path);
        }
        let inside =
            |constant: &Constant| constant.path.len() > path.len() && constant.path.starts_with(path);
        if source.constants.iter().any(inside) {
            return source.constant(path) + "_...";
        }
        match path {
            [name] => self.of_type(source, name),
            [owner, part] if self.of_type(source, owner) != *owner => {
                let owner = self.of_type(source, owner);
                if part.starts_with(char::is_uppercase) {
                    format!("{}_{}", snake(&owner), snake(part)).to_uppercase()
                } else {
                    format!("{owner}.{part}")
                }
            }
            _ => link.to_owned(),
        }
    }
}

/// Rust text in which every item has the name that it gets in C.
fn renamed(sources: &[Source]) -> String {
    let names = Names(sources);
    let mut text = String::new();
    for source in sources {
        let comment = |text: &mut String, lines: &[String]| {
            for line in lines {
                let _ = writeln!(text, "///{}", names.in_docs(source, line));
            }
        };
        for constant in &source.constants {
            comment(&mut text, &constant.docs);
            let (name, kind) = (source.constant(&constant.path), &constant.kind);
            // A size has the same number everywhere, and no suffix.
            let suffix = if kind == "usize" { "" } else { &**kind };
            let _ = writeln!(text, "pub const {name}: {kind} = {}{suffix};", constant.value);
        }
        for named in &source.types {
            if let Body::Enumeration(variants) = &named.body
                && variants.iter().any(|(_, _, value)| i32::try_from(*value).is_err())
            {
                // An enumerator of C is an int.
                for (docs, variant, value) in variants {
                    comment(&mut text, docs);
                    let name = source.constant(&[snake(&named.name), snake(variant)]);
                    let _ = writeln!(text, "pub const {name}: {repr} = {value}{repr};", repr = named.repr);
                }
                continue;
            }
            comment(&mut text, &named.docs);
            let name = source.type_name(&named.name);
            let _ = writeln!(text, "#[repr({})]", named.repr);
            match &named.body {
                Body::Structure(fields) => {
                    let _ = writeln!(text, "pub struct {name} {{");
                    for (docs, field, kind, length) in fields {
                        comment(&mut text, docs);
                        let kind = names.of_type(source, kind);
                        let kind = match length {
                            Some(length) if length.starts_with(|c: char| c.is_ascii_digit()) => {
                                format!("[{kind}; {length}]")
                            }
                            Some(length) => {
                                format!("[{kind}; {}]", source.constant(std::slice::from_ref(length)))
                            }
                            None => kind,
                        };
                        let _ = writeln!(text, "pub {field}: {kind},");
                    }
                }
                Body::Enumeration(variants) => {
                    let _ = writeln!(text, "pub enum {name} {{");
                    for (docs, variant, value) in variants {
                        comment(&mut text, docs);
                        let _ = writeln!(text, "{variant} = {value},");
                    }
                }
            }
            text.push_str("}\n");
        }
    }
    text
}

/// The header of `sources`. `about` is its first comment, `more` stands behind the types; `layouts`, whose facts are names
/// in C, become checks at the end.
///
/// # Errors
/// cbindgen's words, or a layout that does not list all fields of its structure.
pub fn generate(about: &str, sources: &[Source], more: &str, layouts: &[Layout]) -> Result<String, Differs> {
    let failed = |error: &dyn std::fmt::Display| Differs(format!("making the header: {error}"));
    let folder = tempfile::tempdir().map_err(|error| failed(&error))?;
    let file = folder.path().join("renamed.rs");
    fs::write(&file, renamed(sources)).map_err(|error| failed(&error))?;
    let mut config = Config {
        header: Some(format!("/* {about}\n\n   Generated from Rust: change it there. */")),
        language: Language::C,
        pragma_once: true,
        no_includes: true,
        sys_includes: vec!["stddef.h".into(), "stdint.h".into()],
        cpp_compat: true,
        style: Style::Both,
        line_length: 110,
        tab_width: 4,
        documentation_style: DocumentationStyle::C,
        ..Config::default()
    };
    config.enumeration.prefix_with_name = true;
    config.enumeration.rename_variants = RenameRule::ScreamingSnakeCase;
    config.export.item_types = vec![ItemType::Constants, ItemType::Enums, ItemType::Structs];
    let types =
        sources.iter().flat_map(|source| source.types.iter().map(|named| source.type_name(&named.name)));
    config.export.include = types.collect();
    let mut bytes = Vec::new();
    let builder = Builder::new().with_config(config).with_src(&file);
    builder.generate().map_err(|error| failed(&error))?.write(&mut bytes);
    let written = String::from_utf8(bytes).map_err(|error| failed(&error))?;
    let mut text: String = written.lines().map(|line| with_hexadecimal(line) + "\n").collect();
    text.push_str(more);
    if layouts.is_empty() {
        return Ok(text);
    }
    text.push_str("\n/* These layouts are Rust's: a compiler that has others refuses them. */\n");
    text.push_str(
        "#define CANCELNIC_CHECK(name, holds) typedef char cancelnic_check_##name[(holds) ? 1 : -1]\n",
    );
    let mut checked = BTreeMap::new();
    for layout in layouts {
        let Layout { fact, size, .. } = layout;
        let mut end = 0;
        let _ = writeln!(text, "CANCELNIC_CHECK({fact}, sizeof({fact}) == {size});");
        for field in &layout.fields {
            if field.offset != end {
                return Err(Differs(format!("{fact}: a field before {} is not listed", field.name)));
            }
            end = field.offset + field.size;
            let (name, offset) = (field.name, field.offset);
            let _ = writeln!(text, "CANCELNIC_CHECK({fact}_{name}, offsetof({fact}, {name}) == {offset});");
        }
        if end != *size {
            return Err(Differs(format!("{fact}: a field at its end is not listed")));
        }
        checked.insert(*fact, ());
    }
    text.push_str("#undef CANCELNIC_CHECK\n");
    for source in sources {
        let structures = source.types.iter().filter(|named| matches!(named.body, Body::Structure(_)));
        for name in structures.map(|named| source.type_name(&named.name)) {
            if !checked.contains_key(&*name) {
                return Err(Differs(format!("{name}: its layout is not checked")));
            }
        }
    }
    Ok(text)
}

/// Compares a header with the one at `path`; with [`BLESS`] in the environment writes it there.
///
/// # Errors
/// They differ, or the file cannot be read or written.
pub fn kept(path: &Path, text: &str) -> Result<(), Differs> {
    let failed = |error: std::io::Error| Differs(format!("{}: {error}", path.display()));
    if env::var_os(BLESS).is_some() {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        return fs::write(path, text).map_err(failed);
    }
    if fs::read_to_string(path).map_err(failed)? == text {
        return Ok(());
    }
    Err(Differs(format!("{} is not what Rust has: run this test with {BLESS}=1", path.display())))
}

/// Compiles the header at `path`, and checks that the expressions of `constants` have these values, as C and, where there is a compiler for
/// it, as C++.
///
/// # Errors
/// A compiler's words.
pub fn compiles(path: &Path, constants: &[(String, u64)]) -> Result<(), Differs> {
    let mut program = format!("#include \"{}\"\n", path.display());
    for (at, (expression, value)) in constants.iter().enumerate() {
        let _ = writeln!(program, "typedef char check_{at}[({expression} == {value}ull) ? 1 : -1];");
    }
    program.push_str("int main(void) { return 0; }\n");
    let failed = |error: std::io::Error| Differs(format!("a temporary folder: {error}"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let strict = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"];
    for (compiler, standard, name) in
        [("cc", "-std=c99", "check.c"), ("cc", "-std=c11", "check.c"), ("c++", "-std=c++11", "check.cpp")]
    {
        if compiler == "c++" && Command::new(compiler).arg("--version").output().is_err() {
            eprintln!("NOT TESTED: there is no C++ compiler (c++)");
            continue;
        }
        let file = folder.path().join(name);
        fs::write(&file, &program).map_err(failed)?;
        run(Command::new(compiler).arg(standard).args(strict).arg(&file), compiler)?;
    }
    Ok(())
}
