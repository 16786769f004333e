//! The machine's twin on the host: one processor of which one host thread at a time has the baton, interrupts and
//! priority as numbers, time that passes only when somebody lets it. All above it is the code that runs in QEMU.

pub mod apic;
pub mod cpu;
pub mod power;
pub mod serial;
