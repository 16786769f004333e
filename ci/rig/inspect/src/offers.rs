//! What understudy offers, from the page that its tests keep current.

use std::collections::{BTreeMap, BTreeSet};

/// The page is not one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no list of what is offered: {0}")]
pub struct OffersFault(&'static str);

/// Functions by module, as the page's sections are headed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offers(BTreeMap<String, BTreeSet<String>>);

impl Offers {
    /// Reads `OFFERS.md`.
    ///
    /// # Errors
    /// It has no section, or a section without a function.
    pub fn read(page: &str) -> Result<Self, OffersFault> {
        let mut modules: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for section in page.split("\n## ").skip(1) {
            let (title, body) =
                section.split_once('\n').ok_or(OffersFault("a section has nothing but a heading"))?;
            let quoted = |line: &str| Some(line.strip_prefix("- `")?.strip_suffix('`')?.to_owned());
            let names: BTreeSet<String> = body.lines().filter_map(quoted).collect();
            if names.is_empty() {
                return Err(OffersFault("a section has no function"));
            }
            modules.insert(title.trim().to_owned(), names);
        }
        if modules.is_empty() { Err(OffersFault("there is no section")) } else { Ok(Self(modules)) }
    }

    /// The functions of a module, whose name is in any case.
    #[must_use]
    pub fn of(&self, module: &str) -> Option<&BTreeSet<String>> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(module)).map(|(_, names)| names)
    }

    /// The section of a framework in whichever version: its title and its functions.
    #[must_use]
    pub fn of_framework(&self, component: &str) -> Option<(&str, &BTreeSet<String>)> {
        let mut found = self.0.iter().filter(|(name, _)| name.split(' ').next() == Some(component));
        found.next().map(|(name, names)| (name.as_str(), names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# What\n\nText with `words`.\n\n## ntoskrnl.exe\n\n1 functions.\n\n- `memcpy`\n\n## KmdfLibrary 1.31\n\n- `WdfA`\n- `WdfB`\n";

    #[test]
    fn sections_are_found_by_module_and_by_component() {
        let offers = Offers::read(PAGE).unwrap();
        assert!(offers.of("NTOSKRNL.EXE").is_some_and(|names| names.contains("memcpy") && names.len() == 1));
        assert!(offers.of("fwpkclnt.sys").is_none());
        let (title, names) = offers.of_framework("KmdfLibrary").unwrap();
        assert_eq!((title, names.len()), ("KmdfLibrary 1.31", 2));
    }

    #[test]
    fn a_page_without_functions_is_refused() {
        assert!(Offers::read("# What\n").is_err());
        assert!(Offers::read("# What\n\n## ntoskrnl.exe\n\nnothing\n").is_err());
    }
}
