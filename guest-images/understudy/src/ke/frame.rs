//! What an interrupt leaves of the code that it has interrupted.

use super::Irql;

/// What a stub leaves on the stack.
#[repr(C)]
pub(crate) struct Frame {
    /// R15 to R8, RDI, RSI, RBP, RBX, RDX, RCX, RAX.
    pub registers: [u64; 15],
    pub(super) vector: u64,
    pub(super) error: u64,
    /// The interrupted instruction.
    pub rip: u64,
    _cs: u64,
    pub(super) rflags: u64,
    /// The interrupted code's stack.
    pub rsp: u64,
    _ss: u64,
}

/// An exception, or a non-maskable interrupt.
pub(crate) struct Exception<'a> {
    /// Its vector.
    pub vector: u8,
    /// Its error code.
    pub error: u64,
    /// The address that a page fault is about.
    pub address: u64,
    /// RFLAGS of the interrupted code.
    pub rflags: u64,
    /// What the processor and the stub have left.
    pub frame: &'a Frame,
    /// IRQL of the interrupted code.
    pub irql: Irql,
}
