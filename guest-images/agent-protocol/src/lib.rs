//! The messages between the rig and a guest's agent: one JSON object a line, over a serial port.
//!
//! The rig sends [`Request`]s; each is answered by exactly one [`Message::Done`] or [`Message::Failed`] with its `id`,
//! when it has been carried out. A [`Command`] that takes long ([`Command::Pause`] with the wire held, say) does not
//! keep the agent from answering others. Everything else that a guest says is unsolicited.
//! Neither side is told when the other end of the port changes hands: a rig that takes a guest over asks for a
//! greeting ([`Command::Greet`]), after an empty line, which ends what an earlier one left half said. Empty lines say
//! nothing. A line that is no request is answered with [`Message::Failed`] and `id` 0.
//! This crate knows nothing of how either side carries a command out.
#![no_std]
extern crate alloc;

mod hang;
mod machine;
mod processor;
#[cfg(test)]
mod tests;

pub use hang::{
    DeviceView, FragmentOwner, KeptPacket, MOST_LISTED, Owner, QueueView, RingView, VirtqueueView,
};
pub use machine::{Chunk, DumpFile, MOST_CHUNK, Machine};
pub use processor::{LoadedImage, MOST_STACK, Processor};

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// Version of this protocol; both sides refuse another one.
pub const VERSION: u32 = 1;

/// Longest line that either side accepts, in bytes, newline included.
pub const MAX_LINE: usize = 1 << 20;

/// One command from the rig, with the number that its answer carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the rig, unique within a connection.
    pub id: u32,
    /// What to do.
    pub command: Command,
}

/// What the rig asks of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Load the driver and start its device, up to a running data path: driver entry, device add, prepare hardware,
    /// D0 entry, adapter start, queue creation, EvtStart of both queues. Done when the data path runs.
    Load,
    /// Give `count` frames, numbered from `first`, to the sender above the transmit ring. Done as soon as they are
    /// queued; [`QueueReport::posted`] tells which have reached the packet ring.
    Send {
        /// Number of the first frame.
        first: u64,
        /// How many frames.
        count: u32,
        /// Frame length in bytes, from destination address to the end of the payload; 60 to 1900; beyond 1514 it
        /// cannot be sent and goes to the driver as a packet to skip.
        len: u32,
        /// Number of fragments per packet, 1 to 8.
        fragments: u32,
        /// Cancellation ID that marks each net buffer list, as its pointer-sized value; NULL unless given.
        #[serde(default, skip_serializing_if = "is_zero")]
        cancel_id: u64,
    },
    /// The overlying driver cancels its sends by ID (NdisCancelSendNetBufferLists). Done when the call has returned.
    CancelSend {
        /// The cancellation ID; zero is NULL.
        cancel_id: u64,
    },
    /// The overlying driver unbinds from the adapter: its sends come back, then the stack below stays as it is.
    Unbind,
    /// The overlying driver binds again.
    Bind,
    /// The filter module is detached: the stack pauses, the filter goes, the rest starts again.
    DetachFilter,
    /// The filter module is attached again, between a pause and a restart of the stack.
    AttachFilter,
    /// Opens a device as a program would; answered when IRP_MJ_CREATE has completed.
    Open {
        /// Chosen by the rig, unique among open files.
        file: u32,
        /// A symbolic link without its prefix (`cancelnic-lwf`), or a device interface class GUID in braces, of which
        /// the first instance is meant.
        device: String,
    },
    /// Closes a file as the last handle's close does: IRP_MJ_CLEANUP, then IRP_MJ_CLOSE. Answered when both are done;
    /// requests still outstanding on it are answered by themselves.
    Close {
        /// [`Command::Open`]'s number.
        file: u32,
    },
    /// Sends IRP_MJ_DEVICE_CONTROL; answered with [`Reply::io`] when the request has completed, whatever its
    /// status. Other commands go on meanwhile.
    Control {
        /// [`Command::Open`]'s number.
        file: u32,
        /// The control code.
        code: u32,
        /// The input buffer in hexadecimal.
        #[serde(default)]
        input: String,
        /// Length of the output buffer in bytes.
        #[serde(default)]
        output_len: u32,
    },
    /// Cancels one request as CancelIoEx does (IoCancelIrp). Answered when that has returned; [`Reply::io`]'s
    /// information is 1 where a cancel routine ran, else 0.
    CancelControl {
        /// [`Request::id`] of the [`Command::Control`].
        request: u32,
    },
    /// Takes the device of this service to D3, or back to D0. [`Command::PowerDown`] is the NIC's.
    Power {
        /// Name of the service in the driver's INF.
        service: String,
        /// Whether D0 is entered.
        on: bool,
    },
    /// Removes the device of this service and unloads its driver; the rest stays.
    Remove {
        /// Name of the service in the driver's INF.
        service: String,
        /// Surprise removal: the hardware is gone already.
        #[serde(default)]
        surprise: bool,
    },
    /// Lets one allocation of a driver fail, as if there were no memory: the one that follows `after` others of its.
    FailAllocation {
        /// Name of its service, which need not be loaded yet; one that no driver of the bundle has fails.
        service: String,
        /// How many succeed before; 0: the next one fails.
        after: u32,
    },
    /// Holds the framework at a named window, so that a race stays open: the next thread that comes there waits, or
    /// the next one that comes there with an object of one driver, or for one packet queue. The last command for a
    /// window counts.
    Hold {
        /// `NAME` of the window, or `NAME@SERVICE`: for an object of that service's driver only, whoever's thread it
        /// is (a request in the relay's hands is the relay's object, in cancelnic.sys's queue cancelnic.sys's). For the
        /// `netcx.` windows `NAME@QUEUE`: `tx0` or `rx0`. An unknown NAME fails, and the answer lists those there are;
        /// an unknown SERVICE or QUEUE holds nobody. The `ndis.` windows know no service.
        window: String,
    },
    /// Lets whoever waits at a window go on, and the later ones pass.
    Release {
        /// `NAME` of the window; an `@...` behind it is not looked at: whoever waits there goes on.
        window: String,
    },
    /// Take the data path down as a pause does (`driver/docs/cancel-path.md`, CP3): gates, EvtCancel of Tx, then Rx, drain,
    /// EvtStop. Done when both queues are stopped.
    Pause {
        /// How often EvtCancel is called for each queue; a real framework calls it once.
        #[serde(default = "one")]
        cancels: u32,
    },
    /// Start the stopped data path again: indices to zero, EvtStart.
    Restart,
    /// Pause if running, destroy the packet queues, leave D0 (EvtDeviceD0Exit).
    PowerDown,
    /// Enter D0 again, create new packet queues, start them.
    PowerUp,
    /// Pause if running, destroy queues, leave D0, release hardware, remove the device, unload the driver; then check
    /// that nothing of the driver is left.
    Unload,
    /// Report both queues as they are now. Answered at once.
    Report,
    /// Show both queues down to their indices ([`Reply::views`]). Answered at once.
    Inspect,
    /// Say [`Message::Hello`] once more, before this command's answer. A Windows guest closes the files first that an
    /// earlier rig has left open, and answers nothing of what that one has asked.
    Greet,
    /// Sets Driver Verifier for these drivers, or for none; it takes effect when the machine has started anew.
    /// [`Reply::lines`] is what its tool says of its settings then.
    Verifier {
        /// Whether to verify.
        on: bool,
        /// File names, such as `cancelnic.sys`. NetAdapterCx.sys and ndis.sys are verified beside them: the checks of
        /// the former are on only for clients that are verified too.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        drivers: Vec<String>,
        /// Driver Verifier's flags; its standard ones unless given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flags: Option<u32>,
    },
    /// The newest entries of one of the guest's logs, in [`Reply::lines`], oldest first.
    Logs {
        /// An event log by its channel's name, such as `System`; or `setupapi`, the log of driver installations.
        log: String,
        /// How many entries at most, of `setupapi` lines.
        most: u32,
    },
    /// Lists the dumps that bug checks have left, in [`Reply::dumps`].
    Dumps,
    /// Reads a part of a dump, in [`Reply::chunk`].
    CopyDump {
        /// [`DumpFile::file`].
        file: String,
        /// First byte. At or behind the end the part is empty.
        offset: u64,
        /// How many bytes at most, 1 to [`MOST_CHUNK`].
        len: u32,
    },
    /// Starts the machine anew, orderly; answered before. A greeting follows when it is up again.
    Reboot,
    /// Sets parameters of the drivers, over those of their INFs, for every load from now on.
    Configure {
        /// Names and values.
        parameters: BTreeMap<String, u32>,
    },
    /// Leave the machine: orderly power off; answered before. Of a Windows that stays all the same, after this or
    /// [`Command::Reboot`], a [`Message::Failed`] with `id` 0 tells.
    Quit,
}

fn one() -> u32 {
    1
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// What a guest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Message {
    /// First line of every connection.
    Hello {
        /// [`VERSION`] of the guest.
        version: u32,
        /// `understudy` or `windows`.
        guest: String,
        /// The drivers that the guest was given.
        drivers: Vec<DriverFile>,
        /// Time from the guest's first instruction to this line, in microseconds; of Windows, from its start.
        boot_us: u64,
        /// The machine, where it is more than the guest's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        machine: Option<Machine>,
    },
    /// The command with this number has been carried out.
    Done {
        /// [`Request::id`].
        id: u32,
        /// What there is to tell.
        #[serde(flatten)]
        reply: Reply,
    },
    /// The command with this number could not be carried out; the guest goes on.
    Failed {
        /// [`Request::id`].
        id: u32,
        /// One line for people: what failed, with its NTSTATUS where there is one.
        error: String,
        /// What kind of failure, where the rig has to know it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<FailureKind>,
    },
    /// A line that a driver printed (DbgPrintEx), without its newline.
    Debug {
        /// The text.
        text: String,
    },
    /// A callback of the driver has run, or something else that belongs on a report's time line.
    Event {
        /// Microseconds since the guest's first instruction, when it began.
        us: u64,
        /// How long it took, in microseconds.
        took_us: u64,
        /// `tx0`, `rx0` or `device`.
        queue: String,
        /// The callback's field name, such as `EvtCancel`, or a step of the framework.
        what: String,
        /// IRQL at which it ran.
        irql: u8,
    },
    /// A rule was broken that only warns: the guest goes on. Each rule once in each callback.
    Warning {
        /// Microseconds since the guest's first instruction.
        us: u64,
        /// What was broken.
        violation: Violation,
    },
    /// A rule was broken: the guest has stopped and powers off after this line.
    BugCheck {
        /// What was broken.
        violation: Violation,
        /// Bug check code, 0x19E for a NetAdapterCx rule.
        code: u32,
        /// Its four parameters.
        parameters: [u64; 4],
        /// The queue, where the rule is that a queue has to be given back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        view: Option<QueueView>,
        /// Where the guest was; of a callback that does not return, where that callback is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        processor: Option<Box<Processor>>,
    },
}

impl Message {
    /// The command `id` could not be carried out.
    #[must_use]
    pub fn failed(id: u32, error: String) -> Self {
        Self::Failed { id, error, kind: None }
    }

    /// The files of a driver were refused, before any of its code ran; `why` says the reason.
    #[must_use]
    pub fn not_loadable(id: u32, why: String) -> Self {
        Self::Failed { id, error: why, kind: Some(FailureKind::NotLoadable) }
    }

    /// No command like `id` can be carried out in this guest; `why` says the reason.
    #[must_use]
    pub fn unsupported(id: u32, why: String) -> Self {
        Self::Failed { id, error: why, kind: Some(FailureKind::Unsupported) }
    }
}

/// Kinds of [`Message::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// This guest cannot carry such a command out, whatever state it is in.
    Unsupported,
    /// A driver's files were refused: its image, its imports, its INF. None of its code has run.
    NotLoadable,
}

/// A driver file that the guest holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverFile {
    /// Such as `cancelnic.sys`.
    pub file: String,
    /// SHA-256 of the file as the guest sees it, lower-case hexadecimal.
    pub sha256: String,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The rule's name, such as `InvalidRingImmutableDriverTxPacket` or `PacketKeptAtStop`.
    pub rule: String,
    /// The callback during or after which it was seen.
    pub callback: String,
    /// Where: queue and index, image and offset, whatever finds the place.
    #[serde(rename = "where")]
    pub place: String,
}

/// Numbers as inclusive runs in the order in which they came: `[[0, 5], [9, 9]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ids(pub Vec<(u64, u64)>);

impl Ids {
    /// Appends `id`, extending the last run where it follows on.
    pub fn push(&mut self, id: u64) {
        match self.0.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
            _ => self.0.push((id, id)),
        }
    }

    /// Every number in order, duplicates and all.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|&(first, last)| first..=last)
    }

    /// How many numbers, duplicates counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().map(|&(first, last)| last.saturating_sub(first).saturating_add(1)).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u64> for Ids {
    fn from_iter<T: IntoIterator<Item = u64>>(iter: T) -> Self {
        let mut ids = Self::default();
        for id in iter {
            ids.push(id);
        }
        ids
    }
}

/// One packet queue as the guest's side sees it, summed over the queue's whole life since [`Command::Load`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueReport {
    /// `tx0` or `rx0`.
    pub queue: String,
    /// Tx: what the sender gave to the packet ring. Empty for Rx.
    pub posted: Ids,
    /// Tx: came back as sent: the driver left NET_PACKET.Scratch clear.
    pub sent: Ids,
    /// Tx: came back taken back by hardware: packet Scratch and its first fragment's Scratch set.
    pub taken_back: Ids,
    /// Tx: came back, never posted to the hardware: packet Scratch set, fragment Scratch clear.
    pub never_posted: Ids,
    /// Tx: went through the packet ring with Ignore set, as the frame cannot be sent (longer than the MTU allows): no
    /// part of `posted`.
    #[serde(default, skip_serializing_if = "Ids::is_empty")]
    pub skipped: Ids,
    /// Tx: in the packet ring and not yet returned. Rx: nothing.
    pub outstanding: Ids,
    /// Tx: given to the sender, still in front of the packet ring.
    pub queued: Ids,
    /// Tx: completed with NDIS_STATUS_PAUSED, never in the ring.
    pub paused: Ids,
    /// Rx: frames that the driver indicated, in order.
    pub received: Ids,
    /// Rx: buffers that came back with Ignore set.
    pub returned_empty: u64,
    /// Rx: buffers that the driver holds now.
    pub held: u64,
}

/// What an answer tells; each part is left out where the command has nothing to say of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The queues, for [`Command::Report`], [`Command::Pause`], [`Command::PowerDown`] and [`Command::Unload`].
    #[serde(default)]
    pub queues: Vec<QueueReport>,
    /// The overlying driver's view, with the queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lists: Option<ListReport>,
    /// The queues, for [`Command::Inspect`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<QueueView>,
    /// What became of a request, for [`Command::Open`], [`Command::Control`] and [`Command::CancelControl`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io: Option<IoResult>,
    /// For [`Command::Report`] of a guest that sees its drivers from outside only, instead of the queues: what they
    /// count, each under driver and field as the crate cancelnic-ioctl names them, such as `nic.tx.taken_back` and
    /// `filter.own_aborted`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, u64>,
    /// Text for people, for [`Command::Logs`] and [`Command::Verifier`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// For [`Command::Dumps`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dumps: Vec<DumpFile>,
    /// For [`Command::CopyDump`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<Chunk>,
}

/// An I/O status block, and what the request brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoResult {
    /// NTSTATUS.
    pub status: u32,
    /// IoStatus.Information.
    pub information: u64,
    /// The first `information` bytes of the output buffer, in hexadecimal.
    #[serde(default)]
    pub output: String,
}

/// Net buffer lists as the overlying driver (the protocol) sees them, since [`Command::Load`]; numbers of frames.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListReport {
    /// Completed with NDIS_STATUS_SUCCESS, in the order of completion.
    pub success: Ids,
    /// Completed with NDIS_STATUS_SEND_ABORTED.
    pub aborted: Ids,
    /// Completed with NDIS_STATUS_PAUSED.
    pub paused: Ids,
    /// Completed with another status.
    pub failed: Ids,
    /// Sent and not completed.
    pub outstanding: Ids,
    /// Received.
    pub received: Ids,
    /// Delivered by the device to an address that the protocol's packet filter does not let through.
    #[serde(default)]
    pub filtered: Ids,
}
