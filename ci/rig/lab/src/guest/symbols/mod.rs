//! Addresses in a guest's drivers as places in their sources, by the PDB that lies beside each driver.
//!
//! understudy names an instruction as `cancelnic.sys+0x80c9`, and hands over a stack where it stops. Here both become
//! functions, files and lines: [`Symbols::explain`] in any text, [`Symbols::walk`] for a stack. A driver whose PDB is
//! missing, or another build's, keeps its offsets, and one line says why.

mod explain;
mod modules;
mod pdb;
mod place;
mod stack;
#[cfg(test)]
pub(crate) mod tests;

pub use explain::images;
pub use modules::Symbols;
pub use pdb::shorten;
pub use stack::Stack;
