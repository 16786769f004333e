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
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::cancel::captured;
use crate::guest::{CANCEL, Guest, HEADER, MEMORY, REFUSED, RUNNING, RX, SIZE, STOPPED, TX};
use crate::process::{Daemon, until};
use crate::raw::{Raw, SET_MEM_TABLE, SET_PROTOCOL_FEATURES, SET_VRING_ADDR, huge_memfd, memfd};

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

/// SET_VRING_NUM for `ring`, then the front end leaves; the log.
fn log_of_ring_size(ring: u64, size: u64) -> String {
    const SET_VRING_NUM: u32 = 8;
    let mut daemon = Daemon::start(&[]);
    let raw = Raw::connect(&daemon.socket());
    assert!(raw.send(SET_VRING_NUM, &[ring | size << 32], &[]));
    raw.finish();
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    log
}

#[test]
fn front_end_that_asks_for_a_third_ring_is_told_how_many_there_are() {
    let log = log_of_ring_size(2, 64);
    assert!(log.contains("such as one more ring"), "{log}");
    assert!(log.contains("num_vqs=2,vq_size=1024"), "{log}");
}

#[test]
fn unusable_ring_size_is_logged_with_its_queue() {
    let log = log_of_ring_size(TX as u64, 48);
    assert!(log.contains("the ring size is not a power of 2 queue=\"tx0\" size=48"), "{log}");
    let log = log_of_ring_size(TX as u64, 2048);
    assert!(log.contains("vring 1 requested queue size 2048 out of range (1-1024)"), "{log}");
}

/// The library takes protocol features that were not offered, and with them a region at the end of the address space.
#[test]
fn request_that_was_never_offered_ends_the_process_in_order() {
    const ADD_MEM_REG: u32 = 37;
    const CONFIGURE_MEM_SLOTS: u64 = 1 << 15;
    const LAST: u64 = u64::MAX - 0xff;
    let mut daemon = Daemon::start(&[]);
    let raw = Raw::connect(&daemon.socket());
    assert!(raw.send(SET_PROTOCOL_FEATURES, &[CONFIGURE_MEM_SLOTS], &[]));
    let memory = memfd(0x1000);
    assert!(raw.send(ADD_MEM_REG, &[0, 0, 0x1000, LAST, 0], &[memory.as_fd()]));
    raw.send(SET_VRING_ADDR, &[0, LAST, LAST, LAST, 0], &[]);
    raw.finish();
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the vhost-user library gives up") || !cfg!(debug_assertions), "{log}");
    assert!(!daemon.socket().exists() && !daemon.path("control").exists());
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

fn refuses_descriptor_table(guest: &mut Guest, at: u64) -> bool {
    let config = vhost::VringConfigData {
        queue_max_size: SIZE,
        queue_size: SIZE,
        desc_table_addr: at,
        ..Default::default()
    };
    guest.frontend.set_vring_addr(TX, &config).is_err()
}

#[test]
fn wrong_indices_sizes_and_addresses_are_refused_without_harm() {
    type Wrong = fn(&mut Guest) -> bool;
    let wrongs: [(&str, Wrong); 6] = [
        ("queue number", |guest| guest.frontend.set_vring_num(0, 0).is_err()),
        ("queue index", |guest| {
            guest.frontend.set_vring_base(1, 0).and_then(|()| guest.frontend.set_vring_num(1, 4096)).is_err()
        }),
        ("descriptor table that is not aligned", |guest| refuses_descriptor_table(guest, 1)),
        ("descriptor table outside memory", |guest| refuses_descriptor_table(guest, 1 << 20)),
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

/// Frames as long as a chain may be come back, and find no buffer.
#[test]
fn the_longest_frames_on_a_loopback_wire_take_a_bounded_amount_of_memory() {
    let daemon = Daemon::start(&["--wire", "loopback"]);
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
        let (rx, lost) = (&stats["queues"][0], &stats["counters"]["loopback_lost"]);
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

/// Whether the pool of huge pages is empty or not: the file has none left when the used ring is looked at.
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
    raw.send(SET_VRING_ADDR, &[TX as u64, USER, USER + 0x1000, USER + 0x2000, 0], &[]);
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
