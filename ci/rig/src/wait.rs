//! Waiting for what nobody announces: looking again and again, with a bound.

use anyhow::Result;
use std::thread;
use std::time::{Duration, Instant};

/// Looks every `period` until `look` finds what it looks for; `None` if it still has not when `limit` has passed.
///
/// It looks at least once, and once more after a last wait, however long that has become on a busy machine.
///
/// # Errors
/// The first error of `look`, which ends the wait.
pub fn until<T>(
    limit: Duration,
    period: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::park_timeout(period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    const LONG: Duration = Duration::from_secs(60);
    const PERIOD: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_found_ends_the_wait() {
        let mut looks = 0..;
        let found = until(LONG, PERIOD, || Ok(looks.next().filter(|look| *look == 2)));
        assert_eq!((found.unwrap(), looks.start), (Some(2), 3));
    }

    #[test]
    fn it_looks_once_without_time() {
        let found = until(Duration::ZERO, PERIOD, || Ok(Some(7)));
        assert_eq!(found.unwrap(), Some(7));
    }

    #[test]
    fn the_bound_ends_the_wait() {
        let started = Instant::now();
        let found = until(5 * PERIOD, PERIOD, || Ok(None::<()>));
        assert_eq!(found.unwrap(), None);
        assert!(started.elapsed() >= 5 * PERIOD);
    }

    #[test]
    fn an_error_ends_the_wait() {
        let mut looks = 0;
        let error = until::<()>(LONG, PERIOD, || {
            looks += 1;
            bail!("gone")
        });
        assert_eq!((error.unwrap_err().to_string().as_str(), looks), ("gone", 1));
    }
}
