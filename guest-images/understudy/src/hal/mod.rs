//! Hardware access below everything: the processor, ports, serial lines, PCI, the power management block and the ways to
//! end. On the host its twin stands in its place, so that all above runs under `cargo test`.

pub(crate) mod pci;
pub(crate) mod physical;
pub(crate) mod port;

#[cfg(target_os = "none")]
pub(crate) mod apic;
#[cfg(target_os = "none")]
pub(crate) mod cpu;
#[cfg(target_os = "none")]
pub(crate) mod descriptors;
#[cfg(target_os = "none")]
pub(crate) mod power;
#[cfg(target_os = "none")]
pub(crate) mod serial;

#[cfg(not(target_os = "none"))]
mod host;
#[cfg(not(target_os = "none"))]
pub(crate) use host::{apic, cpu, power, serial};
