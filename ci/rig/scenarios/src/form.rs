//! The two forms of the queue cancel: what a run in one of them must show, and what must not depend on the form.

use anyhow::{Result, ensure};
use lab::facts::Facts;
use lab::run::{RX, TX};

/// Value of the driver's parameter `CancelForm`, and the name under which the driver speaks of it.
pub(crate) const FORMS: [(u32, &str); 2] = [(0, "iterator"), (1, "older")];

/// The driver must have run in the form that was asked for.
pub(crate) fn in_form(facts: &Facts, form: &str) -> Result<()> {
    let said = facts.driver.cancel_form();
    ensure!(said == Some(form), "the driver was told to cancel in the form {form}, and says {said:?}");
    Ok(())
}

/// What must not depend on the form.
pub(crate) fn same_fates(iterator: &Facts, older: &Facts) -> Result<()> {
    let device = |facts: &Facts| {
        let counts = facts.device.queues.iter();
        counts.map(|queue| [queue.sent, queue.taken_back, queue.received, queue.returned]).collect::<Vec<_>>()
    };
    let driver = |facts: &Facts| [TX, RX].map(|queue| facts.driver.total(queue));
    ensure!(iterator.tx == older.tx, "transmit differs: {:?} against {:?}", iterator.tx, older.tx);
    ensure!(iterator.rx == older.rx, "receive differs: {:?} against {:?}", iterator.rx, older.rx);
    ensure!(iterator.capture == older.capture, "what was on the wire differs");
    ensure!(
        driver(iterator) == driver(older),
        "the driver's counts differ: {:?} against {:?}",
        driver(iterator),
        driver(older)
    );
    ensure!(
        device(iterator) == device(older),
        "the device's counts differ: {:?} against {:?}",
        device(iterator),
        device(older)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::facts::example::good;

    #[test]
    fn a_single_frame_with_another_fate_is_noticed() {
        same_fates(&good(), &good()).unwrap();
        let mut other = good();
        let moved = other.tx.sent.0.pop().unwrap();
        other.tx.taken_back.0.push(moved);
        assert!(same_fates(&good(), &other).unwrap_err().to_string().contains("transmit differs"));
    }

    #[test]
    fn another_order_on_the_wire_is_noticed() {
        let mut other = good();
        other.capture.outbound.reverse();
        assert!(same_fates(&good(), &other).unwrap_err().to_string().contains("on the wire"));
    }

    #[test]
    fn a_driver_that_keeps_to_the_usual_form_is_noticed() {
        let mut facts = good();
        facts.driver.line("cancelnic: cancel form: iterator");
        in_form(&facts, "iterator").unwrap();
        assert!(in_form(&facts, "older").is_err());
    }
}
