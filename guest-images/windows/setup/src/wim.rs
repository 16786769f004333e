//! The images of a WIM: what the XML in it says of each.

use std::{
    io::{Read, Seek},
    str::FromStr,
};

use quick_xml::{Reader, events::Event};

use crate::{Udf, UdfFault, UdfFile};

/// Where installation media keep their images, by preference. Media for two processors have a folder for each; the one
/// for the processor of the drivers comes first.
const PLACES: [&str; 6] = [
    "sources/install.wim",
    "sources/install.esd",
    "x64/sources/install.wim",
    "x64/sources/install.esd",
    "x86/sources/install.wim",
    "x86/sources/install.esd",
];
/// The same split over several files, which cannot be installed from a disc.
const SPLIT: [&str; 3] = ["sources/install.swm", "x64/sources/install.swm", "x86/sources/install.swm"];
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
    #[error(
        "it is not a Windows installation medium: it has neither sources/install.wim nor sources/install.esd, also \
         not in a folder x64 or x86"
    )]
    NoMedium,
    /// Images split over several files.
    #[error("its images are split into {0} and others; use the ISO as Microsoft offers it")]
    Split(&'static str),
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

    /// This image, which lies in another file than those that can be chosen.
    fn beside(self, file: &'static str, chosen: &str) -> Unfit {
        let why = format!("is for {}; Setup installs from {chosen}", self.architecture);
        Unfit { file, index: self.index, name: self.name, why }
    }

    /// Whether it is a server.
    pub fn is_server(&self) -> bool {
        self.installation.starts_with("Server")
    }
}

/// An image that Setup cannot be told to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Where it is on the disc.
    pub file: &'static str,
    /// Its number in that file, from 1 on.
    pub index: u32,
    /// Its name, for people; may be empty.
    pub name: String,
    /// Why it cannot be installed, as the end of a sentence that begins with the image.
    pub why: String,
}

/// The images of an installation medium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wim {
    /// The file on the disc whose images can be chosen.
    pub file: &'static str,
    /// Its images by their number, each with all that Setup needs.
    pub images: Vec<Image>,
    /// The other images of the medium: of this file, then of others.
    pub unfit: Vec<Unfit>,
}

impl Wim {
    /// Reads what the images of an installation disc are.
    ///
    /// # Errors
    /// [`WimFault`]: another disc, or a damaged one.
    pub fn read<R: Read + Seek>(disc: &mut Udf<R>) -> Result<Self, WimFault> {
        let mut found: Option<Self> = None;
        for file in PLACES {
            let place = match disc.find(file) {
                Ok(place) => place,
                Err(UdfFault::NotFound(_)) => continue,
                Err(fault) => return Err(fault.into()),
            };
            let (images, unfit) = images(disc, file, &place)?;
            match &mut found {
                None => found = Some(Self { file, images, unfit }),
                Some(first) => {
                    first.unfit.extend(images.into_iter().map(|image| image.beside(file, first.file)));
                    first.unfit.extend(unfit);
                }
            }
        }
        if let Some(found) = found {
            return Ok(found);
        }
        for file in SPLIT {
            match disc.find(file) {
                Ok(_) => return Err(WimFault::Split(file)),
                Err(UdfFault::NotFound(_)) => {}
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(WimFault::NoMedium)
    }
}

/// The images of a file, and those that lack what Setup needs.
fn images<R: Read + Seek>(
    disc: &mut Udf<R>,
    file: &'static str,
    found: &UdfFile,
) -> Result<(Vec<Image>, Vec<Unfit>), WimFault> {
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
    let gathered = parse(text.trim_start_matches('\u{feff}'))
        .map_err(|what| WimFault::Damaged { file, what: format!("its XML: {what}") })?;
    if gathered.len() as u64 != count {
        return Err(damaged("header and XML count differently"));
    }
    let (mut images, mut unfit) = (Vec::new(), Vec::new());
    for gathered in gathered {
        let index = gathered.index.ok_or_else(|| damaged("its XML: an image without number"))?;
        match gathered.image(index) {
            Ok(image) => images.push(image),
            Err(why) => unfit.push(Unfit { file, index, name: gathered.name(), why }),
        }
    }
    Ok((images, unfit))
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

    fn text(&self, path: &str) -> Option<String> {
        self.fields.iter().find(|(found, _)| found == path).map(|(_, value)| value.trim().to_owned())
    }

    fn name(&self) -> String {
        self.text("DISPLAYNAME").or_else(|| self.text("NAME")).unwrap_or_default()
    }

    /// An element that has to be there.
    fn required(&self, path: &str) -> Result<String, String> {
        self.text(path).ok_or_else(|| format!("has no {path} in the file's XML"))
    }

    fn number<N: FromStr>(&self, path: &str) -> Result<N, String> {
        let value = self.required(path)?;
        value.parse().map_err(|_| format!("has {path} `{value}` in the file's XML, which is not a number"))
    }

    /// The image; otherwise the first element that is missing or wrong.
    fn image(&self, index: u32) -> Result<Image, String> {
        let architecture = match self.number("WINDOWS/ARCH")? {
            0 => Architecture::X86,
            9 => Architecture::X64,
            12 => Architecture::Arm64,
            other => Architecture::Other(other),
        };
        Ok(Image {
            index,
            name: self.name(),
            edition: self.required("WINDOWS/EDITIONID")?,
            installation: self.text("WINDOWS/INSTALLATIONTYPE").unwrap_or_default(),
            architecture,
            build: self.number("WINDOWS/VERSION/BUILD")?,
            revision: self.number("WINDOWS/VERSION/SPBUILD").unwrap_or(0),
            language: self.required("WINDOWS/LANGUAGES/DEFAULT")?,
            size: self.number("TOTALBYTES")?,
        })
    }
}

/// The images of `<WIM><IMAGE INDEX="1">...</IMAGE>...</WIM>`.
fn parse(text: &str) -> Result<Vec<Gathered>, String> {
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
                    images.push(std::mem::take(&mut gathered));
                }
                path.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if path.is_empty() { Ok(images) } else { Err(format!("<{}> does not end", path.join("><"))) }
}
