//! Threads of drivers', the handles and pointers by which they are known, and their end.
//!
//! The pages of PsCreateSystemThread, PsTerminateSystemThread, ObReferenceObjectByHandle, ObDereferenceObject and ZwClose.

use super::wait::{self, Header, Kind};
use crate::io::registry::Key;
use crate::ke::irqlock::IrqLock;
use crate::ke::{self, Irql, Thread};
use crate::mm::Owner;
use crate::verifier::owners::{label, owner_of};
use crate::verifier::pool::Lent;
use crate::verifier::{require_irql, trace};
use alloc::{boxed::Box, collections::BTreeMap, format, string::String, sync::Arc, vec::Vec};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use wdk_offline::{NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS};

const STATUS_INVALID_HANDLE: NTSTATUS = 0xC000_0008_u32 as i32;
const STATUS_OBJECT_TYPE_MISMATCH: NTSTATUS = 0xC000_0024_u32 as i32;
/// Handles of the kernel have the highest bit.
const KERNEL_HANDLES: u64 = 0xffff_ffff_8000_0000;
/// No thread has this number.
const NONE: u64 = u64::MAX;

/// A driver's thread.
pub(super) struct SystemThread {
    /// The object that drivers wait for.
    object: Lent,
    owner: Owner,
    /// The dispatcher's number, while it runs.
    number: AtomicU64,
    ended: AtomicBool,
    /// Pointers to its object that drivers hold.
    references: AtomicU32,
}

/// What is behind a handle.
#[derive(Clone)]
pub(super) enum Object {
    /// A thread.
    Thread(Arc<SystemThread>),
    /// A registry key.
    Key(Key),
}

struct Handle {
    owner: Owner,
    object: Object,
}

static HANDLES: IrqLock<BTreeMap<u64, Handle>> = IrqLock::new(BTreeMap::new());
static THREADS: IrqLock<Vec<Arc<SystemThread>>> = IrqLock::new(Vec::new());

/// Object types as drivers name them: the address of a pointer to each. Nobody looks behind them.
pub(super) static PS_THREAD_TYPE: usize = 0x5d0b_0000_0000_1000;

impl SystemThread {
    fn header(&self) -> *mut Header {
        self.object.start().cast()
    }

    /// Forgets those that have ended and that nobody holds.
    fn sweep() {
        let is_over = |thread: &Arc<Self>| {
            thread.ended.load(Relaxed)
                && thread.references.load(Relaxed) == 0
                && Arc::strong_count(thread) == 1
        };
        while let Some(over) = THREADS.with(|threads| {
            let at = threads.iter().position(is_over)?;
            Some(threads.remove(at))
        }) {
            drop(over);
        }
    }

    /// It has come to its end: whoever waits for it goes on.
    fn finish(&self) {
        self.number.store(NONE, Relaxed);
        self.ended.store(true, Relaxed);
        // SAFETY: the object is this thread's.
        unsafe { wait::signal(self.header(), true) };
    }
}

/// Makes a handle for a driver.
pub(super) fn handle(owner: Owner, object: Object) -> u64 {
    HANDLES.with(|handles| {
        let handle = handles.last_key_value().map_or(KERNEL_HANDLES, |(&last, _)| last) + 4;
        handles.insert(handle, Handle { owner, object });
        handle
    })
}

/// What is behind a handle.
pub(super) fn object(handle: u64) -> Option<Object> {
    HANDLES.with(|handles| handles.get(&handle).map(|handle| handle.object.clone()))
}

/// PsCreateSystemThread: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn create(
    out: *mut u64,
    _access: u32,
    _attributes: *mut c_void,
    _process: u64,
    _client: *mut c_void,
    routine: unsafe extern "win64" fn(*mut c_void),
    context: *mut c_void,
) -> NTSTATUS {
    require_irql("PsCreateSystemThread", Irql::PASSIVE);
    let owner = owner_of(routine as usize as u64);
    let made = Arc::new(SystemThread {
        object: Lent::new(b"Thre", 64, true),
        owner,
        number: AtomicU64::new(NONE),
        ended: AtomicBool::new(false),
        references: AtomicU32::new(0),
    });
    // SAFETY: fresh, and larger than a header.
    unsafe { wait::initialize(made.object.start().cast::<[u32; 16]>(), Kind::Thread, 0) };
    // a thread that is terminated drops nothing of what its frames hold: they must not hold its object
    let (listed, own, context) = (made.clone(), Arc::downgrade(&made), context as usize);
    THREADS.with(|threads| threads.push(listed));
    Thread::spawn(
        "system",
        Box::new(move || {
            if let Some(own) = own.upgrade() {
                own.number.store(ke::current_thread(), Relaxed);
            }
            // SAFETY: the driver's routine with its context, at PASSIVE_LEVEL.
            trace::callback(label(owner), trace::SYSTEM_THREAD, || unsafe {
                routine(context as *mut c_void);
            });
            end();
        }),
    );
    // SAFETY: the driver passes the place for its handle.
    unsafe { *out = handle(owner, Object::Thread(made)) };
    STATUS_SUCCESS
}

/// The running thread, if it is a driver's, has come to its end. Whether it is.
fn end() -> bool {
    let number = ke::current_thread();
    let is = |thread: &&Arc<SystemThread>| thread.number.load(Relaxed) == number;
    let own = THREADS.with(|threads| threads.iter().find(is).cloned());
    own.iter().for_each(|own| own.finish());
    let found = own.is_some();
    drop(own);
    SystemThread::sweep();
    found
}

/// PsTerminateSystemThread: PASSIVE_LEVEL, by a thread that was made so; it does not return.
pub(super) unsafe extern "win64" fn terminate(_status: NTSTATUS) -> NTSTATUS {
    require_irql("PsTerminateSystemThread", Irql::PASSIVE);
    if end() { Thread::end() } else { STATUS_INVALID_PARAMETER }
}

/// ObReferenceObjectByHandle: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn reference_by_handle(
    handle: u64,
    _access: u32,
    kind: usize,
    _mode: i8,
    out: *mut *mut c_void,
    _information: *mut c_void,
) -> NTSTATUS {
    const FUNCTION: &str = "ObReferenceObjectByHandle";
    require_irql(FUNCTION, Irql::PASSIVE);
    let thread = match object(handle) {
        Some(Object::Thread(thread)) => thread,
        Some(Object::Key(_)) => trace::not_offered("ObReferenceObjectByHandle of a registry key"),
        None => return STATUS_INVALID_HANDLE,
    };
    if kind != 0 && kind != PS_THREAD_TYPE {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    thread.references.fetch_add(1, Relaxed);
    // SAFETY: the driver passes the place for its pointer.
    unsafe { *out = thread.object.start().cast() };
    STATUS_SUCCESS
}

/// The thread whose object that is.
fn of_object(object: *mut c_void, function: &str) -> Arc<SystemThread> {
    let is = |thread: &&Arc<SystemThread>| thread.object.start().cast() == object;
    let found = THREADS.with(|threads| threads.iter().find(is).cloned());
    found.unwrap_or_else(|| trace::not_offered(&format!("{function} of an object that is no thread")))
}

/// ObfReferenceObject: up to DISPATCH_LEVEL. How many references there are.
pub(super) unsafe extern "win64" fn reference(object: *mut c_void) -> i64 {
    const FUNCTION: &str = "ObReferenceObject";
    require_irql(FUNCTION, Irql::DISPATCH);
    i64::from(of_object(object, FUNCTION).references.fetch_add(1, Relaxed)) + 1
}

/// ObfDereferenceObject: up to DISPATCH_LEVEL. How many references are left.
pub(super) unsafe extern "win64" fn dereference(object: *mut c_void) -> i64 {
    const FUNCTION: &str = "ObDereferenceObject";
    require_irql(FUNCTION, Irql::DISPATCH);
    let thread = of_object(object, FUNCTION);
    let left = thread.references.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
    let Ok(before) = left else {
        trace::stop(
            crate::verifier::BugCheck::given(0x18),
            [0, object as u64, 2, 0],
            "ObjectDereferencedTooOften",
            format!("{FUNCTION}: no reference to {object:p} is held"),
        );
    };
    drop(thread);
    SystemThread::sweep();
    i64::from(before) - 1
}

/// ZwClose: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn close(handle: u64) -> NTSTATUS {
    require_irql("ZwClose", Irql::PASSIVE);
    let gone = HANDLES.with(|handles| handles.remove(&handle));
    let status = if gone.is_some() { STATUS_SUCCESS } else { STATUS_INVALID_HANDLE };
    drop(gone);
    SystemThread::sweep();
    status
}

/// What a driver that goes leaves behind, by rule and in words.
pub(super) fn forget(owner: Owner) -> [(&'static str, Vec<String>); 3] {
    let mut handles = Vec::new();
    while let Some((number, gone)) = HANDLES.with(|all| {
        let at = all.iter().find(|(_, handle)| handle.owner == owner).map(|(&at, _)| at)?;
        all.remove_entry(&at)
    }) {
        handles.push(match gone.object {
            Object::Thread(_) => format!("{number:#x} of a thread"),
            Object::Key(key) => format!("{number:#x} of {}", key.path()),
        });
    }
    SystemThread::sweep();
    let (mut running, mut referenced) = (Vec::new(), Vec::new());
    let left: Vec<Arc<SystemThread>> = THREADS.with(|threads| threads.clone());
    for thread in left.iter().filter(|thread| thread.owner == owner) {
        let number = thread.number.load(Relaxed);
        match thread.references.load(Relaxed) {
            _ if !thread.ended.load(Relaxed) => running.push(format!("thread {number}")),
            0 => {}
            count => referenced.push(format!("{count} references to a thread")),
        }
    }
    THREADS.with(|threads| threads.retain(|thread| thread.owner != owner || !thread.ended.load(Relaxed)));
    [("ThreadLeaked", running), ("HandleLeaked", handles), ("ReferenceLeaked", referenced)]
}
