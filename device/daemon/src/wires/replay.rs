//! A wire over which a recording comes: the frames of a pcapng file's first interface, at the pace at which they were
//! recorded. Frames that are sent get nowhere.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use pcap_file::pcapng::{Block, PcapNgReader};

use super::Port;

/// The recording, and how far it has been played.
pub(super) struct Replay(Mutex<Played>);

struct Played {
    reader: PcapNgReader<BufReader<File>>,
    /// When the first frame came, and what the recording gives as its time.
    first: Option<(Instant, Duration)>,
}

impl Replay {
    /// From its beginning.
    pub(super) fn open(path: &Path) -> anyhow::Result<Replay> {
        let what = || format!("{}: cannot be replayed", path.display());
        let file = File::open(path).with_context(what)?;
        let reader = PcapNgReader::new(BufReader::new(file)).with_context(what)?;
        Ok(Replay(Mutex::new(Played { reader, first: None })))
    }
}

impl Port for Replay {
    fn send(&self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn receive(&self, frame: &mut Vec<u8>) -> io::Result<()> {
        let mut played = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Played { reader, first } = &mut *played;
        loop {
            let block = reader.next_block().ok_or_else(|| io::Error::other("the recording is over"))?;
            let Block::EnhancedPacket(packet) = block.map_err(io::Error::other)? else { continue };
            if packet.interface_id != 0 {
                continue;
            }
            let (began, at) = *first.get_or_insert_with(|| (Instant::now(), packet.timestamp));
            let since = packet.timestamp.saturating_sub(at);
            thread::sleep(since.saturating_sub(began.elapsed()));
            frame.clear();
            frame.extend_from_slice(&packet.data);
            return Ok(());
        }
    }
}
