//! What the machine was started with: the command line's keys and the bundle's files.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use spin::{Mutex, Once};
use understudy_rules::rule::{Level, Levels};

/// The command line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// `seed`: what varies between runs.
    pub seed: u64,
    /// `as=documented` rather than `as=source`.
    pub documented: bool,
    /// `ring`: elements of packet rings, a power of two from 4 to 8192.
    pub ring: u32,
    /// `verifier`: alternate IRQLs and receive poison.
    pub verifier: bool,
    /// `wake`: milliseconds that completions may lie before a queue whose driver has to notify; 0: not looked at.
    pub wake_ms: u32,
    /// `callback`: how long a driver's callback may go on, in milliseconds; 0: for ever.
    pub callback_ms: u64,
    /// `rule.NAME=stop|warn|off`, `advice=warn`: what a broken rule does.
    pub levels: Levels,
    /// `interrupt=line` rather than a message.
    pub line_interrupt: bool,
    /// `netadaptercx=2.MINOR`: the version of NetAdapterCx that this Windows has, and `retarget=1`: it takes no older client.
    pub class_minor: u32,
    /// As above.
    pub retarget: bool,
    /// `param.NAME=VALUE`: adapter keywords.
    pub params: Vec<(String, String)>,
}

impl Settings {
    /// Those of an empty command line.
    const fn usual() -> Self {
        Self {
            seed: 1,
            documented: false,
            ring: 256,
            verifier: true,
            wake_ms: 2000,
            callback_ms: 5000,
            levels: Levels::usual(),
            line_interrupt: false,
            class_minor: 1,
            retarget: false,
            params: Vec::new(),
        }
    }

    /// Reads a command line.
    ///
    /// # Errors
    /// Names the word that is not understood.
    pub(crate) fn parse(line: &str) -> Result<Self, String> {
        let mut settings = Self::usual();
        for word in line.split_ascii_whitespace() {
            let wrong = || alloc::format!("command line: {word:?} is not understood");
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            match (key, value) {
                ("seed", _) => settings.seed = value.parse().map_err(|_| wrong())?,
                ("as", "documented") => settings.documented = true,
                ("as", "source") => settings.documented = false,
                ("ring", _) => {
                    let ring: u32 = value.parse().map_err(|_| wrong())?;
                    if !ring.is_power_of_two() || !(4..=8192).contains(&ring) {
                        return Err(wrong());
                    }
                    settings.ring = ring;
                }
                ("wake", _) => settings.wake_ms = value.parse().map_err(|_| wrong())?,
                ("verifier", "0" | "1") => settings.verifier = value == "1",
                ("callback", _) => settings.callback_ms = value.parse().map_err(|_| wrong())?,
                ("advice", "warn") => settings.levels = settings.levels.for_a_foreign_driver(),
                ("interrupt", "line" | "message") => settings.line_interrupt = value == "line",
                ("netadaptercx", _) => {
                    let minor = value.strip_prefix("2.").and_then(|minor| minor.parse().ok());
                    settings.class_minor = minor.filter(|minor| (1..=5).contains(minor)).ok_or_else(wrong)?;
                }
                ("retarget", "0" | "1") => settings.retarget = value == "1",
                _ if key.starts_with("rule.") => {
                    let set = settings.levels.set(key.trim_start_matches("rule."), value);
                    set.map_err(|refused| alloc::format!("command line: {word:?}: {refused}"))?;
                }
                _ => {
                    let name =
                        key.strip_prefix("param.").filter(|name| !name.is_empty()).ok_or_else(wrong)?;
                    settings.params.push((name.into(), value.into()));
                }
            }
        }
        Ok(settings)
    }
}

static SETTINGS: Once<Settings> = Once::new();
static BUNDLE: Once<&'static [u8]> = Once::new();

/// Keeps what the machine was started with.
///
/// # Errors
/// The command line is not understood.
pub(crate) fn start(line: &str, bundle: &'static [u8]) -> Result<(), String> {
    let settings = Settings::parse(line)?;
    SETTINGS.call_once(|| settings);
    BUNDLE.call_once(|| bundle);
    Ok(())
}

fn get() -> &'static Settings {
    SETTINGS.call_once(Settings::usual)
}

/// What varies between runs.
#[must_use]
pub(crate) fn seed() -> u64 {
    get().seed
}

/// Whether the framework behaves as documented where its source differs.
#[must_use]
pub(crate) fn documented() -> bool {
    get().documented
}

/// Elements of a packet ring.
#[must_use]
pub(crate) fn ring() -> u32 {
    get().ring
}

/// How long a driver's callback may go on, in microseconds; `None`: for ever.
#[must_use]
pub(crate) fn callback_bound_us() -> Option<u64> {
    match get().callback_ms {
        0 => None,
        ms => Some(ms.saturating_mul(1000)),
    }
}

/// Whether the driver runs under the verifier.
#[must_use]
pub(crate) fn verifier() -> bool {
    get().verifier
}

/// What a broken rule of that name does.
#[must_use]
pub(crate) fn level(rule: &str) -> Level {
    get().levels.of(rule)
}

/// Whether the device's interrupt is a line rather than a message.
#[must_use]
pub(crate) fn line_interrupt() -> bool {
    get().line_interrupt
}

/// The minor version of the NetAdapterCx 2 that this Windows has, and whether it takes no client of an older one.
#[must_use]
pub(crate) fn class_version() -> (u32, bool) {
    (get().class_minor, get().retarget)
}

/// Milliseconds that completions may lie before a queue whose driver has to notify; 0: not looked at.
#[must_use]
pub(crate) fn wake_ms() -> u32 {
    get().wake_ms
}

/// Parameters that the rig has set since the start.
static CONFIGURED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Sets a parameter over the command line's, for loads from now on. PASSIVE_LEVEL, from one thread.
pub(crate) fn configure(name: &str, value: u32) {
    let mut configured = CONFIGURED.lock();
    configured.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    configured.push((name.into(), value.to_string()));
}

/// The value that the rig or the command line gives an adapter keyword. PASSIVE_LEVEL.
#[must_use]
pub(crate) fn param(name: &str) -> Option<String> {
    let find = |params: &[(String, String)]| {
        params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    find(&CONFIGURED.lock()).or_else(|| find(&get().params))
}

/// Name and content of each file in the bundle.
#[must_use]
pub(crate) fn files() -> Vec<(&'static str, &'static [u8])> {
    BUNDLE.get().map_or_else(Vec::new, |bundle| entries(bundle))
}

/// Bytes of a ustar block.
const BLOCK: usize = 512;

/// The regular files of a ustar archive.
fn entries(archive: &[u8]) -> Vec<(&str, &[u8])> {
    let mut found = Vec::new();
    let mut rest = archive;
    while let Some((header, after)) = rest.split_at_checked(BLOCK) {
        let text = |from: usize, len: usize| {
            let field = &header[from..from + len];
            let end = field.iter().position(|&byte| byte == 0).unwrap_or(len);
            core::str::from_utf8(&field[..end]).unwrap_or_default().trim()
        };
        let (name, size) = (text(0, 100), usize::from_str_radix(text(124, 12), 8));
        let (false, Ok(size)) = (name.is_empty(), size) else { break };
        let Some(content) = after.get(..size) else { break };
        if matches!(header[156], b'0' | 0) {
            found.push((name.strip_prefix("./").unwrap_or(name), content));
        }
        rest = after.get(size.next_multiple_of(BLOCK)..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_gives_the_defaults() {
        let settings = Settings::parse("").unwrap();
        assert_eq!(
            (settings.seed, settings.ring, settings.verifier, settings.documented, settings.callback_ms),
            (1, 256, true, false, 5_000)
        );
        assert_eq!(settings.wake_ms, 2000);
    }

    #[test]
    fn every_key_is_read() {
        let settings = Settings::parse(
            "seed=7 as=documented ring=64 verifier=0 wake=0 callback=0 param.Mutant=3 advice=warn \
                             rule.PoolLeaked=off interrupt=line netadaptercx=2.5 retarget=1",
        )
        .unwrap();
        assert_eq!(settings.levels.of("PoolLeaked"), Level::Off);
        assert_eq!(settings.levels.of("NotifyWithoutArm"), Level::Warn);
        assert!(settings.line_interrupt && settings.retarget);
        assert_eq!(settings.class_minor, 5);
        assert_eq!(
            (settings.seed, settings.ring, settings.verifier, settings.documented, settings.callback_ms),
            (7, 64, false, true, 0)
        );
        assert_eq!(settings.wake_ms, 0);
        assert_eq!(settings.params, [("Mutant".into(), "3".into())]);
    }

    #[test]
    fn a_word_that_is_not_understood_is_named() {
        for word in [
            "sed=1",
            "as=wrong",
            "ring=100",
            "ring=2",
            "verifier=2",
            "wake=soon",
            "callback=5s",
            "quiet",
            "param.=1",
            "rule.PageFault=off",
            "rule.NoSuchRule=warn",
            "netadaptercx=2.6",
            "interrupt=edge",
        ] {
            assert!(Settings::parse(word).unwrap_err().contains(word), "{word}");
        }
    }

    #[test]
    fn files_of_an_archive_are_found() {
        let mut archive = Vec::new();
        for (name, content) in [("a.sys", &b"MZ"[..]), ("./b.inf", &[b'x'; 600][..])] {
            let mut header = [0_u8; BLOCK];
            header[..name.len()].copy_from_slice(name.as_bytes());
            let size = alloc::format!("{:011o}", content.len());
            header[124..135].copy_from_slice(size.as_bytes());
            header[156] = b'0';
            archive.extend_from_slice(&header);
            archive.extend_from_slice(content);
            archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        }
        archive.resize(archive.len() + 2 * BLOCK, 0);
        let files = entries(&archive);
        assert_eq!(
            files.iter().map(|file| (file.0, file.1.len())).collect::<Vec<_>>(),
            [("a.sys", 2), ("b.inf", 600)]
        );
    }
}
