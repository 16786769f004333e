//! The device: what it has while it is in D0.

use cancelnic_kernel::{
    kmdf::{
        context::{self, Context, ContextType},
        device::DeviceInit,
    },
    pool::Array,
};
use core::cell::UnsafeCell;
use wdk_sys::{
    NTSTATUS, PWDFDEVICE_INIT, STATUS_SUCCESS, WDF_PNPPOWER_EVENT_CALLBACKS, WDF_POWER_DEVICE_STATE,
    WDFDEVICE, WDFDRIVER,
};

/// `Soft`, as pool tags are read.
const TAG: u32 = u32::from_le_bytes(*b"Soft");
/// Places of each table.
const PLACES: usize = 64;

/// What is there in D0.
struct Awake {
    places: Array<u64>,
    owners: Array<u32>,
}

impl Awake {
    /// Both tables, or none. PASSIVE_LEVEL.
    fn new() -> Result<Self, NTSTATUS> {
        let places = Array::new(PLACES, TAG, |_| 0)?;
        // dropped by the operator `?`, which frees it, if there is no memory for the other
        #[cfg(feature = "leaks-without-memory")]
        let places = core::mem::ManuallyDrop::new(places);
        let owners = Array::new(PLACES, TAG, |_| 0)?;
        #[cfg(feature = "leaks-without-memory")]
        let places = core::mem::ManuallyDrop::into_inner(places);
        Ok(Self { places, owners })
    }
}

/// The device's context.
struct Soft(UnsafeCell<Option<Awake>>);

static SOFT: ContextType = ContextType::new::<Soft>(c"Soft", &raw const SOFT);

// SAFETY: one static, for this type alone.
unsafe impl Context for Soft {
    fn context_type() -> &'static ContextType {
        &SOFT
    }
}

impl Soft {
    /// Replaces what there is.
    ///
    /// # Safety
    /// In a power callback of `device`, of which the framework runs one at a time.
    unsafe fn set(device: WDFDEVICE, awake: Option<Awake>) -> Option<Awake> {
        // SAFETY: the device has this context, which was initialised when it was made.
        let soft: &Self = unsafe { context::get(device.cast()) };
        // SAFETY: the caller vouches for nobody else being here.
        unsafe { soft.0.get().replace(awake) }
    }
}

/// The root device was found. PASSIVE_LEVEL.
pub(crate) unsafe extern "C" fn evt_device_add(_driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
    // SAFETY: this callback's own argument.
    let mut init = unsafe { DeviceInit::new(init) };
    init.set_power_callbacks(WDF_PNPPOWER_EVENT_CALLBACKS {
        EvtDeviceD0Entry: Some(evt_d0_entry),
        EvtDeviceD0Exit: Some(evt_d0_exit),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    });
    match init.create(context::attributes::<Soft>()) {
        Ok(device) => {
            // SAFETY: the device was made with this context.
            let place = unsafe { context::address::<Soft>(device.object()) };
            // SAFETY: the context's own memory, of which nobody knows yet.
            unsafe { place.write(Soft(UnsafeCell::new(None))) };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// Power is on. PASSIVE_LEVEL.
unsafe extern "C" fn evt_d0_entry(device: WDFDEVICE, _previous: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    let awake = match Awake::new() {
        Ok(mut awake) => {
            awake
                .places
                .iter_mut()
                .zip(awake.owners.iter())
                .for_each(|(place, owner)| *place = (*owner).into());
            awake
        }
        Err(status) => return status,
    };
    // SAFETY: this callback's own device; nothing was there in D3.
    drop(unsafe { Soft::set(device, Some(awake)) });
    STATUS_SUCCESS
}

/// Power goes. PASSIVE_LEVEL.
unsafe extern "C" fn evt_d0_exit(device: WDFDEVICE, _target: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: this callback's own device.
    drop(unsafe { Soft::set(device, None) });
    while cfg!(feature = "never-sleeps") {
        core::hint::spin_loop();
    }
    STATUS_SUCCESS
}
