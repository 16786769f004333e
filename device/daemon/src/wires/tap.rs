//! A wire to a network interface of the host: a TAP device, which is made if there is none of that name.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use anyhow::Context;

use super::{LONGEST, Port};

/// Our end of the interface.
pub(super) struct Tap(File);

impl Tap {
    /// The interface of that name. It must be brought up by somebody else, such as `ip link set NAME up`.
    pub(super) fn open(name: &str) -> anyhow::Result<Tap> {
        let tun = "/dev/net/tun";
        let file = File::options().read(true).write(true).open(tun).context(tun)?;
        // SAFETY: all of its fields may be 0.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // The command line has checked that the name fits, and leaves a 0 behind it.
        for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *place = byte.cast_signed();
        }
        let flags = libc::IFF_TAP | libc::IFF_NO_PI;
        request.ifr_ifru.ifru_flags = flags.try_into().context("the flags of an interface")?;
        // SAFETY: the descriptor is open and the request is one of TUNSETIFF's, which only reads and writes that structure.
        let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
        if made < 0 {
            let why = "make it first (ip tuntap add mode tap), or run with CAP_NET_ADMIN";
            return Err(io::Error::last_os_error()).with_context(|| format!("interface {name}: {why}"));
        }
        Ok(Tap(file))
    }
}

impl Port for Tap {
    fn send(&self, frame: &[u8]) -> io::Result<()> {
        (&self.0).write_all(frame)
    }

    fn receive(&self, frame: &mut Vec<u8>) -> io::Result<()> {
        frame.resize(LONGEST + 1, 0);
        loop {
            match (&self.0).read(frame) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => {
                    frame.truncate(received?);
                    return Ok(());
                }
            }
        }
    }
}
