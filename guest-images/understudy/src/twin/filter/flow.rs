//! Lists on their way down and up, cancels, pauses, and every order of two threads.

use super::driver::*;
use crate::ke::{Event, worker};
use crate::ndis::miniport::{self, Miniport};
use crate::ndis::protocol::{self, Frames};
use crate::ndis::{binding, flow, stack};
use crate::twin::machine::on_a_machine;
use crate::twin::orders;
use crate::verifier::trace;
use alloc::sync::Arc;
use core::mem::transmute;
use core::sync::atomic::Ordering::SeqCst;
use ndis_sys::*;
use std::boxed::Box;
use std::vec::Vec;
use understudy_rules::ndis::ledger::Party;

#[test]
fn what_the_protocol_sends_comes_back_with_the_wires_status() {
    on_a_machine!(|| {
        up(None);
        send_frames(1, 20, 0);
        assert_eq!((kept(), account()), (20, [0, 0, 0, 0, 20]));
        complete_all();
        assert_eq!(account(), [20, 0, 0, 0, 0]);
    });
}

#[test]
fn lists_go_through_a_filter_both_ways() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 20, 0);
        complete_all();
        assert_eq!(account(), [20, 0, 0, 0, 0]);
    });
}

#[test]
fn a_cancel_aborts_what_waits_in_the_filter_under_its_id_and_nothing_else() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 5, ID);
        CLOSED.store(true, SeqCst);
        send_frames(6, 7, ID);
        send_frames(13, 3, ID + 1);
        protocol::cancel(ID).unwrap();
        assert_eq!(account(), [0, 7, 0, 0, 8], "those below the filter go on");
        CLOSED.store(false, SeqCst);
        send(&QUEUED.with(core::mem::take));
        complete_all();
        assert_eq!(account(), [8, 7, 0, 0, 0]);
    });
}

#[test]
fn a_cancel_of_an_id_that_nobody_has_is_passed_on_and_changes_nothing() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 5, ID);
        protocol::cancel(ID + 7).unwrap();
        assert_eq!(account(), [0, 0, 0, 0, 5]);
        complete_all();
    });
}

#[test]
fn a_pause_completes_what_waits_as_paused_and_a_restart_lets_lists_flow_again() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        CLOSED.store(true, SeqCst);
        send_frames(1, 4, 0);
        stack::pause(1);
        assert_eq!(account(), [0, 0, 4, 0, 0]);
        CLOSED.store(false, SeqCst);
        stack::start();
        send_frames(5, 2, 0);
        complete_all();
        assert_eq!(account(), [2, 0, 4, 0, 0]);
    });
}

#[test]
fn what_is_sent_to_a_paused_stack_ends_paused() {
    on_a_machine!(|| {
        up(None);
        stack::pause(1);
        send_frames(1, 4, 0);
        assert_eq!(account(), [0, 0, 4, 0, 0]);
    });
}

#[test]
fn a_filter_is_detached_and_attached_while_the_protocol_stays() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        stack::detach().unwrap();
        assert!(stack::detach().unwrap_err().contains("no filter is attached"));
        send_frames(1, 2, 0);
        complete_all();
        stack::attach().unwrap();
        assert!(stack::attach().unwrap_err().contains("no filter is registered"));
        send_frames(3, 2, 0);
        complete_all();
        assert_eq!(account(), [4, 0, 0, 0, 0]);
    });
}

#[test]
fn an_unbind_waits_until_all_that_was_sent_is_back() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 3, 0);
        let done = Arc::new(Event::auto());
        let set = done.clone();
        worker::run(Box::new(move || {
            stack::unbind().unwrap();
            set.set();
        }));
        assert!(!done.wait_timeout(1_000_000));
        complete_all();
        assert!(done.wait_timeout(1_000_000));
        assert!(protocol::send(Frames { first: 9, count: 1, len: 100, parts: 1, cancel_id: 0 }).is_err());
    });
}

#[test]
fn an_optional_filter_that_fails_to_attach_is_left_out() {
    on_a_machine!(|| {
        up(Some(Does::FailsToAttach));
        send_frames(1, 2, 0);
        complete_all();
        assert_eq!(account(), [2, 0, 0, 0, 0]);
    });
}

#[test]
fn an_adapter_that_goes_leaves_nothing_out() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        send_frames(1, 3, 0);
        complete_all();
        stack::adapter_down(true);
        assert!(!binding::is_bound());
    });
}

#[test]
fn received_lists_go_up_through_the_filter_and_back_to_the_wire() {
    on_a_machine!(|| {
        up(Some(Does::Right));
        let frame: &'static [u8] = understudy_rules::frame::build(42, 100, MAC).leak();
        let extent = crate::ndis::memory::Extent { address: frame.as_ptr() as usize, len: frame.len() };
        let list = crate::ndis::memory::make(Party::Miniport, Wire.handle(), &[extent], 0).unwrap();
        flow::indicate_from_miniport(&[list]);
        crate::ke::delay_us(10);
        assert_eq!(BACK.with(|back| back.clone()), [list]);
        assert_eq!(binding::report().received.iter().collect::<Vec<_>>(), [42]);
    });
}

/// Two threads in every order while the filter's gate is closed over four lists under [`ID`]; then all is let go and every
/// list must have ended in one of the ways that `ends` allows: success, aborted, paused.
fn every_order(first: fn(), second: fn(), ends: [bool; 3]) {
    up(Some(Does::Right));
    let mut sent = 0;
    let rounds = orders::every(1, || {
        CLOSED.store(true, SeqCst);
        send_frames(1 + sent, 4, ID);
        sent += 4;
        orders::race(Box::new(first), Box::new(second));
        open();
        complete_all();
        if !RUNNING.load(SeqCst) {
            stack::start();
        }
        let all = account();
        assert_eq!((all[3], all[4]), (0, 0), "failed and outstanding");
        assert_eq!(all.iter().sum::<usize>() as u64, sent);
        assert!(all.iter().zip(ends).all(|(&count, may)| may || count == 0), "{all:?}");
    });
    assert!(rounds > 5, "{rounds} orders");
}

/// The gate opens: what waits goes down.
fn open() {
    CLOSED.store(false, SeqCst);
    let waiting = QUEUED.with(core::mem::take);
    if !waiting.is_empty() {
        send(&waiting);
    }
}

fn cancel_them() {
    protocol::cancel(ID).expect("the protocol cancels");
}

#[test]
fn a_cancel_against_the_opening_of_the_gate_in_every_order() {
    // in a callback of the driver's: what it is carrying just then is no list that it forgot
    let opens = || trace::callback("filter", "EvtTimerFunc", open);
    on_a_machine!(move || every_order(cancel_them, opens, [true, true, false]));
}

#[test]
fn a_cancel_against_a_pause_in_every_order() {
    on_a_machine!(|| every_order(cancel_them, || stack::pause(1), [false, true, true]));
}

#[test]
fn two_cancels_of_one_id_in_every_order() {
    on_a_machine!(|| every_order(cancel_them, cancel_them, [false, true, false]));
}

#[test]
fn the_opening_of_the_gate_and_its_completions_against_a_pause_in_every_order() {
    on_a_machine!(|| {
        let through = || {
            open();
            complete_all();
        };
        every_order(through, || stack::pause(1), [true, false, true]);
    });
}

#[test]
fn generated_bytes_of_cancellation_ids_differ() {
    on_a_machine!(|| {
        let generate = import("NdisGeneratePartialCancelId");
        // SAFETY: as above.
        let byte = || unsafe { transmute::<usize, unsafe extern "win64" fn() -> u8>(generate)() };
        assert_eq!([byte(), byte(), byte()], [1, 2, 3]);
    });
}

#[test]
fn a_registration_that_does_not_hold_together_is_refused() {
    on_a_machine!(|| {
        miniport::register(&Wire);
        type Spoil = fn(&mut NDIS_FILTER_DRIVER_CHARACTERISTICS);
        let service = service();
        let spoiled: [(Spoil, i32); 7] = [
            (|all| all.Header.Type = 0, NDIS_STATUS_BAD_CHARACTERISTICS),
            (|all| all.MajorNdisVersion = 5, NDIS_STATUS_BAD_VERSION),
            (|all| all.MinorNdisVersion = 99, NDIS_STATUS_BAD_VERSION),
            (|all| all.Header.Size -= 8, NDIS_STATUS_BAD_CHARACTERISTICS),
            (|all| all.PauseHandler = None, NDIS_STATUS_BAD_CHARACTERISTICS),
            (|all| all.StatusHandler = None, NDIS_STATUS_BAD_CHARACTERISTICS),
            (|all| all.Flags = 0x8000, NDIS_STATUS_BAD_CHARACTERISTICS),
        ];
        for (at, (spoil, expected)) in spoiled.into_iter().enumerate() {
            let mut all = characteristics();
            spoil(&mut all);
            assert_eq!(register(&service, &mut all), expected, "case {at}");
        }
        assert_eq!(register(&service, &mut characteristics()), NDIS_STATUS_SUCCESS);
    });
}
