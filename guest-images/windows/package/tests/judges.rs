//! The catalog and the signatures before independent judges: OpenSSL and osslsigncode.
//!
//! A judge that is not installed is named on standard error and its test proves nothing then; where
//! `CANCELNIC_JUDGES` is set, its absence is a failure.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::LazyLock,
};

use driver_package::{Catalog, Inf, TestCertificate, authenticode};
use sha2::{Digest as _, Sha256};

const INF: &str = "[Version]\r\nClass = Net\r\nDriverVer = 11/21/2026,0.1.0.0\r\nCatalogFile = example.cat\r\n\
    [SourceDisksFiles]\r\nexample.sys = 1\r\n[Manufacturer]\r\nus = Models, NTamd64\r\n\
    [Models.NTamd64]\r\nit = Install, PCI\\VEN_1AF4&DEV_1041\r\n";

static CERTIFICATE: LazyLock<TestCertificate> =
    LazyLock::new(|| TestCertificate::generate().expect("a certificate"));

/// A 64-bit driver image with one section; nothing in it would run.
fn image() -> Vec<u8> {
    let mut image = vec![0u8; 0x400];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40u32.to_le_bytes());
    put(0x40, b"PE\0\0");
    // file header: machine, one section, size of the optional header, characteristics
    put(0x44, &[0x64, 0x86, 1, 0]);
    put(0x54, &[240, 0, 0x22, 0]);
    // optional header: magic, entry point, image base, alignments, sizes, checksum, subsystem, directories
    put(0x58, &[0x0b, 0x02]);
    put(0x58 + 16, &0x1000u32.to_le_bytes());
    put(0x58 + 24, &0x1_4000_0000u64.to_le_bytes());
    put(0x58 + 32, &0x1000u32.to_le_bytes());
    put(0x58 + 36, &0x200u32.to_le_bytes());
    put(0x58 + 48, &[10, 0]);
    put(0x58 + 56, &0x2000u32.to_le_bytes());
    put(0x58 + 60, &0x200u32.to_le_bytes());
    put(0x58 + 64, &0x1234u32.to_le_bytes());
    put(0x58 + 68, &[1, 0]);
    put(0x58 + 108, &16u32.to_le_bytes());
    put(0x148, b".text\0\0\0");
    put(0x148 + 8, &0x200u32.to_le_bytes());
    put(0x148 + 12, &0x1000u32.to_le_bytes());
    put(0x148 + 16, &0x200u32.to_le_bytes());
    put(0x148 + 20, &0x200u32.to_le_bytes());
    put(0x148 + 36, &0x6000_0020u32.to_le_bytes());
    put(0x200, &[0xc3; 0x200]);
    image
}

/// A folder with the signed catalog, its files, and the certificate as PEM.
struct Package {
    folder: tempfile::TempDir,
}

impl Package {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inf = Inf::parse(INF.as_bytes()).expect("an INF");
        let files: [(&str, &[u8]); 2] = [("example.inf", INF.as_bytes()), ("example.sys", &image())];
        let catalog = Catalog::of(&inf, "example.inf", &files).expect("a catalog");
        let package = Self { folder };
        for (name, bytes) in files {
            package.write(name, bytes);
        }
        package.write("example.cat", &catalog.signed(&CERTIFICATE).expect("a signed catalog"));
        let text = CERTIFICATE.to_pem().expect("text");
        package.write("certificate.pem", &text.as_bytes()[text.find("-----BEGIN C").expect("it")..]);
        package
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a written file");
    }
}

/// Runs a judge in a package's folder; none if it is not installed.
fn judge(package: &Package, program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).current_dir(package.folder.path()).output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(
                std::env::var_os("CANCELNIC_JUDGES").is_none(),
                "{program}: {error}; apt-get install {program}"
            );
            eprintln!("NOT TESTED: {program}: {error}; on Debian it is in the package of that name");
            None
        }
    }
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

fn verify_catalog(package: &Package, file: &str) -> Option<Output> {
    let arguments = ["verify", "-catalog", "example.cat", "-in", file, "-CAfile", "certificate.pem"];
    judge(package, "osslsigncode", &arguments)
}

#[test]
fn osslsigncode_finds_the_image_in_the_catalog() {
    let Some(output) = verify_catalog(&Package::new(), "example.sys") else { return };
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("Succeeded"), "{}", said(&output));
}

#[test]
fn osslsigncode_does_not_find_a_changed_image_in_the_catalog() {
    let package = Package::new();
    let mut changed = image();
    changed[0x3ff] ^= 1;
    package.write("example.sys", &changed);
    let Some(output) = verify_catalog(&package, "example.sys") else { return };
    assert!(!output.status.success(), "{}", said(&output));
}

#[test]
fn the_checksum_does_not_count() {
    let package = Package::new();
    let mut changed = image();
    changed[0x58 + 64] ^= 1;
    package.write("example.sys", &changed);
    let Some(output) = verify_catalog(&package, "example.sys") else { return };
    assert!(output.status.success(), "{}", said(&output));
}

/// Lets OpenSSL verify the catalog's signature. It knows no such content, so it is given the octets apart.
fn verify_signature(package: &Package) -> Option<Output> {
    let catalog = fs::read(package.path("example.cat")).expect("the catalog");
    // the content's type, szOID_CTL, then [0] and SEQUENCE with two length bytes each
    let kind = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0a, 0x01];
    let at = catalog.windows(kind.len()).position(|window| window == kind).expect("the type") + kind.len();
    assert_eq!([catalog[at], catalog[at + 1], catalog[at + 4], catalog[at + 5]], [0xa0, 0x82, 0x30, 0x82]);
    let length = usize::from(u16::from_be_bytes([catalog[at + 6], catalog[at + 7]]));
    package.write("content", &catalog[at + 8..][..length]);
    let arguments =
        ["smime", "-verify", "-inform", "DER", "-in", "example.cat", "-CAfile", "certificate.pem"];
    let content = ["-purpose", "any", "-binary", "-content", "content", "-out", "verified"];
    judge(package, "openssl", &[&arguments[..], &content].concat())
}

#[test]
fn openssl_verifies_the_catalogs_signature() {
    let Some(output) = verify_signature(&Package::new()) else { return };
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn openssl_refuses_a_changed_catalog() {
    let package = Package::new();
    let mut bytes = fs::read(package.path("example.cat")).expect("the catalog");
    let name: Vec<u8> = "example.inf".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let at = bytes.windows(name.len()).position(|window| window == name).expect("the INF's name");
    bytes[at] ^= 1;
    package.write("example.cat", &bytes);
    let Some(output) = verify_signature(&package) else { return };
    assert!(said(&output).contains("digest failure"), "{}", said(&output));
}

#[test]
fn openssl_reads_the_catalogs_structure() {
    let package = Package::new();
    let Some(output) = judge(&package, "openssl", &["asn1parse", "-inform", "DER", "-in", "example.cat"])
    else {
        return;
    };
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let count = |wanted: &str| text.matches(wanted).count();
    // two files, each by two hashes: kind, system and name for all; the hash's kind for the SHA-256 ones
    assert_eq!(count(":1.3.6.1.4.1.311.12.2.3"), 4, "{text}");
    assert_eq!(count(":1.3.6.1.4.1.311.2.1.4\n"), 2, "{text}");
    // ... and two named strings for the list as a whole
    assert_eq!(count(":1.3.6.1.4.1.311.12.2.1"), 4 * 2 + 2, "{text}");
    let flat = Sha256::digest(INF.as_bytes()).iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    assert_eq!(count(&flat), 2, "the INF's hash: {text}");
    assert_eq!(count(":261121000000Z"), 1, "{text}");
}

#[test]
fn the_certificate_signs_code_and_nothing_else() {
    let package = Package::new();
    let Some(output) = judge(&package, "openssl", &["x509", "-in", "certificate.pem", "-noout", "-text"])
    else {
        return;
    };
    let text = said(&output);
    for wanted in [
        "Not Before: Jan  1 00:00:00 2020 GMT",
        "Not After : Dec 31 23:59:59 2049 GMT",
        "Public-Key: (2048 bit)",
        "Signature Algorithm: sha256WithRSAEncryption",
        "CA:FALSE",
        "Digital Signature",
        "Code Signing",
    ] {
        assert!(text.contains(wanted), "no `{wanted}` in {text}");
    }
}

#[test]
fn osslsigncode_verifies_an_embedded_signature() {
    let package = Package::new();
    package.write("signed.sys", &authenticode::embed(&image(), &CERTIFICATE).expect("a signed image"));
    let arguments = ["verify", "-in", "signed.sys", "-CAfile", "certificate.pem"];
    let Some(output) = judge(&package, "osslsigncode", &arguments) else { return };
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    assert!(!text.contains("MISMATCH") && !text.contains("invalid"), "{text}");
}

#[test]
fn the_catalog_of_the_unsigned_image_holds_for_the_signed_one() {
    let package = Package::new();
    package.write("signed.sys", &authenticode::embed(&image(), &CERTIFICATE).expect("a signed image"));
    let Some(output) = verify_catalog(&package, "signed.sys") else { return };
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_signed_image_is_not_signed_again() {
    let signed = authenticode::embed(&image(), &CERTIFICATE).expect("a signed image");
    let fault = authenticode::embed(&signed, &CERTIFICATE).expect_err("it is signed already");
    assert!(matches!(fault, authenticode::EmbedFault::Signed), "{fault}");
    let hash = |image: &[u8]| authenticode::hash::<Sha256>(image).expect("a hash");
    assert_eq!(hash(&image()), hash(&signed));
}

#[test]
fn an_image_of_odd_length_has_no_hash() {
    let fault = authenticode::hash::<Sha256>(&image()[..0x3fd]).expect_err("it would need padding");
    assert_eq!(fault, authenticode::ImageFault::Unaligned(0x3fd));
}

#[test]
fn the_same_package_gives_the_same_bytes() {
    let (one, other) = (Package::new(), Package::new());
    let read = |package: &Package| fs::read(Path::new(&package.path("example.cat"))).expect("the catalog");
    assert!(read(&one) == read(&other), "two catalogs of the same files differ");
}

#[test]
fn the_catalog_names_windows_versions_and_hardware() {
    let catalog = fs::read(Package::new().path("example.cat")).expect("the catalog");
    let has = |name: &str, value: &str| {
        // name: BMPString, big endian; flags; value: OCTET STRING, little endian, ends with zero
        let mut wanted: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
        wanted.extend([0x02, 0x04, 0x10, 0x01, 0x00, 0x01]);
        let value: Vec<u8> = value.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        catalog.windows(wanted.len()).enumerate().any(|(at, window)| {
            // one to three bytes of tag and length stand between
            window == wanted && (2..=4).any(|gap| catalog[at + wanted.len() + gap..].starts_with(&value))
        })
    };
    assert!(has("HWID1", "pci\\ven_1af4&dev_1041"));
    assert!(has("OS", driver_package::OS));
    assert!(has("OSAttr", "2:10.0"));
    assert!(has("File", "example.sys") && has("File", "example.inf"));
    assert!(!has("HWID2", "pci\\ven_1af4&dev_1041"));
}

#[test]
fn no_changed_header_byte_makes_the_hash_panic() {
    let mut hashed = 0;
    for at in 0..0x200 {
        for value in [0x00, 0x7f, 0x80, 0xff] {
            let mut changed = image();
            changed[at] = value;
            hashed += usize::from(authenticode::hash::<Sha256>(&changed).is_ok());
        }
    }
    assert!(hashed > 1000, "most bytes are not looked at: {hashed}");
}
