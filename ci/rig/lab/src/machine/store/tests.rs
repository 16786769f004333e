use super::{
    manifest::{DriverFile, ImageKind, Machine},
    *,
};

/// The start of a qcow2 image of version 3, as `qemu-img create` writes it.
fn disk() -> Vec<u8> {
    let mut bytes = vec![0x5a; 70_000];
    bytes[..80].fill(0);
    bytes[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
    bytes
}

fn description() -> Description {
    Description {
        guest: ImageKind::Windows,
        release: "Windows Server 2025".to_owned(),
        edition: "ServerStandardEval".to_owned(),
        build: "26100.1742".to_owned(),
        iso_sha256: Some("ab".repeat(32)),
        drivers: vec![DriverFile { file: "cancelnic.sys".to_owned(), sha256: "cd".repeat(32) }],
        agent: None,
        settings: Machine { memory_mb: 4096, cpus: 2, accel: "kvm".to_owned() },
    }
}

struct Example {
    folder: tempfile::TempDir,
    store: Store,
}

impl Example {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(Some(&folder.path().join("images"))).expect("a store");
        Self { folder, store }
    }

    fn draft(&self, name: &str) -> Draft {
        let draft = self.store.begin(name).expect("a draft");
        fs::write(draft.disk(), disk()).expect("a disk");
        fs::write(draft.vars(), "variables").expect("variables");
        draft
    }

    fn sealed(&self, name: &str) -> Image {
        self.draft(name).seal(description(), &mut |_, _| ()).expect("an image")
    }

    fn file(&self, image: &str, file: &str) -> PathBuf {
        self.store.folder().join(image).join(file)
    }

    fn overwrite(&self, image: &str, file: &str, bytes: &[u8]) {
        let path = self.file(image, file);
        fs::remove_file(&path).expect("the old file");
        fs::write(&path, bytes).expect("a written file");
        read_only(&path).expect("a sealed file");
    }

    fn refused(&self, name: &str) -> anyhow::Error {
        self.store.find(name).expect_err("a refusal")
    }
}

fn said(error: &anyhow::Error) -> String {
    crate::base::failure::one_line(error)
}

fn verified(image: &Image) -> Result<()> {
    image.verify(&mut |_, _| ())
}

#[test]
fn a_sealed_image_is_found_listed_and_verified() {
    let example = Example::new();
    let sealed = example.sealed("one");
    let found = example.store.find("one").expect("the image");
    assert_eq!(found.manifest(), sealed.manifest());
    assert_eq!(found.manifest().description, description());
    verified(&found).expect("what was sealed");
    let listed: Vec<_> = example.store.list().expect("a list").into_iter().map(|entry| entry.name).collect();
    assert_eq!(listed, ["one"]);
}

#[test]
fn nobody_writes_into_a_sealed_image() {
    let example = Example::new();
    let image = example.sealed("one");
    for path in [image.disk(), image.vars(), example.file("one", MANIFEST)] {
        assert_eq!(
            fs::metadata(&path).expect("it").permissions().mode() & 0o777,
            0o444,
            "{}",
            path.display()
        );
    }
    assert!(!example.file("one", LOCK).exists());
}

#[test]
fn the_manifest_has_the_fields_that_others_read() {
    let example = Example::new();
    example.sealed("one");
    let text = fs::read(example.file("one", MANIFEST)).expect("the manifest");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(
        (&json["format"], &json["guest"], &json["name"]),
        (&1.into(), &"windows".into(), &"one".into())
    );
    assert_eq!(json["drivers"][0]["file"], "cancelnic.sys");
    assert_eq!(json["settings"]["memory_mb"], 4096);
    // from sha256sum
    assert_eq!(json["vars"]["sha256"], "7af0b3e47c35820fabef69cc542392bd2d0f6e37c349851728f0c683013563ce");
    assert_eq!(json["disk"]["size"], 70_000);
    assert!(json["created"].as_str().is_some_and(|time| time.ends_with('Z')), "{}", json["created"]);
}

#[test]
fn a_changed_disk_is_found_by_its_hash() {
    let example = Example::new();
    let image = example.sealed("one");
    let mut changed = disk();
    changed[69_999] ^= 1;
    example.overwrite("one", DISK, &changed);
    let error = verified(&image).expect_err("a changed disk");
    assert!(said(&error).contains("disk.qcow2 is not what was sealed"), "{error:#}");
}

#[test]
fn a_disk_of_another_size_is_not_loaded() {
    let example = Example::new();
    example.sealed("one");
    example.overwrite("one", DISK, b"short");
    assert!(
        said(&example.refused("one")).ends_with("disk.qcow2 has 5 bytes, and had 70000 when it was sealed")
    );
}

#[test]
fn a_disk_that_can_be_written_is_a_finding() {
    let example = Example::new();
    let image = example.sealed("one");
    fs::set_permissions(image.disk(), fs::Permissions::from_mode(0o644)).expect("permissions");
    assert!(said(&verified(&image).expect_err("a writable disk")).contains("chmod a-w"));
}

#[test]
fn a_missing_file_is_named() {
    let example = Example::new();
    example.sealed("one");
    fs::remove_file(example.file("one", VARS)).expect("a removed file");
    assert!(said(&example.refused("one")).contains("vars.fd"));
}

#[test]
fn a_damaged_manifest_is_one_line() {
    let example = Example::new();
    example.sealed("one");
    for (text, wanted) in [
        ("", "its manifest cannot be read"),
        ("{}", "missing field `format`"),
        (r#"{"format":2}"#, "its manifest has format 2, and this rig reads 1"),
        (r#"{"format":1,"name":"one"}"#, "missing field"),
    ] {
        example.overwrite("one", MANIFEST, text.as_bytes());
        let error = example.refused("one");
        assert!(said(&error).contains(wanted), "{text:?}: {}", said(&error));
        assert!(!said(&error).contains('\n'));
    }
}

#[test]
fn a_damaged_image_does_not_hide_the_others() {
    let example = Example::new();
    example.sealed("one");
    example.sealed("two");
    example.overwrite("one", MANIFEST, b"{");
    let listed = example.store.list().expect("a list");
    let good: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.image.is_ok())).collect();
    assert_eq!(good, [("one", false), ("two", true)]);
}

#[test]
fn an_image_under_another_name_is_refused() {
    let example = Example::new();
    example.sealed("one");
    fs::rename(example.store.folder().join("one"), example.store.folder().join("other"))
        .expect("a renamed one");
    assert!(said(&example.refused("other")).contains("is that of one"));
}

#[test]
fn nothing_is_left_of_a_draft_that_is_not_sealed() {
    let example = Example::new();
    drop(example.draft("one"));
    assert_eq!(fs::read_dir(example.store.folder()).expect("the folder").count(), 0);
}

#[test]
fn a_half_made_image_is_told_begun_again_and_removed() {
    let example = Example::new();
    let draft = example.store.folder().join("one.draft");
    fs::create_dir_all(&draft).expect("a folder");
    fs::write(draft.join(DISK), "half").expect("half a disk");
    assert!(said(&example.refused("one")).contains("half made: `cargo rig image remove one`"));
    assert!(example.store.list().expect("a list")[0].image.is_err());
    drop(example.draft("one"));
    fs::create_dir_all(&draft).expect("a folder");
    example.store.remove("one").expect("removed");
    assert!(!draft.exists());
}

#[test]
fn what_was_only_needed_for_the_making_is_gone_with_it() {
    let example = Example::new();
    let draft = example.draft("one");
    fs::write(draft.scratch("medium.iso").expect("a place"), "large").expect("a written file");
    let image = draft.seal(description(), &mut |_, _| ()).expect("an image");
    let names: Vec<_> =
        fs::read_dir(&image.folder).expect("it").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn an_image_in_the_making_is_left_alone() {
    let example = Example::new();
    let draft = example.draft("one");
    for error in [example.store.begin("one").map(drop), example.store.remove("one")] {
        let error = error.expect_err("a refusal");
        assert!(error.is::<Usage>() && said(&error).contains("another run"), "{error:#}");
    }
    assert!(said(&example.refused("one")).contains("being made"));
    draft.seal(description(), &mut |_, _| ()).expect("an image");
}

#[test]
fn a_second_image_of_a_name_is_refused() {
    let example = Example::new();
    example.sealed("one");
    let error = example.store.begin("one").expect_err("a second one");
    assert!(error.is::<Usage>() && said(&error).contains("image remove one"), "{error:#}");
}

#[test]
fn an_unknown_name_tells_the_known_ones() {
    let example = Example::new();
    let none = example.refused("three");
    assert!(none.is::<SetupMissing>() && said(&none).contains("cargo rig image windows"), "{none:#}");
    example.sealed("one");
    example.sealed("two");
    let error = example.refused("three");
    assert!(error.is::<Usage>() && said(&error).ends_with("there are one, two"), "{error:#}");
    assert!(example.store.remove("three").expect_err("no such image").is::<Usage>());
}

#[test]
fn a_folder_of_images_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let store = Store::open(Some(file.path())).expect("a store");
    let error = store.find("win11").expect_err("there is no folder");
    assert!(error.to_string().starts_with("reading ") && !error.is::<SetupMissing>(), "{error:#}");
}

#[test]
fn names_do_not_lead_out_of_the_store() {
    let example = Example::new();
    for name in ["", ".", "..", "../one", "a/b", "One", ".hidden", "one.draft", "a b", &"a".repeat(65)] {
        let error = example.refused(name);
        assert!(error.is::<Usage>() && said(&error).contains("is no name"), "{name}: {error:#}");
    }
}

#[test]
fn a_removed_image_is_gone() {
    let example = Example::new();
    example.sealed("one");
    example.store.remove("one").expect("removed");
    assert!(!example.store.folder().join("one").exists());
}

#[test]
fn a_folder_with_other_things_in_it_is_not_removed() {
    let example = Example::new();
    example.sealed("one");
    fs::write(example.file("one", "thesis.txt"), "precious").expect("a written file");
    let error = example.store.remove("one").expect_err("other things");
    assert!(error.is::<Usage>() && said(&error).contains("thesis.txt"), "{error:#}");
    assert!(example.file("one", DISK).exists());
}

#[test]
fn only_a_whole_disk_is_sealed() {
    let example = Example::new();
    let (mut overlay, mut dirty) = (disk(), disk());
    overlay[15] = 104;
    dirty[79] = 1;
    for (bytes, wanted) in [
        (&b"no disk"[..], "is no qcow2 image"),
        (&[0; 512], "is no qcow2 image"),
        (&overlay, "is only an overlay"),
        (&dirty, "has not been closed properly"),
    ] {
        let draft = example.draft("one");
        fs::write(draft.disk(), bytes).expect("a disk");
        let error = draft.seal(description(), &mut |_, _| ()).expect_err("no image");
        assert!(said(&error).contains(wanted), "{error:#}");
    }
    assert_eq!(fs::read_dir(example.store.folder()).expect("the folder").count(), 0);
}

#[test]
fn progress_reaches_the_end_of_each_file() {
    let example = Example::new();
    let mut told = Vec::new();
    let image = example.draft("one").seal(description(), &mut |done, all| told.push((done, all)));
    image.expect("an image");
    assert_eq!(told, [(70_000, 70_000), (9, 9)]);
}

#[test]
fn a_store_without_folder_is_empty() {
    let example = Example::new();
    assert!(example.store.list().expect("a list").is_empty());
    assert!(example.folder.path().exists());
}
