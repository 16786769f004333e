//! Transmit and the cancel block, over real messages: gates held from the control socket, commands
//! written as QEMU writes them, results read where a driver reads them.

use std::fs::File;

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use serde_json::json;

use crate::guest::{
    CANCEL, CANCELLING, DRAIN, EVENT_IDX, Guest, INDIRECT, PROTOCOL_FEATURES, RESUME, RUNNING, STOPPED,
    TAKEN_BACK, TX, TX_CMD, VERSION_1, number_of,
};
use crate::process::Daemon;

/// The numbers of the captured frames that went in `direction` (1 inbound, 2 outbound).
pub(crate) fn captured(daemon: &Daemon, direction: u32) -> Vec<u64> {
    on_interface(daemon, 0, direction)
}

/// The numbers of the captured frames that were taken back.
pub(crate) fn taken_back(daemon: &Daemon) -> Vec<u64> {
    on_interface(daemon, 1, 2)
}

fn on_interface(daemon: &Daemon, interface: u32, direction: u32) -> Vec<u64> {
    let mut reader = PcapNgReader::new(File::open(daemon.path("wire.pcapng")).unwrap()).unwrap();
    let mut found = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap()
            && packet.interface_id == interface
            && packet.options.contains(&EnhancedPacketOption::Flags(direction))
        {
            found.push(number_of(&packet.data));
        }
    }
    found
}

#[test]
fn registers_read_as_written_down() {
    let daemon = Daemon::start(&["--mac", "02:00:00:00:00:07", "--mtu", "1400", "--speed", "10M"]);
    let mut guest = Guest::connect(&daemon.socket());
    let config = guest.read_config();
    assert_eq!(config[..6], [2, 0, 0, 0, 0, 7]);
    assert_eq!(config[6] & 1, 1, "link up");
    assert_eq!(u16::from_le_bytes([config[10], config[11]]), 1400);
    assert_eq!(guest.read32(12), 10, "Mbit/s");
    assert_eq!(config[0x40..0x44], *b"CINC");
    assert_eq!(guest.read32(0x44), 1 << 16);
    assert_eq!(guest.read32(0x48), 7);
    assert_eq!(guest.read32(0x4c), 1 | 1 << 8);
}

#[test]
fn no_cancel_clears_the_capability_and_refuses_the_command() {
    let daemon = Daemon::start(&["--no-cancel"]);
    let mut guest = Guest::start(&daemon.socket());
    assert_eq!(guest.read32(0x48) & 1, 0);
    let seq = guest.command(TX, CANCEL);
    let stat = guest.stat(TX);
    assert_eq!((stat.seq, stat.state, stat.result), (seq, RUNNING, 3));
    guest.transmit(1, 3);
    daemon.control().until("tx0", "sent", 3);
    assert_eq!(guest.lens(TX), [0, 0, 0]);
}

#[test]
fn transmit_reaches_the_wire_in_order_and_interrupts() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 30);
    daemon.control().until("tx0", "completed", 30);
    guest.interrupt(TX);
    assert_eq!(guest.reap(TX), (0..30).map(|i| (2 * i, 0)).collect::<Vec<_>>());
    assert_eq!(captured(&daemon, 2), (1..=30).collect::<Vec<_>>());
}

#[test]
fn transmit_works_with_event_idx_and_across_the_rings_wrap() {
    let daemon = Daemon::start(&[]);
    let mut guest =
        Guest::with_features(&daemon.socket(), VERSION_1 | PROTOCOL_FEATURES | EVENT_IDX | INDIRECT);
    guest.enter(TX, 0);
    let mut control = daemon.control();
    for round in 0..10u64 {
        guest.transmit(round * 20, 20);
        control.until("tx0", "completed", round * 20 + 20);
        assert_eq!(guest.lens(TX), [0; 20]);
    }
    assert_eq!(captured(&daemon, 2), (0..200).collect::<Vec<_>>());
}

#[test]
fn cancel_with_the_wire_held_takes_everything_back_before_the_write_returns() {
    let daemon = Daemon::start(&["--fifo-depth", "8"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("tx0", "wire", false);
    guest.transmit(1, 20);
    control.until("tx0", "fetched", 8);
    assert_eq!(control.queue("tx0")["available"], 12);
    let seq = guest.command(TX, CANCEL);
    let stat = guest.stat(TX);
    assert_eq!((stat.seq, stat.state, stat.result, stat.count), (seq, STOPPED, 0, 20));
    assert_eq!(guest.reap(TX), (0..20).map(|i| (2 * i, TAKEN_BACK)).collect::<Vec<_>>());
    guest.interrupt(TX);
    let queue = control.queue("tx0");
    assert_eq!(
        (&queue["taken_back"], &queue["state"], &queue["cancels"]),
        (&json!(20), &json!("STOPPED"), &json!(1))
    );
    assert!(captured(&daemon, 2).is_empty());
    // Those in the FIFO first, then those that were still in the available ring.
    assert_eq!(taken_back(&daemon), (1..=20).collect::<Vec<_>>());
}

#[test]
fn cancel_with_nothing_outstanding_stops_and_interrupts_all_the_same() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.command(TX, CANCEL);
    let stat = guest.stat(TX);
    assert_eq!((stat.state, stat.result, stat.count), (STOPPED, 0, 0));
    guest.interrupt(TX);
}

#[test]
fn cancel_lets_what_is_off_the_wire_complete_as_sent() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("tx0", "complete", false);
    control.gate("tx0", "wire", false);
    control.step("tx0", "wire", 2);
    guest.transmit(1, 5);
    control.until("tx0", "off_wire", 2);
    guest.command(TX, CANCEL);
    assert_eq!(guest.stat(TX).state, CANCELLING);
    assert!(guest.lens(TX).is_empty());
    control.gate("tx0", "complete", true);
    let end = crate::process::until("STOPPED", || Some(guest.stat(TX)).filter(|stat| stat.state == STOPPED));
    assert_eq!((end.result, end.count), (0, 3));
    assert_eq!(guest.lens(TX), [0, 0, TAKEN_BACK, TAKEN_BACK, TAKEN_BACK]);
    guest.interrupt(TX);
    assert_eq!(captured(&daemon, 2), [1, 2]);
    assert_eq!(taken_back(&daemon), [3, 4, 5]);
}

#[test]
fn cancel_finishes_the_frame_on_the_wire_and_no_other() {
    let daemon = Daemon::start(&["--speed", "10M", "--clock", "manual"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    guest.transmit(1, 4);
    control.until("tx0", "on_wire", 1);
    guest.command(TX, CANCEL);
    assert_eq!(guest.stat(TX).state, CANCELLING);
    control.call("clock.advance", json!({ "us": 1000 }));
    assert_eq!((guest.stat(TX).state, guest.stat(TX).count), (STOPPED, 3));
    assert_eq!(guest.lens(TX), [0, TAKEN_BACK, TAKEN_BACK, TAKEN_BACK]);
    assert_eq!(captured(&daemon, 2), [1]);
    assert_eq!(taken_back(&daemon), [2, 3, 4]);
}

#[test]
fn link_speed_on_the_real_clock_sends_everything() {
    let daemon = Daemon::start(&["--speed", "10M"]);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 30);
    daemon.control().until("tx0", "completed", 30);
    assert_eq!(captured(&daemon, 2), (1..=30).collect::<Vec<_>>());
}

#[test]
fn resume_serves_what_was_published_while_stopped() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.command(TX, CANCEL);
    guest.transmit(1, 5);
    assert_eq!(guest.stat(TX).state, STOPPED);
    assert_eq!(daemon.control().queue("tx0")["available"], 5);
    guest.command(TX, RESUME);
    daemon.control().until("tx0", "sent", 5);
    assert_eq!(guest.stat(TX).state, RUNNING);
    assert_eq!(guest.lens(TX), [0; 5]);
}

#[test]
fn drain_sends_what_is_fetched_and_stops() {
    let daemon = Daemon::start(&["--fifo-depth", "4"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("tx0", "wire", false);
    guest.transmit(1, 10);
    control.until("tx0", "fetched", 4);
    guest.command(TX, DRAIN);
    assert_eq!(guest.stat(TX).state, 2);
    control.gate("tx0", "wire", true);
    control.until("tx0", "completed", 4);
    assert_eq!(guest.stat(TX).state, STOPPED);
    assert_eq!(captured(&daemon, 2), [1, 2, 3, 4]);
}

#[test]
fn same_word_again_is_no_command_and_a_short_message_is_one() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.command(TX, CANCEL);
    guest.command(TX, RESUME);
    let word = guest.read32(TX_CMD);
    guest.write32(TX_CMD, word);
    assert_eq!((guest.stat(TX).seq, guest.stat(TX).state), (2, RUNNING));
    use vhost::vhost_user::VhostUserFrontend;
    let word = (3u32 << 24 | u32::from(CANCEL) << 16).to_le_bytes();
    guest
        .frontend
        .set_config(TX_CMD as u32, vhost::vhost_user::message::VhostUserConfigFlags::WRITABLE, &word)
        .unwrap();
    assert_eq!((guest.stat(TX).seq, guest.stat(TX).state), (3, STOPPED));
}

#[test]
fn fetch_gate_holds_chains_in_the_ring() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("tx0", "fetch", false);
    guest.transmit(1, 5);
    control.step("tx0", "fetch", 2);
    control.until("tx0", "completed", 2);
    assert_eq!(control.queue("tx0")["available"], 3);
    control.gate("tx0", "fetch", true);
    control.until("tx0", "completed", 5);
}

#[test]
fn indirect_descriptors_are_followed() {
    let daemon = Daemon::start(&[]);
    let features = VERSION_1 | PROTOCOL_FEATURES | INDIRECT;
    let mut guest = Guest::with_features(&daemon.socket(), features);
    guest.enter(TX, 0);
    guest.transmit_indirect(3);
    daemon.control().until("tx0", "sent", 1);
    assert_eq!(captured(&daemon, 2), [3]);
    assert_eq!(guest.lens(TX), [0]);
}

#[test]
fn interrupts_are_suppressed_for_completions_and_not_for_cancel() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.suppress_interrupts(TX);
    guest.transmit(1, 3);
    daemon.control().until("tx0", "completed", 3);
    // An answer after the completions: whatever was to be signalled has been by now.
    guest.read_config();
    assert!(!guest.interrupted(TX));
    guest.command(TX, CANCEL);
    guest.interrupt(TX);
}
