//! The stack that a device is in, as far as the framework asks: PnP gives it with the device's init structure.

use crate::hal::pci::Function;
use crate::io::pdo::Pdo;
use crate::verifier::owners::Service;
use understudy_rules::wdf::table::Handle;

/// How far a device has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    /// The device may exist, hardware is not prepared.
    Added,
    /// Inside EvtDevicePrepareHardware.
    Preparing,
    /// Hardware is prepared, the device is in D3.
    Prepared,
    /// The device is in D0.
    Working,
}

/// One device's stack. Any IRQL.
pub(crate) trait Bus: Send + Sync {
    /// The driver that the device is for.
    fn service(&self) -> &Service;
    /// The bottom of the stack.
    fn pdo(&self) -> &Pdo;
    /// The function on the PCI bus; `None` for a device that is on no bus.
    fn function(&self) -> Option<Function>;
    /// How far the device has come.
    fn stage(&self) -> Stage;
    /// Takes the WDFDEVICE that the driver has made; `false` if there is one already.
    fn set_device(&self, handle: Handle) -> bool;
    /// Whether the driver has made a WDFDEVICE.
    fn has_device(&self) -> bool;
    /// Raw and translated resources, while assigned.
    fn lists(&self) -> Option<(Handle, Handle)>;
    /// Whether it is no stack of PnP's, but a control device.
    fn is_control(&self) -> bool {
        false
    }
    /// A control device may be opened from now on.
    fn finish(&self) {}
}
