//! A run's steps as they are shown to people: a step that lasts is shown while it is waited for.
//!
//! On a terminal the running step is one line with its seconds, which the result replaces. Elsewhere a quick run prints
//! results only, and a step that takes long is announced before it is over, with the seconds that it has taken.

use crate::terminal::Terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lab::base::console;
use lab::report::table::{MARGIN, Style, step_line};
use lab::run::StepEvent;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two drawings of the running step.
const TICK: Duration = Duration::from_millis(200);
/// When a step that is not over is announced, in seconds; then after twice the time each.
const ANNOUNCED: [u64; 3] = [2, 5, 10];

/// Prints the steps of a run to standard output.
pub(crate) struct Live {
    terminal: Terminal,
    output: Output,
}

enum Output {
    Terminal { bar: ProgressBar, running: Vec<String> },
    Lines(Announcer),
}

impl Live {
    /// For a run whose steps are printed on this terminal.
    pub(crate) fn new(terminal: Terminal) -> Self {
        let output = match terminal.style {
            Style::Rich => Output::Terminal { bar: bar(), running: Vec::new() },
            Style::Plain => Output::Lines(Announcer::start()),
        };
        Self { terminal, output }
    }

    /// Shows what a run reports.
    pub(crate) fn show(&mut self, event: StepEvent<'_>) {
        let terminal = self.terminal;
        let print = |step| terminal.print(&step_line(step, terminal.style), MARGIN);
        match (&mut self.output, event) {
            (Output::Terminal { bar, running }, StepEvent::Begins(name)) => {
                running.push(name.to_owned());
                bar.reset_elapsed();
                bar.set_message(name.to_owned());
            }
            (Output::Terminal { bar, running }, StepEvent::Ends(step)) => {
                running.pop();
                bar.set_message(running.last().cloned().unwrap_or_default());
                bar.suspend(|| print(step));
            }
            (Output::Lines(announcer), StepEvent::Begins(name)) => announcer.begins(name),
            (Output::Lines(announcer), StepEvent::Ends(step)) => {
                announcer.ends();
                print(step);
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Output::Terminal { bar, .. } = &self.output {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let errors = console::is_on_errors();
    let target = if errors { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::stdout() };
    let bar = ProgressBar::with_draw_target(None, target);
    // Without the template the bar's own default is shown.
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>10}  {spinner}     {wide_msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// The steps that have begun and are not over, and how often the innermost one was announced. Knows no clock.
#[derive(Debug, Default)]
struct Running {
    steps: Vec<(String, Instant)>,
    announced: u32,
    over: bool,
}

impl Running {
    /// When the next announcement is due.
    fn due(&self) -> Option<Instant> {
        let (_, since) = self.steps.last()?;
        let at = self.announced as usize;
        let seconds = ANNOUNCED.get(at).copied().unwrap_or_else(|| {
            let doublings = u32::try_from(at + 1 - ANNOUNCED.len()).unwrap_or(u32::MAX);
            ANNOUNCED[ANNOUNCED.len() - 1].saturating_mul(2_u64.saturating_pow(doublings))
        });
        since.checked_add(Duration::from_secs(seconds))
    }

    /// The announcement, if one is due.
    fn announce(&mut self, now: Instant) -> Option<String> {
        if self.due()? > now {
            return None;
        }
        self.announced = self.announced.saturating_add(1);
        let (name, since) = self.steps.last()?;
        let seconds = now.saturating_duration_since(*since).as_secs();
        Some(format!("{:>10}  ...   {name}, {seconds} s", ""))
    }
}

/// Announces long steps from a thread.
struct Announcer {
    shared: Arc<(Mutex<Running>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Announcer {
    fn start() -> Self {
        let shared = Arc::new((Mutex::new(Running::default()), Condvar::new()));
        let thread = std::thread::Builder::new().name("steps".into()).spawn({
            let shared = Arc::clone(&shared);
            move || announce(&shared)
        });
        // Without a thread the results are printed all the same.
        Self { shared, thread: thread.ok() }
    }

    fn change(&self, change: impl FnOnce(&mut Running)) {
        let mut running = lock(&self.shared.0);
        change(&mut running);
        running.announced = 0;
        self.shared.1.notify_all();
    }

    fn begins(&self, name: &str) {
        self.change(|running| running.steps.push((name.to_owned(), Instant::now())));
    }

    fn ends(&self) {
        self.change(|running| _ = running.steps.pop());
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.change(|running| running.over = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints under the lock, so that no announcement comes behind its step's result.
fn announce((running, changed): &(Mutex<Running>, Condvar)) {
    let mut running = lock(running);
    while !running.over {
        if let Some(line) = running.announce(Instant::now()) {
            println!("{line}");
            continue;
        }
        let left = running.due().map(|due| due.saturating_duration_since(Instant::now()));
        running = match left {
            None => changed.wait(running).unwrap_or_else(PoisonError::into_inner),
            Some(left) => changed.wait_timeout(running, left).unwrap_or_else(PoisonError::into_inner).0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_announced_after_two_five_and_ten_seconds_and_then_after_twice_the_time() {
        let began = Instant::now();
        let mut running = Running { steps: vec![("pause".into(), began)], ..Running::default() };
        let mut told = Vec::new();
        for second in 0..=45 {
            told.extend(running.announce(began + Duration::from_secs(second)));
        }
        let told: Vec<_> = told.iter().map(|line| line.trim()).collect();
        assert_eq!(
            told,
            [
                "...   pause, 2 s",
                "...   pause, 5 s",
                "...   pause, 10 s",
                "...   pause, 20 s",
                "...   pause, 40 s"
            ]
        );
    }

    #[test]
    fn a_step_within_another_is_announced_in_its_place() {
        let began = Instant::now();
        let steps = vec![("outer".into(), began), ("inner".into(), began + Duration::from_secs(1))];
        let mut running = Running { steps, ..Running::default() };
        assert_eq!(running.announce(began + Duration::from_secs(2)), None);
        let told = running.announce(began + Duration::from_secs(3)).unwrap();
        assert!(told.ends_with("inner, 2 s"), "{told}");
    }

    #[test]
    fn nothing_is_announced_between_steps() {
        let mut running = Running::default();
        assert_eq!((running.due(), running.announce(Instant::now())), (None, None));
    }
}
