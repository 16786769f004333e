//! The hang report: a queue that is not given back, and everything that guest and device know of it, in one place.

use crate::device::control::Queue;
use agent_protocol::{DeviceView, KeptPacket, Owner, QueueView, RingView};
use cancelnic_registers::{CommandWord, StatusWord};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use std::fmt;

/// One queue that is not given back: what the guest sees of it, and what the device does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hang {
    /// The guest's view.
    pub view: QueueView,
    /// The device process's view, if it answered.
    pub device: Option<Queue>,
}

impl Hang {
    /// The device's status register as the guest reads it.
    pub fn status(&self) -> Option<StatusWord> {
        self.view.device.as_ref().map(|device| StatusWord::from_bits(device.status))
    }

    /// Its heading.
    pub fn title(&self) -> String {
        format!("{} is not given back", self.view.queue)
    }

    /// Name and text of each part, in the order in which they are shown. Every part is one line.
    pub fn parts(&self) -> [(&'static str, String); 7] {
        [
            ("packets", ring(&self.view.packets)),
            ("kept", self.kept()),
            ("fragments", format!("{}: {}", ring(&self.view.fragments), self.owners())),
            ("last callback", format!("{}, after {} polls", self.view.last_callback, self.view.polls)),
            ("registers", self.view.device.as_ref().map_or_else(|| "no device to read".into(), registers)),
            ("rings", self.rings()),
            ("device", self.seen_by_device()),
        ]
    }

    /// Which packets the driver keeps, the oldest first: index, frame number, where the driver left them.
    fn kept(&self) -> String {
        let listed: Vec<_> = self.view.kept.iter().map(packet).collect();
        let more = (self.view.packets.owned() as usize).saturating_sub(listed.len());
        list(listed, more)
    }

    /// Who has which of the fragments that the driver owns.
    fn owners(&self) -> String {
        let owners = self.view.owners.iter().map(|owner| {
            let whose = match owner.owner {
                Owner::Packet(index) => format!("packet {index}'s"),
                Owner::Device => "the device's".into(),
                Owner::Driver => "the driver's".into(),
            };
            format!("{} {whose}", stretch(owner.first, owner.count, self.view.fragments.elements))
        });
        let listed: u32 = self.view.owners.iter().map(|owner| owner.count).sum();
        list(owners.collect(), self.view.fragments.owned().saturating_sub(listed) as usize)
    }

    /// The virtqueue's indices as they are in the guest's memory.
    fn rings(&self) -> String {
        match self.view.device.and_then(|device| device.virtqueue) {
            Some(queue) => format!(
                "virtqueue of {}: available index {}, used index {}, {} chains not used",
                queue.size,
                queue.available,
                queue.used,
                queue.available.wrapping_sub(queue.used)
            ),
            None => "no virtqueue enabled".into(),
        }
    }

    fn seen_by_device(&self) -> String {
        match &self.device {
            Some(queue) if queue.in_service => queue.describe(),
            Some(_) => "the queue is out of service".into(),
            None => "no answer".into(),
        }
    }
}

impl fmt::Display for Hang {
    /// All of it as lines of text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())?;
        self.parts().iter().try_for_each(|(name, seen)| write!(f, "\n  {name:<14} {seen}"))
    }
}

impl Serialize for Hang {
    /// The queue's name, then each part as its line of text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = self.parts();
        let mut map = serializer.serialize_map(Some(1 + parts.len()))?;
        map.serialize_entry("queue", &self.view.queue)?;
        for (name, seen) in &parts {
            map.serialize_entry(&name.replace(' ', "_"), seen)?;
        }
        map.end()
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
pub(crate) mod tests {
    use super::*;
    use crate::device::TX;
    use crate::device::control::State;
    use agent_protocol::{FragmentOwner, VirtqueueView};

    pub(crate) fn view() -> QueueView {
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
        let device = Queue { in_service: true, state: State::Stopped, ..Queue::new(TX) };
        let hang = Hang { view: view(), device: Some(device) };
        assert_eq!(
            hang.parts().map(|part| part.1),
            [
                "2 of 8 kept: BeginIndex 7, NextIndex 1, EndIndex 1",
                "7 (frame 64, posted, cancelled), and 1 more",
                "3 of 8 kept: BeginIndex 7, NextIndex 0, EndIndex 2: 7-0 packet 7's, and 1 more",
                "EvtAdvance, after 41 polls",
                "device_status 0x0f; command 0x05010000: SEQ 5 CANCEL; status 0x05300040: SEQ 5 STOPPED, RESULT 0, COUNT 64",
                "virtqueue of 128: available index 64, used index 63, 1 chains not used",
                "STOPPED available=0 fetched=0 on_wire=0 off_wire=0 sent=0 taken_back=0",
            ]
        );
        assert_eq!(hang.status().map(|status| status.count()), Some(64));
        let json = serde_json::to_value(&hang).unwrap();
        assert_eq!(json["last_callback"], "EvtAdvance, after 41 polls");
        assert_eq!(json.as_object().unwrap().len(), 8);
    }

    #[test]
    fn a_device_that_is_gone_is_told_as_gone() {
        let mut view = view();
        view.device = Some(DeviceView { device_status: 0xff, command: !0, status: !0, virtqueue: None });
        let hang = Hang { view, device: None };
        let [.., registers, rings, device] = hang.parts().map(|part| part.1);
        assert_eq!(
            [registers, rings, device],
            ["all ones: the device is gone", "no virtqueue enabled", "no answer"]
        );
    }

    #[test]
    fn the_text_has_every_part_under_its_name() {
        let hang = Hang { view: view(), device: None };
        let text = hang.to_string();
        assert!(text.starts_with("tx0 is not given back\n"));
        for (name, seen) in hang.parts() {
            assert!(
                text.lines().any(|line| line.trim_start().starts_with(name) && line.ends_with(&seen)),
                "{name}"
            );
        }
    }
}
