//! What the guest reports on COM1 while it is being installed: one line for each phase, each step of the first logon,
//! and the end.

/// What every line begins with. The firmware and Windows' own loader write to COM1 as well.
pub const REPORT: &str = "cancelnic-setup: ";

/// A phase that the guest itself reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedPhase {
    /// Setup runs in Windows PE, from the medium; it has read its answers.
    WindowsPe,
    /// The installed Windows runs its pass `specialize`.
    Specialize,
    /// Somebody is logged on, and the script runs.
    FirstLogon,
}

impl ReportedPhase {
    const ALL: [Self; 3] = [Self::WindowsPe, Self::Specialize, Self::FirstLogon];

    fn name(self) -> &'static str {
        match self {
            Self::WindowsPe => "windows-pe",
            Self::Specialize => "specialize",
            Self::FirstLogon => "first-logon",
        }
    }

    /// The line that the guest writes, without its end.
    pub fn line(self) -> String {
        format!("{REPORT}phase {}", self.name())
    }

    /// A command that writes it. It ends well even where nobody can write to COM1: Setup would stop otherwise.
    pub(crate) fn command(self) -> String {
        format!("cmd.exe /c \">COM1 echo {} & exit 0\"", self.line())
    }
}

/// A line of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A phase has begun.
    Phase(ReportedPhase),
    /// A step of the script has begun.
    Step(String),
    /// The script is through, and powers off.
    Done,
    /// The script has given up: the step, and how it went wrong.
    Failed(String),
}

impl Report {
    /// The report in a line of COM1, wherever it begins; none in a line of somebody else.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, said) = line.split_once(REPORT)?;
        let (word, rest) = said.trim().split_once(' ').unwrap_or((said.trim(), ""));
        match word {
            "phase" => ReportedPhase::ALL.into_iter().find(|phase| phase.name() == rest).map(Self::Phase),
            "step" => Some(Self::Step(rest.to_owned())),
            "done" => Some(Self::Done),
            "failed" => Some(Self::Failed(rest.to_owned())),
            _ => None,
        }
    }
}
