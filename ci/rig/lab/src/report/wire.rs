//! The capture as it is kept: the frames of one run, under a comment that names the run.

use super::model::Report;
use crate::facts::Facts;
use anyhow::{Context, Result};
use pcap_file::PcapError;
use pcap_file::pcapng::blocks::section_header::SectionHeaderOption;
use pcap_file::pcapng::{Block, PcapNgReader, PcapNgWriter};
use std::io::ErrorKind;
use std::time::Duration;

/// The dissector for Wireshark that is put beside a capture.
pub(super) const DISSECTOR: &str = include_str!("../../../../wireshark/cancelnic.lua");

/// What the comment on a capture's section reports of its run.
pub(super) fn comment(report: &Report, facts: &Facts) -> String {
    let mut lines = vec![format!("cancelnic {}: {}", facts.origin.name, report.verdict)];
    lines.extend(report.violations.first().map(super::table::fault_line));
    if !report.about.command.is_empty() {
        lines.push(format!("again: {}", report.about.command));
    }
    lines.push(format!("seed {}", report.seed));
    lines.extend(report.about.versions.commit.as_ref().map(|commit| format!("commit {commit}")));
    lines.extend(report.drivers.iter().map(|driver| format!("{} sha256 {}", driver.file, driver.sha256)));
    lines.join("\n")
}

/// The capture with `comment` on its section, without the frames of earlier runs, which are from before `since` (time of
/// day). A block that was cut off at the end is left out.
pub(super) fn annotate(capture: &[u8], comment: &str, since: Duration) -> Result<Vec<u8>> {
    let mut reader = PcapNgReader::new(capture).context("it is not a pcapng file")?;
    let mut section = reader.section().clone();
    section.options.push(SectionHeaderOption::Comment(comment.to_owned().into()));
    let mut writer = PcapNgWriter::with_section_header(Vec::new(), section)?;
    while let Some(block) = reader.next_block() {
        match block {
            Ok(Block::EnhancedPacket(packet)) if packet.timestamp < since => {}
            Ok(block) => _ = writer.write_block(&block)?,
            Err(PcapError::IncompleteBuffer) => break,
            Err(PcapError::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(writer.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pcap_file::DataLink;
    use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
    use pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionBlock;
    use std::process::Command;

    /// A capture with these frames: number, second, interface, flags, comment.
    fn capture(frames: &[(u64, u64, u32, u32, Option<&str>)]) -> Vec<u8> {
        let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
        for _ in 0..2 {
            let mut interface = InterfaceDescriptionBlock::new(DataLink::ETHERNET, 0);
            interface.options.push(
                pcap_file::pcapng::blocks::interface_description::InterfaceDescriptionOption::IfTsResol(9),
            );
            writer.write_pcapng_block(interface).unwrap();
        }
        for (number, second, interface_id, flags, comment) in frames {
            let data = crate::device::capture::tests::frame(*number);
            let comment = comment.map(|comment| EnhancedPacketOption::Comment(comment.into()));
            let packet = EnhancedPacketBlock {
                interface_id: *interface_id,
                timestamp: Duration::from_secs(*second),
                original_len: data.len() as u32,
                data: data.into(),
                options: comment.into_iter().chain([EnhancedPacketOption::Flags(*flags)]).collect(),
            };
            writer.write_pcapng_block(packet).unwrap();
        }
        writer.into_inner()
    }

    const FRAMES: [(u64, u64, u32, u32, Option<&str>); 4] = [
        (1, 10, 0, 2, None),
        (7, 20, 0, 2, None),
        (7, 21, 0, 1, None),
        (8, 22, 1, 2, Some("taken back by CANCEL (SEQ 1), COUNT 1")),
    ];

    #[test]
    fn a_kept_capture_has_the_runs_frames_with_their_comments_and_its_own() {
        let mut bytes = capture(&FRAMES);
        bytes.truncate(bytes.len() - 3);
        let kept = annotate(&bytes, "again: cargo rig demo", Duration::from_secs(20)).unwrap();
        let mut reader = PcapNgReader::new(&kept[..]).unwrap();
        let commented = |options: &[SectionHeaderOption<'_>]| {
            options.iter().any(|option| matches!(option, SectionHeaderOption::Comment(text) if text == "again: cargo rig demo"))
        };
        assert!(commented(&reader.section().options));
        let mut seconds = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                seconds.push(packet.timestamp.as_secs());
            }
        }
        // The last block was cut off.
        assert_eq!(seconds, [20, 21]);
        assert!(annotate(b"no capture", "", Duration::ZERO).is_err());
    }

    #[test]
    fn wireshark_shows_number_way_and_fate() {
        let folder = tempfile::tempdir().unwrap();
        let (file, script) = (folder.path().join("c.pcapng"), folder.path().join("cancelnic.lua"));
        let mut bytes = annotate(&capture(&FRAMES), "again: cargo rig demo", Duration::ZERO).unwrap();
        // A byte of the first frame's filler.
        let filler = crate::device::capture::tests::frame(1);
        let at = bytes.windows(60).position(|window| window == filler).unwrap();
        bytes[at + 40] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        std::fs::write(&script, DISSECTOR).unwrap();
        let fields = [
            "cancelnic.number",
            "cancelnic.way",
            "cancelnic.fate",
            "cancelnic.damaged",
            "_ws.col.Info",
            "frame.comment",
        ];
        let mut tshark = Command::new("tshark");
        tshark.env("HOME", folder.path()).arg("-X").arg(format!("lua_script:{}", script.display()));
        tshark.arg("-r").arg(&file).args(["-T", "fields", "-E", "separator=|"]);
        fields.iter().for_each(|field| _ = tshark.args(["-e", field]));
        let output = match tshark.output() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return eprintln!("not run: tshark is not installed");
            }
            output => output.unwrap(),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let expected = "1|guest to wire|sent|1|     1  guest to wire           sent, damaged at byte 40|\n\
                        7|guest to wire|sent||     7  guest to wire           sent|\n\
                        7|wire to guest|received||     7  wire to guest           received|\n\
                        8|guest to card and back|taken back||     8  guest to card and back  taken back|taken back by CANCEL (SEQ 1), COUNT 1\n";
        assert_eq!(text, expected, "{}", String::from_utf8_lossy(&output.stderr));
    }
}
