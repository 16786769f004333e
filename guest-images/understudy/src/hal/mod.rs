//! Hardware access below everything: ports, PCI, the power management block.

pub mod pci;
pub mod port;
pub mod power;
