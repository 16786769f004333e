//! WDF_OBJECT_ATTRIBUTES: what a driver asks for with a new object.

use crate::verifier::trace;
use alloc::format;
use understudy_rules::wdf::table::Handle;
use wdk_offline::{NTSTATUS, STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER, WDF_OBJECT_ATTRIBUTES};

/// What a driver asked for with WDF_OBJECT_ATTRIBUTES, checked.
#[derive(Clone, Copy)]
pub(crate) struct Attributes {
    pub(super) raw: Option<WDF_OBJECT_ATTRIBUTES>,
}

impl Attributes {
    /// None given.
    pub(crate) const NONE: Self = Self { raw: None };

    /// Reads and checks what the driver passed.
    ///
    /// # Errors
    /// As KMDF: STATUS_INFO_LENGTH_MISMATCH for a wrong Size, STATUS_INVALID_PARAMETER for the enumerations' invalid
    /// values and a context type without a size.
    pub(crate) fn read(attributes: *const WDF_OBJECT_ATTRIBUTES, function: &str) -> Result<Self, NTSTATUS> {
        // SAFETY: the driver passes null or a pointer to its own structure; a bad one faults in the driver's name.
        let Some(attributes) = (unsafe { attributes.as_ref() }) else { return Ok(Self::NONE) };
        if attributes.Size as usize != size_of::<WDF_OBJECT_ATTRIBUTES>() {
            crate::log!("{function}: WDF_OBJECT_ATTRIBUTES.Size is {}", attributes.Size);
            return Err(STATUS_INFO_LENGTH_MISMATCH);
        }
        if !(1..=3).contains(&attributes.ExecutionLevel)
            || !(1..=4).contains(&attributes.SynchronizationScope)
        {
            crate::log!("{function}: ExecutionLevel or SynchronizationScope of the attributes is not set");
            return Err(STATUS_INVALID_PARAMETER);
        }
        if matches!(attributes.SynchronizationScope, 2 | 3)
            && !matches!(function, "WdfDeviceCreate" | "WdfIoQueueCreate")
        {
            trace::not_offered(&format!("{function} with a device or queue synchronization scope"));
        }
        if !attributes.ContextTypeInfo.is_null() {
            // SAFETY: checked for null; the type info is a static of the driver.
            let info = unsafe { &*attributes.ContextTypeInfo };
            if info.Size < 40
                || attributes.ContextSizeOverride != 0 && attributes.ContextSizeOverride < info.ContextSize
            {
                crate::log!("{function}: context type information of size {}", info.Size);
                return Err(STATUS_INVALID_PARAMETER);
            }
        }
        Ok(Self { raw: Some(*attributes) })
    }

    /// ExecutionLevel: whether callbacks want PASSIVE_LEVEL; `None` as the parent has it.
    #[must_use]
    pub(crate) fn passive(&self) -> Option<bool> {
        self.raw.map(|raw| raw.ExecutionLevel).filter(|level| *level != 1).map(|level| level == 2)
    }

    /// SynchronizationScope, 2 to 4; `None` as the parent has it.
    #[must_use]
    pub(crate) fn scope(&self) -> Option<i32> {
        self.raw.map(|raw| raw.SynchronizationScope).filter(|scope| *scope != 1)
    }

    /// ParentObject, if given.
    #[must_use]
    pub(crate) fn parent(&self) -> Option<Handle> {
        self.raw
            .and_then(|raw| (!raw.ParentObject.is_null()).then(|| Handle::from_raw(raw.ParentObject as u64)))
    }
}
