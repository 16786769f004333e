//! The time line: steps of the rig, states of the device's queues, callbacks of the driver, on one axis.

use super::html::escape;
use crate::facts::Facts;
use std::fmt::Write;
use std::time::Duration;

const WIDTH: f64 = 1100.0;
const LEFT: f64 = 150.0;
const LANE: f64 = 26.0;
const TOP: f64 = 28.0;
/// Narrowest mark that can still be seen and pointed at.
const NARROWEST: f64 = 2.5;

/// A stretch of time in a lane.
struct Mark {
    from: Duration,
    to: Duration,
    class: String,
    label: String,
    title: String,
}

/// Draws the run from the moment at which the guest is up: what comes before is long, and one step.
pub fn time_line(facts: &Facts) -> String {
    let up = facts.steps.first().map(|step| step.at + step.took).unwrap_or_default();
    let mut lanes = lanes(facts);
    for (_, marks) in &mut lanes {
        marks.retain(|mark| mark.to > up);
    }
    let end = lanes.iter().flat_map(|(_, marks)| marks).map(|mark| mark.to).max().unwrap_or(up);
    let end = (end - up).as_secs_f64().max(1e-3);
    let x = |at: Duration| LEFT + at.saturating_sub(up).as_secs_f64() / end * (WIDTH - LEFT - 10.0);
    let height = TOP + LANE * lanes.len() as f64 + 8.0;

    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"time line of the run\" \
         xmlns=\"http://www.w3.org/2000/svg\">"
    );
    for tick in ticks(end) {
        let at = x(up + Duration::from_secs_f64(tick));
        push(
            &mut svg,
            format_args!(
                "<line class=\"tick\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"18\" y2=\"{height}\"/>\
             <text class=\"axis\" x=\"{at:.1}\" y=\"12\">{} ms</text>",
                (tick * 1e3).round()
            ),
        );
    }
    for (lane, (name, marks)) in lanes.iter().enumerate() {
        let y = TOP + LANE * lane as f64;
        push(
            &mut svg,
            format_args!("<text class=\"lane\" x=\"4\" y=\"{:.1}\">{}</text>", y + 16.0, escape(name)),
        );
        for mark in marks {
            let from = x(mark.from);
            let width = (x(mark.to) - from).max(NARROWEST);
            push(
                &mut svg,
                format_args!(
                    "<g><title>{}</title><rect class=\"{}\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{width:.1}\" \
                 height=\"{:.1}\" rx=\"2\"/>",
                    escape(&mark.title),
                    mark.class,
                    y + 3.0,
                    LANE - 6.0
                ),
            );
            // About 6.5 units a letter at this size; a label that does not fit stands in the title alone.
            if width > 6.5 * mark.label.chars().count() as f64 {
                push(
                    &mut svg,
                    format_args!(
                        "<text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                        from + 3.0,
                        y + 17.0,
                        escape(&mark.label)
                    ),
                );
            }
            svg.push_str("</g>");
        }
    }
    svg.push_str("</svg>");
    svg
}

fn push(svg: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _ = svg.write_fmt(text);
}

fn lanes(facts: &Facts) -> Vec<(String, Vec<Mark>)> {
    let steps = facts
        .steps
        .iter()
        .map(|step| Mark {
            from: step.at,
            to: step.at + step.took,
            class: if step.ok { "step" } else { "failed" }.into(),
            label: step.name.clone(),
            title: format!("{} ({:.1} ms) {}", step.name, step.took.as_secs_f64() * 1e3, step.detail),
        })
        .collect();
    let mut lanes = vec![("rig: steps".to_owned(), steps)];
    for queue in ["tx0", "rx0"] {
        lanes.push((format!("device: {queue} STATE"), states(facts, queue)));
    }
    for queue in ["device", "tx0", "rx0"] {
        let of_queue = facts.callbacks.iter().filter(|callback| callback.queue == queue);
        let marks: Vec<_> = of_queue
            .map(|callback| Mark {
                from: callback.at,
                to: callback.at + callback.took,
                class: if callback.what == "EvtCancel" { "cancel" } else { "callback" }.into(),
                label: callback.what.clone(),
                title: format!(
                    "{queue} {} at IRQL {}, {} us",
                    callback.what,
                    callback.irql,
                    callback.took.as_micros()
                ),
            })
            .collect();
        lanes.push((format!("driver: {queue}"), marks));
    }
    lanes
}

/// A state lasts until the next one was seen.
fn states(facts: &Facts, queue: &str) -> Vec<Mark> {
    let end = facts.steps.iter().map(|step| step.at + step.took).max().unwrap_or_default();
    let samples: Vec<_> = facts.states.iter().filter(|sample| sample.queue == queue).collect();
    samples
        .iter()
        .enumerate()
        .map(|(at, sample)| Mark {
            from: sample.at,
            to: samples.get(at + 1).map_or(end, |next| next.at).max(sample.at),
            class: format!("state-{}", if sample.state == "-" { "out" } else { &sample.state }),
            label: sample.state.clone(),
            title: format!("{queue} {}", if sample.state == "-" { "out of service" } else { &sample.state }),
        })
        .collect()
}

/// Round times, at most about ten.
fn ticks(end: f64) -> Vec<f64> {
    let raw = end / 10.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= raw);
    let step = step.unwrap_or(raw);
    (0..=10).map(|n| f64::from(n) * step).filter(|at| *at <= end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(0.95).len(), 10);
        assert_eq!(
            ticks(1.7),
            [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0, 1.2000000000000002, 1.4000000000000001, 1.6]
        );
    }
}
