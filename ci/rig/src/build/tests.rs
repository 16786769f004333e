//! The driver's build as a whole, and the image check against images with one fault each.

use std::{collections::BTreeSet, fs, path::Path, sync::LazyLock};

use driver_package::authenticode::checksum;

use super::{
    Artefact, BARE_TARGET, DRIVER_TARGET, Driver, Options, SetupMissing, Workspace,
    driver::{self, DRIVERS, Variant},
    image::{self, ImageFault},
    inf,
};

/// What the images here import from.
const MODULES: [&str; 3] = ["ntoskrnl.exe", "HAL.dll", "WDFLDR.SYS"];

/// Builds a variant of the NIC's driver.
fn build_driver(workspace: &Workspace, variant: Variant, out: &Path) -> Vec<u8> {
    fs::create_dir_all(out).expect("a folder for the artefacts");
    let (image, _) =
        driver::build(workspace, &Options::default(), &DRIVERS[0], variant, out).expect("a driver image");
    fs::read(image.path).expect("the image")
}

/// The driver as `cargo rig build` makes it here.
static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let workspace = Workspace::find().expect("a workspace");
    build_driver(&workspace, Variant::Shipped, &workspace.out())
});

/// Its test build.
static TEST_IMAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let workspace = Workspace::find().expect("a workspace");
    build_driver(&workspace, Variant::Test, &workspace.out().join("test-builds"))
});

/// The NIC's driver, image and INF, in a folder; it has no symbols.
pub(crate) fn example(folder: &Path) -> Driver {
    let path = |extension| folder.join(DRIVERS[0].name).with_extension(extension);
    fs::write(path("sys"), &*IMAGE).expect("a written image");
    fs::write(path("pdb"), b"").expect("a written file");
    inf::stamp(&Workspace::find().expect("a workspace"), &DRIVERS[0], &path("inf")).expect("a stamped INF");
    let [image, symbols, inf] =
        ["sys", "pdb", "inf"].map(|extension| Artefact::of(path(extension)).expect("a file"));
    Driver { name: DRIVERS[0].name, image, symbols, inf, test_build: None }
}

/// Whether an image of the NIC's driver is a proper one.
pub(crate) fn check_image(image: &[u8]) -> Result<(), ImageFault> {
    image::check(image, &MODULES).map(drop)
}

#[test]
fn another_folder_gives_the_same_driver() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("another/with a longer name");
    Workspace::find().expect("a workspace").copy_sources(&root).expect("a copy");
    let target = root.join("target");
    let workspace = Workspace::at(&root).expect("a workspace").with_target(target.clone());
    let image = build_driver(&workspace, Variant::Shipped, &target.join("cancelnic"));
    assert!(image == *IMAGE, "the images of two folders differ");
}

/// Cargo is called once for each variant: what it has linked is read again.
#[test]
fn a_test_build_has_mutants_and_bench_and_leaves_the_shipped_one_as_it_is() {
    LazyLock::force(&IMAGE);
    let workspace = Workspace::find().expect("a workspace");
    let test = &*TEST_IMAGE;
    let shipped_again = build_driver(&workspace, Variant::Shipped, &workspace.out());
    assert!(shipped_again == *IMAGE, "the test build overwrites the shipped driver");
    // The test bench's interface class in memory, and the INF keyword that chooses a mutant.
    let cancelnic_ioctl::Guid(first, second, third, rest) = cancelnic_ioctl::NIC_BENCH_INTERFACE;
    let class = [&first.to_le_bytes()[..], &second.to_le_bytes(), &third.to_le_bytes(), &rest].concat();
    let keyword: Vec<u8> = "Mutant".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (what, bytes) in [("test bench", class), ("mutants", keyword)] {
        let has = |image: &[u8]| image.windows(bytes.len()).any(|part| part == bytes);
        assert!(has(test), "nothing shows the {what} in a test build");
        assert!(!has(&IMAGE), "the shipped driver has the {what}");
    }
}

#[test]
fn the_driver_imports_the_loader_and_the_kernel() {
    let facts = image::check(&IMAGE, &MODULES).expect("a proper image");
    let imports: Vec<String> =
        facts.imports.iter().map(|import| format!("{}!{}", import.module, import.function)).collect();
    for import in ["WDFLDR.SYS!WdfVersionBind", "WDFLDR.SYS!WdfVersionBindClass", "ntoskrnl.exe!KeBugCheckEx"]
    {
        assert!(imports.iter().any(|found| found == import), "{import} is not among {imports:?}");
    }
}

/// Applies one change to a copy of the driver image, mends the checksum, and checks the result.
fn check_changed(change: impl FnOnce(&mut [u8], usize)) -> Result<image::ImageFacts, ImageFault> {
    let mut bytes = IMAGE.clone();
    let headers = u32::from_le_bytes(bytes[0x3c..0x40].try_into().expect("four bytes")) as usize;
    change(&mut bytes, headers);
    let field = headers + 24 + 64;
    let sum = checksum(&bytes, field);
    bytes[field..field + 4].copy_from_slice(&sum.to_le_bytes());
    image::check(&bytes, &MODULES)
}

#[test]
fn an_unchanged_image_passes() {
    assert!(check_changed(|_, _| ()).is_ok());
}

#[test]
fn another_machine_is_refused() {
    let result =
        check_changed(|bytes, headers| bytes[headers + 4..headers + 6].copy_from_slice(&[0x64, 0xaa]));
    assert_eq!(result, Err(ImageFault::Image(driver_inspect::ImageFault::Machine(0xaa64))));
}

#[test]
fn a_console_program_is_refused() {
    let result = check_changed(|bytes, headers| bytes[headers + 24 + 68] = 3);
    assert_eq!(result, Err(ImageFault::Image(driver_inspect::ImageFault::Subsystem(3))));
}

#[test]
fn executable_data_is_refused() {
    let result = check_changed(|bytes, headers| bytes[headers + 24 + 71] &= !1);
    assert_eq!(result, Err(ImageFault::Executable));
}

#[test]
fn an_image_without_relocations_is_refused() {
    // sixth data directory: size 0
    let result = check_changed(|bytes, headers| bytes[headers + 24 + 112 + 5 * 8..][..8].fill(0));
    assert_eq!(result, Err(ImageFault::NotRelocatable));
}

#[test]
fn writable_code_is_refused() {
    // the first section is the code; its flags are the last word of its 40-byte header
    let result = check_changed(|bytes, headers| bytes[headers + 24 + 240 + 39] |= 0x80);
    assert!(matches!(result, Err(ImageFault::WritableCode(_))), "{result:?}");
}

#[test]
fn an_import_from_a_user_mode_library_is_refused() {
    let result = check_changed(|bytes, _| {
        let name = b"WDFLDR.SYS\0";
        let at = bytes.windows(name.len()).position(|window| window == name).expect("the module's name");
        bytes[at..at + name.len()].copy_from_slice(b"NTDLL.DLLL\0");
    });
    assert!(matches!(result, Err(ImageFault::Import { .. })), "{result:?}");
}

#[test]
fn a_wrong_checksum_is_refused() {
    let mut bytes = IMAGE.clone();
    *bytes.last_mut().expect("bytes") ^= 1;
    assert!(matches!(image::check(&bytes, &MODULES), Err(ImageFault::Checksum { .. })));
}

#[test]
fn a_target_that_is_not_installed_is_named() {
    let workspace = Workspace::find().expect("a workspace");
    // a target that rustc knows and that nobody needs here
    let error = workspace.require_target("sparc64-unknown-linux-gnu").expect_err("it is not installed");
    let missing = error.downcast_ref::<SetupMissing>().expect("a missing piece of set-up");
    assert!(missing.to_string().contains("rustup target add sparc64-unknown-linux-gnu"), "{missing}");
}

#[test]
fn installed_targets_are_accepted() {
    let workspace = Workspace::find().expect("a workspace");
    for target in [DRIVER_TARGET, BARE_TARGET] {
        workspace.require_target(target).expect("the set-up installs it");
    }
}

#[test]
fn a_text_file_is_refused() {
    assert!(matches!(
        image::check(b"not an image", &MODULES),
        Err(ImageFault::Image(driver_inspect::ImageFault::Malformed(_)))
    ));
}

/// The names that follow `opening` in the sources below a folder.
fn named(folder: &Path, opening: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names.extend(named(&path, opening));
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source");
        let behind = text.split(opening).skip(1).map(str::trim_start);
        names.extend(
            behind.map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect::<String>()),
        );
    }
    names
}

#[test]
fn inspection_finds_the_functions_that_the_sources_call() {
    // the test build has every function of the sources
    let image = driver_inspect::Image::read(TEST_IMAGE.clone()).expect("a proper image");
    let found = driver_inspect::compare(&image, &crate::inspect::offers().expect("the page"));
    assert_eq!(found.missing(), 0, "{found:?}");
    let of = |title: &str| {
        let asked = found.tables.iter().find(|asked| asked.module == title).expect("a bound framework");
        asked.offered.clone()
    };
    let workspace = Workspace::find().expect("a workspace");
    let [driver, kernel] =
        ["driver/netadapter/src", "driver/kernel/src"].map(|name| workspace.root().join(name));
    // methods of the table, as `net().NetAdapterStart(`
    let methods: BTreeSet<String> =
        named(&driver, "net().").into_iter().filter(|name| name.starts_with("Net")).collect();
    assert_eq!(of("NetAdapterCx 2.1"), methods);
    let opening = "call_unsafe_wdf_function_binding!(";
    let (kmdf, own) = (of("KmdfLibrary 1.31"), named(&driver, opening));
    let all: BTreeSet<String> = own.union(&named(&kernel, opening)).cloned().collect();
    assert!(kmdf.is_subset(&all), "{:?}", kmdf.difference(&all).collect::<Vec<_>>());
    assert!(own.len() > 10 && own.is_subset(&kmdf), "{:?}", own.difference(&kmdf).collect::<Vec<_>>());
}

#[test]
fn inspection_of_a_damaged_image_ends_with_facts_or_one_line() {
    for at in (0..IMAGE.len()).step_by(IMAGE.len() / 150).chain(0..0x180) {
        let mut image = IMAGE.clone();
        image[at] ^= 0xff;
        let read = driver_inspect::Image::read(image.clone());
        assert!(read.is_ok() || read.is_err_and(|fault| !fault.to_string().contains('\n')), "byte {at}");
        image.truncate(at);
        assert!(
            driver_inspect::Image::read(image)
                .map(|image| driver_inspect::bindings(&image).len() <= 2)
                .unwrap_or(true),
            "{at}"
        );
    }
}

#[test]
fn inspection_refuses_sections_that_claim_the_whole_file_each() {
    let mut image = IMAGE.clone();
    let word = |image: &[u8], at: usize| usize::from(u16::from_le_bytes([image[at], image[at + 1]]));
    let headers = word(&image, 0x3c);
    let first = headers + 24 + word(&image, headers + 20);
    let whole = u32::try_from(image.len()).expect("a small image").to_le_bytes();
    for section in 0..word(&image, headers + 6) {
        let header = first + 40 * section;
        // VirtualSize, SizeOfRawData, PointerToRawData
        for (field, value) in [(8, whole), (16, whole), (20, [0; 4])] {
            image[header + field..][..4].copy_from_slice(&value);
        }
    }
    let refused = driver_inspect::Image::read(image).expect_err("sections that overlap");
    assert_eq!(refused.to_string(), "the sections have more bytes than the file");
}
