//! Hardware access below everything: ports and PCI.

pub mod pci;
pub mod port;
