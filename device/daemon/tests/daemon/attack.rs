//! Front ends that attack: the wrong descriptors, floods, half messages, leaving at any moment. The process
//! ends as it should or goes on; it never panics, hangs or spins.

use std::fs;
use std::os::fd::AsFd;

use rustix::process::Signal;
use serde_json::json;
use vhost::VhostBackend;
use vhost::vhost_user::VhostUserFrontend;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EFD_SEMAPHORE, EventFd};

use crate::guest::{CANCEL, Guest, PROTOCOL_FEATURES, RX, TX, VERSION_1};
use crate::hostile::ends_cleanly;
use crate::process::{Daemon, until};
use crate::raw::{
    Random, Raw, SET_FEATURES, SET_MEM_TABLE, SET_OWNER, SET_PROTOCOL_FEATURES, SET_VRING_KICK, memfd,
    odd_descriptors,
};

const MEGABYTE: u64 = 1 << 20;

/// Bytes of a SET_MEM_TABLE body for regions of (guest address, size, user address, offset).
fn table(regions: &[[u64; 4]]) -> Vec<u64> {
    let mut words = vec![regions.len() as u64];
    words.extend(regions.iter().flatten());
    words
}

/// Waits until the thread that reads doorbells is asleep, a hundred looks on end.
fn doorbell_thread_rests(daemon: &Daemon) {
    let tasks = format!("/proc/{}/task", daemon.pid());
    let Ok(mut tasks) = fs::read_dir(tasks) else { return };
    let task = tasks.find_map(|task| {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        (name.trim() == "doorbells").then_some(task)
    });
    let Some(task) = task else { return };
    let mut asleep = 0;
    until("the doorbell thread rests", || {
        // A process that has ended rests, too.
        let stat = fs::read_to_string(task.join("stat")).unwrap_or("() S".into());
        let sleeps = stat.rsplit_once(") ").unwrap().1.starts_with('S');
        asleep = if sleeps { asleep + 1 } else { 0 };
        (asleep == 100).then_some(())
    });
}

#[test]
fn memory_of_the_wrong_kind_is_survived() {
    for (what, fd) in odd_descriptors() {
        let daemon = Daemon::start(&[]);
        let raw = Raw::connect(&daemon.socket());
        raw.send(SET_OWNER, &[], &[]);
        raw.send(SET_FEATURES, &[VERSION_1 | PROTOCOL_FEATURES], &[]);
        raw.send(SET_MEM_TABLE, &table(&[[0, MEGABYTE, 0x7000_0000, 0]]), &[fd.as_fd()]);
        raw.send(SET_OWNER, &[], &[]);
        drop(raw);
        eprintln!("{what}");
        ends_cleanly(daemon);
    }
}

#[test]
fn memory_tables_at_the_edges_are_survived() {
    let big = u64::MAX;
    let tables: [&[[u64; 4]]; 9] = [
        &[],
        &[[0, 0, 0, 0]],
        &[[big, MEGABYTE, 0, 0]],
        &[[0, MEGABYTE, big - 10, 0]],
        &[[0, MEGABYTE, 0, big - 10]],
        &[[0, MEGABYTE, 0x7000_0000, 1]],
        &[[1, MEGABYTE, 0x7000_0001, 0]],
        &[[0, 1 << 46, 0x7000_0000, 0]],
        &[[0, MEGABYTE, 0, 0], [MEGABYTE / 2, MEGABYTE, 0, 0]],
    ];
    let memory = memfd(2 * MEGABYTE);
    for regions in tables {
        for fds in 0..4 {
            let daemon = Daemon::start(&[]);
            let raw = Raw::connect(&daemon.socket());
            raw.send(SET_FEATURES, &[VERSION_1 | PROTOCOL_FEATURES], &[]);
            raw.send(SET_MEM_TABLE, &table(regions), &vec![memory.as_fd(); fds]);
            // ring size, addresses, base, doorbell, enable: whatever the table was
            raw.send(8, &[64 << 32 | 1], &[]);
            raw.send(9, &[1, 0x7000_1001, 0x7000_3001, 0x7000_2001, 0], &[]);
            raw.send(SET_VRING_KICK, &[0x101], &[]);
            raw.send(18, &[1 << 32 | 1], &[]);
            drop(raw);
            ends_cleanly(daemon);
        }
    }
}

#[test]
fn doorbells_of_every_kind_are_survived_without_a_spin() {
    for (what, fd) in odd_descriptors() {
        let mut daemon = Daemon::start(&[]);
        let mut guest = Guest::start(&daemon.socket());
        guest.leave(TX);
        let raw = fd.try_clone().unwrap();
        // SAFETY: the number was just taken out of its only owner.
        let fake: EventFd =
            unsafe { std::os::fd::FromRawFd::from_raw_fd(std::os::fd::IntoRawFd::into_raw_fd(raw)) };
        let taken = guest.frontend.set_vring_kick(TX, &fake).is_ok()
            && guest.frontend.set_vring_enable(TX, true).is_ok()
            && guest.frontend.get_features().is_ok();
        eprintln!("{what}: {taken}");
        if taken && daemon.alive() {
            doorbell_thread_rests(&daemon);
        }
        drop(guest);
        ends_cleanly(daemon);
    }
}

#[test]
fn interrupts_into_anything_are_survived() {
    for (what, fd) in odd_descriptors() {
        let daemon = Daemon::start(&[]);
        let mut guest = Guest::start(&daemon.socket());
        // SAFETY: the number was just taken out of its only owner.
        let fake: EventFd =
            unsafe { std::os::fd::FromRawFd::from_raw_fd(std::os::fd::IntoRawFd::into_raw_fd(fd)) };
        guest.frontend.set_vring_call(TX, &fake).unwrap();
        guest.transmit(1, 5);
        daemon.control().until("tx0", "completed", 5);
        guest.command(TX, CANCEL);
        eprintln!("{what}");
        drop(guest);
        ends_cleanly(daemon);
    }
}

#[test]
fn another_doorbell_in_service_replaces_the_first() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 1);
    daemon.control().until("tx0", "sent", 1);
    let second = EventFd::new(EFD_NONBLOCK).unwrap();
    guest.frontend.set_vring_kick(TX, &second).unwrap();
    // The first stays open here: rung, it must wake nobody for ever.
    guest.kick(TX);
    doorbell_thread_rests(&daemon);
    let control = &mut daemon.control();
    control.gate("tx0", "fetch", false);
    guest.transmit(2, 1);
    control.gate("tx0", "fetch", true);
    control.until("tx0", "sent", 2);
    guest.publish(TX, &[(0x10000, 12, false), (0x10100, 100, false)]);
    second.write(1).unwrap();
    control.until("tx0", "sent", 3);
}

#[test]
fn requests_beyond_what_was_offered_are_survived() {
    let memory = memfd(MEGABYTE);
    for request in 1..=50 {
        for words in
            [&[][..], &[0; 1], &[u64::MAX; 1], &[0; 5], &[1, 0x1000, 0x7000_0000, 0, 0], &[u64::MAX; 5]]
        {
            for fds in [&[][..], &[memory.as_fd()]] {
                let daemon = Daemon::start(&[]);
                let mut guest = Guest::start(&daemon.socket());
                guest.transmit(1, 1);
                let raw = Raw::from(&guest);
                raw.send(SET_PROTOCOL_FEATURES, &[u64::MAX], &[]);
                raw.send(request, words, fds);
                drop(guest);
                drop(raw);
                ends_cleanly(daemon);
            }
        }
    }
}

#[test]
fn descriptors_nobody_asked_for_are_closed() {
    let daemon = Daemon::start(&[]);
    let raw = Raw::connect(&daemon.socket());
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    // SAFETY: the event lives to the end of the test.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&event)) };
    let open = || fs::read_dir(format!("/proc/{}/fd", daemon.pid())).map_or(0, |all| all.count());
    let before = open();
    for _ in 0..50 {
        raw.send(SET_FEATURES, &[VERSION_1 | PROTOCOL_FEATURES], &[fd; 32]);
        raw.send(14, &[0], &[fd]);
        raw.send(13, &[0], &[fd]);
    }
    until("its descriptors are closed", || (open() <= before + 8).then_some(()));
    drop(raw);
    ends_cleanly(daemon);
}

/// A message of 12 bytes and a body of 8.
const WHOLE: [u8; 16] = [2, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn front_end_that_stops_in_the_middle_of_a_message_does_not_hold_the_process() {
    for part in [1, 11, 12, 15] {
        let mut daemon = Daemon::start(&[]);
        let raw = Raw::connect(&daemon.socket());
        assert!(raw.send_bytes(&WHOLE[..part], &[]));
        daemon.control().call("stats", json!({}));
        daemon.signal(Signal::TERM);
        assert_eq!(daemon.wait().0.code(), Some(0));
    }
}

/// Such a message was lost by the library that used to read it, and both sides waited for each other.
#[test]
fn descriptors_that_cannot_be_received_end_the_connection() {
    let event = EventFd::new(EFD_NONBLOCK).unwrap();
    // SAFETY: the event lives to the end of the test.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(&event)) };
    // More than a message can have, and more than the process can have open.
    for (soft, fds) in [(None, 33), (Some(40), 30)] {
        let mut daemon = Daemon::start(&[]);
        let mut raw = Raw::connect(&daemon.socket());
        if let Some(soft) = soft {
            daemon.limit_descriptors(soft);
        }
        assert!(raw.send(SET_FEATURES, &[VERSION_1 | PROTOCOL_FEATURES], &vec![fd; fds]));
        assert!(raw.ended());
        let (status, log) = daemon.wait();
        assert!(status.success() && log.contains("descriptors came that cannot be received"), "{log}");
    }
}

/// Its count stays above 0 for as long as anybody would read it.
#[test]
fn doorbell_that_is_always_readable_is_heard_once() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let endless = EventFd::new(EFD_NONBLOCK | EFD_SEMAPHORE).unwrap();
    endless.write(u64::MAX - 1).unwrap();
    guest.frontend.set_vring_kick(TX, &endless).unwrap();
    doorbell_thread_rests(&daemon);
    guest.publish(TX, &[(0x10000, 12, false), (0x10100, 100, false)]);
    // One more ring of the bell: it cannot count further, but waiting for it can be asked for once more.
    endless.read().unwrap();
    endless.write(1).unwrap();
    daemon.control().until("tx0", "sent", 1);
    doorbell_thread_rests(&daemon);
}

#[test]
fn front_end_that_reads_no_answers_does_not_hold_the_process() {
    let mut daemon = Daemon::start(&[]);
    let mut raw = Raw::connect(&daemon.socket());
    raw.flood(1);
    daemon.control().call("stats", json!({}));
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().0.code(), Some(0));
}

#[test]
fn interrupt_that_blocks_does_not_keep_the_process_from_ending() {
    let mut daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.fill_call(TX);
    guest.transmit(1, 1);
    until("the device is stuck", || daemon.thread_writes("doorbells").then_some(()));
    daemon.signal(Signal::TERM);
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("does not end"), "{log}");
    assert!(!daemon.socket().exists() && !daemon.path("control").exists());
}

#[test]
fn second_front_end_is_turned_away_when_the_first_leaves() {
    let daemon = Daemon::start(&[]);
    let guest = Guest::start(&daemon.socket());
    let mut second = Raw::connect(&daemon.socket());
    assert!(second.send(1, &[], &[]));
    drop(guest);
    assert!(second.ended());
    ends_cleanly(daemon);
}

#[test]
fn front_end_may_leave_after_any_message() {
    for step in 0..12 {
        let daemon = Daemon::start(&["--wire", "loopback"]);
        let guest = Guest::up_to(&daemon.socket(), step);
        drop(guest);
        ends_cleanly(daemon);
    }
}

#[test]
fn memory_that_goes_at_any_moment_ends_the_process_cleanly() {
    type Act = fn(&mut Guest, &Daemon);
    let acts: [(&str, Act); 6] = [
        ("doorbell", |guest, _| guest.kick(TX)),
        ("half-written frame", |_, daemon| {
            let params = json!({ "queue": "rx0", "gate": "rx-write", "open": true });
            daemon.control().ask("gate.set", params);
        }),
        ("statistics", |_, daemon| daemon.control().ask("stats", json!({}))),
        ("transmit cancel", |guest, _| drop(guest.try_command(TX, CANCEL))),
        ("receive cancel", |guest, _| drop(guest.try_command(RX, CANCEL))),
        ("leaving service", |guest, _| drop(guest.frontend.get_vring_base(RX))),
    ];
    for (what, act) in acts {
        let daemon = Daemon::start(&[]);
        let mut guest = Guest::start(&daemon.socket());
        let mut control = daemon.control();
        control.gate("rx0", "rx-write", false);
        control.gate("tx0", "wire", false);
        guest.post(4);
        control.until("rx0", "posted", 4);
        control.call("rx.inject", json!({ "queue": "rx0", "first": 9, "count": 2, "len": 200 }));
        control.until("rx0", "writing", 1);
        guest.transmit(1, 3);
        control.until("tx0", "fetched", 3);
        let region = GuestMemoryBackend::iter(&guest.memory).next().unwrap();
        region.file_offset().unwrap().file().set_len(0).unwrap();
        eprintln!("{what}");
        act(&mut guest, &daemon);
        ends_cleanly(daemon);
    }
}

#[test]
fn memory_replaced_in_service_is_used_from_then_on() {
    let mut daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    guest.transmit(1, 1);
    control.until("tx0", "sent", 1);
    let raw = Raw::from(&guest);
    // Too small for the rings.
    assert!(raw.send(SET_MEM_TABLE, &table(&[[0, 4096, 0x7f00_0000_0000, 0]]), &[memfd(4096).as_fd()]));
    // An answer after it: it has been taken.
    guest.frontend.get_features().unwrap();
    guest.kick(TX);
    guest.kick(RX);
    until("broken", || control.queue("tx0")["broken"].as_bool().filter(|broken| *broken));
    control.call("rx.inject", json!({ "queue": "rx0", "first": 9, "count": 2, "len": 200 }));
    assert!(daemon.alive());
    drop((guest, raw));
    ends_cleanly(daemon);
}

#[test]
fn guest_that_scribbles_while_the_device_works_is_survived() {
    use vm_memory::{Bytes, GuestAddress};
    let mut daemon = Daemon::start(&["--wire", "loopback"]);
    let mut guest = Guest::start(&daemon.socket());
    let memory = guest.memory.clone();
    let places = [guest.rings[RX].desc(), guest.rings[TX].desc()];
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new(0x2545_f491);
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let ring = places[random.below(2)];
                // descriptors, available ring, used ring: 0x1000 apart
                let at =
                    ring + [0, 0, 0x1000, 0x1000, 0x2000][random.below(5)] + 2 * random.below(520) as u64;
                let value = [random.below(70), random.below(0x1_0000)][random.below(2)] as u16;
                memory.write_obj(value, GuestAddress(at)).unwrap();
            }
        });
        let mut random = Random::new(0x9e37_79b9);
        for round in 0..3000 {
            let queue = random.below(2);
            match random.below(6) {
                0 => drop(guest.command(queue, 1 + random.below(3) as u8)),
                1 if round % 10 == 0 => drop(guest.pause_and_resume(queue)),
                2 if round % 10 == 0 => guest.reset(queue),
                3 => guest.post(1),
                4 => guest.transmit(round, 2),
                _ => guest.kick(queue),
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(daemon.alive());
    for queue in [RX, TX] {
        guest.reset(queue);
    }
    let sent = daemon.control().queue("tx0")["sent"].as_u64().unwrap();
    guest.transmit(1, 3);
    daemon.control().until("tx0", "sent", sent + 3);
    drop(guest);
    ends_cleanly(daemon);
}

#[test]
fn control_clients_that_only_take_places_are_turned_away_in_time() {
    let daemon = Daemon::start(&[]);
    let idle: Vec<_> = (0..200).map(|_| daemon.control()).collect();
    until("one too many is told so", || {
        let mut control = daemon.control();
        control.try_call_unless_full("stats").is_none().then_some(())
    });
    drop(idle);
    until("there is room again", || daemon.control().try_call_unless_full("stats").map(drop));
}

#[test]
fn control_client_that_reads_nothing_holds_up_nobody() {
    let daemon = Daemon::start(&[]);
    let mut deaf = daemon.control();
    deaf.send_until_full(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"stats\"}\n");
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 3);
    daemon.control().until("tx0", "sent", 3);
    guest.command(TX, CANCEL);
    daemon.control().call("stats", json!({}));
    // It is still there.
    drop(deaf);
}

#[test]
fn control_line_without_end_costs_no_memory() {
    let daemon = Daemon::start(&[]);
    let resident = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let mut control = daemon.control();
    let before = resident();
    for _ in 0..64 {
        control.send(&vec![b'{'; 1 << 20]);
    }
    assert!(resident() < before + 8192, "{before} kB, then {} kB", resident());
    control.send(b"\n");
    assert_eq!(control.answer()["error"]["code"], -32600);
    control.call("stats", json!({}));
}
