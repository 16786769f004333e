//! What a protocol above the NIC needs: a receive filter that it can set, and frames filtered by it.

use crate::scenario::{Scenario, caught, usual};
use agent_protocol::Ids;
use anyhow::{Context, Result, ensure};
use cancelnic_mutants::Mutant;
use lab::facts::Facts;
use lab::guest::need::Need;
use lab::run::{RX, Run};

/// The driver offers no receive filter, as a client of NetAdapterCx 2.0 cannot.
const NO_RECEIVE_FILTER: Mutant = Mutant::OffersNoReceiveFilter;

/// Destinations of injected frames, and whether TCP/IP's filter (directed, multicast, broadcast; all hosts in the multicast
/// list) lets them through. The device's address is its default.
const DESTINATIONS: [(&str, bool); 5] = [
    ("ffffffffffff", true),
    ("525400434e01", true),
    ("01005e000001", true),
    ("01005e000002", false),
    ("525400434e02", false),
];

fn filter_acts(run: &mut Run) -> Result<()> {
    run.require(Need::Protocol)?;
    run.load()?;
    run.await_device(RX, "buffers at the device", |rx| rx.posted > 0)?;
    for (destination, _) in DESTINATIONS {
        run.inject_to(2, destination)?;
    }
    run.await_received("all of them delivered", 2 * DESTINATIONS.len() as u64)?;
    let lists = run.facts.lists.clone().context("the protocol reports no lists")?;
    let expected = |passes: bool| -> Ids {
        let of = DESTINATIONS.iter().enumerate().filter(move |(_, destination)| destination.1 == passes);
        of.flat_map(|(at, _)| [2 * at as u64 + 1, 2 * at as u64 + 2]).collect()
    };
    run.expect("frames that the filter lets through", lists.received, expected(true))?;
    run.expect("frames that it does not", lists.filtered, expected(false))
}

fn send_one(run: &mut Run) -> Result<()> {
    run.load()?;
    run.send(1)?;
    run.await_sent("the frame sent", 1)
}

/// The one line says which OID was refused, and what follows from that.
fn no_protocol_binds(facts: &Facts) -> Result<()> {
    let failed = facts.steps.iter().find(|step| !step.ok).context("every step went well")?;
    for part in [
        "the protocol is not bound",
        "OID_GEN_CURRENT_PACKET_FILTER to 0xb ended with 0xc00000bb",
        "packet filters 0x0, so TCP/IP does not bind to it and no frame can arrive",
    ] {
        ensure!(failed.detail.contains(part), "{part}: not in: {}", failed.detail);
    }
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        usual(
            "receive-filter-lets-its-frames-through",
            "the protocol gets the frames that its packet filter names; the others are counted apart",
            filter_acts,
        )
        .needs(&[Need::Protocol]),
        caught(
            "caught-no-receive-filter",
            "a driver without a receive filter, like all of NetAdapterCx 2.0, is bound by no protocol",
            NO_RECEIVE_FILTER,
            &["StepFailed"],
            send_one,
        )
        .shows(no_protocol_binds),
    ]
}
