//! A good run passes; each single lie is found, by its name.

use super::*;
use crate::device::capture::Capture;
use crate::device::control::{Finding, Rule};
use crate::facts::example::good;
use crate::guest::driver_log::DriverLog;
use agent_protocol::{Ids, ListReport};

fn ids(text: &[(u64, u64)]) -> Ids {
    Ids(text.to_vec())
}

fn rules_after(spoil: impl FnOnce(&mut Facts)) -> Vec<String> {
    let mut facts = good();
    spoil(&mut facts);
    judge(&facts).into_iter().map(|violation| violation.rule).collect()
}

#[track_caller]
fn finds(rule: &str, spoil: impl FnOnce(&mut Facts)) {
    let rules = rules_after(spoil);
    assert!(rules.iter().any(|found| found == rule), "{rule} is not among {rules:?}");
}

#[test]
fn a_good_run_is_good() {
    assert_eq!(judge(&good()), []);
}

#[test]
fn what_the_device_took_back_is_held_against_what_the_guest_says() {
    finds("TakenBackDiffers", |facts| _ = facts.capture.taken_back.pop());
    finds("TakenBackDiffers", |facts| facts.capture.taken_back.swap(0, 1));
    // A frame that never came to the hardware was not taken back from it.
    finds("TakenBackDiffers", |facts| {
        facts.tx.never_posted = ids(&[(6, 10)]);
        facts.tx.taken_back = ids(&[(3, 5)]);
    });
}

#[test]
fn only_a_guest_with_protocols_of_its_own_has_other_frames() {
    finds("FrameOfAnotherProtocol", |facts| {
        facts.capture.foreign.inbound = 1;
        facts.device.queues[0].received += 1;
    });
}

#[test]
fn another_projects_driver_may_keep_its_counts_to_itself() {
    let silent = |facts: &mut Facts| facts.driver = crate::guest::driver_log::DriverLog::default();
    finds("DriverCountsDiffer", silent);
    let rules = rules_after(|facts| {
        silent(facts);
        facts.foreign_driver = true;
    });
    assert!(rules.is_empty(), "{rules:?}");
    // What it says is held against the sets all the same.
    finds("DriverCountsDiffer", |facts| {
        facts.foreign_driver = true;
        facts.driver.line("cancelnic: tx0 stop: posted=1 sent=1");
    });
}

#[test]
fn a_skipped_frame_is_accounted_for() {
    let rules = rules_after(|facts| {
        facts.offered.push(11);
        facts.tx.skipped = ids(&[(11, 11)]);
    });
    assert_eq!(rules, [""; 0]);
    finds("SenderLostFrames", |facts| facts.offered.push(11));
}

#[test]
fn a_kept_packet_is_found() {
    finds("PacketKept", |facts| facts.tx.taken_back = ids(&[(3, 5)]));
}

#[test]
fn a_frame_in_two_sets_is_found() {
    finds("InTwoSets", |facts| facts.tx.never_posted = ids(&[(6, 10)]));
}

#[test]
fn a_frame_that_comes_back_twice_is_found() {
    finds("FrameTwice", |facts| facts.tx.sent = ids(&[(1, 2), (2, 2)]));
}

#[test]
fn a_set_out_of_order_is_found() {
    finds("OutOfOrder", |facts| facts.tx.taken_back = ids(&[(4, 6), (3, 3)]));
}

#[test]
fn a_frame_that_was_never_given_is_found() {
    finds("FrameNeverGiven", |facts| facts.tx.never_posted = ids(&[(7, 11)]));
}

#[test]
fn a_frame_lost_above_the_ring_is_found() {
    finds("SenderLostFrames", |facts| facts.offered = ids(&[(1, 11)]));
}

#[test]
fn a_taken_back_frame_on_the_wire_is_found() {
    finds("TakenBackButOnWire", |facts| facts.capture.outbound.push(3));
}

#[test]
fn a_sent_frame_that_never_left_is_found() {
    finds("SentButNotOnWire", |facts| facts.capture.outbound.truncate(1));
    finds("WireDiffersFromSent", |facts| facts.capture.outbound.swap(0, 1));
}

#[test]
fn a_never_posted_frame_on_the_wire_is_found() {
    finds("NeverPostedButOnWire", |facts| facts.capture.outbound.push(7));
}

#[test]
fn the_difference_of_a_frames_fates_is_told_in_words() {
    let place_after = |spoil: fn(&mut Facts)| {
        let mut facts = good();
        spoil(&mut facts);
        judge(&facts).remove(0).place
    };
    // The driver skips one packet: each later one gets the fate of its successor.
    let skipped = place_after(|facts| {
        facts.tx.sent = ids(&[(1, 4)]);
        facts.tx.taken_back = ids(&[(5, 6)]);
    });
    assert_eq!(skipped, "frames 3-4: the driver reported sent, never on the wire: the device took them back");
    let early = place_after(|facts| _ = facts.capture.outbound.pop());
    assert_eq!(early, "frame 2: the driver reported sent, never on the wire");
    let leaked = place_after(|facts| facts.capture.outbound.extend([5, 6]));
    assert_eq!(leaked, "frames 5-6: the driver reported taken back, on the wire all the same");
}

#[test]
fn a_damaged_frame_is_found() {
    finds("FrameDamaged", |facts| facts.capture.damaged.push("frame 2 is damaged at byte 40".into()));
}

#[test]
fn a_received_frame_that_nobody_sent_is_found() {
    finds("ReceivedButNeverSent", |facts| {
        facts.rx.received = ids(&[(1, 3)]);
        facts.capture.inbound = vec![1, 2, 3];
    });
}

#[test]
fn a_frame_delivered_but_not_received_is_found() {
    finds("ReceivedDiffersFromDelivered", |facts| facts.rx.received = ids(&[(1, 1)]));
}

#[test]
fn a_frame_that_had_to_arrive_is_missed() {
    let lose = |facts: &mut Facts| {
        facts.rx.received = ids(&[(1, 1)]);
        facts.capture.inbound = vec![1];
    };
    finds("FrameNotReceived", lose);
    let rules = rules_after(|facts| {
        lose(facts);
        facts.must_arrive[0].dropped = 1;
    });
    assert!(!rules.iter().any(|rule| rule == "FrameNotReceived"), "a counted drop explains it: {rules:?}");
}

#[test]
fn a_driver_that_counts_otherwise_is_found() {
    finds("DriverCountsDiffer", |facts| {
        facts.driver.line("cancelnic: tx0 stop: posted=6 sent=3 taken_back=3 never_posted=4");
    });
}

#[test]
fn what_a_given_up_device_still_had_counts_with_what_it_took_back() {
    let lost = |facts: &mut Facts| {
        facts.driver = Default::default();
        facts.driver.line("cancelnic: tx0 stop: posted=6 sent=2 taken_back=1 never_posted=4 lost=3");
        facts.driver.line("cancelnic: rx0 stop: received=2 returned_empty=250");
    };
    finds("DriverCountsDiffer", lost);
    let rules = rules_after(|facts| {
        lost(facts);
        facts.device_given_up = true;
    });
    assert!(rules.is_empty(), "{rules:?}");
}

#[test]
fn a_driver_that_says_nothing_is_found() {
    finds("DriverCountsDiffer", |facts| facts.driver = Default::default());
}

#[test]
fn a_device_that_counts_otherwise_is_found() {
    finds("DeviceCountsDiffer", |facts| facts.device.queues[1].taken_back = 5);
}

#[test]
fn a_device_that_gave_back_more_than_the_driver_is_found() {
    finds("DeviceCountsDiffer", |facts| facts.device.queues[0].returned = 251);
}

#[test]
fn a_failed_step_is_a_fault() {
    finds("StepFailed", |facts| facts.steps[0].ok = false);
}

#[test]
fn a_violation_stays_one() {
    finds("WaitAtDispatch", |facts| facts.violations.push(violation("WaitAtDispatch", "EvtCancel", "tx0")));
}

/// The same run as the overlying driver sees it, with 11 and 12 aborted by their ID, and 13 made and aborted by the filter.
fn with_lists(facts: &mut Facts) {
    facts.offered = ids(&[(1, 13)]);
    facts.originated = ids(&[(13, 13)]);
    facts.originated_ended = ids(&[(13, 13)]);
    facts.lists =
        Some(ListReport { success: ids(&[(1, 10)]), aborted: ids(&[(11, 12)]), ..ListReport::default() });
}

fn finds_in_lists(rule: &str, spoil: impl FnOnce(&mut ListReport)) {
    finds(rule, |facts| {
        with_lists(facts);
        if let Some(lists) = &mut facts.lists {
            spoil(lists);
        }
    });
}

#[test]
fn a_good_run_with_lists_is_good() {
    assert_eq!(rules_after(with_lists), [""; 0]);
}

#[test]
fn a_list_that_failed_or_never_came_back_is_found() {
    finds_in_lists("ListFailed", |lists| lists.failed = ids(&[(10, 10)]));
    finds_in_lists("ListKept", |lists| lists.outstanding = ids(&[(10, 10)]));
    finds_in_lists("ListsDifferFromPackets", |lists| lists.success = ids(&[(1, 9)]));
}

#[test]
fn a_list_completed_twice_is_found() {
    finds_in_lists("FrameTwice", |lists| lists.success.push(3));
    finds_in_lists("SenderLostFrames", |lists| lists.aborted.push(3));
}

#[test]
fn an_aborted_list_that_nobody_reports_is_found() {
    finds_in_lists("SenderLostFrames", |lists| lists.aborted = ids(&[(11, 11)]));
}

fn device_finds(facts: &mut Facts, rule: Rule) {
    let finding = Finding { rule, descriptor: Some(7), us: 1500 };
    facts.device.queues[1].findings.push(finding);
    facts.device.queues[1].findings_total += 1;
}

#[test]
fn a_finding_of_the_device_is_a_fault() {
    finds("UsedRingWritten", |facts| device_finds(facts, Rule::UsedRingWritten));
    finds("MoreFindings", |facts| facts.device.queues[0].findings_total = 3);
    let mut facts = good();
    device_finds(&mut facts, Rule::BufferChanged);
    assert_eq!(judge(&facts)[0].place, "descriptor 7, 1.500 ms on the device's clock");
}

#[test]
fn a_finding_of_the_device_is_told_beside_a_failed_step() {
    finds("SeqSkipped", |facts| {
        device_finds(facts, Rule::SeqSkipped);
        facts.steps[0].ok = false;
    });
}

#[test]
fn a_reset_in_flight_is_no_fault_of_a_driver_that_gives_the_device_up() {
    let rules = rules_after(|facts| {
        device_finds(facts, Rule::ResetInFlight);
        facts.device_given_up = true;
    });
    assert_eq!(rules, Vec::<String>::new());
    finds("ResetInFlight", |facts| device_finds(facts, Rule::ResetInFlight));
}

/// The same run after a step failed half-way: the guest has reported the fates of 1 to 4 only, the driver has printed
/// nothing yet, and nothing had to arrive yet.
fn unfinished() -> Facts {
    let mut facts = good();
    facts.steps[0].ok = false;
    facts.steps[0].detail = "waited for those sent".into();
    facts.tx.taken_back = ids(&[(3, 4)]);
    facts.tx.never_posted = Ids::default();
    facts.tx.outstanding = ids(&[(5, 10)]);
    facts.driver = DriverLog::default();
    facts.must_arrive.clear();
    facts
}

fn rules_of(facts: &Facts) -> Vec<String> {
    judge(facts).into_iter().map(|violation| violation.rule).collect()
}

#[test]
fn what_is_only_incomplete_is_no_cause() {
    assert_eq!(rules_of(&unfinished()), ["StepFailed"]);
    // The wire is ahead of what the guest has reported.
    let mut facts = unfinished();
    facts.tx.sent = ids(&[(1, 1)]);
    facts.rx.received = Ids::default();
    facts.capture.outbound.push(10);
    assert_eq!(rules_of(&facts), ["StepFailed"]);
    // A capture that could not be read says nothing about any frame.
    facts.capture = Capture::default();
    facts.violations.push(violation("NoCapture", "", "no such file"));
    assert_eq!(rules_of(&facts), ["NoCapture", "StepFailed"]);
}

#[track_caller]
fn is_the_cause(rule: &str, spoil: impl FnOnce(&mut Facts)) {
    let mut facts = unfinished();
    spoil(&mut facts);
    let rules = rules_of(&facts);
    assert_eq!(rules.first().map(String::as_str), Some(rule), "{rules:?}");
    assert_eq!(rules.last().map(String::as_str), Some("StepFailed"), "{rules:?}");
}

#[test]
fn a_rule_that_always_holds_comes_before_the_step_that_failed() {
    is_the_cause("TakenBackButOnWire", |facts| facts.capture.outbound.push(3));
    is_the_cause("SentButNotOnWire", |facts| facts.tx.sent = ids(&[(1, 2), (5, 5)]));
    is_the_cause("TakenBackDiffers", |facts| facts.tx.taken_back = ids(&[(3, 4), (7, 7)]));
    is_the_cause("TakenBackDiffers", |facts| facts.tx.never_posted = ids(&[(6, 6)]));
    is_the_cause("NeverPostedButOnWire", |facts| {
        facts.tx.never_posted = ids(&[(7, 7)]);
        facts.capture.outbound.push(7);
    });
    is_the_cause("FrameTwice", |facts| facts.tx.never_posted = ids(&[(10, 10), (10, 10)]));
    is_the_cause("FrameNeverGiven", |facts| facts.tx.never_posted = ids(&[(11, 11)]));
    is_the_cause("OutOfOrder", |facts| facts.tx.taken_back = ids(&[(4, 4), (3, 3)]));
    is_the_cause("FrameDamaged", |facts| facts.capture.damaged.push("frame 2".into()));
    is_the_cause("ReceivedDiffersFromDelivered", |facts| facts.capture.inbound = vec![1]);
    is_the_cause("ChainRefused", |facts| facts.device.queues[1].refused = 1);
    is_the_cause("QueueBroken", |facts| facts.device.queues[1].broken = true);
    is_the_cause("DoorbellMissing", |facts| device_finds(facts, Rule::DoorbellMissing));
    is_the_cause("ListFailed", |facts| {
        facts.lists = Some(ListReport { failed: ids(&[(4, 4)]), ..ListReport::default() });
    });
}

#[test]
fn a_frame_in_both_of_the_devices_sets_is_found() {
    is_the_cause("InTwoSets", |facts| {
        facts.tx.taken_back = Ids::default();
        facts.capture.outbound.push(3);
    });
}

/// As the driver prints it.
const WATCHDOG: &str =
    "cancelnic: tx0 not given back in 2000 ms: 64 of 256 kept: BeginIndex 0, EndIndex 64 (status 0xc0000483)";

#[test]
fn a_driver_that_resets_the_device_is_the_cause_of_what_follows() {
    is_the_cause("DriverResetDevice", |facts| {
        facts.driver.line(WATCHDOG);
        facts.tx.taken_back = ids(&[(3, 8)]);
        device_finds(facts, Rule::ResetInFlight);
        facts.violations.push(violation(
            "QueueNotResumed",
            "EvtStart",
            "rx0: STATE is STOPPED after the start",
        ));
    });
    let mut facts = unfinished();
    facts.driver.line(WATCHDOG);
    let fault = judge(&facts).remove(0);
    assert_eq!(fault.callback, "tx0");
    assert!(
        fault.place.starts_with("the driver gave the device up: tx0 not given back in 2000 ms"),
        "{fault:?}"
    );
}

#[test]
fn a_scenario_that_waits_for_the_watchdog_expects_the_reset() {
    let rules = rules_after(|facts| {
        facts.driver.line(WATCHDOG);
        facts.device_given_up = true;
    });
    assert_eq!(rules, [""; 0]);
    finds("DriverResetDevice", |facts| facts.driver.line(WATCHDOG));
}

#[test]
fn a_broken_rule_of_the_framework_comes_before_sets_and_consequences_behind_them() {
    let mut facts = unfinished();
    facts.capture.outbound.push(3);
    device_finds(&mut facts, Rule::BufferChanged);
    facts.violations.push(violation("QueueNotResumed", "EvtStart", "rx0"));
    facts.violations.push(violation("PageFault", "EvtCancel", "tx0"));
    let expected =
        ["PageFault", "TakenBackButOnWire", "InTwoSets", "BufferChanged", "QueueNotResumed", "StepFailed"];
    assert_eq!(rules_of(&facts), expected);
}
