//! WDFMEMORY: a buffer of the driver's own, one that it has given, or one of a received request's.

use super::object::{self, Attributes, Typed, get_ptr};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::pool::{Kind, Lent};
use crate::verifier::{fault, require_irql, violation};
use alloc::{format, sync::Arc};
use core::ffi::c_void;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wdk_offline::{
    NTSTATUS, POOL_TYPE, STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES, WDFMEMORY,
};

/// Where the bytes of a memory object are from.
enum Source {
    /// They are its own.
    Own { _bytes: Lent },
    /// The driver has given them.
    Driver,
    /// A received request's.
    Request,
}

/// A memory object.
pub(crate) struct Memory {
    /// First byte and length.
    place: IrqLock<(usize, usize)>,
    source: Source,
    /// Formatted requests that use it.
    uses: AtomicU32,
}

impl Typed for Memory {
    const KIND: &'static str = "WDFMEMORY";

    fn require_deletable(&self, raw: u64, function: &str) {
        require_irql(function, Irql::DISPATCH);
        if matches!(self.source, Source::Request) {
            violation("ObjectNotDeletable", 3, raw, format!("{function} of a received request's WDFMEMORY"));
        }
    }
}

impl Memory {
    /// Over a buffer of a received request.
    pub(crate) fn over(buffer: *mut u8, len: usize) -> Arc<Self> {
        Arc::new(Self::at(buffer as usize, len, Source::Request))
    }

    fn at(buffer: usize, len: usize, source: Source) -> Self {
        Self { place: IrqLock::new((buffer, len)), source, uses: AtomicU32::new(0) }
    }

    fn new(kind: Kind, len: usize) -> Self {
        let own = Lent::of(kind, b"KMmm", len, false);
        Self::at(own.start() as usize, len, Source::Own { _bytes: own })
    }

    /// First byte.
    pub(crate) fn buffer(&self) -> *mut u8 {
        self.place.with(|place| place.0) as *mut u8
    }

    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        self.place.with(|place| place.1)
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

/// WdfMemoryCreatePreallocated: up to DISPATCH_LEVEL. The buffer stays the driver's.
pub(crate) unsafe extern "win64" fn create_preallocated(
    globals: *mut WDF_DRIVER_GLOBALS,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    buffer: *mut c_void,
    size: usize,
    memory: *mut WDFMEMORY,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfMemoryCreatePreallocated";
    require_irql(FUNCTION, Irql::DISPATCH);
    if size == 0 || buffer.is_null() {
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
    let made = Arc::new(Memory::at(buffer as usize, size, Source::Driver));
    let handle = object::create(FUNCTION, made, Some(parent), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *memory = handle.raw() as WDFMEMORY };
    STATUS_SUCCESS
}

/// WdfMemoryAssignBuffer: up to DISPATCH_LEVEL; of one that was created with a buffer of the driver's.
pub(crate) unsafe extern "win64" fn assign_buffer(
    _globals: *mut WDF_DRIVER_GLOBALS,
    memory: WDFMEMORY,
    buffer: *mut c_void,
    size: usize,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfMemoryAssignBuffer";
    require_irql(FUNCTION, Irql::DISPATCH);
    let raw = memory as u64;
    let memory = get_ptr::<Memory, _>(memory, FUNCTION);
    if !matches!(memory.source, Source::Driver) {
        let place = format!("{FUNCTION} of a WDFMEMORY that was not made by WdfMemoryCreatePreallocated");
        violation("InvalidHandle", 5, raw, place);
    }
    if size == 0 || buffer.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    memory.place.with(|place| *place = (buffer as usize, size));
    STATUS_SUCCESS
}

/// The part of a memory object that is copied, if it is inside.
fn part(function: &str, memory: WDFMEMORY, offset: usize, len: usize) -> Result<*mut u8, NTSTATUS> {
    require_irql(function, Irql::DISPATCH);
    let memory = get_ptr::<Memory, _>(memory, function);
    if len == 0 {
        return Err(STATUS_INVALID_PARAMETER);
    }
    if offset.checked_add(len).is_none_or(|end| end > memory.len()) {
        return Err(STATUS_BUFFER_TOO_SMALL);
    }
    Ok(memory.buffer().wrapping_add(offset))
}

/// WdfMemoryCopyToBuffer: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn copy_to_buffer(
    _globals: *mut WDF_DRIVER_GLOBALS,
    memory: WDFMEMORY,
    offset: usize,
    buffer: *mut c_void,
    len: usize,
) -> NTSTATUS {
    match part("WdfMemoryCopyToBuffer", memory, offset, len) {
        Ok(from) => {
            // SAFETY: the part is inside; the driver vouches for its buffer.
            unsafe { core::ptr::copy(from, buffer.cast(), len) };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// WdfMemoryCopyFromBuffer: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn copy_from_buffer(
    _globals: *mut WDF_DRIVER_GLOBALS,
    memory: WDFMEMORY,
    offset: usize,
    buffer: *mut c_void,
    len: usize,
) -> NTSTATUS {
    match part("WdfMemoryCopyFromBuffer", memory, offset, len) {
        Ok(to) => {
            // SAFETY: as above.
            unsafe { core::ptr::copy(buffer.cast(), to, len) };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}
