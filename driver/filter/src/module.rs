//! A filter module: what it holds, its coming and going, its pauses.

use core::{
    cell::UnsafeCell,
    ptr::{NonNull, null_mut},
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
};

use cancelnic_filter_core::{Books, Chain, Lock as _, Module, Stack, Way};
use cancelnic_kernel::{check, clock, print::Level};
use ndis_sys::{
    NDIS_EVENT, NDIS_FILTER_ATTACH_PARAMETERS, NDIS_FILTER_ATTRIBUTES, NDIS_FILTER_ATTRIBUTES_REVISION_1,
    NDIS_FILTER_PAUSE_PARAMETERS, NDIS_FILTER_RESTART_PARAMETERS, NDIS_HANDLE, NDIS_OBJECT_HEADER,
    NDIS_OBJECT_TYPE_FILTER_ATTRIBUTES, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_INVALID_PARAMETER,
    NDIS_STATUS_PENDING, NDIS_STATUS_RESOURCES, NDIS_STATUS_SUCCESS, NdisFCancelSendNetBufferLists,
    NdisFPauseComplete, NdisFRestartFilter, NdisFSendNetBufferLists, NdisFSendNetBufferListsComplete,
    NdisFSetAttributes, NdisInitializeEvent, NdisMedium802_3, NdisSetEvent, NdisWaitEvent,
};
use wdk_sys::{
    POOL_FLAG_NON_PAGED, SIZE_T,
    ntddk::{ExAllocatePool2, ExFreePoolWithTag},
};

use crate::{
    ids,
    list::{Nbl, given},
    lock::SpinLock,
    own::{ADDRESS_LENGTH, OwnLists},
    report::{POOL_TAG, line},
};

/// An event that one wait ends.
pub(crate) struct Event(UnsafeCell<NDIS_EVENT>);

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
        // SAFETY: initialised when the module was made; 0 milliseconds is no limit.
        unsafe { NdisWaitEvent(self.0.get(), 0) };
    }
}

/// A filter module's context.
pub(crate) struct Filter {
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
    /// The file whose program wants lists to go past the module; 0: none does.
    wants_bypass: AtomicUsize,
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
    pub(crate) unsafe fn of<'f>(context: NDIS_HANDLE) -> &'f Self {
        // SAFETY: the caller vouches for the context.
        unsafe { &*context.cast::<Self>() }
    }

    /// Lets lists go past the module, as the program of a file wants, or through it, from the next restart on, which NDIS
    /// is asked for. At most DISPATCH_LEVEL.
    pub(crate) fn bypass(&self, file: Option<usize>) -> Result<(), NDIS_STATUS> {
        self.wants_bypass.store(file.unwrap_or(0), Ordering::Relaxed);
        // SAFETY: the module is attached.
        check(unsafe { NdisFRestartFilter(self.handle) })
    }

    /// Whether a program wants lists to go past the module from the next restart on.
    pub(crate) fn wants_bypass(&self) -> bool {
        self.wants_bypass.load(Ordering::Relaxed) != 0
    }

    /// Opens a gate that has been closed for too long. At most DISPATCH_LEVEL.
    pub(crate) fn look_at_the_clock(&self) {
        self.sends.look_at_the_clock(clock::milliseconds, self);
    }

    /// The last handle of a file is closed: what its program has set goes with it. At most DISPATCH_LEVEL.
    pub(crate) fn program_gone(&self, file: usize) {
        self.sends.gone(file, self);
        if self.wants_bypass.load(Ordering::Relaxed) == file
            && let Err(status) = self.bypass(None)
        {
            // It is put in again with the next restart that somebody else asks for.
            line(Level::Error, format_args!("no restart after a bypass (status {status:#010x})"));
        }
    }

    /// Which way lists take from now on.
    pub(crate) fn set_bypassed(&self, bypassed: bool) {
        self.bypassed.store(bypassed, Ordering::Relaxed);
    }

    /// Whether lists go past the module.
    pub(crate) fn is_bypassed(&self) -> bool {
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
pub(crate) struct Reference(NonNull<Filter>);

impl Reference {
    /// The module with this index in the order of attachment. At most DISPATCH_LEVEL.
    pub(crate) fn to(index: u32) -> Option<Self> {
        MODULES.with(|modules| {
            let mut at = modules.0?;
            // Ends with the list: an index is a program's, and may be any number.
            for _ in 0..index {
                // SAFETY: a module in the list is attached.
                let module = unsafe { at.as_ref() };
                // SAFETY: its link is guarded by the lock that is held.
                at = unsafe { *module.next.get() }?;
            }
            // SAFETY: a module in the list is attached: `detach` takes it out before it gives its own reference back.
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
pub(crate) fn each(mut act: impl FnMut(&Filter)) {
    (0..).map_while(Reference::to).for_each(|filter| act(&filter));
}

impl Modules {
    /// The link that names `wanted`, or the last one, which names none.
    fn link_to(&mut self, wanted: Option<NonNull<Filter>>) -> &mut Option<NonNull<Filter>> {
        let mut link = &mut self.0;
        while let Some(other) = *link
            && Some(other) != wanted
        {
            // SAFETY: a module in the list is attached.
            let module = unsafe { other.as_ref() };
            // SAFETY: its link is guarded by the lock that is held around this value.
            link = unsafe { &mut *module.next.get() };
        }
        link
    }
}

/// Puts a module behind all others.
fn enlist(filter: NonNull<Filter>) {
    MODULES.with(|modules| *modules.link_to(None) = Some(filter));
}

/// Takes a module out of the list.
fn delist(filter: NonNull<Filter>) {
    MODULES.with(|modules| {
        // SAFETY: the module is attached; it is freed after this only.
        let next = unsafe { filter.as_ref() }.next.get();
        let link = modules.link_to(Some(filter));
        if link.is_some() {
            // SAFETY: the module's own link, guarded by the lock that is held; `link` is another's.
            *link = unsafe { next.read() };
        }
    });
}

/// FilterAttach: makes a module over an Ethernet adapter; it is paused. PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn attach(
    handle: NDIS_HANDLE,
    _driver_context: NDIS_HANDLE,
    parameters: *mut NDIS_FILTER_ATTACH_PARAMETERS,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes parameters of at least revision 1, in which these three members are.
    let medium = unsafe { (*parameters).MiniportMediaType };
    // SAFETY: as for the medium.
    let length = unsafe { (*parameters).MacAddressLength };
    // SAFETY: as for the medium.
    let address = unsafe { (*parameters).CurrentMacAddress };
    let Some(address) = address.first_chunk::<ADDRESS_LENGTH>() else { return NDIS_STATUS_INVALID_PARAMETER };
    if medium != NdisMedium802_3 || usize::from(length) != ADDRESS_LENGTH {
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the handle is that of the module that is being attached.
    let Some(own) = (unsafe { OwnLists::new(handle, *address) }) else { return NDIS_STATUS_RESOURCES };
    // SAFETY: a plain allocation; null is handled.
    let memory = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, size_of::<Filter>() as SIZE_T, POOL_TAG) };
    let Some(filter) = NonNull::new(memory.cast::<Filter>()) else { return NDIS_STATUS_RESOURCES };
    let module = Filter {
        handle,
        sends: Module::new(SpinLock::new(Books::new())),
        own,
        pending_request: SpinLock::new(null_mut()),
        next: UnsafeCell::new(None),
        references: AtomicU32::new(1),
        unused: Event::new(),
        wants_bypass: AtomicUsize::new(0),
        bypassed: AtomicBool::new(false),
    };
    // SAFETY: the allocation is large enough, pool is aligned to 16 bytes, and nobody else knows it.
    unsafe { filter.write(module) };
    // SAFETY: just written.
    let module = unsafe { filter.as_ref() };
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
pub(crate) unsafe extern "win64" fn detach(context: NDIS_HANDLE) {
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
///
/// # Safety
/// It was allocated in `attach`, and nobody uses it.
unsafe fn free(filter: NonNull<Filter>) {
    // SAFETY: the caller vouches that it is whole and used by nobody.
    unsafe { filter.drop_in_place() };
    // SAFETY: allocated in `attach` under this tag, freed once.
    unsafe { ExFreePoolWithTag(filter.as_ptr().cast(), POOL_TAG) };
}

/// FilterRestart: lists flow again. PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn restart(
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
pub(crate) unsafe extern "win64" fn pause(
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
        // SAFETY: the module is attached, and the lists, which came from above, are no longer this driver's.
        unsafe { NdisFSendNetBufferListsComplete(self.handle, given(lists), flags) };
    }

    fn cancel_down(&self, id: u64) {
        // SAFETY: the module is attached.
        unsafe { NdisFCancelSendNetBufferLists(self.handle, ids::pointer(id)) };
    }

    fn recycle(&self, lists: Chain<Nbl>) {
        self.own.give_back(lists);
    }

    fn paused(&self) {
        // SAFETY: the module is attached, and its FilterPause returns, or has returned, NDIS_STATUS_PENDING.
        unsafe { NdisFPauseComplete(self.handle) };
    }
}
