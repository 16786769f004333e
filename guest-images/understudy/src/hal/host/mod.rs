//! The machine's twin on the host: one processor of which one host thread at a time has the baton, interrupts and
//! priority as numbers, time that passes only when somebody lets it. All above it is the code that runs in QEMU.

pub(crate) mod apic;
pub(crate) mod cpu;
pub(crate) mod power;
pub(crate) mod serial;
