//! KDPC and KTIMER in drivers' own memory.
//!
//! Layouts: wdm.h (KDPC, KTIMER). Semantics and IRQL: the pages of KeInitializeDpc, KeInsertQueueDpc, KeRemoveQueueDpc,
//! KeFlushQueuedDpcs, KeSetTimerEx, KeSetCoalescableTimer and KeCancelTimer.

use super::wait::{self, Header, Kind};
use crate::ke::irqlock::IrqLock;
use crate::ke::{self, Dpc, Irql};
use crate::mm::Owner;
use crate::verifier::owners::{label, owner_of};
use crate::verifier::{BugCheck, require_irql, trace};
use alloc::{boxed::Box, collections::BTreeMap, format, string::String, sync::Arc, vec::Vec};
use core::ffi::c_void;

/// TIMER_OR_DPC_INVALID.
const TIMER_OR_DPC_INVALID: BugCheck = BugCheck::given(0xC7);
/// DpcObject, the type in a KDPC.
const DPC_OBJECT: u8 = 0x13;

type Routine = unsafe extern "win64" fn(*mut Kdpc, *mut c_void, *mut c_void, *mut c_void);

/// KDPC.
#[repr(C)]
pub(super) struct Kdpc {
    kind: u8,
    _importance: u8,
    _processor: u16,
    _list: [u64; 2],
    routine: Option<Routine>,
    context: *mut c_void,
    arguments: [*mut c_void; 2],
    _data: usize,
}
const _: () = assert!(size_of::<Kdpc>() == 64);

/// KTIMER.
#[repr(C)]
pub(super) struct Ktimer {
    header: Header,
    _due: u64,
    _list: [u64; 2],
    dpc: *mut Kdpc,
    _processor: u32,
    period: u32,
}
const _: () = assert!(size_of::<Ktimer>() == 64);

/// What the driver has made of one KDPC or KTIMER.
struct Known<T> {
    owner: Owner,
    inner: T,
}

/// The two arguments of a DPC that is queued.
type Arguments = Arc<IrqLock<[usize; 2]>>;

/// Those of one kind, by address.
type All<T> = IrqLock<BTreeMap<usize, Arc<Known<T>>>>;

static DPCS: All<(Dpc, Arguments)> = IrqLock::new(BTreeMap::new());
static TIMERS: All<ke::Timer> = IrqLock::new(BTreeMap::new());

fn stop(rule: &'static str, object: usize, place: String) -> ! {
    trace::stop(TIMER_OR_DPC_INVALID, [0, object as u64, 0, 0], rule, place)
}

fn dpc(at: *mut Kdpc, function: &str) -> Arc<Known<(Dpc, Arguments)>> {
    let found = DPCS.with(|dpcs| dpcs.get(&(at as usize)).cloned());
    found.unwrap_or_else(|| {
        let place = format!("{function}: {at:p} is no KDPC that was initialized");
        stop("DispatcherObjectNotInitialized", at as usize, place)
    })
}

fn timer(at: *mut Ktimer, function: &str) -> Arc<Known<ke::Timer>> {
    let found = TIMERS.with(|timers| timers.get(&(at as usize)).cloned());
    found.unwrap_or_else(|| {
        let place = format!("{function}: {at:p} is no KTIMER that was initialized");
        stop("DispatcherObjectNotInitialized", at as usize, place)
    })
}

/// KeInitializeDpc: any IRQL.
pub(super) unsafe extern "win64" fn initialize_dpc(at: *mut Kdpc, routine: Routine, context: *mut c_void) {
    let made = Kdpc {
        kind: DPC_OBJECT,
        _importance: 1,
        _processor: 0,
        _list: [0; 2],
        routine: Some(routine),
        context,
        arguments: [core::ptr::null_mut(); 2],
        _data: 0,
    };
    // SAFETY: the driver passes memory for it.
    unsafe { at.write(made) };
    let owner = owner_of(routine as usize as u64);
    let arguments: Arguments = Arc::new(IrqLock::new([0; 2]));
    let (place, context, given) = (at as usize, context as usize, arguments.clone());
    let dpc = Dpc::new(Box::new(move || {
        let [first, second] = given.with(|given| *given);
        // SAFETY: the driver's routine with what it has given for it, at DISPATCH_LEVEL.
        trace::quick_callback(label(owner), "DPC routine", || unsafe {
            routine(place as *mut Kdpc, context as *mut c_void, first as *mut c_void, second as *mut c_void);
        });
    }));
    let known = Arc::new(Known { owner, inner: (dpc, arguments) });
    let old = DPCS.with(|dpcs| dpcs.insert(place, known));
    if old.is_some_and(|old| old.inner.0.is_queued()) {
        stop("TimerOrDpcInUse", place, format!("KeInitializeDpc of {at:p}, which is queued"));
    }
}

/// KeInsertQueueDpc: any IRQL. FALSE if it is queued already.
pub(super) unsafe extern "win64" fn insert_queue_dpc(
    at: *mut Kdpc,
    first: *mut c_void,
    second: *mut c_void,
) -> u8 {
    let known = dpc(at, "KeInsertQueueDpc");
    let (dpc, arguments) = &known.inner;
    if dpc.is_queued() {
        return 0;
    }
    arguments.with(|arguments| *arguments = [first as usize, second as usize]);
    dpc.queue().into()
}

/// KeRemoveQueueDpc: any IRQL. TRUE if it was queued.
pub(super) unsafe extern "win64" fn remove_queue_dpc(at: *mut Kdpc) -> u8 {
    dpc(at, "KeRemoveQueueDpc").inner.0.remove().into()
}

/// KeSetImportanceDpc, KeSetTargetProcessorDpc: any IRQL. There is one processor, which takes DPCs in their order.
pub(super) unsafe extern "win64" fn set_dpc(at: *mut Kdpc, _value: i32) {
    dpc(at, "KeSetImportanceDpc");
}

/// KeFlushQueuedDpcs: PASSIVE_LEVEL, where none waits on the only processor.
pub(super) unsafe extern "win64" fn flush_queued_dpcs() {
    require_irql("KeFlushQueuedDpcs", Irql::PASSIVE);
}

/// KeInitializeTimer: any IRQL; a notification timer.
pub(super) unsafe extern "win64" fn initialize_timer_for(
    at: *mut Ktimer,
    _unused: u64,
    _unused_either: u64,
    caller: u64,
) {
    initialize(at, Kind::NotificationTimer, owner_of(caller));
}

/// KeInitializeTimerEx: any IRQL; NotificationTimer is 0, SynchronizationTimer 1.
pub(super) unsafe extern "win64" fn initialize_timer_ex_for(
    at: *mut Ktimer,
    kind: i32,
    _unused: u64,
    caller: u64,
) {
    let kind = if kind == 0 { Kind::NotificationTimer } else { Kind::SynchronizationTimer };
    initialize(at, kind, owner_of(caller));
}

fn initialize(at: *mut Ktimer, kind: Kind, owner: Owner) {
    // SAFETY: the driver passes memory for it.
    unsafe {
        at.cast::<u8>().write_bytes(0, size_of::<Ktimer>());
        wait::initialize(at, kind, 0);
    }
    let place = at as usize;
    let fires = ke::Timer::new(Box::new(move || {
        let at = place as *mut Ktimer;
        // SAFETY: a timer that is set lives, by contract.
        let dpc = unsafe {
            wait::signal(at.cast(), true);
            (*at).dpc
        };
        if !dpc.is_null() {
            let known = DPCS.with(|dpcs| dpcs.get(&(dpc as usize)).cloned());
            if let Some(known) = known {
                known.inner.1.with(|arguments| *arguments = [0; 2]);
                known.inner.0.queue();
            }
        }
    }));
    let known = Arc::new(Known { owner, inner: fires });
    let old = TIMERS.with(|timers| timers.insert(place, known));
    if old.is_some_and(|old| old.inner.is_started()) {
        stop("TimerOrDpcInUse", place, format!("KeInitializeTimer of {at:p}, which is set"));
    }
}

/// Sets a timer; whether it was set already. `due` in 100 ns, negative from now on, `period` in milliseconds.
fn set(function: &str, at: *mut Ktimer, due: i64, period: i32, dpc: *mut Kdpc) -> u8 {
    require_irql(function, Irql::DISPATCH);
    let known = timer(at, function);
    if due > 0 {
        trace::not_offered(&format!("{function} for a time of day"));
    }
    if !dpc.is_null() {
        self::dpc(dpc, function);
    }
    let was = known.inner.stop();
    // SAFETY: the driver's timer.
    unsafe {
        wait::signal(at.cast(), false);
        (*at).dpc = dpc;
        (*at).period = period as u32;
    }
    let period = u64::from(period.max(0) as u32) * 1000;
    known.inner.start_periodic(due.unsigned_abs().div_ceil(10), period);
    was.into()
}

/// KeSetTimer: up to DISPATCH_LEVEL. TRUE if it was set.
pub(super) unsafe extern "win64" fn set_timer(at: *mut Ktimer, due: i64, dpc: *mut Kdpc) -> u8 {
    set("KeSetTimer", at, due, 0, dpc)
}

/// KeSetTimerEx: as above, and again after each period of so many milliseconds.
pub(super) unsafe extern "win64" fn set_timer_ex(
    at: *mut Ktimer,
    due: i64,
    period: i32,
    dpc: *mut Kdpc,
) -> u8 {
    set("KeSetTimerEx", at, due, period, dpc)
}

/// KeSetCoalescableTimer: as KeSetTimerEx; no later than that, whatever is tolerated.
pub(super) unsafe extern "win64" fn set_coalescable_timer(
    at: *mut Ktimer,
    due: i64,
    period: u32,
    _tolerable: u32,
    dpc: *mut Kdpc,
) -> u8 {
    set("KeSetCoalescableTimer", at, due, period as i32, dpc)
}

/// KeCancelTimer: up to DISPATCH_LEVEL. TRUE if it was set; a DPC that is queued already still runs.
pub(super) unsafe extern "win64" fn cancel_timer(at: *mut Ktimer) -> u8 {
    const FUNCTION: &str = "KeCancelTimer";
    require_irql(FUNCTION, Irql::DISPATCH);
    timer(at, FUNCTION).inner.stop().into()
}

/// Forgets the DPCs and timers of a driver that goes: those that are queued or set, in words.
pub(super) fn forget(owner: Owner) -> Vec<String> {
    fn take<T>(all: &All<T>, owner: Owner, is_used: impl Fn(&T) -> bool, name: &str, left: &mut Vec<String>) {
        let of_it = |all: &BTreeMap<usize, Arc<Known<T>>>| {
            all.iter().find(|(_, known)| known.owner == owner).map(|(&at, _)| at)
        };
        while let Some((at, known)) = all.with(|all| of_it(all).and_then(|at| all.remove_entry(&at))) {
            if is_used(&known.inner) {
                left.push(format!("{name} {at:#x}"));
            }
        }
    }
    let mut left = Vec::new();
    take(&TIMERS, owner, ke::Timer::is_started, "KTIMER", &mut left);
    take(&DPCS, owner, |(dpc, _)| dpc.is_queued(), "KDPC", &mut left);
    left
}
