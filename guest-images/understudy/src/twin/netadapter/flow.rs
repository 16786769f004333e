//! Packets through the rings, the way down and up again, and every order of two threads.

use super::hardware::*;
use super::nic::*;
use super::{account, calls, count, report, send_frames};
use crate::ke::{Event, delay_us, worker};
use crate::ndis::binding;
use crate::ndis::protocol::{self, Frames};
use crate::ndis::stack;
use crate::translator::datapath;
use crate::twin::machine::on_a_machine;
use crate::twin::orders;
use alloc::sync::Arc;
use core::sync::atomic::Ordering::SeqCst;
use netadaptercx_sys::*;
use std::boxed::Box;
use std::string::String;
use understudy_rules::frame;

#[test]
fn what_is_sent_goes_through_the_ring_and_comes_back() {
    on_a_machine!(|| {
        up(Does::Right);
        send_frames(1, 300, 100);
        assert_eq!(account(), [300, 0, 0, 0, 0]);
        let tx = report(0);
        assert_eq!((count(&tx.posted), count(&tx.sent), count(&tx.outstanding)), (300, 300, 0));
    });
}

#[test]
fn sends_wait_for_the_device_and_its_interrupt() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 5, 100);
        assert_eq!(account(), [0, 0, 0, 0, 5]);
        device_sends(2);
        delay_us(1000);
        assert_eq!(account(), [2, 0, 0, 0, 3]);
        device_sends(3);
        delay_us(1000);
        assert_eq!(account(), [5, 0, 0, 0, 0]);
    });
}

#[test]
fn more_than_the_ring_holds_waits_in_front_of_it() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 400, 100);
        let tx = report(0);
        assert_eq!((count(&tx.outstanding), count(&tx.queued)), (255, 145));
        device_sends(255);
        delay_us(1000);
        device_sends(145);
        delay_us(1000);
        assert_eq!(account(), [400, 0, 0, 0, 0]);
    });
}

#[test]
fn a_pause_has_the_driver_cancel_what_the_ring_holds_and_completes_the_rest_as_paused() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 400, 100);
        calls(&TX);
        stack::pause(1);
        assert_eq!(account(), [255, 0, 145, 0, 0]);
        let tx = report(0);
        assert_eq!((count(&tx.taken_back), count(&tx.paused), count(&tx.sent)), (255, 145, 0));
        assert_eq!(calls(&TX), ["EvtCancel", "EvtStop"]);
    });
}

#[test]
fn a_cancel_that_comes_twice_finds_nothing_the_second_time() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 10, 100);
        stack::pause(2);
        assert_eq!(count(&report(0).taken_back), 10);
    });
}

#[test]
fn a_restart_after_a_pause_begins_with_empty_rings() {
    on_a_machine!(|| {
        up(Does::Right);
        for round in 0..5 {
            send_frames(1 + round * 10, 10, 100);
            stack::pause(1);
            assert!(!datapath::is_running());
            calls(&TX);
            calls(&RX);
            stack::start();
            assert_eq!(calls(&TX)[0], "EvtStart");
            assert_eq!(calls(&RX)[0], "EvtStart");
        }
        assert_eq!(account(), [50, 0, 0, 0, 0]);
    });
}

#[test]
fn what_is_sent_to_a_paused_data_path_ends_paused() {
    on_a_machine!(|| {
        up(Does::Right);
        stack::pause(1);
        send_frames(1, 3, 100);
        assert_eq!(account(), [0, 0, 3, 0, 0]);
    });
}

#[test]
fn a_frame_in_many_parts_goes_through_a_bounce_buffer_and_one_that_is_too_long_is_ignored() {
    on_a_machine!(|| {
        up(Does::Right);
        let many = Frames { first: 1, count: 3, len: 1000, parts: 20, cancel_id: 0 };
        protocol::send(many).unwrap();
        send_frames(4, 2, frame::TOO_LONG);
        send_frames(6, 1, frame::LONGEST);
        let tx = report(0);
        assert_eq!((count(&tx.sent), count(&tx.skipped)), (4, 2));
        assert_eq!(account()[4], 0);
    });
}

#[test]
fn received_frames_go_up_and_their_buffers_come_back() {
    on_a_machine!(|| {
        up(Does::Right);
        for round in 0..20 {
            wire_brings(round * 50..round * 50 + 50);
        }
        assert_eq!(count(&report(1).received), 1000);
        assert_eq!(count(&binding::report().received), 1000);
        stack::pause(1);
        let rx = report(1);
        assert_eq!(rx.held, 0);
    });
}

#[test]
fn frames_that_come_while_the_protocol_is_not_bound_go_back_and_are_not_in_its_account() {
    on_a_machine!(|| {
        up(Does::Right);
        wire_brings(0..10);
        stack::unbind().unwrap();
        wire_brings(10..15);
        stack::bind().unwrap();
        wire_brings(15..20);
        assert_eq!((count(&report(1).received), count(&binding::report().received)), (20, 15));
        stack::pause(1);
        assert_eq!(report(1).held, 0);
    });
}

#[test]
fn the_protocols_receive_filter_reaches_the_driver() {
    on_a_machine!(|| {
        up(Does::Right);
        let set = FILTERS.with(|filters| filters.clone());
        let supported =
            NetPacketFilterFlagDirected | NetPacketFilterFlagMulticast | NetPacketFilterFlagBroadcast;
        assert_eq!(set.last(), Some(&(supported, 1)), "all that the protocol wants: {set:?}");
    });
}

#[test]
fn a_device_that_leaves_d0_has_no_queues_and_gets_new_ones() {
    on_a_machine!(|| {
        let driver = up(Does::Right);
        send_frames(1, 10, 100);
        for round in 0..3 {
            driver.node.leave_d0(3).unwrap();
            assert!(!datapath::exists());
            driver.node.enter_d0(3).unwrap();
            send_frames(11 + round * 10, 10, 100);
        }
        assert_eq!(count(&report(0).sent), 40, "the books go on");
        driver.node.remove(false, &[]);
        assert!(!datapath::exists());
    });
}

#[test]
fn a_surprise_removal_takes_the_data_path_down_with_sends_in_the_ring() {
    on_a_machine!(|| {
        let driver = up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 20, 100);
        driver.node.remove(true, &[]);
        assert_eq!(account(), [20, 0, 0, 0, 0]);
        assert_eq!(count(&report(0).taken_back), 20);
    });
}

#[test]
fn sends_race_with_a_pause_and_none_is_lost() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        for round in 0..10 {
            let done = Arc::new(Event::auto());
            let set = done.clone();
            worker::run(Box::new(move || {
                for burst in 0..5 {
                    send_frames(1 + round * 100 + burst * 20, 20, 100);
                    device_sends(7);
                }
                set.set();
            }));
            delay_us(round * 700);
            stack::pause(1);
            stack::start();
            done.wait();
        }
        stack::pause(1);
        let all = account();
        assert_eq!((all[1], all[3], all[4]), (0, 0, 0));
        assert_eq!(all[0] + all[2], 1000);
        let tx = report(0);
        assert_eq!(count(&tx.sent) + count(&tx.taken_back) + count(&tx.paused), 1000);
    });
}

/// Sends of five frames each against what the second thread does, in every order; the data path is paused after each
/// round, and every frame must have ended well or paused.
fn every_order(first: impl Fn(u64) + Send + Clone + 'static, second: impl Fn() + Send + Clone + 'static) {
    up(Does::Right);
    FAST.store(false, SeqCst);
    let mut round = 0;
    let rounds = orders::every(1, || {
        round += 1;
        let (first, second) = (first.clone(), second.clone());
        orders::race(Box::new(move || first(round)), Box::new(second));
        if datapath::is_running() {
            stack::pause(1);
        }
        let all = account();
        assert_eq!((all[1], all[3], all[4]), (0, 0, 0), "round {round}");
        let tx = report(0);
        assert_eq!(
            all[0],
            count(&tx.sent) + count(&tx.taken_back) + count(&tx.never_posted),
            "round {round}"
        );
        assert_eq!(report(1).held, 0, "round {round}");
        stack::start();
    });
    assert!(rounds > 20, "{rounds} orders");
}

fn five(round: u64) {
    let frames = Frames { first: 1 + 5 * round, count: 5, len: 100, parts: 2, cancel_id: 0 };
    protocol::send(frames).expect("the protocol sends");
}

#[test]
fn sends_against_a_pause_in_every_order() {
    on_a_machine!(|| every_order(five, || stack::pause(1)));
}

#[test]
fn sends_against_completions_in_every_order() {
    on_a_machine!(|| every_order(five, || {
        device_sends(2);
        device_sends(3);
    }));
}

#[test]
fn completions_against_a_pause_in_every_order() {
    on_a_machine!(|| {
        let completions = |round| {
            five(round);
            device_sends(3);
        };
        every_order(completions, || stack::pause(2));
    });
}

#[test]
fn received_frames_against_a_pause_in_every_order() {
    on_a_machine!(|| every_order(|round| frames_come(5 * round..5 * round + 5), || stack::pause(1)));
}

#[test]
fn received_frames_against_an_unbinding_of_the_protocol_in_every_order() {
    on_a_machine!(|| {
        let rebind = || {
            stack::unbind().unwrap();
            stack::bind().unwrap();
        };
        every_order(|round| frames_come(5 * round..5 * round + 5), rebind);
    });
}

#[test]
fn the_link_goes_down_and_up() {
    on_a_machine!(|| {
        up(Does::Right);
        set_link(false);
        assert!(!crate::ndis::miniport::get().is_connected());
        set_link(true);
        assert!(crate::ndis::miniport::get().is_connected());
    });
}

#[test]
fn queues_can_be_looked_at_while_they_hold_packets() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 5, 100);
        let views = datapath::inspect();
        assert_eq!(views[0].packets.owned(), 5);
        assert_eq!((views[0].queue.as_str(), views[1].queue.as_str()), ("tx0", "rx0"));
        assert!(views[0].asleep && !views[0].cancelled);
    });
}

fn refused(what: Does) -> String {
    added(what).node.start().unwrap_err()
}

#[test]
fn a_device_whose_queues_cannot_be_made_does_not_start() {
    on_a_machine!(|| assert!(refused(Does::FailsToMakeAQueue).contains("0xc000009a")));
}

#[test]
fn a_callback_that_succeeds_without_a_queue_fails_the_device() {
    on_a_machine!(|| assert!(refused(Does::MakesNoQueue).contains("succeeded without a queue")));
}

#[test]
fn an_adapter_without_an_mtu_does_not_start() {
    on_a_machine!(|| assert!(refused(Does::StartsWithoutMtu).contains("EvtDevicePrepareHardware")));
}
