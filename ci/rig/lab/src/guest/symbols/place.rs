//! Places in sources.

use serde::Serialize;

/// A place in a source, or as much of one as is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The function.
    pub function: String,
    /// Its source file; of this workspace as its folder shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Place {
    /// `function, file:line`
    pub fn text(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{}, {file}:{line}", self.function),
            (Some(file), None) => format!("{}, {file}", self.function),
            _ => self.function.clone(),
        }
    }

    /// Whether it is in code that comes with the compiler, or from a registry: not where a driver's author looks first.
    pub(super) fn is_borrowed(&self) -> bool {
        self.file
            .as_deref()
            .is_some_and(|file| file.starts_with("library/") || file.starts_with("/registry/"))
    }
}

/// Where one instruction is: the function that was inlined last stands first, the one that has its code last.
pub(super) type Places = Vec<Place>;

/// The one of a driver's own sources that is nearest to the instruction, and the function that it was inlined into.
pub(super) fn in_one_line(places: &[Place]) -> Option<String> {
    let (at, nearest) = places
        .iter()
        .enumerate()
        .find(|(_, place)| !place.is_borrowed())
        .or(places.last().map(|last| (places.len() - 1, last)))?;
    let text = nearest.text();
    Some(match places.last().filter(|_| at + 1 < places.len()) {
        Some(outer) => format!("{text}, inlined into {}", outer.text()),
        None => text,
    })
}
