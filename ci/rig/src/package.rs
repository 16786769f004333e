//! `cargo rig package`: a folder that a Windows test machine can install from.
//!
//! The very `.sys` and `.inf` files of `cargo rig build`, under catalogs that a test certificate of this workspace
//! signs. The certificate's key is made once and stays under `target/`.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use driver_package::{Catalog, Inf, TestCertificate, authenticode};
use windows_setup::AGENT;

use crate::build;
use lab::base::artefact::{Artefact, Driver};
use lab::base::failure::Usage;
use lab::base::workspace::Workspace;

/// The test certificate, as the package names it.
const CERTIFICATE: &str = "cancelnic-test.cer";
/// The certificate and its key, in the folder of the build's artefacts.
const KEPT_CERTIFICATE: &str = "test-certificate.pem";
/// The script that installs everything.
const SCRIPT: &str = "install.cmd";
/// The script that collects the logs of a Windows into one archive.
const COLLECT: &str = "collect-logs.cmd";
const COLLECT_SCRIPT: &str = include_str!("../../../guest-images/windows/package/collect-logs.cmd");

/// Arguments of `cargo rig package`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo rig package                          into target/cancelnic/package\n  \
    cargo rig package --out /media/usb/driver  into another folder")]
pub(crate) struct Options {
    /// The folder to write [default: target/cancelnic/package]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Sign the .sys files as well as the catalogs; they then differ from those that understudy runs
    #[arg(long)]
    embed_signature: bool,
    /// Show cargo's own output
    #[arg(short, long)]
    verbose: bool,
}

/// A driver in its package.
#[derive(Debug)]
struct Packaged {
    name: &'static str,
    inf: Inf,
    /// The image as it was built.
    built: Artefact,
    /// The image in the package.
    image: Artefact,
    catalog: Artefact,
}

/// Carries out `cargo rig package`.
pub(crate) fn package(options: &Options) -> Result<bool> {
    let built = build::build(build::Options { test_builds: false, verbose: options.verbose })?;
    let kept = Workspace::find()?.out();
    let out = options.out.clone().unwrap_or_else(|| kept.join("package"));
    let certificate = certificate(&kept.join(KEPT_CERTIFICATE))?;
    let packaged = write(&built.drivers, &out, &certificate, options.embed_signature)?;
    for driver in &packaged {
        for line in report(driver) {
            println!("{line}");
        }
    }
    println!("certificate  {}", out.join(CERTIFICATE).display());
    println!("install with {} (as administrator, on a machine for tests)", out.join(SCRIPT).display());
    Ok(true)
}

/// The certificate kept in the file `path`; the first time, a new one.
fn certificate(path: &Path) -> Result<TestCertificate> {
    if path.exists() {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        return TestCertificate::from_pem(&text)
            .with_context(|| format!("{} (remove it, and a new one is made)", path.display()));
    }
    let made = TestCertificate::generate()?;
    let text = made.to_pem()?;
    // nobody else reads the key, and a run beside this one sees all of the file or none
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(made)
}

/// Names and bytes of files to be written.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// The files of the package of `drivers`; `out` is the folder that the report names.
fn collect(
    drivers: &[Driver],
    out: &Path,
    certificate: &TestCertificate,
    embed: bool,
) -> Result<(Vec<Packaged>, Files)> {
    let mut files: Files = vec![(CERTIFICATE.to_owned(), certificate.to_der()?)];
    let packaged = drivers
        .iter()
        .map(|driver| add(driver, out, certificate, embed, &mut files).with_context(|| driver.name))
        .collect::<Result<Vec<_>>>()?;
    files.push((SCRIPT.to_owned(), script(&packaged).into_bytes()));
    files.push((COLLECT.to_owned(), COLLECT_SCRIPT.replace('\n', "\r\n").into_bytes()));
    Ok((packaged, files))
}

/// The files of a package of the workspace's drivers and the agent, by name, for a disc.
pub(crate) fn files(verbose: bool) -> Result<Files> {
    let options = build::Options { test_builds: false, verbose };
    let agent = build::build_agent(&options)?.path;
    let built = build::build(options)?;
    let certificate = certificate(&Workspace::find()?.out().join(KEPT_CERTIFICATE))?;
    let mut files = collect(&built.drivers, Path::new(""), &certificate, false)?.1;
    let bytes = fs::read(&agent).with_context(|| format!("reading {}", agent.display()))?;
    files.push((AGENT.to_owned(), bytes));
    Ok(files)
}

/// Writes the package of `drivers` into the folder `out`, which may hold an older one and nothing else.
fn write(
    drivers: &[Driver],
    out: &Path,
    certificate: &TestCertificate,
    embed: bool,
) -> Result<Vec<Packaged>> {
    let (packaged, files) = collect(drivers, out, certificate, embed)?;
    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    for found in fs::read_dir(out).with_context(|| format!("reading {}", out.display()))? {
        let found = found?.file_name();
        if !files.iter().any(|(name, _)| found == name.as_str()) {
            let what =
                format!("{} holds {}, which is no part of the package", out.display(), found.display());
            return Err(Usage(format!("{what}: name a folder of its own")).into());
        }
    }
    for (name, bytes) in files {
        let path = out.join(name);
        fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(packaged)
}

/// Adds a driver's files to those of the package.
fn add(
    driver: &Driver,
    out: &Path,
    certificate: &TestCertificate,
    embed: bool,
    files: &mut Files,
) -> Result<Packaged> {
    let read =
        |file: &Artefact| fs::read(&file.path).with_context(|| format!("reading {}", file.path.display()));
    let (built, inf_bytes) = (read(&driver.image)?, read(&driver.inf)?);
    let inf = Inf::parse(&inf_bytes)?;
    let image = if embed { authenticode::embed(&built, certificate)? } else { built };
    let [image_name, inf_name, symbols_name] =
        ["sys", "inf", "pdb"].map(|extension| format!("{}.{extension}", driver.name));
    let catalog = Catalog::of(&inf, &inf_name, &[(&image_name, &image), (&inf_name, &inf_bytes)])?;
    let catalog = catalog.signed(certificate)?;
    let packaged = Packaged {
        name: driver.name,
        built: driver.image.clone(),
        image: Artefact::with_bytes(out.join(&image_name), &image),
        catalog: Artefact::with_bytes(out.join(&inf.catalog), &catalog),
        inf,
    };
    files.push((packaged.inf.catalog.clone(), catalog));
    files.extend([(image_name, image), (inf_name, inf_bytes), (symbols_name, read(&driver.symbols)?)]);
    Ok(packaged)
}

/// What is said of a driver: the hash of its image, both hashes if it was signed, and that of its catalog.
fn report(driver: &Packaged) -> Vec<String> {
    let path = |file: &Artefact| file.path.display().to_string();
    let mut lines = Vec::new();
    if driver.built.sha256 == driver.image.sha256 {
        lines.push(format!("{}  {} (as built)", driver.image.sha256, path(&driver.image)));
    } else {
        lines.push(format!("{}  {} (as built)", driver.built.sha256, path(&driver.built)));
        lines.push(format!("{}  {} (the same, signed)", driver.image.sha256, path(&driver.image)));
    }
    lines.push(format!("{}  {}", driver.catalog.sha256, path(&driver.catalog)));
    lines
}

/// How Windows takes a driver in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Installation {
    /// A bus reports its device.
    Device,
    /// Somebody has to make its device.
    RootDevice,
    /// A network component, which only the network configuration installs.
    NetworkService,
}

impl Installation {
    fn of(inf: &Inf) -> Self {
        if inf.class.eq_ignore_ascii_case("NetService") {
            Self::NetworkService
        } else if inf.hardware_ids.iter().all(|id| id.starts_with("root\\")) {
            Self::RootDevice
        } else {
            Self::Device
        }
    }
}

/// The installing script: trust, test signing, drivers. ASCII with Windows' line ends.
fn script(drivers: &[Packaged]) -> String {
    let mut lines = vec![
        "@echo off".to_owned(),
        "rem Installs cancelnic's drivers. Run it as administrator, on a machine for tests: it makes Windows"
            .to_owned(),
        "rem trust whoever has the key of the test certificate beside it. Secure Boot must be off."
            .to_owned(),
        "cd /d \"%~dp0\"".to_owned(),
    ];
    for store in ["Root", "TrustedPublisher"] {
        lines.push(format!("certutil -addstore -f {store} {CERTIFICATE}"));
        lines.push(on_failure(&[0]));
    }
    lines.push("bcdedit /set testsigning on".to_owned());
    lines.push(on_failure(&[0]));
    // what this Windows was started with, not what the next start will have
    lines.push(r#"reg query HKLM\SYSTEM\CurrentControlSet\Control /v SystemStartOptions | find /i "TESTSIGNING" >nul"#.to_owned());
    lines.push("if not %errorlevel%==0 (".to_owned());
    lines.push(
        "    echo Restart Windows, then run this once more: test signing takes effect at the next start."
            .to_owned(),
    );
    lines.push("    exit /b 3010".to_owned());
    lines.push(")".to_owned());
    for driver in drivers {
        let inf = format!("{}.inf", driver.name);
        match Installation::of(&driver.inf) {
            Installation::Device => lines.push(format!("pnputil /add-driver {inf} /install")),
            Installation::RootDevice => {
                lines.push(format!(
                    "rem only staged: no bus reports {}, a program has to make that device",
                    driver.inf.hardware_ids.join(", ")
                ));
                lines.push(format!("pnputil /add-driver {inf}"));
            }
            Installation::NetworkService => {
                lines.push(format!("netcfg -v -l {inf} -c s -i {}", driver.inf.hardware_ids[0]));
                lines.push(on_failure(&[0]));
                continue;
            }
        }
        // 259: no such device now; 3010: after a restart
        lines.push(on_failure(&[0, 259, 3010]));
    }
    lines.push("exit /b 0".to_owned());
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// Ends the script unless the last program's exit code is one of these. Some are negative, which `if errorlevel`
/// would take for good.
fn on_failure(good: &[u32]) -> String {
    let conditions: String = good.iter().map(|code| format!("if not %errorlevel%=={code} ")).collect();
    format!("{conditions}exit /b 1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt as _, process::Command, sync::LazyLock};

    static SIGNER: LazyLock<TestCertificate> =
        LazyLock::new(|| TestCertificate::generate().expect("a certificate"));

    /// A folder with a built driver and a package of it.
    struct Example {
        folder: tempfile::TempDir,
        driver: Driver,
        packaged: Packaged,
    }

    impl Example {
        fn new(embed: bool) -> Self {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let built = folder.path().join("built");
            fs::create_dir(&built).expect("a folder");
            let driver = build::example(&built);
            let out = folder.path().join("package");
            let packaged = write(std::slice::from_ref(&driver), &out, &SIGNER, embed).expect("a package");
            let [packaged] = <[Packaged; 1]>::try_from(packaged).expect("one driver");
            Self { folder, driver, packaged }
        }

        fn bytes(&self, name: &str) -> Vec<u8> {
            fs::read(self.folder.path().join("package").join(name)).expect("a file of the package")
        }
    }

    /// osslsigncode on a package's image, with arguments of its own; none if it is not installed.
    fn osslsigncode(example: &Example, arguments: &[&str]) -> Option<String> {
        let package = example.folder.path().join("package");
        let text = SIGNER.to_pem().expect("text");
        let pem = example.folder.path().join("certificate.pem");
        fs::write(&pem, &text[text.find("-----BEGIN C").expect("it")..]).expect("a written certificate");
        let mut command = Command::new("osslsigncode");
        command.args(["verify", "-in", "cancelnic.sys", "-CAfile"]).arg(pem).args(arguments);
        match command.current_dir(package).output() {
            Ok(output) => {
                let said = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
                assert!(output.status.success(), "{said}");
                Some(said)
            }
            Err(error) => {
                assert!(
                    std::env::var_os("CANCELNIC_JUDGES").is_none(),
                    "osslsigncode: {error}; apt-get install it"
                );
                eprintln!("NOT TESTED: osslsigncode: {error}; on Debian it is in the package of that name");
                None
            }
        }
    }

    #[test]
    fn a_package_holds_the_files_as_they_were_built() {
        let example = Example::new(false);
        assert!(example.bytes("cancelnic.sys") == fs::read(&example.driver.image.path).expect("the image"));
        assert!(example.bytes("cancelnic.inf") == fs::read(&example.driver.inf.path).expect("the INF"));
        assert_eq!(example.bytes(CERTIFICATE), SIGNER.to_der().expect("DER"));
        let [image, _] = &report(&example.packaged)[..] else { panic!("image and catalog") };
        assert!(image.starts_with(&example.driver.image.sha256) && image.ends_with("(as built)"), "{image}");
    }

    #[test]
    fn osslsigncode_finds_the_driver_in_the_catalog() {
        let example = Example::new(false);
        let Some(said) = osslsigncode(&example, &["-catalog", "cancelnic.cat"]) else { return };
        assert!(said.contains("File is signed in catalog"), "{said}");
    }

    #[test]
    fn a_signed_driver_is_reported_with_both_hashes() {
        let example = Example::new(true);
        let [built, signed, _] = &report(&example.packaged)[..] else { panic!("two images and a catalog") };
        assert!(built.starts_with(&example.driver.image.sha256), "{built}");
        assert!(signed.starts_with(&example.packaged.image.sha256), "{signed}");
        assert_ne!(example.driver.image.sha256, example.packaged.image.sha256);
    }

    #[test]
    fn osslsigncode_verifies_a_signed_driver_and_finds_it_in_the_catalog() {
        let example = Example::new(true);
        let Some(said) = osslsigncode(&example, &[]) else { return };
        assert!(!said.contains("MISMATCH"), "{said}");
        osslsigncode(&example, &["-catalog", "cancelnic.cat"]);
    }

    #[test]
    fn the_kernels_check_of_a_signed_driver_passes() {
        let example = Example::new(true);
        build::check_image(&example.bytes("cancelnic.sys")).expect("a proper image");
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("thesis.txt"), "precious").expect("a written file");
        let error = write(&[], folder.path(), &SIGNER, false).expect_err("it is no package");
        assert!(error.is::<Usage>() && error.to_string().contains("thesis.txt"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }

    #[test]
    fn a_second_package_replaces_the_first() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for _ in 0..2 {
            write(&[], folder.path(), &SIGNER, false).expect("a package");
        }
    }

    #[test]
    fn the_certificate_is_made_once_and_its_key_is_private() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("certificate.pem");
        let first = certificate(&path).expect("a new certificate");
        let second = certificate(&path).expect("the same certificate");
        assert_eq!(first.to_der().expect("DER"), second.to_der().expect("DER"));
        assert_eq!(fs::metadata(path).expect("its file").permissions().mode() & 0o777, 0o600);
    }

    fn packaged(name: &'static str, class: &str, id: &str) -> Packaged {
        let none = Artefact { path: PathBuf::new(), sha256: String::new() };
        Packaged {
            name,
            inf: Inf {
                class: class.to_owned(),
                catalog: format!("{name}.cat"),
                date: (2026, 11, 21),
                files: Vec::new(),
                hardware_ids: vec![id.to_owned()],
            },
            built: none.clone(),
            image: none.clone(),
            catalog: none,
        }
    }

    #[test]
    fn each_kind_of_driver_is_installed_its_own_way() {
        let script = script(&[
            packaged("one", "Net", "pci\\ven_1af4&dev_1041"),
            packaged("two", "NetService", "ms_two"),
            packaged("three", "System", "root\\three"),
        ]);
        let lines: Vec<_> = script.split("\r\n").collect();
        for wanted in [
            "certutil -addstore -f Root cancelnic-test.cer",
            "certutil -addstore -f TrustedPublisher cancelnic-test.cer",
            "bcdedit /set testsigning on",
            "if not %errorlevel%==0 (",
            "pnputil /add-driver one.inf /install",
            "netcfg -v -l two.inf -c s -i ms_two",
            "pnputil /add-driver three.inf",
        ] {
            assert!(lines.contains(&wanted), "no `{wanted}` in\n{script}");
        }
        assert!(script.is_ascii());
        for (index, line) in lines.iter().enumerate() {
            if ["certutil", "bcdedit", "pnputil", "netcfg"].iter().any(|tool| line.starts_with(tool)) {
                assert!(
                    lines[index + 1].starts_with("if not %errorlevel%==0 "),
                    "nobody looks how `{line}` went"
                );
            }
        }
    }
}
