//! WDFMEMORY: a buffer of the driver's own, or one of a received request's.

use super::object::{self, Attributes, Typed, get_ptr};
use crate::ke::Irql;
use crate::verifier::pool::{Kind, Lent};
use crate::verifier::{fault, require_irql, violation};
use alloc::{format, sync::Arc};
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wdk_offline::{
    NTSTATUS, POOL_TYPE, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
    WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES, WDFMEMORY,
};

/// A memory object.
pub(crate) struct Memory {
    buffer: *mut u8,
    len: usize,
    /// The bytes, if they are its own.
    own: Option<Lent>,
    /// Formatted requests that use it.
    uses: AtomicU32,
}

impl Typed for Memory {
    const KIND: &'static str = "WDFMEMORY";

    fn require_deletable(&self, raw: u64, function: &str) {
        require_irql(function, Irql::DISPATCH);
        if self.own.is_none() {
            violation("ObjectNotDeletable", 3, raw, format!("{function} of a received request's WDFMEMORY"));
        }
    }
}

// SAFETY: the buffer is its own or the request's, which outlives it; drivers synchronise their use.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Over a buffer of a received request.
    pub(crate) fn over(buffer: *mut u8, len: usize) -> Arc<Self> {
        Arc::new(Self { buffer, len, own: None, uses: AtomicU32::new(0) })
    }

    fn new(kind: Kind, len: usize) -> Self {
        let own = Lent::of(kind, b"KMmm", len, false);
        Self { buffer: own.start(), len, own: Some(own), uses: AtomicU32::new(0) }
    }

    /// First byte.
    pub(crate) fn buffer(&self) -> *mut u8 {
        self.buffer
    }

    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A formatted request uses it.
    pub(crate) fn reuse(&self) {
        self.uses.fetch_add(1, Relaxed);
    }

    /// Ends [`Self::reuse`].
    pub(crate) fn unuse(&self) {
        self.uses.fetch_sub(1, Relaxed);
    }

    /// Whether a formatted request uses it.
    pub(crate) fn is_used(&self) -> bool {
        self.uses.load(Relaxed) != 0
    }
}

/// POOL_COLD_ALLOCATION, a flag of a POOL_TYPE.
const COLD: POOL_TYPE = 0x100;

/// Of which pool memory of that type is (FxIsPagedPoolType: PagedPool and PagedPoolCacheAligned are paged).
fn kind_of(pool: POOL_TYPE) -> Kind {
    if matches!(pool & !COLD, 1 | 5) { Kind::Paged } else { Kind::NonPaged }
}

/// WdfMemoryCreate: up to DISPATCH_LEVEL; of paged pool, which it takes from the kernel, up to APC_LEVEL.
pub(crate) unsafe extern "win64" fn create(
    globals: *mut WDF_DRIVER_GLOBALS,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    pool: POOL_TYPE,
    _tag: u32,
    size: usize,
    memory: *mut WDFMEMORY,
    buffer: *mut *mut c_void,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfMemoryCreate";
    require_irql(FUNCTION, Irql::DISPATCH);
    let kind = kind_of(pool);
    if kind == Kind::Paged {
        require_irql("WdfMemoryCreate of paged pool", Irql::APC);
    }
    if size == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let parent = attributes.parent().unwrap_or_else(|| super::client::of(globals, FUNCTION));
    if fault::strikes(object::owner(parent.raw(), FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Arc::new(Memory::new(kind, size));
    let handle = object::create(FUNCTION, made.clone(), Some(parent), attributes);
    // SAFETY: the driver passes the places for handle and, if it wants it, address.
    unsafe {
        *memory = handle.raw() as WDFMEMORY;
        if !buffer.is_null() {
            *buffer = made.buffer().cast();
        }
    }
    STATUS_SUCCESS
}

/// WdfMemoryGetBuffer: any IRQL up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_buffer(
    _globals: *mut WDF_DRIVER_GLOBALS,
    memory: WDFMEMORY,
    size: *mut usize,
) -> *mut c_void {
    const FUNCTION: &str = "WdfMemoryGetBuffer";
    require_irql(FUNCTION, Irql::DISPATCH);
    let memory = get_ptr::<Memory, _>(memory, FUNCTION);
    if !size.is_null() {
        // SAFETY: the driver passes the place for the size.
        unsafe { *size = memory.len() };
    }
    memory.buffer().cast()
}
