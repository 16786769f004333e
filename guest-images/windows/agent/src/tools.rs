//! Windows' own programs, and what they say.

use std::{fs, io, path::Path};

use agent_protocol::{MAX_LINE, Reply};

use crate::guest::{Fault, Guest};

/// Drivers without whose verification that of a network driver is worth little.
const VERIFIED_BESIDE: [&str; 2] = ["NetAdapterCx.sys", "ndis.sys"];
/// Exit code of verifier.exe: done, and Windows has to start anew.
const VERIFIER_RESTART: i32 = 2;
/// The log of driver installations, as the rig names it.
const SETUPAPI: &str = "setupapi";
/// Most bytes of a log in one answer, as they are written; it has to fit into a line with all that is around it.
const MOST_TEXT: usize = MAX_LINE / 2;

/// Runs a program; what it said, if it ended well.
///
/// # Errors
/// It is not there, or its exit code and the end of what it said.
pub fn run(guest: &dyn Guest, program: &str, arguments: &[&str]) -> Result<String, String> {
    run_to(guest, program, arguments, &[0])
}

fn run_to(guest: &dyn Guest, program: &str, arguments: &[&str], good: &[i32]) -> Result<String, String> {
    let said = guest.run(program, arguments).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{program}: this Windows has no such program"),
        _ => format!("{program}: {error}"),
    })?;
    let text = text(&said.output);
    if good.contains(&said.code) {
        return Ok(text);
    }
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Err(format!("{program}: exit code {}: {}", said.code, last.trim()))
}

/// Text as programs of Windows write it: UTF-16 with a byte order mark, or bytes that are mostly ASCII.
fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xFF, 0xFE, rest @ ..] => {
            let units = rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Sets Driver Verifier for the next start of Windows; the answer is what it says of its settings then.
///
/// # Errors
/// verifier.exe is not there or refuses, or a name is none of a file.
pub fn verifier(guest: &dyn Guest, on: bool, drivers: &[String], flags: Option<u32>) -> Result<Reply, Fault> {
    let program = "verifier.exe";
    let good = [0, VERIFIER_RESTART];
    if on {
        if drivers.is_empty() {
            return Err(Fault::Failed("verifier: no driver is named".into()));
        }
        let is_name = |name: &String| {
            name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
                && name.contains('.')
        };
        if let Some(wrong) = drivers.iter().find(|name| !is_name(name)) {
            return Err(format!("verifier: {wrong:?} is no file's name").into());
        }
        let chosen = flags.map(|flags| format!("{flags:#x}"));
        let mut arguments = match &chosen {
            Some(flags) => vec!["/flags", flags],
            None => vec!["/standard"],
        };
        arguments.push("/driver");
        arguments.extend(drivers.iter().map(String::as_str));
        let named = |name: &&str| drivers.iter().any(|driver| driver.eq_ignore_ascii_case(name));
        arguments.extend(VERIFIED_BESIDE.iter().filter(|name| !named(name)));
        run_to(guest, program, &arguments, &good)?;
    } else {
        run_to(guest, program, &["/reset"], &good)?;
    }
    let settings = run(guest, program, &["/querysettings"])?;
    let lines = settings.lines().map(str::trim_end).filter(|line| !line.is_empty());
    Ok(Reply { lines: lines.map(str::to_owned).collect(), ..Reply::default() })
}

/// The newest entries of a log, oldest first.
///
/// # Errors
/// There is no such log.
pub fn logs(guest: &dyn Guest, log: &str, most: u32) -> Result<Reply, Fault> {
    let lines = if log.eq_ignore_ascii_case(SETUPAPI) {
        last_lines(&guest.system_root().join("INF/setupapi.dev.log"), most)?
    } else {
        if log.is_empty() || log.starts_with(['/', '-']) {
            return Err(format!("no event log is named {log:?}").into());
        }
        let count = format!("/c:{most}");
        // newest first, so that these are the newest
        let arguments = ["query-events", log, &count, "/rd:true", "/f:text", "/uni:true"];
        oldest_first(&run(guest, "wevtutil.exe", &arguments)?)
    };
    Ok(Reply { lines: newest_that_fit(lines), ..Reply::default() })
}

/// The last lines of a text file.
fn last_lines(path: &Path, most: u32) -> Result<Vec<String>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = text(&bytes);
    let mut lines: Vec<_> = text.lines().rev().take(most as usize).map(str::to_owned).collect();
    lines.reverse();
    Ok(lines)
}

/// The lines of events, of which each begins with `Event[`, the events in the opposite order.
fn oldest_first(text: &str) -> Vec<String> {
    let mut events: Vec<Vec<String>> = Vec::new();
    for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if line.starts_with("Event[") || events.is_empty() {
            events.push(Vec::new());
        }
        if let Some(event) = events.last_mut() {
            event.push(line.to_owned());
        }
    }
    events.into_iter().rev().flatten().collect()
}

fn newest_that_fit(lines: Vec<String>) -> Vec<String> {
    let mut room = MOST_TEXT;
    let fits = |line: &&String| {
        // quotes around it, a comma behind it, and whatever has to be escaped
        let written = serde_json::to_string(line).map_or(usize::MAX, |text| text.len().saturating_add(1));
        let left = room.checked_sub(written);
        room = left.unwrap_or(0);
        left.is_some()
    };
    let count = lines.iter().rev().take_while(fits).count();
    lines[lines.len() - count..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guest::Said, pretend::Pretend};

    fn with(program: &'static str, code: i32, output: &[u8]) -> Pretend {
        let said = Said { code, output: output.to_vec() };
        Pretend { programs: [(program, said)].into(), ..Pretend::default() }
    }

    fn error(result: Result<Reply, Fault>) -> String {
        match result {
            Err(Fault::Failed(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn netadaptercx_and_ndis_are_verified_beside_our_drivers() {
        let guest = with("verifier.exe", 0, b"Verifier Flags: 0x00000009\r\n\r\nDrivers: x\r\n");
        let names = ["cancelnic.sys".to_owned(), "NDIS.SYS".to_owned()];
        let reply = verifier(&guest, true, &names, None).unwrap();
        assert_eq!(reply.lines, ["Verifier Flags: 0x00000009", "Drivers: x"]);
        let expected = [
            "verifier.exe /standard /driver cancelnic.sys NDIS.SYS NetAdapterCx.sys",
            "verifier.exe /querysettings",
        ];
        assert_eq!(guest.done(), expected);
    }

    #[test]
    fn flags_and_the_end_of_verification_are_passed_on() {
        let guest = with("verifier.exe", 0, b"");
        verifier(&guest, true, &["a.sys".to_owned()], Some(0x209BB)).unwrap();
        verifier(&guest, false, &[], None).unwrap();
        let done = guest.done();
        assert_eq!(done[0], "verifier.exe /flags 0x209bb /driver a.sys NetAdapterCx.sys ndis.sys");
        assert_eq!(done[2], "verifier.exe /reset");
    }

    #[test]
    fn nothing_but_names_of_files_reaches_the_verifier() {
        let guest = with("verifier.exe", 0, b"");
        for name in ["", "/all", "a sys", "*", "x\\y.sys"] {
            assert!(
                error(verifier(&guest, true, &[name.to_owned()], None)).contains("no file's name"),
                "{name}"
            );
        }
        assert!(error(verifier(&guest, true, &[], None)).contains("no driver"));
        assert!(guest.done().is_empty());
    }

    #[test]
    fn a_program_that_fails_or_lacks_is_told_in_a_line() {
        let refused =
            verifier(&with("verifier.exe", 1, b"some\r\nAccess is denied.\r\n\r\n"), false, &[], None);
        assert_eq!(error(refused), "verifier.exe: exit code 1: Access is denied.");
        let lacking = verifier(&Pretend::default(), false, &[], None);
        assert_eq!(error(lacking), "verifier.exe: this Windows has no such program");
    }

    #[test]
    fn events_come_oldest_first() {
        let said = "\u{feff}Event[0]:\r\n  new\r\n\r\nEvent[1]:\r\n  old\u{e9}\r\n";
        let bytes: Vec<_> = said.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let guest = with("wevtutil.exe", 0, &bytes);
        assert_eq!(
            logs(&guest, "System", 2).unwrap().lines,
            ["Event[1]:", "  old\u{e9}", "Event[0]:", "  new"]
        );
        assert_eq!(guest.done(), ["wevtutil.exe query-events System /c:2 /rd:true /f:text /uni:true"]);
    }

    #[test]
    fn no_argument_can_be_slipped_to_the_event_tool() {
        let guest = with("wevtutil.exe", 0, b"");
        for log in ["", "/lf:true", "-x"] {
            assert!(error(logs(&guest, log, 1)).starts_with("no event log"), "{log}");
        }
        assert!(guest.done().is_empty());
    }

    #[test]
    fn the_installation_logs_last_lines_come() {
        let root = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(root.path().join("INF")).expect("a folder");
        fs::write(root.path().join("INF/setupapi.dev.log"), "one\r\ntwo\r\nthree\r\n").expect("a log");
        let guest = Pretend { system_root: root.path().to_path_buf(), ..Pretend::default() };
        assert_eq!(logs(&guest, "setupapi", 2).unwrap().lines, ["two", "three"]);
        assert!(error(logs(&Pretend::default(), "setupapi", 2)).contains("setupapi.dev.log"));
    }

    #[test]
    fn a_long_log_is_cut_at_its_old_end() {
        for text in ["line", "\u{1}\u{1}\u{1}\u{1}\"\\"] {
            let lines: Vec<_> = (0..100_000).map(|number| format!("{text} {number}")).collect();
            let kept = newest_that_fit(lines);
            assert_eq!(kept.last(), Some(&format!("{text} 99999")));
            let size = serde_json::to_string(&kept).expect("text").len();
            assert!((MOST_TEXT - 64..=MOST_TEXT + 2).contains(&size), "{size}");
        }
    }
}
