//! A front end that keeps no rule: any bytes, any descriptors, in any order.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::guest::Guest;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

pub(crate) const SET_FEATURES: u32 = 2;
pub(crate) const SET_OWNER: u32 = 3;
pub(crate) const SET_MEM_TABLE: u32 = 5;
pub(crate) const SET_VRING_NUM: u32 = 8;
pub(crate) const SET_VRING_ADDR: u32 = 9;
pub(crate) const SET_VRING_KICK: u32 = 12;
pub(crate) const SET_PROTOCOL_FEATURES: u32 = 16;

/// The connection.
pub(crate) struct Raw(UnixStream);

impl From<&Guest> for Raw {
    /// The connection of a front end that has kept the rules up to now.
    fn from(guest: &Guest) -> Raw {
        // SAFETY: the descriptor is open as long as the guest is borrowed.
        let fd = unsafe { BorrowedFd::borrow_raw(guest.frontend.as_raw_fd()) };
        Raw(fd.try_clone_to_owned().unwrap().into())
    }
}

impl Raw {
    pub(crate) fn connect(socket: &Path) -> Raw {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(crate::process::BOUND)).unwrap();
        Raw(stream)
    }

    /// Sends a request with `words` as its body, and up to 253 descriptors. False if nobody listens any more.
    pub(crate) fn send(&self, request: u32, words: &[u64], fds: &[BorrowedFd<'_>]) -> bool {
        let mut bytes = Vec::new();
        for part in [request, 1, 8 * words.len() as u32] {
            bytes.extend_from_slice(&part.to_le_bytes());
        }
        words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        self.send_bytes(&bytes, fds)
    }

    /// Whether the other side goes on after that request, to which no answer is wanted.
    pub(crate) fn accepts(&mut self, request: u32, words: &[u64]) -> bool {
        const GET_FEATURES: u32 = 1;
        self.send(request, words, &[]) && self.send(GET_FEATURES, &[], &[]) && !self.ended()
    }

    pub(crate) fn send_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        }
        sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).is_ok()
    }

    /// Sends the same request until the connection takes no more: nobody reads the answers.
    pub(crate) fn flood(&mut self, request: u32) {
        let mut message = [0; 12];
        message[..4].copy_from_slice(&request.to_le_bytes());
        message[4] = 1;
        self.0.set_nonblocking(true).unwrap();
        let mut sent = 0;
        crate::process::until("the connection is full", || match self.0.write(&message) {
            Ok(_) => {
                sent += 1;
                None
            }
            Err(_) => Some(()),
        });
        assert!(sent > 100);
    }

    /// Says that nothing more comes, and reads every answer until the other side has closed.
    pub(crate) fn finish(mut self) {
        // The other side may be gone already.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
        let mut answers = [0; 4096];
        while self.0.read(&mut answers).is_ok_and(|read| read > 0) {}
    }

    /// Whether the other side has closed, once it has.
    pub(crate) fn ended(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 64]), Ok(0) | Err(_))
    }
}

/// A memfd of `len` bytes.
pub(crate) fn memfd(len: u64) -> File {
    let file = File::from(rustix::fs::memfd_create("raw", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
    file.set_len(len).unwrap();
    file
}

/// A memfd of one huge page of 2 MiB; `None` if this machine has none.
pub(crate) fn huge_memfd() -> Option<File> {
    use rustix::fs::MemfdFlags;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB;
    let file = File::from(rustix::fs::memfd_create("huge", flags).ok()?);
    file.set_len(2 << 20).ok()?;
    Some(file)
}

/// Descriptors of every kind that is neither memory nor an event.
pub(crate) fn odd_descriptors() -> Vec<(&'static str, OwnedFd)> {
    use rustix::fs::{Mode, OFlags, open};
    let opened = |path: &str, flags| open(path, flags, Mode::empty()).unwrap();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let (alone, _) = rustix::pipe::pipe().unwrap();
    let (_, broken) = rustix::pipe::pipe().unwrap();
    let (socket, _) = UnixStream::pair().unwrap();
    let listener = {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::net::UnixListener::bind(dir.path().join("l")).unwrap()
    };
    vec![
        ("null", opened("/dev/null", OFlags::RDWR)),
        ("zero", opened("/dev/zero", OFlags::RDWR)),
        ("full", opened("/dev/full", OFlags::RDWR)),
        ("folder", opened("/", OFlags::RDONLY)),
        ("path only", opened("/dev/null", OFlags::PATH)),
        ("read-only file", opened("/proc/self/maps", OFlags::RDONLY)),
        ("read end of a pipe", reader),
        ("write end of a pipe", writer),
        ("read end without a writer", alone),
        ("write end without a reader", broken),
        ("socket without a peer", socket.into()),
        ("listening socket", listener.into()),
        ("epoll", rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC).unwrap()),
        ("empty memfd", memfd(0).into()),
        ("short memfd", memfd(100).into()),
    ]
}

/// Xorshift: the same numbers in every run.
pub(crate) struct Random(u32);

impl Random {
    /// `seed` is not 0.
    pub(crate) fn new(seed: u32) -> Random {
        Random(seed)
    }

    /// A number less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % limit
    }
}
