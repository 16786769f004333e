//! The wire's own record: a pcapng file with one block a frame. Its first interface is the wire; its second is for what
//! never came there, the frames that a cancel took back. A block goes to the file in one write, so that the file of a
//! killed process ends with a whole block.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pcap_file::DataLink;
use pcap_file::PcapError;
use pcap_file::pcapng::PcapNgBlock;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};

use crate::files::Records;

/// Which way a frame went, as the NIC sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Delivered to the guest.
    Inbound,
    /// Left the wire.
    Outbound,
    /// Was to go out, and went back.
    TakenBack,
}

impl Way {
    /// The interface, and the direction as bits 1..0 of epb_flags have it (pcapng, 4.3.1).
    const fn interface_and_flags(self) -> (u32, u32) {
        match self {
            Self::Inbound => (0, 1),
            Self::Outbound => (0, 2),
            Self::TakenBack => (1, 2),
        }
    }
}

/// A capture file, opened for writing.
pub(crate) struct Capture {
    writer: PcapNgWriter<WholeBlocks>,
}

impl Capture {
    /// Creates `path`, or empties it, and writes the headers. `name` and `mac` describe the interfaces.
    pub(crate) fn create(path: &Path, name: &str, mac: &[u8; 6]) -> io::Result<Capture> {
        let records = Records::create(path, b"")?;
        let application = concat!("vhost-device-cancelnic ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            options: vec![SectionHeaderOption::UserApplication(application.into())],
            ..SectionHeaderBlock::default()
        };
        let blocks = WholeBlocks { records, block: Vec::new() };
        let mut writer = PcapNgWriter::with_section_header(blocks, section).map_err(into_io)?;
        let taken_back = format!("{name}: taken back");
        for (name, description) in [
            (name, "the wire: frames that left it, and frames delivered to the guest"),
            (&taken_back, "frames that a CANCEL took back: no byte of them was on the wire"),
        ] {
            let interface = InterfaceDescriptionBlock {
                linktype: DataLink::ETHERNET,
                snaplen: 0,
                options: vec![
                    InterfaceDescriptionOption::IfName(name.into()),
                    InterfaceDescriptionOption::IfDescription(description.into()),
                    InterfaceDescriptionOption::IfMacAddr(Cow::Borrowed(mac)),
                    // nanoseconds
                    InterfaceDescriptionOption::IfTsResol(9),
                ],
            };
            writer.write_block(&interface.into_block()).map_err(into_io)?;
        }
        writer.get_mut().flush()?;
        Ok(Capture { writer })
    }

    /// Adds a frame, stamped with the time of day. Viewers show `comment` beside it.
    pub(crate) fn frame(&mut self, way: Way, frame: &[u8], comment: Option<&str>) -> io::Result<()> {
        let (interface_id, flags) = way.interface_and_flags();
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let len = u32::try_from(frame.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let comment = comment.map(|comment| EnhancedPacketOption::Comment(comment.into()));
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp,
            original_len: len,
            data: Cow::Borrowed(frame),
            options: comment.into_iter().chain([EnhancedPacketOption::Flags(flags)]).collect(),
        };
        self.writer.write_block(&block.into_block()).map_err(into_io)?;
        self.writer.get_mut().flush()
    }
}

fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

/// Collects what the encoder writes piece by piece; `flush` hands it to the file in one call.
struct WholeBlocks {
    records: Records,
    block: Vec<u8>,
}

impl Write for WholeBlocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.block.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.records.append(&self.block);
        self.block.clear();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    use pcap_file::pcapng::{Block, PcapNgReader};

    fn frames(path: &Path) -> Vec<(u32, u32, Vec<u8>)> {
        let mut reader = PcapNgReader::new(File::open(path).unwrap()).unwrap();
        let mut found = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap().into_owned() {
                let flags = packet.options.iter().find_map(|option| match option {
                    EnhancedPacketOption::Flags(flags) => Some(*flags),
                    _ => None,
                });
                found.push((packet.interface_id, flags.unwrap(), packet.data.into_owned()));
            }
        }
        found
    }

    #[test]
    fn capture_holds_frames_in_order_with_their_direction() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.pcapng");
        let mut capture = Capture::create(&path, "cancelnic", &[0x52, 0x54, 0, 0x43, 0x4e, 1]).unwrap();
        capture.frame(Way::Outbound, &[1; 60], None).unwrap();
        capture.frame(Way::Inbound, &[2; 61], None).unwrap();
        capture.frame(Way::TakenBack, &[3; 62], Some("COUNT 1")).unwrap();
        assert_eq!(frames(&path), [(0, 2, vec![1; 60]), (0, 1, vec![2; 61]), (1, 2, vec![3; 62])]);
    }

    #[test]
    fn capture_describes_its_interfaces_and_comments_on_frames() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.pcapng");
        let mut capture = Capture::create(&path, "cancelnic", &[2; 6]).unwrap();
        capture.frame(Way::TakenBack, &[3; 62], Some("COUNT 1")).unwrap();
        let mut reader = PcapNgReader::new(File::open(&path).unwrap()).unwrap();
        let mut comments = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap().into_owned() {
                comments.extend(packet.options.into_iter().filter_map(|option| match option {
                    EnhancedPacketOption::Comment(comment) => Some(comment.into_owned()),
                    _ => None,
                }));
            }
        }
        assert_eq!(comments, ["COUNT 1"]);
        let described = reader.interfaces().iter().filter(|interface| {
            interface
                .options
                .iter()
                .any(|option| matches!(option, InterfaceDescriptionOption::IfDescription(_)))
        });
        assert_eq!(described.count(), 2);
    }

    #[test]
    fn capture_is_readable_after_every_frame_without_closing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.pcapng");
        let mut capture = Capture::create(&path, "cancelnic", &[2; 6]).unwrap();
        assert_eq!(frames(&path).len(), 0);
        for count in 1..=3 {
            capture.frame(Way::Outbound, &[7; 1514], None).unwrap();
            assert_eq!(frames(&path).len(), count);
        }
    }
}
