//! Where images are: the option of every subcommand.

use anyhow::Result;
use lab::machine::store::Store;
use std::path::PathBuf;

/// Where images are.
#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// Folder of the images [default: $CANCELNIC_IMAGES, else cancelnic/images in the user's data folder]
    #[arg(long, visible_alias = "out", value_name = "DIR")]
    pub(super) images: Option<PathBuf>,
}

impl Place {
    /// The store there.
    ///
    /// # Errors
    /// If there is nowhere to keep images.
    pub(crate) fn open(&self) -> Result<Store> {
        Store::open(self.images.as_deref())
    }
}
