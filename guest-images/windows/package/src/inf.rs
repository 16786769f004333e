//! What a driver's INF says about its package: files, catalog, date, hardware.

use std::collections::BTreeMap;

/// Why an INF is no package's description.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfFault {
    /// Sections and entries only; a text before the first section is neither.
    #[error("line {0}: an entry outside every section")]
    Outside(usize),
    /// Something that the package needs is not said.
    #[error("[{section}] does not say {entry}")]
    Missing {
        /// Name of the section.
        section: String,
        /// Name of the entry.
        entry: &'static str,
    },
    /// `DriverVer` is a date and a version.
    #[error("DriverVer `{0}` does not begin with month/day/year")]
    Date(String),
    /// A string that [Strings] does not define.
    #[error("%{0}% is not among [Strings]")]
    String(String),
    /// No model, so no hardware.
    #[error("[Manufacturer] leads to no hardware id for x64")]
    NoHardware,
}

/// One entry of a section: `name = value, value`, or values alone.
#[derive(Clone, Debug)]
struct Entry {
    name: Option<String>,
    values: Vec<String>,
}

/// A driver's INF, as far as its package is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inf {
    /// Device setup class, as written: `Net`, `NetService`, `System`.
    pub class: String,
    /// File name of the catalog.
    pub catalog: String,
    /// Date of the driver: year, month, day.
    pub date: (u16, u8, u8),
    /// Names of the files besides the INF and the catalog, in the INF's order.
    pub files: Vec<String>,
    /// Hardware ids, or the component ids of a network service, in lower case, in the INF's order.
    pub hardware_ids: Vec<String>,
}

type Sections = BTreeMap<String, Vec<Entry>>;

impl Inf {
    /// Reads the text of an INF.
    ///
    /// # Errors
    /// [`InfFault`], the first found.
    pub fn parse(text: &str) -> Result<Self, InfFault> {
        let sections = sections(text)?;
        let date = required(&sections, "Version", "DriverVer")?;
        Ok(Self {
            class: required(&sections, "Version", "Class")?,
            catalog: required(&sections, "Version", "CatalogFile")?,
            date: parse_date(&date).ok_or(InfFault::Date(date))?,
            files: section(&sections, "SourceDisksFiles").filter_map(|entry| entry.name.clone()).collect(),
            hardware_ids: hardware_ids(&sections)?,
        })
    }
}

/// `month/day/year[,version]`.
fn parse_date(text: &str) -> Option<(u16, u8, u8)> {
    let mut parts = text.split('/');
    let (month, day, year) = (parts.next()?, parts.next()?, parts.next()?);
    let date = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    (parts.next().is_none() && (1..=12).contains(&date.1) && (1..=31).contains(&date.2)).then_some(date)
}

/// Section and entry names do not depend on case, so the map's keys are in lower case.
fn section<'a>(sections: &'a Sections, name: &str) -> impl Iterator<Item = &'a Entry> {
    sections.get(&name.to_ascii_lowercase()).into_iter().flatten()
}

/// First value of an entry.
fn required(sections: &Sections, name: &str, entry: &'static str) -> Result<String, InfFault> {
    section(sections, name)
        .find(|found| found.name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(entry)))
        .and_then(|found| found.values.first())
        .filter(|value| !value.is_empty())
        .map(|value| substitute(sections, value))
        .transpose()?
        .ok_or(InfFault::Missing { section: name.to_owned(), entry })
}

fn hardware_ids(sections: &Sections) -> Result<Vec<String>, InfFault> {
    let mut ids = Vec::new();
    for manufacturer in section(sections, "Manufacturer").filter(|entry| entry.name.is_some()) {
        let Some((base, targets)) = manufacturer.values.split_first() else { continue };
        for target in targets.iter().filter(|target| target.to_ascii_lowercase().starts_with("ntamd64")) {
            for model in section(sections, &format!("{base}.{target}")) {
                // install section, then the hardware id and compatible ids
                for id in model.values.iter().skip(1).filter(|id| !id.is_empty()) {
                    let id = substitute(sections, id)?.to_ascii_lowercase();
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
            }
        }
    }
    if ids.is_empty() { Err(InfFault::NoHardware) } else { Ok(ids) }
}

/// Replaces a value that is one `%name%` by the string of that name.
fn substitute(sections: &Sections, value: &str) -> Result<String, InfFault> {
    let Some(name) = value.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')) else {
        return Ok(value.to_owned());
    };
    section(sections, "Strings")
        .find(|entry| entry.name.as_deref().is_some_and(|found| found.eq_ignore_ascii_case(name)))
        .and_then(|entry| entry.values.first().cloned())
        .ok_or_else(|| InfFault::String(name.to_owned()))
}

fn sections(text: &str) -> Result<Sections, InfFault> {
    let mut sections = Sections::new();
    let mut current: Option<String> = None;
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = without_comment(line).trim();
        if line.is_empty() {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.trim().to_ascii_lowercase();
            sections.entry(name.clone()).or_default();
            current = Some(name);
            continue;
        }
        let name = current.as_ref().ok_or(InfFault::Outside(index + 1))?;
        sections.entry(name.clone()).or_default().push(entry(line));
    }
    Ok(sections)
}

fn entry(line: &str) -> Entry {
    let mut quoted = false;
    let mut name = None;
    let mut values = vec![String::new()];
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(String::new()),
            '=' if !quoted && name.is_none() && values.len() == 1 => {
                name = Some(std::mem::take(&mut values[0]).trim().to_owned());
            }
            _ => {
                let last = values.len() - 1;
                values[last].push(character);
            }
        }
    }
    Entry { name, values: values.iter().map(|value| value.trim().to_owned()).collect() }
}

/// A semicolon outside quotes begins a comment.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, character) in line.char_indices() {
        match character {
            '"' => quoted = !quoted,
            ';' if !quoted => return &line[..at],
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{Inf, InfFault};

    const TEXT: &str = "
        ; a comment
        [Version]
        Class       = Net ; another
        DriverVer   = 11/21/2026,0.1.0.0
        CatalogFile = %Catalog%
        [SourceDisksFiles]
        one.sys = 1,,
        \"two.dll\" = 1
        [manufacturer]
        %Us% = Models, NTamd64.10.0...19041, NTarm64
        [Models.NTamd64.10.0...19041]
        \"A; b = c\" = Install, PCI\\VEN_1AF4&DEV_1041
        %Us% = Install, PCI\\VEN_1AF4&DEV_1041, Root\\One
        [Models.NTarm64]
        %Us% = Install, PCI\\VEN_0000
        [strings]
        Us = \"me, myself\"
        CATALOG = \"one.cat\"
    ";

    #[test]
    fn a_package_is_read_whatever_the_case_of_names() {
        let expected = Inf {
            class: "Net".to_owned(),
            catalog: "one.cat".to_owned(),
            date: (2026, 11, 21),
            files: vec!["one.sys".to_owned(), "two.dll".to_owned()],
            hardware_ids: vec!["pci\\ven_1af4&dev_1041".to_owned(), "root\\one".to_owned()],
        };
        assert_eq!(Inf::parse(TEXT), Ok(expected));
    }

    #[test]
    fn a_text_without_sections_is_refused() {
        assert_eq!(Inf::parse("\n\nhello"), Err(InfFault::Outside(3)));
    }

    #[test]
    fn an_inf_without_catalog_is_refused() {
        let missing = InfFault::Missing { section: "Version".to_owned(), entry: "CatalogFile" };
        assert_eq!(Inf::parse(&TEXT.replace("CatalogFile", "Other")), Err(missing));
    }

    #[test]
    fn a_date_in_another_order_is_refused() {
        let fault = InfFault::Date("2026/11/21".to_owned());
        assert_eq!(Inf::parse(&TEXT.replace("11/21/2026", "2026/11/21")), Err(fault));
    }

    #[test]
    fn a_string_that_is_not_defined_is_named() {
        let fault = InfFault::String("Catalog".to_owned());
        assert_eq!(Inf::parse(&TEXT.replace("CATALOG =", "OTHER =")), Err(fault));
    }

    #[test]
    fn hardware_for_another_processor_does_not_count() {
        assert_eq!(Inf::parse(&TEXT.replace("NTamd64.10.0...19041", "NTx86")), Err(InfFault::NoHardware));
    }
}
