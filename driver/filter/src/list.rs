//! NET_BUFFER_LIST as cancelnic-filter-core's list.

use core::ptr::{NonNull, null_mut, without_provenance_mut};

use cancelnic_filter_core::{Chain, List, Outcome, Way};
use ndis_sys::{
    NDIS_GET_NET_BUFFER_LIST_CANCEL_ID, NDIS_SET_NET_BUFFER_LIST_CANCEL_ID, NDIS_STATUS_FAILURE,
    NDIS_STATUS_PAUSED, NDIS_STATUS_SEND_ABORTED, NDIS_STATUS_SUCCESS, NET_BUFFER_LIST,
};

/// A net buffer list that this driver holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nbl(NonNull<NET_BUFFER_LIST>);

// SAFETY: a list belongs to its holder, on whatever processor that runs.
unsafe impl Send for Nbl {}

impl Nbl {
    /// The list at this address.
    ///
    /// # Safety
    /// It is a list that this driver holds, as long as it is in a chain of this driver's.
    pub(crate) const unsafe fn new(list: NonNull<NET_BUFFER_LIST>) -> Self {
        Self(list)
    }

    /// Its address.
    pub(crate) const fn as_ptr(self) -> *mut NET_BUFFER_LIST {
        self.0.as_ptr()
    }
}

/// The lists that NDIS hands over.
///
/// # Safety
/// `first` is null or begins a chain of lists that the caller has been given.
pub(crate) unsafe fn taken(first: *mut NET_BUFFER_LIST) -> Chain<Nbl> {
    // SAFETY: the caller vouches for the lists.
    Chain::from_first(NonNull::new(first).map(|first| unsafe { Nbl::new(first) }))
}

/// The first of the lists that NDIS is handed over, with the others behind it.
pub(crate) fn given(lists: Chain<Nbl>) -> *mut NET_BUFFER_LIST {
    lists.into_first().map_or(null_mut(), Nbl::as_ptr)
}

/// The low half of Scratch is the port, the high half are the flags.
const FLAGS_SHIFT: u32 = 32;

impl List for Nbl {
    fn next(self) -> Option<Self> {
        // SAFETY: the list is this driver's to read.
        let next = unsafe { (*self.as_ptr()).Next };
        // SAFETY: what it is linked to is this driver's too.
        NonNull::new(next).map(|next| unsafe { Self::new(next) })
    }

    fn set_next(self, next: Option<Self>) {
        // SAFETY: the list is this driver's to link.
        unsafe { (*self.as_ptr()).Next = next.map_or(null_mut(), Self::as_ptr) };
    }

    fn cancel_id(self) -> u64 {
        // SAFETY: the list is this driver's to read.
        unsafe { NDIS_GET_NET_BUFFER_LIST_CANCEL_ID(self.as_ptr()) }.addr() as u64
    }

    fn clear_cancel_id(self) {
        // SAFETY: only called for lists that this driver has originated and holds.
        unsafe { NDIS_SET_NET_BUFFER_LIST_CANCEL_ID(self.as_ptr(), null_mut()) };
    }

    fn outcome(self) -> Outcome {
        // SAFETY: the list is this driver's to read.
        match unsafe { (*self.as_ptr()).Status } {
            NDIS_STATUS_SUCCESS => Outcome::Success,
            NDIS_STATUS_SEND_ABORTED => Outcome::Aborted,
            NDIS_STATUS_PAUSED => Outcome::Paused,
            _ => Outcome::Failed,
        }
    }

    fn set_outcome(self, outcome: Outcome) {
        let status = match outcome {
            Outcome::Success => NDIS_STATUS_SUCCESS,
            Outcome::Aborted => NDIS_STATUS_SEND_ABORTED,
            Outcome::Paused => NDIS_STATUS_PAUSED,
            Outcome::Failed => NDIS_STATUS_FAILURE,
        };
        // SAFETY: a completion's status is its holder's to write.
        unsafe { (*self.as_ptr()).Status = status };
    }

    fn way(self) -> Way {
        // SAFETY: the list is this driver's to read.
        let noted = unsafe { (*self.as_ptr()).Scratch }.addr() as u64;
        Way { port: noted as u32, flags: (noted >> FLAGS_SHIFT) as u32 }
    }

    fn set_way(self, way: Way) {
        let noted = u64::from(way.flags) << FLAGS_SHIFT | u64::from(way.port);
        // SAFETY: Scratch is the present holder's.
        unsafe { (*self.as_ptr()).Scratch = without_provenance_mut(noted as usize) };
    }
}
