//! `cargo rig image windows`: Windows from an installation ISO of the user's own: what is on it, and a second disc
//! that answers what Setup asks.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use windows_setup::{Answers, Edition, Image, Udf, UdfFault, Unfit, Wim, WimFault};

use super::install::{self, Order};
use super::place::Place;
use super::progress::Progress;
use crate::package;
use lab::base::failure::Usage;
use lab::base::workspace::Workspace;
use lab::machine::Accelerator;

/// Password of the account of the guest, which nobody but this machine reaches.
const PASSWORD: &str = "Cancelnic-1";

/// Arguments of `cargo rig image windows`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo rig image windows --iso Win11.iso\n      \
        lists the editions on the ISO\n  \
    cargo rig image windows --iso Win11.iso --index 6 --accept-eula\n      \
        installs number 6\n  \
    cargo rig image windows --iso Win11.iso --index 6 --answers answers.iso\n      \
        only writes the disc with the answers")]
pub(crate) struct Windows {
    /// The ISO, as Microsoft offers it
    #[arg(long, value_name = "FILE")]
    iso: PathBuf,
    /// The edition to install, by its number on the ISO
    #[arg(long, value_name = "N")]
    index: Option<u32>,
    /// The edition to install, by its name or edition on the ISO
    #[arg(long, value_name = "NAME", conflicts_with = "index")]
    edition: Option<String>,
    /// Accept the licence terms that come with the ISO; without this, nothing is installed
    #[arg(long)]
    accept_eula: bool,
    /// A product key of your own; otherwise Microsoft's generic one, and none for evaluation editions
    #[arg(long, value_name = "KEY")]
    product_key: Option<String>,
    /// Name of the image [default: release and edition]
    #[arg(long)]
    name: Option<String>,
    /// Size of its disk; the file grows only with the data written to it
    #[arg(long, value_name = "GB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(32..=2048))]
    disk: u64,
    /// Memory of the machine that installs
    #[arg(long, value_name = "MB", default_value_t = 4096, value_parser = clap::value_parser!(u64).range(2048..=65536))]
    memory: u64,
    /// On slow machines: multiply the times after which the installation counts as stalled
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = patience)]
    patience: f64,
    #[command(flatten)]
    place: Place,
    /// Only write the second disc, for a machine of your own: answers, drivers, test certificate. Its Setup WIPES THE
    /// FIRST DISK
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Only write a copy of the ISO that starts without asking for a key
    #[arg(long, value_name = "FILE")]
    no_prompt: Option<PathBuf>,
    /// Show cargo's own output
    #[arg(short, long)]
    verbose: bool,
}

/// A factor that leaves some time, and ends.
fn patience(text: &str) -> Result<f64, String> {
    let factor = text.parse::<f64>().ok().filter(|factor| (0.1..=100.0).contains(factor));
    factor.ok_or_else(|| "a number from 0.1 to 100".to_owned())
}

/// Carries out `cargo rig image windows`.
pub(super) fn windows(options: &Windows) -> Result<bool> {
    let medium = open(&options.iso)?;
    if let Some(out) = &options.answers {
        write_answers(&medium, options, out)?;
    }
    if let Some(out) = &options.no_prompt {
        copy_without_prompt(&options.iso, out)?;
        println!("starts without a key  {}", out.display());
    }
    if options.answers.is_some() || options.no_prompt.is_some() {
        return Ok(true);
    }
    if options.index.is_none() && options.edition.is_none() {
        println!("{}", table(&medium.images));
        for image in &medium.unfit {
            println!("not installable: {}", unfit(image));
        }
        return Ok(true);
    }
    install(&medium, options)
}

/// Installs, and seals the image.
fn install(medium: &Wim, options: &Windows) -> Result<bool> {
    let edition = choose(medium, options)?;
    let name = options.name.clone().unwrap_or_else(|| usual_name(&edition));
    let title = format!("{} ({}), image {}", edition.image.name, edition.release, edition.image.index);
    let order = Order {
        iso: options.iso.clone(),
        answers: Answers { edition, password: PASSWORD.to_owned() },
        disk: options.disk << 30,
        memory_mb: options.memory,
        accelerator: Accelerator::chosen_or("kvm"),
        patience: options.patience,
        wreck: Workspace::find()?.target().join("rig/image").join(&name),
        name,
    };
    let prepared = install::prepare(order, &options.place.open()?)?;
    let files = package::files(options.verbose)?;
    println!("{title}");
    let mut progress = Progress::of_stdout();
    let image = prepared.install(files, &mut progress)?;
    drop(progress);
    println!("image  {}", image.manifest().name);
    println!("disk   {}", image.disk().display());
    Ok(true)
}

/// A name for an image that got none.
fn usual_name(edition: &Edition) -> String {
    let core = if edition.image.installation == "Server Core" { "-core" } else { "" };
    let text = format!("{}-{}{core}", edition.release, edition.image.edition).to_ascii_lowercase();
    text.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")
}

/// Writes the second disc.
fn write_answers(medium: &Wim, options: &Windows, out: &Path) -> Result<()> {
    let edition = choose(medium, options)?;
    let release = edition.release;
    println!("{} ({release}), image {} of {}", edition.image.name, edition.image.index, medium.file);
    let answers = Answers { edition, password: PASSWORD.to_owned() };
    let disc = windows_setup::disc(&answers, package::files(options.verbose)?).context("writing the disc")?;
    fs::write(out, disc).with_context(|| format!("writing {}", out.display()))?;
    println!("answers  {}", out.display());
    Ok(())
}

/// Writes a copy of the ISO whose boot catalog names the boot image that does not ask.
fn copy_without_prompt(iso: &Path, out: &Path) -> Result<()> {
    if out.exists() {
        return Err(Usage(format!("{} is there already", out.display())).into());
    }
    let copy = || -> Result<()> {
        fs::copy(iso, out).with_context(|| format!("copying {} to {}", iso.display(), out.display()))?;
        // the copy has the ISO's permissions, which may forbid writing
        let mut permissions = fs::metadata(out)?.permissions();
        permissions.set_mode(permissions.mode() | 0o200);
        fs::set_permissions(out, permissions)?;
        let copied = File::options().read(true).write(true).open(out)?;
        windows_setup::skip_key_prompt(copied)
            .map_err(|fault| Usage(format!("{}: {fault}", iso.display())))?;
        Ok(())
    };
    copy().inspect_err(|_| {
        // half a copy is of no use; if it cannot be removed, the error above says where it is
        let _ = fs::remove_file(out);
    })
}

/// What is on an ISO.
fn open(iso: &Path) -> Result<Wim> {
    let read = || -> Result<Wim, WimFault> {
        let file = File::open(iso).map_err(UdfFault::Io)?;
        Wim::read(&mut Udf::open(file)?)
    };
    read().map_err(|fault| Usage(format!("{}: {fault}", iso.display())).into())
}

/// An image that cannot be chosen, and why.
fn unfit(image: &Unfit) -> String {
    let name = if image.name.is_empty() { "without a name".to_owned() } else { format!("({})", image.name) };
    format!("image {} of {} {name} {}", image.index, image.file, image.why)
}

/// The one image that the arguments mean.
fn choose(medium: &Wim, options: &Windows) -> Result<Edition, Usage> {
    let named = |image: &&Image| match (&options.index, &options.edition) {
        (Some(index), _) => image.index == *index,
        (None, Some(name)) => {
            image.name.eq_ignore_ascii_case(name) || image.edition.eq_ignore_ascii_case(name)
        }
        (None, None) => true,
    };
    let found: Vec<_> = medium.images.iter().filter(named).collect();
    let meant = |image: &&Unfit| match (&options.index, &options.edition) {
        (Some(index), _) => image.index == *index && image.file == medium.file,
        (None, Some(name)) => image.name.eq_ignore_ascii_case(name),
        (None, None) => true,
    };
    let image = match found[..] {
        [image] => image,
        [] => {
            if let Some(image) = medium.unfit.iter().find(meant) {
                return Err(Usage(format!("it cannot be installed: {}", unfit(image))));
            }
            return Err(Usage(
                "the ISO has no such edition: without --index and --edition they are listed".into(),
            ));
        }
        _ => {
            let numbers: Vec<_> = found.iter().map(|image| image.index.to_string()).collect();
            let which = numbers.join(", ");
            return Err(Usage(format!("images {which} of the ISO are meant: choose one with --index")));
        }
    };
    let edition =
        Edition::of(image, options.product_key.as_deref()).map_err(|fault| Usage(fault.to_string()))?;
    if !options.accept_eula {
        let what = format!("installing {} accepts its licence terms", image.name);
        return Err(Usage(format!("{what}: read them, and say so with --accept-eula")));
    }
    Ok(edition)
}

/// The images, a line each.
fn table(images: &[Image]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["index", "name", "edition", "kind", "build", "processor", "language"]);
    for image in images {
        table.add_row([
            image.index.to_string(),
            image.name.clone(),
            image.edition.clone(),
            image.installation.clone(),
            format!("{}.{}", image.build, image.revision),
            image.architecture.to_string(),
            image.language.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use windows_setup::{Architecture, Release};

    fn server(index: u32, name: &str) -> Image {
        Image {
            index,
            name: name.to_owned(),
            edition: "ServerStandardEval".to_owned(),
            installation: "Server".to_owned(),
            architecture: Architecture::X64,
            build: 26100,
            revision: 1742,
            language: "en-US".to_owned(),
            size: 1,
        }
    }

    fn medium(images: &[Image]) -> Wim {
        Wim { file: "x64/sources/install.wim", images: images.to_vec(), unfit: Vec::new() }
    }

    fn options(index: Option<u32>, edition: Option<&str>) -> Windows {
        Windows {
            iso: PathBuf::new(),
            answers: Some(PathBuf::new()),
            index,
            edition: edition.map(str::to_owned),
            accept_eula: true,
            product_key: None,
            name: None,
            disk: 64,
            memory: 4096,
            patience: 1.0,
            place: Place { images: None },
            no_prompt: None,
            verbose: false,
        }
    }

    #[test]
    fn an_image_is_one_line() {
        let text = table(&[server(2, "Windows Server 2025")]).to_string();
        let line = text.lines().nth(2).expect("a line after the heading");
        let words: Vec<_> = line.split('|').map(str::trim).filter(|word| !word.is_empty()).collect();
        let expected =
            ["2", "Windows Server 2025", "ServerStandardEval", "Server", "26100.1742", "x64", "en-US"];
        assert_eq!(words, expected);
    }

    #[test]
    fn a_file_that_is_no_iso_is_refused_in_one_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("song.ogg");
        fs::write(&path, "la").expect("a written file");
        let error = open(&path).expect_err("it is no ISO");
        assert!(error.is::<Usage>(), "{error:?}");
        let said = lab::base::failure::one_line(&error);
        assert_eq!(said, format!("{}: it is no disc image with a UDF file system", path.display()));
    }

    #[test]
    fn a_copy_goes_over_no_other_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("thesis.txt");
        fs::write(&path, "precious").expect("a written file");
        let error = copy_without_prompt(&path, &path).expect_err("it is there");
        assert!(error.is::<Usage>(), "{error:?}");
        assert_eq!(fs::read_to_string(path).expect("it"), "precious");
    }

    #[test]
    fn no_copy_is_left_of_what_is_no_iso() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let [from, to] = ["song.ogg", "copy.iso"].map(|name| folder.path().join(name));
        fs::write(&from, "la").expect("a written file");
        let error = copy_without_prompt(&from, &to).expect_err("it is no ISO");
        assert!(error.is::<Usage>() && !to.exists(), "{error:?}");
    }

    #[test]
    fn an_edition_is_chosen_by_number_or_name() {
        let medium = medium(&[server(1, "One"), server(2, "Two")]);
        let by = |index, name| choose(&medium, &options(index, name)).expect("an edition").image.index;
        assert_eq!([by(Some(2), None), by(None, Some("two")), by(None, Some("ONE"))], [2, 2, 1]);
        assert_eq!(choose(&medium, &options(Some(1), None)).expect("it").release, Release::Server2025);
    }

    #[test]
    fn the_usual_name_is_one_that_the_store_takes() {
        let mut image = server(1, "One");
        let name = |image: &Image| usual_name(&Edition::of(image, None).expect("an edition"));
        assert_eq!(name(&image), "windows-server-2025-serverstandardeval");
        image.installation = "Server Core".to_owned();
        assert_eq!(name(&image), "windows-server-2025-serverstandardeval-core");
    }

    #[test]
    fn patience_is_finite_and_positive() {
        assert_eq!(patience("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "NaN", "inf", "a lot"] {
            assert!(patience(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_choice_of_several_or_none_is_refused() {
        let medium = medium(&[server(1, "One"), server(2, "Two")]);
        let by = |index, name| choose(&medium, &options(index, name)).expect_err("no choice").to_string();
        assert!(by(None, None).contains("images 1, 2"));
        assert!(by(None, Some("serverstandardeval")).contains("images 1, 2"));
        assert!(by(Some(3), None).contains("no such edition"));
    }

    #[test]
    fn terms_that_nobody_accepted_are_named() {
        let options = Windows { accept_eula: false, ..options(None, None) };
        let said = choose(&medium(&[server(1, "One")]), &options).expect_err("no terms").to_string();
        assert!(said.contains("--accept-eula"), "{said}");
    }

    #[test]
    fn an_edition_of_another_processor_is_refused_before_its_terms() {
        let image = Image { architecture: Architecture::Arm64, ..server(1, "One") };
        let options = Windows { accept_eula: false, ..options(None, None) };
        let said = choose(&medium(&[image]), &options).expect_err("another processor").to_string();
        assert!(said.contains("ARM64"), "{said}");
    }

    #[test]
    fn an_image_that_cannot_be_installed_is_refused_with_the_reason() {
        let image = |file, index, why: &str| Unfit { file, index, name: "Data".into(), why: why.into() };
        let unfit = vec![
            image("x64/sources/install.wim", 2, "has no WINDOWS/ARCH"),
            image("x86/sources/install.wim", 1, "is for x86"),
        ];
        let medium = Wim { unfit, ..medium(&[server(1, "One")]) };
        let by = |index, name| choose(&medium, &options(index, name));
        assert_eq!(by(Some(1), None).expect("the one for x64").image.name, "One");
        for (index, name) in [(Some(2), None), (None, Some("data"))] {
            let refused = by(index, name).expect_err("no edition").to_string();
            let expected =
                "it cannot be installed: image 2 of x64/sources/install.wim (Data) has no WINDOWS/ARCH";
            assert_eq!(refused, expected);
        }
    }
}
