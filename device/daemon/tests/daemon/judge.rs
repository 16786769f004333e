//! The judge, through the whole process: drivers that are wrong on purpose, and one that is not.

use serde_json::{Value, json};
use vm_memory::{Bytes, GuestAddress};

use crate::guest::{CANCEL, EVENT_IDX, Guest, PROTOCOL_FEATURES, RESUME, RX, TX, TX_CMD, VERSION_1};
use crate::process::{Control, Daemon, until};

/// The rules found on a queue, in order.
fn rules(control: &mut Control, queue: &str) -> Vec<String> {
    let queue = control.queue(queue);
    let findings = queue["findings"].as_array().unwrap();
    assert!(queue["findings_total"].as_u64().unwrap() >= findings.len() as u64);
    findings.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

fn until_found(control: &mut Control, queue: &str, rule: &str) -> Value {
    until(rule, || {
        let queue = control.queue(queue);
        let findings = queue["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["rule"] == rule).cloned()
    })
}

#[test]
fn honest_driver_is_found_nothing_against() {
    for features in [VERSION_1 | PROTOCOL_FEATURES, VERSION_1 | PROTOCOL_FEATURES | EVENT_IDX] {
        let daemon = Daemon::start(&["--wire", "loopback"]);
        let mut guest = Guest::with_features(&daemon.socket(), features);
        guest.enter(RX, 0);
        guest.enter(TX, 0);
        let mut control = daemon.control();
        for life in 1..=10 {
            guest.post(8);
            control.until("rx0", "posted", 8);
            control.gate("tx0", "wire", false);
            guest.transmit(20 * life, 6);
            control.until("tx0", "fetched", 6);
            control.step("tx0", "wire", 4);
            control.until("rx0", "received", 4 * life);
            guest.command(TX, CANCEL);
            guest.command(RX, CANCEL);
            assert_eq!((guest.lens(TX).len(), guest.lens(RX).len()), (6, 8));
            if life % 2 == 0 {
                guest.command(TX, RESUME);
                guest.command(RX, RESUME);
                guest.pause_and_resume(TX);
            } else {
                guest.reset(TX);
                guest.reset(RX);
            }
        }
        assert_eq!((rules(&mut control, "tx0"), rules(&mut control, "rx0")), (vec![], vec![]));
    }
}

#[test]
fn findings_name_rule_descriptor_and_time() {
    let daemon = Daemon::start(&["--clock", "manual"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.call("clock.advance", json!({ "us": 1234 }));
    control.gate("tx0", "complete", false);
    guest.transmit(1, 2);
    control.until("tx0", "off_wire", 2);
    guest.memory.write_obj(7u8, GuestAddress(0x11150)).unwrap();
    control.gate("tx0", "complete", true);
    control.until("tx0", "completed", 2);
    let expected = json!([{ "rule": "BufferChanged", "descriptor": 2, "us": 1234 }]);
    assert_eq!(control.queue("tx0")["findings"], expected);
    let stats = control.call("stats", json!({}));
    assert_eq!((&stats["judge"], &stats["queues"][1]["findings"]), (&json!(true), &expected));
}

#[test]
fn wrong_command_words_are_found() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.command(TX, CANCEL);
    guest.write32(TX_CMD, 1 << 24 | 2 << 16);
    guest.write32(TX_CMD, 9 << 24 | 2 << 16);
    assert_eq!(rules(&mut daemon.control(), "tx0"), ["CommandReused", "SeqSkipped"]);
    assert!(rules(&mut daemon.control(), "rx0").is_empty());
}

#[test]
fn doorbells_that_are_missing_or_needless_are_found() {
    let daemon = Daemon::start(&["--clock", "manual"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    // No doorbell before: it could be heard after its frame was sent, and would do for this chain.
    guest.publish(TX, &[(0x10000, 12, false), (0x10100, 100, false)]);
    control.queue("tx0");
    control.call("clock.advance", json!({ "us": 2_000_000 }));
    let missing = until_found(&mut control, "tx0", "DoorbellMissing");
    assert_eq!(missing["descriptor"], 0);
    // Each is heard before the next: events that come together are one.
    until("DoorbellNeedless", || {
        guest.kick(RX);
        rules(&mut control, "rx0").iter().any(|rule| rule == "DoorbellNeedless").then_some(())
    });
}

#[test]
fn reset_in_flight_and_scribbled_used_ring_are_found() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    guest.transmit(1, 1);
    control.until("tx0", "completed", 1);
    control.gate("tx0", "wire", false);
    guest.transmit(2, 1);
    control.until("tx0", "fetched", 1);
    guest.memory.write_obj(0x77u16, GuestAddress(guest.rings[TX].used() + 4)).unwrap();
    guest.reset(TX);
    assert_eq!(rules(&mut control, "tx0"), ["UsedRingWritten", "ResetInFlight"]);
}

#[test]
fn judge_that_is_off_finds_nothing() {
    let daemon = Daemon::start(&["--judge", "off"]);
    let mut guest = Guest::start(&daemon.socket());
    guest.write32(TX_CMD, 9 << 24 | 2 << 16);
    let stats = daemon.control().call("stats", json!({}));
    assert_eq!((&stats["judge"], &stats["queues"][1]["findings"]), (&json!(false), &json!([])));
}

#[test]
fn trace_shows_states_commands_and_findings() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.json");
    let daemon = Daemon::start(&["--trace", path.to_str().unwrap()]);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 1);
    let mut control = daemon.control();
    control.until("tx0", "completed", 1);
    control.call("trace.mark", json!({ "text": "here" }));
    guest.command(TX, CANCEL);
    guest.write32(TX_CMD, 9 << 24 | 2 << 16);
    let events: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let rows = |row: u64| -> Vec<&str> {
        let events = events
            .iter()
            .filter(|event| event["tid"] == row && event["ph"] != "M" && event["cat"] != "cause");
        events.filter_map(|event| event["name"].as_str()).filter(|name| *name != "interrupt").collect()
    };
    assert!(rows(0).contains(&"here") && rows(0).contains(&"tx0: sent"), "{:?}", rows(0));
    let expected = ["enters service", "RUNNING", "CANCEL", "STOPPED", "SeqSkipped", "RESUME", "RUNNING"];
    assert_eq!(rows(2), expected);
    assert_eq!(rows(18), ["doorbell", "CANCEL", "RESUME"]);
    let ends: Vec<_> = events.iter().filter(|event| event["name"] == "CANCEL to STOPPED, COUNT 0").collect();
    assert_eq!(
        ends.iter().map(|end| (&end["ph"], &end["tid"])).collect::<Vec<_>>(),
        [(&json!("s"), &json!(18)), (&json!("f"), &json!(2))]
    );
}
