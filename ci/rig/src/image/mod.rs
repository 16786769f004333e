//! `cargo rig image`: disks with an installed guest, from the making to the removal.

pub(crate) mod install;
mod place;
pub(crate) mod progress;
pub(crate) mod stand_in;
mod windows;

use anyhow::Result;
use comfy_table::{Table, presets::ASCII_MARKDOWN};

use lab::base::failure;
use lab::base::failure::Usage;
use lab::machine::store::{Entry, Store};
use place::Place;
use progress::Progress;

/// Arguments of `cargo rig image`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Options {
    /// Install Windows from an ISO of your own; without --index or --edition, list the editions on the ISO
    Windows(windows::Windows),
    /// Make an image with understudy in Windows' place: it starts from a disk, through firmware, as Windows does
    StandIn(stand_in::Options),
    /// List the images
    #[command(after_help = "Examples:\n  cargo rig image list\n  cargo rig image list --images /srv/images")]
    List(Place),
    /// Compare every byte of one image, or of all images, with its checksum
    #[command(after_help = "Examples:\n  cargo rig image verify              all images\n  \
        cargo rig image verify win11-24h2   this one")]
    Verify {
        /// The image; without it, all images
        name: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Remove an image
    #[command(after_help = "Examples:\n  cargo rig image remove stand-in")]
    Remove {
        /// The image
        name: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Carries out `cargo rig image`.
pub(crate) fn image(options: &Options) -> Result<bool> {
    match options {
        Options::Windows(options) => windows::windows(options),
        Options::StandIn(options) => stand_in::make(options),
        Options::List(place) => list(&place.open()?),
        Options::Verify { name, place } => verify(&place.open()?, name.as_deref()),
        Options::Remove { name, place } => {
            place.open()?.remove(name)?;
            println!("removed  {name}");
            Ok(true)
        }
    }
}

fn list(store: &Store) -> Result<bool> {
    let entries = store.list()?;
    if entries.is_empty() {
        println!("no images in {}", store.folder().display());
    } else {
        println!("{}", table(&entries));
    }
    Ok(true)
}

/// Reports for each image whether it is unchanged; true if all are.
fn verify(store: &Store, name: Option<&str>) -> Result<bool> {
    let entries = match name {
        Some(name) => vec![Entry { image: Ok(store.find(name)?), name: name.to_owned() }],
        None => store.list()?,
    };
    if entries.is_empty() {
        return Err(Usage(format!("no images in {}", store.folder().display())).into());
    }
    let mut good = true;
    for Entry { name, image } in entries {
        let progress = Progress::of_stdout();
        let what = format!("reading {name}");
        let verified =
            image.and_then(|image| image.verify(&mut |done, all| progress.bytes(&what, done, all)));
        drop(progress);
        match verified {
            Ok(()) => println!("good     {name}"),
            Err(error) => {
                println!("damaged  {name}: {}", failure::one_line(&error));
                good = false;
            }
        }
    }
    Ok(good)
}

/// The images, a line each.
fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["name", "guest", "release", "edition", "build", "agent", "GB", "made"]);
    for Entry { name, image } in entries {
        match image {
            Ok(image) => {
                let manifest = image.manifest();
                let described = &manifest.description;
                table.add_row([
                    name.clone(),
                    described.guest.to_string(),
                    described.release.clone(),
                    described.edition.clone(),
                    described.build.clone(),
                    described.agent.clone().unwrap_or_else(|| "none".to_owned()),
                    format!("{:.1}", manifest.disk.size as f64 / 1e9),
                    manifest.created.format("%Y-%m-%d %H:%M").to_string(),
                ]);
            }
            Err(error) => {
                table.add_row([name.clone(), failure::one_line(error)]);
            }
        }
    }
    table
}
