//! Guests and front ends that do what they must not: the process neither panics nor hangs, and where the
//! connection survives the queue goes on.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::Ordering;

use rustix::process::Signal;
use serde_json::json;
use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::VhostUserConfigFlags;
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::cancel::captured;
use crate::guest::{CANCEL, Guest, HEADER, MEMORY, REFUSED, RUNNING, RX, SIZE, STOPPED, TX};
use crate::process::{Daemon, until};
use crate::raw::{
    Raw, SET_FEATURES, SET_MEM_TABLE, SET_PROTOCOL_FEATURES, SET_VRING_ADDR, SET_VRING_KICK, SET_VRING_NUM,
    huge_memfd,
};

/// Ends without a panic, with exit code 0.
pub(crate) fn ends_cleanly(mut daemon: Daemon) {
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert!(!daemon.socket().exists());
}

#[test]
fn garbage_on_the_socket_ends_the_process_cleanly() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 4096],
        &[1, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f],
        &[1],
    ] {
        let daemon = Daemon::start(&[]);
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        stream.write_all(bytes).unwrap();
        drop(stream);
        ends_cleanly(daemon);
    }
}

/// Sends the request, then leaves; the log of a process that ended in order.
fn log_of(request: u32, words: &[u64]) -> String {
    let mut daemon = Daemon::start(&[]);
    let raw = Raw::connect(&daemon.socket());
    assert!(raw.send(request, words, &[]));
    raw.finish();
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!daemon.socket().exists() && !daemon.path("control").exists());
    log
}

#[test]
fn front_end_that_asks_for_a_third_ring_is_told_how_many_there_are() {
    let log = log_of(SET_VRING_NUM, &[2 | 64 << 32]);
    assert!(log.contains("there is no ring 2"), "{log}");
    assert!(log.contains("num_vqs=2,vq_size=1024"), "{log}");
}

/// Protocol features and requests that were not offered do not exist: no number in them is looked at.
#[test]
fn what_was_never_offered_is_refused_by_name() {
    const CONFIGURE_MEM_SLOTS: u64 = 1 << 15;
    const ADD_MEM_REG: u32 = 37;
    const GET_QUEUE_NUM: u32 = 17;
    for (request, words, told) in [
        (SET_PROTOCOL_FEATURES, &[CONFIGURE_MEM_SLOTS | 1][..], "protocol features 0x8000 were not offered"),
        (SET_PROTOCOL_FEATURES, &[1 << 63], "protocol features 0x8000000000000000 were not offered"),
        (ADD_MEM_REG, &[0, u64::MAX], "request 37 was not offered"),
        // offered, and not accepted
        (GET_QUEUE_NUM, &[], "request 17 was not offered"),
        (99, &[], "request 99 was not offered"),
        (SET_FEATURES, &[1 << 40], "features 0x10000000000 were not offered"),
    ] {
        let log = log_of(request, words);
        assert!(log.contains(told), "{log}");
    }
}

/// The transmit queue starts with what a guest may have chosen. No request is refused; the queue is broken and no other.
fn breaks_the_transmit_queue_only(rings: VringConfigData, size: u16) {
    eprintln!("{size}: {:x} {:x} {:x}", rings.desc_table_addr, rings.avail_ring_addr, rings.used_ring_addr);
    let mut daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.leave(TX);
    guest.enter_with(TX, 0, size, &rings);
    let seq = guest.command(TX, CANCEL);
    let stat = guest.stat(TX);
    assert_eq!((stat.seq, stat.result, stat.state), (seq, 5, RUNNING));
    guest.kick(TX);
    guest.command(RX, CANCEL);
    assert_eq!((guest.stat(RX).result, guest.stat(RX).state), (0, STOPPED), "the other queue goes on");
    assert_eq!(guest.leave(TX), 0);
    guest.reset(TX);
    guest.transmit(1, 1);
    daemon.control().until("tx0", "sent", 1);
    assert!(daemon.alive());
}

#[test]
fn ring_that_a_guest_misplaces_is_broken_and_the_connection_goes_on() {
    let good = Guest::addresses(TX);
    let behind = good.desc_table_addr + 2 * MEMORY as u64;
    for rings in [
        VringConfigData { desc_table_addr: good.desc_table_addr + 8, ..good },
        VringConfigData { avail_ring_addr: good.avail_ring_addr + 1, ..good },
        VringConfigData { used_ring_addr: good.used_ring_addr + 2, ..good },
        VringConfigData { desc_table_addr: behind, ..good },
        VringConfigData { avail_ring_addr: behind, ..good },
        VringConfigData { used_ring_addr: behind, ..good },
        // begins in memory and ends behind it
        VringConfigData { desc_table_addr: good.desc_table_addr - 0x5000 + MEMORY as u64 - 16, ..good },
        VringConfigData { used_ring_addr: u64::MAX - 3, ..good },
        VringConfigData { desc_table_addr: 0, avail_ring_addr: 0, used_ring_addr: 0, ..good },
    ] {
        breaks_the_transmit_queue_only(rings, SIZE);
    }
}

#[test]
fn ring_of_a_size_that_no_ring_has_is_broken_and_the_connection_goes_on() {
    for size in [0, 48, 2048, u16::MAX] {
        breaks_the_transmit_queue_only(Guest::addresses(TX), size);
    }
}

#[test]
fn every_request_code_with_a_random_body_is_survived() {
    // request, body: little-endian words that are wrong for it in one way or another
    for request in 1..=44u32 {
        for word in [0u32, 7, 0xffff_ffff] {
            let daemon = Daemon::start(&[]);
            let mut stream = UnixStream::connect(daemon.socket()).unwrap();
            for length in [0u32, 8, 40] {
                let mut message = Vec::new();
                for part in [request, 1, length] {
                    message.extend_from_slice(&part.to_le_bytes());
                }
                message.extend(word.to_le_bytes().iter().cycle().take(length as usize));
                if stream.write_all(&message).is_err() {
                    break;
                }
            }
            drop(stream);
            ends_cleanly(daemon);
        }
    }
}

#[test]
fn what_a_front_end_may_not_send_is_refused_without_harm() {
    type Wrong = fn(&mut Guest) -> bool;
    let wrongs: [(&str, Wrong); 3] = [
        ("ring number", |guest| {
            guest.frontend.set_vring_base(1, 0).is_ok() && !Raw::from(&*guest).accepts(SET_VRING_NUM, &[7])
        }),
        ("overlapping memory", |guest| {
            let region = GuestMemoryBackend::iter(&guest.memory).next().unwrap();
            let info = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
            guest.frontend.set_mem_table(&[info, info]).is_err()
        }),
        ("features not offered", |guest| guest.frontend.set_features(u64::MAX).is_err()),
    ];
    for (what, wrong) in wrongs {
        let daemon = Daemon::start(&[]);
        let mut guest = Guest::start(&daemon.socket());
        assert!(wrong(&mut guest), "{what} was accepted");
        drop(guest);
        ends_cleanly(daemon);
    }
}

#[test]
fn config_writes_of_every_size_and_place_are_answered() {
    let mut daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    for offset in (0..256).step_by(3) {
        for len in [1, 2, 3, 4, 7, 8, 64] {
            if offset + len <= 256 {
                let bytes = vec![offset as u8 ^ 0xa5; len];
                guest.frontend.set_config(offset as u32, VhostUserConfigFlags::WRITABLE, &bytes).unwrap();
            }
        }
    }
    assert_eq!(guest.read32(0x40), u32::from_le_bytes(*b"CINC"));
    assert!(daemon.alive());
}

#[test]
fn malformed_chains_are_refused_and_the_queue_goes_on() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    let (h, far) = (0x10000, MEMORY as u64);
    let chains: [&[(u64, u32, bool)]; 9] = [
        &[(far, HEADER, false), (h, 60, false)],
        &[(h, HEADER, false), (far - 10, 60, false)],
        &[(h, HEADER, false), (u64::MAX - 4, 60, false)],
        &[(h, HEADER, false), (h, 0, false)],
        &[(h, 0, false)],
        &[(h, HEADER, false), (h, 60, true)],
        &[(h, HEADER, true)],
        &[(h, HEADER, false), (h, 65551, false)],
        &[(h, HEADER, false), (h, u32::MAX, false), (h, u32::MAX, false)],
    ];
    for chain in chains {
        guest.publish(TX, chain);
    }
    guest.kick(TX);
    control.until("tx0", "refused", 9);
    guest.transmit(1, 2);
    control.until("tx0", "sent", 2);
    let lens = guest.lens(TX);
    assert_eq!(lens, [vec![REFUSED; 9], vec![0; 2]].concat());
    assert_eq!(captured(&daemon, 2), [1, 2]);
}

#[test]
fn chain_that_bites_its_tail_is_refused() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let desc = guest.rings[TX].desc();
    guest.memory.write_obj(0x10000u64, GuestAddress(desc)).unwrap();
    guest.memory.write_obj(60u32, GuestAddress(desc + 8)).unwrap();
    guest.memory.write_obj([1u16, 0], GuestAddress(desc + 12)).unwrap();
    guest.publish_head(TX, 0);
    guest.kick(TX);
    daemon.control().until("tx0", "refused", 1);
    assert_eq!(guest.lens(TX), [REFUSED]);
}

#[test]
fn head_outside_the_ring_does_not_stop_the_process() {
    let mut daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.publish_head(TX, SIZE);
    guest.publish_head(TX, 0xffff);
    guest.kick(TX);
    guest.command(TX, CANCEL);
    assert!(daemon.alive());
    guest.reset(TX);
    guest.transmit(1, 1);
    daemon.control().until("tx0", "sent", 1);
}

#[test]
fn available_index_that_runs_ahead_breaks_the_queue_until_it_leaves_service() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    let index = GuestAddress(guest.rings[TX].avail() + 2);
    guest.memory.store(SIZE + 1, index, Ordering::Release).unwrap();
    guest.kick(TX);
    until("broken", || control.queue("tx0")["broken"].as_bool().filter(|broken| *broken));
    guest.command(TX, CANCEL);
    assert_eq!((guest.stat(TX).result, guest.stat(TX).state), (5, RUNNING));
    guest.command(RX, CANCEL);
    assert_eq!(guest.stat(RX).state, STOPPED, "the other queue goes on");
    guest.reset(TX);
    guest.transmit(1, 1);
    control.until("tx0", "sent", 1);
}

#[test]
fn receive_buffers_that_are_no_buffers_are_refused() {
    let daemon = Daemon::start(&["--wire", "loopback"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    guest.publish(RX, &[(0x80000, 1600, false)]);
    guest.publish(RX, &[(0x80000, 11, true)]);
    guest.publish(RX, &[(MEMORY as u64, 1600, true)]);
    guest.post(1);
    guest.transmit(1, 1);
    control.until("rx0", "received", 1);
    assert_eq!(guest.lens(RX), [0, 0, 0, HEADER + 100]);
}

#[test]
fn frames_that_are_longer_than_the_mtu_allows_are_refused() {
    let daemon = Daemon::start(&["--mtu", "2000"]);
    let mut guest = Guest::start(&daemon.socket());
    for len in [2018, 2019, 65538] {
        guest.publish(TX, &[(0x10000, HEADER + len, false)]);
    }
    guest.kick(TX);
    daemon.control().until("tx0", "completed", 3);
    assert_eq!(guest.lens(TX), [0, REFUSED, REFUSED]);
}

/// Frames as long as a chain may be come back, and find no buffer.
#[test]
fn the_longest_frames_on_a_loopback_wire_take_a_bounded_amount_of_memory() {
    let daemon = Daemon::start(&["--wire", "loopback", "--mtu", "65535"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    for round in 1..=25 {
        for _ in 0..SIZE {
            guest.publish(TX, &[(0x10000, 65550, false)]);
        }
        guest.kick(TX);
        control.until("tx0", "sent", round * u64::from(SIZE));
        guest.reap(TX);
    }
    // Frames that were sent are handed to the receive queue after that, by whichever thread runs it next.
    until("all have come back", || {
        let stats = control.call("stats", json!({}));
        let (rx, lost) = (&stats["queues"][0], &stats["counters"]["wire_lost"]);
        let counts = [&rx["pending"], &rx["dropped"], lost].map(|count| count.as_u64().unwrap());
        (counts.iter().sum::<u64>() == 25 * u64::from(SIZE)).then_some(())
    });
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    assert!(peak < 64 << 10, "{peak} KiB");
}

#[test]
fn doorbell_that_is_no_doorbell_ends_the_connection_not_in_a_spin() {
    use std::os::fd::{FromRawFd, IntoRawFd};
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.leave(TX);
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    // SAFETY: the number was just taken out of its only owner.
    let fake = unsafe { vmm_sys_util::eventfd::EventFd::from_raw_fd(theirs.into_raw_fd()) };
    // The answers may be lost with the connection.
    let _ = guest.frontend.set_vring_kick(TX, &fake);
    let _ = guest.frontend.set_vring_enable(TX, true);
    ends_cleanly(daemon);
}

#[test]
fn guest_memory_that_is_taken_away_ends_the_process_cleanly() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let region = GuestMemoryBackend::iter(&guest.memory).next().unwrap();
    let file = region.file_offset().unwrap().file().try_clone().unwrap();
    guest.transmit(1, 1);
    daemon.control().until("tx0", "sent", 1);
    file.set_len(0).unwrap();
    guest.kick(TX);
    ends_cleanly(daemon);
}

#[test]
fn guest_memory_past_its_file_ends_the_process_cleanly() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let region = GuestMemoryBackend::iter(&guest.memory).next().unwrap();
    let mut info = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
    info.memory_size *= 4;
    guest.frontend.set_mem_table(&[info]).unwrap();
    guest.publish(TX, &[(2 * MEMORY as u64, 100, false)]);
    guest.kick(TX);
    ends_cleanly(daemon);
}

/// Whether the pool of huge pages is empty or not: the file has none left when the ring enters service.
#[test]
fn huge_page_that_is_not_there_ends_the_process_cleanly() {
    const GET_FEATURES: u32 = 1;
    const USER: u64 = 0x7000_0000;
    let Some(memory) = huge_memfd() else { return eprintln!("this machine has no huge pages") };
    let mut daemon = Daemon::start(&[]);
    let mut raw = Raw::connect(&daemon.socket());
    assert!(raw.send(SET_MEM_TABLE, &[1, 0, 2 << 20, USER, 0], &[memory.as_fd()]));
    // Its answer comes once the memory is mapped.
    assert!(raw.send(GET_FEATURES, &[], &[]) && !raw.ended());
    memory.set_len(0).unwrap();
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).unwrap();
    raw.send(SET_VRING_NUM, &[TX as u64 | 64 << 32], &[]);
    raw.send(SET_VRING_ADDR, &[TX as u64, USER, USER + 0x1000, USER + 0x2000, 0], &[]);
    raw.send(SET_VRING_KICK, &[TX as u64], &[event.as_fd()]);
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the front end shared guest memory that is not there"), "{log}");
    assert!(!daemon.socket().exists() && !daemon.path("control").exists());
}

#[test]
fn sigbus_that_somebody_sends_is_not_taken_for_memory_that_is_not_there() {
    let mut daemon = Daemon::start(&[]);
    let _guest = Guest::start(&daemon.socket());
    daemon.signal(Signal::BUS);
    let (status, log) = daemon.wait();
    assert_eq!(status.signal(), Some(Signal::BUS.as_raw()), "{log}");
    assert!(!log.contains("guest memory"), "{log}");
}

#[test]
fn command_storm_from_the_guest_is_answered_word_by_word() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut state = 0x1234_5678u32;
    for round in 0..2000u32 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let offset = 0x80 + (state >> 8) as usize % 32 * 4;
        guest.write32(offset, state);
        if round % 50 == 0 {
            guest.read_config();
        }
    }
    let config = guest.read_config();
    assert_eq!(config[0x40..0x44], *b"CINC");
}
