//! Authenticode of PE images: the hash that leaves out what signing changes, and the signature in the image.

use der::{
    Any, Encode as _, Sequence, Tag, TagNumber,
    asn1::{BitString, ObjectIdentifier, OctetString},
};
use object::{
    pe::{IMAGE_DIRECTORY_ENTRY_SECURITY, ImageNtHeaders64},
    read::pe::ImageNtHeaders as _,
};
use sha2::{Digest, Sha256, digest::Output};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::{
    TestCertificate, oid,
    signature::{self, SignFault},
};

/// Attribute certificates stand on multiples of this many bytes.
const ALIGNMENT: usize = 8;
/// Bytes before the signature in an attribute certificate: length, revision, kind.
const CERTIFICATE_HEADER: usize = 8;
/// WIN_CERT_REVISION_2_0 and WIN_CERT_TYPE_PKCS_SIGNED_DATA.
const CERTIFICATE_KIND: [u8; 4] = [0x00, 0x02, 0x02, 0x00];

/// Why an image has no Authenticode hash.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageFault {
    /// The headers cannot be read.
    #[error("not a 64-bit PE image: {0}")]
    Malformed(String),
    /// Windows and other programs disagree on such an image's hash.
    #[error("{0} bytes long, which is no multiple of {ALIGNMENT}: its hash would depend on who pads it")]
    Unaligned(usize),
    /// The image has a signature, which is not at its end.
    #[error("the signature at {at:#x}, {size:#x} bytes long, does not end the file of {length:#x} bytes")]
    Certificates {
        /// Offset in the file.
        at: usize,
        /// Its size.
        size: usize,
        /// Size of the file.
        length: usize,
    },
}

/// Why an image takes no signature.
#[derive(Debug, thiserror::Error)]
pub enum EmbedFault {
    /// The image has no hash.
    #[error(transparent)]
    Image(#[from] ImageFault),
    /// One signature only, and the image carries it already.
    #[error("the image carries a signature already")]
    Signed,
    /// The signature could not be made.
    #[error(transparent)]
    Signing(#[from] SignFault),
}

impl From<object::Error> for ImageFault {
    fn from(error: object::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// Offsets in the file of what the hash leaves out.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// The checksum, 4 bytes.
    checksum: usize,
    /// The data directory entry that points to the attribute certificates, 8 bytes.
    entry: usize,
    /// Where the attribute certificates start, or the file's end.
    end: usize,
}

impl Layout {
    fn of(image: &[u8]) -> Result<Self, ImageFault> {
        let mut offset = u64::from(object::pe::ImageDosHeader::parse(image)?.nt_headers_offset());
        let headers_at = offset as usize;
        let (headers, directories) = ImageNtHeaders64::parse(image, &mut offset)?;
        // signature, file header; the checksum stands 64 bytes into the optional header, the directories
        // end it (PE format, "Optional Header")
        let optional = headers_at + 4 + 20;
        let first_directory = optional + size_of_val(headers.optional_header());
        let entry = first_directory + IMAGE_DIRECTORY_ENTRY_SECURITY * 8;
        let length = image.len();
        let end = match directories.iter().nth(IMAGE_DIRECTORY_ENTRY_SECURITY) {
            None => {
                return Err(ImageFault::Malformed("it has no directory entry for certificates".to_owned()));
            }
            Some(certificates) => {
                // this one directory holds an offset in the file, not an address
                let (at, size) = certificates.address_range();
                let (at, size) = (at as usize, size as usize);
                if size == 0 {
                    length
                } else if at.checked_add(size) == Some(length) && at >= entry + 8 {
                    at
                } else {
                    return Err(ImageFault::Certificates { at, size, length });
                }
            }
        };
        if !end.is_multiple_of(ALIGNMENT) {
            return Err(ImageFault::Unaligned(end));
        }
        Ok(Self { checksum: optional + 64, entry, end })
    }
}

/// The Authenticode hash: of the whole image but its checksum, its pointer to a signature, and the signature.
///
/// # Errors
/// If `image` is no 64-bit PE image, or one whose hash is not well defined.
pub fn hash<D: Digest>(image: &[u8]) -> Result<Output<D>, ImageFault> {
    let layout = Layout::of(image)?;
    let mut hash = D::new();
    hash.update(&image[..layout.checksum]);
    hash.update(&image[layout.checksum + 4..layout.entry]);
    hash.update(&image[layout.entry + 8..layout.end]);
    Ok(hash.finalize())
}

/// `SpcIndirectDataContent`: what a signature or a catalog's member says of a file.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct IndirectData {
    data: TypeAndValue,
    message_digest: DigestInfo,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct TypeAndValue {
    kind: ObjectIdentifier,
    value: Any,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct DigestInfo {
    algorithm: AlgorithmIdentifierOwned,
    digest: OctetString,
}

/// `SpcPeImageData`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct PeImageData {
    flags: BitString,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    file: Any,
}

/// The file that a hash is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A PE image, as Inf2Cat names it in a catalog: resources and import table are part of the hash.
    ImageInCatalog,
    /// A PE image, as SignTool names it in the image's own signature: no parts are singled out.
    ImageItself,
    /// The plain bytes of any other file.
    Flat,
}

impl IndirectData {
    pub(crate) fn new(subject: Subject, sha256: &[u8]) -> der::Result<Self> {
        let (kind, value) = match subject {
            // SpcPeImageFlags includeResources (0) and includeImportAddressTable (2)
            Subject::ImageInCatalog => (oid::SPC_PE_IMAGE_DATA, pe_image_data(5, &[0xa0])?),
            Subject::ImageItself => (oid::SPC_PE_IMAGE_DATA, pe_image_data(0, &[])?),
            Subject::Flat => (oid::SPC_CAB_DATA, empty_link()?),
        };
        Ok(Self {
            data: TypeAndValue { kind, value },
            message_digest: DigestInfo {
                algorithm: signature::sha256_algorithm(),
                digest: OctetString::new(sha256)?,
            },
        })
    }
}

fn pe_image_data(unused: u8, flags: &[u8]) -> der::Result<Any> {
    Any::encode_from(&PeImageData { flags: BitString::new(unused, flags)?, file: empty_link()? })
}

/// `SpcLink` with the choice file, an empty Unicode string: `a2 02 80 00`.
fn empty_link() -> der::Result<Any> {
    let string = context(0, false, Vec::new())?;
    context(2, true, string.to_der()?)
}

/// An element `[number]` with its content's bytes.
pub(crate) fn context(number: u32, constructed: bool, content: Vec<u8>) -> der::Result<Any> {
    Any::new(Tag::ContextSpecific { constructed, number: TagNumber(number) }, content)
}

/// The image with a signature of its own, and with the checksum that then is right.
///
/// Its Authenticode hash is that of the unsigned image, so a catalog of either holds for both.
///
/// # Errors
/// If `image` is no 64-bit PE image, or is signed already.
pub fn embed(image: &[u8], certificate: &TestCertificate) -> Result<Vec<u8>, EmbedFault> {
    let layout = Layout::of(image)?;
    if layout.end != image.len() {
        return Err(EmbedFault::Signed);
    }
    let content =
        IndirectData::new(Subject::ImageItself, &hash::<Sha256>(image)?).map_err(SignFault::from)?;
    let signed = signature::sign(oid::SPC_INDIRECT_DATA, &content, certificate)?;
    // padded with zeros, length field included, as SignTool does; the signature says its own length
    let size = (CERTIFICATE_HEADER + signed.len()).next_multiple_of(ALIGNMENT);
    let mut out = image.to_vec();
    out.extend((size as u32).to_le_bytes());
    out.extend(CERTIFICATE_KIND);
    out.extend(&signed);
    out.resize(layout.end + size, 0);
    out[layout.entry..layout.entry + 4].copy_from_slice(&(layout.end as u32).to_le_bytes());
    out[layout.entry + 4..layout.entry + 8].copy_from_slice(&(size as u32).to_le_bytes());
    let sum = checksum(&out, layout.checksum);
    out[layout.checksum..layout.checksum + 4].copy_from_slice(&sum.to_le_bytes());
    Ok(out)
}

/// The checksum that the kernel computes: the sum of 16-bit words with the carry folded in, the 4-byte checksum
/// field at `field` taken as 0, plus the file's length.
pub fn checksum(image: &[u8], field: usize) -> u32 {
    let words = image.chunks(2).enumerate().filter(|(index, _)| !(field..field + 4).contains(&(index * 2)));
    let sum = words.fold(0u32, |sum, (_, pair)| {
        let word = u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let sum = sum + u32::from(word);
        (sum & 0xffff) + (sum >> 16)
    });
    sum + image.len() as u32
}
