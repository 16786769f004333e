//! What the driver keeps for its device, and what its parts have in common.

use cancelnic_ioctl::relay::{Pass, SLOTS, way};
use cancelnic_kernel::kmdf::{
    context::{self, Context, ContextType},
    device::Device,
    journal::Journal,
    lock::Locked,
    queue::Queue,
    target::IoTarget,
};
use cancelnic_mutants::Shown;
use wdk_sys::{WDFDEVICE, WDFOBJECT, WDFQUEUE, WDFREQUEST};

use crate::slots::Slots;

/// Tag of this driver's pool allocations: `cnre` as it reads in memory.
pub(crate) const POOL_TAG: u32 = u32::from_le_bytes(*b"cnre");

/// A request's handle in a slot. As long as it is there, what it names is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(pub WDFREQUEST);

// SAFETY: a framework handle may be used in any thread.
unsafe impl Send for Handle {}

impl Handle {
    /// The request as an object.
    pub(crate) fn object(self) -> WDFOBJECT {
        self.0.cast()
    }
}

/// The slots.
pub(crate) type Table = Slots<Handle, { SLOTS as usize }>;

/// How a request is sent.
#[derive(Clone, Copy)]
pub(crate) struct How {
    pub way: u32,
    pub options: u32,
    pub timeout: i64,
    pub routine: bool,
}

impl Default for How {
    /// To the NIC, asynchronously, with a completion routine.
    fn default() -> Self {
        Self { way: way::NIC, options: 0, timeout: 0, routine: true }
    }
}

impl How {
    pub(crate) const fn is(&self, option: u32) -> bool {
        self.options & option != 0
    }
}

/// How the next requests of programs are passed on.
#[derive(Clone, Copy, Default)]
pub(crate) struct Passing {
    pub slot: u32,
    pub how: How,
}

impl Passing {
    /// As a program wants it.
    pub(crate) const fn set(&mut self, wanted: &Pass) {
        self.slot = wanted.slot;
        let Pass { way, options, timeout, routine, .. } = *wanted;
        self.how = How { way, options, timeout, routine: routine != 0 };
    }
}

/// The device's context.
pub(crate) struct Relay {
    pub device: Device,
    /// The way to cancelnic.sys.
    pub target: IoTarget,
    /// The way to the next lower device of the relay's own stack.
    pub below: IoTarget,
    /// Presents programs' requests that are to be passed on: parallel, power-managed.
    pub passing: Queue,
    pub slots: Locked<Table>,
    pub pass: Locked<Passing>,
    pub journal: Journal,
    /// Which mutant a test build shows.
    pub mutant: Shown,
}

static RELAY: ContextType = ContextType::new::<Relay>(c"Relay", &raw const RELAY);

// SAFETY: one static, made for this type.
unsafe impl Context for Relay {
    fn context_type() -> &'static ContextType {
        &RELAY
    }
}

impl Relay {
    /// The context of a device.
    ///
    /// # Safety
    /// `device` is the argument of one of its callbacks, or alive and started.
    pub(crate) unsafe fn of<'a>(device: WDFDEVICE) -> &'a Self {
        // SAFETY: the caller vouches for the device; its context is filled in before the first callback.
        unsafe { context::get(device.cast()) }
    }

    /// The context of a queue's device.
    ///
    /// # Safety
    /// `queue` is the argument of one of its callbacks.
    pub(crate) unsafe fn of_queue<'a>(queue: WDFQUEUE) -> &'a Self {
        // SAFETY: the caller vouches for the queue.
        let device = unsafe { Queue::of_callback(queue) }.device();
        // SAFETY: the queue's device outlives it, and presents requests once it has started.
        unsafe { Self::of(device.handle()) }
    }

    /// The target that a program means by one of [`way`].
    pub(crate) fn way(&self, way: u32) -> IoTarget {
        if way == way::BELOW { self.below } else { self.target }
    }
}
