//! The service: installed, removed, and how another one is doing.

use std::{
    env, fs, io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use windows_service::{
    Error,
    service::{
        Service, ServiceAccess, ServiceErrorControl, ServiceInfo, ServiceStartType, ServiceState, ServiceType,
    },
    service_manager::{ServiceManager, ServiceManagerAccess},
};
use windows_sys::Win32::Foundation::{ERROR_SERVICE_DOES_NOT_EXIST, ERROR_SERVICE_NOT_ACTIVE};

/// The service's name.
pub(super) const NAME: &str = "cancelnic-agent";
/// How long a service may take to stop.
const STOP: Duration = Duration::from_secs(20);

fn manager(access: ServiceManagerAccess) -> Result<ServiceManager, String> {
    ServiceManager::local_computer(None::<&str>, access).map_err(|error| said("the service manager", error))
}

/// The error with what Windows said, which the crate keeps apart.
pub(super) fn said(what: &str, error: Error) -> String {
    match error {
        Error::Winapi(error) => format!("{what}: {error}"),
        error => format!("{what}: {error}"),
    }
}

fn is(error: &Error, code: u32) -> bool {
    matches!(error, Error::Winapi(error) if error.raw_os_error() == Some(code.cast_signed()))
}

/// The service called `name`, if there is one.
fn open(name: &str, access: ServiceAccess) -> Result<Option<Service>, String> {
    match manager(ServiceManagerAccess::CONNECT)?.open_service(name, access) {
        Ok(service) => Ok(Some(service)),
        Err(error) if is(&error, ERROR_SERVICE_DOES_NOT_EXIST) => Ok(None),
        Err(error) => Err(said(name, error)),
    }
}

/// Whether a service runs, or is on its way; a service that does not exist does not.
pub(super) fn is_loaded(name: &str) -> Result<bool, String> {
    let Some(service) = open(name, ServiceAccess::QUERY_STATUS)? else { return Ok(false) };
    let status = service.query_status().map_err(|error| said(name, error))?;
    Ok(status.current_state != ServiceState::Stopped)
}

/// Where the program is installed.
fn place() -> PathBuf {
    let programs = env::var_os("ProgramFiles").unwrap_or_else(|| r"C:\Program Files".into());
    PathBuf::from(programs).join("cancelnic").join("cancelnic-agent.exe")
}

/// Copies this program to its place and makes it a service that starts with Windows; an older one is replaced. The
/// service is not started.
pub(super) fn install(port: &str) -> Result<(), String> {
    let place = place();
    stop()?;
    copy_to(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    let info = ServiceInfo {
        name: NAME.into(),
        display_name: "cancelnic agent".into(),
        service_type: ServiceType::OWN_PROCESS,
        start_type: ServiceStartType::AutoStart,
        error_control: ServiceErrorControl::Normal,
        executable_path: place,
        launch_arguments: vec!["--port".into(), port.into()],
        dependencies: vec![],
        account_name: None,
        account_password: None,
    };
    match open(NAME, ServiceAccess::CHANGE_CONFIG)? {
        Some(service) => service.change_config(&info).map_err(|error| said(NAME, error)),
        None => {
            let manager = manager(ServiceManagerAccess::CONNECT | ServiceManagerAccess::CREATE_SERVICE)?;
            let made = manager.create_service(&info, ServiceAccess::QUERY_STATUS);
            made.map(drop).map_err(|error| said(NAME, error))
        }
    }
}

fn copy_to(place: &PathBuf) -> io::Result<()> {
    let this = env::current_exe()?;
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    // run from its place, it is there already
    if fs::canonicalize(place).is_ok_and(|there| fs::canonicalize(&this).is_ok_and(|this| this == there)) {
        return Ok(());
    }
    fs::copy(this, place).map(drop)
}

/// Stops and removes the service; its program stays.
pub(super) fn remove() -> Result<(), String> {
    stop()?;
    match open(NAME, ServiceAccess::DELETE)? {
        Some(service) => service.delete().map_err(|error| said(NAME, error)),
        None => Err(format!("there is no service {NAME}")),
    }
}

/// Stops the service, if there is one that runs, and waits for its end.
fn stop() -> Result<(), String> {
    let Some(service) = open(NAME, ServiceAccess::STOP | ServiceAccess::QUERY_STATUS)? else {
        return Ok(());
    };
    match service.stop() {
        Ok(_) => {}
        Err(error) if is(&error, ERROR_SERVICE_NOT_ACTIVE) => return Ok(()),
        Err(error) => return Err(said(NAME, error)),
    }
    let deadline = Instant::now() + STOP;
    loop {
        let status = service.query_status().map_err(|error| said(NAME, error))?;
        if status.current_state == ServiceState::Stopped {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{NAME} does not stop within {} s", STOP.as_secs()));
        }
        thread::sleep(Duration::from_millis(20));
    }
}
