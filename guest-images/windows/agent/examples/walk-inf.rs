//! Walks an INF as SetupAPI reads it: `walk-inf FILE`. For the tests: Windows' own reader, or Wine's, is another
//! opinion on the project's INF files.
//!
//! Prints a line for each line of every section that the walk reaches, `SECTION|KEY|FIELD|FIELD...`, strings put in.
//! The walk begins at Version, Manufacturer and DestinationDirs, and goes on to the models and install sections. An
//! error is one line, `line N: ...`, and exit code 1.

#[cfg(not(windows))]
fn main() {
    eprintln!("walk-inf is a program for Windows");
    std::process::exit(2);
}

#[cfg(windows)]
fn main() {
    let Some(file) = std::env::args_os().nth(1) else {
        eprintln!("usage: walk-inf FILE");
        std::process::exit(2);
    };
    match walk::walk(&file) {
        Ok(lines) => lines.iter().for_each(|line| println!("{line}")),
        Err(error) => {
            println!("{error}");
            std::process::exit(1);
        }
    }
}

#[cfg(windows)]
mod walk {
    use std::{
        collections::{BTreeSet, VecDeque},
        ffi::OsStr,
        io,
        os::windows::ffi::OsStrExt as _,
        ptr::{null, null_mut},
    };

    use windows_sys::Win32::{
        Devices::DeviceAndDriverInstallation::{
            INF_STYLE_WIN4, INFCONTEXT, SetupCloseInfFile, SetupFindFirstLineW, SetupFindNextLine,
            SetupGetFieldCount, SetupGetStringFieldW, SetupOpenInfFileW,
        },
        Foundation::INVALID_HANDLE_VALUE,
    };

    /// Directives whose values are names of sections.
    const LEADS_ON: [&str; 4] = ["CopyFiles", "AddReg", "Needs", "Include"];
    /// What an install section's name is completed with.
    const PARTS: [&str; 6] = ["", ".NT", ".NT.HW", ".NT.Services", ".NT.Wdf", ".Services"];

    fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
        text.as_ref().encode_wide().chain([0]).collect()
    }

    /// The fields of a line, the key first.
    fn fields(context: &INFCONTEXT) -> Vec<String> {
        // SAFETY: the context is that of a line of an open INF.
        let count = unsafe { SetupGetFieldCount(context) };
        (0..=count)
            .map(|field| {
                let mut units = [0_u16; 1024];
                // SAFETY: as above; the buffer has as many units as is said. Without the field it stays empty.
                unsafe {
                    SetupGetStringFieldW(context, field, units.as_mut_ptr(), units.len() as u32, null_mut())
                };
                let end = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
                String::from_utf16_lossy(&units[..end])
            })
            .collect()
    }

    pub(crate) fn walk(file: &OsStr) -> Result<Vec<String>, String> {
        let name = wide(file);
        let mut line = 0;
        // SAFETY: the name ends with NUL.
        let inf = unsafe { SetupOpenInfFileW(name.as_ptr(), null(), INF_STYLE_WIN4, &raw mut line) };
        if inf as isize == INVALID_HANDLE_VALUE as isize {
            return Err(format!("line {line}: {}", io::Error::last_os_error()));
        }
        let mut walked = Vec::new();
        let mut seen = BTreeSet::new();
        let mut sections: VecDeque<String> =
            ["Version", "DestinationDirs", "SourceDisksFiles", "Manufacturer"].map(str::to_owned).into();
        while let Some(section) = sections.pop_front() {
            if !seen.insert(section.to_ascii_lowercase()) {
                continue;
            }
            let name = wide(&section);
            let mut context = INFCONTEXT::default();
            // SAFETY: the INF is open, the name ends with NUL.
            let mut more = unsafe { SetupFindFirstLineW(inf, name.as_ptr(), null(), &raw mut context) };
            while more != 0 {
                let fields = fields(&context);
                walked.push(format!("{section}|{}", fields.join("|")));
                sections.extend(next(&section, &fields));
                let before = context;
                // SAFETY: as above.
                more = unsafe { SetupFindNextLine(&raw const before, &raw mut context) };
            }
        }
        // SAFETY: the INF was opened here and is used no more.
        unsafe { SetupCloseInfFile(inf) };
        Ok(walked)
    }

    /// Sections that a line leads on to.
    fn next(section: &str, fields: &[String]) -> Vec<String> {
        let field = |index: usize| fields.get(index).cloned().unwrap_or_default();
        if section == "Manufacturer" {
            // NAME = MODELS, DECORATION...
            return fields[2..].iter().map(|decoration| format!("{}.{decoration}", field(1))).collect();
        }
        if field(0) == "AddService" {
            return fields[3..].to_vec();
        }
        if field(0) == "KmdfService" {
            return vec![field(2)];
        }
        if LEADS_ON.contains(&field(0).as_str()) {
            return fields[1..].to_vec();
        }
        // DESCRIPTION = INSTALL, ID in a models section
        if section.contains(".NT") && field(2).contains(['\\', '_']) && fields.len() == 3 {
            return PARTS.iter().map(|part| format!("{}{part}", field(1))).collect();
        }
        Vec::new()
    }
}
