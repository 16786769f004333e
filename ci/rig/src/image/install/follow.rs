//! Where an installation is, and whether it goes on: events in, phase and verdict out. Time is passed in.
//!
//! Windows tells little of itself. What it does tell ([`Report`]) decides; in between, restarts and the traffic of the
//! drives have to do. Each phase has two limits: how long no drive may be read or written, which nothing that works
//! ever reaches, and how long the whole phase may take, for what goes on working and gets nowhere.

use std::{fmt, time::Duration};

use windows_setup::{Report, ReportedPhase};

/// Written bytes after which Setup must be putting Windows on the disk: partitioning writes far less.
const COPYING: u64 = 64 << 20;
/// Restarts within one phase that make it a loop. Windows needs two at most.
const LOOP: u32 = 5;

/// A phase of an installation, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The firmware starts the medium, which loads Windows PE.
    Medium,
    /// Setup runs, reads its answers and partitions the disk. Reported.
    WindowsPe,
    /// Setup writes Windows to the disk. Told from what is written.
    Copying,
    /// The installed Windows has started from the disk and gets its devices. Told from the restart, and reported.
    Specialize,
    /// It makes its account and logs it on. Told from the restart after `Specialize`.
    FirstStart,
    /// Drivers, agent and settings are put in, step by step. Reported.
    FirstLogon,
    /// Everything is in, and Windows shuts down. Reported.
    PowerOff,
}

impl Phase {
    /// What it usually takes on a machine with KVM, and how well that is known.
    pub fn usual(self) -> &'static str {
        match self {
            Self::Medium => "1 min (an estimate)",
            Self::WindowsPe => "1 min (an estimate)",
            Self::Copying => "4 min (one public record, Server 2025)",
            Self::Specialize => "2 min (an estimate from one public record)",
            Self::FirstStart => "2 min (an estimate)",
            Self::FirstLogon => "1 min (an estimate)",
            Self::PowerOff => "20 s (an estimate)",
        }
    }

    /// Limits: without any traffic of the drives, and in all.
    fn limits(self) -> (Duration, Duration) {
        let minutes = |quiet: u64, all: u64| (Duration::from_secs(quiet * 60), Duration::from_secs(all * 60));
        match self {
            Self::Medium => minutes(5, 15),
            Self::WindowsPe => minutes(3, 20),
            Self::Copying => minutes(5, 60),
            Self::Specialize | Self::FirstStart => minutes(10, 45),
            Self::FirstLogon => minutes(10, 30),
            Self::PowerOff => minutes(5, 15),
        }
    }

    /// What may be behind a stall, and what to do.
    fn advice(self) -> &'static str {
        match self {
            Self::Medium => {
                "does the screen ask for a key, or is it the firmware's shell? Then the ISO starts in another way than \
                 Microsoft's: use one as Microsoft offers it"
            }
            Self::WindowsPe | Self::Copying => {
                "the screen shows what Setup asks or complains of; its answers are those of the edition and language on \
                 the ISO"
            }
            Self::Specialize | Self::FirstStart => {
                "the screen shows what Windows waits for; a slow machine gets more time with --patience"
            }
            Self::FirstLogon => "the screen shows the step's program, which may be asking something",
            Self::PowerOff => "the screen shows what keeps Windows from shutting down",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Medium => "starting the medium",
            Self::WindowsPe => "Setup in Windows PE",
            Self::Copying => "copying Windows",
            Self::Specialize => "devices (specialize)",
            Self::FirstStart => "first start (OOBE)",
            Self::FirstLogon => "first logon",
            Self::PowerOff => "powering off",
        })
    }
}

/// Something that happened to the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The guest said something.
    Report(Report),
    /// The guest restarted.
    Reset,
    /// The guest powered itself off.
    PowerOff,
    /// The guest stopped with a bug check.
    BugCheck(String),
    /// A drive's file failed; what QEMU says of it.
    DriveFailed(String),
    /// What all drives have read and written since the machine was started, bytes.
    Traffic {
        /// Read.
        read: u64,
        /// Written.
        written: u64,
    },
    /// QEMU ended in good order.
    Ended,
    /// QEMU ended otherwise.
    Broke(String),
}

/// How an installation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The guest did everything and powered off.
    Installed,
    /// It cannot succeed any more.
    Failed(String),
    /// Nothing has happened for longer than ever should, or a phase takes too long.
    Stalled(String),
}

/// An installation as far as it is known.
#[derive(Debug)]
pub struct Follower {
    /// Factor on all limits.
    patience: f64,
    phase: Phase,
    /// When the phase began.
    since: Duration,
    /// When a drive was last used, or the guest said something.
    alive: Duration,
    step: Option<String>,
    read: u64,
    written: u64,
    /// What was written when the phase began.
    written_before: u64,
    /// Restarts since the guest last said something.
    restarts: u32,
    powered_off: bool,
}

impl Follower {
    /// Follows an installation from the start of its machine on; all limits times `patience`.
    pub fn new(patience: f64) -> Self {
        Self {
            patience,
            phase: Phase::Medium,
            since: Duration::ZERO,
            alive: Duration::ZERO,
            step: None,
            read: 0,
            written: 0,
            written_before: 0,
            restarts: 0,
            powered_off: false,
        }
    }

    /// The phase, and when it began.
    pub fn phase(&self) -> (Phase, Duration) {
        (self.phase, self.since)
    }

    /// The step of the first logon.
    pub fn step(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// Bytes written since the machine was started.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes in what happened at `now`, counted from the machine's start.
    pub fn take(&mut self, now: Duration, event: Event) -> Option<Verdict> {
        let failed = |why: String| Some(Verdict::Failed(why));
        match event {
            Event::Report(report) => return self.hear(now, report),
            Event::Reset => return self.restart(now),
            Event::PowerOff => {
                self.powered_off = true;
                self.alive = now;
                if self.phase < Phase::PowerOff {
                    return failed(format!("the guest has powered itself off, {}", self.place()));
                }
            }
            Event::BugCheck(what) => {
                return failed(format!("Windows has stopped with {what}, {}", self.place()));
            }
            Event::DriveFailed(what) => return failed(format!("{what}, {}", self.place())),
            Event::Traffic { read, written } => {
                if (read, written) != (self.read, self.written) {
                    (self.read, self.written, self.alive) = (read, written, now);
                }
                if self.phase == Phase::WindowsPe && written - self.written_before.min(written) > COPYING {
                    self.enter(now, Phase::Copying);
                }
            }
            Event::Ended if self.powered_off && self.phase == Phase::PowerOff => {
                return Some(Verdict::Installed);
            }
            Event::Ended => return failed(format!("the machine has ended, {}", self.place())),
            Event::Broke(how) => return failed(format!("{how}, {}", self.place())),
        }
        None
    }

    /// Looks at the limits.
    pub fn tick(&self, now: Duration) -> Option<Verdict> {
        let (quiet, all) = self.phase.limits();
        let [quiet, all] = [quiet, all].map(|limit| limit.mul_f64(self.patience));
        let (silent, took) = (now.saturating_sub(self.alive), now.saturating_sub(self.since));
        let what = if silent > quiet {
            format!("no report and no use of the drives for {}", minutes(silent))
        } else if took > all {
            format!("not done after {}", minutes(took))
        } else {
            return None;
        };
        let usual = self.phase.usual();
        let advice = self.phase.advice();
        Some(Verdict::Stalled(format!("{what}, {}; the phase usually takes {usual}; {advice}", self.place())))
    }

    fn hear(&mut self, now: Duration, report: Report) -> Option<Verdict> {
        self.alive = now;
        self.restarts = 0;
        match report {
            Report::Phase(reported) => {
                let phase = match reported {
                    ReportedPhase::WindowsPe => Phase::WindowsPe,
                    ReportedPhase::Specialize => Phase::Specialize,
                    ReportedPhase::FirstLogon => Phase::FirstLogon,
                };
                if reported == ReportedPhase::WindowsPe && self.phase > Phase::WindowsPe {
                    let why = "Setup has begun once more: the disk that it wrote does not start";
                    return Some(Verdict::Failed(why.into()));
                }
                // A restart may have told the same before.
                if phase > self.phase {
                    self.enter(now, phase);
                }
            }
            Report::Step(step) => {
                if self.phase < Phase::FirstLogon {
                    self.enter(now, Phase::FirstLogon);
                }
                self.step = Some(step);
            }
            Report::Done => {
                self.step = None;
                self.enter(now, Phase::PowerOff);
            }
            Report::Failed(what) => {
                return Some(Verdict::Failed(format!("the guest reports that this failed: {what}")));
            }
        }
        None
    }

    fn restart(&mut self, now: Duration) -> Option<Verdict> {
        self.alive = now;
        self.restarts += 1;
        if self.restarts >= LOOP {
            let times = self.restarts;
            let why = format!("the guest has restarted {times} times without a word, {}", self.place());
            return Some(Verdict::Failed(why));
        }
        match self.phase {
            // Setup leaves Windows PE when all is copied, however little was seen of it.
            Phase::WindowsPe | Phase::Copying => self.enter(now, Phase::Specialize),
            Phase::Specialize => self.enter(now, Phase::FirstStart),
            Phase::Medium | Phase::FirstStart | Phase::FirstLogon | Phase::PowerOff => {}
        }
        None
    }

    fn enter(&mut self, now: Duration, phase: Phase) {
        (self.phase, self.since, self.alive, self.written_before) = (phase, now, now, self.written);
    }

    /// Where it happened, for people.
    fn place(&self) -> String {
        match &self.step {
            Some(step) => format!("in the phase `{}`, step `{step}`", self.phase),
            None => format!("in the phase `{}`", self.phase),
        }
    }
}

/// Minutes and seconds.
pub fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests {
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
}
