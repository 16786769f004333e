//! How long each scenario took when it last ran well, from one run to the next.

use anyhow::Result;
use lab::base::evidence::write_whole;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Below this, nothing is slow: machines differ by as much.
const NEVER_SLOW: Duration = Duration::from_secs(10);
/// So many times as long as the last time is slow.
const SLOW: f64 = 3.0;

/// Seconds by name.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Durations(BTreeMap<String, f64>);

impl Durations {
    /// Those of earlier runs. A file that is not there or cannot be read is the same as none: nothing depends on it but
    /// the order and a remark.
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read(path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes them for later runs.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, serde_json::to_string_pretty(self)?.as_bytes())
    }

    /// How long `name` took, in seconds.
    pub(super) fn of(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied().filter(|seconds| seconds.is_finite())
    }

    /// `name` has taken so long.
    pub(super) fn note(&mut self, name: &str, took: Duration) {
        // Milliseconds are enough.
        let seconds = (took.as_secs_f64() * 1e3).round() / 1e3;
        self.0.insert(name.to_owned(), seconds);
    }

    /// If `name` is slow, taking `took`: how long it took the last time, in seconds.
    pub(super) fn slow(&self, name: &str, took: Duration) -> Option<f64> {
        self.of(name).filter(|before| took > NEVER_SLOW && took.as_secs_f64() > before * SLOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_three_times_as_long_as_the_last_time_and_never_a_matter_of_seconds() {
        let mut durations = Durations::default();
        durations.note("tx", Duration::from_secs(6));
        durations.note("rx", Duration::from_millis(500));
        assert_eq!(durations.slow("tx", Duration::from_secs(19)), Some(6.0));
        assert_eq!(durations.slow("tx", Duration::from_secs(17)), None);
        assert_eq!(durations.slow("rx", Duration::from_secs(9)), None);
        assert_eq!(durations.slow("new", Duration::from_secs(900)), None);
    }

    #[test]
    fn they_come_back_from_their_file_and_a_broken_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("durations.json");
        assert_eq!(Durations::read(&file), Durations::default());
        let mut durations = Durations::default();
        durations.note("tx", Duration::from_micros(1_234_567));
        durations.write(&file).unwrap();
        assert_eq!(Durations::read(&file).of("tx"), Some(1.235));
        std::fs::write(&file, "{").unwrap();
        assert_eq!(Durations::read(&file), Durations::default());
    }
}
