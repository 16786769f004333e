//! What a filter must not do, each with the rule that names it.

use super::driver::*;
use crate::ndis::protocol;
use crate::ndis::stack;
use crate::twin::machine::{on_a_machine, stops_with};
use core::ffi::c_void;
use core::mem::transmute;
use core::ptr::{null, null_mut};
use core::sync::atomic::Ordering::SeqCst;

/// What the filter does wrong shows while it is cancelled with a closed gate.
fn cancelled(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(Some(what));
        CLOSED.store(true, SeqCst);
        send_frames(1, 4, ID);
        drop(protocol::cancel(ID));
    }
}

#[test]
fn a_cancel_that_is_not_passed_on_is_named() {
    stops_with!("CancelNotPassedOn", cancelled(Does::ForgetsToPassOn));
}

#[test]
fn a_cancel_that_is_passed_on_twice_is_named() {
    stops_with!("CancelPassedOnTwice", cancelled(Does::PassesOnTwice));
}

#[test]
fn a_cancel_that_is_passed_on_with_another_id_is_named() {
    stops_with!("CancelIdNotSame", cancelled(Does::ChangesTheId));
}

#[test]
fn a_list_that_matches_and_stays_is_named() {
    stops_with!("CancelLeftMatchingList", cancelled(Does::KeepsAMatch));
}

/// What the filter does wrong shows in a send and its completion.
fn sent(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(Some(what));
        send_frames(1, 4, ID);
        complete_all();
    }
}

#[test]
fn a_completion_without_a_status_is_named() {
    stops_with!("StatusNotSet", sent(Does::CompletesWithoutStatus));
}

#[test]
fn a_list_that_is_completed_and_then_sent_is_named() {
    stops_with!("NotANetBufferList", sent(Does::SendsWhatItHasCompleted));
}

#[test]
fn a_list_that_is_completed_twice_is_named() {
    stops_with!("NotANetBufferList", sent(Does::CompletesTwice));
}

#[test]
fn an_abort_without_a_cancel_is_named() {
    stops_with!("AbortedWithoutCancel", sent(Does::AbortsWithoutCancel));
}

#[test]
fn data_that_is_written_on_the_way_back_is_named() {
    stops_with!("ListNotRestored", sent(Does::WritesTheData));
}

#[test]
fn a_handler_that_returns_at_another_irql_is_named() {
    stops_with!("IrqlNotRestored", sent(Does::RaisesIrql));
}

/// What the filter does wrong shows in a pause with lists in it.
fn paused(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(Some(what));
        CLOSED.store(true, SeqCst);
        send_frames(1, 4, ID);
        stack::pause(1);
    }
}

#[test]
fn a_pause_that_ends_with_lists_held_is_named() {
    stops_with!("PausedWithListsHeld", paused(Does::PausesWithListsHeld));
}

#[test]
fn a_pause_that_never_ends_is_named() {
    stops_with!("NdisFilterTimedPauseComplete", paused(Does::NeverPauses));
}

#[test]
fn a_pause_that_ends_twice_is_named() {
    stops_with!("NdisFilterTimedPauseComplete", paused(Does::PausesTwice));
}

#[test]
fn an_attach_that_sets_no_attributes_is_named() {
    stops_with!("FilterAttributesNotSet", || up(Some(Does::SetsNoAttributes)));
}

#[test]
fn a_pause_completion_without_a_pause_is_named() {
    stops_with!("PauseCompleteWithoutPause", || {
        up(Some(Does::Right));
        pause_complete();
    });
}

#[test]
fn an_empty_chain_is_named() {
    stops_with!("EmptyChain", || {
        up(Some(Does::Right));
        send(&[]);
    });
}

#[test]
fn a_handle_of_no_module_is_named() {
    stops_with!("InvalidFilterHandle", || {
        up(Some(Does::Right));
        MODULE.store(0x10, SeqCst);
        pause_complete();
    });
}

#[test]
fn a_handle_after_the_detach_is_named() {
    stops_with!("HandleAfterDetach", || {
        up(Some(Does::Right));
        stack::detach().unwrap();
        pause_complete();
    });
}

#[test]
fn a_null_id_that_a_filter_cancels_itself_is_named() {
    stops_with!("NullCancelIdStarted", || {
        up(Some(Does::Right));
        pass_cancel_on(null_mut());
    });
}

#[test]
fn an_id_that_ndis_did_not_give_is_named() {
    stops_with!("CancelIdNotOwn", || {
        up(Some(Does::Right));
        pass_cancel_on(0x7700_0000_0000_0001_u64 as *mut c_void);
    });
}

#[test]
fn an_event_that_was_not_initialised_is_named() {
    stops_with!("EventNotInitialized", || {
        type Set = unsafe extern "win64" fn(*mut c_void);
        // SAFETY: as above.
        unsafe { transmute::<usize, Set>(import("NdisSetEvent"))(null::<u8>().cast_mut().cast()) };
    });
}

#[test]
fn the_timer_of_a_watched_callback_does_not_outlive_it() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        stack::pause(1);
        stack::start();
        // longer than NDIS gives a pause
        crate::ke::delay_us(20_000_000);
    });
}
