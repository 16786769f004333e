//! The program: a service, unless its command line says otherwise.

use std::{
    env,
    ffi::OsString,
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use cancelnic_agent::{
    agent::{AGENT_VERSION, Agent},
    conversation::Conversation,
};
use windows_service::{
    define_windows_service,
    service::{
        ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
    },
    service_control_handler::{self, ServiceControlHandlerResult},
    service_dispatcher,
};
use windows_sys::{Win32::System::Console::SetConsoleCtrlHandler, core::BOOL};

use super::{log::Log, machine::Windows, serial::SerialLink, service};

/// The port that the rig's other end is behind.
const PORT: &str = "COM2";
/// How long a device may take to come or go.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a start or stop of the service may take.
const HINT: Duration = Duration::from_secs(5);

const HELP: &str = "\
cancelnic-agent: the rig's agent, a service

  cancelnic-agent.exe --install [--port COM2]   copies itself to Program Files, makes the service
  cancelnic-agent.exe --remove                  stops and removes the service
  cancelnic-agent.exe --console [--port COM2]   the same without a service, until Ctrl-C
  cancelnic-agent.exe --version

Without an action it is the service, which Windows starts.";

/// What the command line asks for.
struct Arguments {
    action: Option<String>,
    port: String,
}

fn arguments() -> Result<Arguments, String> {
    let mut asked = Arguments { action: None, port: PORT.into() };
    let mut rest = env::args().skip(1);
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--port" => asked.port = rest.next().ok_or("--port needs a name, such as COM2")?,
            "--install" | "--remove" | "--console" | "--version" | "--help" if asked.action.is_none() => {
                asked.action = Some(argument);
            }
            _ => return Err(format!("{argument:?} is not understood; see --help")),
        }
    }
    Ok(asked)
}

/// The program.
pub(crate) fn main() -> ExitCode {
    let done = arguments().and_then(|Arguments { action, port }| match action.as_deref() {
        None => service_dispatcher::start(service::NAME, ffi_service_main)
            .map_err(|error| service::said("this is a service, which Windows starts; see --help", error)),
        Some("--install") => service::install(&port),
        Some("--remove") => service::remove(),
        Some("--console") => run_console(&port),
        Some("--version") => {
            println!("cancelnic-agent {AGENT_VERSION}");
            Ok(())
        }
        Some(_) => {
            println!("{HELP}");
            Ok(())
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cancelnic-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn conversation(port: &str) -> Arc<Conversation> {
    let agent = Agent::new(Arc::new(Windows), PATIENCE);
    Arc::new(Conversation::new(agent, Box::new(SerialLink(port.into()))))
}

/// What Ctrl-C ends.
static ON_CONSOLE: OnceLock<Arc<Conversation>> = OnceLock::new();

unsafe extern "system" fn on_control(_event: u32) -> BOOL {
    if let Some(conversation) = ON_CONSOLE.get() {
        conversation.stop();
    }
    1
}

fn run_console(port: &str) -> Result<(), String> {
    let conversation = ON_CONSOLE.get_or_init(|| conversation(port));
    // SAFETY: the handler may be called on any thread at any time.
    if unsafe { SetConsoleCtrlHandler(Some(on_control), 1) } == 0 {
        return Err(format!("Ctrl-C: {}", std::io::Error::last_os_error()));
    }
    let log = Log::console();
    conversation.run(|line| log.line(line));
    Ok(())
}

define_windows_service!(ffi_service_main, service_main);

/// The service's main function; its arguments are those of a manual start and are not used.
fn service_main(_arguments: Vec<OsString>) {
    let log = Log::file();
    log.line(&format!("cancelnic-agent {AGENT_VERSION}"));
    if let Err(error) = serve(&log) {
        log.line(&error);
    }
}

fn status(state: ServiceState) -> ServiceStatus {
    let accepted = match state {
        ServiceState::Running => ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN,
        _ => ServiceControlAccept::empty(),
    };
    ServiceStatus {
        service_type: ServiceType::OWN_PROCESS,
        current_state: state,
        controls_accepted: accepted,
        exit_code: ServiceExitCode::Win32(0),
        checkpoint: 0,
        wait_hint: if state == ServiceState::StopPending { HINT } else { Duration::ZERO },
        process_id: None,
    }
}

fn serve(log: &Log) -> Result<(), String> {
    let Arguments { port, .. } = arguments()?;
    let conversation = conversation(&port);
    let handle = service_control_handler::register(service::NAME, {
        let conversation = Arc::clone(&conversation);
        move |control| match control {
            ServiceControl::Interrogate => ServiceControlHandlerResult::NoError,
            ServiceControl::Stop | ServiceControl::Shutdown => {
                conversation.stop();
                ServiceControlHandlerResult::NoError
            }
            _ => ServiceControlHandlerResult::NotImplemented,
        }
    })
    .map_err(|error| service::said("the service's control handler", error))?;
    let report = |state| {
        handle.set_service_status(status(state)).map_err(|error| service::said("the service's status", error))
    };
    // before anything that may take long: until then no other service is started
    report(ServiceState::Running)?;
    conversation.run(|line| log.line(line));
    report(ServiceState::StopPending)?;
    log.line("stopped");
    report(ServiceState::Stopped)
}
