//! The device that the drivers are for: cancelnic's, one of QEMU's, a device process of somebody else, or none.

use crate::base::failure::Usage;
use anyhow::{Context as _, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

/// Device that a machine has beside its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hardware {
    /// cancelnic's, with gates, a judge, and frames that are taken back.
    #[default]
    Cancelnic,
    /// One that QEMU models, by its name there, with further options behind a comma.
    Qemu {
        /// As `-device` takes it.
        device: String,
        /// Whether it is a network card.
        has_wire: bool,
    },
    /// A vhost-user process that serves this socket.
    VhostUser {
        /// The socket.
        socket: PathBuf,
        /// The kind of virtio device.
        virtio_id: u32,
    },
    /// A vfio-user process that serves this socket.
    VfioUser(PathBuf),
    /// None at all.
    None,
}

/// virtio's number for a network card.
const NETWORK: u32 = 1;

impl FromStr for Hardware {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("cancelnic", "") => Ok(Self::Cancelnic),
            ("none", "") => Ok(Self::None),
            ("qemu", device) if !device.is_empty() => {
                Ok(Self::Qemu { device: device.into(), has_wire: false })
            }
            ("vfio-user", socket) if !socket.is_empty() => Ok(Self::VfioUser(socket.into())),
            ("vhost-user", rest) if !rest.is_empty() => {
                let (socket, id) = rest.split_once(",virtio-id=").map_or((rest, None), |(a, b)| (a, Some(b)));
                let virtio_id =
                    id.map_or(Ok(NETWORK), str::parse).map_err(|_| format!("virtio-id={id:?}"))?;
                Ok(Self::VhostUser { socket: socket.into(), virtio_id })
            }
            _ => {
                Err("cancelnic, qemu:NAME, vhost-user:SOCKET[,virtio-id=N], vfio-user:SOCKET or none".into())
            }
        }
    }
}

impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelnic => f.write_str("cancelnic"),
            Self::Qemu { device, .. } => write!(f, "qemu:{device}"),
            Self::VhostUser { socket, virtio_id } => {
                write!(f, "vhost-user:{},virtio-id={virtio_id}", socket.display())
            }
            Self::VfioUser(socket) => write!(f, "vfio-user:{}", socket.display()),
            Self::None => f.write_str("none"),
        }
    }
}

impl Hardware {
    /// The same as this QEMU knows it: whether it has such a device, and a wire.
    ///
    /// # Errors
    /// [`Usage`]: QEMU has no such device, or nobody serves the socket.
    pub fn known_to(self, qemu: &Path) -> Result<Self> {
        let refuse = |why: String| Usage(format!("--device {self}: {why}"));
        match &self {
            Self::Qemu { device, .. } => {
                let name = device.split(',').next().unwrap_or_default();
                let asked = Command::new(qemu)
                    .args(["-device", &format!("{name},help")])
                    .stdin(Stdio::null())
                    .output()
                    .with_context(|| format!("cannot start {}", qemu.display()))?;
                let options = String::from_utf8_lossy(&asked.stdout);
                let has_wire = has_wire(&options).ok_or_else(|| refuse("QEMU has no such device".into()))?;
                Ok(Self::Qemu { device: device.clone(), has_wire })
            }
            Self::VhostUser { socket, .. } | Self::VfioUser(socket) if !socket.exists() => {
                Err(refuse("there is no such socket: start the device process first".into()).into())
            }
            _ => Ok(self),
        }
    }

    /// Whether it is cancelnic's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        *self == Self::Cancelnic
    }

    /// Whether the rig holds the other end of its wire.
    #[must_use]
    pub fn has_wire(&self) -> bool {
        matches!(self, Self::Qemu { has_wire: true, .. })
    }
}

/// Whether a device with these options, as QEMU prints them, is a network card. QEMU ends well, and prints none, where it has no
/// such device.
fn has_wire(options: &str) -> Option<bool> {
    let is_there = !options.trim().is_empty();
    is_there.then(|| options.lines().any(|option| option.trim().starts_with("netdev=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_of_a_device_is_read_again() {
        for text in ["cancelnic", "none", "qemu:e1000e,mac=02:00:00:00:00:01", "vfio-user:/a/b"] {
            assert_eq!(text.parse::<Hardware>().unwrap().to_string(), text);
        }
        let device: Hardware = "vhost-user:/s".parse().unwrap();
        assert_eq!(device, Hardware::VhostUser { socket: "/s".into(), virtio_id: 1 });
        assert_eq!(device.to_string().parse(), Ok(device));
        assert_eq!(
            "vhost-user:/s,virtio-id=4".parse(),
            Ok(Hardware::VhostUser { socket: "/s".into(), virtio_id: 4 })
        );
    }

    #[test]
    fn another_word_is_refused_with_those_that_there_are() {
        for text in ["e1000e", "qemu:", "vhost-user:/s,virtio-id=x", "vfio-user", "none:1"] {
            assert!(text.parse::<Hardware>().is_err(), "{text}");
        }
    }

    #[test]
    fn qemus_list_of_options_tells_whether_there_is_the_device_and_whether_it_has_a_wire() {
        assert_eq!(has_wire("nic options:\n  mac=<str>\n  netdev=<str>\n"), Some(true));
        assert_eq!(has_wire("edu options:\n  addr=<str>\n"), Some(false));
        assert_eq!(has_wire("\n"), None);
    }

    #[test]
    fn a_socket_that_is_not_there_is_wrong_usage() {
        let device = Hardware::VfioUser("/nowhere/socket".into());
        let error = device.known_to(Path::new("/nowhere/qemu")).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("no such socket"), "{error:#}");
    }
}
