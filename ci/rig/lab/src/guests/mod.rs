//! The guests that a run can have, each with what it does in another way than the others.

mod image;
mod understudy;

pub use image::on_image;
pub use understudy::understudy;
