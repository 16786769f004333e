//! Where physical memory appears: RAM, and the devices that understudy itself uses.

/// Physical address 0, as code sees it.
#[cfg(target_os = "none")]
pub(crate) const DIRECT: usize = 0xffff_8800_0000_0000;
/// On the host there is one address for everything.
#[cfg(not(target_os = "none"))]
pub(crate) const DIRECT: usize = 0;
