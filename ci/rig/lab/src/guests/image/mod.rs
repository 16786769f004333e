//! Guests that are started from the disk of an image, through firmware: the stand-in, and Windows.

mod dump;
mod evidence;
mod medium;
mod outside;
mod windows;

use crate::machine::store::Image;
use crate::machine::store::manifest::ImageKind;
use crate::run::Guest;
use medium::Medium;
use std::sync::Arc;
use windows::{PATIENCE, Windows};

/// The guest of an image.
pub fn on_image(image: Arc<Image>) -> Arc<dyn Guest> {
    match image.manifest().description.guest {
        ImageKind::StandIn => Arc::new(Medium::of_stand_in(image)),
        ImageKind::StandInLikeWindows => Arc::new(Windows(Medium::of_stand_in(image))),
        ImageKind::Windows => Arc::new(Windows(Medium::of_windows(image, PATIENCE))),
    }
}
