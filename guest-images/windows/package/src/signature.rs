//! PKCS #7 signed data as Windows expects it around a catalog or in an image.

use cms::{
    cert::{CertificateChoices, IssuerAndSerialNumber},
    content_info::{CmsVersion, ContentInfo},
    signed_data::{
        CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
    },
};
use der::{
    Any, Encode as _, EncodeValue, Sequence, Tag, Tagged,
    asn1::{Null, ObjectIdentifier, OctetString, SetOfVec},
};
use rsa::signature::{SignatureEncoding as _, Signer as _};
use sha2::{Digest as _, Sha256};
use x509_cert::{attr::Attribute, spki::AlgorithmIdentifierOwned};

use crate::{TestCertificate, oid};

/// `SpcStatementType`.
#[derive(Sequence)]
struct StatementType {
    purpose: ObjectIdentifier,
}

/// Why nothing could be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignFault {
    /// A structure could not be encoded.
    #[error("encoding the signature: {0}")]
    Encoding(#[from] der::Error),
    /// The key refused.
    #[error("signing: {0}")]
    Signing(#[from] rsa::signature::Error),
}

/// SHA-256 with NULL parameters, as Windows writes it.
pub(crate) fn sha256_algorithm() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: oid::SHA256, parameters: Some(Any::from(Null)) }
}

/// DER of the signed data around `content`, which is of the type `content_type` and encodes as a SEQUENCE.
pub(crate) fn sign(
    content_type: ObjectIdentifier,
    content: &(impl EncodeValue + Tagged),
    certificate: &TestCertificate,
) -> Result<Vec<u8>, SignFault> {
    let content = Any::encode_from(content)?;
    // PKCS #7, section 9.3: the digest is of the content's octets, not of its tag and length
    let digest = Sha256::digest(content.value());
    let signed_attributes: SetOfVec<Attribute> = vec![
        attribute(oid::CONTENT_TYPE, Any::encode_from(&content_type)?)?,
        attribute(oid::MESSAGE_DIGEST, Any::encode_from(&OctetString::new(digest.as_slice())?)?)?,
        attribute(oid::SPC_SP_OPUS_INFO, Any::new(Tag::Sequence, Vec::new())?)?,
        attribute(
            oid::SPC_STATEMENT_TYPE,
            Any::encode_from(&StatementType { purpose: oid::SPC_INDIVIDUAL_SP_KEY_PURPOSE })?,
        )?,
    ]
    .try_into()?;
    let signature = certificate.signing_key().try_sign(&signed_attributes.to_der()?)?;

    let public = certificate.certificate().tbs_certificate();
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: public.issuer().clone(),
            serial_number: public.serial_number().clone(),
        }),
        digest_alg: sha256_algorithm(),
        signed_attrs: Some(signed_attributes),
        signature_algorithm: AlgorithmIdentifierOwned {
            oid: oid::RSA_ENCRYPTION,
            parameters: Some(Any::null()),
        },
        signature: OctetString::new(signature.to_vec())?,
        unsigned_attrs: None,
    };
    let signed = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: vec![sha256_algorithm()].try_into()?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: content_type, econtent: Some(content) },
        certificates: Some(CertificateSet::try_from(vec![CertificateChoices::Certificate(
            certificate.certificate().clone(),
        )])?),
        crls: None,
        signer_infos: SignerInfos::try_from(vec![signer])?,
    };
    let wrapped = ContentInfo { content_type: oid::SIGNED_DATA, content: Any::encode_from(&signed)? };
    Ok(wrapped.to_der()?)
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: vec![value].try_into()? })
}
