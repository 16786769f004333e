//! Which Windows an image is, and whether it can be installed without anybody at the keyboard.

use crate::{Architecture, Image};

/// A release of Windows that the answers are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Windows Server 2022.
    Server2022,
    /// Windows Server 2025.
    Server2025,
    /// Windows 11, version 24H2, also Enterprise LTSC 2024.
    Windows11V24H2,
    /// Windows 11, version 25H2.
    Windows11V25H2,
}

impl std::fmt::Display for Release {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Server2022 => "Windows Server 2022",
            Self::Server2025 => "Windows Server 2025",
            Self::Windows11V24H2 => "Windows 11 24H2",
            Self::Windows11V25H2 => "Windows 11 25H2",
        })
    }
}

/// Why an image is not installed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditionFault {
    /// Another processor.
    #[error("image {index} is for {architecture}; the drivers and the machine are x64")]
    Architecture {
        /// Number of the image.
        index: u32,
        /// Its processor.
        architecture: Architecture,
    },
    /// Another release.
    #[error(
        "image {index} is build {build} ({installation}); known are Server 2022 (20348), Server 2025 (26100), \
         Windows 11 24H2 (26100) and 25H2 (26200)"
    )]
    Build {
        /// Number of the image.
        index: u32,
        /// Its build.
        build: u32,
        /// Client or server.
        installation: String,
    },
    /// Setup would ask for the key.
    #[error("no product key is known for {edition} of {release}: give one with --product-key")]
    Key {
        /// The release.
        release: Release,
        /// The edition.
        edition: String,
    },
    /// A key that is not of the form that Setup takes.
    #[error("`{0}` is no product key: five groups of five letters and digits, with hyphens between")]
    Malformed(String),
    /// An evaluation edition with a key: Setup would stop.
    #[error("image {index} is an evaluation edition, which takes no product key")]
    Evaluation {
        /// Number of the image.
        index: u32,
    },
}

/// Microsoft's generic keys for volume licence clients: they choose the edition and activate nothing.
const GENERIC_KEYS: [(Release, &str, &str); 9] = [
    (Release::Server2022, "ServerStandard", "VDYBN-27WPP-V4HQT-9VMD4-VMK7H"),
    (Release::Server2022, "ServerDatacenter", "WX4NM-KYWYW-QJJR4-XV3QB-6VM33"),
    (Release::Server2025, "ServerStandard", "TVRH6-WHNXV-R9WG3-9XRFY-MY832"),
    (Release::Server2025, "ServerDatacenter", "D764K-2NDRG-47T6Q-P8T8W-YP6DF"),
    (Release::Windows11V24H2, "Enterprise", "NPPR9-FWDCX-D2C8J-H872K-2YT43"),
    (Release::Windows11V24H2, "Professional", "W269N-WFGWX-YVC9B-4J6C9-T83GX"),
    (Release::Windows11V24H2, "EnterpriseS", "M7XTQ-FN8P6-TTKYV-9D4CC-J462D"),
    (Release::Windows11V25H2, "Enterprise", "NPPR9-FWDCX-D2C8J-H872K-2YT43"),
    (Release::Windows11V25H2, "Professional", "W269N-WFGWX-YVC9B-4J6C9-T83GX"),
];

/// An image that can be installed unattended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edition {
    /// Its release.
    pub release: Release,
    /// The image.
    pub image: Image,
    /// The key to give to Setup; evaluation editions take none.
    pub product_key: Option<String>,
}

impl Edition {
    /// Checks an image; `product_key` is the user's own, if there is one.
    ///
    /// # Errors
    /// [`EditionFault`]: what Setup would stumble over.
    pub fn of(image: &Image, product_key: Option<&str>) -> Result<Self, EditionFault> {
        let index = image.index;
        if image.architecture != Architecture::X64 {
            return Err(EditionFault::Architecture { index, architecture: image.architecture });
        }
        let release = match (image.is_server(), image.build) {
            (true, 20348) => Release::Server2022,
            (true, 26100) => Release::Server2025,
            (false, 26100) => Release::Windows11V24H2,
            (false, 26200) => Release::Windows11V25H2,
            (_, build) => {
                return Err(EditionFault::Build { index, build, installation: image.installation.clone() });
            }
        };
        let generic = || {
            let known = GENERIC_KEYS.iter().find(|key| key.0 == release && key.1 == image.edition);
            known.map(|key| key.2.to_owned())
        };
        let product_key = match (image.is_evaluation(), product_key) {
            (true, Some(_)) => return Err(EditionFault::Evaluation { index }),
            (true, None) => None,
            (false, Some(key)) if is_key(key) => Some(key.to_ascii_uppercase()),
            (false, Some(key)) => return Err(EditionFault::Malformed(key.to_owned())),
            (false, None) => {
                Some(generic().ok_or_else(|| EditionFault::Key { release, edition: image.edition.clone() })?)
            }
        };
        Ok(Self { release, image: image.clone(), product_key })
    }
}

fn is_key(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    let good = |group: &&str| group.len() == 5 && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
    groups.len() == 5 && groups.iter().all(good)
}
