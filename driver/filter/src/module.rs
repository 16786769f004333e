//! A filter module: what it holds, its coming and going, its pauses.

use core::{
    cell::UnsafeCell,
    ptr::{NonNull, null_mut},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use cancelnic_filter_core::{Books, Chain, Lock as _, Module, Stack, Way};
use cancelnic_kernel::{check, print::Level};
use ndis_sys::{
    NDIS_EVENT, NDIS_FILTER_ATTACH_PARAMETERS, NDIS_FILTER_ATTRIBUTES, NDIS_FILTER_ATTRIBUTES_REVISION_1,
    NDIS_FILTER_PARTIAL_CHARACTERISTICS, NDIS_FILTER_PARTIAL_CHARACTERISTICS_REVISION_1,
    NDIS_FILTER_PAUSE_PARAMETERS, NDIS_FILTER_RESTART_PARAMETERS, NDIS_HANDLE, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_FILTER_ATTRIBUTES, NDIS_OBJECT_TYPE_FILTER_PARTIAL_CHARACTERISTICS, NDIS_OID_REQUEST,
    NDIS_STATUS, NDIS_STATUS_INVALID_PARAMETER, NDIS_STATUS_PENDING, NDIS_STATUS_RESOURCES,
    NDIS_STATUS_SUCCESS, NdisFCancelSendNetBufferLists, NdisFPauseComplete, NdisFRestartFilter,
    NdisFSendNetBufferLists, NdisFSendNetBufferListsComplete, NdisFSetAttributes, NdisInitializeEvent,
    NdisMedium802_3, NdisSetEvent, NdisSetOptionalHandlers, NdisWaitEvent,
};
use wdk_sys::{
    POOL_FLAG_NON_PAGED, SIZE_T,
    ntddk::{ExAllocatePool2, ExFreePoolWithTag},
};

use crate::{
    datapath,
    driver::{POOL_TAG, id_pointer, line},
    list::{Nbl, given},
    lock::SpinLock,
    own::{ADDRESS_LENGTH, OwnLists},
};

/// An event that one wait ends.
pub struct Event(UnsafeCell<NDIS_EVENT>);

// SAFETY: NDIS's functions synchronise by themselves.
unsafe impl Sync for Event {}

impl Event {
    const fn new() -> Self {
        Self(UnsafeCell::new(NDIS_EVENT { Event: [null_mut(); 3] }))
    }

    /// Before any other use, at the place where it stays.
    fn initialize(&self) {
        // SAFETY: nobody knows the event yet.
        unsafe { NdisInitializeEvent(self.0.get()) };
    }

    /// At most DISPATCH_LEVEL. The event may be gone when this returns.
    fn set(&self) {
        // SAFETY: initialised when the module was made.
        unsafe { NdisSetEvent(self.0.get()) };
    }

    /// For ever, if need be. PASSIVE_LEVEL.
    fn wait(&self) {
        // SAFETY: as above; 0 milliseconds is no limit.
        unsafe { NdisWaitEvent(self.0.get(), 0) };
    }
}

/// A filter module's context.
pub struct Filter {
    /// NDIS's handle of the module.
    pub handle: NDIS_HANDLE,
    /// The books of sends.
    pub sends: Module<SpinLock<Books<Nbl>>>,
    /// Lists of the filter's own.
    pub own: OwnLists,
    /// The OID request that was cloned and has not come back; NDIS gives one at a time.
    pub pending_request: SpinLock<*mut NDIS_OID_REQUEST>,
    /// The next module, in the order of attachment; guarded by [`MODULES`].
    next: UnsafeCell<Option<NonNull<Filter>>>,
    /// One for the attached module, one for each control request that works on it.
    references: AtomicU32,
    /// The last reference is gone.
    unused: Event,
    /// A program wants lists to go past the module.
    wants_bypass: AtomicBool,
    /// They do: NDIS calls no handler of the module's data path.
    bypassed: AtomicBool,
}

/// First of the attached modules.
struct Modules(Option<NonNull<Filter>>);

// SAFETY: modules are shared between processors; what is not theirs to share is behind locks.
unsafe impl Send for Modules {}

static MODULES: SpinLock<Modules> = SpinLock::new(Modules(None));

impl Filter {
    /// The module behind the context that NDIS passes to a handler.
    ///
    /// # Safety
    /// `context` is what `attach` has set, and the module is not detached before the reference's last use.
    pub unsafe fn of<'f>(context: NDIS_HANDLE) -> &'f Self {
        // SAFETY: the caller vouches for the context.
        unsafe { &*context.cast::<Self>() }
    }

    /// Lets lists go past the module, or through it, from the next restart on, which NDIS is asked for. At most
    /// DISPATCH_LEVEL.
    pub fn bypass(&self, on: bool) -> Result<(), NDIS_STATUS> {
        self.wants_bypass.store(on, Ordering::Relaxed);
        // SAFETY: the module is attached.
        check(unsafe { NdisFRestartFilter(self.handle) })
    }

    /// Whether lists go past the module.
    pub fn is_bypassed(&self) -> bool {
        self.bypassed.load(Ordering::Relaxed)
    }

    /// Gives one reference back. The module may be gone when this returns.
    fn dereference(&self) {
        if self.references.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.unused.set();
        }
    }
}

/// An attached module that stays as long as this does.
pub struct Reference(NonNull<Filter>);

impl Reference {
    /// The module with this index in the order of attachment. At most DISPATCH_LEVEL.
    pub fn to(index: u32) -> Option<Self> {
        MODULES.with(|modules| {
            let mut at = modules.0?;
            // Ends with the list: an index is a program's, and may be any number.
            for _ in 0..index {
                // SAFETY: a module in the list is attached; its link is guarded by the lock that is held.
                at = unsafe { *at.as_ref().next.get() }?;
            }
            // SAFETY: as above: `detach` takes a module from the list before it gives its own reference back.
            unsafe { at.as_ref().references.fetch_add(1, Ordering::Relaxed) };
            Some(Self(at))
        })
    }
}

impl core::ops::Deref for Reference {
    type Target = Filter;

    fn deref(&self) -> &Filter {
        // SAFETY: the reference that was counted keeps the module.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        self.dereference();
    }
}

/// All attached modules, one after the other, each held while `act` looks at it.
#[cfg(feature = "mutants")]
pub fn each(mut act: impl FnMut(&Filter)) {
    (0..).map_while(Reference::to).for_each(|filter| act(&filter));
}

/// Puts a module behind all others.
fn enlist(filter: NonNull<Filter>) {
    MODULES.with(|modules| {
        let mut link: *mut Option<NonNull<Filter>> = &raw mut modules.0;
        // SAFETY: links of attached modules, guarded by the lock that is held.
        unsafe {
            while let Some(other) = *link {
                link = other.as_ref().next.get();
            }
            *link = Some(filter);
        }
    });
}

/// Takes a module out of the list.
fn delist(filter: NonNull<Filter>) {
    MODULES.with(|modules| {
        let mut link: *mut Option<NonNull<Filter>> = &raw mut modules.0;
        // SAFETY: links of attached modules, guarded by the lock that is held.
        unsafe {
            while let Some(other) = *link {
                if other == filter {
                    *link = *filter.as_ref().next.get();
                    return;
                }
                link = other.as_ref().next.get();
            }
        }
    });
}

/// FilterAttach: makes a module over an Ethernet adapter; it is paused. PASSIVE_LEVEL.
pub unsafe extern "win64" fn attach(
    handle: NDIS_HANDLE,
    _driver_context: NDIS_HANDLE,
    parameters: *mut NDIS_FILTER_ATTACH_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes parameters of at least revision 1, in which these members are.
    let (medium, length, address) = unsafe {
        let parameters = &raw const *parameters;
        ((*parameters).MiniportMediaType, (*parameters).MacAddressLength, (*parameters).CurrentMacAddress)
    };
    let Some(address) = address.first_chunk::<ADDRESS_LENGTH>() else { return NDIS_STATUS_INVALID_PARAMETER };
    if medium != NdisMedium802_3 || usize::from(length) != ADDRESS_LENGTH {
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the handle is that of the module that is being attached.
    let Some(own) = (unsafe { OwnLists::new(handle, *address) }) else { return NDIS_STATUS_RESOURCES };
    // SAFETY: a plain allocation; null is handled.
    let memory = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, size_of::<Filter>() as SIZE_T, POOL_TAG) };
    let Some(filter) = NonNull::new(memory.cast::<Filter>()) else { return NDIS_STATUS_RESOURCES };
    // SAFETY: the allocation is large enough, pool is aligned to 16 bytes, and nobody else knows it.
    let module = unsafe {
        filter.write(Filter {
            handle,
            sends: Module::new(SpinLock::new(Books::new())),
            own,
            pending_request: SpinLock::new(null_mut()),
            next: UnsafeCell::new(None),
            references: AtomicU32::new(1),
            unused: Event::new(),
            wants_bypass: AtomicBool::new(false),
            bypassed: AtomicBool::new(false),
        });
        filter.as_ref()
    };
    module.unused.initialize();
    let mut attributes = NDIS_FILTER_ATTRIBUTES {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_FILTER_ATTRIBUTES,
            NDIS_FILTER_ATTRIBUTES_REVISION_1,
            size_of::<NDIS_FILTER_ATTRIBUTES>() as u16,
        ),
        Flags: 0,
    };
    // SAFETY: inside FilterAttach, with its handle; NDIS copies the attributes.
    let status = unsafe { NdisFSetAttributes(handle, filter.as_ptr().cast(), &raw mut attributes) };
    if status != NDIS_STATUS_SUCCESS {
        // SAFETY: made above, and known to nobody.
        unsafe { free(filter) };
        return status;
    }
    enlist(filter);
    status
}

/// FilterDetach: the module is paused, no list and no OID request is out. PASSIVE_LEVEL.
pub unsafe extern "win64" fn detach(context: NDIS_HANDLE) {
    let Some(filter) = NonNull::new(context.cast::<Filter>()) else { return };
    delist(filter);
    // SAFETY: the module is freed below only.
    let module = unsafe { filter.as_ref() };
    module.dereference();
    module.unused.wait();
    let counters = module.sends.counters();
    line(
        Level::Info,
        format_args!(
            "detached: own={} success={} aborted={} paused={} failed={} passed={} cancelled={} refused={}",
            counters.own_originated,
            counters.own_success,
            counters.own_aborted,
            counters.own_paused,
            counters.own_failed,
            counters.passed_down,
            counters.cancelled,
            counters.refused
        ),
    );
    // SAFETY: out of the list, and the last reference is gone.
    unsafe { free(filter) };
}

/// Frees a module that nobody knows any more.
unsafe fn free(filter: NonNull<Filter>) {
    // SAFETY: allocated in `attach` under this tag, used by nobody any more.
    unsafe {
        filter.drop_in_place();
        ExFreePoolWithTag(filter.as_ptr().cast(), POOL_TAG);
    }
}

/// FilterSetModuleOptions: before a restart, the module says which handlers lists take. PASSIVE_LEVEL.
pub unsafe extern "win64" fn set_options(context: NDIS_HANDLE) -> NDIS_STATUS {
    // SAFETY: NDIS passes the context of an attached module, which is paused.
    let filter = unsafe { Filter::of(context) };
    let bypassed = filter.wants_bypass.load(Ordering::Relaxed);
    let mut handlers = NDIS_FILTER_PARTIAL_CHARACTERISTICS {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_FILTER_PARTIAL_CHARACTERISTICS,
            NDIS_FILTER_PARTIAL_CHARACTERISTICS_REVISION_1,
            size_of::<NDIS_FILTER_PARTIAL_CHARACTERISTICS>() as u16,
        ),
        Flags: 0,
        SendNetBufferListsHandler: None,
        SendNetBufferListsCompleteHandler: None,
        CancelSendNetBufferListsHandler: None,
        ReceiveNetBufferListsHandler: None,
        ReturnNetBufferListsHandler: None,
    };
    if !bypassed {
        handlers.SendNetBufferListsHandler = Some(datapath::send);
        handlers.SendNetBufferListsCompleteHandler = Some(datapath::send_complete);
        handlers.CancelSendNetBufferListsHandler = Some(datapath::cancel_send);
        handlers.ReceiveNetBufferListsHandler = Some(datapath::receive);
        handlers.ReturnNetBufferListsHandler = Some(datapath::give_back);
    }
    // SAFETY: inside FilterSetModuleOptions, with the module's handle; NDIS copies the handlers.
    let status = unsafe { NdisSetOptionalHandlers(filter.handle, (&raw mut handlers).cast()) };
    if status == NDIS_STATUS_SUCCESS {
        filter.bypassed.store(bypassed, Ordering::Relaxed);
    }
    status
}

/// FilterRestart: lists flow again. PASSIVE_LEVEL.
pub unsafe extern "win64" fn restart(
    context: NDIS_HANDLE,
    _parameters: *mut NDIS_FILTER_RESTART_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    // A module that is bypassed stays as it was when it was paused: it would not see its own lists come back.
    if !filter.is_bypassed() {
        filter.sends.restart();
    }
    NDIS_STATUS_SUCCESS
}

/// FilterPause: held lists go back, own lists come back; over when all that is done. PASSIVE_LEVEL.
pub unsafe extern "win64" fn pause(
    context: NDIS_HANDLE,
    _parameters: *mut NDIS_FILTER_PAUSE_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    filter.sends.pause(filter);
    NDIS_STATUS_PENDING
}

impl Stack<Nbl> for Filter {
    fn is_own(&self, list: Nbl) -> bool {
        // SAFETY: the list is this driver's to read.
        unsafe { (*list.as_ptr()).SourceHandle == self.handle }
    }

    fn send_down(&self, lists: Chain<Nbl>, way: Way) {
        // SAFETY: the module is attached, and the lists are no longer this driver's.
        unsafe { NdisFSendNetBufferLists(self.handle, given(lists), way.port, way.flags) };
    }

    fn complete_up(&self, lists: Chain<Nbl>, flags: u32) {
        // SAFETY: as above; the lists came from above.
        unsafe { NdisFSendNetBufferListsComplete(self.handle, given(lists), flags) };
    }

    fn cancel_down(&self, id: u64) {
        // SAFETY: the module is attached.
        unsafe { NdisFCancelSendNetBufferLists(self.handle, id_pointer(id)) };
    }

    fn recycle(&self, lists: Chain<Nbl>) {
        self.own.give_back(lists);
    }

    fn paused(&self) {
        // SAFETY: the module is attached, and its FilterPause returns, or has returned, NDIS_STATUS_PENDING.
        unsafe { NdisFPauseComplete(self.handle) };
    }
}
