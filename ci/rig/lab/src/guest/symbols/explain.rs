//! Addresses within texts.

use super::modules::Symbols;
use super::pdb;
use super::place::in_one_line;
use super::stack::Stack;
use agent_protocol::{LoadedImage, Violation};

impl Symbols {
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
pub(super) struct Address<'t> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) file: &'t str,
    pub(super) offset: u32,
}

impl<'t> Address<'t> {
    const SIGN: &'static str = ".sys+0x";

    /// The first one.
    pub(super) fn find(text: &'t str) -> Option<Self> {
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
