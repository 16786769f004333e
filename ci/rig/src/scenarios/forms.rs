//! Both forms of the queue cancel, run side by side: net ring iterators, and BeginIndex with whole rings as in 2018.
//! Each run is judged by itself; then every frame must have met the same fate, in the same order.

use super::{Kind, Scenario, no_watchdog, transmit};
use crate::control::State;
use crate::facts::Facts;
use crate::run::{RX_WRITE, Run, WIRE};
use crate::settings::{Settings, Wire};
use anyhow::{Result, ensure};

/// Value of the driver's parameter `CancelForm`, and the name under which the driver speaks of it.
pub const FORMS: [(u32, &str); 2] = [(0, "iterator"), (1, "older")];

/// The driver must have run in the form that was asked for.
pub fn in_form(facts: &Facts, form: &str) -> Result<()> {
    let said = facts.driver.cancel_form();
    ensure!(said == Some(form), "the driver was told to cancel in the form {form}, and says {said:?}");
    Ok(())
}

/// What must not depend on the form.
pub fn same_fates(iterator: &Facts, older: &Facts) -> Result<()> {
    let device = |facts: &Facts| {
        let counts = facts.device.queues.iter();
        counts.map(|queue| [queue.sent, queue.taken_back, queue.received, queue.returned]).collect::<Vec<_>>()
    };
    let driver = |facts: &Facts| ["tx0", "rx0"].map(|queue| facts.driver.total(queue));
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

/// Packets on the hardware and never posted, a receive frame half written, two behind it, buffers never posted.
fn everything(run: &mut Run) -> Result<()> {
    run.load()?;
    run.inject(20)?;
    run.await_guest("20 received, all buffers given again", |_, rx| {
        rx.received.len() == 20 && rx.held == 255
    })?;
    run.hold(WIRE)?;
    run.send(200)?;
    run.await_device("tx0", "the virtqueue full", |tx| tx.available + tx.fetched == 64)?;
    run.hold(RX_WRITE)?;
    run.inject(3)?;
    run.await_device("rx0", "a frame half written", |rx| rx.writing == 1)?;
    let pausing = run.begin_pause(1)?;
    run.await_device("rx0", "CANCELLING", |rx| rx.state == State::Cancelling)?;
    run.release(RX_WRITE)?;
    run.finish_pause(&pausing)?;
    run.expect_fates([0, 64, 136])?;
    run.expect(
        "received, returned empty",
        (run.facts.rx.received.len(), run.facts.rx.returned_empty),
        (21, 254),
    )?;
    run.release(WIRE)?;
    run.restart()?;
    run.await_received("the two that waited", 23)?;
    run.send(50)?;
    run.await_guest("50 sent and received, all buffers given again", |tx, rx| {
        tx.sent.len() == 50 && rx.received.len() == 73 && rx.held == 255
    })
}

/// Without hardware support the callback takes nothing back: every frame ends as sent, after receive has stopped.
fn no_cancel(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(64)?;
    run.await_device("tx0", "64 on the hardware", |tx| tx.available + tx.fetched == 64)?;
    let pausing = run.begin_pause(1)?;
    run.await_device("rx0", "STOPPED", |rx| rx.state == State::Stopped)?;
    run.release(WIRE)?;
    run.finish_pause(&pausing)?;
    run.expect_fates([64, 0, 0])?;
    run.restart()?;
    run.await_guest("all received, all buffers given again", |_, rx| {
        rx.received.len() == 64 && rx.held == 255
    })
}

fn small_virtqueues(settings: &mut Settings) {
    no_watchdog(settings);
    settings.device.queue_size = 128;
}

/// What leaves the wire while receive is being cancelled would arrive just before that, or just after.
fn slow_and_nothing_comes_back(settings: &mut Settings) {
    transmit::slow_by_hand(settings);
    settings.device.wire = Wire::Null;
}

const fn both(name: &'static str, prepare: fn(&mut Settings), body: fn(&mut Run) -> Result<()>) -> Scenario {
    Scenario { name, kind: Kind::BothForms { prepare, body } }
}

pub fn all() -> Vec<Scenario> {
    vec![
        both("forms-same-frames-same-order", small_virtqueues, everything),
        both("forms-alike-across-ring-wrap", |_| (), transmit::across_the_wrap),
        both("forms-alike-one-on-the-wire", slow_and_nothing_comes_back, transmit::one_on_the_wire),
        both("forms-alike-without-hardware-cancel", transmit::without_cancel, no_cancel),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::tests::good;

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
