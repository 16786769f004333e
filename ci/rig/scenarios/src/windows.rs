//! What differs between Windows and Windows: its version, the interrupt that a device gets, a link that comes and goes, and
//! Microsoft's pages where its sources do otherwise. Each such difference is here in both forms.

use crate::scenario::{Scenario, caught, caused, endured, good, of_any_driver, usual};
use anyhow::{Result, ensure};
use cancelnic_mutants::Mutant;
use lab::facts::Facts;
use lab::guest::need::Need;
use lab::run::Run;
use lab::settings::Settings;

/// The device's interface has no reference string.
const NO_REFERENCE: Mutant = Mutant::GivesNoReferenceString;
/// A change of the link is not looked at.
const LINK_IGNORED: Mutant = Mutant::ForgetsLinkChange;

fn word(settings: &mut Settings, word: &str) {
    settings.kernel.words.push(word.into());
}

fn link_changes(run: &mut Run) -> Result<()> {
    run.load()?;
    run.set_link(false)?;
    run.await_link(false)?;
    run.set_link(true)?;
    run.await_link(true)?;
    run.send(20)?;
    run.await_traffic("20 sent and received", 20, 20)
}

/// No interrupt comes to a device without power: the driver looks when it has power again.
fn link_changes_without_power(run: &mut Run) -> Result<()> {
    run.load()?;
    run.power_down()?;
    run.set_link(false)?;
    run.power_up()?;
    run.await_link(false)?;
    run.set_link(true)?;
    run.await_link(true)
}

/// Between two interrupts the link has been down: one interrupt may be for both changes, and the last state counts.
fn link_flaps(run: &mut Run) -> Result<()> {
    run.load()?;
    for up in [false, true, false, true, false] {
        run.set_link(up)?;
    }
    run.await_link(false)?;
    run.send(5)?;
    run.await_sent("5 sent", 5)
}

fn by_a_line(settings: &mut Settings) {
    word(settings, "interrupt=line");
}

fn line_is_refused(run: &mut Run) -> Result<()> {
    run.load_refused("EvtDevicePrepareHardware failed with 0xc0000182")
}

/// The driver says why, in the debugger's line that goes into the event log too.
fn says_why(facts: &Facts) -> Result<()> {
    let reason = "the device got no message-signalled interrupt";
    ensure!(facts.prints.iter().any(|print| print.text.contains(reason)), "{reason}: {:?}", facts.prints);
    Ok(())
}

fn newest_as_source(settings: &mut Settings) {
    settings.kernel.as_documented = false;
    word(settings, "netadaptercx=2.5");
}

fn newest_as_documented(settings: &mut Settings) {
    word(settings, "netadaptercx=2.5");
    word(settings, "retarget=1");
}

fn life(run: &mut Run) -> Result<()> {
    run.load()?;
    run.send(20)?;
    run.await_traffic("20 sent and received", 20, 20)?;
    run.pause()?;
    run.restart()?;
    run.send(20)?;
    run.await_traffic("20 more", 40, 40)?;
    run.unload()
}

fn older_client_is_refused(run: &mut Run) -> Result<()> {
    run.load_refused(
        "NetAdapterCx 2.1.0 is not offered, only 2.5, as clients of earlier ones have to be retargeted",
    )
}

fn as_source(settings: &mut Settings) {
    settings.kernel.as_documented = false;
}

/// A program's request is answered by the driver.
fn request_reaches_the_driver(run: &mut Run) -> Result<()> {
    run.load()?;
    let nic = run.open_nic()?;
    run.nic_log(nic)?;
    run.close(nic)
}

fn at_passive_level(settings: &mut Settings) {
    word(settings, "verifier=0");
}

fn cancels(run: &mut Run) -> Result<()> {
    run.require(Need::Callbacks)?;
    run.load()?;
    run.send(20)?;
    run.await_traffic("20 sent and received", 20, 20)?;
    run.pause()?;
    run.restart()?;
    run.send(1)?;
    run.await_sent("one more sent", 21)
}

/// EvtCancel of both queues ran at that level.
fn cancelled_at(facts: &Facts, irql: u8) -> Result<()> {
    let cancels: Vec<_> = facts.callbacks.iter().filter(|callback| callback.what == "EvtCancel").collect();
    ensure!(cancels.len() >= 2, "{} EvtCancel", cancels.len());
    ensure!(cancels.iter().all(|cancel| cancel.irql == irql), "not at IRQL {irql}: {cancels:?}");
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    let mut all = of_any_driver([
        good(
            "netadaptercx-2-5-as-source",
            "on a Windows with a newer NetAdapterCx, which takes older clients as the source does, everything runs",
            newest_as_source,
            life,
        ),
        good(
            "cancel-at-passive-level",
            "EvtCancel at PASSIVE_LEVEL, as documented and without Driver Verifier",
            at_passive_level,
            cancels,
        )
        .needs(&[Need::Callbacks])
        .shows(|facts| cancelled_at(facts, 0)),
        usual(
            "cancel-at-dispatch-level",
            "EvtCancel at DISPATCH_LEVEL, as under Driver Verifier by the source",
            cancels,
        )
        .needs(&[Need::Callbacks])
        .shows(|facts| cancelled_at(facts, 2)),
    ]);
    all.extend([
        good(
            "netadaptercx-2-5-as-documented",
            "a newer NetAdapterCx that wants its clients retargeted refuses the driver in one line, and nothing is left",
            newest_as_documented,
            older_client_is_refused,
        ),
        good(
            "line-interrupt-refused",
            "a device that gets its interrupt by a line is refused, with the reason",
            by_a_line,
            line_is_refused,
        )
        .shows(says_why),
        usual("link-down-and-up", "a link that goes down and comes back reaches the system", link_changes)
            .needs(&[Need::Callbacks]),
        usual("link-flaps", "a link that changes faster than the driver looks ends in its last state", link_flaps).needs(&[Need::Callbacks]),
        usual(
            "link-down-without-power",
            "a link that goes down while the device has no power is seen at the next D0Entry",
            link_changes_without_power,
        )
        .needs(&[Need::Callbacks]),
        caught(
            "caught-link-change-ignored",
            "a driver that does not look at the configuration's change is caught",
            LINK_IGNORED,
            &["StepFailed"],
            link_changes,
        )
        .shows(|facts| caused(facts, "the driver reports link down", &["it has reported link up"]))
        .needs(&[Need::Callbacks]),
        caught(
            "caught-interface-without-reference-string",
            "as documented NDIS takes the requests on an interface without a reference string",
            NO_REFERENCE,
            &["ScenarioFailed"],
            request_reaches_the_driver,
        )
        .shows(|facts| caused(facts, "", &["status 0xc0000010"])),
        endured(
            "interface-without-reference-string-as-source",
            "by the source requests on an interface without a reference string are the driver's",
            NO_REFERENCE,
            request_reaches_the_driver,
        )
        .prepare(as_source),
    ]);
    all
}
