//! File objects: opened by programs and by drivers, with the requests that are outstanding on them.

use super::transfer::Transfer;
use super::{Irp, MJ_CLEANUP, MJ_CLOSE, MJ_CREATE, MJ_DEVICE_CONTROL, device};
use crate::ke::Event;
use crate::ke::irqlock::IrqLock;
use crate::verifier::pool::Lent;
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use wdk_offline::{DEVICE_OBJECT, FILE_OBJECT, FILE_SHARE_READ, FILE_SHARE_WRITE, NTSTATUS};

/// UserMode and KernelMode of IRP.RequestorMode.
const USER: i8 = 1;
const KERNEL: i8 = 0;
/// What an exclusive device has for a second file.
const STATUS_ACCESS_DENIED: NTSTATUS = 0xC000_0022_u32 as i32;
/// FILE_OPEN in the high byte of Create.Options.
const OPEN: u32 = 1 << 24;

/// How long requests may stay after their file's last handle is closed, in microseconds.
const CLEANUP_BOUND_US: u64 = 5_000_000;

/// An open file.
pub(crate) struct File {
    /// The FILE_OBJECT.
    memory: Lent,
    /// What the file object's name points to.
    _name: Box<[u16]>,
    device: *mut DEVICE_OBJECT,
    mode: i8,
    /// Requests that have not completed; each holds the file object.
    outstanding: IrqLock<u32>,
    /// Set while none is outstanding.
    quiet: Event,
    closed: AtomicBool,
}

// SAFETY: the file object is this file's own box; drivers only put words into it.
unsafe impl Send for File {}
// SAFETY: as above.
unsafe impl Sync for File {}

/// Every open file.
static FILES: IrqLock<Vec<Arc<File>>> = IrqLock::new(Vec::new());

impl File {
    /// IRP_MJ_CREATE of that name below the device, waited for; `program`: from user mode. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The driver's status.
    pub(crate) fn open(device: *mut DEVICE_OBJECT, name: &str, program: bool) -> Result<Arc<Self>, NTSTATUS> {
        // SAFETY: the caller has found the device, which is not deleted while somebody opens it.
        let exclusive = unsafe { (*device).Flags } & device::EXCLUSIVE != 0;
        if exclusive && FILES.with(|files| files.iter().any(|file| file.device == device)) {
            return Err(STATUS_ACCESS_DENIED);
        }
        let memory = Lent::new(b"File", size_of::<FILE_OBJECT>(), true);
        // SAFETY: a fresh block; all zero bytes are a valid file object: numbers and nullable pointers.
        let object = unsafe { &mut *memory.start().cast::<FILE_OBJECT>() };
        object.Type = 5;
        object.Size = size_of::<FILE_OBJECT>() as i16;
        object.DeviceObject = device;
        let mut name: Box<[u16]> = name.encode_utf16().collect();
        object.FileName.Buffer = name.as_mut_ptr();
        object.FileName.Length = (2 * name.len()) as u16;
        object.FileName.MaximumLength = object.FileName.Length;
        let file = Arc::new(Self {
            memory,
            _name: name,
            device,
            mode: if program { USER } else { KERNEL },
            outstanding: IrqLock::new(0),
            quiet: Event::manual(),
            closed: AtomicBool::new(false),
        });
        file.quiet.set();
        let status = file.send_and_wait(MJ_CREATE);
        if status < 0 {
            return Err(status);
        }
        let listed = file.clone();
        FILES.with(|files| files.push(listed));
        Ok(file)
    }

    /// The FILE_OBJECT.
    pub(crate) fn object(&self) -> *mut FILE_OBJECT {
        self.memory.start().cast()
    }

    /// A new IRP at the file's device, its next location filled with major function and file.
    fn irp(&self, major: u8, origin: Box<dyn FnOnce(Irp) + Send>) -> Irp {
        let irp = Irp::new(device::stack_size(self.device), Some(origin));
        let next = irp.next();
        // SAFETY: the IRP and its next location are this function's until it is sent.
        unsafe {
            (*irp.raw()).RequestorMode = self.mode;
            (*irp.raw()).Tail.Overlay.OriginalFileObject = self.object();
            (*next).MajorFunction = major;
            (*next).FileObject = self.object();
            if major == MJ_CREATE {
                (*next).Parameters.Create.Options = OPEN;
                (*next).Parameters.Create.ShareAccess = (FILE_SHARE_READ | FILE_SHARE_WRITE) as u16;
            }
        }
        irp
    }

    fn send_and_wait(&self, major: u8) -> NTSTATUS {
        let done = Arc::new((Event::auto(), AtomicI32::new(0)));
        let origin = done.clone();
        let irp = self.irp(
            major,
            Box::new(move |irp| {
                origin.1.store(irp.status().0, SeqCst);
                origin.0.set();
            }),
        );
        irp.call(self.device);
        done.0.wait();
        done.1.load(SeqCst)
    }

    /// IRP_MJ_DEVICE_CONTROL; `done` gets status, information and what came back. PASSIVE_LEVEL.
    pub(crate) fn control(
        self: &Arc<Self>,
        code: u32,
        input: &[u8],
        output_len: u32,
        sent: impl FnOnce(Irp),
        done: impl FnOnce(NTSTATUS, u64, &[u8]) + Send + 'static,
    ) {
        let mut transfer = Transfer::new(code, input, output_len as usize);
        let place = transfer.place();
        self.outstanding.with(|count| *count += 1);
        self.quiet.reset();
        let file = self.clone();
        let irp = self.irp(
            MJ_DEVICE_CONTROL,
            Box::new(move |irp| {
                let (status, information) = irp.status();
                done(status, information, transfer.outcome(status, information));
                file.settle();
            }),
        );
        place.describe(irp, code);
        sent(irp);
        irp.call(self.device);
    }

    fn settle(&self) {
        let quiet = self.outstanding.with(|count| {
            *count -= 1;
            *count == 0
        });
        if quiet {
            self.quiet.set();
        }
    }

    /// The last handle's close: IRP_MJ_CLEANUP; once nothing is outstanding, IRP_MJ_CLOSE. PASSIVE_LEVEL.
    pub(crate) fn close(&self) {
        if self.closed.swap(true, SeqCst) {
            return;
        }
        self.send_and_wait(MJ_CLEANUP);
        if self.mode == KERNEL {
            // an I/O target closes when its requests are back
            self.quiet.wait();
        } else if !self.quiet.wait_timeout(CLEANUP_BOUND_US) {
            let left = self.outstanding.with(|count| *count);
            crate::verifier::violation(
                "RequestNeverCompleted",
                6,
                self.object() as u64,
                alloc::format!(
                    "{left} requests of a file are outstanding {} s after its IRP_MJ_CLEANUP",
                    CLEANUP_BOUND_US / 1_000_000
                ),
            );
        }
        self.send_and_wait(MJ_CLOSE);
        let gone = FILES.with(|files| {
            let at = files.iter().position(|file| core::ptr::eq(&**file, self));
            at.map(|at| files.swap_remove(at))
        });
        drop(gone);
    }

    /// Whether it has been closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }
}

/// Closes what programs have open on a device, as they do when they are told that it goes. PASSIVE_LEVEL.
pub(crate) fn close_all(device: *mut DEVICE_OBJECT) {
    let open = |file: &&Arc<File>| file.device == device && file.mode == USER && !file.is_closed();
    while let Some(file) = FILES.with(|files| files.iter().find(open).cloned()) {
        file.close();
    }
}
