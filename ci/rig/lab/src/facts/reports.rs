//! The guest's reports on its queues: summed, counted, put in a line.

use agent_protocol::{Ids, ListReport, QueueReport};

/// The sum of what a queue's predecessor did and of what it did itself.
pub fn join(earlier: &QueueReport, mut report: QueueReport) -> QueueReport {
    for (mine, before) in [
        (&mut report.posted, &earlier.posted),
        (&mut report.sent, &earlier.sent),
        (&mut report.taken_back, &earlier.taken_back),
        (&mut report.never_posted, &earlier.never_posted),
        (&mut report.skipped, &earlier.skipped),
        (&mut report.paused, &earlier.paused),
        (&mut report.received, &earlier.received),
    ] {
        *mine = before.iter().chain(mine.iter()).collect();
    }
    report.returned_empty = report.returned_empty.saturating_add(earlier.returned_empty);
    report
}

/// The overlying driver's view of a whole run, likewise.
pub fn join_lists(earlier: &ListReport, mut report: ListReport) -> ListReport {
    for (mine, before) in [
        (&mut report.success, &earlier.success),
        (&mut report.aborted, &earlier.aborted),
        (&mut report.paused, &earlier.paused),
        (&mut report.failed, &earlier.failed),
        (&mut report.received, &earlier.received),
        (&mut report.filtered, &earlier.filtered),
    ] {
        *mine = before.iter().chain(mine.iter()).collect();
    }
    report
}

/// Both queues in one line.
pub fn describe(tx: &QueueReport, rx: &QueueReport) -> String {
    let mut line = format!(
        "tx0: {} sent, {} taken back, {} never posted",
        tx.sent.len(),
        tx.taken_back.len(),
        tx.never_posted.len()
    );
    for (count, what) in [
        (tx.skipped.len(), "skipped"),
        (tx.outstanding.len(), "outstanding"),
        (tx.queued.len(), "queued"),
        (tx.paused.len(), "paused"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line.push_str(&format!("; rx0: {} received, {} empty", rx.received.len(), rx.returned_empty));
    line
}

/// How many numbers a set holds, for expectations.
pub fn sizes(tx: &QueueReport) -> [u64; 3] {
    [&tx.sent, &tx.taken_back, &tx.never_posted].map(Ids::len)
}
