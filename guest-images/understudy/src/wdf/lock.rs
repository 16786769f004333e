//! WDFSPINLOCK. One processor: acquiring raises IRQL to DISPATCH_LEVEL; what can go wrong is found all the same.

use super::object::{self, Attributes, Typed, get_ptr};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::{fault, require_irql, violation};
use alloc::{format, sync::Arc};
use wdk_offline::{
    NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES,
    WDFSPINLOCK,
};

/// A spin lock of the driver.
#[derive(Default)]
pub(crate) struct SpinLockObject {
    /// IRQL to go back to, while it is held.
    held: IrqLock<Option<Irql>>,
}

impl Typed for SpinLockObject {
    const KIND: &'static str = "WDFSPINLOCK";

    fn require_deletable(&self, _raw: u64, _function: &str) {}

    fn dispose(self: Arc<Self>) {
        if self.held.with(|held| held.is_some()) {
            violation("SpinLockHeldAtDelete", 0, 0, "WDFSPINLOCK".into());
        }
    }
}

impl Default for IrqLock<Option<Irql>> {
    fn default() -> Self {
        Self::new(None)
    }
}

impl SpinLockObject {
    /// Takes the lock, raising to `irql`.
    pub(crate) fn acquire(&self, function: &str, irql: Irql) {
        let old = crate::ke::raise(irql);
        let taken = self.held.with(|held| {
            if held.is_none() {
                *held = Some(old);
                true
            } else {
                false
            }
        });
        if !taken {
            violation("SpinLockAcquiredTwice", 0, 0, format!("{function}: the lock is held already"));
        }
        crate::verifier::lock_acquired();
    }

    /// Gives it back and lowers IRQL again.
    pub(crate) fn release(&self, function: &str) {
        match self.held.with(Option::take) {
            Some(old) => {
                crate::verifier::lock_released();
                crate::ke::lower(old);
            }
            None => violation("SpinLockNotHeld", 0, 0, format!("{function}: the lock is not held")),
        }
    }
}

/// WdfSpinLockCreate: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn spin_lock_create(
    globals: *mut WDF_DRIVER_GLOBALS,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    spin_lock: *mut WDFSPINLOCK,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfSpinLockCreate";
    require_irql(FUNCTION, Irql::DISPATCH);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let parent = attributes.parent().unwrap_or_else(|| super::client::of(globals, FUNCTION));
    if fault::strikes(object::owner(parent.raw(), FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let handle = object::create(FUNCTION, Arc::<SpinLockObject>::default(), Some(parent), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *spin_lock = handle.raw() as WDFSPINLOCK };
    STATUS_SUCCESS
}

/// WdfSpinLockAcquire: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn spin_lock_acquire(
    _globals: *mut WDF_DRIVER_GLOBALS,
    spin_lock: WDFSPINLOCK,
) {
    const FUNCTION: &str = "WdfSpinLockAcquire";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<SpinLockObject, _>(spin_lock, FUNCTION).acquire(FUNCTION, Irql::DISPATCH);
}

/// WdfSpinLockRelease: at DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn spin_lock_release(
    _globals: *mut WDF_DRIVER_GLOBALS,
    spin_lock: WDFSPINLOCK,
) {
    const FUNCTION: &str = "WdfSpinLockRelease";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<SpinLockObject, _>(spin_lock, FUNCTION).release(FUNCTION);
}

/// The lock that serialises a queue's or a device's callbacks: a spin lock, or a mutex where they run at PASSIVE_LEVEL.
pub(crate) struct CallbackLock {
    passive: bool,
    /// The thread that has it; a spin lock's owner is whoever runs.
    owner: IrqLock<Option<u64>>,
    free: crate::ke::Event,
}

impl CallbackLock {
    /// A free lock.
    pub(crate) fn new(passive: bool) -> Self {
        Self { passive, owner: IrqLock::new(None), free: crate::ke::Event::auto() }
    }

    /// Whether what it serialises runs at PASSIVE_LEVEL.
    pub(crate) fn is_passive(&self) -> bool {
        self.passive
    }

    /// Whether the caller runs inside it.
    pub(crate) fn is_owner(&self) -> bool {
        let thread = crate::ke::current_thread();
        // nobody else runs while a spin lock is held: this is the only processor
        self.owner.with(|owner| owner.is_some_and(|owner| owner == thread || !self.passive))
    }

    /// Runs `section` inside. A second entry by the same thread is bug check 0x10D/2.
    pub(crate) fn with<R>(&self, section: impl FnOnce() -> R) -> R {
        if self.is_owner() {
            violation(
                "CallbackLockAcquiredTwice",
                2,
                0,
                "a callback lock is held by this thread already".into(),
            );
        }
        let thread = crate::ke::current_thread();
        let old = if self.passive { Irql::PASSIVE } else { crate::ke::raise(Irql::DISPATCH) };
        while !self.owner.with(|owner| {
            let free = owner.is_none();
            if free {
                *owner = Some(thread);
            }
            free
        }) {
            self.free.wait();
        }
        let result = section();
        self.owner.with(|owner| *owner = None);
        self.free.set();
        if !self.passive {
            crate::ke::lower(old);
        }
        result
    }
}
