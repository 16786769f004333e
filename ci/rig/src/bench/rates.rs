//! Frames a second: the loads, the back ends, one measurement, and the table of all rounds.

use super::testpmd::{End, RING, Testpmd};
use anyhow::{Context, Result, bail};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use lab::base::process::{Process, readable};
use lab::base::wait::LIMIT;
use lab::base::workspace::Workspace;
use lab::device::control::{Control, QueueId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What the front end does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Load {
    /// Frames go round: the back end sends back each one, and the front end sends it again. Else the front end sends only.
    round: bool,
    len: usize,
}

/// All loads.
pub(super) const LOADS: [Load; 4] = [
    Load { round: false, len: 64 },
    Load { round: false, len: 1500 },
    Load { round: true, len: 64 },
    Load { round: true, len: 1500 },
];

impl Load {
    /// Whether its frames are short.
    pub(super) fn is_short(self) -> bool {
        self.len < 1500
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes", if self.round { "io" } else { "txonly" }, self.len)
    }
}

/// Who is at the other end of the socket. Each copies every byte of every frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BackEnd {
    /// DPDK's vhost driver.
    Dpdk,
    /// The device with `--judge off`.
    Device,
    /// The device as it is by default.
    Judging,
}

impl BackEnd {
    pub(super) const ALL: [BackEnd; 3] = [BackEnd::Dpdk, BackEnd::Device, BackEnd::Judging];
}

impl fmt::Display for BackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            BackEnd::Dpdk => "DPDK's vhost driver",
            BackEnd::Device => "the device, judge off",
            BackEnd::Judging => "the device, judge on",
        })
    }
}

/// Frames a second in one round.
pub(super) type Measured = f64;

/// Frames that the front end may have sent and the back end not counted: those in the ring and in one burst.
const ON_THE_WAY: u64 = RING as u64 + 64;

/// The back end, running.
enum Running {
    Dpdk(Testpmd),
    Device { process: Process, control: Control },
}

impl Running {
    fn start(root: &Path, device: &Path, back_end: BackEnd, load: Load, folder: &Path) -> Result<Self> {
        if back_end == BackEnd::Dpdk {
            let mode = if load.round { "io" } else { "rxonly" };
            let testpmd = Testpmd::start(root, folder, End::Back, mode, load.len)?;
            await_file(&folder.join("device"))?;
            return Ok(Self::Dpdk(testpmd));
        }
        // On the first processor, as testpmd in its place is.
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(device);
        command.arg("--socket-path").arg(folder.join("device")).arg("--control").arg(folder.join("control"));
        command.args(["--queue-size", &RING.to_string(), "--log", "warn"]);
        command.args(["--wire", if load.round { "loopback" } else { "null" }]);
        command.args(["--judge", if back_end == BackEnd::Judging { "on" } else { "off" }]);
        command.stdout(Stdio::piped());
        let mut process = Process::start("the device process", command, folder.join("device.log"))?;
        let greeting = process.take_stdout().context("the device's standard output is not piped")?;
        if !readable(greeting.as_fd(), LIMIT) || process.status().is_some() {
            bail!(process.epitaph());
        }
        let control = Control::connect(&folder.join("control"))?;
        Ok(Self::Device { process, control })
    }

    /// Frames that it has read.
    fn frames(&mut self) -> Result<u64> {
        Ok(match self {
            Self::Dpdk(testpmd) => testpmd.last()?.received,
            Self::Device { control, .. } => control.queue(QueueId::TX0)?.sent,
        })
    }

    fn end(self) -> Result<()> {
        match self {
            Self::Dpdk(testpmd) => testpmd.quit(),
            // It ends when the front end leaves.
            Self::Device { mut process, .. } => match process.wait(LIMIT) {
                Some(status) if status.success() => Ok(()),
                _ => bail!(process.epitaph()),
            },
        }
    }
}

fn await_file(path: &Path) -> Result<()> {
    let began = Instant::now();
    while !path.exists() {
        if began.elapsed() > LIMIT {
            bail!("DPDK's vhost driver makes no socket at {}", path.display());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Frames a second under `load`, measured for so many seconds.
///
/// # Errors
/// An end does not start, or ends too early; the back end has not read the frames that the front end has sent.
pub(super) fn measure(
    workspace: &Workspace,
    device: &Path,
    back_end: BackEnd,
    load: Load,
    seconds: u64,
    folder: &Path,
) -> Result<Measured> {
    let root = workspace.root();
    let mut back = Running::start(root, device, back_end, load, folder)?;
    let mode = if load.round { "io" } else { "txonly" };
    let mut front = Testpmd::start(root, folder, End::Front, mode, load.len)?;
    // The first second has the start in it.
    front.counts()?;
    let (mut rate, mut sent) = (0.0, 0);
    for _ in 0..seconds {
        let counts = front.counts()?;
        rate += if load.round { counts.received_a_second } else { counts.sent_a_second };
        sent = counts.sent;
    }
    let read = back.frames()?;
    front.quit()?;
    back.end()?;
    if read + ON_THE_WAY < sent {
        bail!("{sent} frames were sent, and {read} arrived");
    }
    if rate <= 0.0 {
        bail!("no frame arrived while frames were counted");
    }
    Ok(rate / seconds as f64)
}

/// All rounds.
#[derive(Debug, Default)]
pub(super) struct Rates(BTreeMap<Load, BTreeMap<BackEnd, Vec<Measured>>>);

/// The middle, the least and the most of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(numbers: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        let (low, high) = (at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2));
        Self { median: f64::midpoint(low, high), least: at(0), most: at(sorted.len().saturating_sub(1)) }
    }

    fn show(self, unit: f64, digits: usize) -> String {
        let Self { median, least, most } = self;
        let [median, least, most] = [median, least, most].map(|number| format!("{:.digits$}", number / unit));
        if least == most { median } else { format!("{median} ({least} to {most})") }
    }

    fn json(self) -> Value {
        json!({ "median": self.median, "least": self.least, "most": self.most })
    }
}

impl Rates {
    pub(super) fn add(&mut self, load: Load, back_end: BackEnd, measured: Measured) {
        self.0.entry(load).or_default().entry(back_end).or_default().push(measured);
    }

    fn rate(&self, load: Load, back_end: BackEnd) -> Spread {
        Spread::of(self.rounds(load, back_end).iter().copied())
    }

    /// `back_end` by DPDK, round by round.
    fn ratio(&self, load: Load, back_end: BackEnd) -> Spread {
        let dpdk = self.rounds(load, BackEnd::Dpdk);
        Spread::of(self.rounds(load, back_end).iter().zip(dpdk).map(|(mine, dpdk)| mine / dpdk))
    }

    fn rounds(&self, load: Load, back_end: BackEnd) -> &[Measured] {
        self.0.get(&load).and_then(|of_load| of_load.get(&back_end)).map_or(&[], Vec::as_slice)
    }

    /// Rates and ratios with their spread, for people.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header([
            "million frames a second",
            "DPDK's vhost driver",
            "device, judge off",
            "by DPDK's",
            "device, judge on",
            "by DPDK's",
        ]);
        for load in self.0.keys().copied() {
            let rate = |back_end| self.rate(load, back_end).show(1e6, 2);
            let ratio = |back_end| self.ratio(load, back_end).show(1.0, 2);
            table.add_row([
                load.to_string(),
                rate(BackEnd::Dpdk),
                rate(BackEnd::Device),
                ratio(BackEnd::Device),
                rate(BackEnd::Judging),
                ratio(BackEnd::Judging),
            ]);
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        table
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let loads = self.0.keys().map(|load| {
            let of = |back_end| {
                json!({
                    "rounds": self.rounds(*load, back_end),
                    "rate": self.rate(*load, back_end).json(),
                    "by_dpdk": self.ratio(*load, back_end).json(),
                })
            };
            let [dpdk, device, judging] = BackEnd::ALL.map(of);
            (load.to_string(), json!({ "dpdk": dpdk, "judge_off": device, "judge_on": judging }))
        });
        loads.collect::<serde_json::Map<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_taken_within_each_round() {
        let mut rates = Rates::default();
        // A machine that was busy in the second round.
        for (dpdk, device) in [(10.0, 8.0), (1.0, 0.9), (12.0, 12.0)] {
            rates.add(LOADS[0], BackEnd::Dpdk, dpdk);
            rates.add(LOADS[0], BackEnd::Device, device);
        }
        let spread = rates.ratio(LOADS[0], BackEnd::Device);
        assert_eq!(spread, Spread { median: 0.9, least: 0.8, most: 1.0 });
        assert_eq!(spread.show(1.0, 2), "0.90 (0.80 to 1.00)");
    }

    #[test]
    fn the_median_of_two_is_between_them() {
        assert_eq!(Spread::of([3.0, 1.0]).median, 2.0);
        assert_eq!(Spread::of([5.0]).show(1.0, 1), "5.0");
    }
}
