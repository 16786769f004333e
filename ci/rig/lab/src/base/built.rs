//! What this run has built already, so that it is built once: by this process, or by the one that started it.
//!
//! A scenario that uses the command as people do starts `cargo rig` itself. Everything that such a process would build is
//! there, and asking cargo again takes longer than the run. Each entry is a call of cargo with all that it depends on, the
//! tree and its target folder first, so that a copied tree builds its own.

use rustix::process::{Pid, getpid, getppid};
use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Hands the entries to a `cargo rig` that this one starts: the number of this process, then one entry a line.
pub const VARIABLE: &str = "CANCELNIC_BUILT";

static BUILT: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(|| {
    let handed = std::env::var(VARIABLE).unwrap_or_default();
    Mutex::new(taken_over(&handed, getppid()).map(str::to_owned).collect())
});

/// The entries of `handed`, if the process that started this one has written them. In the environment of any other, such
/// as a shell, they outlive the build: a driver that has been changed since would be judged as it was before.
fn taken_over(handed: &str, parent: Option<Pid>) -> impl Iterator<Item = &str> {
    let mut lines = handed.lines();
    let writer = lines.next().and_then(|number| Pid::from_raw(number.parse().ok()?));
    lines.filter(move |_| writer.is_some() && writer == parent)
}

fn entries() -> MutexGuard<'static, BTreeSet<String>> {
    BUILT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does the work of an entry, which is one line, unless it is done already.
///
/// # Errors
/// Those of the work, which then is not done.
pub fn once<E>(entry: String, work: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    if entries().contains(&entry) {
        return Ok(());
    }
    work()?;
    entries().insert(entry);
    Ok(())
}

/// The value of [`VARIABLE`] for a process that this one starts.
pub fn handed_on() -> String {
    let mut lines = vec![getpid().as_raw_pid().to_string()];
    lines.extend(entries().iter().cloned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::{handed_on, once, taken_over};
    use rustix::process::{getpid, getppid};

    #[test]
    fn work_is_done_once_and_handed_on_but_not_if_it_failed() {
        let entry = || "of this test".to_owned();
        assert_eq!(once(entry(), || Err("no space")), Err("no space"));
        assert!(!handed_on().lines().any(|line| line == entry()));
        assert_eq!(once(entry(), || Ok::<_, ()>(())), Ok(()));
        assert!(handed_on().lines().any(|line| line == entry()));
        assert_eq!(once(entry(), || Err("it ran twice")), Ok(()));
    }

    #[test]
    fn entries_are_taken_over_from_the_process_that_started_this_one_and_from_no_other() {
        assert_eq!(once("of another test".to_owned(), || Ok::<_, ()>(())), Ok(()));
        let handed = handed_on();
        let taken = |parent| taken_over(&handed, parent).any(|entry| entry == "of another test");
        assert!(taken(Some(getpid())));
        assert!(!taken(getppid()) && !taken(None));
        for stale in ["", "of another test", "\nof another test", "0\nof another test"] {
            assert_eq!(taken_over(stale, None).count(), 0, "{stale:?}");
        }
    }
}
