//! Workers that take one item after another, and the thread that hears of it.

use std::collections::VecDeque;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the listener is told.
#[derive(Debug)]
pub(super) enum News<R> {
    /// The item of this name was begun.
    Began(&'static str),
    /// One is done.
    Done(R),
    /// Nothing has happened for a while.
    Quiet,
}

/// Whether workers may take more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Yes.
    GoOn,
    /// They end what they are at, and no more.
    Stop,
}

/// Runs `act` on all of `items`, `workers` side by side, begun in their order; `hear` is called on this thread, at least
/// once in every `tick`. Returns the items that no worker took, because `hear` said [`Next::Stop`].
pub(super) fn run<T: Send, R: Send>(
    workers: usize,
    items: Vec<T>,
    name: impl Fn(&T) -> &'static str + Sync,
    act: impl Fn(T) -> R + Sync,
    tick: Duration,
    mut hear: impl FnMut(News<R>) -> Next,
) -> Vec<T> {
    let items = Mutex::new(VecDeque::from(items));
    let take = || items.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let mut left = Vec::new();
    std::thread::scope(|scope| {
        let (told, news) = mpsc::channel();
        for _ in 0..workers {
            let told = told.clone();
            let (take, name, act) = (&take, &name, &act);
            scope.spawn(move || {
                while let Some(item) = take() {
                    // The listener goes on until the last worker has ended.
                    let _ = told.send(News::Began(name(&item)));
                    let _ = told.send(News::Done(act(item)));
                }
            });
        }
        drop(told);
        loop {
            let next = match news.recv_timeout(tick) {
                Ok(news) => hear(news),
                Err(RecvTimeoutError::Timeout) => hear(News::Quiet),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if next == Next::Stop {
                left.extend(items.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
            }
        }
    });
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn all_are_done_each_once_side_by_side() {
        // Two at a time, or neither goes on.
        let both = Barrier::new(2);
        let mut done = Vec::new();
        let left = run(
            2,
            vec!["a", "b", "c", "d"],
            |name| name,
            |name| {
                both.wait();
                name
            },
            LONG,
            |news| {
                if let News::Done(name) = news {
                    done.push(name);
                }
                Next::GoOn
            },
        );
        done.sort_unstable();
        assert_eq!((done, left), (vec!["a", "b", "c", "d"], vec![]));
    }

    #[test]
    fn after_a_stop_nothing_more_is_begun() {
        let began = Mutex::new(Vec::new());
        // The worker goes on once the listener has heard of the item before.
        let (go_on, may_go_on) = mpsc::channel();
        let may_go_on = Mutex::new(may_go_on);
        let left = run(
            1,
            vec!["a", "b", "c"],
            |name| name,
            |name| {
                if name == "b" {
                    may_go_on.lock().unwrap().recv().unwrap();
                }
                name
            },
            LONG,
            |news| match news {
                News::Began(name) => {
                    began.lock().unwrap().push(name);
                    Next::GoOn
                }
                News::Done("a") => {
                    go_on.send(()).unwrap();
                    Next::Stop
                }
                _ => Next::GoOn,
            },
        );
        let began = began.into_inner().unwrap();
        assert_eq!([began, left].concat(), ["a", "b", "c"]);
    }
}
