//! Deliberate misbehaviours, by which the rig proves that it would notice them.
//!
//! Without the feature `mutants` the type is empty and every question is answered with a constant
//! no: the shipped driver holds none of it.

/// At most one misbehaviour, chosen at run time by the INF parameter `Mutant`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mutant {
    #[cfg(feature = "mutants")]
    number: u32,
}

impl Mutant {
    /// Behaves.
    pub const NONE: Self = Self {
        #[cfg(feature = "mutants")]
        number: 0,
    };

    /// 0: none · 1: keep one cancelled transmit packet · 2: return receive buffers before the queue
    /// reads STOPPED · 3: wait inside EvtCancel (the glue does it) · 4: forget RESUME at start · 5: leave the receive
    /// buffers that EvtCancel could return to a later EvtAdvance, and be woken by nobody · 6, 7: do not notify of what
    /// came while the transmit (6) or receive (7) queue was armed.
    ///
    /// Of transmit · 10: mark every fourth sent packet as taken back · 11: return the packet at index 19 without its
    /// completion, so that each later one is told of the fate of another · 12: never write CANCEL · 13: never ring the
    /// doorbell · 14: return packets as sent before the device has used them.
    ///
    /// Of the glue · 20: loop inside EvtCancel for ever · 21: sleep inside EvtDevicePrepareHardware for ever · 22: panic
    /// inside EvtCancel · 23: read through a null pointer inside EvtCancel.
    ///
    /// Of the adapter · 30: offer no receive filter (the glue does it).
    #[must_use]
    #[cfg_attr(not(feature = "mutants"), expect(unused_variables, reason = "there is nothing to choose"))]
    pub const fn from_number(number: u32) -> Self {
        Self {
            #[cfg(feature = "mutants")]
            number,
        }
    }

    #[cfg_attr(not(feature = "mutants"), expect(unused_variables, reason = "there is nothing to choose"))]
    const fn is(self, number: u32) -> bool {
        #[cfg(feature = "mutants")]
        return self.number == number;
        #[cfg(not(feature = "mutants"))]
        return false;
    }

    pub(crate) const fn keeps_a_packet(self) -> bool {
        self.is(1)
    }

    pub(crate) const fn returns_before_stopped(self) -> bool {
        self.is(2)
    }

    /// Whether the glue shall wait inside EvtCancel.
    #[must_use]
    pub const fn waits_in_cancel(self) -> bool {
        self.is(3)
    }

    /// Whether the glue shall offer no receive filter.
    #[must_use]
    pub const fn offers_no_receive_filter(self) -> bool {
        self.is(30)
    }

    /// Whether the glue shall not come back from EvtCancel.
    #[must_use]
    pub const fn loops_in_cancel(self) -> bool {
        self.is(20)
    }

    /// Whether the glue shall not come back from EvtDevicePrepareHardware.
    #[must_use]
    pub const fn sleeps_in_prepare_hardware(self) -> bool {
        self.is(21)
    }

    /// Whether the glue shall panic inside EvtCancel.
    #[must_use]
    pub const fn panics_in_cancel(self) -> bool {
        self.is(22)
    }

    /// Whether the glue shall read through a null pointer inside EvtCancel.
    #[must_use]
    pub const fn reads_null_in_cancel(self) -> bool {
        self.is(23)
    }

    pub(crate) const fn leaves_the_rest_to_advance(self) -> bool {
        self.is(5)
    }

    pub(crate) const fn forgets_to_notify_tx(self) -> bool {
        self.is(6)
    }

    pub(crate) const fn forgets_to_notify_rx(self) -> bool {
        self.is(7)
    }

    pub(crate) const fn marks_sent_as_taken_back(self) -> bool {
        self.is(10)
    }

    pub(crate) const fn skips_a_completion(self) -> bool {
        self.is(11)
    }

    pub(crate) const fn forgets_cancel(self) -> bool {
        self.is(12)
    }

    pub(crate) const fn forgets_doorbell(self) -> bool {
        self.is(13)
    }

    pub(crate) const fn returns_before_used(self) -> bool {
        self.is(14)
    }

    pub(crate) const fn forgets_resume(self) -> bool {
        self.is(4)
    }
}
