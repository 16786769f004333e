//! Layouts as a binding crate's test writes them down, and what the published table says of them.
//!
//! A table is JSON: by name in C a structure's `size` and `align` in bytes, and its `fields` by name, each with
//! `bit_offset` from the structure's start and, where the table gives it, its width in `bits`.

use crate::{Structure, c_path};
use serde_json::Value;

/// A structure as the binding crate compiles it. The macro `layout!` makes it.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Its name in the binding crate.
    pub name: &'static str,
    /// Its name in the table.
    pub fact: &'static str,
    /// In bytes.
    pub size: usize,
    /// In bytes.
    pub align: usize,
    /// Those that the test looks at.
    pub fields: Vec<Field>,
}

/// A field of a [`Layout`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the table.
    pub name: &'static str,
    /// Where it is in the binding crate, parts joined by dots.
    pub path: &'static str,
    /// In bytes.
    pub offset: usize,
    /// In bytes.
    pub size: usize,
}

/// `layout!(NAME as "NAME IN THE TABLE": field in the table = path.to.it, ...)`: a [`Layout`].
#[macro_export]
macro_rules! layout {
    ($name:ident as $fact:literal: $($field:ident = $first:ident $(. $more:ident)*),+ $(,)?) => {
        $crate::Layout {
            name: stringify!($name),
            fact: $fact,
            size: size_of::<$name>(),
            align: align_of::<$name>(),
            fields: vec![$($crate::Field {
                name: stringify!($field),
                path: concat!(stringify!($first) $(, ".", stringify!($more))*),
                offset: std::mem::offset_of!($name, $first $(. $more)*),
                // SAFETY: never called; only the type of the field is taken from it.
                size: $crate::size_by::<$name, _>(|at| unsafe { &raw const (*at).$first $(. $more)* }),
            }),+],
        }
    };
}

/// Size of a field, told by the type of a pointer to it. Only the type of `get` is used.
pub fn size_by<T, F>(_get: fn(*const T) -> *const F) -> usize {
    size_of::<F>()
}

/// A number of a table.
///
/// # Panics
/// It is none, or too large for this machine.
#[must_use]
pub fn number(value: &Value) -> usize {
    value.as_u64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

impl Layout {
    /// What the table says otherwise. Of fields for which `is_bits`, which stand for bit fields, only the place counts.
    #[must_use]
    pub fn differences(&self, table: &Value, is_bits: fn(&Field) -> bool) -> Vec<String> {
        let fact = &table[self.fact];
        let mut compared = vec![
            ("size".to_owned(), self.size, &fact["size"]),
            ("alignment".to_owned(), self.align, &fact["align"]),
        ];
        for field in &self.fields {
            let published = &fact["fields"][field.name];
            compared.push((format!("offset of {}", field.path), field.offset * 8, &published["bit_offset"]));
            if !published["bits"].is_null() && !is_bits(field) {
                compared.push((format!("size of {}", field.path), field.size * 8, &published["bits"]));
            }
        }
        compared
            .into_iter()
            .filter(|(_, ours, theirs)| theirs.as_u64() != Some(*ours as u64))
            .map(|(what, ours, theirs)| format!("{}: {what}: {ours}, published {theirs}", self.name))
            .collect()
    }

    /// For C: as Rust lays it out, with the fields for which not `is_bits`, and without bit fields. `unnamed` are names
    /// that the bindings give to parts that have none in C.
    #[must_use]
    pub fn structure(&self, unnamed: &[&str], is_bits: fn(&Field) -> bool) -> Structure {
        let plain = self.fields.iter().filter(|field| !is_bits(field));
        Structure {
            name: self.name.into(),
            size: self.size,
            align: self.align,
            fields: plain.map(|field| (c_path(field.path, unnamed), field.offset)).collect(),
            bit_fields: vec![],
        }
    }

    /// The same with the table's numbers.
    #[must_use]
    pub fn published(&self, table: &Value, unnamed: &[&str], is_bits: fn(&Field) -> bool) -> Structure {
        let fact = &table[self.fact];
        let plain = self.fields.iter().filter(|field| !is_bits(field));
        let offset = |field: &Field| number(&fact["fields"][field.name]["bit_offset"]) / 8;
        Structure {
            size: number(&fact["size"]),
            align: number(&fact["align"]),
            fields: plain.map(|field| (c_path(field.path, unnamed), offset(field))).collect(),
            ..self.structure(unnamed, is_bits)
        }
    }
}
