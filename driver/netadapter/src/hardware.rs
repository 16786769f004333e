//! The device's registers, mapped, and the steps of its life that cancelnic-core takes on them.

use core::{
    fmt,
    mem::size_of,
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
};

use cancelnic_core::{
    Doorbell, Mmio, Registers,
    features::Features,
    identity::{self, Identity, Link, Refusal},
    pci::{self as pci_core, PciError, Region, Structures},
    queue::{self, PerQueue},
    transport::{self, Reset, TransportError},
};
use cancelnic_kernel::kmdf::device::Device;
use cancelnic_registers::QueueId;
use wdk_sys::{
    NTSTATUS, PAGE_NOCACHE, PAGE_READWRITE, PHYSICAL_ADDRESS, SIZE_T, STATUS_DEVICE_CONFIGURATION_ERROR,
    STATUS_DEVICE_HARDWARE_ERROR, STATUS_INSUFFICIENT_RESOURCES, STATUS_REVISION_MISMATCH, WDFCMRESLIST,
    ntddk::{KeStallExecutionProcessor, MmMapIoSpaceEx, MmUnmapIoSpace},
};

use crate::{pci, virtqueues::Virtqueues};

/// Microseconds between two looks at a device that is being reset.
const RESET_PAUSE: u32 = 10;

/// Why the device cannot be used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failure {
    /// The system refused something.
    System(NTSTATUS),
    /// The registers cannot be found.
    Pci(PciError),
    /// The system gave no interrupt, or one by a line: nobody would lower that, as the driver acknowledges none.
    NoMessage,
    /// The device does not come up.
    Transport(TransportError),
    /// The driver does not start this device.
    Refused(Refusal),
}

impl Failure {
    /// The status that tells the system.
    pub(crate) const fn status(&self) -> NTSTATUS {
        match self {
            Self::System(status) => *status,
            Self::Pci(_) | Self::NoMessage => STATUS_DEVICE_CONFIGURATION_ERROR,
            Self::Transport(_) => STATUS_DEVICE_HARDWARE_ERROR,
            Self::Refused(_) => STATUS_REVISION_MISMATCH,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(status) => write!(f, "the system refused a resource (status {status:#010x})"),
            Self::Pci(error) => error.fmt(f),
            Self::NoMessage => f.write_str("the device got no message-signalled interrupt (MSISupported)"),
            Self::Transport(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl From<NTSTATUS> for Failure {
    fn from(status: NTSTATUS) -> Self {
        Self::System(status)
    }
}

impl From<PciError> for Failure {
    fn from(error: PciError) -> Self {
        Self::Pci(error)
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A structure of registers, mapped for as long as the value lives.
struct Window {
    base: NonNull<u8>,
    length: usize,
}

impl Window {
    /// Maps `length` bytes at the processor's physical address `start`. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// The range is part of a memory resource assigned to this device.
    unsafe fn map(start: u64, length: u32) -> Result<Self, NTSTATUS> {
        let length = length as usize;
        let start = PHYSICAL_ADDRESS { QuadPart: start as i64 };
        // SAFETY: the caller vouches for the range.
        let base = unsafe { MmMapIoSpaceEx(start, length as SIZE_T, PAGE_READWRITE | PAGE_NOCACHE) };
        match NonNull::new(base.cast()) {
            Some(base) => Ok(Self { base, length }),
            None => Err(STATUS_INSUFFICIENT_RESOURCES),
        }
    }

    /// Address of a register; `None` outside the structure or misaligned.
    fn at<T>(&self, offset: u32) -> Option<NonNull<T>> {
        let offset = offset as usize;
        if offset.checked_add(size_of::<T>())? > self.length {
            return None;
        }
        // SAFETY: inside the mapping.
        let address = unsafe { self.base.add(offset) }.cast::<T>();
        address.is_aligned().then_some(address)
    }

    /// Reads a register; `ones` if there is none, as from a device that is gone.
    fn read<T>(&self, offset: u32, ones: T) -> T {
        // SAFETY: a mapped, aligned register; every value is valid for the integers used.
        self.at::<T>(offset).map_or(ones, |address| unsafe { address.read_volatile() })
    }

    /// Writes a register; nothing if there is none.
    fn write<T>(&self, offset: u32, value: T) {
        if let Some(address) = self.at::<T>(offset) {
            // SAFETY: a mapped, aligned register.
            unsafe { address.write_volatile(value) };
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length; nothing uses it any more.
        unsafe { MmUnmapIoSpace(self.base.as_ptr().cast(), self.length as SIZE_T) };
    }
}

impl Mmio for Window {
    fn read8(&self, offset: u32) -> u8 {
        self.read(offset, u8::MAX)
    }

    fn read16(&self, offset: u32) -> u16 {
        self.read(offset, u16::MAX)
    }

    fn read32(&self, offset: u32) -> u32 {
        self.read(offset, u32::MAX)
    }

    fn write8(&self, offset: u32, value: u8) {
        self.write(offset, value);
    }

    fn write16(&self, offset: u32, value: u16) {
        self.write(offset, value);
    }

    fn write32(&self, offset: u32, value: u32) {
        self.write(offset, value);
    }
}

/// The device's registers, from PrepareHardware to ReleaseHardware.
pub(crate) struct Hardware {
    common: Window,
    notify: Window,
    device: Window,
    structures: Structures,
    /// Offsets of the doorbells; known from [`Self::announce`] on.
    doorbells: PerQueue<AtomicU32>,
    /// The features that were agreed on in [`Self::begin`].
    features: AtomicU64,
    /// The generation of the configuration that was read last.
    generation: AtomicU8,
}

/// A short busy wait. Any IRQL.
fn pause() {
    // SAFETY: allowed at any IRQL.
    unsafe { KeStallExecutionProcessor(RESET_PAUSE) };
}

impl Hardware {
    /// Finds and maps the virtio structures. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// The arguments are those of EvtDevicePrepareHardware, which still runs.
    pub(crate) unsafe fn map(
        device: Device,
        raw: WDFCMRESLIST,
        translated: WDFCMRESLIST,
    ) -> Result<Self, Failure> {
        let config = pci::read_config(device)?;
        // SAFETY: the lists are PrepareHardware's.
        let count = unsafe { pci::count(raw) };
        // SAFETY: the lists are PrepareHardware's.
        let mut messages =
            (0..count).filter_map(|index| unsafe { pci::message_signalled(raw, index) }).peekable();
        if messages.peek().is_none() || !messages.all(|message| message) {
            return Err(Failure::NoMessage);
        }
        let structures = pci_core::find_structures(&config)?;
        let map = |region: Region| -> Result<Window, Failure> {
            // SAFETY: the lists are PrepareHardware's.
            let resources = (0..count).filter_map(|index| unsafe { pci::memory(raw, index) });
            let position = pci_core::match_bar(&config, region, resources)?;
            // The raw list and the translated one have the same order.
            // SAFETY: the lists are PrepareHardware's.
            let index =
                (0..count).filter(|&index| unsafe { pci::memory(raw, index) }.is_some()).nth(position);
            // SAFETY: the lists are PrepareHardware's.
            let resource = index.and_then(|index| unsafe { pci::memory(translated, index) });
            let (start, _) = resource.ok_or(Failure::System(STATUS_DEVICE_CONFIGURATION_ERROR))?;
            // SAFETY: `match_bar` saw that the resource reaches the region's end.
            Ok(unsafe { Window::map(start + u64::from(region.offset), region.len) }?)
        };
        Ok(Self {
            common: map(structures.common)?,
            notify: map(structures.notify)?,
            device: map(structures.device)?,
            structures,
            doorbells: PerQueue::new(|_| AtomicU32::new(u32::MAX)),
            features: AtomicU64::new(0),
            generation: AtomicU8::new(0),
        })
    }

    /// Resets the device, agrees on features, and learns what it is. PASSIVE_LEVEL.
    pub(crate) fn begin(&self) -> Result<(Features, Identity), Failure> {
        let features = transport::begin(&self.common, pause)?;
        self.features.store(features.bits(), Ordering::Relaxed);
        // Before the configuration is read: what changes meanwhile is looked at once more.
        self.generation.store(transport::generation(&self.common), Ordering::Relaxed);
        match identity::examine(self, features) {
            Ok(identity) => Ok((features, identity)),
            Err(refusal) => {
                transport::give_up(&self.common);
                Err(refusal.into())
            }
        }
    }

    /// The link, if the configuration has changed since it was last read. At most DISPATCH_LEVEL, from one thread.
    pub(crate) fn changed_link(&self) -> Option<Link> {
        let generation = transport::generation(&self.common);
        if self.generation.swap(generation, Ordering::Relaxed) == generation {
            return None;
        }
        Link::read(self, Features::agreed(self.features.load(Ordering::Relaxed)))
    }

    /// Most descriptors of a queue's virtqueue.
    pub(crate) fn queue_size(&self, queue: QueueId) -> Result<u16, Failure> {
        Ok(transport::queue_capacity(&self.common, queue.virtqueue())?)
    }

    /// Tells the device where the virtqueues are and lets it work.
    pub(crate) fn announce(&self, virtqueues: &Virtqueues) -> Result<(), Failure> {
        transport::set_config_vector(&self.common)?;
        for queue in queue::all() {
            let Some((addresses, size)) = virtqueues.addresses(queue) else { continue };
            let notify_off = transport::enable_queue(&self.common, queue.virtqueue(), size, addresses)?;
            let doorbell = self.structures.doorbell(notify_off).ok_or(PciError::Missing("doorbell"))?;
            self.doorbells[queue].store(doorbell, Ordering::Relaxed);
        }
        transport::driver_ok(&self.common);
        Ok(())
    }

    /// Resets the device. At most DISPATCH_LEVEL.
    pub(crate) fn reset(&self) -> Reset {
        transport::reset(&self.common, pause)
    }

    /// A queue's doorbell.
    pub(crate) fn doorbell(&self, queue: QueueId) -> DoorbellOf<'_> {
        let offset = self.doorbells[queue].load(Ordering::Relaxed);
        DoorbellOf { notify: &self.notify, offset, queue: queue.virtqueue() }
    }
}

impl Registers for Hardware {
    fn read(&self, offset: u32) -> u32 {
        self.device.read32(offset)
    }

    fn write(&self, offset: u32, value: u32) {
        self.device.write32(offset, value);
    }
}

/// One virtqueue's doorbell.
pub(crate) struct DoorbellOf<'h> {
    notify: &'h Window,
    offset: u32,
    queue: u16,
}

impl Doorbell for DoorbellOf<'_> {
    fn ring(&self) {
        self.notify.write16(self.offset, self.queue);
    }
}
