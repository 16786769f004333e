//! The images of a WIM: what the XML in it says of each.

use std::io::{Read, Seek};

use quick_xml::{Reader, events::Event};

use crate::{Udf, UdfFault, UdfFile};

/// Where installation media keep their images, by preference.
const PLACES: [&str; 2] = ["sources/install.wim", "sources/install.esd"];
/// The same split over several files, which cannot be installed from a disc.
const SPLIT: &str = "sources/install.swm";
/// Size of a WIM's header.
const HEADER: usize = 208;
/// XML of more bytes is nonsense.
const LARGEST_XML: u64 = 16 << 20;

/// Why an ISO's images cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum WimFault {
    /// The disc cannot be read.
    #[error(transparent)]
    Disc(#[from] UdfFault),
    /// Some other disc.
    #[error("it is no Windows installation medium: it has none of {PLACES:?}")]
    NoMedium,
    /// Images split over several files.
    #[error("its images are split into {SPLIT} and others; use the ISO as Microsoft offers it")]
    Split,
    /// The file is no WIM.
    #[error("its {file} is damaged: {what}")]
    Damaged {
        /// Path on the disc.
        file: &'static str,
        /// What is wrong.
        what: String,
    },
}

/// The processor that an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 32-bit x86.
    X86,
    /// x64.
    X64,
    /// 64-bit ARM.
    Arm64,
    /// Another, by its PROCESSOR_ARCHITECTURE number.
    Other(u32),
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::X86 => formatter.write_str("x86"),
            Self::X64 => formatter.write_str("x64"),
            Self::Arm64 => formatter.write_str("ARM64"),
            Self::Other(number) => write!(formatter, "processor {number}"),
        }
    }
}

/// One image, that is one edition of Windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its number, from 1 on.
    pub index: u32,
    /// Its name, for people.
    pub name: String,
    /// Edition, such as `ServerStandardEval`.
    pub edition: String,
    /// `Client`, `Server` or `Server Core`.
    pub installation: String,
    /// The processor.
    pub architecture: Architecture,
    /// Build of Windows, such as 26100.
    pub build: u32,
    /// Its revision, such as 1742.
    pub revision: u32,
    /// Default language, such as `en-US`.
    pub language: String,
    /// Bytes that it takes on disk.
    pub size: u64,
}

impl Image {
    /// Whether it stops working after a time, and takes no product key.
    pub fn is_evaluation(&self) -> bool {
        self.edition.ends_with("Eval")
    }

    /// Whether it is a server.
    pub fn is_server(&self) -> bool {
        self.installation.starts_with("Server")
    }
}

/// The images of an installation medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wim {
    /// Where they are on the disc.
    pub file: &'static str,
    /// The images by their number.
    pub images: Vec<Image>,
}

impl Wim {
    /// Reads what the images of an installation disc are.
    ///
    /// # Errors
    /// [`WimFault`]: another disc, or a damaged one.
    pub fn read<R: Read + Seek>(disc: &mut Udf<R>) -> Result<Self, WimFault> {
        for file in PLACES {
            match disc.find(file) {
                Ok(found) => return Ok(Self { file, images: images(disc, file, &found)? }),
                Err(UdfFault::NotFound(_)) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        match disc.find(SPLIT) {
            Ok(_) => Err(WimFault::Split),
            Err(UdfFault::NotFound(_)) => Err(WimFault::NoMedium),
            Err(fault) => Err(fault.into()),
        }
    }
}

fn images<R: Read + Seek>(
    disc: &mut Udf<R>,
    file: &'static str,
    found: &UdfFile,
) -> Result<Vec<Image>, WimFault> {
    let damaged = |what: &str| WimFault::Damaged { file, what: what.to_owned() };
    if found.size < HEADER as u64 {
        return Err(damaged("it is shorter than a header"));
    }
    let header = disc.read(found, 0, HEADER)?;
    if &header[..8] != b"MSWIM\0\0\0" {
        return Err(damaged("it is no WIM"));
    }
    let field = |at: usize, size: usize| {
        header[at..at + size].iter().rev().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    // resource header of the XML: stored size (7 bytes), flags, offset, size; compressed never
    let (count, stored, flags, offset, size) =
        (field(44, 4), field(72, 7), header[79], field(80, 8), field(88, 8));
    if flags & 4 != 0 || stored != size || size > LARGEST_XML {
        return Err(damaged("its XML is compressed or too long"));
    }
    let bytes = disc.read(found, offset, size as usize)?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let text = String::from_utf16(&units).map_err(|_| damaged("its XML is not UTF-16"))?;
    let images = parse(text.trim_start_matches('\u{feff}'))
        .map_err(|what| WimFault::Damaged { file, what: format!("its XML: {what}") })?;
    if images.len() as u64 == count { Ok(images) } else { Err(damaged("header and XML count differently")) }
}

/// What is gathered of an image until its end.
#[derive(Default)]
struct Gathered {
    index: Option<u32>,
    fields: Vec<(String, String)>,
}

impl Gathered {
    /// A piece of the text of an element; references come apart from what is around them.
    fn add(&mut self, path: String, value: &str) {
        match self.fields.last_mut() {
            Some((last, text)) if *last == path => text.push_str(value),
            _ => self.fields.push((path, value.to_owned())),
        }
    }

    fn image(self) -> Result<Image, String> {
        let index = self.index.ok_or("an image without number")?;
        let text = |path: &str| {
            self.fields.iter().find(|(found, _)| found == path).map(|(_, value)| value.trim().to_owned())
        };
        let number = |path: &str| {
            let value = text(path).ok_or_else(|| format!("image {index} has no {path}"))?;
            value.parse::<u64>().map_err(|_| format!("image {index}: {path} is `{value}`"))
        };
        let architecture = match number("WINDOWS/ARCH")? as u32 {
            0 => Architecture::X86,
            9 => Architecture::X64,
            12 => Architecture::Arm64,
            other => Architecture::Other(other),
        };
        Ok(Image {
            index,
            name: text("DISPLAYNAME").or_else(|| text("NAME")).unwrap_or_default(),
            edition: text("WINDOWS/EDITIONID").ok_or_else(|| format!("image {index} has no edition"))?,
            installation: text("WINDOWS/INSTALLATIONTYPE").unwrap_or_default(),
            architecture,
            build: number("WINDOWS/VERSION/BUILD")? as u32,
            revision: number("WINDOWS/VERSION/SPBUILD").unwrap_or(0) as u32,
            language: text("WINDOWS/LANGUAGES/DEFAULT")
                .ok_or_else(|| format!("image {index} has no default language"))?,
            size: number("TOTALBYTES")?,
        })
    }
}

/// The images of `<WIM><IMAGE INDEX="1">...</IMAGE>...</WIM>`.
fn parse(text: &str) -> Result<Vec<Image>, String> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut gathered = Gathered::default();
    let mut images = Vec::new();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(start) => {
                let name = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                if path.len() == 1 && name == "IMAGE" {
                    let index = start.try_get_attribute("INDEX").map_err(|error| error.to_string())?;
                    let index = index.and_then(|index| std::str::from_utf8(&index.value).ok()?.parse().ok());
                    gathered = Gathered { index, ..Gathered::default() };
                }
                path.push(name);
            }
            Event::Text(value) if path.len() > 2 => {
                let value = value.decode().map_err(|error| error.to_string())?;
                gathered.add(path[2..].join("/"), &value);
            }
            Event::GeneralRef(reference) if path.len() > 2 => {
                let character = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                let name = reference.decode().map_err(|error| error.to_string())?;
                let value = character
                    .map(String::from)
                    .or_else(|| quick_xml::escape::resolve_predefined_entity(&name).map(str::to_owned));
                gathered.add(path[2..].join("/"), &value.ok_or_else(|| format!("unknown entity {name}"))?);
            }
            Event::End(_) => {
                if path.len() == 2 && path[1] == "IMAGE" {
                    images.push(std::mem::take(&mut gathered).image()?);
                }
                path.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if path.is_empty() { Ok(images) } else { Err(format!("<{}> does not end", path.join("><"))) }
}
