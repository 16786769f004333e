//! Programs that wait for a cancel event, and what is seen of them.

use anyhow::{Context, Result};
use cancelnic_ioctl::nic::{self, CancelEvent, Counters, Wait};
use cancelnic_ioctl::relay;
use lab::base::files::NIC;
use lab::base::wait::{LIMIT, PERIOD, until};
use lab::run::Run;
use lab::run::programs::{Controlling, File};
use lab::run::requests::{Logged, RELAY, read_log};
use zerocopy::{FromBytes, IntoBytes};

/// A program waits for a cancel event, at the NIC or through the relay.
pub(super) fn wait(run: &mut Run, file: File, tag: u32, behaviour: u32) -> Result<Controlling> {
    let room = size_of::<CancelEvent>() as u32;
    run.begin_control("wait for a cancel event", file, nic::WAIT, Wait::new(tag, behaviour).as_bytes(), room)
}

/// The same at the NIC, until these calls for it have been made: it may be seen to wait before the last has returned.
/// They are the first since the last look.
pub(super) fn wait_settled(
    run: &mut Run,
    nic: File,
    tag: u32,
    behaviour: u32,
    calls: &str,
) -> Result<Controlling> {
    let program = wait(run, nic, tag, behaviour)?;
    Calls::of_nic(nic).expect(run, calls)?;
    Ok(program)
}

pub(super) fn counters(run: &mut Run, nic: File) -> Result<Counters> {
    let answer = run.control("NIC: counters", nic, nic::COUNTERS, &[], size_of::<Counters>() as u32)?;
    Counters::read_from_bytes(&answer.output).ok().context("the counters have another length")
}

/// Waits until as many requests wait at the NIC. One that is to be cancelable may not be yet.
pub(super) fn await_waiting(run: &mut Run, nic: File, wanted: u64) -> Result<()> {
    let mut waiting = 0;
    let found = until(LIMIT, PERIOD, || {
        waiting = counters(run, nic)?.waiting;
        Ok((waiting == wanted).then_some(()))
    })?;
    found.with_context(|| format!("{waiting} requests wait at the NIC, never {wanted}"))
}

/// A driver's log, and who reads it.
#[derive(Clone, Copy)]
pub(super) struct Calls {
    driver: &'static str,
    file: File,
    code: u32,
}

impl Calls {
    /// cancelnic.sys's.
    pub(super) fn of_nic(nic: File) -> Self {
        Self { driver: NIC, file: nic, code: nic::LOG }
    }

    /// cancelnic-relay.sys's.
    pub(super) fn of_relay(relay: File) -> Self {
        Self { driver: RELAY, file: relay, code: relay::LOG }
    }

    fn read(self, run: &mut Run) -> Result<Vec<&'static str>> {
        Ok(read_log(run, self.driver, self.file, self.code)?.iter().map(Logged::what).collect())
    }

    /// The calls since the last look, in order. What is seen of a request, at its program or by another driver, may be
    /// seen before the driver's last call for it has returned: as many calls are waited for as are expected.
    pub(super) fn expect(self, run: &mut Run, expected: &str) -> Result<()> {
        let wanted = expected.split_whitespace().count();
        let mut seen = Vec::new();
        // what has not come by the end is missing in what is compared
        until(LIMIT, PERIOD, || {
            seen.extend(self.read(run)?);
            Ok((seen.len() >= wanted).then_some(()))
        })?;
        run.expect(&format!("the calls of {}", self.driver), seen.join(" ").as_str(), expected)
    }
}
