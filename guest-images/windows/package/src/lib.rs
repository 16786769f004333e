//! What Windows needs to take a driver that nobody certified: a catalog of the package's files, a test
//! certificate, and the certificate's signature over the catalog or in the image itself.
//!
//! 1. [`Inf::parse`] reads from a driver's INF which files belong to it and which hardware it serves.
//! 2. [`Catalog::of`] hashes those files; its structure is the one that Microsoft's Inf2Cat writes.
//! 3. [`TestCertificate::generate`] makes key and certificate once; [`Catalog::signed`] signs with it.
//! 4. [`authenticode::embed`] is the other way: the signature goes into the image, whose bytes then change.
//!
//! The same files, certificate and key give the same bytes. This crate knows no folder and no Windows API.

pub mod authenticode;
mod catalog;
mod certificate;
mod inf;
mod oid;
mod signature;

pub use catalog::{Catalog, CatalogFault, OS, OS_VERSION};
pub use certificate::{CertificateFault, TestCertificate, VALID_FROM, VALID_TO};
pub use inf::{Inf, InfFault};
pub use signature::SignFault;
