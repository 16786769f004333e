//! What a driver's INF says about its package: files, catalog, date, hardware.

use inf_text::{EncodingFault, Outside};

/// Why an INF is no package's description.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfFault {
    /// Its bytes are no text that Windows reads.
    #[error(transparent)]
    Encoding(#[from] EncodingFault),
    /// Sections and entries only; a text before the first section is neither.
    #[error(transparent)]
    Outside(#[from] Outside),
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

impl Inf {
    /// Reads the bytes of an INF.
    ///
    /// # Errors
    /// [`InfFault`], the first found.
    pub fn parse(bytes: &[u8]) -> Result<Self, InfFault> {
        let inf = inf_text::Inf::parse(&inf_text::decode(bytes)?)?;
        let date = required(&inf, "Version", "DriverVer")?;
        Ok(Self {
            class: required(&inf, "Version", "Class")?,
            catalog: required(&inf, "Version", "CatalogFile")?,
            date: parse_date(&date).ok_or(InfFault::Date(date))?,
            files: inf.lines("SourceDisksFiles").map(|line| line.key.clone()).collect(),
            hardware_ids: hardware_ids(&inf)?,
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

/// First value of an entry.
fn required(inf: &inf_text::Inf, section: &str, entry: &'static str) -> Result<String, InfFault> {
    let value = inf.value(section, entry).filter(|value| !value.is_empty());
    defined(value.ok_or_else(|| InfFault::Missing { section: section.to_owned(), entry })?)
}

fn hardware_ids(inf: &inf_text::Inf) -> Result<Vec<String>, InfFault> {
    let mut ids = Vec::new();
    for manufacturer in inf.lines("Manufacturer") {
        let Some((base, targets)) = manufacturer.values.split_first() else { continue };
        for target in targets.iter().filter(|target| target.to_ascii_lowercase().starts_with("ntamd64")) {
            for model in inf.lines(&format!("{base}.{target}")) {
                // install section, then the hardware id and compatible ids
                for id in model.values.iter().skip(1).filter(|id| !id.is_empty()) {
                    let id = defined(id.to_ascii_lowercase())?;
                    if !ids.contains(&id) {
                        ids.push(id);
                    }
                }
            }
        }
    }
    if ids.is_empty() { Err(InfFault::NoHardware) } else { Ok(ids) }
}

/// A value that still is one `%name%` has a name that [Strings] does not define.
fn defined(value: String) -> Result<String, InfFault> {
    match value.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')) {
        Some(name) => Err(InfFault::String(name.to_owned())),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::{EncodingFault, Inf, InfFault, Outside};

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

    fn parse(text: &str) -> Result<Inf, InfFault> {
        Inf::parse(text.as_bytes())
    }

    #[test]
    fn a_package_is_read_whatever_the_case_of_names() {
        let expected = Inf {
            class: "Net".to_owned(),
            catalog: "one.cat".to_owned(),
            date: (2026, 11, 21),
            files: vec!["one.sys".to_owned(), "two.dll".to_owned()],
            hardware_ids: vec!["pci\\ven_1af4&dev_1041".to_owned(), "root\\one".to_owned()],
        };
        assert_eq!(parse(TEXT), Ok(expected));
    }

    #[test]
    fn a_text_without_sections_is_refused() {
        assert_eq!(parse("\n\nhello"), Err(InfFault::Outside(Outside(3))));
    }

    #[test]
    fn an_inf_without_catalog_is_refused() {
        let missing = InfFault::Missing { section: "Version".to_owned(), entry: "CatalogFile" };
        assert_eq!(parse(&TEXT.replace("CatalogFile", "Other")), Err(missing));
    }

    #[test]
    fn a_date_in_another_order_is_refused() {
        let fault = InfFault::Date("2026/11/21".to_owned());
        assert_eq!(parse(&TEXT.replace("11/21/2026", "2026/11/21")), Err(fault));
    }

    #[test]
    fn a_string_that_is_not_defined_is_named() {
        let fault = InfFault::String("Catalog".to_owned());
        assert_eq!(parse(&TEXT.replace("CATALOG =", "OTHER =")), Err(fault));
    }

    #[test]
    fn hardware_for_another_processor_does_not_count() {
        assert_eq!(parse(&TEXT.replace("NTamd64.10.0...19041", "NTx86")), Err(InfFault::NoHardware));
    }

    #[test]
    fn an_inf_in_ansi_is_read_and_one_in_utf_16_be_refused_by_name() {
        let ansi = [b"; \xa9 M\xfcller\n", TEXT.as_bytes()].concat();
        assert_eq!(Inf::parse(&ansi), parse(TEXT));
        let utf_16_be: Vec<u8> = "\u{feff}[Version]".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(Inf::parse(&utf_16_be), Err(InfFault::Encoding(EncodingFault::Utf16Be)));
    }

    #[test]
    fn an_entry_over_several_lines_is_one() {
        let text = TEXT.replace(
            "Install, PCI\\VEN_1AF4&DEV_1041\n",
            "Install, \\ ; a comment\n PCI\\VEN_1AF4&DEV_1041\n",
        );
        assert_ne!(text, TEXT);
        assert_eq!(parse(&text), parse(TEXT));
    }
}
