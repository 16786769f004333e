//! The channel from the device to the front end, by which a change of the configuration is an interrupt in the guest
//! (VHOST_USER_BACKEND_CONFIG_CHANGE_MSG). The vhost-user library owns such a channel and cannot send that message, nor does
//! it give the socket away: of the process's sockets it is the one that closes with the library's handle.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::fs::fstat;
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, SendFlags, SocketType, send};
use vhost::vhost_user::Backend;

/// Descriptors that this process can have: the usual limit. They are handed out from the lowest on.
const DESCRIPTORS: RawFd = 1024;
/// VHOST_USER_BACKEND_CONFIG_CHANGE_MSG with version 1 and no payload: request, flags, size.
const CONFIG_CHANGE: [u32; 3] = [2, 1, 0];

/// The device's end of the channel. The library has none any more, so that nobody else writes to it.
#[derive(Debug)]
pub(crate) struct Channel(UnixStream);

/// A socket of this process that could be the channel, with a second descriptor of ours for it.
struct Candidate {
    number: RawFd,
    inode: u64,
    ours: UnixStream,
}

/// The descriptor of that number, to be looked at.
fn look(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: only asked what it is: a number that is closed, or closed meanwhile, makes those calls fail with EBADF.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn inode(number: RawFd) -> Option<u64> {
    fstat(look(number)).ok().map(|found| found.st_ino)
}

/// Whether it is a Unix stream socket.
fn is_stream(number: RawFd) -> bool {
    let socket = look(number);
    socket_domain(socket) == Ok(AddressFamily::UNIX) && socket_type(socket) == Ok(SocketType::STREAM)
}

/// A stream socket without a name. Those that were accepted have the name of the socket that listens.
fn candidate(number: RawFd) -> Option<Candidate> {
    let ours = UnixStream::from(fcntl_dupfd_cloexec(look(number), 3).ok()?);
    let name = ours.local_addr();
    name.is_ok_and(|name| name.is_unnamed()).then_some(Candidate { number, inode: inode(number)?, ours })
}

impl Channel {
    /// Takes the channel out of the library's handle, of which there is no clone. `None` if it cannot be told which one it
    /// is.
    pub(crate) fn take(library: Backend) -> Option<Channel> {
        // All are found before the first of our own descriptors is there to be found.
        let found: Vec<RawFd> = (3..DESCRIPTORS).filter(|number| is_stream(*number)).collect();
        let sockets: Vec<Candidate> = found.into_iter().filter_map(candidate).collect();
        drop(library);
        let mut closed = sockets.into_iter().filter(|socket| inode(socket.number) != Some(socket.inode));
        let channel = closed.next()?;
        closed.next().is_none().then_some(Channel(channel.ours))
    }

    /// Tells the front end that the configuration has changed. Does not wait: a front end that does not read loses it.
    pub(crate) fn config_changed(&self) -> io::Result<()> {
        let message: Vec<u8> = CONFIG_CHANGE.iter().flat_map(|word| word.to_le_bytes()).collect();
        send(&self.0, &message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        Ok(())
    }
}
