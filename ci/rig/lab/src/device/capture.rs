//! Reads the device's own capture: what left the wire and what was delivered, as sets of frame numbers.

use anyhow::{Context, Result};
use pcap_file::PcapError;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::{Block, PcapNgReader};
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

/// The numbered frames of a capture, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// Frames that left the wire on transmit.
    pub outbound: Vec<u64>,
    /// Frames that a cancel took back.
    pub taken_back: Vec<u64>,
    /// Frames that were delivered on receive.
    pub inbound: Vec<u64>,
    /// Numbered frames that are not as their sender made them: what is wrong with each.
    pub damaged: Vec<String>,
    /// Frames of other protocols.
    pub foreign: Foreign,
}

/// How many frames of other protocols there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Foreign {
    /// That left the wire.
    pub outbound: u64,
    /// That a cancel took back.
    pub taken_back: u64,
    /// That were delivered.
    pub inbound: u64,
}

/// The interface of frames that were taken back; the wire is the first.
const TAKEN_BACK: u32 = 1;

impl Capture {
    /// Reads a pcapng file. A file that ends in the middle of a block, as a killed device may leave it, is read up
    /// to there.
    pub fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot open the capture {}", path.display()))?;
        let mut reader = PcapNgReader::new(BufReader::new(file))
            .with_context(|| format!("{} is no pcapng file", path.display()))?;
        let mut capture = Self::default();
        while let Some(block) = reader.next_block() {
            match block {
                Ok(Block::EnhancedPacket(packet)) => capture.add(&packet),
                Ok(_) => {}
                Err(PcapError::IncompleteBuffer) => break,
                Err(PcapError::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(error).with_context(|| format!("the capture {}", path.display())),
            }
        }
        Ok(capture)
    }

    /// Without what `earlier`, the same file's beginning, has.
    pub fn since(mut self, earlier: &Self) -> Self {
        for (mine, before) in [
            (&mut self.outbound, earlier.outbound.len()),
            (&mut self.taken_back, earlier.taken_back.len()),
            (&mut self.inbound, earlier.inbound.len()),
        ] {
            mine.drain(..before.min(mine.len()));
        }
        self.damaged.drain(..earlier.damaged.len().min(self.damaged.len()));
        let foreign = &mut self.foreign;
        for (mine, before) in [
            (&mut foreign.outbound, earlier.foreign.outbound),
            (&mut foreign.taken_back, earlier.foreign.taken_back),
            (&mut foreign.inbound, earlier.foreign.inbound),
        ] {
            *mine = mine.saturating_sub(before);
        }
        self
    }

    fn add(&mut self, packet: &EnhancedPacketBlock<'_>) {
        let direction = packet.options.iter().find_map(|option| match option {
            EnhancedPacketOption::Flags(flags) => Some(flags & 3),
            _ => None,
        });
        let (ours, foreign) = match (packet.interface_id, direction) {
            (TAKEN_BACK, _) => (&mut self.taken_back, &mut self.foreign.taken_back),
            (_, Some(1)) => (&mut self.inbound, &mut self.foreign.inbound),
            (_, Some(2)) => (&mut self.outbound, &mut self.foreign.outbound),
            _ => return self.damaged.push("a frame has no direction".into()),
        };
        match numbered_frame::read(&packet.data) {
            Ok(Some(number)) => ours.push(number),
            Ok(None) => *foreign += 1,
            Err(damaged) => self.damaged.push(damaged.to_string()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use pcap_file::DataLink;
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
    use std::time::Duration;

    pub(crate) fn frame(number: u64) -> Vec<u8> {
        numbered_frame::bytes(number, [2, 0, 0, 0, 0, 1], numbered_frame::EVERYONE).take(60).collect()
    }

    /// Each frame with its interface and its direction.
    fn file(frames: &[(Vec<u8>, u32, u32)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = PcapNgWriter::new(file.reopen().unwrap()).unwrap();
        for _ in 0..2 {
            writer.write_pcapng_block(InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0)).unwrap();
        }
        for (data, interface_id, flags) in frames {
            writer
                .write_pcapng_block(EnhancedPacketBlock {
                    interface_id: *interface_id,
                    timestamp: Duration::ZERO,
                    original_len: data.len() as u32,
                    data: data.into(),
                    options: vec![EnhancedPacketOption::Flags(*flags)],
                })
                .unwrap();
        }
        file
    }

    #[test]
    fn frames_are_told_apart_by_direction() {
        let file = file(&[(frame(1), 0, 2), (frame(2), 0, 2), (frame(1), 0, 1), (frame(3), 1, 2)]);
        let capture = Capture::read(file.path()).unwrap();
        let expected =
            Capture { outbound: vec![1, 2], taken_back: vec![3], inbound: vec![1], ..Capture::default() };
        assert_eq!(capture, expected);
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let mut other = frame(1);
        other[12] = 8;
        let early = [(frame(1), 0, 2), (frame(2), 1, 2), (frame(1), 0, 1), (other.clone(), 0, 1)];
        let late = [(frame(1), 0, 2), (frame(3), 1, 2), (other, 0, 1)];
        let read = |frames: &[_]| Capture::read(file(frames).path()).unwrap();
        let whole: Vec<_> = early.iter().chain(&late).cloned().collect();
        assert_eq!(read(&whole).since(&read(&early)), read(&late));
    }

    #[test]
    fn other_protocols_are_counted() {
        let mut other = frame(1);
        other[12] = 8;
        let file = file(&[(other.clone(), 0, 2), (vec![0; 14], 1, 2), (other.clone(), 0, 1), (other, 0, 1)]);
        let foreign = Foreign { outbound: 1, taken_back: 1, inbound: 2 };
        assert_eq!(Capture::read(file.path()).unwrap(), Capture { foreign, ..Capture::default() });
    }

    #[test]
    fn a_changed_byte_is_found() {
        let mut changed = frame(7);
        changed[40] ^= 1;
        let capture = Capture::read(file(&[(changed, 0, 2)]).path()).unwrap();
        assert_eq!(capture.damaged.len(), 1);
        assert!(capture.damaged[0].starts_with("frame 7 is damaged at byte 40: "), "{:?}", capture.damaged);
    }

    #[test]
    fn a_file_cut_in_the_middle_of_a_block_is_read_up_to_there() {
        let file = file(&[(frame(1), 0, 2), (frame(2), 0, 2)]);
        let length = file.as_file().metadata().unwrap().len();
        file.as_file().set_len(length - 10).unwrap();
        assert_eq!(Capture::read(file.path()).unwrap().outbound, [1]);
    }
}
