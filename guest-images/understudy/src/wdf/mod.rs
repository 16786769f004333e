//! The stand-in for KMDF 1.31: handles, objects, and the functions that the driver calls.

pub mod table;

#[cfg(target_os = "none")]
pub mod device;
#[cfg(target_os = "none")]
pub mod dma;
#[cfg(target_os = "none")]
pub mod driver;
#[cfg(target_os = "none")]
pub mod functions;
#[cfg(target_os = "none")]
pub mod interrupt;
#[cfg(target_os = "none")]
pub mod lock;
#[cfg(target_os = "none")]
pub mod object;
#[cfg(target_os = "none")]
pub mod resources;
#[cfg(target_os = "none")]
pub mod timer;

/// Spin locks of the driver that are held now. A callback must leave as many as it found.
#[cfg(target_os = "none")]
pub static HELD_LOCKS: crate::ke::irqlock::IrqLock<u32> = crate::ke::irqlock::IrqLock::new(0);
