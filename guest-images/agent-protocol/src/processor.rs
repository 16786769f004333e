//! A processor, or a thread that waits, at the moment at which the guest stopped: enough to walk its stack elsewhere.

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// Bytes of the stack that [`Processor::stack`] has at most.
pub const MOST_STACK: usize = 16 * 1024;

/// Registers, the top of the stack, and where the drivers' images are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processor {
    /// IRQL of the code that the registers are of.
    pub irql: u8,
    /// The instruction.
    pub rip: u64,
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15: the processor's own numbering. Of a thread that waits, those
    /// that a call preserves; the others are 0.
    pub registers: [u64; 16],
    /// The stack's bytes from RSP upwards, in hexadecimal, at most [`MOST_STACK`] of them.
    pub stack: String,
    /// The drivers' images.
    pub images: Vec<LoadedImage>,
}

impl Processor {
    /// Place of RSP in [`Self::registers`].
    pub const RSP: usize = 4;
}

/// A driver's image in the guest's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedImage {
    /// Such as `cancelnic.sys`.
    pub file: String,
    /// Its first address.
    pub base: u64,
    /// Bytes.
    pub size: u64,
}
