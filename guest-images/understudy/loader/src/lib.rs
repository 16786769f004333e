//! What a kernel with a PVH entry needs to be started: its segments out of an ELF file, and hvm_start_info with the
//! memory map (Xen's public/arch-x86/hvm/start_info.h). The pure half of the loader; nothing here knows UEFI.
#![no_std]
extern crate alloc;

pub mod kernel;
pub mod start_info;

/// Where the loader finds its files on the disk that it was started from.
pub mod paths {
    /// The kernel, an ELF file.
    pub const KERNEL: &str = r"\understudy\kernel";
    /// The archive with the drivers, which the kernel gets as its module.
    pub const BUNDLE: &str = r"\understudy\bundle.tar";
    /// The kernel's command line, a line of text.
    pub const COMMAND_LINE: &str = r"\understudy\line.txt";
}
