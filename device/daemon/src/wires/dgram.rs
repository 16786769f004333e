//! A wire over Unix datagrams, one frame in each, as QEMU's `-netdev dgram` has it. There is no connection: who is at the other
//! path when a frame is sent gets it.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::{LONGEST, Port};
use crate::sockets::{self, Place};

/// One end.
pub(super) struct Dgram {
    socket: UnixDatagram,
    theirs: PathBuf,
}

impl Dgram {
    /// The end at `ours` of the wire to `theirs`.
    pub(super) fn open(ours: &Path, theirs: &Path) -> anyhow::Result<(Dgram, Place)> {
        let (socket, place) = sockets::bind(ours, |path| UnixDatagram::bind(path))?;
        Ok((Dgram { socket, theirs: theirs.to_owned() }, place))
    }
}

impl Port for Dgram {
    fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send_to(frame, &self.theirs).map(drop)
    }

    fn receive(&self, frame: &mut Vec<u8>) -> io::Result<()> {
        // One more than fits: what is longer is found too long.
        frame.resize(LONGEST + 1, 0);
        loop {
            match self.socket.recv(frame) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => {
                    frame.truncate(received?);
                    return Ok(());
                }
            }
        }
    }
}
