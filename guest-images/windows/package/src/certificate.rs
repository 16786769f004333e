//! The test certificate: made once, kept by whoever calls, trusted only where somebody installs it.

use std::{str::FromStr as _, time::Duration};

use der::{DecodePem as _, Encode as _, EncodePem as _, asn1::UtcTime, pem::LineEnding};
use getrandom::SysRng;
use rsa::{
    PrivateKey,
    pkcs1v15::SigningKey,
    pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _},
    rand_core::UnwrapErr,
    signature::Keypair as _,
};
use sha2::Sha256;
use x509_cert::{
    Certificate,
    builder::{self, Builder as _, CertificateBuilder, profile::BuilderProfile},
    certificate::TbsCertificate,
    ext::{
        Extension, ToExtension as _,
        pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectKeyIdentifier},
    },
    name::Name,
    serial_number::SerialNumber,
    spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef},
    time::{Time, Validity},
};

use crate::oid;

/// First second of the certificate's validity, in seconds since 1970: 2020-01-01. A guest's clock may be wrong.
pub const VALID_FROM: u64 = 1_577_836_800;
/// Last second of its validity: 2049-12-31 23:59:59, the last that UTCTime can say. Nothing is time-stamped, so
/// the signatures end with the certificate.
pub const VALID_TO: u64 = 2_524_607_999;

/// Issuer and subject.
const NAME: &str = "CN=cancelnic test signing";
/// Modulus of the key. Windows' kernel takes RSA only, of 2048 bits or more.
const KEY_BITS: usize = 2048;
/// Bytes of the serial number; random, so that two machines' certificates can be told apart.
const SERIAL_BYTES: usize = 16;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// The key could not be made.
    #[error("making an RSA key: {0}")]
    Key(#[from] rsa::Error),
    /// The certificate could not be made.
    #[error("making a certificate: {0}")]
    Certificate(#[from] builder::Error),
    /// A certificate or key cannot be read or written.
    #[error("certificate: {0}")]
    Encoding(#[from] der::Error),
    /// A key cannot be read or written.
    #[error("private key: {0}")]
    KeyEncoding(#[from] rsa::pkcs8::Error),
    /// The certificate is that of another key.
    #[error("the certificate does not belong to the private key")]
    Mismatch,
}

/// A self-signed code signing certificate with its key.
#[derive(Clone, Debug)]
pub struct TestCertificate {
    key: SigningKey<Sha256>,
    certificate: Certificate,
}

impl TestCertificate {
    /// A new key and its certificate. Takes a second or so.
    ///
    /// # Errors
    /// If an encoder refuses, which none does for these values.
    ///
    /// # Panics
    /// If the system has no random numbers.
    pub fn generate() -> Result<Self, CertificateFault> {
        let mut random = UnwrapErr(SysRng);
        let key = SigningKey::<Sha256>::new(PrivateKey::new(&mut random, KEY_BITS)?);
        let serial = SerialNumber::generate_with_prefix(&[1], SERIAL_BYTES, &mut random)?;
        let validity = Validity::new(time(VALID_FROM)?, time(VALID_TO)?);
        let public = SubjectPublicKeyInfo::from_key(&key.verifying_key()).map_err(builder::Error::from)?;
        let profile = CodeSigning { name: Name::from_str(NAME)? };
        let certificate = CertificateBuilder::new(profile, serial, validity, public)?
            .build::<_, rsa::pkcs1v15::Signature>(&key)?;
        Ok(Self { key, certificate })
    }

    /// Takes up what [`Self::to_pem`] gave.
    ///
    /// # Errors
    /// If the text is no PKCS #8 key followed by a certificate, or the two do not belong together.
    pub fn from_pem(text: &str) -> Result<Self, CertificateFault> {
        let begin = text.find("-----BEGIN CERTIFICATE-----").ok_or(CertificateFault::Mismatch)?;
        let (key, certificate) = text.split_at(begin);
        let key = SigningKey::<Sha256>::new(PrivateKey::from_pkcs8_pem(key)?);
        let certificate = Certificate::from_pem(certificate.trim())?;
        let public = SubjectPublicKeyInfo::from_key(&key.verifying_key()).map_err(builder::Error::from)?;
        if certificate.tbs_certificate().subject_public_key_info() != &public {
            return Err(CertificateFault::Mismatch);
        }
        Ok(Self { key, certificate })
    }

    /// The key, unencrypted, and the certificate, as PEM.
    ///
    /// # Errors
    /// If an encoder refuses.
    pub fn to_pem(&self) -> Result<String, CertificateFault> {
        let key: &PrivateKey = self.key.as_ref();
        let mut text = key.to_pkcs8_pem(LineEnding::LF)?.to_string();
        text.push_str(&self.certificate.to_pem(LineEnding::LF)?);
        Ok(text)
    }

    /// The certificate alone as DER: what a `.cer` file holds.
    ///
    /// # Errors
    /// If the encoder refuses.
    pub fn to_der(&self) -> Result<Vec<u8>, CertificateFault> {
        Ok(self.certificate.to_der()?)
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(crate) fn signing_key(&self) -> &SigningKey<Sha256> {
        &self.key
    }
}

fn time(seconds: u64) -> der::Result<Time> {
    Ok(Time::UtcTime(UtcTime::from_unix_duration(Duration::from_secs(seconds))?))
}

/// An end certificate that is its own issuer: it may sign code, and no other certificate.
struct CodeSigning {
    name: Name,
}

impl BuilderProfile for CodeSigning {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.name.clone()
    }

    fn get_subject(&self) -> Name {
        self.name.clone()
    }

    fn build_extensions(
        &self,
        public: SubjectPublicKeyInfoRef<'_>,
        _issuer: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let subject = tbs.subject();
        let mut extensions = Vec::new();
        let constraints = BasicConstraints { ca: false, path_len_constraint: None };
        extensions.push(constraints.to_extension(subject, &extensions)?);
        extensions.push(KeyUsage(KeyUsages::DigitalSignature.into()).to_extension(subject, &extensions)?);
        extensions.push(ExtendedKeyUsage(vec![oid::CODE_SIGNING]).to_extension(subject, &extensions)?);
        extensions.push(SubjectKeyIdentifier::try_from(public)?.to_extension(subject, &extensions)?);
        Ok(extensions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_survives_being_kept_as_text() {
        let made = TestCertificate::generate().expect("a certificate");
        let kept = TestCertificate::from_pem(&made.to_pem().expect("text")).expect("the same certificate");
        assert_eq!(made.to_der().expect("DER"), kept.to_der().expect("DER"));
        assert_eq!(made.to_pem().expect("text"), kept.to_pem().expect("text"));
    }

    #[test]
    fn another_keys_certificate_is_refused() {
        let [one, other] =
            [(); 2].map(|()| TestCertificate::generate().and_then(|made| made.to_pem()).expect("text"));
        let at = |text: &str| text.find("-----BEGIN CERTIFICATE-----").expect("a certificate");
        let mixed = [&one[..at(&one)], &other[at(&other)..]].concat();
        assert!(matches!(TestCertificate::from_pem(&mixed), Err(CertificateFault::Mismatch)));
    }
}
