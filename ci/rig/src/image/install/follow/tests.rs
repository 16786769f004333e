//! The follower on a clock that the test moves.

use super::*;

const ALL: [Phase; 7] = [
    Phase::Medium,
    Phase::WindowsPe,
    Phase::Copying,
    Phase::Specialize,
    Phase::FirstStart,
    Phase::FirstLogon,
    Phase::PowerOff,
];

/// What leads from one phase to the next.
type Cause = fn(&mut Clock) -> Option<Verdict>;

/// An installation on a clock that the test moves.
struct Clock {
    now: Duration,
    follower: Follower,
}

impl Clock {
    fn new() -> Self {
        Self { now: Duration::ZERO, follower: Follower::new(1.0) }
    }

    /// Lets time pass, second by second, with that much written in each.
    fn pass(&mut self, seconds: u64, written: u64) -> Option<Verdict> {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            let Follower { read, written: before, .. } = self.follower;
            let traffic = Event::Traffic { read, written: before + written };
            let verdict = self.follower.take(self.now, traffic).or_else(|| self.follower.tick(self.now));
            if verdict.is_some() {
                return verdict;
            }
        }
        None
    }

    fn take(&mut self, event: Event) -> Option<Verdict> {
        self.follower.take(self.now, event)
    }

    fn hear(&mut self, line: &str) -> Option<Verdict> {
        let report = Report::parse(&format!("cancelnic-setup: {line}")).expect("a report");
        self.take(Event::Report(report))
    }

    fn phase(&self) -> Phase {
        self.follower.phase
    }

    /// In that phase, as the guest's reports and restarts lead there.
    fn arrived(phase: Phase) -> Self {
        let mut clock = Self::new();
        let causes: [Cause; 6] = [
            |clock| clock.hear("phase windows-pe"),
            |clock| clock.pass(100, 1 << 20),
            |clock| clock.take(Event::Reset),
            |clock| clock.take(Event::Reset),
            |clock| clock.hear("phase first-logon"),
            |clock| clock.hear("done"),
        ];
        for cause in causes {
            if clock.phase() == phase {
                break;
            }
            assert_eq!(cause(&mut clock), None);
        }
        assert_eq!(clock.phase(), phase);
        clock
    }
}

fn failure(verdict: Option<Verdict>) -> String {
    match verdict {
        Some(Verdict::Failed(why)) => why,
        other => panic!("no failure: {other:?}"),
    }
}

fn stall(verdict: Option<Verdict>) -> String {
    match verdict {
        Some(Verdict::Stalled(why)) => why,
        other => panic!("no stall: {other:?}"),
    }
}

#[test]
fn an_installation_goes_through_its_phases() {
    let mut clock = Clock::new();
    let mut seen = vec![clock.phase()];
    let mut see = |clock: &Clock| {
        if *seen.last().expect("a phase") != clock.phase() {
            seen.push(clock.phase());
        }
    };
    assert_eq!(clock.pass(40, 0), None);
    assert_eq!(clock.hear("phase windows-pe"), None);
    see(&clock);
    assert_eq!(clock.pass(300, 16 << 20), None);
    see(&clock);
    for event in ["reset", "phase specialize", "reset", "phase first-logon", "step drivers", "done"] {
        assert_eq!(if event == "reset" { clock.take(Event::Reset) } else { clock.hear(event) }, None);
        assert_eq!(clock.pass(60, 1 << 20), None);
        see(&clock);
    }
    assert_eq!(clock.take(Event::PowerOff), None);
    assert_eq!(clock.take(Event::Ended), Some(Verdict::Installed));
    assert_eq!(seen, ALL);
}

#[test]
fn a_guest_that_says_nothing_but_its_last_words_is_installed() {
    let mut clock = Clock::new();
    for event in [Event::Reset, Event::Reset] {
        assert_eq!(clock.take(event), None);
    }
    assert_eq!(clock.hear("step drivers"), None);
    assert_eq!(clock.phase(), Phase::FirstLogon);
    assert_eq!(clock.hear("done"), None);
    assert_eq!(clock.take(Event::PowerOff), None);
    assert_eq!(clock.take(Event::Ended), Some(Verdict::Installed));
}

#[test]
fn every_phase_stalls_when_no_drive_is_used() {
    for phase in ALL {
        let mut clock = Clock::arrived(phase);
        let quiet = phase.limits().0.as_secs();
        assert_eq!(clock.pass(quiet, 0), None, "{phase}");
        let why = stall(clock.pass(1, 0));
        for part in [&phase.to_string()[..], phase.usual(), "no use of the drives"] {
            assert!(why.contains(part), "{part}: {why}");
        }
    }
}

#[test]
fn every_phase_stalls_when_it_never_ends() {
    // What Windows writes when it waits for somebody at the keyboard.
    for phase in ALL {
        let mut clock = Clock::arrived(phase);
        let all = phase.limits().1.as_secs();
        assert!(stall(clock.pass(all + 1, 512)).contains("not done after"), "{phase}");
    }
}

#[test]
fn reading_alone_is_a_sign_of_life() {
    let mut clock = Clock::new();
    for read in 1..9 {
        clock.now += Duration::from_secs(60);
        assert_eq!(clock.take(Event::Traffic { read, written: 0 }), None);
        assert_eq!(clock.follower.tick(clock.now), None);
    }
}

#[test]
fn patience_moves_the_limits() {
    let mut clock = Clock::new();
    clock.follower = Follower::new(0.1);
    assert_eq!(clock.pass(30, 0), None);
    stall(clock.pass(1, 0));
}

#[test]
fn a_failed_step_ends_it() {
    let mut clock = Clock::arrived(Phase::FirstLogon);
    assert_eq!(clock.hear("step drivers"), None);
    assert!(failure(clock.hear("failed drivers: exit code 5")).contains("drivers: exit code 5"));
}

#[test]
fn powering_off_before_the_end_is_a_failure_that_names_the_step() {
    let mut clock = Clock::arrived(Phase::FirstLogon);
    clock.hear("step no sleep");
    assert!(failure(clock.take(Event::PowerOff)).contains("step `no sleep`"));
}

#[test]
fn an_end_without_power_off_is_a_failure() {
    let mut clock = Clock::arrived(Phase::PowerOff);
    failure(clock.take(Event::Ended));
}

#[test]
fn setup_that_begins_once_more_is_a_failure() {
    for phase in [Phase::Copying, Phase::Specialize, Phase::FirstStart] {
        assert!(failure(Clock::arrived(phase).hear("phase windows-pe")).contains("once more"), "{phase}");
    }
}

#[test]
fn a_loop_of_restarts_is_a_failure() {
    let mut clock = Clock::new();
    for _ in 1..LOOP {
        assert_eq!(clock.take(Event::Reset), None);
    }
    assert!(failure(clock.take(Event::Reset)).contains("5 times"));
}

#[test]
fn bug_checks_broken_drives_and_a_broken_qemu_are_failures() {
    for (event, wanted) in [
        (Event::BugCheck("STOP 0x7b".into()), "STOP 0x7b"),
        (Event::DriveFailed("the host's disk is full".into()), "disk is full"),
        (Event::Broke("QEMU was killed by signal 9".into()), "signal 9"),
    ] {
        let why = failure(Clock::arrived(Phase::Copying).take(event));
        assert!(why.contains(wanted) && why.contains("copying Windows"), "{why}");
    }
}

#[test]
fn a_restart_that_a_report_follows_counts_once() {
    let mut clock = Clock::arrived(Phase::Copying);
    assert_eq!(clock.take(Event::Reset), None);
    assert_eq!(clock.hear("phase specialize"), None);
    assert_eq!(clock.phase(), Phase::Specialize);
}
