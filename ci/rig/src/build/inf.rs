//! Stamps a driver's `.inx` into its `.inf`, as the Windows kit's stampinf does.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};

use super::driver::Source;
use super::step::write_if_changed;
use lab::base::workspace::Workspace;

/// KMDF version that the drivers bind to.
const KMDF_VERSION: &str = "1.31";

/// Writes the stamped INF to `to`.
pub(super) fn stamp(workspace: &Workspace, source: &Source, to: &Path) -> anyhow::Result<()> {
    let from = workspace.root().join(source.folder).join(source.name).with_extension("inx");
    let bytes = fs::read(&from).with_context(|| format!("reading {}", from.display()))?;
    let text = inf_text::decode(&bytes).with_context(|| from.display().to_string())?;
    let version = workspace.version(source.name)?;
    let stamped = stamped(&text, &version.date, &version.number)
        .with_context(|| format!("stamping {}", from.display()))?;
    write_if_changed(to, stamped.as_bytes())?;
    Ok(())
}

/// The stamped text. `date` is `year-month-day`; `version` is `major.minor.patch`.
fn stamped(text: &str, date: &str, version: &str) -> anyhow::Result<String> {
    let parts: Vec<_> = date.split('-').collect();
    let [year, month, day] = parts[..] else { bail!("driver-date `{date}` is not year-month-day") };
    let numbers: Vec<&str> = version.split('.').collect();
    if numbers.len() != 3 || numbers.iter().any(|number| number.parse::<u16>().is_err()) {
        bail!("version `{version}` is not three numbers below 65536");
    }
    let driver_version = format!("{month}/{day}/{year},{version}.0");
    let mut versions = 0;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_end();
        if let Some(key) = line.strip_suffix('=')
            && key.trim() == "DriverVer"
        {
            versions += 1;
            out.push_str(&format!("{line} {driver_version}"));
        } else {
            out.push_str(&line.replace("$ARCH$", "amd64").replace("$KMDFVERSION$", KMDF_VERSION));
        }
        out.push_str("\r\n");
    }
    if !out.is_ascii() {
        bail!("it has other characters than ASCII, which Windows would read in its ANSI code page");
    }
    if versions != 1 {
        bail!("{versions} empty DriverVer lines instead of one");
    }
    if let Some(at) =
        out.lines().find(|line| !line.starts_with(';') && line.contains('$') && !line.contains("WINDOWS NT"))
    {
        bail!("unknown token in `{at}`");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::driver::DRIVERS;
    use super::{Workspace, stamp, stamped};

    #[test]
    fn the_projects_inf_names_device_driver_and_interrupt() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let to = folder.path().join("cancelnic.inf");
        stamp(&Workspace::find().expect("a workspace"), &DRIVERS[0], &to).expect("a stamped INF");
        let text = std::fs::read_to_string(to).expect("the INF");
        for wanted in [
            "[Cancelnic.NTamd64.10.0...20348]",
            "PCI\\VEN_1AF4&DEV_1041",
            "ServiceBinary = %13%\\cancelnic.sys",
            "KmdfLibraryVersion = 1.31",
            "MSISupported,       0x00010001, 1",
            "MessageNumberLimit, 0x00010001, 1",
        ] {
            assert!(text.contains(wanted), "no `{wanted}` in the INF");
        }
    }

    #[test]
    fn tokens_and_version_are_filled_in() {
        let text = "[Version]\nDriverVer   =\n[M.NT$ARCH$]\nKmdfLibraryVersion = $KMDFVERSION$\n";
        let expected =
            "[Version]\r\nDriverVer   = 11/21/2026,0.1.0.0\r\n[M.NTamd64]\r\nKmdfLibraryVersion = 1.31\r\n";
        assert_eq!(stamped(text, "2026-11-21", "0.1.0").expect("a valid text"), expected);
    }

    #[test]
    fn a_text_without_version_line_is_refused() {
        assert!(stamped("[Version]\n", "2026-11-21", "0.1.0").is_err());
    }

    #[test]
    fn a_text_that_windows_would_read_in_another_code_page_is_refused() {
        let fault = stamped("; M\u{fc}ller\nDriverVer =\n", "2026-11-21", "0.1.0").expect_err("a letter");
        assert!(fault.to_string().contains("ANSI code page"), "{fault}");
    }

    #[test]
    fn an_unknown_token_is_refused() {
        assert!(stamped("DriverVer =\na = $WHAT$\n", "2026-11-21", "0.1.0").is_err());
    }
}
