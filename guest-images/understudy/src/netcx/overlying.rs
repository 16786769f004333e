//! Who is above the adapter: it hears of the link, and takes its data path down when the driver stops it.

use spin::Once;

/// The driver above.
pub(crate) trait Overlying: Sync {
    /// The link's state has changed. Up to DISPATCH_LEVEL.
    fn link(&self, connected: bool);
    /// NetAdapterStop: the adapter is about to lose its queues. PASSIVE_LEVEL.
    fn stops(&self);
}

static OVERLYING: Once<&'static dyn Overlying> = Once::new();

/// Makes it known. At boot.
pub(crate) fn register(overlying: &'static dyn Overlying) {
    OVERLYING.call_once(|| overlying);
}

/// Whoever is above, if somebody is.
pub(super) fn get() -> Option<&'static dyn Overlying> {
    OVERLYING.get().copied()
}
