//! I/O request packets: stack locations, IoCallDriver, IoCompleteRequest, IoCancelIrp and the cancel spin lock.

use super::STATUS_MORE_PROCESSING_REQUIRED;
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::pool::Lent;
use crate::verifier::{BugCheck, require_irql, trace};
use alloc::{boxed::Box, collections::BTreeMap, format};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering::SeqCst};
use wdk_offline::{IO_STACK_LOCATION, IRP, NTSTATUS, PDRIVER_CANCEL, PIO_COMPLETION_ROUTINE};

/// SL_PENDING_RETURNED, SL_INVOKE_ON_CANCEL, _SUCCESS, _ERROR.
const PENDING_RETURNED: u8 = 1;
const INVOKE_ON_CANCEL: u8 = 0x20;
const INVOKE_ON_SUCCESS: u8 = 0x40;
const INVOKE_ON_ERROR: u8 = 0x80;

/// What is to happen when an IRP has been completed by every driver of its stack.
type Origin = Box<dyn FnOnce(Irp) + Send>;

/// A live IRP.
struct Record {
    /// The IRP and its stack locations.
    memory: Lent,
    origin: Option<Origin>,
    /// Whoever looks at it from outside (CancelIoEx) keeps it alive.
    pins: u32,
    freed: bool,
}

static LIVE: IrqLock<BTreeMap<usize, Record>> = IrqLock::new(BTreeMap::new());

/// An IRP, by its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Irp(*mut IRP);

// SAFETY: an address; the IRP behind it has one owner at a time, as the I/O model has it.
unsafe impl Send for Irp {}
// SAFETY: as above.
unsafe impl Sync for Irp {}

fn violation(code: BugCheck, irp: Irp, rule: &str, place: &str) -> ! {
    trace::stop(code, [irp.0 as u64, 0, 0, 0], rule, format!("IRP {:p}: {place}", irp.0))
}

impl Irp {
    /// A new IRP with `stack` locations; `origin` runs when it has come all the way up. Up to DISPATCH_LEVEL.
    pub(crate) fn new(stack: u8, origin: Option<Origin>) -> Self {
        let bytes = size_of::<IRP>() + usize::from(stack) * size_of::<IO_STACK_LOCATION>();
        let memory = Lent::new(b"Irp ", bytes, true);
        let irp = memory.start().cast::<IRP>();
        LIVE.with(|live| live.insert(irp as usize, Record { memory, origin, pins: 0, freed: false }));
        let this = Self(irp);
        // SAFETY: the fresh memory holds the IRP and `stack` locations behind it; all zero is valid for both.
        unsafe {
            (*irp).Type = 6;
            (*irp).Size = bytes as u16;
            (*irp).StackCount = stack as i8;
        }
        this.rewind();
        this
    }

    /// Sets the stack back to its beginning, for another use of a driver's own IRP.
    pub(crate) fn rewind(self) {
        // SAFETY: the locations follow the IRP; the current one is behind the last.
        unsafe {
            let count = (*self.0).StackCount;
            (*self.0).CurrentLocation = count + 1;
            let first = self.0.add(1).cast::<IO_STACK_LOCATION>();
            core::ptr::write_bytes(first, 0, count as usize);
            (*self.0).Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation =
                first.add(count as usize);
            (*self.0).Cancel = 0;
            (*self.0).CancelRoutine = None;
            (*self.0).PendingReturned = 0;
            (*self.0).IoStatus.Information = 0;
            (*self.0).IoStatus.__bindgen_anon_1.Pointer = core::ptr::null_mut();
        }
    }

    /// A driver's pointer as an IRP; one that is not live is a violation.
    pub(crate) fn from_raw(irp: *mut IRP, function: &str) -> Self {
        let this = Self(irp);
        if !LIVE.with(|live| live.get(&(irp as usize)).is_some_and(|record| !record.freed)) {
            violation(
                BugCheck::MULTIPLE_IRP_COMPLETE_REQUESTS,
                this,
                "IrpCompletedTwice",
                &format!("{function} of an IRP that is over, or was never one"),
            );
        }
        this
    }

    /// Its address.
    pub(crate) fn raw(self) -> *mut IRP {
        self.0
    }

    /// Gives it back: a late use shows.
    pub(crate) fn free(self) {
        let gone = LIVE.with(|live| {
            let record = live.get_mut(&(self.0 as usize))?;
            record.freed = true;
            (record.pins == 0).then(|| live.remove(&(self.0 as usize))).flatten()
        });
        drop(gone.map(|gone| gone.memory));
    }

    /// Keeps it from being given back; `false` if it is over already.
    pub(crate) fn pin(self) -> bool {
        LIVE.with(|live| match live.get_mut(&(self.0 as usize)) {
            Some(record) if !record.freed => {
                record.pins += 1;
                true
            }
            _ => false,
        })
    }

    /// Ends [`Self::pin`].
    pub(crate) fn unpin(self) {
        let over = LIVE.with(|live| {
            let record = live.get_mut(&(self.0 as usize))?;
            record.pins -= 1;
            (record.pins == 0 && record.freed).then_some(())
        });
        if over.is_some() {
            self.free();
        }
    }

    /// The current stack location.
    pub(crate) fn current(self) -> *mut IO_STACK_LOCATION {
        // SAFETY: every IRP has the member set by `rewind` and moved within its locations.
        unsafe { (*self.0).Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation }
    }

    /// The next lower driver's stack location; there must be one.
    pub(crate) fn next(self) -> *mut IO_STACK_LOCATION {
        if self.locations_left() == 0 {
            violation(
                BugCheck::NO_MORE_IRP_STACK_LOCATIONS,
                self,
                "NoMoreIrpStackLocations",
                "no stack location for the next driver",
            );
        }
        // SAFETY: CurrentLocation is above 1, so there is one below.
        unsafe { self.current().sub(1) }
    }

    /// Stack locations below the current one.
    pub(crate) fn locations_left(self) -> u8 {
        // SAFETY: a live IRP.
        (unsafe { (*self.0).CurrentLocation } - 1).max(0) as u8
    }

    fn move_to(self, location: i8) {
        // SAFETY: the callers keep the location within 1 to StackCount + 1.
        unsafe {
            let by = isize::from(location) - isize::from((*self.0).CurrentLocation);
            (*self.0).CurrentLocation = location;
            (*self.0).Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation =
                self.current().offset(by);
        }
    }

    /// IoSkipCurrentIrpStackLocation: the next driver gets this one's location.
    pub(crate) fn skip_current(self) {
        // SAFETY: a live IRP.
        self.move_to(unsafe { (*self.0).CurrentLocation } + 1);
    }

    /// IoSetNextIrpStackLocation.
    pub(crate) fn set_next(self) {
        self.next();
        // SAFETY: a live IRP.
        self.move_to(unsafe { (*self.0).CurrentLocation } - 1);
    }

    /// IoCopyCurrentIrpStackLocationToNext: without completion routine.
    pub(crate) fn copy_current_to_next(self) {
        let (current, next) = (self.current(), self.next());
        // SAFETY: both lie in the IRP.
        unsafe {
            *next = *current;
            (*next).CompletionRoutine = None;
            (*next).Context = core::ptr::null_mut();
            (*next).Control = 0;
        }
    }

    /// IoSetCompletionRoutine, for success, error and cancel.
    pub(crate) fn set_completion(self, routine: PIO_COMPLETION_ROUTINE, context: *mut c_void) {
        let next = self.next();
        // SAFETY: the next location lies in the IRP.
        unsafe {
            (*next).CompletionRoutine = routine;
            (*next).Context = context;
            (*next).Control = INVOKE_ON_SUCCESS | INVOKE_ON_ERROR | INVOKE_ON_CANCEL;
        }
    }

    /// IoMarkIrpPending.
    pub(crate) fn mark_pending(self) {
        // SAFETY: the current location lies in the IRP.
        unsafe { (*self.current()).Control |= PENDING_RETURNED };
    }

    /// IoStatus.
    pub(crate) fn status(self) -> (NTSTATUS, u64) {
        // SAFETY: a live IRP; every member of the union is plain.
        unsafe { ((*self.0).IoStatus.__bindgen_anon_1.Status, (*self.0).IoStatus.Information) }
    }

    /// Sets IoStatus.
    pub(crate) fn set_status(self, status: NTSTATUS, information: u64) {
        // SAFETY: a live IRP.
        unsafe {
            (*self.0).IoStatus.__bindgen_anon_1.Status = status;
            (*self.0).IoStatus.Information = information;
        }
    }

    /// Whether IoCancelIrp has been called for it.
    pub(crate) fn is_cancelled(self) -> bool {
        // SAFETY: a live IRP; read whole, as the canceller may be another thread.
        unsafe { (&raw const (*self.0).Cancel).read_volatile() != 0 }
    }

    /// IoSetCancelRoutine: the routine that was set before.
    pub(crate) fn set_cancel_routine(self, routine: PDRIVER_CANCEL) -> PDRIVER_CANCEL {
        // SAFETY: the member is a pointer, aligned, exchanged whole as the macro of the headers does.
        let slot = unsafe { AtomicPtr::from_ptr((&raw mut (*self.0).CancelRoutine).cast::<*mut c_void>()) };
        let new = routine.map_or(core::ptr::null_mut(), |routine| routine as *mut c_void);
        let old = slot.swap(new, SeqCst);
        // SAFETY: the slot only ever holds NULL or a cancel routine, which is what the type says.
        unsafe { core::mem::transmute::<*mut c_void, PDRIVER_CANCEL>(old) }
    }

    /// The framework's word in the IRP's driver context.
    pub(crate) fn context(self) -> u64 {
        // SAFETY: a live IRP; plain words.
        unsafe { (*self.0).Tail.Overlay.__bindgen_anon_1.DriverContext[3] as u64 }
    }

    /// Sets [`Self::context`].
    pub(crate) fn set_context(self, value: u64) {
        // SAFETY: a live IRP that the caller owns.
        unsafe { (*self.0).Tail.Overlay.__bindgen_anon_1.DriverContext[3] = value as *mut c_void };
    }

    /// IoCompleteRequest: upwards through the completion routines. Up to DISPATCH_LEVEL.
    pub(crate) fn complete(self) {
        require_irql("IoCompleteRequest", Irql::DISPATCH);
        Self::from_raw(self.0, "IoCompleteRequest");
        // SAFETY: a live IRP.
        let (count, routine) = unsafe { ((*self.0).StackCount, (*self.0).CancelRoutine) };
        if routine.is_some() {
            violation(
                BugCheck::DRIVER_VERIFIER_IOMANAGER_VIOLATION,
                self,
                "IrpCompletedCancelable",
                "completed with its cancel routine still set",
            );
        }
        if self.status().0 == super::STATUS_PENDING {
            violation(
                BugCheck::DRIVER_VERIFIER_IOMANAGER_VIOLATION,
                self,
                "IrpCompletedPending",
                "completed with STATUS_PENDING",
            );
        }
        // SAFETY: a live IRP.
        while unsafe { (*self.0).CurrentLocation } <= count {
            let location = self.current();
            // SAFETY: the location lies in the IRP; copied before a routine may give it back.
            let (routine, context, control) =
                unsafe { ((*location).CompletionRoutine, (*location).Context, (*location).Control) };
            self.skip_current();
            // SAFETY: a live IRP.
            let above = unsafe {
                (*self.0).PendingReturned = control & PENDING_RETURNED;
                (*self.0).CurrentLocation <= count
            };
            let wanted = if self.is_cancelled() { INVOKE_ON_CANCEL } else { 0 }
                | if self.status().0 >= 0 { INVOKE_ON_SUCCESS } else { INVOKE_ON_ERROR };
            match routine {
                Some(routine) if control & wanted != 0 => {
                    let device = match above {
                        // SAFETY: the location above lies in the IRP.
                        true => unsafe { (*self.current()).DeviceObject },
                        false => core::ptr::null_mut(),
                    };
                    // SAFETY: whoever set the routine wants it called with its context, at this IRQL.
                    if unsafe { routine(device, self.0, context) } == STATUS_MORE_PROCESSING_REQUIRED {
                        return;
                    }
                }
                _ if above && control & PENDING_RETURNED != 0 => self.mark_pending(),
                _ => {}
            }
        }
        let origin =
            LIVE.with(|live| live.get_mut(&(self.0 as usize)).and_then(|record| record.origin.take()));
        match origin {
            Some(origin) => {
                origin(self);
                self.free();
            }
            None => violation(
                BugCheck::MULTIPLE_IRP_COMPLETE_REQUESTS,
                self,
                "IrpCompletedTwice",
                "it has come all the way up already",
            ),
        }
    }

    /// IoCancelIrp: sets Cancel and runs the cancel routine, if there is one; returns whether. Up to DISPATCH_LEVEL.
    pub(crate) fn cancel(self) -> bool {
        require_irql("IoCancelIrp", Irql::DISPATCH);
        let irql = acquire_cancel_lock();
        // SAFETY: the caller keeps the IRP alive.
        unsafe { (&raw mut (*self.0).Cancel).write_volatile(1) };
        let Some(routine) = self.set_cancel_routine(None) else {
            release_cancel_lock(irql);
            return false;
        };
        // SAFETY: the caller keeps the IRP alive.
        unsafe { (*self.0).CancelIrql = irql.number() };
        let location = self.current();
        // SAFETY: a cancel routine is set only by the driver that has the current location.
        let device = unsafe { (*location).DeviceObject };
        // SAFETY: the routine's contract: the cancel spin lock is held, and it releases that with CancelIrql.
        unsafe { routine(device, self.0) };
        if CANCEL_LOCK.load(SeqCst) && crate::ke::irql() >= Irql::DISPATCH && irql < Irql::DISPATCH {
            violation(
                BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
                self,
                "CancelSpinLockHeld",
                "the cancel routine has returned with the cancel spin lock",
            );
        }
        true
    }
}

/// The cancel spin lock is held.
static CANCEL_LOCK: AtomicBool = AtomicBool::new(false);

/// IoAcquireCancelSpinLock: returns the IRQL to go back to.
pub(crate) fn acquire_cancel_lock() -> Irql {
    require_irql("IoAcquireCancelSpinLock", Irql::DISPATCH);
    let old = crate::ke::raise(Irql::DISPATCH);
    if CANCEL_LOCK.swap(true, SeqCst) {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0; 4],
            "SpinLockAcquiredTwice",
            "the cancel spin lock is held already".into(),
        );
    }
    old
}

/// IoReleaseCancelSpinLock.
pub(crate) fn release_cancel_lock(irql: Irql) {
    if !CANCEL_LOCK.swap(false, SeqCst) {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0; 4],
            "SpinLockNotHeld",
            "the cancel spin lock is not held".into(),
        );
    }
    crate::ke::lower(irql);
}
