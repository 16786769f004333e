//! The channel from the device to the front end, by which a change of the configuration is an interrupt in the guest
//! (VHOST_USER_BACKEND_CONFIG_CHANGE_MSG).

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, SendFlags, SocketType, send};

use super::Breach;

/// VHOST_USER_BACKEND_CONFIG_CHANGE_MSG with version 1 and no payload: request, flags, size.
const CONFIG_CHANGE: [u32; 3] = [2, 1, 0];

/// The device's end of the channel.
#[derive(Debug)]
pub(crate) struct Channel(UnixStream);

impl TryFrom<OwnedFd> for Channel {
    type Error = Breach;

    fn try_from(socket: OwnedFd) -> Result<Channel, Breach> {
        if socket_domain(&socket) == Ok(AddressFamily::UNIX) && socket_type(&socket) == Ok(SocketType::STREAM)
        {
            Ok(Channel(UnixStream::from(socket)))
        } else {
            Err(Breach::Channel)
        }
    }
}

impl Channel {
    /// Tells the front end that the configuration has changed. Does not wait: a front end that does not read loses it.
    pub(crate) fn config_changed(&self) -> io::Result<()> {
        let message: Vec<u8> = CONFIG_CHANGE.iter().flat_map(|word| word.to_le_bytes()).collect();
        send(&self.0, &message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
        Ok(())
    }
}
