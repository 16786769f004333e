use super::*;

const LIST: List = 0x1000;
const OTHER: List = 0x2000;
const ID: u64 = 0x0100_0000_0000_0007;
const FILTER: Party = Party::Module(0);
const PROTOCOL_HANDLE: u64 = 0x50;
const FILTER_HANDLE: u64 = 0x60;
/// Down, from the protocol to the filter, and from there to the miniport.
const TO_FILTER: Passage =
    Passage { way: Way::Send, from: (Party::Protocol, PROTOCOL_HANDLE), to: FILTER, thread: 9 };
const ON: Passage = Passage { way: Way::Send, from: (FILTER, FILTER_HANDLE), to: Party::Miniport, thread: 9 };

fn shape(source: u64, cancel_id: u64) -> Shape {
    Shape { source, cancel_id, ..Shape::default() }
}

fn sent_to_filter(lists: &[(List, u64)]) -> Ledger {
    let mut ledger = Ledger::new();
    for &(list, id) in lists {
        ledger.made(list, Party::Protocol, 1);
        ledger.pass(list, TO_FILTER, shape(PROTOCOL_HANDLE, id)).unwrap();
    }
    ledger
}

fn pass_on(ledger: &mut Ledger, list: List, id: u64) -> Result<(), Broken> {
    ledger.pass(list, ON, shape(PROTOCOL_HANDLE, id))
}

fn rule<T: core::fmt::Debug>(result: Result<T, Broken>) -> &'static str {
    result.unwrap_err().rule
}

#[test]
fn a_list_comes_back_the_way_it_went() {
    let mut ledger = sent_to_filter(&[(LIST, ID)]);
    pass_on(&mut ledger, LIST, ID).unwrap();

    let marks = shape(PROTOCOL_HANDLE, ID);
    let first = ledger.back(LIST, Party::Miniport, 0, &marks).unwrap();
    let second = ledger.back(LIST, FILTER, 0, &marks).unwrap();
    assert_eq!(first, Back { to: FILTER, first: true });
    assert_eq!(second, Back { to: Party::Protocol, first: false });
    assert_eq!(ledger.freed(LIST, Party::Protocol, 0), Ok(1));
    assert!(ledger.is_empty());
}

#[test]
fn a_second_completion_is_named() {
    let mut ledger = sent_to_filter(&[(LIST, ID)]);
    ledger.cancel(ID);
    let marks = shape(PROTOCOL_HANDLE, ID);
    ledger.back(LIST, FILTER, SEND_ABORTED, &marks).unwrap();
    assert_eq!(rule(ledger.back(LIST, FILTER, SEND_ABORTED, &marks)), "ListCompletedTwice");
}

#[test]
fn a_list_that_was_passed_on_is_not_the_filters_to_complete() {
    let mut ledger = sent_to_filter(&[(LIST, 0)]);
    pass_on(&mut ledger, LIST, 0).unwrap();
    assert_eq!(rule(ledger.back(LIST, FILTER, 0, &shape(PROTOCOL_HANDLE, 0))), "ListPassedTwice");
    assert_eq!(rule(pass_on(&mut ledger, LIST, 0)), "ListPassedTwice");
}

#[test]
fn a_freed_list_is_no_list() {
    let mut ledger = Ledger::new();
    ledger.made(LIST, FILTER, 1);
    ledger.freed(LIST, FILTER, 0).unwrap();
    assert_eq!(rule(ledger.freed(LIST, FILTER, 0)), "NotANetBufferList");
}

#[test]
fn freeing_is_for_the_maker_once_the_list_is_back() {
    let mut ledger = sent_to_filter(&[(LIST, 0)]);
    assert_eq!(rule(ledger.freed(LIST, FILTER, 0)), "ForeignListFreed");
    assert_eq!(rule(ledger.freed(LIST, Party::Protocol, 0)), "ListFreedWhileSent");
}

#[test]
fn own_lists_do_not_go_into_the_completion_for_others() {
    let mut ledger = Ledger::new();
    ledger.made(LIST, FILTER, 1);
    assert_eq!(rule(ledger.back(LIST, FILTER, 0, &shape(FILTER_HANDLE, 0))), "OwnListCompleted");
}

#[test]
fn an_originated_list_carries_its_makers_handle() {
    let mut ledger = Ledger::new();
    ledger.made(LIST, FILTER, 1);
    let result = ledger.pass(LIST, ON, shape(0, ID));
    assert_eq!(rule(result), "SourceHandleNotOwn");
}

#[test]
fn foreign_marks_stay() {
    let mut ledger = sent_to_filter(&[(LIST, ID)]);
    assert_eq!(rule(pass_on(&mut ledger, LIST, ID + 1)), "CancelIdChanged");
    let result = ledger.back(LIST, FILTER, PAUSED, &shape(FILTER_HANDLE, ID));
    assert_eq!(rule(result), "SourceHandleChanged");
}

#[test]
fn a_status_is_written_and_then_kept() {
    let mut ledger = sent_to_filter(&[(LIST, 0)]);
    let marks = shape(PROTOCOL_HANDLE, 0);
    assert_eq!(rule(ledger.back(LIST, FILTER, STATUS_POISON, &marks)), "StatusNotSet");
    pass_on(&mut ledger, LIST, 0).unwrap();
    ledger.back(LIST, Party::Miniport, 0, &marks).unwrap();
    assert_eq!(rule(ledger.back(LIST, FILTER, PAUSED, &marks)), "StatusChanged");
}

#[test]
fn only_a_cancelled_id_aborts() {
    let mut ledger = sent_to_filter(&[(LIST, ID), (OTHER, ID + 1)]);
    ledger.cancel(ID);
    ledger.back(LIST, FILTER, SEND_ABORTED, &shape(PROTOCOL_HANDLE, ID)).unwrap();
    let result = ledger.back(OTHER, FILTER, SEND_ABORTED, &shape(PROTOCOL_HANDLE, ID + 1));
    assert_eq!(rule(result), "AbortedWithoutCancel");
}

#[test]
fn a_null_id_cancels_nothing() {
    let mut ledger = sent_to_filter(&[(LIST, 0)]);
    ledger.cancel(0);
    assert!(ledger.holds_with_id(FILTER, 0).is_empty());
    let result = ledger.back(LIST, FILTER, SEND_ABORTED, &shape(PROTOCOL_HANDLE, 0));
    assert_eq!(rule(result), "AbortedWithoutCancel");
}

#[test]
fn a_cancel_finds_what_the_filter_still_holds() {
    let mut ledger = sent_to_filter(&[(LIST, ID), (OTHER, ID)]);
    pass_on(&mut ledger, LIST, ID).unwrap();
    assert_eq!(ledger.holds_with_id(FILTER, ID), [OTHER]);
}

#[test]
fn an_aborted_lists_id_is_cleared_by_its_maker() {
    let mut ledger = Ledger::new();
    ledger.made(LIST, FILTER, 1);
    let marks = shape(FILTER_HANDLE, ID);
    ledger.pass(LIST, ON, marks.clone()).unwrap();
    ledger.cancel(ID);
    ledger.back(LIST, Party::Miniport, SEND_ABORTED, &marks).unwrap();

    assert_eq!(rule(ledger.freed(LIST, FILTER, ID)), "StaleCancelId");
    let again = ledger.pass(LIST, ON, marks);
    assert_eq!(rule(again), "StaleCancelId");
    assert!(ledger.freed(LIST, FILTER, 0).is_ok());
}

#[test]
fn a_list_that_overtakes_another_is_named() {
    let mut ledger = sent_to_filter(&[(LIST, 0), (OTHER, 0)]);
    pass_on(&mut ledger, OTHER, 0).unwrap();
    assert_eq!(rule(pass_on(&mut ledger, LIST, 0)), "ListsReordered");
}

#[test]
fn lists_of_two_threads_may_overtake_each_other() {
    let mut ledger = sent_to_filter(&[(LIST, 0)]);
    ledger.made(OTHER, Party::Protocol, 1);
    let marks = shape(PROTOCOL_HANDLE, 0);
    ledger.pass(OTHER, Passage { thread: 10, ..TO_FILTER }, marks).unwrap();
    pass_on(&mut ledger, OTHER, 0).unwrap();
    assert_eq!(pass_on(&mut ledger, LIST, 0), Ok(()));
}

#[test]
fn a_list_changed_on_the_way_is_told_from_one_not_restored() {
    let mut ledger = sent_to_filter(&[(LIST, 0)]);
    let mut moved = shape(PROTOCOL_HANDLE, 0);
    moved.parts.push([0; 7]);
    assert_eq!(rule(ledger.back(LIST, FILTER, PAUSED, &moved)), "ListNotRestored");
    pass_on(&mut ledger, LIST, 0).unwrap();
    assert_eq!(rule(ledger.back(LIST, Party::Miniport, 0, &moved)), "ListTouchedAfterSend");
}

#[test]
fn what_a_module_holds_and_has_out_is_counted() {
    let mut ledger = sent_to_filter(&[(LIST, 0)]);
    ledger.made(OTHER, FILTER, 2);
    ledger.pass(OTHER, ON, shape(FILTER_HANDLE, ID)).unwrap();
    assert_eq!((ledger.foreign_held(FILTER), ledger.own_out(FILTER)), (1, 1));
    assert_eq!((ledger.from_pool(1), ledger.from_pool(2), ledger.len()), (1, 1, 2));
}

#[test]
fn a_completed_list_is_not_sent_again() {
    let mut ledger = sent_to_filter(&[(LIST, 0)]);
    pass_on(&mut ledger, LIST, 0).unwrap();
    ledger.back(LIST, Party::Miniport, 0, &shape(PROTOCOL_HANDLE, 0)).unwrap();
    assert_eq!(rule(pass_on(&mut ledger, LIST, 0)), "ListSentAfterCompletion");
}

#[test]
fn a_list_on_its_way_back_is_not_kept_but_still_expected() {
    let mut ledger = sent_to_filter(&[(LIST, 0)]);
    assert_eq!((ledger.foreign_held(FILTER), ledger.involved(FILTER)), (1, 1));
    pass_on(&mut ledger, LIST, 0).unwrap();
    assert_eq!((ledger.foreign_held(FILTER), ledger.involved(FILTER)), (0, 1));
    ledger.back(LIST, Party::Miniport, 0, &shape(PROTOCOL_HANDLE, 0)).unwrap();
    assert_eq!((ledger.foreign_held(FILTER), ledger.involved(FILTER)), (0, 1));
    ledger.back(LIST, FILTER, 0, &shape(PROTOCOL_HANDLE, 0)).unwrap();
    assert_eq!(ledger.involved(FILTER), 0);
}
