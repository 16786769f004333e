//! The devices, started and stopped as far as Windows lets a program do it.

use std::{
    thread,
    time::{Duration, Instant},
};

use cancelnic_ioctl::NIC_INTERFACE;

use crate::{
    filter,
    guest::{Change, Device, Fault, Guest, NIC, RELAY, Target},
};

/// How often something is looked at that Windows tells nobody of.
const LOOK: Duration = Duration::from_millis(20);

/// Looks at `is_so` until it is, at most for `limit`; whether it is.
///
/// # Errors
/// Those of `is_so`, at once.
pub fn wait(limit: Duration, mut is_so: impl FnMut() -> Result<bool, String>) -> Result<bool, String> {
    let deadline = Instant::now() + limit;
    loop {
        if is_so()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(LOOK);
    }
}

/// The device of this service.
fn of(service: &str) -> Result<Device, Fault> {
    [NIC, RELAY].into_iter().find(|device| device.service.eq_ignore_ascii_case(service)).ok_or_else(|| {
        let why = format!("only the devices of {} and {} are its business", NIC.service, RELAY.service);
        Fault::Failed(format!("no device of {service:?}: {why}"))
    })
}

/// Starts both devices; done when the data path runs, as the filter over the NIC sees it.
///
/// # Errors
/// What Windows said, or that nothing runs within `limit`.
pub fn load(guest: &dyn Guest, limit: Duration) -> Result<(), Fault> {
    guest.change(RELAY, Change::Start)?;
    start_nic(guest, limit)
}

/// Starts the NIC; done when the data path runs.
///
/// # Errors
/// As for [`load`].
pub fn start_nic(guest: &dyn Guest, limit: Duration) -> Result<(), Fault> {
    guest.change(NIC, Change::Start)?;
    await_filter(guest, limit)
}

/// Waits until the filter's module over the NIC runs.
fn await_filter(guest: &dyn Guest, limit: Duration) -> Result<(), Fault> {
    if wait(limit, || filter::runs(guest))? {
        return Ok(());
    }
    let seconds = limit.as_secs();
    Err(Fault::Failed(format!("the filter's module over the NIC does not run after {seconds} s")))
}

/// Stops both devices and waits until their drivers are unloaded.
///
/// # Errors
/// What Windows said, or which driver stays.
pub fn unload(guest: &dyn Guest, limit: Duration) -> Result<(), Fault> {
    for device in [RELAY, NIC] {
        stop(guest, device, limit)?;
    }
    Ok(())
}

/// Stops a device and waits until its driver is unloaded.
///
/// # Errors
/// What Windows said, or that the driver stays.
pub fn stop(guest: &dyn Guest, device: Device, limit: Duration) -> Result<(), Fault> {
    guest.change(device, Change::Stop)?;
    await_unload(guest, device, limit)
}

fn await_unload(guest: &dyn Guest, device: Device, limit: Duration) -> Result<(), Fault> {
    if wait(limit, || Ok(!guest.is_loaded(device.service)?))? {
        return Ok(());
    }
    Err(Fault::Failed(format!("{}.sys is still loaded after {} s", device.service, limit.as_secs())))
}

/// Stops or starts the device of a service.
///
/// # Errors
/// It has none, or what Windows said.
pub fn power(guest: &dyn Guest, service: &str, on: bool) -> Result<(), Fault> {
    let device = of(service)?;
    Ok(guest.change(device, if on { Change::Start } else { Change::Stop })?)
}

/// Removes the device of a service and waits until its driver is unloaded.
///
/// # Errors
/// It has none, what Windows said, or that the driver stays.
pub fn remove(guest: &dyn Guest, service: &str, surprise: bool, limit: Duration) -> Result<(), Fault> {
    let device = of(service)?;
    if surprise {
        let why = "no program inside can pull a device out; the machine's monitor can, below a root port";
        return Err(Fault::unsupported("remove by surprise", why));
    }
    guest.change(device, Change::Remove)?;
    await_unload(guest, device, limit)
}

/// Attaches the filter to the NIC, or detaches it: Windows pauses the stack, changes it, and restarts it.
///
/// # Errors
/// What PowerShell said, or that the filter's module did not come or go.
pub fn bind_filter(guest: &dyn Guest, attach: bool, limit: Duration) -> Result<(), Fault> {
    let nic = guest.open(Target::Class(NIC_INTERFACE));
    nic.map_err(|status| format!("the NIC does not run: no interface of it, status {status:#010x}"))?.close();
    let verb = if attach { "Enable" } else { "Disable" };
    // the adapter is found by its driver, whatever Windows has named it
    let script = format!(
        "$ErrorActionPreference = 'Stop'; Get-NetAdapter -IncludeHidden | \
         Where-Object DriverFileName -eq 'cancelnic.sys' | \
         {verb}-NetAdapterBinding -ComponentID cancelnic_lwf"
    );
    crate::tools::run(guest, "powershell.exe", &["-NoProfile", "-NonInteractive", "-Command", &script])?;
    if attach {
        return await_filter(guest, limit);
    }
    if wait(limit, || Ok(!filter::is_attached(guest)?))? {
        return Ok(());
    }
    Err(Fault::Failed(format!("the filter is still over the NIC after {} s", limit.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guest::Said, pretend::Pretend};

    const SHORT: Duration = Duration::ZERO;

    #[test]
    fn a_load_starts_both_devices_and_waits_for_the_filter() {
        let guest = Pretend::default();
        load(&guest, SHORT).unwrap();
        assert_eq!(guest.done(), ["Start cancelnic-relay", "Start cancelnic"]);
    }

    #[test]
    fn a_load_without_a_running_filter_fails() {
        let error = load(&Pretend { modules: 0, ..Pretend::default() }, SHORT).unwrap_err();
        assert!(matches!(&error, Fault::Failed(error) if error.contains("does not run")), "{error:?}");
    }

    #[test]
    fn an_unload_is_done_when_the_drivers_have_gone() {
        let guest = Pretend::default();
        unload(&guest, SHORT).unwrap();
        let order =
            ["Stop cancelnic-relay", "loaded? cancelnic-relay", "Stop cancelnic", "loaded? cancelnic"];
        assert_eq!(guest.done(), order);
        let error = unload(&Pretend { sticks: true, ..Pretend::default() }, SHORT).unwrap_err();
        assert_eq!(error, Fault::Failed("cancelnic-relay.sys is still loaded after 0 s".into()));
    }

    #[test]
    fn what_windows_says_is_passed_on() {
        let guest = Pretend { refusal: Some("vetoed by X".into()), ..Pretend::default() };
        assert_eq!(remove(&guest, "cancelnic", false, SHORT), Err(Fault::Failed("vetoed by X".into())));
        assert_eq!(power(&guest, "cancelnic-relay", false), Err(Fault::Failed("vetoed by X".into())));
    }

    #[test]
    fn other_devices_are_left_alone() {
        let guest = Pretend::default();
        for service in ["cancelnic-lwf", "e1000e", ""] {
            assert!(matches!(power(&guest, service, false), Err(Fault::Failed(_))), "{service}");
            assert!(matches!(remove(&guest, service, false, SHORT), Err(Fault::Failed(_))), "{service}");
        }
        assert!(guest.done().is_empty());
    }

    #[test]
    fn a_surprise_is_refused_with_the_reason() {
        let refused = remove(&Pretend::default(), "cancelnic", true, SHORT);
        assert!(matches!(refused, Err(Fault::Unsupported(why)) if why.contains("root port")));
    }

    #[test]
    fn a_filter_that_stays_is_told_whatever_powershell_says() {
        let guest = Pretend { programs: [("powershell.exe", Said::default())].into(), ..Pretend::default() };
        bind_filter(&guest, true, SHORT).unwrap();
        let error = bind_filter(&guest, false, SHORT).unwrap_err();
        assert_eq!(error, Fault::Failed("the filter is still over the NIC after 0 s".into()));
        assert!(guest.done()[1].contains("Disable-NetAdapterBinding -ComponentID cancelnic_lwf"));
    }
}
