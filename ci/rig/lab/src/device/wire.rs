//! The other end of the wire of a network card that QEMU models: QEMU's `-netdev stream` ends in this socket.
//!
//! Every frame that leaves the card is kept in a capture of the form that the device process writes, and comes back to the
//! card, unless the wire is silent.

use anyhow::{Context as _, Result};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest frame that is taken: QEMU's own limit.
const LONGEST: usize = 68 * 1024;
/// Directions as bits 1..0 of epb_flags have them.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// What the wire's thread and the run share.
#[derive(Debug, Default)]
struct Shared {
    silent: AtomicBool,
    outbound: AtomicU64,
    inbound: AtomicU64,
    /// Why the wire ended before its time.
    trouble: Mutex<Option<String>>,
}

/// The rig's end of a wire.
#[derive(Debug)]
pub struct Wire {
    shared: Arc<Shared>,
}

impl Wire {
    /// Waits at `socket` for QEMU; frames go into the pcapng file `capture`.
    ///
    /// # Errors
    /// Socket, file or thread cannot be made.
    pub fn listen(socket: &Path, capture: &Path) -> Result<Self> {
        let listener =
            UnixListener::bind(socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
        let capture =
            Record::create(capture).with_context(|| format!("cannot write {}", capture.display()))?;
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        thread::Builder::new().name("wire".into()).spawn(move || {
            let served = listener.accept().and_then(|(stream, _)| serve(stream, capture, &of_thread));
            if let Err(error) = served {
                *of_thread.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
            }
        })?;
        Ok(Self { shared })
    }

    /// Whether frames come back no more.
    pub fn set_silent(&self, silent: bool) {
        self.shared.silent.store(silent, Relaxed);
    }

    /// Frames that have left the card, and frames that have come back to it.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.outbound.load(Relaxed), self.shared.inbound.load(Relaxed))
    }

    /// Why the wire has ended before its time, if it has.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Frames with their lengths before them, 4 bytes in network order, until QEMU goes.
fn serve(mut stream: UnixStream, mut capture: Record, shared: &Shared) -> io::Result<()> {
    loop {
        let mut head = [0; 4];
        match stream.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let len = u32::from_be_bytes(head) as usize;
        if len > LONGEST {
            return Err(io::Error::other(format!("QEMU announces a frame of {len} bytes")));
        }
        let mut packet = vec![0; 4 + len];
        packet[..4].copy_from_slice(&head);
        stream.read_exact(&mut packet[4..])?;
        capture.frame(OUTBOUND, &packet[4..])?;
        shared.outbound.fetch_add(1, Relaxed);
        if !shared.silent.load(Relaxed) {
            // written down first: the guest may have it before this call returns
            capture.frame(INBOUND, &packet[4..])?;
            match stream.write_all(&packet) {
                // QEMU is on its way out
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written?,
            }
            shared.inbound.fetch_add(1, Relaxed);
        }
    }
}

/// The capture file. Each frame goes to it whole.
struct Record(PcapNgWriter<File>);

impl Record {
    fn create(path: &Path) -> io::Result<Self> {
        let mut writer = PcapNgWriter::new(File::create(path)?).map_err(io::Error::other)?;
        let interface = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName("wire".into()),
                InterfaceDescriptionOption::IfTsResol(9),
            ],
        };
        writer.write_pcapng_block(interface).map_err(io::Error::other)?;
        Ok(Self(writer))
    }

    fn frame(&mut self, direction: u32, frame: &[u8]) -> io::Result<()> {
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
            original_len: frame.len() as u32,
            data: Cow::Borrowed(frame),
            options: vec![EnhancedPacketOption::Flags(direction)],
        };
        self.0.write_pcapng_block(block).map(drop).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::capture::Capture;
    use crate::device::capture::tests::frame;

    fn send(stream: &mut UnixStream, frame: &[u8]) {
        stream.write_all(&(frame.len() as u32).to_be_bytes()).unwrap();
        stream.write_all(frame).unwrap();
    }

    fn receive(stream: &mut UnixStream) -> Vec<u8> {
        let mut head = [0; 4];
        stream.read_exact(&mut head).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(head) as usize];
        stream.read_exact(&mut frame).unwrap();
        frame
    }

    #[test]
    fn frames_come_back_unless_the_wire_is_silent_and_all_are_in_the_capture() {
        let folder = tempfile::tempdir().unwrap();
        let (socket, file) = (folder.path().join("wire"), folder.path().join("capture.pcapng"));
        let wire = Wire::listen(&socket, &file).unwrap();
        let mut qemu = UnixStream::connect(&socket).unwrap();
        send(&mut qemu, &frame(1));
        assert_eq!(receive(&mut qemu), frame(1));
        wire.set_silent(true);
        send(&mut qemu, &frame(2));
        while wire.counts().0 < 2 {
            thread::yield_now();
        }
        wire.set_silent(false);
        send(&mut qemu, &frame(3));
        assert_eq!(receive(&mut qemu), frame(3));
        let capture = Capture::read(&file).unwrap();
        assert_eq!((capture.outbound, capture.inbound), (vec![1, 2, 3], vec![1, 3]));
        assert_eq!(wire.trouble(), None);
    }

    #[test]
    fn a_length_that_no_frame_has_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("wire");
        let wire = Wire::listen(&socket, &folder.path().join("capture.pcapng")).unwrap();
        let mut qemu = UnixStream::connect(&socket).unwrap();
        qemu.write_all(&[0xff; 4]).unwrap();
        let trouble = loop {
            if let Some(trouble) = wire.trouble() {
                break trouble;
            }
            thread::yield_now();
        };
        assert_eq!(trouble, "QEMU announces a frame of 4294967295 bytes");
    }
}
