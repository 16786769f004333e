//! The device as its driver has it: rings, the callbacks of its queues, what comes from the wire, and all that a driver
//! can do wrong with it.

use crate::ke::delay_us;
use crate::ke::irqlock::IrqLock;
use alloc::collections::VecDeque;
use core::mem::transmute;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use netadaptercx_sys::*;
use std::vec::Vec;
use understudy_rules::frame;

/// What the driver does wrong, or how it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Does {
    /// Everything as it has to be.
    Right,
    TakesFromBehindEnd,
    MovesEnd,
    WritesAFrameworkElement,
    WritesATxPacket,
    WritesATxFragment,
    KeepsTxFragments,
    MarksWhatItWasToIgnore,
    LeavesThePoison,
    NamesNoFragment,
    NamesOneTwice,
    NamesAFragmentThatItKeeps,
    IndicatesMoreThanTheBuffer,
    DamagesFrames,
    SpoilsAnIgnoredPacket,
    MakesNoQueue,
    FailsToMakeAQueue,
    MakesAQueueTwice,
    MakesAQueueWithoutCancel,
    StartsWithoutMtu,
    StartsTwice,
    OffersNoDma,
    OffersNoQueues,
    HasALongAddress,
    HasAnMtuOfNothing,
    HasAnOddHint,
    LiesAboutTheLink,
    OffersFiltersWithoutCallback,
    AsksForAStrangeExtension,
    MixesUpQueues,
    UsesAStrangersGlobals,
    CallsAtDispatch,
    LeavesOutTheConfiguration,
    ForgetsTheCallbacks,
    SetsCharacteristicsLate,
    CreatesTwoFromOneInit,
    HasAnotherVersionsSize,
}

pub(super) static DOES: IrqLock<Does> = IrqLock::new(Does::Right);

pub(super) fn does(what: Does) -> bool {
    DOES.with(|does| *does == what)
}

/// The class extension's functions and the driver's globals there.
pub(super) static TABLE: IrqLock<[usize; NET_FUNCTION_COUNT]> = IrqLock::new([0; NET_FUNCTION_COUNT]);
pub(super) static GLOBALS: AtomicU64 = AtomicU64::new(0);
pub(super) static ADAPTER: AtomicU64 = AtomicU64::new(0);

/// A function of the class extension's with the globals as its first argument.
macro_rules! net {
    ($function:ident: $type:ident ( $($argument:expr),* $(,)? )) => {{
        let address = TABLE.with(|table| table[index::$function]);
        let globals = GLOBALS.load(SeqCst) as *mut NET_DRIVER_GLOBALS;
        // SAFETY: the table holds functions of these types; the class extension checks what it is given.
        unsafe { transmute::<usize, $type>(address).expect("it is offered")(globals, $($argument),*) }
    }};
}
pub(super) use net;

pub(super) fn adapter() -> NETADAPTER {
    ADAPTER.load(SeqCst) as NETADAPTER
}

/// One direction of the device, as its driver sees it.
pub(super) struct Side {
    pub(super) queue: u64,
    pub(super) packets: usize,
    pub(super) fragments: usize,
    pub(super) virtual_addresses: (usize, usize),
    armed: bool,
    /// Completions that the driver has not taken yet.
    done: u32,
    /// What came from the wire.
    frames: VecDeque<Vec<u8>>,
    /// Calls of the callbacks.
    pub(super) calls: Vec<&'static str>,
}

impl Side {
    const fn new() -> Self {
        Self {
            queue: 0,
            packets: 0,
            fragments: 0,
            virtual_addresses: (0, 0),
            armed: false,
            done: 0,
            frames: VecDeque::new(),
            calls: Vec::new(),
        }
    }

    fn packets(&self) -> Ring {
        Ring(self.packets as *mut NET_RING)
    }

    fn fragments(&self) -> Ring {
        Ring(self.fragments as *mut NET_RING)
    }

    /// Changes a packet.
    fn packet<R>(&self, index: u32, change: impl FnOnce(&mut NET_PACKET) -> R) -> R {
        self.packets().element(index, change)
    }

    /// Changes a fragment.
    fn fragment<R>(&self, index: u32, change: impl FnOnce(&mut NET_FRAGMENT) -> R) -> R {
        self.fragments().element(index, change)
    }

    fn buffer(&self, index: u32) -> *mut u8 {
        let (base, stride) = self.virtual_addresses;
        // SAFETY: the fragment's extension.
        unsafe { *((base + stride * index as usize) as *const *mut u8) }
    }

    /// Gives packets from BeginIndex on back, each after a look at it.
    fn give_back(&self, count: u32, mut before: impl FnMut(&mut NET_PACKET)) {
        for _ in 0..count {
            let by = self.packet(self.packets().begin(), |packet| {
                before(packet);
                if packet.Ignore() { 0 } else { u32::from(packet.FragmentCount) }
            });
            if !does(Does::KeepsTxFragments) {
                self.fragments().advance(by);
            }
            self.packets().advance(1);
        }
    }
}

/// A ring of the class extension's, which lives as long as its queue, whose callbacks take turns.
#[derive(Clone, Copy)]
pub(super) struct Ring(*mut NET_RING);

impl Ring {
    fn begin(self) -> u32 {
        // SAFETY: the ring lives; so for all below.
        unsafe { (*self.0).BeginIndex }
    }

    fn end(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).EndIndex }
    }

    /// From BeginIndex up to NextIndex.
    fn posted(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).NextIndex.wrapping_sub(self.begin()) & (*self.0).ElementIndexMask }
    }

    /// From BeginIndex up to EndIndex.
    fn held(self) -> u32 {
        // SAFETY: as above.
        unsafe { self.end().wrapping_sub(self.begin()) & (*self.0).ElementIndexMask }
    }

    /// All is posted.
    fn post_all(self) {
        // SAFETY: as above.
        unsafe { (*self.0).NextIndex = self.end() };
    }

    /// BeginIndex goes on.
    fn advance(self, by: u32) {
        // SAFETY: as above.
        unsafe { (*self.0).BeginIndex = self.begin().wrapping_add(by) & (*self.0).ElementIndexMask };
    }

    fn element<E, R>(self, index: u32, change: impl FnOnce(&mut E) -> R) -> R {
        // SAFETY: as above, and its elements are of that type.
        change(unsafe { &mut *NetRingGetElementAtIndex(self.0, index).cast() })
    }
}

pub(super) static TX: IrqLock<Side> = IrqLock::new(Side::new());
pub(super) static RX: IrqLock<Side> = IrqLock::new(Side::new());
/// The device sends what it is given at once.
pub(super) static FAST: AtomicBool = AtomicBool::new(true);

pub(super) unsafe extern "win64" fn tx_advance(_queue: NETPACKETQUEUE) {
    TX.with(|tx| {
        tx.calls.push("EvtAdvance");
        let ring = tx.packets();
        ring.post_all();
        let posted = ring.posted();
        let back = if FAST.load(SeqCst) { posted } else { core::mem::take(&mut tx.done).min(posted) };
        match DOES.with(|does| *does) {
            Does::TakesFromBehindEnd => ring.advance(ring.held() + 1),
            // SAFETY: the ring lives.
            Does::MovesEnd => unsafe { (*ring.0).EndIndex += 1 },
            Does::WritesAFrameworkElement => tx.packet(ring.end(), |packet| packet.FragmentCount = 9),
            Does::WritesATxPacket => tx.packet(ring.begin(), |packet| packet.FragmentCount += 1),
            Does::WritesATxFragment => {
                tx.fragment(tx.fragments().begin(), |fragment| fragment.set_ValidLength(1));
            }
            _ => tx.give_back(back, |packet| {
                if packet.Ignore() && does(Does::MarksWhatItWasToIgnore) {
                    packet.set_Scratch(true);
                }
            }),
        }
    });
}

pub(super) unsafe extern "win64" fn tx_cancel(_queue: NETPACKETQUEUE) {
    TX.with(|tx| {
        tx.calls.push("EvtCancel");
        let ring = tx.packets();
        let (held, posted) = (ring.held(), ring.posted());
        let mut at = 0;
        tx.give_back(held, |packet| {
            if !packet.Ignore() {
                packet.set_Scratch(true);
                tx.fragment(packet.FragmentIndex, |first| first.set_Scratch(at < posted));
            }
            at += 1;
        });
        ring.post_all();
    });
}

/// What is wrong with a frame that the driver indicates.
pub(super) fn spoil(rx: &Side, index: u32, packet: &mut NET_PACKET) {
    let first = packet.FragmentIndex;
    match DOES.with(|does| *does) {
        Does::LeavesThePoison => packet.FragmentIndex = u32::MAX,
        Does::NamesNoFragment => packet.FragmentCount = 0,
        Does::NamesOneTwice => packet.FragmentIndex = first.saturating_sub(index.min(1)),
        Does::NamesAFragmentThatItKeeps => packet.FragmentIndex = first + 5,
        Does::IndicatesMoreThanTheBuffer => {
            rx.fragment(first, |fragment| fragment.set_ValidLength(fragment.Capacity() + 1));
        }
        // SAFETY: the buffer is the driver's.
        Does::DamagesFrames => unsafe { *rx.buffer(first).add(50) ^= 1 },
        _ => {}
    }
}

pub(super) unsafe extern "win64" fn rx_advance(_queue: NETPACKETQUEUE) {
    RX.with(|rx| {
        rx.calls.push("EvtAdvance");
        let (packets, fragments) = (rx.packets(), rx.fragments());
        packets.post_all();
        for step in 0..(rx.frames.len() as u32).min(packets.held()) {
            let Some(frame) = rx.frames.pop_front() else { break };
            let first = fragments.begin();
            // SAFETY: a buffer of 1514 bytes or more that the device owns.
            unsafe { core::ptr::copy_nonoverlapping(frame.as_ptr(), rx.buffer(first), frame.len()) };
            rx.fragment(first, |fragment| {
                fragment.set_ValidLength(frame.len() as u32);
                fragment.set_Offset(0);
            });
            rx.packet(packets.begin(), |packet| {
                packet.FragmentIndex = first;
                packet.FragmentCount = 1;
                packet.Layout = NET_PACKET_LAYOUT::default();
                packet.set_Ignore(false);
                spoil(rx, step, packet);
            });
            fragments.advance(1);
            packets.advance(1);
        }
    });
}

pub(super) unsafe extern "win64" fn rx_cancel(_queue: NETPACKETQUEUE) {
    RX.with(|rx| {
        rx.calls.push("EvtCancel");
        let (packets, fragments) = (rx.packets(), rx.fragments());
        LATE.store(rx.buffer(fragments.begin()) as u64, SeqCst);
        for _ in 0..packets.held() {
            rx.packet(packets.begin(), |packet| {
                packet.set_Ignore(true);
                if does(Does::SpoilsAnIgnoredPacket) {
                    packet.FragmentCount = 3;
                }
            });
            packets.advance(1);
        }
        fragments.advance(fragments.held());
        packets.post_all();
    });
}

/// A receive buffer that the driver has given back.
pub(super) static LATE: AtomicU64 = AtomicU64::new(0);

pub(super) unsafe extern "win64" fn rx_stop(_queue: NETPACKETQUEUE) {
    RX.with(|rx| {
        rx.calls.push("EvtStop");
        rx.armed = false;
    });
}

pub(super) unsafe extern "win64" fn tx_stop(_queue: NETPACKETQUEUE) {
    TX.with(|tx| {
        tx.calls.push("EvtStop");
        (tx.armed, tx.done) = (false, 0);
    });
}

pub(super) unsafe extern "win64" fn tx_start(_queue: NETPACKETQUEUE) {
    TX.with(|tx| tx.calls.push("EvtStart"));
}

pub(super) unsafe extern "win64" fn rx_start(_queue: NETPACKETQUEUE) {
    RX.with(|rx| rx.calls.push("EvtStart"));
}

pub(super) unsafe extern "win64" fn tx_arm(queue: NETPACKETQUEUE, _enabled: u8) {
    let due = TX.with(|tx| {
        tx.armed = tx.done == 0;
        !tx.armed
    });
    if due {
        net!(NetTxQueueNotifyMoreCompletedPacketsAvailable:
             PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE(queue));
    }
}

pub(super) unsafe extern "win64" fn rx_arm(queue: NETPACKETQUEUE, _enabled: u8) {
    let due = RX.with(|rx| {
        rx.armed = rx.frames.is_empty();
        !rx.armed
    });
    if due {
        net!(NetRxQueueNotifyMoreReceivedPacketsAvailable: PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE(queue));
    }
}

/// The device has sent so many packets.
pub(super) fn device_sends(count: u32) {
    TX.with(|tx| {
        tx.done += count;
        if core::mem::take(&mut tx.armed) {
            net!(NetTxQueueNotifyMoreCompletedPacketsAvailable:
                 PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE(tx.queue as NETPACKETQUEUE));
        }
    });
}

/// Frames of those numbers come from the wire, and are seen to.
pub(super) fn wire_brings(numbers: core::ops::Range<u64>) {
    frames_come(numbers);
    delay_us(1000);
}

/// Frames of those numbers come from the wire.
pub(super) fn frames_come(numbers: core::ops::Range<u64>) {
    RX.with(|rx| {
        rx.frames.extend(numbers.map(|number| frame::build(number, 200, [2, 0, 0, 0, 0, 9])));
        if core::mem::take(&mut rx.armed) {
            net!(NetRxQueueNotifyMoreReceivedPacketsAvailable:
                 PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE(rx.queue as NETPACKETQUEUE));
        }
    });
}
