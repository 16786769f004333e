//! Installing Windows unattended from the user's own ISO.
//!
//! 1. [`Udf::open`] reads the ISO's file system, in which installation media keep files of more than 4 GiB.
//! 2. [`Wim::read`] lists the images of its `sources/install.wim`, and names those that cannot be installed.
//! 3. [`Edition::of`] says whether an image can be installed with nobody at the keyboard, and with which key.
//! 4. [`Answers::to_xml`] writes what Setup would ask; [`first_logon_script`] is what Windows does afterwards.
//! 5. [`disc`] puts both, and the drivers, on a second disc.
//! 6. [`Report::parse`] reads what the guest says of its progress.
//! 7. [`skip_key_prompt`] lets a copy of the ISO start with nobody at the keyboard.
//!
//! This crate starts no machine; what it writes, and where, its caller says.

mod answer;
mod boot;
mod disc;
mod edition;
mod first_logon;
mod report;
mod udf;
mod wim;

pub use answer::{ANSWER_FILE, Answers};
pub use boot::{BootFault, skip_key_prompt};
pub use disc::{VOLUME, disc};
pub use edition::{Edition, EditionFault, Release};
pub use first_logon::{AGENT, FIRST_LOGON_COMMAND, FOLDER, SCRIPT, first_logon_script};
pub use report::{REPORT, Report, ReportedPhase};
pub use udf::{Udf, UdfFault, UdfFile};
pub use wim::{Architecture, Image, Unfit, Wim, WimFault};
