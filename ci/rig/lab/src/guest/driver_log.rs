//! The driver's own counts, from the line that it prints at every EvtStop:
//! `cancelnic: tx0 stop: posted=128 sent=1 taken_back=127 never_posted=72`.
//!
//! A queue counts from its creation, so the last line of each life of a queue is the one that stands for it.

use cancelnic_registers::QueueId;
use std::collections::BTreeMap;

/// Counts by name.
pub type Counts = BTreeMap<String, u64>;

/// One stop line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopLine {
    /// `tx0` or `rx0`.
    pub queue: String,
    /// What it says.
    pub counts: Counts,
}

impl StopLine {
    /// Reads a line that the driver printed; `None` if it is another kind of line.
    pub fn read(text: &str) -> Option<Self> {
        let (queue, counts) = text.trim().strip_prefix("cancelnic: ")?.split_once(" stop: ")?;
        let counts = counts
            .split_whitespace()
            .map(|pair| {
                let (name, value) = pair.split_once('=')?;
                Some((name.to_owned(), value.parse().ok()?))
            })
            .collect::<Option<Counts>>()?;
        Some(Self { queue: queue.to_owned(), counts })
    }
}

/// STATUS_DEVICE_HARDWARE_ERROR, as the driver prints it behind the reason for which it gives its device up.
const HARDWARE_ERROR: &str = " (status 0xc0000483)";

/// Why the driver gives its device up, if that is what a line of it reports; without the status.
pub fn given_up(line: &str) -> Option<&str> {
    line.trim().strip_prefix("cancelnic: ")?.strip_suffix(HARDWARE_ERROR)
}

/// What the driver has said of its queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriverLog {
    cancel_form: Option<String>,
    printed: Vec<String>,
    living: BTreeMap<String, Counts>,
    ended: BTreeMap<String, Counts>,
}

impl DriverLog {
    /// Takes up a line that the driver printed.
    pub fn line(&mut self, text: &str) {
        if let Some(form) = text.trim().strip_prefix("cancelnic: cancel form: ") {
            self.cancel_form = Some(form.to_owned());
        }
        self.printed.push(text.trim().to_owned());
        if let Some(stop) = StopLine::read(text) {
            self.living.insert(stop.queue, stop.counts);
        }
    }

    /// The form of the queue cancel that the driver said it uses: `iterator` or `older`.
    pub fn cancel_form(&self) -> Option<&str> {
        self.cancel_form.as_deref()
    }

    /// The lines that drivers have printed.
    pub fn printed(&self) -> &[String] {
        &self.printed
    }

    /// What the driver's watchdog said: which queue was not given back in which time, and what of it is kept.
    pub fn not_given_back(&self) -> Vec<&str> {
        let lines = self.printed.iter().filter_map(|line| line.strip_prefix("cancelnic: "));
        lines.filter(|line| line.contains(" not given back in ")).collect()
    }

    /// The packet queues have been destroyed: their successors count from 0.
    pub fn queues_destroyed(&mut self) {
        for (queue, counts) in std::mem::take(&mut self.living) {
            add(self.ended.entry(queue).or_default(), counts);
        }
    }

    /// The sum over all lives of a queue; `None` if the driver never spoke of it.
    pub fn total(&self, queue: QueueId) -> Option<Counts> {
        let mut total = Counts::new();
        let lives = [self.ended.get(queue.name()), self.living.get(queue.name())];
        for counts in lives.into_iter().flatten() {
            add(&mut total, counts.clone());
        }
        (!total.is_empty()).then_some(total)
    }
}

fn add(total: &mut Counts, counts: Counts) {
    for (name, count) in counts {
        // Whatever a driver prints is a number here, the largest there is among them.
        let total = total.entry(name).or_default();
        *total = total.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> DriverLog {
        let mut log = DriverLog::default();
        lines.iter().for_each(|line| log.line(line));
        log
    }

    #[test]
    fn the_last_line_of_a_life_stands_for_it() {
        let log = log(&["cancelnic: tx0 stop: posted=3 sent=1", "cancelnic: tx0 stop: posted=7 sent=4"]);
        assert_eq!(
            log.total(QueueId::TX0).unwrap(),
            Counts::from([("posted".into(), 7), ("sent".into(), 4)])
        );
    }

    #[test]
    fn lives_add_up() {
        let mut log = log(&["cancelnic: tx0 stop: posted=3 sent=1"]);
        log.queues_destroyed();
        log.line("cancelnic: tx0 stop: posted=2 sent=2");
        assert_eq!(log.total(QueueId::TX0).unwrap()["sent"], 3);
    }

    #[test]
    fn counts_of_a_driver_that_has_gone_wrong_are_added_all_the_same() {
        let mut log = log(&["cancelnic: tx0 stop: posted=18446744073709551615"]);
        log.queues_destroyed();
        log.line("cancelnic: tx0 stop: posted=2");
        assert_eq!(log.total(QueueId::TX0).unwrap()["posted"], u64::MAX);
    }

    #[test]
    fn the_form_of_the_cancel_is_the_one_said_last() {
        let log = log(&["cancelnic: cancel form: iterator", "cancelnic: cancel form: older"]);
        assert_eq!(log.cancel_form(), Some("older"));
    }

    #[test]
    fn the_watchdogs_words_are_kept() {
        let log = log(&[
            "cancelnic: tx0 not given back in 200 ms: 1 of 256 kept: BeginIndex 0, EndIndex 1 (status 0xc0000483)",
        ]);
        assert_eq!(
            log.not_given_back(),
            ["tx0 not given back in 200 ms: 1 of 256 kept: BeginIndex 0, EndIndex 1 (status 0xc0000483)"]
        );
        let reason = given_up(&log.printed()[0]).unwrap();
        assert_eq!(reason, "tx0 not given back in 200 ms: 1 of 256 kept: BeginIndex 0, EndIndex 1");
        assert_eq!(given_up("cancelnic: cannot add the device (status 0xc000009a)"), None);
    }

    #[test]
    fn other_lines_count_for_nothing() {
        let log = log(&["cancelnic: features 0x100000020", "cancelnic: tx0 stop: posted=many"]);
        assert_eq!(log.total(QueueId::TX0), None);
    }
}
