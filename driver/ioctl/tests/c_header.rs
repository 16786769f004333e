//! `include/cancelnic_ioctl.h` is what the crate has. After a change: `CANCELNIC_BLESS=1 cargo test -p cancelnic-ioctl`.

use std::path::PathBuf;

use cancelnic_ioctl::{
    FILTER_DEVICE, Guid, NIC_BENCH_INTERFACE, NIC_INTERFACE, RELAY_INTERFACE, bench, control_code, filter,
    log, nic, relay,
};
use header_check::{
    Layout,
    c_header::{Source, compiles, generate, kept},
    layout,
};

/// The header, in this tree: a compiled-in path would name the tree that a copy was made from.
fn header() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("include/cancelnic_ioctl.h")
}

const ABOUT: &str = "What programs and the drivers of the cancelnic NIC exchange: control codes and structures.\n\n   \
    Every buffer begins with a CancelnicHeader; all numbers are little-endian. A request whose input is not exactly\n   \
    what its code wants is refused, and changes nothing: STATUS_INFO_LENGTH_MISMATCH for its length,\n   \
    STATUS_REVISION_MISMATCH for its version, STATUS_INVALID_PARAMETER for a value. A code that wants no input does\n   \
    not look at it. The devices are for administrators only, and are opened for reading and writing.";

fn sources() -> Vec<Source> {
    let call = |name: &str, argument: u64| match name {
        "control_code" => Some(control_code(argument as u32).into()),
        "METHOD_OUT_DIRECT" => Some(cancelnic_ioctl::METHOD_OUT_DIRECT.into()),
        _ => None,
    };
    let read = |prefix, text| Source::read(prefix, text, &call).expect("Rust");
    vec![
        read("", include_str!("../src/lib.rs")),
        read("log", include_str!("../src/log.rs")),
        read("nic", include_str!("../src/nic.rs")),
        read("bench", include_str!("../src/bench.rs")),
        read("filter", include_str!("../src/filter.rs")),
        read("relay", include_str!("../src/relay.rs")),
    ]
}

/// What is neither a number nor a structure.
fn more() -> String {
    let guid = |name: &str, about: &str, Guid(first, second, third, rest): Guid| {
        let rest = rest.map(|byte| format!("0x{byte:02x}")).join(", ");
        format!(
            "/* {about} */\n#define {name} {{ 0x{first:08x}, 0x{second:04x}, 0x{third:04x}, {{ {rest} }} }}\n"
        )
    };
    [
        "\n".to_owned(),
        guid(
            "CANCELNIC_NIC_INTERFACE",
            "Device interface class of cancelnic.sys: initialises a GUID.",
            NIC_INTERFACE,
        ),
        guid(
            "CANCELNIC_NIC_BENCH_INTERFACE",
            "The same of its test bench, in test builds.",
            NIC_BENCH_INTERFACE,
        ),
        guid("CANCELNIC_RELAY_INTERFACE", "The same of cancelnic-relay.sys.", RELAY_INTERFACE),
        format!(
            "/* cancelnic-lwf.sys's control device below \\Device and \\DosDevices. */\n\
             #define CANCELNIC_FILTER_DEVICE L\"{FILTER_DEVICE}\"\n"
        ),
    ]
    .concat()
}

fn common_layouts() -> Vec<Layout> {
    use cancelnic_ioctl::{Header, SetMutant};
    vec![
        layout!(Header as "CancelnicHeader": version = version, size = size),
        layout!(SetMutant as "CancelnicSetMutant": header = header, mutant = mutant, reserved = reserved),
    ]
}

fn log_layouts() -> Vec<Layout> {
    use log::{LogAnswer, Record};
    vec![
        layout!(LogAnswer as "CancelnicLogLogAnswer": header = header, count = count, lost = lost),
        layout!(Record as "CancelnicLogRecord": sequence = sequence, event = event, tag = tag, status = status, value = value, thread = thread, at = at, irql = irql, reserved = reserved),
    ]
}

fn nic_layouts() -> Vec<Layout> {
    use nic::{CancelEvent, Counters, Ring, RingSnapshot, RxCounts, TxCounts, Wait};
    vec![
        layout!(TxCounts as "CancelnicNicTxCounts": posted = posted, sent = sent, taken_back = taken_back, never_posted = never_posted, refused = refused, lost = lost),
        layout!(RxCounts as "CancelnicNicRxCounts": posted = posted, received = received, returned_empty = returned_empty, malformed = malformed),
        layout!(Counters as "CancelnicNicCounters": header = header, tx = tx, rx = rx, cancels = cancels, waiting = waiting),
        layout!(Ring as "CancelnicNicRing": started = started, elements = elements, begin = begin, next = next, end = end, reserved = reserved),
        layout!(RingSnapshot as "CancelnicNicRingSnapshot": header = header, tx = tx, rx = rx),
        layout!(Wait as "CancelnicNicWait": header = header, tag = tag, behaviour = behaviour),
        layout!(CancelEvent as "CancelnicNicCancelEvent": header = header, number = number, queue = queue, outstanding = outstanding, tx = tx, rx = rx),
    ]
}

fn bench_layouts() -> Vec<Layout> {
    use bench::{Complete, Forward, Mark, QueueAction, QueueState, Retrieve, Status};
    vec![
        layout!(Mark as "CancelnicBenchMark": header = header, tag = tag, ex = ex),
        layout!(Complete as "CancelnicBenchComplete": header = header, tag = tag, status = status),
        layout!(Forward as "CancelnicBenchForward": header = header, tag = tag, queue = queue),
        layout!(Retrieve as "CancelnicBenchRetrieve": header = header, queue = queue, behaviour = behaviour),
        layout!(QueueAction as "CancelnicBenchQueueAction": header = header, queue = queue, action = action),
        layout!(QueueState as "CancelnicBenchQueueState": header = header, state = state, queued = queued, owned = owned, status = status),
        layout!(Status as "CancelnicBenchStatus": header = header, status = status, reserved = reserved),
    ]
}

fn filter_layouts() -> Vec<Layout> {
    use filter::{Bypass, Cancel, Counters, Held, HeldList, Release, Select, Send, Sent};
    vec![
        layout!(Send as "CancelnicFilterSend": header = header, module = module, groups = groups, first = first, count = count, len = len),
        layout!(Sent as "CancelnicFilterSent": header = header, ids = ids),
        layout!(Select as "CancelnicFilterSelect": header = header, module = module, reserved = reserved),
        layout!(Release as "CancelnicFilterRelease": header = header, module = module, reserved = reserved, count = count),
        layout!(Cancel as "CancelnicFilterCancel": header = header, module = module, reserved = reserved, cancel_id = cancel_id),
        layout!(Bypass as "CancelnicFilterBypass": header = header, module = module, on = on),
        layout!(Counters as "CancelnicFilterCounters": header = header, gate_closed = gate_closed, running = running, held_now = held_now, own_outstanding = own_outstanding, own_originated = own_originated, own_success = own_success, own_aborted = own_aborted, own_paused = own_paused, own_failed = own_failed, passed_down = passed_down, passed_up = passed_up, queued = queued, cancelled = cancelled, refused = refused, cancel_calls = cancel_calls, cancels_passed_on = cancels_passed_on, received = received, returned = returned, bypassed = bypassed),
        layout!(Held as "CancelnicFilterHeld": header = header, total = total, listed = listed),
        layout!(HeldList as "CancelnicFilterHeldList": number = number, cancel_id = cancel_id, own = own),
    ]
}

fn relay_layouts() -> Vec<Layout> {
    use relay::{Outcome, Pass, Send, Slot, SlotState, Target, TargetAnswer};
    vec![
        layout!(Target as "CancelnicRelayTarget": header = header, action = action, way = way),
        layout!(TargetAnswer as "CancelnicRelayTargetAnswer": header = header, status = status, state = state),
        layout!(Slot as "CancelnicRelaySlot": header = header, slot = slot, reserved = reserved),
        layout!(Send as "CancelnicRelaySend": header = header, slot = slot, options = options, timeout = timeout, routine = routine, way = way, tag = tag, behaviour = behaviour),
        layout!(Pass as "CancelnicRelayPass": header = header, slot = slot, options = options, timeout = timeout, routine = routine, way = way),
        layout!(Outcome as "CancelnicRelayOutcome": header = header, returned = returned, status = status, irql = irql, completions = completions),
        layout!(SlotState as "CancelnicRelaySlotState": header = header, phase = phase, passed = passed, status = status, completions = completions, information = information),
    ]
}

fn layouts() -> Vec<Layout> {
    [common_layouts(), log_layouts(), nic_layouts(), bench_layouts(), filter_layouts(), relay_layouts()]
        .concat()
}

/// `constants![module::NAME, ...]`: names in C, and the values that Rust compiles.
macro_rules! constants {
    ($($($part:ident)::+),+ $(,)?) => {
        vec![$((c_name(stringify!($($part)::+)), $($part)::+ as u64)),+]
    };
}

fn c_name(path: &str) -> String {
    let path: String = path.split_whitespace().collect();
    let path = path.strip_prefix("cancelnic_ioctl::").unwrap_or(&path);
    format!("CANCELNIC_{}", path.replace("::", "_").to_uppercase())
}

/// All constants, by hand, so that what the compiler makes of each is compared with what C gets.
#[expect(clippy::cast_lossless, reason = "some are u32, some usize, which has no From")]
fn constants() -> Vec<(String, u64)> {
    constants![
        cancelnic_ioctl::VERSION,
        cancelnic_ioctl::METHOD_OUT_DIRECT,
        cancelnic_ioctl::SET_MUTANT,
        log::LOG_RECORDS,
        log::event::PRESENTED,
        log::event::MARKED,
        log::event::CANCEL_CALLBACK,
        log::event::UNMARKED,
        log::event::COMPLETING,
        log::event::FORWARDED,
        log::event::CANCELED_ON_QUEUE,
        log::event::REQUEUED,
        log::event::CANCEL_EVENT,
        log::event::READY,
        log::event::STOP,
        log::event::ACKNOWLEDGING,
        log::event::RESUME,
        log::event::CLEANUP,
        log::event::SENDING,
        log::event::SENT,
        log::event::CANCELLING,
        log::event::CANCELLED,
        log::event::COMPLETION,
        log::event::REUSED,
        log::event::TARGET,
        log::event::TARGET_DONE,
        log::event::RETURNING,
        nic::COUNTERS,
        nic::RINGS,
        nic::WAIT,
        nic::LOG,
        bench::MARK,
        bench::COMPLETE,
        bench::FORWARD,
        bench::RETRIEVE,
        bench::QUEUE,
        nic::LOG_DIRECT,
        nic::behaviour::CANCELABLE,
        nic::behaviour::NOT_CANCELABLE,
        nic::behaviour::SECOND_QUEUE,
        nic::behaviour::THIRD_QUEUE,
        nic::behaviour::AT_ONCE,
        nic::behaviour::CANCELABLE_OLD,
        nic::behaviour::LAST,
        bench::queue::CONTROL,
        bench::queue::WAIT,
        bench::queue::SECOND,
        bench::queue::THIRD,
        bench::action::NONE,
        bench::action::START,
        bench::action::STOP,
        bench::action::STOP_AND_PURGE,
        bench::action::DRAIN,
        bench::action::PURGE,
        bench::action::READY_NOTIFY,
        bench::action::READY_FORGET,
        bench::action::LAST,
        filter::SEND,
        filter::HOLD,
        filter::RELEASE,
        filter::CANCEL,
        filter::COUNTERS,
        filter::HELD,
        filter::BYPASS,
        filter::MOST_GROUPS,
        filter::MOST_OUTSTANDING,
        filter::MOST_HELD,
        filter::LONGEST_HOLD_MS,
        filter::SHORTEST,
        filter::LONGEST,
        filter::MOST_LISTED,
        filter::ALL,
        filter::NO_NUMBER,
        relay::SLOTS,
        relay::TARGET,
        relay::CREATE,
        relay::SEND,
        relay::CANCEL,
        relay::REUSE,
        relay::DELETE,
        relay::STATE,
        relay::PASS,
        relay::LOG,
        relay::way::NIC,
        relay::way::BELOW,
        relay::target::NONE,
        relay::target::OPEN,
        relay::target::CLOSE,
        relay::target::START,
        relay::target::STOP_CANCEL,
        relay::target::STOP_WAIT,
        relay::target::STOP_LEAVE,
        relay::target::PURGE_WAIT,
        relay::target::PURGE,
        relay::target::LAST,
        relay::option::TIMEOUT,
        relay::option::SYNCHRONOUS,
        relay::option::IGNORE_TARGET_STATE,
        relay::option::SEND_AND_FORGET,
        relay::phase::EMPTY,
        relay::phase::READY,
        relay::phase::SENT,
        relay::phase::DONE,
    ]
}

#[test]
fn the_header_is_what_the_crate_has() {
    let text = generate(ABOUT, &sources(), &more(), &layouts()).expect("a header");
    kept(&header(), &text).expect("the same");
}

#[test]
fn the_header_compiles_as_c_and_cpp_with_rusts_layouts_and_values() {
    let constants = constants();
    let read: Vec<_> = sources().iter().flat_map(|source| source.constants().collect::<Vec<_>>()).collect();
    let missing: Vec<_> = read.iter().filter(|constant| !constants.contains(constant)).collect();
    assert!(missing.is_empty() && read.len() == constants.len(), "only one side has {missing:?}");
    compiles(&header(), &constants).expect("C and C++");
}
