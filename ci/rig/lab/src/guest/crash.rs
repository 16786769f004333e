//! How a guest as a whole fails: what QEMU's events and the agent mean, and what there is to be had of it then.
//!
//! [`Watch`] is the judgement alone. It is fed with what was seen, in order, and says what to go after next; whoever
//! feeds it has the lines to QEMU and agent, and the clock.

use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;

/// A bug check: STOP code and parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// Its code.
    pub code: u64,
    /// Its four parameters.
    pub parameters: [u64; 4],
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth] = self.parameters;
        write!(f, "STOP {:#010X} ({first:#x}, {second:#x}, {third:#x}, {fourth:#x})", self.code)
    }
}

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CrashKind {
    /// The guest has stopped itself.
    BugCheck,
    /// The guest's kernel has stopped, and did not say why.
    Panic,
    /// The guest does not answer, or does not come to an end with what it was told.
    Hang,
    /// The line to the agent is gone, and the machine goes on.
    AgentLoss,
    /// The guest has started anew, unasked, and has not said why.
    Restart,
    /// The machine is off, unasked.
    Off,
}

impl CrashKind {
    /// The rule that it breaks, as reports name rules.
    pub fn rule(self) -> &'static str {
        match self {
            Self::BugCheck => "BugCheck",
            Self::Panic => "GuestPanic",
            Self::Hang => "GuestHangs",
            Self::AgentLoss => "AgentLost",
            Self::Restart => "GuestRestarted",
            Self::Off => "MachineOff",
        }
    }
}

/// What can be seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A line of QEMU's monitor; others than the events named here mean nothing.
    Monitor(Value),
    /// The agent's own word of a bug check, its last.
    Told(Stop),
    /// The agent greets.
    Greeting,
    /// The agent has not answered within its time, or not done what it was told.
    Silence,
    /// The line to the agent has ended.
    LineLost,
    /// What was waited for did not come in time.
    Waited,
}

/// What to go after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pursuit {
    /// Nothing: all is well, or there is nothing to be had.
    Nothing,
    /// An NMI: a guest that hangs may still stop itself.
    Interrupt,
    /// The machine's restart: the guest is writing its dump.
    Restart,
    /// The agent's greeting: the guest has restarted.
    Agent,
    /// The dumps, which the agent hands out.
    Dumps,
    /// The machine's memory, as it is.
    Memory,
}

/// How far a failure has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has gone wrong. A restart or an end that comes in this state was not asked for.
    Well,
    /// A guest that writes dumps has told of its end, and is writing one. The machine's memory still is what it was.
    Stopped,
    /// The machine has started anew: the dump is written, or never will be. Nothing is left in its memory.
    Restarted,
    /// The agent is there again, and can be asked for dumps.
    Back,
    /// The guest hangs, and an NMI has not been tried.
    Hanging,
    /// The guest hangs, and the NMI has been sent.
    Interrupted,
    /// The guest will not go on by itself: its memory is all there is.
    Stuck,
    /// There is nothing more to be had.
    Over,
}

/// Judges what is seen of a guest.
#[derive(Debug)]
pub struct Watch {
    state: State,
    kind: Option<CrashKind>,
    stop: Option<Stop>,
    /// Whether the guest writes a dump at a bug check and restarts.
    writes_dumps: bool,
}

impl Watch {
    /// Watches a guest that has greeted.
    pub fn new(writes_dumps: bool) -> Self {
        Self { state: State::Well, kind: None, stop: None, writes_dumps }
    }

    /// What kind of failure it is, if it is one.
    pub fn kind(&self) -> Option<CrashKind> {
        self.kind
    }

    /// The bug check, if it was told.
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// What to go after now.
    pub fn pursuit(&self) -> Pursuit {
        match self.state {
            State::Well | State::Over => Pursuit::Nothing,
            State::Hanging => Pursuit::Interrupt,
            State::Stopped | State::Interrupted => Pursuit::Restart,
            State::Restarted => Pursuit::Agent,
            State::Back => Pursuit::Dumps,
            State::Stuck => Pursuit::Memory,
        }
    }

    /// The NMI has been sent.
    pub fn interrupted(&mut self) {
        self.state = if self.writes_dumps { State::Interrupted } else { State::Stuck };
    }

    /// What was gone after has been got, or cannot be.
    pub fn done(&mut self) {
        self.state = State::Over;
    }

    /// Takes in what was seen.
    pub fn see(&mut self, seen: &Seen) {
        match seen {
            Seen::Monitor(line) => self.see_event(line),
            Seen::Told(stop) => self.stopped(CrashKind::BugCheck, Some(*stop)),
            Seen::Greeting => match self.state {
                // Without the event of the restart: the machine was started anew behind QEMU's back.
                State::Well => self.fail(CrashKind::Restart, State::Back),
                State::Restarted | State::Stopped | State::Interrupted => self.state = State::Back,
                _ => {}
            },
            Seen::Silence if self.state == State::Well => self.fail(CrashKind::Hang, State::Hanging),
            Seen::LineLost if self.state == State::Well => self.fail(CrashKind::AgentLoss, State::Over),
            Seen::Silence | Seen::LineLost => {}
            Seen::Waited => match self.state {
                State::Stopped | State::Interrupted => self.state = State::Stuck,
                State::Restarted => self.state = State::Over,
                _ => {}
            },
        }
    }

    /// QEMU's events (qapi/run-state.json): GUEST_PANICKED, GUEST_CRASHLOADED, RESET, SHUTDOWN.
    fn see_event(&mut self, line: &Value) {
        let data = &line["data"];
        match line["event"].as_str() {
            Some("GUEST_PANICKED" | "GUEST_CRASHLOADED") => {
                let info = &data["info"];
                let argument = |name: &str| info[name].as_u64();
                // Windows' code and parameters, by its crash registers: arg1 is the code.
                let stop = (info["type"] == "hyper-v")
                    .then(|| {
                        let parameters =
                            [argument("arg2")?, argument("arg3")?, argument("arg4")?, argument("arg5")?];
                        Some(Stop { code: argument("arg1")?, parameters })
                    })
                    .flatten();
                let kind = if stop.is_some() { CrashKind::BugCheck } else { CrashKind::Panic };
                self.stopped(kind, stop);
            }
            Some("RESET") if data["guest"] == true => match self.state {
                State::Well | State::Hanging => self.fail(CrashKind::Restart, State::Restarted),
                State::Stopped | State::Interrupted => self.state = State::Restarted,
                _ => {}
            },
            Some("SHUTDOWN") => match self.state {
                State::Over => {}
                _ => self.fail(CrashKind::Off, State::Over),
            },
            _ => {}
        }
    }

    /// The first word counts; a second one of the same end, from another side, may add the code.
    fn stopped(&mut self, kind: CrashKind, stop: Option<Stop>) {
        self.stop = self.stop.or(stop);
        match self.state {
            State::Well => {
                let next = if self.writes_dumps { State::Stopped } else { State::Stuck };
                self.fail(kind, next);
            }
            // The NMI has done its work; it stays the hang that it was.
            State::Interrupted | State::Hanging => self.state = State::Stopped,
            _ => {}
        }
    }

    fn fail(&mut self, kind: CrashKind, next: State) {
        self.kind = self.kind.or(Some(kind));
        self.state = next;
    }
}

/// Where a dump came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The guest wrote it, and its agent handed it out.
    Guest,
    /// QEMU wrote the machine's memory, as an ELF core file.
    Memory,
}

/// A dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dump {
    /// Where it is kept.
    pub file: PathBuf,
    /// Who wrote it.
    pub source: Source,
    /// The command that opens it.
    pub open: String,
}

/// A guest that has failed as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Crash {
    /// What kind of failure.
    pub kind: CrashKind,
    /// The scenario, or `demo`.
    pub scenario: String,
    /// The bug check, if it was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// What there is to look at.
    pub dumps: Vec<Dump>,
    /// The device's word on its queues, a line each: registers, rings, who has what.
    pub device: Vec<String>,
    /// What else was seen or tried.
    pub notes: Vec<String>,
}

impl Crash {
    /// Its heading.
    pub fn title(&self) -> String {
        let what = match self.kind {
            CrashKind::BugCheck => "bug check",
            CrashKind::Panic => "the guest's kernel has stopped",
            CrashKind::Hang => "the guest hangs",
            CrashKind::AgentLoss => "the guest's agent is lost, the machine goes on",
            CrashKind::Restart => "the guest has started anew, unasked",
            CrashKind::Off => "the machine is off, unasked",
        };
        let stop = self.stop.map_or_else(String::new, |stop| format!(": {stop}"));
        format!("{what}{stop}, in {}", self.scenario)
    }

    /// All of it as lines of text.
    pub fn text(&self) -> String {
        let mut text = self.title();
        for dump in &self.dumps {
            text.push_str(&format!("\n  dump  {}\n  open  {}", dump.file.display(), dump.open));
        }
        for line in self.device.iter().chain(&self.notes) {
            text.push_str(&format!("\n  {line}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As QEMU 11.1 says it when a guest writes the crash registers (hv-crash), with `-action panic=none`.
    const PANICKED: &str = r#"{"timestamp":{"seconds":1795267012,"microseconds":401522},"event":"GUEST_PANICKED","data":{"action":"run","info":{"type":"hyper-v","arg1":415,"arg2":13,"arg3":18446620000000000000,"arg4":0,"arg5":0}}}"#;
    const RESET: &str = r#"{"timestamp":{"seconds":1795267043,"microseconds":90771},"event":"RESET","data":{"guest":true,"reason":"guest-reset"}}"#;
    const SHUTDOWN: &str = r#"{"timestamp":{"seconds":1795267043,"microseconds":90771},"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-shutdown"}}"#;
    const STOP: Stop = Stop { code: 0x19f, parameters: [13, 18_446_620_000_000_000_000, 0, 0] };

    fn event(line: &str) -> Seen {
        Seen::Monitor(serde_json::from_str(line).unwrap())
    }

    /// Feeds a watch; what it went after at each point.
    fn fed(watch: &mut Watch, seen: &[Seen]) -> Vec<Pursuit> {
        seen.iter()
            .map(|seen| {
                watch.see(seen);
                watch.pursuit()
            })
            .collect()
    }

    #[test]
    fn a_bug_check_ends_with_the_dump_that_windows_wrote() {
        let mut watch = Watch::new(true);
        let pursuits = fed(&mut watch, &[event(PANICKED), Seen::Silence, event(RESET), Seen::Greeting]);
        assert_eq!(pursuits, [Pursuit::Restart, Pursuit::Restart, Pursuit::Agent, Pursuit::Dumps]);
        assert_eq!((watch.kind(), watch.stop()), (Some(CrashKind::BugCheck), Some(STOP)));
        assert_eq!(STOP.to_string(), "STOP 0x0000019F (0xd, 0xffff8f27d69dc000, 0x0, 0x0)");
    }

    #[test]
    fn a_dump_that_never_ends_leaves_the_memory() {
        let mut watch = Watch::new(true);
        assert_eq!(fed(&mut watch, &[event(PANICKED), Seen::Waited]), [Pursuit::Restart, Pursuit::Memory]);
        watch.done();
        assert_eq!(watch.pursuit(), Pursuit::Nothing);
    }

    #[test]
    fn a_restart_without_an_agent_leaves_nothing() {
        let mut watch = Watch::new(true);
        fed(&mut watch, &[event(PANICKED), event(RESET), Seen::Waited]);
        assert_eq!((watch.pursuit(), watch.kind()), (Pursuit::Nothing, Some(CrashKind::BugCheck)));
    }

    #[test]
    fn a_guest_that_writes_no_dump_leaves_its_memory_at_once() {
        let mut watch = Watch::new(false);
        assert_eq!(fed(&mut watch, &[Seen::Told(STOP)]), [Pursuit::Memory]);
        assert_eq!((watch.kind(), watch.stop()), (Some(CrashKind::BugCheck), Some(STOP)));
    }

    #[test]
    fn a_panic_without_a_code_is_no_bug_check() {
        let mut watch = Watch::new(true);
        watch.see(&event(r#"{"event":"GUEST_PANICKED","data":{"action":"run"}}"#));
        assert_eq!((watch.kind(), watch.stop()), (Some(CrashKind::Panic), None));
    }

    #[test]
    fn a_hang_is_interrupted_and_the_dump_of_that_is_a_hangs() {
        let mut watch = Watch::new(true);
        assert_eq!(fed(&mut watch, &[Seen::Silence]), [Pursuit::Interrupt]);
        watch.interrupted();
        assert_eq!(watch.pursuit(), Pursuit::Restart);
        let pursuits = fed(&mut watch, &[event(PANICKED), event(RESET), Seen::Greeting]);
        assert_eq!(pursuits, [Pursuit::Restart, Pursuit::Agent, Pursuit::Dumps]);
        assert_eq!((watch.kind(), watch.stop()), (Some(CrashKind::Hang), Some(STOP)));
    }

    #[test]
    fn a_hang_that_no_nmi_ends_leaves_the_memory() {
        let mut watch = Watch::new(true);
        watch.see(&Seen::Silence);
        watch.interrupted();
        watch.see(&Seen::Waited);
        assert_eq!(watch.pursuit(), Pursuit::Memory);
        let mut watch = Watch::new(false);
        watch.see(&Seen::Silence);
        watch.interrupted();
        assert_eq!(watch.pursuit(), Pursuit::Memory);
    }

    #[test]
    fn a_lost_line_is_not_a_hang() {
        let mut watch = Watch::new(true);
        assert_eq!(fed(&mut watch, &[Seen::LineLost, Seen::Silence]), [Pursuit::Nothing; 2]);
        assert_eq!(watch.kind(), Some(CrashKind::AgentLoss));
    }

    #[test]
    fn a_restart_or_an_end_that_nobody_asked_for_is_named() {
        let mut watch = Watch::new(true);
        assert_eq!(fed(&mut watch, &[event(RESET), Seen::Greeting]), [Pursuit::Agent, Pursuit::Dumps]);
        assert_eq!(watch.kind(), Some(CrashKind::Restart));
        let mut watch = Watch::new(true);
        assert_eq!(fed(&mut watch, &[event(SHUTDOWN)]), [Pursuit::Nothing]);
        assert_eq!(watch.kind(), Some(CrashKind::Off));
    }

    #[test]
    fn other_events_mean_nothing() {
        let mut watch = Watch::new(true);
        for line in [
            r#"{"event":"RTC_CHANGE","data":{"offset":0,"qom-path":"/machine"}}"#,
            r#"{"event":"RESET","data":{"guest":false,"reason":"host-qmp-system-reset"}}"#,
            r#"{"return":{}}"#,
        ] {
            watch.see(&event(line));
        }
        assert_eq!((watch.kind(), watch.pursuit()), (None, Pursuit::Nothing));
    }

    #[test]
    fn the_text_has_everything_to_open_the_dump() {
        let crash = Crash {
            kind: CrashKind::BugCheck,
            scenario: "send-and-pause".into(),
            stop: Some(STOP),
            dumps: vec![Dump {
                file: "/d/MEMORY.DMP".into(),
                source: Source::Guest,
                open: "windbg -z /d/MEMORY.DMP".into(),
            }],
            device: vec!["tx0: STOPPED".into()],
            notes: vec!["took 3 s".into()],
        };
        assert_eq!(
            crash.text(),
            "bug check: STOP 0x0000019F (0xd, 0xffff8f27d69dc000, 0x0, 0x0), in send-and-pause\n  dump  /d/MEMORY.DMP\n  \
             open  windbg -z /d/MEMORY.DMP\n  tx0: STOPPED\n  took 3 s"
        );
    }
}
