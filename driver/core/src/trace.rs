//! The last events of a driver, in a fixed ring, for whoever looks at a stopped machine: a debugger, a dump.
//!
//! Writing costs one locked addition and eight stores, takes no lock and no memory, and may happen on every processor at
//! any IRQL. An event is whole if its number is the one that its place is due; one that is being written reads 0.
//! Nothing in the driver reads the ring: it decides nothing.

use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use cancelnic_registers::QueueId;

/// Events that the ring keeps.
pub const LENGTH: usize = 256;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    /// EvtDriverDeviceAdd has made the device.
    DeviceAdded = 1,
    /// The device's context goes.
    DeviceRemoved = 2,
    /// D0Entry: the virtqueues are the device's.
    PowerUp = 3,
    /// D0Exit: the device is about to be reset.
    PowerDown = 4,
    /// A packet queue was made.
    QueueCreated = 5,
    /// A packet queue goes.
    QueueDestroyed = 6,
    /// EvtStart is over.
    Start = 7,
    /// EvtAdvance is over, and moved something.
    Advance = 8,
    /// EvtSetNotificationEnabled(TRUE) is over: the queue waits for an interrupt, or was woken at once.
    Armed = 9,
    /// EvtCancel begins.
    Cancel = 10,
    /// EvtCancel is over: CANCEL is written, what could go back went back.
    CancelReturned = 11,
    /// EvtStop is over.
    Stop = 12,
    /// The device is given up: a fault, or the watchdog's time is over.
    GivenUp = 13,
}

/// What a packet queue has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Packets given to the device.
    pub posted: u64,
    /// Packets given back to the framework, whatever became of them.
    pub returned: u64,
}

/// One event. [`Trace::record`] says what the fields hold.
#[derive(Debug)]
struct Entry {
    /// Counted from 1; 0: not written yet, or just being written.
    number: AtomicU64,
    time: AtomicU64,
    device: AtomicUsize,
    posted: AtomicU64,
    returned: AtomicU64,
    event: AtomicU32,
    /// The index of its virtqueue, or [`NO_QUEUE`].
    queue: AtomicU32,
}

/// An event of the device as a whole.
const NO_QUEUE: u32 = u32::MAX;

impl Entry {
    const fn empty() -> Self {
        Self {
            number: AtomicU64::new(0),
            time: AtomicU64::new(0),
            device: AtomicUsize::new(0),
            posted: AtomicU64::new(0),
            returned: AtomicU64::new(0),
            event: AtomicU32::new(0),
            queue: AtomicU32::new(0),
        }
    }
}

/// The ring.
#[derive(Debug)]
pub struct Trace {
    /// Events recorded ever.
    count: AtomicU64,
    entries: [Entry; LENGTH],
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    /// Nothing recorded.
    #[must_use]
    pub const fn new() -> Self {
        Self { count: AtomicU64::new(0), entries: [const { Entry::empty() }; LENGTH] }
    }

    /// Records an event of the device known by the address `device`, at `time` in microseconds of a steady clock; an
    /// event of one queue comes with its progress.
    pub fn record(&self, event: Event, device: usize, time: u64, queue: Option<(QueueId, Progress)>) {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = &self.entries[(number - 1) as usize % LENGTH];
        let Progress { posted, returned } = queue.map(|(_, progress)| progress).unwrap_or_default();
        entry.number.store(0, Ordering::Relaxed);
        // Nobody sees a new field behind the old number.
        fence(Ordering::Release);
        entry.time.store(time, Ordering::Relaxed);
        entry.device.store(device, Ordering::Relaxed);
        entry.posted.store(posted, Ordering::Relaxed);
        entry.returned.store(returned, Ordering::Relaxed);
        entry.event.store(event as u32, Ordering::Relaxed);
        entry.queue.store(queue.map_or(NO_QUEUE, |(queue, _)| queue.virtqueue().into()), Ordering::Relaxed);
        entry.number.store(number, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(trace: &Trace) -> impl Iterator<Item = (u64, u64, u32)> {
        trace.entries.iter().map(|entry| {
            let read = |field: &AtomicU64| field.load(Ordering::Relaxed);
            (read(&entry.number), read(&entry.time), entry.event.load(Ordering::Relaxed))
        })
    }

    #[test]
    fn the_last_events_stay_each_in_its_place() {
        let trace = Trace::new();
        for time in 0..LENGTH as u64 + 3 {
            trace.record(Event::Armed, 7, time, None);
        }
        let numbers = seen(&trace).map(|(number, ..)| number);
        assert!(numbers.eq((257..=259).chain(4..=256)));
        assert!(seen(&trace).all(|(number, time, event)| time + 1 == number && event == Event::Armed as u32));
    }

    #[test]
    fn an_event_of_a_queue_keeps_its_queue_and_progress() {
        let trace = Trace::new();
        trace.record(Event::Cancel, 0x1000, 5, Some((QueueId::TX0, Progress { posted: 9, returned: 4 })));
        trace.record(Event::PowerDown, 0x1000, 6, None);
        let fields = |at: usize| {
            let entry = &trace.entries[at];
            let read = |field: &AtomicU64| field.load(Ordering::Relaxed);
            let queue = entry.queue.load(Ordering::Relaxed);
            (entry.device.load(Ordering::Relaxed), queue, read(&entry.posted), read(&entry.returned))
        };
        assert_eq!(fields(0), (0x1000, 1, 9, 4));
        assert_eq!(fields(1), (0x1000, NO_QUEUE, 0, 0));
    }
}
