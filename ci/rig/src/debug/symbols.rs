//! Symbols of `cancelnic.sys` for gdb: the functions of its PDB as an ELF file.
//!
//! gdb reads no PDB. The ELF file has one section that stands for the whole image, a symbol for each function, and
//! DWARF's table of lines, so that `add-symbol-file FILE BASE` puts all of them in place. A function's own lines are in
//! that table; code that was inlined has the line into which it was. Types and variables stay in the PDB.

use anyhow::{Context, Result};
use gimli::write::{Address, AttributeValue, DwarfUnit, EndianVec, LineProgram, LineString, Sections};
use lab::guest::symbols::shorten;
use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};
use pdb::{FallibleIterator, SymbolData};
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

/// A function of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    /// Its path, as Rust names it.
    pub name: String,
    /// Offset from the image's base.
    pub rva: u32,
    /// Length in bytes.
    pub len: u32,
    /// Where its lines begin, by address.
    pub lines: Vec<Line>,
}

/// The code of a line begins here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Offset from the image's base.
    pub rva: u32,
    /// The source, as the workspace's folder shows it.
    pub file: String,
    /// From 1.
    pub line: u32,
}

/// Reads the functions of a PDB, by address.
pub(super) fn functions(path: &Path) -> Result<Vec<Function>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut functions = read(file).with_context(|| format!("cannot read {}", path.display()))?;
    functions.sort_by_key(|function| function.rva);
    Ok(functions)
}

fn read(file: File) -> pdb::Result<Vec<Function>> {
    let mut pdb = pdb::PDB::open(file)?;
    let addresses = pdb.address_map()?;
    let information = pdb.debug_information()?;
    let mut modules = information.modules()?;
    let names = pdb.string_table()?;
    let mut functions = Vec::new();
    while let Some(module) = modules.next()? {
        let Some(information) = pdb.module_info(&module)? else { continue };
        // What the linker made by itself has no lines.
        let program = information.line_program().ok();
        let mut symbols = information.symbols()?;
        while let Some(symbol) = symbols.next()? {
            // Kinds that the crate does not know are no functions.
            let Ok(SymbolData::Procedure(procedure)) = symbol.parse() else { continue };
            // A function that the linker dropped has no address.
            let Some(rva) = procedure.offset.to_rva(&addresses) else { continue };
            let mut lines = Vec::new();
            if let Some(program) = &program {
                let mut found = program.lines_for_symbol(procedure.offset);
                while let Some(line) = found.next()? {
                    let Some(rva) = line.offset.to_rva(&addresses) else { continue };
                    let file = program.get_file_info(line.file_index)?.name.to_string_lossy(&names)?;
                    lines.push(Line { rva: rva.0, file: shorten(&file), line: line.line_start });
                }
            }
            lines.sort_by_key(|line| line.rva);
            functions.push(Function {
                name: procedure.name.to_string().into_owned(),
                rva: rva.0,
                len: procedure.len,
                lines,
            });
        }
    }
    Ok(functions)
}

/// The ELF file with these functions, for an image of `size` bytes at `base`; sources are looked for in `folder`.
///
/// gdb moves the symbols of a file without a fixed place to where `add-symbol-file` says, and the lines only by
/// relocations, which this file has none of: so they are written for `base`.
pub(super) fn elf(functions: &[Function], (base, size): (u64, u64), folder: &Path) -> Result<Vec<u8>> {
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let image = elf.section_id(StandardSection::Text);
    // Of the image's size; the contents do not matter, gdb reads code from the machine (trust-readonly-sections off).
    elf.append_section_data(image, &vec![0; usize::try_from(size)?], 16);
    for function in functions {
        elf.add_symbol(Symbol {
            name: function.name.clone().into_bytes(),
            value: function.rva.into(),
            size: function.len.into(),
            kind: SymbolKind::Text,
            scope: SymbolScope::Linkage,
            weak: false,
            section: SymbolSection::Section(image),
            flags: SymbolFlags::None,
        });
    }
    let mut sections = Sections::new(EndianVec::new(gimli::LittleEndian));
    lines(functions, (base, size), folder).write(&mut sections).context("cannot write the lines")?;
    sections.for_each(|id, data| -> Result<()> {
        if !data.slice().is_empty() {
            let section = elf.add_section(Vec::new(), id.name().into(), SectionKind::Debug);
            elf.append_section_data(section, data.slice(), 1);
        }
        Ok(())
    })?;
    elf.write().context("cannot write the symbol file")
}

/// DWARF of one unit that is the whole image: its table of lines, a sequence for each function.
fn lines(functions: &[Function], (base, size): (u64, u64), folder: &Path) -> DwarfUnit {
    const NAME: &[u8] = b"cancelnic.sys";
    let encoding = gimli::Encoding { format: gimli::Format::Dwarf32, version: 4, address_size: 8 };
    let folder = folder.as_os_str().as_encoded_bytes();
    let text = |bytes: &[u8]| LineString::String(bytes.to_vec());
    let mut program =
        LineProgram::new(encoding, gimli::LineEncoding::default(), text(folder), None, text(NAME), None);
    let directory = program.default_directory();
    let mut files = HashMap::new();
    for function in functions.iter().filter(|function| !function.lines.is_empty()) {
        program.begin_sequence(Some(Address::Constant(base + u64::from(function.rva))));
        for line in function
            .lines
            .iter()
            .filter(|line| (function.rva..function.rva + function.len).contains(&line.rva))
        {
            let file = *files
                .entry(line.file.as_str())
                .or_insert_with(|| program.add_file(text(line.file.as_bytes()), directory, None));
            let row = program.row();
            row.address_offset = (line.rva - function.rva).into();
            row.file = file;
            row.line = line.line.into();
            program.generate_row();
        }
        program.end_sequence(function.len.into());
    }
    let mut unit = DwarfUnit::new(encoding);
    unit.unit.line_program = program;
    let root = unit.unit.get_mut(unit.unit.root());
    for (name, value) in [
        (gimli::DW_AT_producer, AttributeValue::String(b"cargo rig debug, of a PDB".to_vec())),
        (gimli::DW_AT_language, AttributeValue::Language(gimli::DW_LANG_Rust)),
        (gimli::DW_AT_name, AttributeValue::String(NAME.to_vec())),
        (gimli::DW_AT_comp_dir, AttributeValue::String(folder.to_vec())),
        (gimli::DW_AT_low_pc, AttributeValue::Address(Address::Constant(base))),
        (gimli::DW_AT_high_pc, AttributeValue::Udata(size)),
    ] {
        root.set(name, value);
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

    const BASE: u64 = 0xffff_f800_1234_0000;

    fn functions() -> [Function; 1] {
        let line = |rva, line| Line { rva, file: "driver/netadapter/src/queue.rs".into(), line };
        let lines = vec![line(0x1230, 373), line(0x1244, 380)];
        [Function { name: "cancelnic::queue::tx_cancel".into(), rva: 0x1230, len: 0x40, lines }]
    }

    #[test]
    fn every_function_is_a_symbol_at_its_offset() {
        let bytes = elf(&functions(), (BASE, 0x2000), Path::new("/w")).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let symbol =
            file.symbols().find(|symbol| symbol.name() == Ok("cancelnic::queue::tx_cancel")).unwrap();
        assert_eq!((symbol.address(), symbol.size()), (0x1230, 0x40));
    }

    #[test]
    fn every_line_is_in_the_table_of_lines_from_its_offset_on() {
        let bytes = elf(&functions(), (BASE, 0x2000), Path::new("/w")).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let section = |id: gimli::SectionId| {
            let data =
                file.section_by_name(id.name()).map(|section| section.data().unwrap()).unwrap_or_default();
            Ok::<_, gimli::Error>(gimli::EndianSlice::new(data, gimli::LittleEndian))
        };
        let dwarf = gimli::Dwarf::load(section).unwrap();
        let header = dwarf.units().next().unwrap().unwrap();
        let program = dwarf.unit(header).unwrap().line_program.unwrap();
        let mut rows = program.rows();
        let mut seen = Vec::new();
        while let Some((header, row)) = rows.next_row().unwrap() {
            let file = row.file(header).map(|file| file.path_name());
            let file = file.and_then(|name| name.string_value(&dwarf.debug_str)).unwrap();
            let line = row.line().map_or(0, |line| line.get());
            seen.push((row.address(), line, file.to_string_lossy().into_owned(), row.end_sequence()));
        }
        let queue = "driver/netadapter/src/queue.rs".to_owned();
        assert_eq!(
            seen,
            [
                (BASE + 0x1230, 373, queue.clone(), false),
                (BASE + 0x1244, 380, queue.clone(), false),
                (BASE + 0x1270, 380, queue, true)
            ]
        );
    }
}
