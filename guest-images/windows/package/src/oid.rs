//! Object identifiers of Authenticode and of catalogs, by the names that Windows' headers give them.

use der::asn1::ObjectIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// PKCS #7 signed data.
pub(crate) const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
/// PKCS #9 content type, a signed attribute.
pub(crate) const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
/// PKCS #9 message digest, a signed attribute.
pub(crate) const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
/// PKCS #1 RSA.
pub(crate) const RSA_ENCRYPTION: ObjectIdentifier = oid("1.2.840.113549.1.1.1");
/// SHA-256.
pub(crate) const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");

/// id-kp-codeSigning: an extended key usage.
pub(crate) const CODE_SIGNING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.3");

/// szOID_CTL: a certificate trust list.
pub(crate) const CTL: ObjectIdentifier = oid("1.3.6.1.4.1.311.10.1");
/// szOID_CATALOG_LIST: what the trust list of a catalog is used for.
pub(crate) const CATALOG_LIST: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.1.1");
/// szOID_CATALOG_LIST_MEMBER2: members are named by their raw hash, SHA-1 or SHA-256.
pub(crate) const CATALOG_LIST_MEMBER2: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.1.3");
/// CAT_NAMEVALUE_OBJID: a named string.
pub(crate) const CAT_NAMEVALUE: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.2.1");
/// CAT_MEMBERINFO2_OBJID: the kind of a member.
pub(crate) const CAT_MEMBERINFO2: ObjectIdentifier = oid("1.3.6.1.4.1.311.12.2.3");

/// SPC_INDIRECT_DATA_OBJID: a hash of something that stands elsewhere.
pub(crate) const SPC_INDIRECT_DATA: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.4");
/// SPC_STATEMENT_TYPE_OBJID: a signed attribute.
pub(crate) const SPC_STATEMENT_TYPE: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.11");
/// SPC_SP_OPUS_INFO_OBJID: a signed attribute.
pub(crate) const SPC_SP_OPUS_INFO: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.12");
/// SPC_PE_IMAGE_DATA_OBJID: the hash is that of a PE image.
pub(crate) const SPC_PE_IMAGE_DATA: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.15");
/// SPC_INDIVIDUAL_SP_KEY_PURPOSE_OBJID: an individual's statement.
pub(crate) const SPC_INDIVIDUAL_SP_KEY_PURPOSE: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.21");
/// SPC_CAB_DATA_OBJID: the hash is that of a file's plain bytes.
pub(crate) const SPC_CAB_DATA: ObjectIdentifier = oid("1.3.6.1.4.1.311.2.1.25");
