//! The catalog of a driver package: a certificate trust list whose members are the package's files.
//!
//! The structure is the one of Inf2Cat's "version 2" catalogs, which Windows has read since 8: each file is a
//! member twice, under its SHA-256 and its SHA-1, in the order of these; the hash of a driver image is its
//! Authenticode hash, that of any other file is over its bytes.

use der::{
    Any, DateTime, Encode as _, Sequence, ValueOrd,
    asn1::{BmpString, Null, ObjectIdentifier, OctetString, SetOfVec, UtcTime},
};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::{
    Inf, TestCertificate,
    authenticode::{self, ImageFault, IndirectData, Subject, context},
    oid,
    signature::{self, SignFault},
};

/// The Windows versions that the package is for, in Inf2Cat's names: Windows 11 21H2 to 24H2, which 25H2 shares its name
/// with; Server 2022 (build 20348, the oldest that the NIC's INF takes) and Server 2025. x64 all.
pub const OS: &str = "_v100_X64_21H2,_v100_X64_22H2,_v100_X64_24H2,Server_v100_X64_21H2,\
                      Server_v100_X64_24H2";
/// What each member says of Windows' version: platform 2 (NT), version 10.0, which all of [`OS`] carry.
pub const OS_VERSION: &str = "2:10.0";

/// CRYPTCAT_ATTR_AUTHENTICATED, CRYPTCAT_ATTR_DATAASCII, CRYPTCAT_ATTR_NAMEASCII: a plain string, signed.
const PLAIN_STRING: u32 = 0x1001_0001;

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogFault {
    /// A file that the INF names was not given.
    #[error("the INF names {0}, which is not in the package")]
    Missing(String),
    /// A file that the INF does not name.
    #[error("{0} is in the package, but the INF does not name it")]
    Unnamed(String),
    /// A driver image has no hash.
    #[error("{name}: {fault}")]
    Image {
        /// Name of the file.
        name: String,
        /// Why.
        fault: ImageFault,
    },
    /// A structure could not be encoded.
    #[error("encoding the catalog: {0}")]
    Encoding(#[from] der::Error),
    /// The signature could not be made.
    #[error(transparent)]
    Signing(#[from] SignFault),
}

/// `CertificateTrustList` with the fields that a catalog uses.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct TrustList {
    subject_usage: Vec<ObjectIdentifier>,
    list_identifier: OctetString,
    this_update: UtcTime,
    subject_algorithm: AlgorithmIdentifierOwned,
    trusted_subjects: Vec<TrustedSubject>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct TrustedSubject {
    identifier: OctetString,
    attributes: SetOfVec<Attribute>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
struct Attribute {
    kind: ObjectIdentifier,
    values: SetOfVec<Any>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Extension {
    kind: ObjectIdentifier,
    value: OctetString,
}

/// `CatalogNameValue`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct NameValue {
    name: BmpString,
    flags: u32,
    value: OctetString,
}

/// An unsigned catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog(TrustList);

/// What a file of the package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image,
    Flat,
}

impl Kind {
    fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        match extension.as_deref() {
            Some("sys" | "dll" | "exe") => Self::Image,
            _ => Self::Flat,
        }
    }

    fn subject(self) -> Subject {
        match self {
            Self::Image => Subject::ImageInCatalog,
            Self::Flat => Subject::Flat,
        }
    }

    /// `CatalogMemberInfo2`: 0 for a PE image, 2 for a flat file.
    fn member_info(self) -> der::Result<Any> {
        let number = match self {
            Self::Image => 0,
            Self::Flat => 2,
        };
        context(number, false, Vec::new())
    }
}

impl Catalog {
    /// The catalog of the package of `inf`. `files` are all its files, the INF itself among them, by name.
    ///
    /// # Errors
    /// If a file is missing, is one too many, or has no hash.
    pub fn of(inf: &Inf, inf_name: &str, files: &[(&str, &[u8])]) -> Result<Self, CatalogFault> {
        let wanted = || inf.files.iter().map(String::as_str).chain([inf_name]);
        if let Some(missing) = wanted().find(|wanted| !files.iter().any(|(name, _)| same(name, wanted))) {
            return Err(CatalogFault::Missing(missing.to_owned()));
        }
        if let Some((unnamed, _)) = files.iter().find(|(name, _)| !wanted().any(|wanted| same(name, wanted)))
        {
            return Err(CatalogFault::Unnamed((*unnamed).to_owned()));
        }

        let mut members = Vec::new();
        for (name, bytes) in files {
            let (sha256, sha1) = hashes(name, bytes)?;
            members.push(member(name, &sha256, true)?);
            members.push(member(name, &sha1, false)?);
        }
        members.sort_by(|one, other| one.identifier.as_bytes().cmp(other.identifier.as_bytes()));

        let mut extensions = vec![extension("OS", OS)?];
        for (index, id) in inf.hardware_ids.iter().enumerate().rev() {
            extensions.push(extension(&format!("HWID{}", index + 1), id)?);
        }
        let (year, month, day) = inf.date;
        Ok(Self(TrustList {
            subject_usage: vec![oid::CATALOG_LIST],
            list_identifier: OctetString::new(list_identifier(&members)?)?,
            this_update: UtcTime::from_date_time(DateTime::new(year, month, day, 0, 0, 0)?)?,
            subject_algorithm: AlgorithmIdentifierOwned {
                oid: oid::CATALOG_LIST_MEMBER2,
                parameters: Some(Any::from(Null)),
            },
            trusted_subjects: members,
            extensions,
        }))
    }

    /// The signed catalog: what a `.cat` file holds.
    ///
    /// # Errors
    /// If an encoder or the key refuses.
    pub fn signed(&self, certificate: &TestCertificate) -> Result<Vec<u8>, CatalogFault> {
        Ok(signature::sign(oid::CTL, &self.0, certificate)?)
    }
}

/// Windows' file names do not depend on case.
fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// SHA-256 and SHA-1 of a file, as a catalog has them.
fn hashes(name: &str, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>), CatalogFault> {
    let of_image = |fault| CatalogFault::Image { name: name.to_owned(), fault };
    Ok(match Kind::of(name) {
        Kind::Image => (
            authenticode::hash::<Sha256>(bytes).map_err(of_image)?.to_vec(),
            authenticode::hash::<Sha1>(bytes).map_err(of_image)?.to_vec(),
        ),
        Kind::Flat => (Sha256::digest(bytes).to_vec(), Sha1::digest(bytes).to_vec()),
    })
}

/// A member under one of its hashes. Only the SHA-256 one says how the hash was made.
fn member(name: &str, hash: &[u8], sha256: bool) -> der::Result<TrustedSubject> {
    let kind = Kind::of(name);
    let mut attributes = vec![
        attribute(oid::CAT_MEMBERINFO2, kind.member_info()?)?,
        attribute(oid::CAT_NAMEVALUE, Any::encode_from(&named("OSAttr", OS_VERSION)?)?)?,
        attribute(oid::CAT_NAMEVALUE, Any::encode_from(&named("File", name)?)?)?,
    ];
    if sha256 {
        let data = IndirectData::new(kind.subject(), hash)?;
        attributes.push(attribute(oid::SPC_INDIRECT_DATA, Any::encode_from(&data)?)?);
    }
    Ok(TrustedSubject { identifier: OctetString::new(hash)?, attributes: attributes.try_into()? })
}

fn attribute(kind: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute { kind, values: vec![value].try_into()? })
}

fn extension(name: &str, value: &str) -> der::Result<Extension> {
    let value = OctetString::new(named(name, value)?.to_der()?)?;
    Ok(Extension { kind: oid::CAT_NAMEVALUE, value })
}

/// A named string; its value is UTF-16, little endian, and ends with a zero.
fn named(name: &str, value: &str) -> der::Result<NameValue> {
    let value: Vec<u8> = value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    Ok(NameValue { name: BmpString::from_utf8(name)?, flags: PLAIN_STRING, value: OctetString::new(value)? })
}

/// Sixteen bytes that name the list; Inf2Cat takes a random GUID, here they come from the members.
fn list_identifier(members: &[TrustedSubject]) -> der::Result<Vec<u8>> {
    let mut hash = Sha256::new();
    for member in members {
        hash.update(member.to_der()?);
    }
    Ok(hash.finalize()[..16].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: [u8; 32] = [0x5a; 32];
    const SHA1: [u8; 20] = [0x5a; 20];

    fn hexadecimal(member: &TrustedSubject) -> String {
        member.to_der().expect("DER").iter().map(|byte| format!("{byte:02x}")).collect()
    }

    // The four kinds of member as Inf2Cat encoded them for a driver that Microsoft signed, with the file's name and
    // hash replaced.

    #[test]
    fn an_image_by_sha256_is_encoded_as_inf2cat_does() {
        let expected = "3082010804205a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a3181e33010060a\
            2b0601040182370c0203310280003034060a2b0601040182370c0201312630241e0c004f005300410074007400720204\
            10010001040e32003a00310030002e0030000000303a060a2b0601040182370c0201312c302a1e0800460069006c0065\
            02041001000104186500780061006d0070006c0065002e007300790073000000305d060a2b0601040182370201043\
            14f304d3018060a2b06010401823702010f300a030205a0a004a20280003031300d060960864801650304020105000420\
            5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
        assert_eq!(hexadecimal(&member("example.sys", &SHA256, true).expect("a member")), expected);
    }

    #[test]
    fn an_inf_by_sha256_is_encoded_as_inf2cat_does() {
        let expected = "3082010004205a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a3181db3010060a\
            2b0601040182370c0203310282003034060a2b0601040182370c0201312630241e0c004f005300410074007400720204\
            10010001040e32003a00310030002e0030000000303a060a2b0601040182370c0201312c302a1e0800460069006c0065\
            02041001000104186500780061006d0070006c0065002e0069006e006600000030550\
            60a2b060104018237020104314730453010060a2b060104018237020119a20280003031300d060960864801650304020105000420\
            5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
        assert_eq!(hexadecimal(&member("example.inf", &SHA256, true).expect("a member")), expected);
    }

    #[test]
    fn an_image_by_sha1_is_encoded_as_inf2cat_does() {
        let expected = "30819d04145a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a3181843010060a2b0601040182370c0203310280\
            003034060a2b0601040182370c0201312630241e0c004f00530041007400740072020410010001040e32003a00310030\
            002e0030000000303a060a2b0601040182370c0201312c302a1e0800460069006c006502041001000104186500780061\
            006d0070006c0065002e007300790073000000";
        assert_eq!(hexadecimal(&member("example.sys", &SHA1, false).expect("a member")), expected);
    }

    #[test]
    fn an_inf_by_sha1_is_encoded_as_inf2cat_does() {
        let expected = "30819d04145a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a3181843010060a2b0601040182370c0203310282\
            003034060a2b0601040182370c0201312630241e0c004f00530041007400740072020410010001040e32003a00310030\
            002e0030000000303a060a2b0601040182370c0201312c302a1e0800460069006c006502041001000104186500780061\
            006d0070006c0065002e0069006e0066000000";
        assert_eq!(hexadecimal(&member("example.inf", &SHA1, false).expect("a member")), expected);
    }

    fn inf() -> Inf {
        Inf {
            class: "Net".to_owned(),
            catalog: "one.cat".to_owned(),
            date: (2026, 11, 21),
            files: vec!["One.txt".to_owned()],
            hardware_ids: vec!["pci\\one".to_owned(), "root\\two".to_owned()],
        }
    }

    #[test]
    fn members_stand_in_the_order_of_their_hashes() {
        let Catalog(list) =
            Catalog::of(&inf(), "one.inf", &[("one.txt", b"text"), ("one.inf", b"inf")]).expect("a catalog");
        let hashes: Vec<_> =
            list.trusted_subjects.iter().map(|member| member.identifier.as_bytes()).collect();
        assert_eq!(hashes.len(), 4);
        assert!(hashes.is_sorted(), "{hashes:x?}");
    }

    #[test]
    fn a_file_that_the_inf_names_is_missed() {
        let fault = Catalog::of(&inf(), "one.inf", &[("one.inf", b"inf")]).expect_err("one.txt is missing");
        assert!(matches!(&fault, CatalogFault::Missing(name) if name == "One.txt"), "{fault}");
    }

    #[test]
    fn a_file_that_the_inf_does_not_name_is_refused() {
        let files: [(&str, &[u8]); 3] = [("one.inf", b"inf"), ("one.txt", b"text"), ("two.txt", b"text")];
        let fault = Catalog::of(&inf(), "one.inf", &files).expect_err("two.txt is nobody's");
        assert!(matches!(&fault, CatalogFault::Unnamed(name) if name == "two.txt"), "{fault}");
    }

    #[test]
    fn a_driver_that_is_no_image_is_refused() {
        let inf = Inf { files: vec!["one.sys".to_owned()], ..inf() };
        let fault =
            Catalog::of(&inf, "one.inf", &[("one.inf", b"inf"), ("one.sys", b"text")]).expect_err("a text");
        assert!(matches!(&fault, CatalogFault::Image { name, .. } if name == "one.sys"), "{fault}");
    }
}
