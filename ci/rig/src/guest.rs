//! `--guest`, `--image`, `--images`: which guest a run has.

use anyhow::Result;
use clap::{Args, ValueEnum};
use lab::base::failure::{SetupMissing, Usage};
use lab::guests::{on_image, understudy};
use lab::machine::store::{Image, Store};
use lab::run::Guest;
use std::path::PathBuf;
use std::sync::Arc;

/// The guests that a run can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GuestKind {
    /// The stand-in kernel, started by QEMU itself
    Understudy,
    /// An image: Windows, or the stand-in image in its place
    Windows,
}

/// What the command line says of the guest.
#[derive(Debug, Args)]
#[group(id = "which_guest")]
pub(crate) struct Options {
    /// The guest to run
    #[arg(long, value_enum, default_value_t = GuestKind::Understudy)]
    pub guest: GuestKind,
    /// With --guest windows: the name of the image [default: the only one]
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// Folder of the images [default: $CANCELNIC_IMAGES, else cancelnic/images in the user's data folder]
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
}

impl Options {
    /// Finds the guest. An image of Windows needs KVM.
    pub(crate) fn choose(&self) -> Result<Arc<dyn Guest>> {
        if self.guest == GuestKind::Understudy {
            if self.image.is_some() || self.images.is_some() {
                return Err(Usage("--image and --images are for --guest windows".into()).into());
            }
            return Ok(understudy());
        }
        let store = Store::open(self.images.as_deref())?;
        let image = match &self.image {
            Some(name) => store.find(name)?,
            None => only(&store)?,
        };
        Ok(on_image(Arc::new(image)))
    }

    /// The same as arguments, for doing a run again.
    pub(crate) fn replay(&self) -> String {
        let mut line = String::new();
        if self.guest == GuestKind::Windows {
            line.push_str(" --guest windows");
        }
        if let Some(name) = &self.image {
            line.push_str(&format!(" --image {name}"));
        }
        if let Some(folder) = &self.images {
            line.push_str(&format!(" --images {}", folder.display()));
        }
        line
    }
}

/// The only image there is.
fn only(store: &Store) -> Result<Image> {
    let mut names: Vec<String> = store.list()?.into_iter().map(|entry| entry.name).collect();
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => store.find(&name),
        (Some(name), false) => {
            names.push(name);
            Err(Usage(format!("there are several images, name one with --image: {}", names.join(", ")))
                .into())
        }
        (None, _) => Err(SetupMissing::new(
            format!("an image of Windows (none is in {})", store.folder().display()),
            "cargo rig image windows --iso FILE, or for a trial without Windows cargo rig image stand-in",
        )
        .into()),
    }
}
