//! What this run has built already, so that it is built once: by this process, or by the one that started it.
//!
//! A scenario that uses the command as people do starts `cargo rig` itself. Everything that such a process would build is
//! there, and asking cargo again takes longer than the run. Each entry names the tree and its target folder, so that a
//! copied tree builds its own.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Hands the entries to a `cargo rig` that this one starts, one a line.
pub const VARIABLE: &str = "CANCELNIC_BUILT";

static BUILT: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(|| {
    let handed = std::env::var(VARIABLE).unwrap_or_default();
    Mutex::new(handed.lines().map(str::to_owned).collect())
});

fn entries() -> MutexGuard<'static, BTreeSet<String>> {
    BUILT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does the work, unless it is done already.
///
/// # Errors
/// Those of the work, which then is not done.
pub fn once<E>(entry: String, work: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    if entries().contains(&entry) {
        return Ok(());
    }
    work()?;
    entries().insert(entry.replace('\n', " "));
    Ok(())
}

/// The value of [`VARIABLE`] for a process that this one starts.
pub fn handed_on() -> String {
    entries().iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{handed_on, once};

    #[test]
    fn work_is_done_once_and_handed_on_but_not_if_it_failed() {
        let entry = || "of this test".to_owned();
        assert_eq!(once(entry(), || Err("no space")), Err("no space"));
        assert!(!handed_on().lines().any(|line| line == entry()));
        assert_eq!(once(entry(), || Ok::<_, ()>(())), Ok(()));
        assert!(handed_on().lines().any(|line| line == entry()));
        assert_eq!(once(entry(), || Err("it ran twice")), Ok(()));
    }
}
