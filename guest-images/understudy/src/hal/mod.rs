//! Hardware access below everything: ports, serial lines, PCI, the power management block and the ways to end.

pub mod pci;
pub mod port;
pub mod power;
pub mod serial;
