//! What an interrupt leaves of the code that it has interrupted.

use super::Irql;
use understudy_rules::trap::Cause;

/// The selector of the code segment.
#[cfg(target_os = "none")]
const CODE: u64 = 8;

/// What a stub leaves on the stack.
#[derive(Clone, Copy)]
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

#[cfg(target_os = "none")]
impl Frame {
    /// As the processor leaves it for an exception with an error code: the instruction `int` pushes none, though the stub
    /// counts on it. And whether it was one.
    pub(super) fn straight(self) -> (Self, bool) {
        if self._cs == CODE || self.rip != CODE {
            return (self, false);
        }
        let (error, rip, _cs, rflags, rsp, _ss) = (0, self.error, self.rip, self._cs, self.rflags, self.rsp);
        (Self { error, rip, _cs, rflags, rsp, _ss, ..self }, true)
    }

    /// Whether `int` with that vector stands before the instruction; not looked for in another page.
    pub(super) fn follows_int(&self, vector: u8) -> bool {
        // SAFETY: the page is the one that the processor goes on in.
        self.rip & 0xfff >= 2 && unsafe { *((self.rip - 2) as *const [u8; 2]) } == [0xcd, vector]
    }
}

/// An exception, a non-maskable interrupt, or what an `int` instruction has raised.
pub(crate) struct Exception<'a> {
    /// How it came.
    pub cause: Cause,
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
