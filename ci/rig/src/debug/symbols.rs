//! Symbols of `cancelnic.sys` for gdb: the functions of its PDB as an ELF file.
//!
//! gdb reads no PDB. The ELF file has one section that stands for the whole image, and a symbol for
//! each function, so that `add-symbol-file FILE BASE` puts all of them in place. Lines and types stay in the PDB.

use anyhow::{Context, Result};
use object::write::{Object, StandardSection, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolKind, SymbolScope};
use pdb::{FallibleIterator, SymbolData};
use std::fs::File;
use std::path::Path;

/// A function of the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its path, as Rust names it.
    pub name: String,
    /// Offset from the image's base.
    pub rva: u32,
    /// Length in bytes.
    pub len: u32,
}

/// Reads the functions of a PDB, by address.
pub fn functions(path: &Path) -> Result<Vec<Function>> {
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
    let mut functions = Vec::new();
    while let Some(module) = modules.next()? {
        let Some(information) = pdb.module_info(&module)? else { continue };
        let mut symbols = information.symbols()?;
        while let Some(symbol) = symbols.next()? {
            // Kinds that the crate does not know are no functions.
            let Ok(SymbolData::Procedure(procedure)) = symbol.parse() else { continue };
            // A function that the linker dropped has no address.
            if let Some(rva) = procedure.offset.to_rva(&addresses) {
                functions.push(Function {
                    name: procedure.name.to_string().into_owned(),
                    rva: rva.0,
                    len: procedure.len,
                });
            }
        }
    }
    Ok(functions)
}

/// The ELF file with these functions, for an image of `size` bytes.
pub fn elf(functions: &[Function], size: u64) -> Result<Vec<u8>> {
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
    elf.write().context("cannot write the symbol file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{Object as _, ObjectSymbol as _};

    #[test]
    fn every_function_is_a_symbol_at_its_offset() {
        let functions = [Function { name: "cancelnic::queue::tx_cancel".into(), rva: 0x1230, len: 0x40 }];
        let bytes = elf(&functions, 0x2000).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let symbol =
            file.symbols().find(|symbol| symbol.name() == Ok("cancelnic::queue::tx_cancel")).unwrap();
        assert_eq!((symbol.address(), symbol.size()), (0x1230, 0x40));
    }
}
