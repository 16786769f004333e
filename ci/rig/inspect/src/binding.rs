//! The frameworks that an image binds: its WDF_BIND_INFO and WDF_CLASS_BIND_INFO structures.
//!
//! They are found by the component's name, which the structure's second field points to. Layouts: [`wdk_offline::loader`];
//! the second forms (`fxldr.h` of kits from KMDF 1.25 on) begin in the same way and are longer.

use crate::image::Image;
use wdk_offline::loader::KMDF_MOST_COPIED;

/// A framework with a table of functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// KMDF.
    Kmdf,
    /// NetAdapterCx.
    NetAdapterCx,
}

impl Framework {
    const ALL: [Self; 2] = [Self::Kmdf, Self::NetAdapterCx];

    /// The component's name, as it binds and as it heads its list in `OFFERS.md`.
    #[must_use]
    pub const fn component(self) -> &'static str {
        match self {
            Self::Kmdf => "KmdfLibrary",
            Self::NetAdapterCx => "NetAdapterCx",
        }
    }

    /// The name of a function of its table.
    #[must_use]
    pub fn function(self, index: usize) -> Option<&'static str> {
        match self {
            Self::Kmdf => wdk_offline::FUNCTION_NAMES.get(index).copied(),
            Self::NetAdapterCx => netadaptercx_sys::NET_FUNCTION_NAMES.get(index).copied(),
        }
    }

    /// The sizes of the structure's two forms.
    const fn sizes(self) -> [u32; 2] {
        match self {
            Self::Kmdf => [0x30, 0x58],
            Self::NetAdapterCx => [0x50, 0x78],
        }
    }
}

/// Where an image keeps what it gets of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Table {
    /// The address of a pointer to the table.
    Pointer(u64),
    /// The address of the table.
    Array(u64),
}

/// A framework that an image binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The framework.
    pub framework: Framework,
    /// Size of the bind structure, which tells its form.
    pub size: u32,
    /// Major version asked for.
    pub major: u32,
    /// Minor version asked for.
    pub minor: u32,
    /// Build asked for; 0 in a released version.
    pub build: u32,
    /// Functions that the driver knows.
    pub functions: u32,
    pub(crate) table: Table,
}

impl Binding {
    /// `KmdfLibrary 1.31`, as a section of `OFFERS.md` is headed.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} {}.{}", self.framework.component(), self.major, self.minor)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Most bindings that are read. A driver binds KMDF and a few class extensions; for each the code is read once.
const MOST: usize = 8;

/// The bindings of an image, in the order of their structures, [`MOST`] at most.
#[must_use]
pub fn bindings(image: &Image) -> Vec<Binding> {
    let names = Framework::ALL.map(|framework| {
        let units = framework.component().encode_utf16().chain([0]);
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    });
    let structures = image
        .sections
        .iter()
        .map(|section| image.bytes(section))
        .flat_map(|bytes| (0..bytes.len()).step_by(8).map(move |at| &bytes[at..]));
    structures
        .filter_map(|bytes| {
            let named = image.at(u64_at(bytes, 8).filter(|&name| name != 0)?)?;
            let which = names.iter().position(|name| named.starts_with(name))?;
            read(bytes, Framework::ALL[which], image)
        })
        .take(MOST)
        .collect()
}

/// The structure at the beginning of `bytes`.
fn read(bytes: &[u8], framework: Framework, image: &Image) -> Option<Binding> {
    let size = u32_at(bytes, 0).filter(|size| framework.sizes().contains(size))?;
    let word = |at| u32_at(bytes, at);
    let (major, minor, build) = (word(0x10)?, word(0x14)?, word(0x18)?);
    let address = u64_at(bytes, 0x20)?;
    // the count comes before the table's address in the one, behind it in the other
    let functions = word(if framework == Framework::Kmdf { 0x1c } else { 0x28 })?;
    // an older driver has an array of its own, as a class extension's client has
    let is_pointer = framework == Framework::Kmdf && functions > KMDF_MOST_COPIED;
    let table = if is_pointer { Table::Pointer(address) } else { Table::Array(address) };
    let inside = address.checked_sub(image.base).and_then(|offset| u32::try_from(offset).ok())?;
    image.sections.iter().find(|section| section.place.contains(&inside))?;
    Some(Binding { framework, size, major, minor, build, functions, table })
}
