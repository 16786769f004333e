//! Programs that wait for a cancel event, and what is seen of them.

use super::super::PERIOD;
use crate::run::Run;
use crate::run::programs::{Controlling, File};
use crate::run::requests::read_log;
use crate::session::LIMIT;
use crate::wait::until;
use anyhow::{Context, Result};
use cancelnic_ioctl::nic::{self, CancelEvent, Counters, Wait};
use zerocopy::{FromBytes, IntoBytes};

/// A program waits for a cancel event, at the NIC or through the relay.
pub fn wait(run: &mut Run, file: File, tag: u32, behaviour: u32) -> Result<Controlling> {
    let room = size_of::<CancelEvent>() as u32;
    run.begin_control("wait for a cancel event", file, nic::WAIT, Wait::new(tag, behaviour).as_bytes(), room)
}

pub fn counters(run: &mut Run, nic: File) -> Result<Counters> {
    let answer = run.control("NIC: counters", nic, nic::COUNTERS, &[], size_of::<Counters>() as u32)?;
    Counters::read_from_bytes(&answer.output).ok().context("the counters have another length")
}

/// Waits until as many requests wait at the NIC.
pub fn await_waiting(run: &mut Run, nic: File, wanted: u64) -> Result<()> {
    let mut waiting = 0;
    let found = until(LIMIT, PERIOD, || {
        waiting = counters(run, nic)?.waiting;
        Ok((waiting == wanted).then_some(()))
    })?;
    found.with_context(|| format!("{waiting} requests wait at the NIC, never {wanted}"))
}

pub fn words(run: &mut Run, driver: &'static str, file: File, code: u32) -> Result<String> {
    let log = read_log(run, driver, file, code)?;
    Ok(log.iter().map(|logged| logged.what()).collect::<Vec<_>>().join(" "))
}
