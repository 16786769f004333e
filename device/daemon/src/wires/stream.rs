//! A wire over a Unix stream socket: each frame behind its length, 32 bits in network order, as QEMU's `-netdev stream` has it.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{LONGEST, Port};
use crate::sockets::{self, Place, SocketError};

/// One end. Whoever listened first stays, and takes the next peer when one has gone; an end that has connected, does not
/// connect again: the sandbox has closed by then.
pub(super) struct Stream {
    listener: Option<UnixListener>,
    peer: Mutex<Option<Arc<UnixStream>>>,
}

impl Stream {
    /// Connects to whoever listens at `path`, or listens there itself.
    pub(super) fn open(path: &Path) -> anyhow::Result<(Stream, Option<Place>)> {
        match sockets::bind(path, |path| UnixListener::bind(path)) {
            Ok((listener, place)) => {
                Ok((Stream { listener: Some(listener), peer: Mutex::default() }, Some(place)))
            }
            Err(SocketError::Busy(_)) => {
                let failed = |source| SocketError::Connect { path: path.to_owned(), source };
                let peer = UnixStream::connect(path).map_err(failed)?;
                Ok((Stream { listener: None, peer: Mutex::new(Some(Arc::new(peer))) }, None))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn peer(&self) -> MutexGuard<'_, Option<Arc<UnixStream>>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer, once there is one.
    fn await_peer(&self) -> io::Result<Arc<UnixStream>> {
        if let Some(peer) = &*self.peer() {
            return Ok(peer.clone());
        }
        let listener = self.listener.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let (peer, _) = listener.accept()?;
        tracing::info!("the wire's peer has come");
        let peer = Arc::new(peer);
        *self.peer() = Some(peer.clone());
        Ok(peer)
    }

    /// That peer is of no use any more: both threads let it go.
    fn lose(&self, lost: &Arc<UnixStream>, error: &io::Error) {
        let mut peer = self.peer();
        if peer.as_ref().is_some_and(|peer| Arc::ptr_eq(peer, lost)) {
            tracing::info!(%error, "the wire's peer has gone");
            // Wakes the other thread, which may be waiting for it.
            let _ = lost.shutdown(std::net::Shutdown::Both);
            *peer = None;
        }
    }
}

impl Port for Stream {
    fn send(&self, frame: &[u8]) -> io::Result<()> {
        let peer = self.peer().clone().ok_or(io::ErrorKind::NotConnected)?;
        let len = u32::try_from(frame.len()).map_err(io::Error::other)?;
        // Whole, so that one write carries it.
        let message = [&len.to_be_bytes(), frame].concat();
        (&*peer).write_all(&message).inspect_err(|error| self.lose(&peer, error))
    }

    fn receive(&self, frame: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let peer = match self.await_peer() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                peer => peer?,
            };
            match read(&peer, frame) {
                Ok(()) => return Ok(()),
                Err(error) => self.lose(&peer, &error),
            }
        }
    }
}

fn read(mut peer: &UnixStream, frame: &mut Vec<u8>) -> io::Result<()> {
    let mut len = [0; 4];
    peer.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len) as usize;
    if len > LONGEST {
        return Err(io::Error::other(format!("a frame of {len} bytes")));
    }
    frame.resize(len, 0);
    peer.read_exact(frame)
}
