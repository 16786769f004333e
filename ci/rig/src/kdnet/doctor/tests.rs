use super::super::Setup;
use super::super::datagram::made::{Made, poke, poke_body};
use super::super::key::Key;
use super::*;

const HERE: ([u8; 4], u16) = ([192, 168, 1, 7], 60001);

fn setup() -> Setup {
    Setup {
        key: "1.2.3.4".parse().unwrap(),
        port: 50000,
        host_ip: "10.0.2.2".parse().unwrap(),
        busparams: "0.2.0".parse().unwrap(),
    }
}

fn hear(doctor: &mut Doctor, datagram: &[u8]) -> Heard {
    doctor.hear(HERE.into(), datagram)
}

fn right() -> Key {
    setup().key
}

fn all_good(doctor: &Doctor) -> bool {
    doctor.diagnosis().iter().all(|finding| finding.good)
}

fn text(doctor: &Doctor) -> String {
    let lines = doctor.diagnosis().into_iter();
    lines.flat_map(|finding| [vec![finding.what], finding.mend].concat()).collect::<Vec<_>>().join("\n")
}

#[test]
fn two_pokes_with_the_right_key_are_enough_and_good() {
    let mut doctor = Doctor::new(setup());
    assert_eq!(hear(&mut doctor, &poke(&right(), 1, 9, 0)), Heard::Poke { version: 5 });
    assert!(!doctor.knows_enough());
    assert_eq!(hear(&mut doctor, &poke(&right(), 2, 9, 0)), Heard::Poke { version: 5 });
    assert!(doctor.knows_enough());
    assert!(all_good(&doctor));
    assert_eq!(text(&doctor), "192.168.1.7 calls: 2 pokes, version 5, the key verifies");
}

#[test]
fn a_wrong_key_names_the_command_that_sets_the_right_one() {
    let mut doctor = Doctor::new(setup());
    let theirs = "5.6.7.8".parse().unwrap();
    for sequence in 1..=3 {
        assert!(!doctor.knows_enough());
        assert_eq!(hear(&mut doctor, &poke(&theirs, sequence, 9, 0)), Heard::WrongTag { version: 5 });
    }
    assert!(doctor.knows_enough());
    assert!(!all_good(&doctor));
    let text = text(&doctor);
    assert!(text.contains("bcdedit /dbgsettings net hostip:10.0.2.2 port:50000 key:1.2.3.4"), "{text}");
    assert!(text.contains("bcdedit /dbgsettings\n"), "{text}");
}

#[test]
fn silence_names_each_thing_to_look_at() {
    let doctor = Doctor::new(setup());
    assert!(!all_good(&doctor));
    let text = text(&doctor);
    for part in [
        "bcdedit /debug on",
        "busparams 0.2.0",
        "hv-vendor-id",
        "Confirm-SecureBootUEFI",
        "ufw allow 50000/udp",
        "New-NetFirewallRule",
        "restrict=on",
    ] {
        assert!(text.contains(part), "no {part} in:\n{text}");
    }
}

#[test]
fn a_version_that_nobody_has_met_is_said_and_taken() {
    let mut doctor = Doctor::new(setup());
    for sequence in 1..=2 {
        let body = poke_body(sequence, 1, 0);
        let datagram = Made { version: 6, channel: 1, order: sequence << 8, body: &body }.seal(&right());
        assert_eq!(hear(&mut doctor, &datagram), Heard::Poke { version: 6 });
    }
    assert!(all_good(&doctor));
    assert!(text(&doctor).contains("version 6 is new to this command (it knows 2 and 5)"));
}

#[test]
fn a_version_that_nobody_has_met_may_be_why_the_tag_is_wrong() {
    let mut doctor = Doctor::new(setup());
    let mut datagram = poke(&right(), 1, 1, 0);
    datagram[4] = 9;
    assert_eq!(hear(&mut doctor, &datagram), Heard::WrongTag { version: 9 });
    assert!(text(&doctor).contains("this version makes its tag in another way"));
}

#[test]
fn a_repeat_is_not_a_second_poke() {
    let mut doctor = Doctor::new(setup());
    let datagram = poke(&right(), 1, 9, 0);
    hear(&mut doctor, &datagram);
    assert_eq!(hear(&mut doctor, &datagram), Heard::Repeat);
    assert!(!doctor.knows_enough());
    assert!(text(&doctor).contains("1 of its datagrams came twice"));
}

#[test]
fn pokes_that_differ_in_the_counter_of_their_key_only_are_no_restart() {
    let mut doctor = Doctor::new(setup());
    for (sequence, counter) in [(1, 0), (2, 1), (3, u64::MAX)] {
        let body = poke_body(counter, 9, 0);
        let datagram = Made { version: 5, channel: 1, order: sequence << 8, body: &body }.seal(&right());
        assert_eq!(hear(&mut doctor, &datagram), Heard::Poke { version: 5 });
    }
    assert!(all_good(&doctor));
    assert_eq!(text(&doctor), "192.168.1.7 calls: 3 pokes, version 5, the key verifies");
}

#[test]
fn a_new_half_key_is_told_as_a_restart() {
    let mut doctor = Doctor::new(setup());
    hear(&mut doctor, &poke(&right(), 40, 1, 0));
    hear(&mut doctor, &poke(&right(), 1, 2, 0));
    assert!(all_good(&doctor));
    let text = text(&doctor);
    assert!(text.ends_with("\nits half of the session key changed 1 time(s): it restarted"), "{text}");
}

#[test]
fn a_target_with_a_debugger_says_at_which_port() {
    let mut doctor = Doctor::new(setup());
    let heard = hear(&mut doctor, &poke(&right(), 1, 1, 50000));
    assert_eq!(heard, Heard::Bound { version: 5, port: 50000 });
    assert!(text(&doctor).contains("data channel to a debugger at port 50000"));
}

#[test]
fn a_target_that_restarted_calls_anew() {
    let mut doctor = Doctor::new(setup());
    assert_eq!(hear(&mut doctor, &poke(&right(), 70, 1, 50000)), Heard::Bound { version: 5, port: 50000 });
    // Its numbers begin again, with a new half of the session key, and no debugger.
    assert_eq!(hear(&mut doctor, &poke(&right(), 1, 2, 0)), Heard::Poke { version: 5 });
    assert!(all_good(&doctor));
    let text = text(&doctor);
    assert!(text.contains("changed 1 time(s): it restarted") && !text.contains("still holds"), "{text}");
}

#[test]
fn data_without_pokes_asks_for_a_restart() {
    let mut doctor = Doctor::new(setup());
    let datagram = Made { version: 5, channel: 0, order: 0x100, body: &[0; 40] }.seal(&right());
    assert_eq!(hear(&mut doctor, &datagram), Heard::Data { version: 5 });
    assert!(!all_good(&doctor));
    assert!(text(&doctor).contains("shutdown /r /t 0"));
}

#[test]
fn data_beside_pokes_is_no_fault() {
    let mut doctor = Doctor::new(setup());
    hear(&mut doctor, &Made { version: 5, channel: 0, order: 0x100, body: &[0; 40] }.seal(&right()));
    hear(&mut doctor, &poke(&right(), 1, 1, 0));
    assert!(all_good(&doctor));
}

#[test]
fn other_senders_are_told_from_a_target() {
    let mut doctor = Doctor::new(setup());
    assert_eq!(hear(&mut doctor, b"GET / HTTP/1.1"), Heard::Malformed(Flaw::Foreign));
    assert_eq!(hear(&mut doctor, &poke(&right(), 1, 1, 0)[..100]), Heard::Malformed(Flaw::Damaged));
    let of_debugger = Made { version: 5, channel: 1, order: 0x180, body: &[1, 2] }.seal(&right());
    assert_eq!(hear(&mut doctor, &of_debugger), Heard::FromDebugger);
    let no_poke = Made { version: 5, channel: 1, order: 0x100, body: &[9; 20] }.seal(&right());
    assert_eq!(hear(&mut doctor, &no_poke), Heard::NoPoke);
    let mut other = no_poke.clone();
    other[5] = 3;
    assert_eq!(hear(&mut doctor, &other), Heard::OtherChannel(3));
    assert_eq!(doctor.diagnosis().len(), 5);
    assert!(doctor.diagnosis().iter().all(|finding| !finding.good && finding.mend.len() == 1));
}

#[test]
fn garbage_beside_a_target_is_no_fault() {
    let mut doctor = Doctor::new(setup());
    hear(&mut doctor, &[0xff; 500]);
    hear(&mut doctor, &poke(&right(), 1, 1, 0));
    assert!(all_good(&doctor));
}

#[test]
fn two_machines_at_one_port_are_a_fault() {
    let mut doctor = Doctor::new(setup());
    doctor.hear(([10, 0, 0, 1], 1000).into(), &poke(&right(), 1, 1, 0));
    doctor.hear(([10, 0, 0, 2], 1000).into(), &poke(&right(), 1, 2, 0));
    assert!(!all_good(&doctor));
    assert!(text(&doctor).contains("2 machines call at port 50000"));
}
