//! The hang report: a queue that is not given back, and everything that guest and device know of it, in one place.

use crate::control::Queue;
use agent_protocol::{DeviceView, KeptPacket, Owner, QueueView, RingView};
use cancelnic_registers::{CommandWord, StatusWord};
use serde::Serialize;

/// One queue that is not given back. Every part is one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hang {
    /// `tx0` or `rx0`.
    pub queue: String,
    /// The packet ring's indices, and how many packets the driver keeps.
    pub packets: String,
    /// Which packets, the oldest first: index, frame number, where the driver left them.
    pub kept: String,
    /// The fragment ring's indices, and who has which fragments.
    pub fragments: String,
    /// The callback of this queue that was called last.
    pub last_callback: String,
    /// The device's registers as the guest reads them.
    pub registers: String,
    /// The virtqueue's indices as they stand in the guest's memory.
    pub rings: String,
    /// What the device process says of the queue, if it still has it.
    pub device: String,
}

impl Hang {
    /// Puts both sides together. `device` is the device process's answer, if there was one.
    pub fn new(view: &QueueView, device: Option<&Queue>) -> Self {
        let listed = view.kept.iter().map(packet).collect();
        let owners = view.owners.iter().map(|owner| {
            let whose = match owner.owner {
                Owner::Packet(index) => format!("packet {index}'s"),
                Owner::Device => "the device's".into(),
                Owner::Driver => "the driver's".into(),
            };
            format!("{} {whose}", stretch(owner.first, owner.count, view.fragments.elements))
        });
        let listed_fragments: u32 = view.owners.iter().map(|owner| owner.count).sum();
        Self {
            queue: view.queue.clone(),
            packets: ring(&view.packets),
            kept: list(listed, (view.packets.owned() as usize).saturating_sub(view.kept.len())),
            fragments: format!(
                "{}: {}",
                ring(&view.fragments),
                list(owners.collect(), view.fragments.owned().saturating_sub(listed_fragments) as usize)
            ),
            last_callback: format!("{}, after {} polls", view.last_callback, view.polls),
            registers: view.device.as_ref().map_or_else(|| "no device to read".into(), registers),
            rings: view.device.and_then(|device| device.virtqueue).map_or_else(
                || "no virtqueue enabled".into(),
                |queue| {
                    format!(
                        "virtqueue of {}: available index {}, used index {}, {} chains not used",
                        queue.size,
                        queue.available,
                        queue.used,
                        queue.available.wrapping_sub(queue.used)
                    )
                },
            ),
            device: match device {
                Some(queue) if queue.in_service => queue.describe(),
                Some(_) => "the queue is out of service".into(),
                None => "no answer".into(),
            },
        }
    }

    /// Its heading.
    pub fn title(&self) -> String {
        format!("{} is not given back", self.queue)
    }

    /// Name and text of each part, in the order in which they are shown.
    pub fn parts(&self) -> [(&'static str, &str); 7] {
        [
            ("packets", &self.packets),
            ("kept", &self.kept),
            ("fragments", &self.fragments),
            ("last callback", &self.last_callback),
            ("registers", &self.registers),
            ("rings", &self.rings),
            ("device", &self.device),
        ]
    }

    /// All of it as lines of text.
    pub fn text(&self) -> String {
        self.parts().iter().fold(self.title(), |text, (name, seen)| format!("{text}\n  {name:<14} {seen}"))
    }
}

fn ring(ring: &RingView) -> String {
    format!(
        "{} of {} kept: BeginIndex {}, NextIndex {}, EndIndex {}",
        ring.owned(),
        ring.elements,
        ring.begin,
        ring.next,
        ring.end
    )
}

fn packet(packet: &KeptPacket) -> String {
    let number = packet.number.map_or_else(|| "no frame".to_owned(), |number| format!("frame {number}"));
    let posted = if packet.posted { "posted" } else { "never posted" };
    let cancelled = if packet.cancelled { ", cancelled" } else { "" };
    format!("{} ({number}, {posted}{cancelled})", packet.index)
}

/// Elements of a ring, first to last.
fn stretch(first: u32, count: u32, elements: u32) -> String {
    let last = first.wrapping_add(count.saturating_sub(1)) & elements.wrapping_sub(1);
    if count == 1 { first.to_string() } else { format!("{first}-{last}") }
}

fn list(mut listed: Vec<String>, more: usize) -> String {
    if more > 0 {
        listed.push(format!("and {more} more"));
    }
    if listed.is_empty() { "none".into() } else { listed.join(", ") }
}

fn registers(device: &DeviceView) -> String {
    let (command, status) = (CommandWord::from_bits(device.command), StatusWord::from_bits(device.status));
    if status.is_gone() {
        return "all ones: the device is gone".into();
    }
    let unknown = || "unknown".to_owned();
    let upper = |text: String| text.to_uppercase();
    format!(
        "device_status {:#04x}; command {:#010x}: SEQ {} {}; status {:#010x}: SEQ {} {}, RESULT {}, COUNT {}",
        device.device_status,
        device.command,
        command.seq(),
        command.op().map_or_else(unknown, |op| upper(format!("{op:?}"))),
        device.status,
        status.seq(),
        status.state().map_or_else(unknown, |state| upper(format!("{state:?}"))),
        status.result().map_or_else(unknown, |result| (result as u8).to_string()),
        status.count()
    )
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::control::{QueueId, State};
    use agent_protocol::{FragmentOwner, VirtqueueView};

    pub fn view() -> QueueView {
        QueueView {
            queue: "tx0".into(),
            last_callback: "EvtAdvance".into(),
            polls: 41,
            asleep: false,
            cancelled: true,
            packets: RingView { begin: 7, next: 1, end: 1, elements: 8 },
            fragments: RingView { begin: 7, next: 0, end: 2, elements: 8 },
            kept: vec![KeptPacket { index: 7, number: Some(64), posted: true, cancelled: true }],
            owners: vec![FragmentOwner { first: 7, count: 2, owner: Owner::Packet(7) }],
            device: Some(DeviceView {
                device_status: 0x0f,
                command: 0x0501_0000,
                status: 0x0530_0040,
                virtqueue: Some(VirtqueueView { size: 128, available: 64, used: 63 }),
            }),
        }
    }

    #[test]
    fn every_part_says_what_was_seen() {
        let device = Queue { in_service: true, state: State::Stopped, ..Queue::new(QueueId::TX0) };
        let hang = Hang::new(&view(), Some(&device));
        assert_eq!(hang.packets, "2 of 8 kept: BeginIndex 7, NextIndex 1, EndIndex 1");
        assert_eq!(hang.kept, "7 (frame 64, posted, cancelled), and 1 more");
        assert_eq!(
            hang.fragments,
            "3 of 8 kept: BeginIndex 7, NextIndex 0, EndIndex 2: 7-0 packet 7's, and 1 more"
        );
        assert_eq!(hang.last_callback, "EvtAdvance, after 41 polls");
        assert_eq!(
            hang.registers,
            "device_status 0x0f; command 0x05010000: SEQ 5 CANCEL; status 0x05300040: SEQ 5 STOPPED, RESULT 0, COUNT 64"
        );
        assert_eq!(hang.rings, "virtqueue of 128: available index 64, used index 63, 1 chains not used");
        assert!(hang.device.starts_with("STOPPED available=0"));
    }

    #[test]
    fn a_device_that_is_gone_is_told_as_gone() {
        let mut view = view();
        view.device = Some(DeviceView { device_status: 0xff, command: !0, status: !0, virtqueue: None });
        let hang = Hang::new(&view, None);
        assert_eq!(
            (&*hang.registers, &*hang.rings),
            ("all ones: the device is gone", "no virtqueue enabled")
        );
        assert_eq!(hang.device, "no answer");
    }

    #[test]
    fn the_text_has_every_part_under_its_name() {
        let hang = Hang::new(&view(), None);
        let text = hang.text();
        assert!(text.starts_with("tx0 is not given back\n"));
        for (name, seen) in hang.parts() {
            assert!(
                text.lines().any(|line| line.trim_start().starts_with(name) && line.ends_with(seen)),
                "{name}"
            );
        }
    }
}
