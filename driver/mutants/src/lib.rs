//! The mutants: deliberate faults of the drivers' test builds, by which the tests prove that they notice a broken driver.
//!
//! [`Mutant`] names them all, in one space of numbers, for the drivers and for the scenarios that expect each to be caught.
//! [`Shown`] is what a driver keeps and asks. Without the feature `enabled` that type is empty and every question is
//! answered with a constant no: the shipped drivers contain nothing of it.
//!
//! A driver learns its mutant by number: cancelnic.sys from the INF keyword `Mutant`, before its callbacks run; the others
//! from the control code `SET_MUTANT` (cancelnic-ioctl).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "enabled")]
use core::sync::atomic::{AtomicU32, Ordering};

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// One deliberate fault. From 1: cancelnic.sys, packets; from 101: cancelnic.sys, the rest; from 201:
        /// cancelnic-lwf.sys; from 301: cancelnic-relay.sys.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Mutant {
            $($(#[$doc])* $name = $number,)*
        }

        impl Mutant {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

mutants! {
    /// A cancelled transmit packet is kept for ever.
    KeepsAPacket = 1,
    /// Receive buffers go back before the queue reads STOPPED.
    ReturnsBeforeStopped = 2,
    /// EvtCancel waits.
    WaitsInCancel = 3,
    /// EvtStart does not write RESUME.
    ForgetsResume = 4,
    /// EvtCancel leaves receive buffers that it could return to a later EvtAdvance, and nobody wakes the queue.
    LeavesTheRestToAdvance = 5,
    /// What came while the transmit queue was armed causes no notification.
    ForgetsToNotifyTx = 6,
    /// What came while the receive queue was armed causes no notification.
    ForgetsToNotifyRx = 7,
    /// Every fourth sent packet is marked as taken back.
    MarksSentAsTakenBack = 10,
    /// The packet at index 19 goes back without its completion: each later one gets the fate of another.
    SkipsACompletion = 11,
    /// EvtCancel does not write CANCEL.
    ForgetsCancel = 12,
    /// The doorbell is never rung.
    ForgetsDoorbell = 13,
    /// Packets go back as sent before the device has used them.
    ReturnsBeforeUsed = 14,
    /// The header of each frame asks the device for a checksum, which was not negotiated.
    AsksForChecksums = 15,
    /// EvtCancel loops for ever.
    LoopsInCancel = 20,
    /// EvtDevicePrepareHardware sleeps for ever.
    SleepsInPrepareHardware = 21,
    /// EvtCancel panics.
    PanicsInCancel = 22,
    /// EvtCancel reads through a null pointer.
    ReadsNullInCancel = 23,
    /// EvtCancel writes to pool memory that it has freed.
    WritesFreedPool = 24,
    /// EvtCancel writes one byte behind its pool memory.
    WritesBehindPool = 25,
    /// EvtCancel writes one byte before its pool memory.
    WritesBeforePool = 26,
    /// EvtCancel frees pool memory twice.
    FreesPoolTwice = 27,
    /// EvtCancel calls itself until 40,000 bytes of stack are used.
    RecursesInCancel = 28,
    /// EvtCancel has 40,000 bytes of locals.
    HasLargeLocals = 29,
    /// The adapter offers no receive filter.
    OffersNoReceiveFilter = 30,
    /// The device's interface has no reference string.
    GivesNoReferenceString = 31,
    /// The interrupt of a configuration change is only acknowledged.
    ForgetsLinkChange = 32,
    /// EvtCancel finds a list corrupt and fails fast.
    FailsFast = 40,
    /// EvtCancel fails an assertion.
    FailsAnAssertion = 41,
    /// EvtCancel asks a debugger for something.
    CallsTheDebugger = 42,
    /// EvtCancel raises the NIC's interrupt with an instruction.
    RaisesItsOwnInterrupt = 43,
    /// EvtCancel calls a function of the section INIT.
    CallsInitCode = 44,
    /// EvtCancel, at DISPATCH_LEVEL, calls a function of the section PAGE.
    CallsPagedCode = 45,
    /// EvtCancel, at DISPATCH_LEVEL, reads paged pool.
    ReadsPagedPool = 46,
    /// EvtCancel writes a constant.
    WritesAConstant = 47,
    /// EvtCancel executes pool memory.
    ExecutesPool = 48,
    /// EvtCancel writes where a program's memory would be.
    WritesLowMemory = 49,
    /// EvtCancel reads through a physical address.
    ReadsAPhysicalAddress = 50,

    /// A cancelable request is completed without being unmarked.
    CompletesWhileCancelable = 101,
    /// A request is completed twice.
    CompletesRequestTwice = 102,
    /// EvtRequestCancel does not complete its request.
    LosesCancelledRequest = 103,
    /// A request that is marked already is marked again.
    MarksRequestTwice = 104,
    /// The waiting requests are not completed when their event comes.
    ForgetsEvent = 105,
    /// More is reported as written than the output buffer holds.
    ReportsTooMuchWritten = 106,
    /// The requests of a closed file stay waiting.
    ForgetsCleanup = 107,
    /// A request is used after it was completed.
    UsesCompletedRequest = 108,
    /// A request's buffer is written after it was completed.
    WritesCompletedBuffer = 109,
    /// EvtInterruptIsr loops for ever.
    LoopsInInterrupt = 110,
    /// The buffer of a WDFMEMORY is read after it was deleted.
    ReadsDeletedMemory = 111,

    /// A held list that a cancel hits is completed twice.
    CompletesListTwice = 201,
    /// A cancel ends here.
    ForgetsToPassOn = 202,
    /// An own list keeps its ID when it is over.
    KeepsStaleId = 203,
    /// NULL hits unmarked lists.
    MatchesNull = 204,
    /// The high-order byte of an ID is not compared.
    IgnoresHighByte = 205,
    /// The lists that a cancel leaves are put in reverse order.
    ReordersTheRest = 206,
    /// A pause forgets the held lists.
    LosesHeldOnPause = 207,
    /// An own list that a cancel hits goes up.
    CompletesOwnUp = 208,
    /// A held list that a cancel hits has no status.
    SetsNoStatus = 209,
    /// A send while paused or pausing is passed on.
    SendsWhilePaused = 210,
    /// A pause does not wait for own lists.
    PausesAtOnce = 211,
    /// The gate stays closed when the program that has closed it goes.
    ForgetsTheGate = 212,

    /// A request is recalled without a reference on it.
    CancelsWithoutReference = 301,
    /// EvtIoStop does not acknowledge.
    ForgetsAcknowledge = 302,
    /// A request is acknowledged outside EvtIoStop.
    AcknowledgesOutside = 303,
    /// A request is sent again without WdfRequestReuse.
    ResendsWithoutReuse = 304,
    /// A request that is still under way is sent.
    SendsTwice = 305,
    /// WdfRequestCancelSentRequest gets a handle of another kind.
    PassesWrongHandle = 306,
    /// EvtIoStop with Purge does not cancel what was sent.
    IgnoresPurge = 307,
    /// A program's request is completed after it was recalled, though its completion routine completes it.
    CompletesAfterCancel = 308,
    /// A request that is still under way is deleted.
    DeletesSent = 309,
    /// D0Exit leaves the target as it is.
    LeavesTarget = 310,
    /// The local target, which is not the driver's to close, is closed.
    ClosesLocalTarget = 311,
    /// A program's request goes to another device with the file object of the relay's own.
    PassesForeignFile = 312,
}

impl Mutant {
    /// Its number: the value of the INF keyword, or of a control request.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The driver that can show it: its `.sys` file without the extension.
    #[must_use]
    pub const fn driver(self) -> &'static str {
        match self.number() {
            ..=200 => "cancelnic",
            201..=300 => "cancelnic-lwf",
            301.. => "cancelnic-relay",
        }
    }
}

/// The mutant that a driver shows, if any. Any IRQL.
#[derive(Debug, Default)]
pub struct Shown {
    /// 0: none.
    #[cfg(feature = "enabled")]
    number: AtomicU32,
}

impl Shown {
    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            #[cfg(feature = "enabled")]
            number: AtomicU32::new(0),
        }
    }

    /// The mutant with the number that `read` returns, 0 for none; a shipped driver does not call it.
    #[must_use]
    #[cfg_attr(not(feature = "enabled"), expect(unused_variables, reason = "there is nothing to choose"))]
    pub fn numbered(read: impl FnOnce() -> u32) -> Self {
        Self {
            #[cfg(feature = "enabled")]
            number: AtomicU32::new(read()),
        }
    }

    /// The mutant with this number from now on; 0 for none.
    #[cfg(feature = "enabled")]
    pub fn choose(&self, number: u32) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// Whether the driver is to show this one.
    #[inline]
    #[must_use]
    #[cfg_attr(not(feature = "enabled"), expect(unused_variables, reason = "there is nothing to choose"))]
    pub fn is(&self, mutant: Mutant) -> bool {
        #[cfg(feature = "enabled")]
        return self.number.load(Ordering::Relaxed) == mutant.number();
        #[cfg(not(feature = "enabled"))]
        return false;
    }
}

impl Clone for Shown {
    /// The same mutant; a later choice is not shared.
    fn clone(&self) -> Self {
        Self {
            #[cfg(feature = "enabled")]
            number: AtomicU32::new(self.number.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "enabled"))]
    #[test]
    fn a_shipped_driver_keeps_nothing_and_shows_nothing() {
        assert_eq!(size_of::<Shown>(), 0);
        assert!(Mutant::ALL.iter().all(|mutant| !Shown::none().is(*mutant)));
    }

    #[cfg(feature = "enabled")]
    #[test]
    fn a_test_build_shows_the_one_that_was_chosen() {
        for chosen in Mutant::ALL {
            let shown = Shown::numbered(|| chosen.number()).clone();
            assert!(Mutant::ALL.iter().all(|mutant| shown.is(*mutant) == (mutant == chosen)));
            shown.choose(0);
            assert!(!shown.is(*chosen));
        }
    }

    #[test]
    fn the_numbers_rise_from_driver_to_driver() {
        assert!(Mutant::ALL.is_sorted_by_key(|mutant| mutant.number()));
        let ends = [
            (Mutant::KeepsAPacket, "cancelnic"),
            (Mutant::ReadsDeletedMemory, "cancelnic"),
            (Mutant::CompletesListTwice, "cancelnic-lwf"),
            (Mutant::ForgetsTheGate, "cancelnic-lwf"),
            (Mutant::CancelsWithoutReference, "cancelnic-relay"),
            (Mutant::PassesForeignFile, "cancelnic-relay"),
        ];
        assert!(ends.iter().all(|(mutant, driver)| mutant.driver() == *driver));
    }
}
