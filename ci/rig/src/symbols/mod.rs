//! Addresses in a guest's drivers as places in their sources, by the PDB that lies beside each driver.
//!
//! understudy names an instruction as `cancelnic.sys+0x80c9`, and hands over a stack where it stops. Here both become
//! functions, files and lines: [`Symbols::explain`] in any text, [`Symbols::walk`] for a stack. A driver whose PDB is
//! missing, or another build's, keeps its offsets, and one line says why.

mod pdb;
mod stack;

use crate::settings::Files;
use agent_protocol::{LoadedImage, Violation};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use self::pdb::shorten;
#[cfg(test)]
use stack::Frame;
pub use stack::Stack;

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
    fn is_borrowed(&self) -> bool {
        self.file
            .as_deref()
            .is_some_and(|file| file.starts_with("library/") || file.starts_with("/registry/"))
    }
}

/// Where one instruction is: the function that was inlined last stands first, the one that has its code last.
pub type Places = Vec<Place>;

/// A driver, and the file that its image was loaded from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Module {
    /// As the guest names it.
    file: String,
    image: PathBuf,
}

/// What is known of a guest's drivers, and of its kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Symbols {
    modules: Vec<Module>,
    /// understudy's ELF file.
    kernel: PathBuf,
}

impl Symbols {
    /// For a guest that was given these files.
    pub fn of(files: &Files) -> Self {
        let module = |driver: &crate::settings::DriverFiles| Module {
            file: format!("{}.sys", driver.name),
            image: driver.image.path.clone(),
        };
        Self { modules: files.drivers.iter().map(module).collect(), kernel: files.kernel.clone() }
    }

    fn module(&self, file: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.file.eq_ignore_ascii_case(file))
    }

    /// A text in which each `NAME.sys+0x1234` is a function with file and line, the address behind it; addresses that
    /// nothing is known of stay as they are.
    pub fn explain(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(found) = Address::find(rest) {
            out.push_str(&rest[..found.start]);
            let written = &rest[found.start..found.end];
            match self.look_up(found.file, found.offset) {
                Some(place) => out.push_str(&format!("{place} ({written})")),
                None => out.push_str(written),
            }
            rest = &rest[found.end..];
        }
        out + rest
    }

    /// The places at an offset of a driver, in one line.
    fn look_up(&self, file: &str, offset: u32) -> Option<String> {
        let places = pdb::look_up(&self.module(file)?.image, &[offset]).ok()?.pop()?;
        in_one_line(&places)
    }

    /// A violation with places in its words; what `stack` adds where its words name no instruction of a driver.
    pub fn explain_violation(&self, violation: &mut Violation, stack: Option<&Stack>) {
        let explained = self.explain(&violation.place);
        if Address::find(&violation.place).is_none()
            && let Some(caller) = stack.and_then(Stack::driver)
        {
            let how = if violation.rule == "DriverPanicked" { "in" } else { "called from" };
            violation.place = format!("{explained}, {how} {caller}");
        } else {
            violation.place = explained;
        }
    }
}

/// The one of a driver's own sources that is nearest to the instruction, and the function that it was inlined into.
fn in_one_line(places: &[Place]) -> Option<String> {
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

/// Where the guest's log says that its drivers are: `cancelnic.sys: 0xfffff80012340000, 69632 bytes, entry 0x...`.
pub fn images(log: &str) -> Vec<LoadedImage> {
    let mut images: Vec<LoadedImage> = Vec::new();
    for line in log.lines() {
        let image = (|| {
            let (file, rest) = line.trim().split_once(": 0x")?;
            let mut parts = rest.split(", ");
            let base = u64::from_str_radix(parts.next()?, 16).ok()?;
            let size = parts.next()?.strip_suffix(" bytes")?.parse().ok()?;
            Some(LoadedImage { file: file.to_owned(), base, size })
        })();
        // Loaded again, a driver is where it was said to be last.
        if let Some(image) = image.filter(|image| image.file.ends_with(".sys")) {
            images.retain(|known| known.file != image.file);
            images.push(image);
        }
    }
    images
}

/// An address as understudy writes it, within a text.
#[derive(Debug, PartialEq, Eq)]
struct Address<'t> {
    start: usize,
    end: usize,
    file: &'t str,
    offset: u32,
}

impl<'t> Address<'t> {
    const SIGN: &'static str = ".sys+0x";

    /// The first one.
    fn find(text: &'t str) -> Option<Self> {
        let mut from = 0;
        while let Some(sign) = text[from..].find(Self::SIGN).map(|at| from + at) {
            let number = sign + Self::SIGN.len();
            let name = |letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter));
            let start = text[..sign]
                .rfind(name)
                .map_or(0, |before| before + text[before..].chars().next().map_or(1, char::len_utf8));
            let len = text[number..].find(|digit: char| !digit.is_ascii_hexdigit());
            let end = len.map_or(text.len(), |len| number + len);
            let offset = u32::from_str_radix(&text[number..end], 16);
            if let Ok(offset) = offset
                && start < sign
            {
                return Some(Self { start, end, file: &text[start..sign + ".sys".len()], offset });
            }
            from = number;
        }
        None
    }
}

/// Why drivers have no places, a line for each, by driver.
type Reasons = BTreeMap<String, String>;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn place(function: &str, file: &str, line: u32) -> Place {
        Place { function: function.into(), file: Some(file.into()), line: Some(line) }
    }

    /// A stack with a call of understudy's, one of a driver's that has an inlined function in it, and one that nothing is
    /// known of.
    pub fn stack() -> Stack {
        let frame = |address: &str, image: Option<&str>, places: &[Place]| Frame {
            address: address.into(),
            image: image.map(Into::into),
            places: places.to_vec(),
        };
        let wait = Place { function: "understudy::nt::wait".into(), file: None, line: None };
        Stack {
            of: "WaitAtDispatch in tx0 EvtCancel".into(),
            irql: 2,
            frames: vec![
                frame("0x201230", Some("understudy"), &[wait]),
                frame(
                    "cancelnic.sys+0x80c9",
                    Some("cancelnic.sys"),
                    &[
                        place("cancelnic::misbehave::sleep", "driver/netadapter/src/misbehave.rs", 41),
                        place("cancelnic::queue::tx_cancel", "driver/netadapter/src/queue.rs", 380),
                    ],
                ),
                frame("0xdead", None, &[]),
            ],
            notes: vec!["other.sys has offsets only: no other.pdb beside /d/other.sys".into()],
        }
    }

    #[test]
    fn a_stack_shows_inlined_functions_and_whose_each_call_is() {
        assert_eq!(
            stack().text(),
            "stack of WaitAtDispatch in tx0 EvtCancel, IRQL 2\n  understudy: understudy::nt::wait\n  \
             cancelnic::misbehave::sleep, driver/netadapter/src/misbehave.rs:41 (inlined)\n  \
             cancelnic::queue::tx_cancel, driver/netadapter/src/queue.rs:380 (cancelnic.sys+0x80c9)\n  0xdead\n  \
             other.sys has offsets only: no other.pdb beside /d/other.sys"
        );
    }

    #[test]
    fn words_without_an_address_are_completed_from_the_stack() {
        let mut violation = crate::verdict::violation("WaitAtDispatch", "tx0 EvtCancel", "a wait at IRQL 2");
        Symbols::default().explain_violation(&mut violation, Some(&stack()));
        assert_eq!(
            violation.place,
            "a wait at IRQL 2, called from cancelnic::misbehave::sleep, driver/netadapter/src/misbehave.rs:41, inlined \
             into cancelnic::queue::tx_cancel, driver/netadapter/src/queue.rs:380 (cancelnic.sys+0x80c9)"
        );
    }

    #[test]
    fn a_panic_is_in_the_function_that_panicked() {
        let mut stack = stack();
        let handler = place("cancelnic_kernel::runtime::panic", "driver/kernel/src/runtime.rs", 50);
        let way = place("core::panicking::panic_fmt", "library/core/src/panicking.rs", 80);
        for place in [way, handler] {
            let (address, image) = ("cancelnic.sys+0x10".into(), Some("cancelnic.sys".into()));
            stack.frames.insert(1, Frame { address, image, places: vec![place] });
        }
        let mut violation = crate::verdict::violation("DriverPanicked", "tx0 EvtCancel", "a.rs:1:2: seven");
        Symbols::default().explain_violation(&mut violation, Some(&stack));
        assert!(
            violation.place.starts_with("a.rs:1:2: seven, in cancelnic::misbehave::sleep, "),
            "{violation:?}"
        );
    }

    #[test]
    fn an_address_is_found_within_words() {
        let text = "read of unmapped 0x18 at cancelnic-lwf.sys+0x80c9, error 0";
        let found = Address::find(text).unwrap();
        assert_eq!((found.file, found.offset), ("cancelnic-lwf.sys", 0x80c9));
        assert_eq!(&text[found.start..found.end], "cancelnic-lwf.sys+0x80c9");
        for none in ["", "cancelnic.sys", ".sys+0x12", "a.sys+0x", "a.sys+0x123456789"] {
            assert_eq!(Address::find(none), None, "{none}");
        }
    }

    #[test]
    fn what_nothing_is_known_of_stays_as_it_is() {
        let text = "at other.sys+0x10 and – other.sys+0x20";
        assert_eq!(Symbols::default().explain(text), text);
    }

    #[test]
    fn the_line_names_the_drivers_own_source_before_the_librarys() {
        let places = [
            place("core::ptr::read_volatile", "library/core/src/ptr/mod.rs", 1),
            place("cancelnic::hardware::read", "driver/netadapter/src/hardware.rs", 20),
            place("cancelnic::queue::tx_cancel", "driver/netadapter/src/queue.rs", 30),
        ];
        assert_eq!(
            in_one_line(&places).unwrap(),
            "cancelnic::hardware::read, driver/netadapter/src/hardware.rs:20, inlined into \
             cancelnic::queue::tx_cancel, driver/netadapter/src/queue.rs:30"
        );
        assert_eq!(
            in_one_line(&places[..1]).unwrap(),
            "core::ptr::read_volatile, library/core/src/ptr/mod.rs:1"
        );
        assert_eq!(in_one_line(&[]), None);
    }
}
