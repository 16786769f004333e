// Integer constants of the kernel headers that cancelnic.sys or its stand-in kernel uses.

pub const TRUE: u32 = 1;
pub const FALSE: u32 = 0;
pub const PASSIVE_LEVEL: u32 = 0;
pub const APC_LEVEL: u32 = 1;
pub const DISPATCH_LEVEL: u32 = 2;
pub const HIGH_LEVEL: u32 = 15;
pub const PAGE_READWRITE: u32 = 4;
pub const PAGE_NOCACHE: u32 = 512;
pub const FILE_WORD_ALIGNMENT: u32 = 1;
pub const FILE_64_BYTE_ALIGNMENT: u32 = 63;
pub const CmResourceTypeNull: u32 = 0;
pub const CmResourceTypePort: u32 = 1;
pub const CmResourceTypeInterrupt: u32 = 2;
pub const CmResourceTypeMemory: u32 = 3;
pub const CmResourceTypeMemoryLarge: u32 = 7;
pub const CM_RESOURCE_INTERRUPT_LATCHED: u32 = 1;
pub const CM_RESOURCE_INTERRUPT_MESSAGE: u32 = 2;
pub const CM_RESOURCE_MEMORY_LARGE_40: u32 = 512;
pub const CM_RESOURCE_MEMORY_LARGE_48: u32 = 1024;
pub const CM_RESOURCE_MEMORY_LARGE_64: u32 = 2048;
pub const PCI_WHICHSPACE_CONFIG: u32 = 0;
pub const DPFLTR_ERROR_LEVEL: u32 = 0;
pub const DPFLTR_INFO_LEVEL: u32 = 3;
