//! Reads the device's own capture: what left the wire and what was delivered, as sets of frame numbers.

use agent_protocol::ETHERTYPE;
use anyhow::{Context, Result};
use pcap_file::PcapError;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::{Block, PcapNgReader};
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

/// Bytes before the filler: two addresses, EtherType, number.
const FILLER: usize = 22;

/// The numbered frames of a capture, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capture {
    /// Frames that left the wire on transmit.
    pub outbound: Vec<u64>,
    /// Frames that were delivered on receive.
    pub inbound: Vec<u64>,
    /// Frames that are not numbered, or not as their sender made them: what is wrong with each.
    pub damaged: Vec<String>,
}

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

    fn add(&mut self, packet: &EnhancedPacketBlock<'_>) {
        let direction = packet.options.iter().find_map(|option| match option {
            EnhancedPacketOption::Flags(flags) => Some(flags & 3),
            _ => None,
        });
        match (number(&packet.data), direction) {
            (Ok(number), Some(1)) => self.inbound.push(number),
            (Ok(number), Some(2)) => self.outbound.push(number),
            (Ok(number), _) => self.damaged.push(format!("frame {number} has no direction")),
            (Err(what), _) => self.damaged.push(what),
        }
    }
}

/// The number of a frame of ours whose every byte is as its sender made it.
fn number(frame: &[u8]) -> Result<u64, String> {
    let head = frame.get(12..FILLER).ok_or_else(|| format!("a frame of {} bytes", frame.len()))?;
    let (ethertype, number) = head.split_at(2);
    if ethertype != ETHERTYPE.to_be_bytes() {
        return Err(format!("a frame of another protocol ({ethertype:02x?})"));
    }
    let number = number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    match (FILLER..frame.len()).find(|&at| frame[at] != number.wrapping_add(at as u64) as u8) {
        Some(at) => Err(format!("frame {number} is damaged at byte {at}")),
        None => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::DataLink;
    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
    use std::time::Duration;

    fn frame(number: u64) -> Vec<u8> {
        let mut frame = vec![0xff; 6];
        frame.extend([0x02, 0, 0, 0, 0, 1]);
        frame.extend(ETHERTYPE.to_be_bytes());
        frame.extend(number.to_be_bytes());
        frame.extend((FILLER..60).map(|at| number.wrapping_add(at as u64) as u8));
        frame
    }

    fn file(frames: &[(Vec<u8>, u32)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = PcapNgWriter::new(file.reopen().unwrap()).unwrap();
        writer.write_pcapng_block(InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0)).unwrap();
        for (data, flags) in frames {
            writer
                .write_pcapng_block(EnhancedPacketBlock {
                    interface_id: 0,
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
        let file = file(&[(frame(1), 2), (frame(2), 2), (frame(1), 1)]);
        let capture = Capture::read(file.path()).unwrap();
        assert_eq!(capture, Capture { outbound: vec![1, 2], inbound: vec![1], damaged: vec![] });
    }

    #[test]
    fn a_changed_byte_is_found() {
        let mut changed = frame(7);
        changed[40] ^= 1;
        let capture = Capture::read(file(&[(changed, 2)]).path()).unwrap();
        assert_eq!(capture.damaged, ["frame 7 is damaged at byte 40"]);
    }

    #[test]
    fn a_file_cut_in_the_middle_of_a_block_is_read_up_to_there() {
        let file = file(&[(frame(1), 2), (frame(2), 2)]);
        let length = file.as_file().metadata().unwrap().len();
        file.as_file().set_len(length - 10).unwrap();
        assert_eq!(Capture::read(file.path()).unwrap().outbound, [1]);
    }
}
