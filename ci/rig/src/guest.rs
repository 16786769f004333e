//! Which guest a run has, and what that guest can be asked for.
//!
//! A scenario says what it needs of a guest ([`crate::scenarios`]); here stands what each guest lacks, and why. A guest
//! that refuses a command in the middle of a run as unsupported has the last word: that is no pass either.

use crate::failure::{SetupMissing, Usage};
use crate::image::store::{self, Image, Store};
use crate::settings::Settings;
use agent_protocol::Command;
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The guests that a run can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GuestKind {
    /// The stand-in kernel, started by QEMU itself
    Understudy,
    /// An image: Windows, or the stand-in image in its place
    Windows,
}

/// What the command line says of the guest.
#[derive(Debug, Args)]
#[group(id = "which_guest")]
pub struct Options {
    /// The guest to run
    #[arg(long, value_enum, default_value_t = GuestKind::Understudy)]
    pub guest: GuestKind,
    /// With --guest windows: the name of the image [default: the only one]
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// Folder of the images [default: $CANCELNIC_IMAGES, else cancelnic/images in the user's data folder]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
}

impl Options {
    /// Finds the guest. An image of Windows needs KVM.
    pub fn choose(&self) -> Result<Guest> {
        if self.guest == GuestKind::Understudy {
            if self.image.is_some() || self.images.is_some() {
                return Err(Usage("--image and --images are for --guest windows".into()).into());
            }
            return Ok(Guest::Understudy);
        }
        let store = Store::open(self.images.as_deref())?;
        let image = match &self.image {
            Some(name) => store.find(name)?,
            None => only(&store)?,
        };
        Ok(Guest::Image(Arc::new(image)))
    }

    /// The same as arguments, for doing a run again.
    pub fn replay(&self) -> String {
        let mut line = String::new();
        if self.guest == GuestKind::Windows {
            line.push_str(" --guest windows");
        }
        if let Some(name) = &self.image {
            line.push_str(&format!(" --image {name}"));
        }
        if let Some(folder) = &self.images {
            line.push_str(&format!(" --images {}", folder.display()));
        }
        line
    }
}

/// The only image there is.
fn only(store: &Store) -> Result<Image> {
    let mut names: Vec<String> = store.list()?.into_iter().map(|entry| entry.name).collect();
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => store.find(&name),
        (Some(name), false) => {
            names.push(name);
            Err(Usage(format!("there are several images, name one with --image: {}", names.join(", ")))
                .into())
        }
        (None, _) => Err(SetupMissing::new(
            format!("an image of Windows (none is in {})", store.folder().display()),
            "cargo rig image windows --iso FILE, or for a trial without Windows cargo rig image stand-in",
        )
        .into()),
    }
}

/// A guest.
#[derive(Debug, Clone)]
pub enum Guest {
    /// The stand-in kernel, started by QEMU itself.
    Understudy,
    /// What is on an image, started from its disk.
    Image(Arc<Image>),
}

impl Guest {
    /// How long it takes at most to start, to do what an idle machine does in milliseconds, and to switch itself off.
    pub fn patience(&self) -> Patience {
        match self.kind() {
            None => Patience { start: 20, act: 20, end: 20 },
            Some(store::manifest::Guest::StandIn | store::manifest::Guest::StandInLikeWindows) => {
                Patience { start: 120, act: 20, end: 20 }
            }
            Some(store::manifest::Guest::Windows) => Patience { start: 900, act: 120, end: 300 },
        }
    }

    /// What is on the image; `None` without one.
    pub fn kind(&self) -> Option<store::manifest::Guest> {
        match self {
            Self::Understudy => None,
            Self::Image(image) => Some(image.manifest().description.guest),
        }
    }

    /// The image, if it is one.
    pub fn image(&self) -> Option<&Image> {
        match self {
            Self::Understudy => None,
            Self::Image(image) => Some(image),
        }
    }

    /// Why it cannot be asked for something; `None` if it can.
    pub fn lacks(&self, need: Need) -> Option<&'static str> {
        need.is_lacking_on(self.kind()?)
    }
}

/// Bounds in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    start: u64,
    act: u64,
    end: u64,
}

impl Patience {
    /// From the machine's start to the agent's greeting.
    pub fn start(self) -> Duration {
        Duration::from_secs(self.start)
    }

    /// For one command.
    pub fn act(self) -> Duration {
        Duration::from_secs(self.act)
    }

    /// From the last command to the machine being off.
    pub fn end(self) -> Duration {
        Duration::from_secs(self.end)
    }
}

/// What a scenario can need of its guest, beyond loading the drivers, opening their devices and sending requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The data path is paused by itself, in ways of the rig's choice: not on the way to a disabled device.
    Pause,
    /// A device loses power and gets it back, and the files open on it stay.
    Sleep,
    /// The framework is held at named windows, so that races stay open.
    Windows,
    /// A queue is shown down to its indices.
    Views,
    /// It tells of each frame what became of it, also of those above the hardware.
    Fates,
    /// The drivers' callbacks and what they print are seen as they come.
    Callbacks,
    /// A protocol driver of ours sends over the NIC, with IDs and fragments of its choice, binds and unbinds.
    Protocol,
    /// The device goes without a warning.
    Surprise,
    /// A chosen allocation of a driver fails.
    NoMemory,
    /// The drivers run with other parameters than those of their INFs.
    Parameters,
    /// A driver's test build, which has deliberate faults and the test bench of requests.
    TestBuild,
    /// The framework's choices are set: ring size, as documented or as in the source.
    Framework,
    /// Understudy started by QEMU itself: a use of the command, of gdb, of its symbols.
    OwnKernel,
}

impl Need {
    /// Why a guest that is started from an image cannot be asked for it; `None` if it can.
    fn is_lacking_on(self, kind: store::manifest::Guest) -> Option<&'static str> {
        use store::manifest::Guest::StandIn;
        match (self, kind) {
            (Self::OwnKernel, _) => Some("it is about the command itself, or about understudy's own kernel"),
            (Self::TestBuild, _) => Some("the drivers on the image are those that ship, not test builds"),
            (Self::Framework, _) => Some("the framework cannot be told which of its ways to take"),
            (_, StandIn) => None,
            (Self::Parameters, _) => None,
            (Self::Pause, _) => Some(
                "Windows pauses a data path only on the way to something else, such as a disabled device",
            ),
            (Self::Sleep, _) => Some("a program can only disable a device, which ends the files open on it"),
            (Self::Callbacks, _) => Some("only a debugger sees its drivers' callbacks and prints"),
            (Self::Windows, _) => Some("its framework cannot be held in the middle of a call"),
            (Self::Views, _) => Some("its rings are seen from outside only"),
            (Self::Fates, _) => Some("it does not tell the fate of a frame that is not on the hardware"),
            (Self::Protocol, _) => Some("the protocols over the NIC are its own"),
            (Self::NoMemory, _) => Some("which of its allocations fails cannot be chosen"),
            (Self::Surprise, _) => Some("no program in it can pull the device out"),
        }
    }

    /// What a command needs.
    pub fn of(command: &Command) -> Option<Self> {
        match command {
            Command::Pause { cancels } => (*cancels > 1).then_some(Self::Pause),
            Command::Hold { .. } | Command::Release { .. } => Some(Self::Windows),
            Command::FailAllocation { .. } => Some(Self::NoMemory),
            Command::Inspect => Some(Self::Views),
            Command::Power { .. } => Some(Self::Sleep),
            // Plain frames may come from whatever the agent can send with.
            Command::Send { fragments: 1, cancel_id: 0, .. } => None,
            Command::Send { .. } | Command::CancelSend { .. } | Command::Bind | Command::Unbind => {
                Some(Self::Protocol)
            }
            Command::Remove { surprise: true, .. } => Some(Self::Surprise),
            _ => None,
        }
    }

    /// What a session's settings need.
    pub fn of_settings(settings: &Settings) -> Vec<Self> {
        let (guest, usual) = (&settings.guest, crate::settings::Guest::default());
        let mut needs = Vec::new();
        if guest.parameters != usual.parameters {
            needs.push(Self::Parameters);
        }
        if (guest.ring, guest.as_documented) != (usual.ring, usual.as_documented) {
            needs.push(Self::Framework);
        }
        if settings.mutant.is_some() || settings.bench {
            needs.push(Self::TestBuild);
        }
        needs
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "a pause by itself",
            Self::Sleep => "a device that sleeps",
            Self::Callbacks => "callbacks that are seen",
            Self::Windows => "a framework that can be held",
            Self::Views => "queues down to their indices",
            Self::Fates => "the fate of each frame",
            Self::Protocol => "a protocol driver of ours",
            Self::Surprise => "surprise removal",
            Self::NoMemory => "allocations that fail",
            Self::Parameters => "driver parameters",
            Self::TestBuild => "a driver's test build",
            Self::Framework => "settings of the framework",
            Self::OwnKernel => "understudy's own kernel",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Files;
    use store::manifest::Guest::{StandIn, StandInLikeWindows, Windows};

    #[test]
    fn understudy_can_be_asked_for_everything_and_a_stand_in_for_what_needs_no_other_start() {
        assert_eq!(Guest::Understudy.lacks(Need::OwnKernel), None);
        assert_eq!(Need::Pause.is_lacking_on(StandIn), None);
        assert_eq!(Need::Pause.is_lacking_on(StandInLikeWindows), Need::Pause.is_lacking_on(Windows));
        assert!(Need::TestBuild.is_lacking_on(StandIn).is_some());
        assert!(Need::Pause.is_lacking_on(Windows).is_some());
    }

    #[test]
    fn settings_tell_what_they_need() {
        let mut settings = Settings::new(Files::none());
        assert_eq!(Need::of_settings(&settings), []);
        settings.guest.seed = 7;
        settings.guest.parameters.insert("WatchdogMs", 0);
        settings.guest.as_documented = false;
        assert_eq!(Need::of_settings(&settings), [Need::Parameters, Need::Framework]);
    }
}
