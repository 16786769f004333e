//! Dispatcher objects in drivers' own memory, and the waits for them: events, mutexes, semaphores; timers and threads have
//! the same header.
//!
//! Layouts: wdm.h (DISPATCHER_HEADER, KEVENT, KMUTANT, KSEMAPHORE). Semantics and IRQL: the pages of
//! KeWaitForSingleObject, KeWaitForMultipleObjects, KeSetEvent, KeReleaseMutex and KeReleaseSemaphore.

use crate::ke::irqlock::IrqLock;
use crate::ke::{self, Event, Irql};
use crate::verifier::{BugCheck, require_irql, trace};
use alloc::{format, sync::Arc, vec::Vec};
use wdk_offline::{LARGE_INTEGER, NTSTATUS};

/// STATUS_TIMEOUT.
const STATUS_TIMEOUT: NTSTATUS = 0x102;
/// THREAD_WAIT_OBJECTS and MAXIMUM_WAIT_OBJECTS.
const WITHOUT_BLOCKS: u32 = 3;
const MOST_OBJECTS: u32 = 64;
const MAXIMUM_WAIT_OBJECTS_EXCEEDED: BugCheck = BugCheck::given(0xC);
/// The exceptions that KeReleaseMutex and KeReleaseSemaphore raise, which nobody handles.
const STATUS_MUTANT_NOT_OWNED: u64 = 0xC000_0046;
const STATUS_SEMAPHORE_LIMIT_EXCEEDED: u64 = 0xC000_0047;
const SYSTEM_THREAD_EXCEPTION_NOT_HANDLED: BugCheck = BugCheck::given(0x7E);

/// KOBJECTS: what DISPATCHER_HEADER.Type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// It stays signalled.
    NotificationEvent = 0,
    /// One waiter takes the signal.
    SynchronizationEvent = 1,
    /// It has an owner while it is not signalled.
    Mutant = 2,
    /// Each waiter takes one of its count.
    Semaphore = 5,
    /// Signalled once it has ended.
    Thread = 6,
    /// It stays signalled.
    NotificationTimer = 8,
    /// One waiter takes the signal.
    SynchronizationTimer = 9,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::NotificationEvent,
        Self::SynchronizationEvent,
        Self::Mutant,
        Self::Semaphore,
        Self::Thread,
        Self::NotificationTimer,
        Self::SynchronizationTimer,
    ];
}

/// DISPATCHER_HEADER.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Header {
    kind: u8,
    _signalling: u8,
    /// In words of 32 bits.
    size: u8,
    _flags: u8,
    signal: i32,
    /// An empty list: the waits are not in the driver's memory.
    waiters: [usize; 2],
}
const _: () = assert!(size_of::<Header>() == 24);

/// KMUTANT.
#[repr(C)]
pub(super) struct Mutant {
    header: Header,
    _list: [usize; 2],
    /// The number of the thread that has it, and 1.
    owner: usize,
    _abandoned: [u8; 8],
}
const _: () = assert!(size_of::<Mutant>() == 56);

/// KSEMAPHORE.
#[repr(C)]
pub(super) struct Semaphore {
    header: Header,
    limit: i32,
}
const _: () = assert!(size_of::<Semaphore>() == 32);

/// Makes `T`, which begins with a header, an object of that kind.
///
/// # Safety
/// `at` points to memory for a `T` that nobody waits for.
pub(super) unsafe fn initialize<T>(at: *mut T, kind: Kind, signal: i32) {
    let header = at.cast::<Header>();
    let size = (size_of::<T>() / 4) as u8;
    // SAFETY: by contract.
    unsafe {
        let list = (&raw const (*header).waiters).addr();
        header.write(Header {
            kind: kind as u8,
            _signalling: 0,
            size,
            _flags: 0,
            signal,
            waiters: [list; 2],
        });
    }
}

/// One thread's wait.
struct Waiter {
    thread: u64,
    objects: Vec<usize>,
    all: bool,
    /// Which object has ended it; with `all`, 0.
    done: Option<usize>,
    woken: Arc<Event>,
}

/// The waits, in the order in which they began.
static WAITERS: IrqLock<Vec<Waiter>> = IrqLock::new(Vec::new());

/// Whether the object would end a wait of that thread. Under the lock of the waits.
///
/// # Safety
/// `object` is a dispatcher object that lives; so for all below.
unsafe fn is_signalled(object: usize, thread: u64) -> bool {
    // SAFETY: by contract; a mutant's header is the beginning of one.
    unsafe {
        let header = object as *const Header;
        let owned =
            (*header).kind == Kind::Mutant as u8 && (*(object as *const Mutant)).owner == thread as usize + 1;
        (*header).signal > 0 || owned
    }
}

/// Takes from a signalled object what a wait for it takes.
unsafe fn take(object: usize, thread: u64) {
    let header = object as *mut Header;
    // SAFETY: by contract; a mutant's header is the beginning of one.
    unsafe {
        match (*header).kind {
            kind if kind == Kind::SynchronizationEvent as u8 || kind == Kind::SynchronizationTimer as u8 => {
                (*header).signal = 0;
            }
            kind if kind == Kind::Semaphore as u8 => (*header).signal -= 1,
            kind if kind == Kind::Mutant as u8 => {
                (*header).signal -= 1;
                (*(object as *mut Mutant)).owner = thread as usize + 1;
            }
            _ => {}
        }
    }
}

/// Ends the wait if what it is for is signalled: by which object.
unsafe fn satisfy(objects: &[usize], all: bool, thread: u64) -> Option<usize> {
    // SAFETY: by contract, for each of them.
    unsafe {
        if all {
            if !objects.iter().all(|&object| is_signalled(object, thread)) {
                return None;
            }
            objects.iter().for_each(|&object| take(object, thread));
            return Some(0);
        }
        let first = objects.iter().position(|&object| is_signalled(object, thread))?;
        take(objects[first], thread);
        Some(first)
    }
}

/// Changes an object, and ends the waits that it ends now. Any IRQL.
///
/// # Safety
/// The objects that anybody waits for live.
pub(super) unsafe fn change<R>(change: impl FnOnce() -> R) -> R {
    WAITERS.with(|waiters| {
        let result = change();
        for waiter in waiters.iter_mut().filter(|waiter| waiter.done.is_none()) {
            // SAFETY: by contract.
            waiter.done = unsafe { satisfy(&waiter.objects, waiter.all, waiter.thread) };
            if waiter.done.is_some() {
                waiter.woken.set();
            }
        }
        result
    })
}

/// The header of what a driver passes; anything else is a violation.
fn header(object: *mut Header, kinds: &[Kind], function: &str) -> *mut Header {
    // SAFETY: the driver passes its object; what is no memory faults in its name.
    let kind = unsafe { (*object).kind };
    if !kinds.iter().any(|known| *known as u8 == kind) {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0, object as u64, kind.into(), 0],
            "DispatcherObjectNotInitialized",
            format!("{function}: {object:p} is no such object (its header's type is {kind})"),
        );
    }
    object
}

/// When a wait ends at the latest: `None` for a wait without limit, else microseconds from now, 0 for none.
fn limit(timeout: *const LARGE_INTEGER, function: &str) -> Option<u64> {
    // SAFETY: the driver passes NULL or its interval; every member of the union is plain numbers.
    let units = unsafe { timeout.as_ref()?.QuadPart };
    if units > 0 {
        trace::not_offered(&format!("{function} until a time of day"));
    }
    Some(units.unsigned_abs().div_ceil(10))
}

fn wait(function: &str, objects: Vec<usize>, all: bool, limit: Option<u64>) -> NTSTATUS {
    let level = ke::irql();
    // at DISPATCH_LEVEL one may look, and not wait
    if level > Irql::APC && (limit != Some(0) || level > Irql::DISPATCH) {
        trace::stop(
            BugCheck::IRQL_NOT_LESS_OR_EQUAL,
            [0, level.into(), 0, 0],
            "WaitAtDispatch",
            format!("{function} at IRQL {level}"),
        );
    }
    let thread = ke::current_thread();
    let woken = Arc::new(Event::auto());
    let own = woken.clone();
    let found = WAITERS.with(|waiters| {
        // SAFETY: the driver's objects, which have been looked at.
        let found = unsafe { satisfy(&objects, all, thread) };
        if found.is_none() && limit != Some(0) {
            waiters.push(Waiter { thread, objects, all, done: None, woken: own });
        }
        found
    });
    if let Some(index) = found {
        return index as NTSTATUS;
    }
    match limit {
        Some(0) => return STATUS_TIMEOUT,
        Some(us) => {
            trace::sleep(|| woken.wait_timeout(us));
        }
        None => trace::sleep(|| woken.wait()),
    }
    let over = WAITERS.with(|waiters| {
        let at = waiters.iter().position(|waiter| Arc::ptr_eq(&waiter.woken, &woken))?;
        Some(waiters.remove(at))
    });
    over.and_then(|waiter| waiter.done).map_or(STATUS_TIMEOUT, |index| index as NTSTATUS)
}

/// KeWaitForSingleObject: up to APC_LEVEL, with a timeout of 0 up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn for_single(
    object: *mut Header,
    _reason: i32,
    _mode: i8,
    _alertable: u8,
    timeout: *const LARGE_INTEGER,
) -> NTSTATUS {
    const FUNCTION: &str = "KeWaitForSingleObject";
    let object = header(object, &Kind::ALL, FUNCTION);
    wait(FUNCTION, alloc::vec![object as usize], false, limit(timeout, FUNCTION))
}

/// KeWaitForMultipleObjects: as above; WaitAll is 0, WaitAny 1. More than three objects need wait blocks.
pub(super) unsafe extern "win64" fn for_multiple(
    count: u32,
    objects: *const *mut Header,
    any: i32,
    _reason: i32,
    _mode: i8,
    _alertable: u8,
    timeout: *const LARGE_INTEGER,
    blocks: *mut u8,
) -> NTSTATUS {
    const FUNCTION: &str = "KeWaitForMultipleObjects";
    if count == 0 || count > MOST_OBJECTS || blocks.is_null() && count > WITHOUT_BLOCKS {
        let place = format!("{FUNCTION}: {count} objects, wait blocks at {blocks:p}");
        trace::stop(MAXIMUM_WAIT_OBJECTS_EXCEEDED, [count.into(), 0, 0, 0], "WaitObjectsExceeded", place);
    }
    // SAFETY: the driver's array has that many pointers.
    let objects = unsafe { core::slice::from_raw_parts(objects, count as usize) };
    let objects = objects.iter().map(|&object| header(object, &Kind::ALL, FUNCTION) as usize).collect();
    wait(FUNCTION, objects, any == 0, limit(timeout, FUNCTION))
}

const EVENTS: [Kind; 2] = [Kind::NotificationEvent, Kind::SynchronizationEvent];

/// KeInitializeEvent: any IRQL; NotificationEvent is 0, SynchronizationEvent 1.
pub(super) unsafe extern "win64" fn initialize_event(event: *mut Header, kind: i32, state: u8) {
    let kind = if kind == 0 { Kind::NotificationEvent } else { Kind::SynchronizationEvent };
    // SAFETY: the driver passes memory for an event.
    unsafe { initialize(event, kind, i32::from(state != 0)) };
}

/// Sets an event's state: what it was.
fn set(function: &str, event: *mut Header, signal: i32) -> i32 {
    require_irql(function, Irql::DISPATCH);
    let event = header(event, &EVENTS, function);
    // SAFETY: the driver's event, and others that somebody waits for.
    unsafe { change(|| core::mem::replace(&mut (*event).signal, signal)) }
}

/// KeSetEvent: up to DISPATCH_LEVEL, and up to APC_LEVEL where a wait is to follow. What it was.
pub(super) unsafe extern "win64" fn set_event(event: *mut Header, _increment: i32, wait: u8) -> i32 {
    const FUNCTION: &str = "KeSetEvent";
    if wait != 0 {
        require_irql("KeSetEvent with Wait", Irql::APC);
    }
    set(FUNCTION, event, 1)
}

/// KeResetEvent: up to DISPATCH_LEVEL. What it was.
pub(super) unsafe extern "win64" fn reset_event(event: *mut Header) -> i32 {
    set("KeResetEvent", event, 0)
}

/// KeClearEvent: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn clear_event(event: *mut Header) {
    set("KeClearEvent", event, 0);
}

/// KeReadStateEvent, -Mutex, -Semaphore, -Timer: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn read_state(object: *mut Header) -> i32 {
    const FUNCTION: &str = "KeReadState";
    require_irql(FUNCTION, Irql::DISPATCH);
    let object = header(object, &Kind::ALL, FUNCTION);
    // SAFETY: an object of the driver's.
    unsafe { (&raw const (*object).signal).read_volatile() }
}

/// KeInitializeMutex: any IRQL; nobody has it.
pub(super) unsafe extern "win64" fn initialize_mutex(mutex: *mut Mutant, _level: u32) {
    // SAFETY: the driver passes memory for a mutex.
    unsafe {
        mutex.cast::<u8>().write_bytes(0, size_of::<Mutant>());
        initialize(mutex, Kind::Mutant, 1);
    }
}

/// KeReleaseMutex: up to DISPATCH_LEVEL, by the thread that has it. 0: it is free now.
pub(super) unsafe extern "win64" fn release_mutex(mutex: *mut Mutant, _wait: u8) -> i32 {
    const FUNCTION: &str = "KeReleaseMutex";
    require_irql(FUNCTION, Irql::DISPATCH);
    header(mutex.cast(), &[Kind::Mutant], FUNCTION);
    let thread = ke::current_thread() as usize + 1;
    // SAFETY: the driver's mutex, and others that somebody waits for.
    let before = unsafe {
        change(|| {
            if (*mutex).owner != thread {
                return None;
            }
            let before = (*mutex).header.signal;
            (*mutex).header.signal += 1;
            if (*mutex).header.signal == 1 {
                (*mutex).owner = 0;
            }
            Some(before)
        })
    };
    before.unwrap_or_else(|| {
        let parameters = [STATUS_MUTANT_NOT_OWNED, 0, 0, 0];
        let place = format!("{FUNCTION}: this thread does not have {mutex:p}");
        trace::stop(SYSTEM_THREAD_EXCEPTION_NOT_HANDLED, parameters, "MutexNotOwned", place)
    })
}

/// KeInitializeSemaphore: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn initialize_semaphore(semaphore: *mut Semaphore, count: i32, limit: i32) {
    require_irql("KeInitializeSemaphore", Irql::PASSIVE);
    // SAFETY: the driver passes memory for a semaphore.
    unsafe {
        initialize(semaphore, Kind::Semaphore, count);
        (*semaphore).limit = limit;
    }
}

/// KeReleaseSemaphore: up to DISPATCH_LEVEL. What its count was.
pub(super) unsafe extern "win64" fn release_semaphore(
    semaphore: *mut Semaphore,
    _increment: i32,
    adjustment: i32,
    _wait: u8,
) -> i32 {
    const FUNCTION: &str = "KeReleaseSemaphore";
    require_irql(FUNCTION, Irql::DISPATCH);
    header(semaphore.cast(), &[Kind::Semaphore], FUNCTION);
    // SAFETY: the driver's semaphore, and others that somebody waits for.
    let (before, fits) = unsafe {
        change(|| {
            let before = (*semaphore).header.signal;
            let after = before.checked_add(adjustment).filter(|after| *after <= (*semaphore).limit);
            let fits = adjustment > 0 && after.is_some();
            (*semaphore).header.signal = after.filter(|_| fits).unwrap_or(before);
            (before, fits)
        })
    };
    if !fits {
        let parameters = [STATUS_SEMAPHORE_LIMIT_EXCEEDED, 0, 0, 0];
        let place = format!("{FUNCTION}: {before} and {adjustment} are above its limit, or not more");
        trace::stop(SYSTEM_THREAD_EXCEPTION_NOT_HANDLED, parameters, "SemaphoreLimitExceeded", place);
    }
    before
}

/// Signals a timer or a thread, or takes the signal back. Any IRQL.
///
/// # Safety
/// It lives.
pub(super) unsafe fn signal(object: *mut Header, signal: bool) {
    // SAFETY: by contract, and what somebody waits for lives.
    unsafe { change(|| (*object).signal = signal.into()) };
}

/// FAST_MUTEX.
#[repr(C)]
pub(super) struct FastMutex {
    count: i32,
    owner: usize,
    _contention: u32,
    event: Header,
    old_irql: u32,
}
const _: () = assert!(size_of::<FastMutex>() == 56);

/// ExAcquireFastMutex: up to APC_LEVEL, to which it raises; not by the thread that has it.
pub(super) unsafe extern "win64" fn acquire_fast_mutex(mutex: *mut FastMutex) {
    const FUNCTION: &str = "ExAcquireFastMutex";
    require_irql(FUNCTION, Irql::APC);
    let old = ke::raise(Irql::APC);
    let thread = ke::current_thread() as usize + 1;
    // SAFETY: the driver passes its mutex, which ExInitializeFastMutex has filled.
    unsafe {
        header(&raw mut (*mutex).event, &EVENTS, FUNCTION);
        let (free, own) = change(|| {
            (*mutex).count -= 1;
            ((*mutex).count == 0, (*mutex).owner == thread)
        });
        if own {
            let place = format!("{FUNCTION}: this thread has {mutex:p} already, and waits for itself");
            trace::stop(
                BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
                [0x33, mutex as u64, 0, 0],
                "FastMutexAcquiredTwice",
                place,
            );
        }
        if !free {
            wait(FUNCTION, alloc::vec![&raw mut (*mutex).event as usize], false, None);
        }
        (*mutex).owner = thread;
        (*mutex).old_irql = old.number().into();
    }
}

/// ExTryToAcquireFastMutex: up to APC_LEVEL; FALSE if somebody has it.
pub(super) unsafe extern "win64" fn try_fast_mutex(mutex: *mut FastMutex) -> u8 {
    const FUNCTION: &str = "ExTryToAcquireFastMutex";
    require_irql(FUNCTION, Irql::APC);
    let old = ke::raise(Irql::APC);
    // SAFETY: as above.
    let free = unsafe {
        header(&raw mut (*mutex).event, &EVENTS, FUNCTION);
        change(|| {
            let free = (*mutex).count == 1;
            if free {
                (*mutex).count = 0;
                (*mutex).owner = ke::current_thread() as usize + 1;
                (*mutex).old_irql = old.number().into();
            }
            free
        })
    };
    if !free {
        ke::lower(old);
    }
    free.into()
}

/// ExReleaseFastMutex: APC_LEVEL, by the thread that has it; goes back to the IRQL of before.
pub(super) unsafe extern "win64" fn release_fast_mutex(mutex: *mut FastMutex) {
    const FUNCTION: &str = "ExReleaseFastMutex";
    // SAFETY: as above.
    unsafe {
        header(&raw mut (*mutex).event, &EVENTS, FUNCTION);
        if (*mutex).owner != ke::current_thread() as usize + 1 || ke::irql() != Irql::APC {
            let place = format!("{FUNCTION}: this thread does not have {mutex:p}, or IRQL is not APC_LEVEL");
            trace::stop(
                BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
                [0x34, mutex as u64, 0, 0],
                "MutexNotOwned",
                place,
            );
        }
        let old = Irql::new((*mutex).old_irql as u8);
        (*mutex).owner = 0;
        change(|| {
            (*mutex).count += 1;
            if (*mutex).count <= 0 {
                (*mutex).event.signal = 1;
            }
        });
        ke::lower(old);
    }
}
