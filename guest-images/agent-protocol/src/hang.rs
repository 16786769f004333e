//! A queue that is not given back, down to its indices: the guest's half of the hang report.

use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// Packets, and fragments, that a view lists one by one at most; the indices tell how many there are.
pub const MOST_LISTED: usize = 16;

/// One packet queue at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueView {
    /// `tx0` or `rx0`.
    pub queue: String,
    /// The callback of this queue that was called last.
    pub last_callback: String,
    /// How often the queue has been polled since its creation.
    pub polls: u64,
    /// Whether the queue sleeps: nothing polls it until it is woken.
    #[serde(default)]
    pub asleep: bool,
    /// Whether EvtCancel has been called in this life of the queue, and EvtStop has not.
    pub cancelled: bool,
    /// The packet ring.
    pub packets: RingView,
    /// The fragment ring.
    pub fragments: RingView,
    /// The packets that the driver owns, the oldest [`MOST_LISTED`] of them.
    pub kept: Vec<KeptPacket>,
    /// Who has the fragments that the driver owns, oldest first, at most [`MOST_LISTED`] stretches.
    pub owners: Vec<FragmentOwner>,
    /// What the guest sees of the device; `None` where there is nothing to see.
    pub device: Option<DeviceView>,
}

/// A ring's indices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingView {
    /// BeginIndex: the oldest element that the driver owns.
    pub begin: u32,
    /// NextIndex, the driver's own: elements before it went to the device.
    pub next: u32,
    /// EndIndex: behind the newest element that the driver owns.
    pub end: u32,
    /// Elements of the ring.
    pub elements: u32,
}

impl RingView {
    /// How many elements the driver owns.
    #[must_use]
    pub fn owned(&self) -> u32 {
        self.end.wrapping_sub(self.begin) & self.elements.wrapping_sub(1)
    }
}

/// A packet that the driver owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPacket {
    /// Its place in the packet ring.
    pub index: u32,
    /// Number of its frame; a receive packet has none yet.
    pub number: Option<u64>,
    /// Whether it was posted: it lies before NextIndex.
    pub posted: bool,
    /// NET_PACKET.Scratch: the driver counts it as cancelled.
    pub cancelled: bool,
}

/// Who has a stretch of the fragments that the driver owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentOwner {
    /// First fragment.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// Whose they are.
    pub owner: Owner,
}

/// The owner of a fragment within the driver's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The packet with this index names it.
    Packet(u32),
    /// Receive: posted, so that the device may have it.
    Device,
    /// Receive: never posted. Transmit: no packet names it.
    Driver,
}

/// The device's side of one queue, as the guest sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// virtio's device_status.
    pub device_status: u8,
    /// The queue's command register.
    pub command: u32,
    /// The queue's status register.
    pub status: u32,
    /// The virtqueue; `None` if the device has none enabled.
    pub virtqueue: Option<VirtqueueView>,
}

/// A virtqueue in memory: free-running indices modulo 2^16.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtqueueView {
    /// Entries of each of its rings.
    pub size: u16,
    /// The driver's: behind the newest chain in the available ring.
    pub available: u16,
    /// The device's: behind the newest element in the used ring.
    pub used: u16,
}
