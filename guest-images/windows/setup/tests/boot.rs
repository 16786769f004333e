//! The key prompt, on a disc whose file system hadris-udf made and whose boot catalog stands here, and on one that
//! genisoimage made and xorriso reads.

use std::{
    fs,
    io::{Cursor, Read, Seek, Write},
    process::Command,
};

use hadris_udf::write::{SimpleDir, SimpleFile, UdfWriteOptions, UdfWriter};
use windows_setup::{BootFault, skip_key_prompt};

/// Where the catalog is put: no file reaches as far.
const CATALOG: usize = 4000;

fn asking() -> Vec<u8> {
    vec![0xa5; 5000]
}

fn silent() -> Vec<u8> {
    vec![0x51; 6000]
}

/// A disc with both boot images, and no catalog.
fn files() -> Vec<u8> {
    let mut boot = SimpleDir::new("boot");
    boot.add_file(SimpleFile::new("efisys.bin", asking()));
    boot.add_file(SimpleFile::new("efisys_noprompt.bin", silent()));
    let mut microsoft = SimpleDir::new("microsoft");
    microsoft.add_dir(boot);
    let mut efi = SimpleDir::new("efi");
    efi.add_dir(microsoft);
    let mut root = SimpleDir::new("");
    root.add_dir(efi);
    let image = Cursor::new(vec![0; 8 << 20]);
    UdfWriter::create(image, &root, UdfWriteOptions::default()).expect("a disc").into_inner().into_inner()
}

/// The sector at which a file begins.
fn place(disc: &[u8], bytes: &[u8]) -> usize {
    disc.chunks(2048).position(|sector| sector == &bytes[..2048]).expect("the file")
}

/// The disc with a boot record, and a catalog like that of Windows' ISOs: BIOS first, then a section for EFI.
fn with_catalog(mut disc: Vec<u8>, sectors: u16) -> Vec<u8> {
    let first = place(&disc, &asking());
    let record = &mut disc[17 * 2048..18 * 2048];
    record.fill(0);
    record[..7].copy_from_slice(b"\0CD001\x01");
    record[7..30].copy_from_slice(b"EL TORITO SPECIFICATION");
    record[71..75].copy_from_slice(&(CATALOG as u32).to_le_bytes());
    let catalog = &mut disc[CATALOG * 2048..(CATALOG + 1) * 2048];
    catalog[..32].copy_from_slice(&{
        let mut validation = [0u8; 32];
        validation[0] = 1;
        validation[30..].copy_from_slice(&[0x55, 0xaa]);
        let sum = validation.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).sum::<u16>();
        validation[28..30].copy_from_slice(&0u16.wrapping_sub(sum).to_le_bytes());
        validation
    });
    catalog[32] = 0x88;
    catalog[40..44].copy_from_slice(&3999u32.to_le_bytes());
    catalog[64..68].copy_from_slice(&[0x91, 0xef, 1, 0]);
    catalog[96] = 0x88;
    catalog[102..104].copy_from_slice(&sectors.to_le_bytes());
    catalog[104..108].copy_from_slice(&(first as u32).to_le_bytes());
    disc
}

/// Sectors to load and first sector of the EFI entry.
fn entry(disc: &[u8]) -> (u16, u32) {
    let entry = &disc[CATALOG * 2048 + 96..][..32];
    (u16::from_le_bytes([entry[6], entry[7]]), u32::from_le_bytes([entry[8], entry[9], entry[10], entry[11]]))
}

fn skip(disc: &mut Vec<u8>) -> Result<bool, BootFault> {
    skip_key_prompt(Cursor::new(disc))
}

#[test]
fn the_entry_points_to_the_image_that_does_not_ask() {
    let mut disc = with_catalog(files(), 1);
    let before = disc.clone();
    assert!(skip(&mut disc).expect("a changed disc"));
    assert_eq!(entry(&disc), (1, place(&disc, &silent()) as u32));
    let changed = before.iter().zip(&disc).filter(|(before, after)| before != after).count();
    assert!((1..=4).contains(&changed), "{changed} bytes changed");
}

#[test]
fn a_count_of_sectors_grows_with_the_image() {
    let mut disc = with_catalog(files(), 10);
    assert!(skip(&mut disc).expect("a changed disc"));
    assert_eq!(entry(&disc).0, 12);
}

#[test]
fn a_disc_that_does_not_ask_is_left_alone() {
    let mut disc = with_catalog(files(), 1);
    assert!(skip(&mut disc).expect("a changed disc"));
    let before = disc.clone();
    assert!(!skip(&mut disc).expect("an unchanged disc"));
    assert!(before == disc);
}

#[test]
fn a_boot_image_of_somebody_else_is_left_alone() {
    let mut disc = with_catalog(files(), 1);
    let at = CATALOG * 2048 + 104;
    disc[at..at + 4].copy_from_slice(&3000u32.to_le_bytes());
    let before = disc.clone();
    let fault = skip(&mut disc).expect_err("another boot image");
    assert!(matches!(fault, BootFault::Unknown), "{fault}");
    assert!(before == disc);
}

#[test]
fn a_disc_without_catalog_is_refused() {
    let fault = skip(&mut files()).expect_err("no catalog");
    assert!(matches!(fault, BootFault::NoCatalog), "{fault}");
}

#[test]
fn a_damaged_catalog_is_refused() {
    let mut disc = with_catalog(files(), 1);
    disc[CATALOG * 2048 + 4] ^= 1;
    let fault = skip(&mut disc).expect_err("a damaged catalog");
    assert!(matches!(fault, BootFault::NoCatalog), "{fault}");
}

#[test]
fn a_catalog_for_bios_only_is_refused() {
    let mut disc = with_catalog(files(), 1);
    disc[CATALOG * 2048 + 65] = 0;
    let fault = skip(&mut disc).expect_err("no EFI entry");
    assert!(matches!(fault, BootFault::NoCatalog), "{fault}");
}

/// Runs a program; none if it is not installed.
fn run(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(output) => {
            let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
            assert!(output.status.success(), "{said}");
            Some(said)
        }
        Err(error) => {
            let program = command.get_program().display().to_string();
            assert!(std::env::var_os("CANCELNIC_JUDGES").is_none(), "{program}: {error}");
            eprintln!("NOT TESTED: {program}: {error}; on Debian it is in the package of that name");
            None
        }
    }
}

#[test]
fn xorriso_sees_the_other_boot_image_on_a_disc_by_genisoimage() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (tree, iso) = (folder.path().join("tree"), folder.path().join("disc.iso"));
    let boot = tree.join("efi/microsoft/boot");
    fs::create_dir_all(&boot).expect("a folder");
    fs::write(boot.join("efisys.bin"), asking()).expect("a written file");
    fs::write(boot.join("efisys_noprompt.bin"), silent()).expect("a written file");
    let mut make = Command::new("genisoimage");
    make.args(["-quiet", "-udf", "-R", "-eltorito-alt-boot", "-e", "efi/microsoft/boot/efisys.bin"]);
    if run(make.args(["-no-emul-boot", "-o"]).args([&iso, &tree])).is_none() {
        return;
    }
    let report = || run(Command::new("xorriso").arg("-indev").arg(&iso).args(["-report_el_torito", "plain"]));
    let Some(before) = report() else { return };
    assert!(before.contains("/efi/microsoft/boot/efisys.bin"), "{before}");
    let mut file = fs::OpenOptions::new().read(true).write(true).open(&iso).expect("the disc");
    assert!(skip_key_prompt(&mut file).expect("a changed disc"));
    let after = report().expect("it was there before");
    assert!(after.contains("/efi/microsoft/boot/efisys_noprompt.bin"), "{after}");
    assert!(!after.contains("/efi/microsoft/boot/efisys.bin"), "{after}");
}

/// A disc that cannot be written.
struct ReadOnly(Cursor<Vec<u8>>);

impl Read for ReadOnly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for ReadOnly {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl Write for ReadOnly {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disc_that_cannot_be_written_is_an_error() {
    let fault = skip_key_prompt(ReadOnly(Cursor::new(with_catalog(files(), 1)))).expect_err("no writing");
    assert!(fault.to_string().contains("permission denied"), "{fault}");
}
