//! One `dpdk-testpmd`, which forwards from its start on and prints its counts every second. As the front end it is a virtio
//! driver with its rings in shared memory; as the back end it is DPDK's vhost driver.

use anyhow::{Context, Result, bail};
use lab::base::process::Process;
use lab::base::wait::LIMIT;
use rustix::process::{Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Entries of its rings.
pub(super) const RING: u16 = 256;

/// Which end of the socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The driver, on the second processor.
    Front,
    /// DPDK's vhost driver, on the first.
    Back,
}

/// A running testpmd.
pub(super) struct Testpmd {
    process: Process,
    lines: Receiver<String>,
}

/// What a port has counted, and its rates since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) received_a_second: f64,
    pub(super) sent_a_second: f64,
}

impl Testpmd {
    /// Starts it on the socket in `folder`, to forward in `mode`; the frames that it makes have `len` bytes.
    pub(super) fn start(root: &Path, folder: &Path, end: End, mode: &str, len: usize) -> Result<Self> {
        let socket = folder.join("device");
        let (name, lcores, port) = match end {
            End::Front => {
                let port = format!("net_virtio_user0,path={},queues=1,queue_size={RING}", socket.display());
                ("testpmd, the front end", "0@0,1@1", port)
            }
            End::Back => {
                let port = format!("net_vhost0,iface={},queues=1", socket.display());
                ("testpmd, the back end", "0@0,1@0", port)
            }
        };
        let prefix = format!("{end:?}-{}", std::process::id());
        let mut command = Command::new(root.join("ci/testpmd"));
        command
            .env("XDG_RUNTIME_DIR", folder)
            .args(["-m", "256", "--single-file-segments", "--lcores", lcores, "--file-prefix", &prefix])
            .arg(format!("--vdev={port}"))
            .args(["--", "--stats-period", "1", "--disable-link-check", "--no-lsc-interrupt"])
            .args(["--total-num-mbufs=4096", &format!("--rxd={RING}"), &format!("--txd={RING}")])
            .args([format!("--forward-mode={mode}"), format!("--txpkts={len}")])
            // A front end that forwards frames makes some first.
            .args((end == End::Front && mode == "io").then_some("--tx-first"))
            .stdout(Stdio::piped());
        let mut process = Process::start(name, command, folder.join(format!("{end:?}.log")))?;
        let stdout = BufReader::new(process.take_stdout().context("testpmd's output is not piped")?);
        let (told, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        Ok(Self { process, lines })
    }

    /// The port's next counts: a second after the last ones.
    pub(super) fn counts(&mut self) -> Result<Counts> {
        let mut counts = Counts::default();
        loop {
            let Ok(line) = self.lines.recv_timeout(LIMIT) else {
                self.process.wait(Duration::from_secs(2));
                bail!(self.process.epitaph());
            };
            if counts.read(&line) {
                return Ok(counts);
            }
        }
    }

    /// The port's counts now: those of the next second, at most a second old when they are printed.
    pub(super) fn last(&mut self) -> Result<Counts> {
        while self.lines.try_recv().is_ok() {}
        self.counts()
    }

    /// Lets it end.
    pub(super) fn quit(mut self) -> Result<()> {
        kill_process(self.process.pid(), Signal::INT)?;
        if self.process.wait(LIMIT).is_none() {
            bail!(self.process.epitaph());
        }
        Ok(())
    }
}

impl Counts {
    /// Takes in a line of a port's statistics; true if it is the last one that matters.
    fn read(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let number = pair[1].parse::<u64>();
            match (pair[0], number) {
                ("RX-packets:", Ok(number)) => self.received = number,
                ("TX-packets:", Ok(number)) => self.sent = number,
                ("Rx-pps:", Ok(number)) => self.received_a_second = number as f64,
                ("Tx-pps:", Ok(number)) => {
                    self.sent_a_second = number as f64;
                    return true;
                }
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_rates_are_read_from_the_table_of_statistics() {
        let table = "
  ######################## NIC statistics for port 0  ########################
  RX-packets: 2          RX-missed: 0          RX-bytes:  128
  RX-errors: 0
  TX-packets: 7048416    TX-errors: 0          TX-bytes:  451098624

  Throughput (since last show)
  Rx-pps:            1          Rx-bps:            0
  Tx-pps:      3299332          Tx-bps:   1689258056
  ############################################################################";
        let mut counts = Counts::default();
        let last = table.lines().position(|line| counts.read(line));
        assert_eq!(last, Some(8));
        let seen = Counts { received: 2, sent: 7048416, received_a_second: 1.0, sent_a_second: 3299332.0 };
        assert_eq!(counts, seen);
    }
}
