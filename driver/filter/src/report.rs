//! What the driver tells people, and the tag of its memory.

use core::fmt;

use cancelnic_kernel::print::{self, Level};

/// Tag of this driver's allocations: `cnlf` as it reads in memory.
pub(crate) const POOL_TAG: u32 = u32::from_le_bytes(*b"cnlf");

/// Prints one line that begins with the driver's name. Any IRQL up to DISPATCH_LEVEL.
pub(crate) fn line(level: Level, arguments: fmt::Arguments<'_>) {
    print::line(level, format_args!("cancelnic-lwf: {arguments}"));
}
