//! What the user sees of work that takes minutes: lines that stay, and, on a terminal, one below them that changes.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use lab::report::table::Style;

/// Progress on standard output.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    /// The lines, where nobody looks.
    kept: Option<Vec<String>>,
}

impl Progress {
    /// A changing line where [`Style`] allows escape sequences; otherwise plain lines.
    pub(crate) fn of_stdout() -> Self {
        let bar = if Style::of_stdout() == Style::Rich {
            let bar = ProgressBar::new_spinner();
            bar.set_draw_target(indicatif::ProgressDrawTarget::stdout());
            // The template is the code's own; a plain spinner would do as well.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Self { bar, kept: None }
    }

    /// For a test: keeps the lines.
    pub(crate) fn kept() -> Self {
        Self { bar: ProgressBar::hidden(), kept: Some(Vec::new()) }
    }

    /// The lines that were kept.
    pub(crate) fn into_lines(mut self) -> Vec<String> {
        self.kept.take().unwrap_or_default()
    }

    /// A line that stays.
    pub(crate) fn line(&mut self, text: &str) {
        match &mut self.kept {
            Some(kept) => kept.push(text.to_owned()),
            None => self.bar.suspend(|| println!("{text}")),
        }
    }

    /// What is going on now.
    pub(crate) fn now(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    /// How far something is.
    pub(crate) fn bytes(&self, what: &str, done: u64, all: u64) {
        self.now(&format!("{what}: {} %", done * 100 / all.max(1)));
    }

    /// Nothing is going on.
    pub(crate) fn clear(&self) {
        self.bar.set_message("");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
