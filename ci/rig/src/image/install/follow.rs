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
pub(super) enum Phase {
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
    pub(super) fn usual(self) -> &'static str {
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
pub(super) enum Event {
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
pub(super) enum Verdict {
    /// The guest did everything and powered off.
    Installed,
    /// It cannot succeed any more.
    Failed(String),
    /// Nothing has happened for longer than ever should, or a phase takes too long.
    Stalled(String),
}

/// An installation as far as it is known.
#[derive(Debug)]
pub(super) struct Follower {
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
    pub(super) fn new(patience: f64) -> Self {
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
    pub(super) fn phase(&self) -> (Phase, Duration) {
        (self.phase, self.since)
    }

    /// The step of the first logon.
    pub(super) fn step(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// Bytes written since the machine was started.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Takes in what happened at `now`, counted from the machine's start.
    pub(super) fn take(&mut self, now: Duration, event: Event) -> Option<Verdict> {
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
    pub(super) fn tick(&self, now: Duration) -> Option<Verdict> {
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
pub(super) fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

#[cfg(test)]
mod tests;
