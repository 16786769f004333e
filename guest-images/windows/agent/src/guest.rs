//! What the agent asks of the machine it runs on.

use std::{io, path::PathBuf, sync::Arc};

use agent_protocol::Machine;
use cancelnic_ioctl::Guid;

/// Why a command is not carried out; one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It failed this time.
    Failed(String),
    /// This guest cannot do such a thing.
    Unsupported(String),
}

impl Fault {
    /// A command that no Windows can carry out, with the reason.
    pub fn unsupported(what: &str, why: &str) -> Self {
        Self::Unsupported(format!("{what}: {why}"))
    }
}

impl From<String> for Fault {
    fn from(error: String) -> Self {
        Self::Failed(error)
    }
}

/// One of the project's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    /// Its driver's service.
    pub service: &'static str,
    /// The hardware ID by which it is found, the beginning of one of the device's.
    pub hardware_id: &'static str,
    /// No bus reports it: it has to be made.
    pub root: bool,
}

/// The NIC.
pub const NIC: Device = Device { service: "cancelnic", hardware_id: r"PCI\VEN_1AF4&DEV_1041", root: false };
/// The relay of requests.
pub const RELAY: Device =
    Device { service: "cancelnic-relay", hardware_id: r"ROOT\cancelnic-relay", root: true };
/// Service of the filter, which has no device.
pub const FILTER: &str = "cancelnic-lwf";

/// What is done to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Made if it is a root device that is not there, found again by its bus if it was removed, started.
    Start,
    /// Stopped until the next start of Windows, or until [`Change::Start`].
    Stop,
    /// Removed as when somebody asks politely; a driver or program may object.
    Remove,
}

/// What is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A symbolic link below `\??`.
    Link(&'a str),
    /// The first instance of a device interface class.
    Class(Guid),
}

/// What became of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// NTSTATUS.
    pub status: u32,
    /// IoStatus.Information.
    pub information: u64,
    /// What came back.
    pub output: Vec<u8>,
}

/// An open file.
pub trait File: Send + Sync {
    /// Makes a control request.
    fn prepare(&self, code: u32, input: &[u8], output_len: u32) -> Arc<dyn Operation>;
    /// Closes the file's handle. Requests under way stay, and end by themselves.
    fn close(&self);
}

/// A control request.
pub trait Operation: Send + Sync {
    /// Sends IRP_MJ_DEVICE_CONTROL and waits until it has completed. Called once.
    fn run(&self) -> Outcome;
    /// Asks for its cancellation; `false` if there is nothing to cancel.
    fn cancel(&self) -> bool;
}

/// A device's driver key in the registry, also called its software key: what the INF's AddReg lines with HKR go into.
/// It is there whether or not the device runs.
pub trait DriverKey {
    /// The text (REG_SZ) called `value` in its subkey `below`; `None` if one of them is not there.
    ///
    /// # Errors
    /// It is no text, or what Windows said.
    fn text(&self, below: &str, value: &str) -> Result<Option<String>, String>;
    /// Sets the text `value` of the key itself.
    ///
    /// # Errors
    /// What Windows said.
    fn set_text(&self, value: &str, text: &str) -> Result<(), String>;
}

/// What a program of Windows said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Standard output, then standard error.
    pub output: Vec<u8>,
}

/// The machine.
pub trait Guest: Send + Sync {
    /// What it is.
    fn machine(&self) -> Machine;
    /// Microseconds since its start.
    fn up_us(&self) -> u64;
    /// The system's folder, `C:\Windows`.
    fn system_root(&self) -> PathBuf;
    /// A driver service's ImagePath, if there is such a service and it has one.
    fn image_path(&self, service: &str) -> Option<String>;
    /// Whether a driver service runs: its image is loaded.
    ///
    /// # Errors
    /// There is no such service, or it cannot be asked.
    fn is_loaded(&self, service: &str) -> Result<bool, String>;
    /// Changes a device.
    ///
    /// # Errors
    /// What Windows said.
    fn change(&self, device: Device, change: Change) -> Result<(), String>;
    /// The driver key of a device.
    ///
    /// # Errors
    /// There is no such device, it has no driver, or what Windows said.
    fn driver_key(&self, device: Device) -> Result<Box<dyn DriverKey>, String>;
    /// Opens a device as a program would.
    ///
    /// # Errors
    /// NTSTATUS.
    fn open(&self, target: Target<'_>) -> Result<Arc<dyn File>, u32>;
    /// Runs one of Windows' own programs to its end.
    ///
    /// # Errors
    /// It cannot be started.
    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<Said>;
    /// Makes sure that this program may power the machine off.
    ///
    /// # Errors
    /// It may not.
    fn may_leave(&self) -> Result<(), String>;
    /// Powers off, or starts anew; returns when that is under way.
    ///
    /// # Errors
    /// What Windows said.
    fn leave(&self, and_come_back: bool) -> Result<(), String>;
}

/// STATUS_OBJECT_NAME_NOT_FOUND.
pub const STATUS_OBJECT_NAME_NOT_FOUND: u32 = 0xC000_0034;
/// STATUS_DEVICE_DOES_NOT_EXIST.
pub const STATUS_DEVICE_DOES_NOT_EXIST: u32 = 0xC000_00C0;
