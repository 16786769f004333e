//! The slots: which request is in each, whose it is, and what may be done with it now. Pure: the caller holds a lock
//! over each call, and none while it calls the framework.

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Made or reused: it may be sent.
    Ready,
    /// Under way: WdfRequestSend has been or is about to be called, and no end has been seen.
    Sent,
    /// Its end has been seen: it may be reused.
    Done,
}

/// Whose a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The relay made it.
    Own,
    /// A program sent it, through this file.
    Passed {
        /// The framework's file object.
        file: usize,
    },
    /// A program sent it, and it is sent on for good: only a reference of the relay's keeps its object.
    Forgotten {
        /// It has been. Until then it may come back as not sent.
        sent: bool,
    },
}

/// Why something cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such slot.
    NoSlot,
    /// The slot has a request already.
    Taken,
    /// The slot has no request of the kind wanted.
    Empty,
    /// The request is under way, or has to be reused first.
    Busy,
}

/// What is known of a slot's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<H> {
    /// The framework's handle. Alive as long as it is here: its end takes a passed one out first.
    pub handle: H,
    /// Whose it is.
    pub origin: Origin,
    /// Where it stands.
    pub phase: Phase,
    /// Whether it was sent with a completion routine.
    pub routine: bool,
    /// Completion routines that ran since it was sent.
    pub completions: u32,
    /// NTSTATUS of its end.
    pub status: i32,
    /// IoStatus.Information of its end.
    pub information: u64,
}

/// `N` slots.
#[derive(Debug)]
pub struct Slots<H, const N: usize> {
    slots: [Option<Request<H>>; N],
}

impl<H: Copy + PartialEq, const N: usize> Default for Slots<H, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H: Copy + PartialEq, const N: usize> Slots<H, N> {
    /// Empty slots.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: [None; N] }
    }

    fn slot(&mut self, slot: u32) -> Result<&mut Option<Request<H>>, Refusal> {
        self.slots.get_mut(slot as usize).ok_or(Refusal::NoSlot)
    }

    /// What is known of a slot's request.
    ///
    /// # Errors
    /// There is no such slot.
    pub fn get(&self, slot: u32) -> Result<Option<Request<H>>, Refusal> {
        self.slots.get(slot as usize).copied().ok_or(Refusal::NoSlot)
    }

    /// Puts a request into an empty slot.
    ///
    /// # Errors
    /// There is no such slot, or it is taken.
    pub fn put(&mut self, slot: u32, handle: H, origin: Origin) -> Result<(), Refusal> {
        let slot = self.slot(slot)?;
        if slot.is_some() {
            return Err(Refusal::Taken);
        }
        let phase = Phase::Ready;
        *slot = Some(Request {
            handle,
            origin,
            phase,
            routine: false,
            completions: 0,
            status: 0,
            information: 0,
        });
        Ok(())
    }

    /// A request is about to be sent, with or without a completion routine.
    ///
    /// # Errors
    /// The slot is empty, or its request is not ready.
    pub fn begin_send(&mut self, slot: u32, routine: bool) -> Result<H, Refusal> {
        let request = self.slot(slot)?.as_mut().ok_or(Refusal::Empty)?;
        if request.phase != Phase::Ready {
            return Err(Refusal::Busy);
        }
        request.phase = Phase::Sent;
        request.routine = routine;
        request.completions = 0;
        Ok(request.handle)
    }

    /// A request's end: a send that failed, or a synchronous one that returned. A passed request is taken out: whoever
    /// gets it completes it.
    pub fn ended(&mut self, handle: H, status: i32, information: u64) -> Option<(u32, Request<H>)> {
        let at = self.position(handle)?;
        let slot = &mut self.slots[at];
        let request = slot.as_mut()?;
        if request.phase == Phase::Sent {
            request.phase = Phase::Done;
            request.status = status;
            request.information = information;
        }
        let ended = *request;
        if ended.origin != Origin::Own {
            *slot = None;
        }
        Some((at as u32, ended))
    }

    /// A completion routine runs. As [`Self::ended`], but that a synchronous send ends when it returns: its routine is
    /// counted only. The slot, and the request if it was passed and ended here.
    pub fn completed(
        &mut self,
        handle: H,
        synchronous: bool,
        status: i32,
        information: u64,
    ) -> Option<(u32, Option<Request<H>>)> {
        let at = self.position(handle)?;
        self.slots[at].as_mut()?.completions += 1;
        if synchronous {
            return Some((at as u32, None));
        }
        let (slot, request) = self.ended(handle, status, information)?;
        Some((slot, (request.origin != Origin::Own).then_some(request)))
    }

    /// Whether a request may be reused or deleted now; a forgotten one may be let go. One that was sent without a routine
    /// has no end that the relay sees: then the program has to know.
    ///
    /// # Errors
    /// The slot has none of the relay's own, or it is under way.
    pub fn idle(&mut self, slot: u32) -> Result<H, Refusal> {
        let request = self.slot(slot)?.as_ref().ok_or(Refusal::Empty)?;
        match (request.origin, request.phase) {
            (Origin::Passed { .. }, _) => Err(Refusal::Empty),
            (Origin::Own, Phase::Sent) if request.routine => Err(Refusal::Busy),
            (Origin::Forgotten { sent: false }, _) => Err(Refusal::Busy),
            _ => Ok(request.handle),
        }
    }

    /// A request was reused.
    pub fn reused(&mut self, handle: H) {
        if let Some(at) = self.position(handle)
            && let Some(request) = self.slots[at].as_mut()
        {
            request.phase = Phase::Ready;
            request.completions = 0;
            request.status = 0;
            request.information = 0;
        }
    }

    /// A passed request is about to be sent on for good; `false` for one of the relay's own, which cannot be.
    #[must_use]
    pub fn begin_forget(&mut self, handle: H) -> bool {
        let request = self.position(handle).and_then(|at| self.slots[at].as_mut());
        let passed = request.filter(|request| matches!(request.origin, Origin::Passed { .. }));
        passed.map(|request| request.origin = Origin::Forgotten { sent: false }).is_some()
    }

    /// It was.
    pub fn forgotten(&mut self, handle: H) {
        if let Some(at) = self.position(handle)
            && let Some(request) = self.slots[at].as_mut()
        {
            request.origin = Origin::Forgotten { sent: true };
        }
    }

    /// Takes a request out.
    pub fn remove(&mut self, handle: H) {
        if let Some(at) = self.position(handle) {
            self.slots[at] = None;
        }
    }

    /// The slot of a request.
    #[must_use]
    pub fn find(&self, handle: H) -> Option<u32> {
        self.position(handle).map(|at| at as u32)
    }

    /// Passed requests of a file, from slot `from` on: the first one's slot, and itself: the slot may be another's soon.
    #[must_use]
    pub fn next_of_file(&self, file: usize, from: u32) -> Option<(u32, H)> {
        (from..N as u32).zip(self.slots.get(from as usize..)?).find_map(|(slot, request)| {
            let request = request.filter(|request| request.origin == Origin::Passed { file })?;
            Some((slot, request.handle))
        })
    }

    fn position(&self, handle: H) -> Option<usize> {
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(|request| request.handle == handle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Table = Slots<u32, 2>;

    fn own(handle: u32) -> Table {
        let mut table = Table::new();
        assert_eq!(table.put(0, handle, Origin::Own), Ok(()));
        table
    }

    #[test]
    fn a_slot_holds_one_request() {
        let mut table = own(1);
        assert_eq!(table.put(0, 2, Origin::Own), Err(Refusal::Taken));
        assert_eq!(table.put(2, 2, Origin::Own), Err(Refusal::NoSlot));
        assert_eq!(table.begin_send(1, true), Err(Refusal::Empty));
    }

    #[test]
    fn a_request_is_sent_once_until_it_is_reused() {
        let mut table = own(1);
        assert_eq!(table.begin_send(0, true), Ok(1));
        assert_eq!(table.begin_send(0, true), Err(Refusal::Busy));
        assert_eq!(table.idle(0), Err(Refusal::Busy));
        assert_eq!(table.completed(1, false, -5, 3), Some((0, None)));
        assert_eq!(table.begin_send(0, true), Err(Refusal::Busy));
        let request = table.get(0).unwrap().unwrap();
        assert_eq!((request.phase, request.status, request.information), (Phase::Done, -5, 3));
        assert_eq!(table.idle(0), Ok(1));
        table.reused(1);
        assert_eq!(table.begin_send(0, false), Ok(1));
    }

    #[test]
    fn without_a_routine_the_program_says_when_it_is_over() {
        let mut table = own(1);
        assert_eq!(table.begin_send(0, false), Ok(1));
        assert_eq!(table.idle(0), Ok(1));
    }

    #[test]
    fn the_routine_of_a_synchronous_send_does_not_end_it() {
        let mut table = own(1);
        assert_eq!(table.begin_send(0, true), Ok(1));
        assert_eq!(table.completed(1, true, 0, 0), Some((0, None)));
        assert_eq!(table.get(0).unwrap().unwrap().phase, Phase::Sent);
        let (_, request) = table.ended(1, 0, 8).unwrap();
        assert_eq!((request.phase, request.completions, request.information), (Phase::Done, 1, 8));
    }

    #[test]
    fn a_passed_request_leaves_its_slot_when_it_ends() {
        let mut table = Table::new();
        assert_eq!(table.put(1, 9, Origin::Passed { file: 5 }), Ok(()));
        assert_eq!(table.begin_send(1, true), Ok(9));
        assert_eq!(table.next_of_file(5, 0), Some((1, 9)));
        assert_eq!(table.next_of_file(4, 0), None);
        assert_eq!(table.next_of_file(5, 2), None);
        let (slot, request) = table.completed(9, false, 0, 0).unwrap();
        assert_eq!((slot, request.unwrap().handle), (1, 9));
        assert_eq!(table.get(1), Ok(None));
        assert_eq!(table.completed(9, false, 0, 0), None);
    }

    #[test]
    fn a_forgotten_request_stays_until_it_is_let_go() {
        let mut table = Table::new();
        assert_eq!(table.put(0, 9, Origin::Passed { file: 5 }), Ok(()));
        assert_eq!(table.begin_send(0, false), Ok(9));
        assert!(table.begin_forget(9));
        assert_eq!(table.next_of_file(5, 0), None);
        assert_eq!(table.idle(0), Err(Refusal::Busy));
        table.forgotten(9);
        assert_eq!(table.idle(0), Ok(9));
        table.remove(9);
        assert_eq!(table.get(0), Ok(None));
    }

    #[test]
    fn a_request_that_could_not_be_forgotten_is_given_back() {
        let mut table = Table::new();
        assert_eq!(table.put(0, 9, Origin::Passed { file: 5 }), Ok(()));
        assert_eq!(table.begin_send(0, false), Ok(9));
        assert!(table.begin_forget(9));
        let (_, request) = table.ended(9, -5, 0).unwrap();
        assert_ne!(request.origin, Origin::Own);
        assert_eq!(table.get(0), Ok(None));
    }

    #[test]
    fn the_relays_own_request_is_not_forgotten() {
        let mut table = own(1);
        assert_eq!(table.begin_send(0, false), Ok(1));
        assert!(!table.begin_forget(1));
        let (_, request) = table.ended(1, -5, 0).unwrap();
        assert_eq!(request.origin, Origin::Own);
        assert_eq!(table.idle(0), Ok(1));
    }

    #[test]
    fn a_passed_request_is_not_the_relays_to_reuse() {
        let mut table = Table::new();
        assert_eq!(table.put(0, 9, Origin::Passed { file: 5 }), Ok(()));
        assert_eq!(table.idle(0), Err(Refusal::Empty));
    }
}
