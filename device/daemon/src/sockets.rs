//! Unix sockets with a path: made private to the user, replaced where a dead process left one behind,
//! never taken from a living one, removed at the end, whichever it is.

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use thiserror::Error;

/// Why there is no socket to listen on. Each says what to do next.
#[derive(Debug, Error)]
pub(crate) enum SocketError {
    /// Another process has it.
    #[error("{0}: another process is using this socket; stop it or choose another path")]
    Busy(PathBuf),
    /// A file that is no socket, which is not ours to remove.
    #[error("{0}: exists and is not a socket; remove it or choose another path")]
    NotASocket(PathBuf),
    /// The path does not fit into a socket address.
    #[error("{0}: a socket's path is at most 107 bytes long; choose a shorter one")]
    TooLong(PathBuf),
    /// The system refused.
    #[error("{path}: cannot listen here")]
    Bind {
        /// Where the socket was to be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody can be reached there.
    #[error("{path}: cannot connect to who listens here")]
    Connect {
        /// Where the socket is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The inherited descriptor cannot be listened on.
    #[error("--fd {0}: not an open, listening Unix stream socket")]
    NotListening(RawFd),
}

/// A listening socket, and its place if it was made here.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: UnixListener,
    place: Option<Place>,
}

/// A socket's place in the file system, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    file: SocketFile,
    folder: PathBuf,
}

/// The socket's path, and which inode there is ours.
#[derive(Debug, Clone)]
struct SocketFile {
    path: CString,
    inode: (u64, u64),
}

/// Those that an end without destructors must remove.
static LEFT: OnceLock<Vec<SocketFile>> = OnceLock::new();

/// From now on [`remove_all`] removes the files there. Called once.
pub(crate) fn guard<'a>(places: impl IntoIterator<Item = &'a Place>) {
    LEFT.get_or_init(|| places.into_iter().map(|place| place.file.clone()).collect());
}

/// Removes the files of the sockets, for an end that drops nothing. Async-signal-safe.
pub(crate) fn remove_all() {
    LEFT.get().into_iter().flatten().for_each(SocketFile::remove);
}

impl SocketFile {
    /// Removes it, unless someone has put another one there meanwhile. Async-signal-safe.
    fn remove(&self) {
        let mut found = MaybeUninit::uninit();
        // SAFETY: the path is a C string and `found` has the room; both calls are async-signal-safe.
        unsafe {
            if libc::lstat(self.path.as_ptr(), found.as_mut_ptr()) == 0 {
                let found: libc::stat = found.assume_init();
                if (found.st_dev, found.st_ino) == self.inode {
                    libc::unlink(self.path.as_ptr());
                }
            }
        }
    }
}

/// Makes a socket at `path` with `bind`, mode 0600. One that no process holds any more is replaced.
pub(crate) fn bind<S>(path: &Path, bind: impl Fn(&Path) -> io::Result<S>) -> Result<(S, Place), SocketError> {
    if SocketAddrUnix::new(path).is_err() {
        return Err(SocketError::TooLong(path.to_owned()));
    }
    let failed = |source| SocketError::Bind { path: path.to_owned(), source };
    let socket = match bind_private(path, &bind) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            remove_if_dead(path)?;
            bind_private(path, &bind)
        }
        result => result,
    };
    let socket = socket.map_err(failed)?;
    let found = fs::symlink_metadata(path).map_err(failed)?;
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| failed(error.into()))?;
    let file = SocketFile { path: name, inode: (found.dev(), found.ino()) };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).to_owned();
    Ok((socket, Place { file, folder }))
}

impl Bound {
    /// Listens at `path`.
    pub(crate) fn at(path: &Path) -> Result<Bound, SocketError> {
        let (listener, place) = bind(path, |path| UnixListener::bind(path))?;
        Ok(Bound { listener, place: Some(place) })
    }

    /// Takes over descriptor `fd` that the parent process left open for us.
    pub(crate) fn inherited(fd: RawFd) -> Result<Bound, SocketError> {
        let refused = || SocketError::NotListening(fd);
        // SAFETY: the number is only looked at here; a closed one makes the call below fail with EBADF.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let listening = rustix::net::sockopt::socket_acceptconn(borrowed).map_err(|_| refused())?;
        let domain = rustix::net::sockopt::socket_domain(borrowed).map_err(|_| refused())?;
        let kind = rustix::net::sockopt::socket_type(borrowed).map_err(|_| refused())?;
        if !listening || domain != AddressFamily::UNIX || kind != SocketType::STREAM {
            return Err(refused());
        }
        // SAFETY: open (the calls above succeeded), above 2 (the command line's rule), and nothing in
        // this process has opened anything that it could be mistaken for: `--fd` hands its ownership over.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Bound { listener: UnixListener::from(fd), place: None })
    }

    /// The socket to accept from.
    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Its place, if it was made here.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl Place {
    /// The folder that the sandbox must let us remove the socket from.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.file.remove();
    }
}

/// Binds with a umask that leaves only the owner in, so that the socket is never open to others.
fn bind_private<S>(path: &Path, bind: impl Fn(&Path) -> io::Result<S>) -> io::Result<S> {
    // The umask is the whole process's: one thread at a time.
    static UMASK: Mutex<()> = Mutex::new(());
    let _one = UMASK.lock().unwrap_or_else(PoisonError::into_inner);
    let before = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
    let result = bind(path);
    rustix::process::umask(before);
    result
}

/// Removes the socket at `path` if no process holds it. Asks with a datagram socket: the kernel says
/// "wrong type" if a stream socket lives there and "refused" if none does, and a living one never notices.
fn remove_if_dead(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Bind { path: path.to_owned(), source };
    let found = fs::symlink_metadata(path).map_err(failed)?;
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .map_err(|errno| failed(errno.into()))?;
    let address = SocketAddrUnix::new(path).map_err(|errno| failed(errno.into()))?;
    match rustix::net::connect(&probe, &address) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path).map_err(failed),
        Ok(()) | Err(Errno::PROTOTYPE) => Err(SocketError::Busy(path.to_owned())),
        Err(errno) => Err(failed(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn socket_is_private_and_goes_with_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let bound = Bound::at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn sockets_are_removed_without_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("s"), dir.path().join("other"));
        let bound = [Bound::at(&path).unwrap(), Bound::at(&other).unwrap()];
        guard(bound.iter().filter_map(Bound::place));
        fs::remove_file(&other).unwrap();
        let _another = UnixListener::bind(&other).unwrap();
        remove_all();
        assert!(!path.exists() && other.exists());
    }

    #[test]
    fn socket_of_a_dead_process_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let bound = Bound::at(&path).unwrap();
        drop(bound);
    }

    #[test]
    fn socket_of_a_living_process_is_busy_and_not_disturbed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let living = Bound::at(&path).unwrap();
        living.listener().set_nonblocking(true).unwrap();
        assert!(matches!(Bound::at(&path), Err(SocketError::Busy(_))));
        assert_eq!(living.listener().accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(path.exists());
    }

    #[test]
    fn plain_file_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        fs::write(&path, b"kept").unwrap();
        assert!(matches!(Bound::at(&path), Err(SocketError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }

    #[test]
    fn socket_path_that_is_too_long_is_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Bound::at(&dir.path().join("x".repeat(120))), Err(SocketError::TooLong(_))));
    }

    #[test]
    fn someone_elses_socket_at_our_path_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let bound = Bound::at(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(bound);
        assert!(path.exists());
    }
}
