//! Types and variables of a PDB, in a form that the tests of `ci/windbg` read: what a debugger knows of them.

use anyhow::{Context, Result};
use pdb::{FallibleIterator, PrimitiveKind, SymbolData, TypeData, TypeFinder, TypeIndex, Variant};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// A field of a structure, or a constant of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Field {
    name: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<i64>,
}

/// A type; `kind` is as the debugger's scripts see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Record {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    size: u64,
    /// The type pointed to, or of the elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<u32>,
    /// Defined elsewhere under the same name.
    forward: bool,
    fields: Vec<Field>,
}

/// A variable of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Symbol {
    /// As Rust names it.
    pub name: String,
    /// Offset from the image's base.
    pub rva: u32,
    /// Its type's number.
    #[serde(rename = "type")]
    pub kind: u32,
}

/// What a PDB says of data.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Types {
    /// By number.
    pub types: BTreeMap<u32, Record>,
    /// The image's variables.
    pub symbols: Vec<Symbol>,
}

/// Reads a PDB.
pub(super) fn read(path: &Path) -> Result<Types> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    read_file(file).with_context(|| format!("cannot read {}", path.display()))
}

fn read_file(file: File) -> pdb::Result<Types> {
    let mut pdb = pdb::PDB::open(file)?;
    let information = pdb.type_information()?;
    let mut finder = information.finder();
    let mut left = BTreeSet::new();
    let mut items = information.iter();
    while let Some(item) = items.next()? {
        finder.update(&items);
        left.insert(item.index());
    }
    let addresses = pdb.address_map()?;
    let globals = pdb.global_symbols()?;
    let mut symbols = Vec::new();
    let mut all = globals.iter();
    while let Some(symbol) = all.next()? {
        let Ok(SymbolData::Data(data)) = symbol.parse() else { continue };
        if let Some(rva) = data.offset.to_rva(&addresses) {
            let kind = bare(&finder, data.type_index)?;
            left.insert(TypeIndex(kind));
            symbols.push(Symbol { name: data.name.to_string().into_owned(), rva: rva.0, kind });
        }
    }
    let mut types = BTreeMap::new();
    while let Some(index) = left.pop_last() {
        // Kinds that the crate does not know hold no data.
        let Ok(data) = finder.find(index)?.parse() else { continue };
        let Some(record) = record(&finder, data)? else { continue };
        // Numbers, characters and the like have no item of their own.
        let used = record.fields.iter().filter_map(|field| field.kind).chain(record.base);
        left.extend(used.map(TypeIndex).filter(|used| !types.contains_key(&used.0)));
        types.insert(index.0, record);
    }
    Ok(Types { types, symbols })
}

/// A type without `const` and `volatile`.
fn bare(finder: &TypeFinder<'_>, mut index: TypeIndex) -> pdb::Result<u32> {
    while let Ok(TypeData::Modifier(modifier)) = finder.find(index)?.parse() {
        index = modifier.underlying_type;
    }
    Ok(index.0)
}

/// The record of a type that data can have.
fn record(finder: &TypeFinder<'_>, data: TypeData<'_>) -> pdb::Result<Option<Record>> {
    let record = match data {
        TypeData::Class(class) => Record {
            kind: "udt",
            name: Some(class.name.to_string().into_owned()),
            size: class.size,
            forward: class.properties.forward_reference(),
            fields: fields(finder, class.fields)?,
            ..Record::default()
        },
        TypeData::Union(union) => Record {
            kind: "udt",
            name: Some(union.name.to_string().into_owned()),
            size: union.size,
            forward: union.properties.forward_reference(),
            fields: fields(finder, Some(union.fields))?,
            ..Record::default()
        },
        TypeData::Enumeration(enumeration) => {
            let underlying = finder.find(enumeration.underlying_type)?.parse()?;
            Record {
                kind: "enum",
                name: Some(enumeration.name.to_string().into_owned()),
                size: record(finder, underlying)?.map_or(0, |record| record.size),
                forward: enumeration.properties.forward_reference(),
                fields: fields(finder, Some(enumeration.fields))?,
                ..Record::default()
            }
        }
        TypeData::Pointer(pointer) => Record {
            kind: "pointer",
            size: pointer.attributes.size().into(),
            base: Some(bare(finder, pointer.underlying_type)?),
            ..Record::default()
        },
        TypeData::Array(array) => Record {
            kind: "array",
            size: array.dimensions.last().copied().unwrap_or_default().into(),
            base: Some(bare(finder, array.element_type)?),
            ..Record::default()
        },
        TypeData::Primitive(primitive) if primitive.indirection.is_some() => {
            // What it points to is not of interest here: all such pointers lead out of the driver's own structures.
            Record { kind: "pointer", size: 8, ..Record::default() }
        }
        TypeData::Primitive(primitive) => {
            Record { kind: "intrinsic", size: size(primitive.kind), ..Record::default() }
        }
        _ => return Ok(None),
    };
    Ok(Some(record))
}

fn fields(finder: &TypeFinder<'_>, list: Option<TypeIndex>) -> pdb::Result<Vec<Field>> {
    let mut fields = Vec::new();
    let mut next = list.filter(|list| list.0 != 0);
    while let Some(list) = next.take() {
        let TypeData::FieldList(list) = finder.find(list)?.parse()? else { break };
        for field in list.fields {
            match field {
                TypeData::Member(member) => fields.push(Field {
                    name: member.name.to_string().into_owned(),
                    kind: Some(bare(finder, member.field_type)?),
                    offset: Some(member.offset),
                    value: None,
                }),
                TypeData::Enumerate(constant) => fields.push(Field {
                    name: constant.name.to_string().into_owned(),
                    kind: None,
                    offset: None,
                    value: number(constant.value),
                }),
                _ => {}
            }
        }
        next = list.continuation;
    }
    Ok(fields)
}

fn number(value: Variant) -> Option<i64> {
    match value {
        Variant::U8(value) => Some(value.into()),
        Variant::U16(value) => Some(value.into()),
        Variant::U32(value) => Some(value.into()),
        Variant::U64(value) => value.try_into().ok(),
        Variant::I8(value) => Some(value.into()),
        Variant::I16(value) => Some(value.into()),
        Variant::I32(value) => Some(value.into()),
        Variant::I64(value) => Some(value),
    }
}

/// Bytes of a simple type; 0 for those that no Rust type is.
fn size(kind: PrimitiveKind) -> u64 {
    use PrimitiveKind as Kind;
    match kind {
        Kind::Char | Kind::UChar | Kind::RChar | Kind::I8 | Kind::U8 | Kind::Bool8 => 1,
        Kind::WChar | Kind::RChar16 | Kind::Short | Kind::UShort | Kind::I16 | Kind::U16 => 2,
        Kind::RChar32 | Kind::Long | Kind::ULong | Kind::I32 | Kind::U32 | Kind::F32 => 4,
        Kind::Quad | Kind::UQuad | Kind::I64 | Kind::U64 | Kind::F64 => 8,
        Kind::Octa | Kind::UOcta | Kind::I128 | Kind::U128 => 16,
        _ => 0,
    }
}
