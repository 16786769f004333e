//! How the guest's kernel ends QEMU: value v on isa-debug-exit is exit code 2v + 1.

/// The guest has powered off.
pub(crate) const EXIT_ORDERLY: i32 = 0x10 * 2 + 1;
/// The guest has stopped with a bug check.
pub(crate) const EXIT_BUG_CHECK: i32 = 0x20 * 2 + 1;
/// The guest's kernel ended for a fault of its own.
pub(crate) const EXIT_INTERNAL: i32 = 0x30 * 2 + 1;
