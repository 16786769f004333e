//! What the NDIS filter decides: which sends are held back, which of them a cancellation ID hits, when a pause is over.
//!
//! A [`Module`] keeps the books of one filter module. It knows no NDIS: a net buffer list is a [`List`], the drivers
//! above and below are reached through [`Stack`], and the lock around the books is a [`Lock`], so that the same code
//! runs in the kernel and under a scheduler that tries every order of its steps.
//!
//! Rules that hold in every race:
//! 1. The lock is never held over a call out; completions may come inside the call that sends.
//! 2. A list is in one place: the held queue, the hands of one call, or with another driver. Taking it out of the
//!    queue happens under the lock, so that of a cancel, a release and a pause only one gets it.
//! 3. Lists go down in the order in which they came. Only one call at a time empties the queue, and while it does,
//!    later sends queue up behind it.
//! 4. A pause is over when no own list is queued or below and no call that began before it is still under way. The
//!    call that finds this so tells it, as the last thing that it does with the module.
#![no_std]
#![forbid(unsafe_code)]

mod chain;
mod module;

pub use cancelnic_ioctl::filter::Counters;
pub use chain::Chain;
pub use module::{Books, Module, Refused};

/// A net buffer list, by its address. Whoever has it in a [`Chain`] holds it; all methods are for the holder.
pub trait List: Copy + Eq {
    /// The list behind it.
    fn next(self) -> Option<Self>;
    /// Sets the list behind it.
    fn set_next(self, next: Option<Self>);
    /// Its cancellation ID; 0 is NULL.
    fn cancel_id(self) -> u64;
    /// Sets the ID to NULL. Own lists only.
    fn clear_cancel_id(self);
    /// What became of it, as whoever completed it has written.
    fn outcome(self) -> Outcome;
    /// Writes what becomes of it.
    fn set_outcome(self, outcome: Outcome);
    /// Where it goes, as noted by [`Self::set_way`] since this module holds it.
    fn way(self) -> Way;
    /// Notes where it goes.
    fn set_way(self, way: Way);
}

/// Status of a completed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was sent.
    Success,
    /// It was cancelled by its ID.
    Aborted,
    /// The data path was paused, or on its way there.
    Paused,
    /// Something else.
    Failed,
}

/// With what a list was sent, and is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The port.
    pub port: u32,
    /// Send flags.
    pub flags: u32,
}

/// Send and completion flag: the caller is at DISPATCH_LEVEL.
pub const AT_DISPATCH: u32 = 1;

impl Way {
    /// For a list that is passed on later, from who knows which IRQL.
    #[must_use]
    pub const fn later(self) -> Self {
        Self { port: self.port, flags: self.flags & !AT_DISPATCH }
    }

    /// Flags for completing at once what was sent so.
    #[must_use]
    pub const fn completion_flags(self) -> u32 {
        self.flags & AT_DISPATCH
    }
}

/// The drivers above and below, as one module reaches them.
pub trait Stack<L: List> {
    /// Whether this module has originated the list: a comparison, nothing else.
    fn is_own(&self, list: L) -> bool;
    /// Sends lists to the driver below; they may come back inside the call.
    fn send_down(&self, lists: Chain<L>, way: Way);
    /// Gives overlying drivers' lists back.
    fn complete_up(&self, lists: Chain<L>, flags: u32);
    /// Passes a cancellation ID on to the driver below.
    fn cancel_down(&self, id: u64);
    /// Takes own lists that are over.
    fn recycle(&self, lists: Chain<L>);
    /// A pause is over. The module may be gone when this returns.
    fn paused(&self);
}

/// A lock around a value. Never taken twice by one thread; of [`Stack`] only `is_own` is called under it.
pub trait Lock<T> {
    /// Calls `act` with the value, alone.
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R;
}
