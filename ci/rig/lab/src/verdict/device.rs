//! Faults that the device reports, and the driver's own line that it has given the device up.

use super::words::violation;
use crate::device::control::{Rule, Stats};
use crate::device::{RX, TX};
use crate::facts::Facts;
use crate::guest::driver_log;
use agent_protocol::Violation;
use cancelnic_registers::QueueId;

/// The fault, if a line that the driver printed reports that it has given the device up.
pub fn given_up(line: &str) -> Option<Violation> {
    let reason = driver_log::given_up(line)?;
    let queue =
        [TX, RX].into_iter().map(QueueId::name).find(|queue| reason.starts_with(queue)).unwrap_or("device");
    Some(violation("DriverResetDevice", queue, format!("the driver gave the device up: {reason}")))
}

/// The driver has given the device up, and nobody expects it.
pub(super) fn driver_reset(facts: &Facts, found: &mut Vec<Violation>) {
    if !facts.device_given_up {
        found.extend(facts.driver.printed().iter().find_map(|line| given_up(line)));
    }
}

/// What the device's judge found, but for what giving the device up looks like from its side, and the queues that the
/// guest's indices made unusable.
pub fn device_faults(device: &Stats, given_up: bool) -> Vec<Violation> {
    let mut found = Vec::new();
    for queue in &device.queues {
        let told = queue.findings.iter().filter(|finding| !(given_up && finding.rule == Rule::ResetInFlight));
        found.extend(
            told.map(|finding| violation(&finding.rule.to_string(), queue.queue, finding.describe())),
        );
        let untold = queue.findings_total.saturating_sub(queue.findings.len() as u64);
        if untold > 0 {
            found.push(violation("MoreFindings", queue.queue, format!("{untold} more")));
        }
        if queue.broken && !given_up {
            let place = "the guest's indices of the virtqueue make no sense, the device uses it no more";
            found.push(violation("QueueBroken", queue.queue, place));
        }
    }
    found
}
