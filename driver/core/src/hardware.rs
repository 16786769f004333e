//! The ways out of this crate: registers, doorbells, wake-ups. The driver glue implements them on
//! mapped memory and framework calls, tests on the device's model.

/// The device-specific configuration space (`device/registers/README.md`, REG3), 32-bit words only.
///
/// Callable at any IRQL up to DISPATCH_LEVEL. An access takes about 50 microseconds: it leaves the
/// virtual machine. A device that is gone reads all ones.
pub trait Registers {
    /// The word at `offset`, a multiple of 4 below 256.
    fn read(&self, offset: u32) -> u32;
    /// Writes the word at `offset`, a multiple of 4 below 256.
    fn write(&self, offset: u32, value: u32);
}

/// One queue's doorbell (virtio 1.3 §4.1.5.2).
pub trait Doorbell {
    /// Tells the device that chains are available.
    fn ring(&self);
}

/// One packet queue's wake-up call (`NetTxQueueNotifyMoreCompletedPacketsAvailable` and its like).
pub trait Notify {
    /// Wakes the packet queue. Any IRQL.
    fn notify(&self);
}

/// A mapped structure of virtio-pci that must be accessed by its fields' natural widths
/// (virtio 1.3 §4.1.3.1).
pub trait Mmio {
    /// The byte at `offset`.
    fn read8(&self, offset: u32) -> u8;
    /// The 16-bit word at `offset`.
    fn read16(&self, offset: u32) -> u16;
    /// The 32-bit word at `offset`.
    fn read32(&self, offset: u32) -> u32;
    /// Writes the byte at `offset`.
    fn write8(&self, offset: u32, value: u8);
    /// Writes the 16-bit word at `offset`.
    fn write16(&self, offset: u32, value: u16);
    /// Writes the 32-bit word at `offset`.
    fn write32(&self, offset: u32, value: u32);
}
