//! What a run leaves for people and programs: JSON (`report.schema.json` describes it), HTML, a table.

mod about;
mod fates;
mod html;
mod leave;
mod line;
mod model;
mod strip;
pub mod table;
#[cfg(test)]
mod tests;
pub mod trace;
mod way;
mod wire;
mod witness;

pub use leave::{copy_json, json_seen_from, leave};
pub use model::Report;
