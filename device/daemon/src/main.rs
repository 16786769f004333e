//! `vhost-device-cancelnic`: the cancelnic NIC as a vhost-user back end.
//!
//! Its life: (1) the command line; (2) both sockets and the capture are opened; (3) the sandbox is
//! entered; (4) threads start: the log, control clients, the worker; (5) `listening SOCKET` on stdout; (6) one front
//! end is served; (7) it leaves, or someone asks to end, and the sockets are removed.
//!
//! Exit codes: 0 ended as it should, 1 a fault of ours, 2 usage, 3 something outside is missing or taken.

mod backend;
mod capture;
mod channel;
mod cli;
mod control;
mod files;
mod lines;
mod log;
mod nic;
mod sandbox;
mod shrunk;
mod sockets;
mod stop;
mod trace;
mod vring;
mod worker;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use thiserror::Error;
use vhost::vhost_user::Listener;
use vhost_user_backend::VhostUserDaemon;
use vmm_sys_util::epoll::EventSet;

use crate::backend::Backend;
use crate::capture::Capture;
use crate::cli::{Cli, CliExit};
use crate::control::Control;
use crate::nic::Nic;
use crate::sockets::Bound;
use crate::stop::{Stop, Woken};
use crate::trace::Trace;

/// Why the process ends with a code other than 0.
#[derive(Debug, Error)]
enum Failure {
    /// Something outside is missing or taken.
    #[error("{0:#}")]
    Environment(anyhow::Error),
    /// A fault of ours.
    #[error("{0:#}")]
    Internal(#[from] anyhow::Error),
}

fn main() -> ExitCode {
    let cli = match Cli::from_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(CliExit::Print(text)) => {
            // A reader that left has what it wanted.
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(CliExit::Usage(line)) => {
            complain(&line);
            log::finish();
            return ExitCode::from(2);
        }
    };
    log::start(cli.log);
    end_with_a_panic();
    let code = match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.to_string());
            ExitCode::from(match failure {
                Failure::Internal(_) => 1,
                Failure::Environment(_) => 3,
            })
        }
    };
    log::finish();
    code
}

/// One line on stderr, whatever characters are in it.
fn complain(text: &str) {
    let line: String = text
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    log::line(&format!("vhost-device-cancelnic: {line}"));
}

/// Name of the library's thread that answers the front end.
const REQUESTS: &str = "vhost-user";

/// A thread that panics takes the process with it: without that thread the machine would hang, silently. But where the
/// library panics over a front end's request, its thread ends, and the process in order: the library takes requests that
/// were never offered, and does not check their numbers.
fn end_with_a_panic() {
    std::panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        let place = info.location().map_or("", |location| location.file());
        if thread.name() == Some(REQUESTS) && place.contains("/vhost-") {
            let why = info.payload_as_str().unwrap_or_default();
            tracing::warn!(%place, "the vhost-user library gives up over a request of the front end's: {why}");
            return;
        }
        log::line(&format!("thread '{}' {info}", thread.name().unwrap_or("without a name")));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            log::line(&trace.to_string());
        }
        log::finish();
        std::process::exit(1);
    }));
}

/// What is open before the sandbox closes.
struct Opened {
    vhost: Bound,
    control: Option<Bound>,
    capture: Option<Capture>,
    trace: Option<Trace>,
    greeting: String,
}

fn open(cli: &Cli) -> anyhow::Result<Opened> {
    let (vhost, greeting) = match (&cli.socket_path, cli.fd) {
        (Some(path), _) => (Bound::at(path)?, path.display().to_string()),
        (None, Some(fd)) => (Bound::inherited(fd)?, format!("fd:{fd}")),
        (None, None) => anyhow::bail!("neither --socket-path nor --fd"),
    };
    let control = cli.control.as_deref().map(Bound::at).transpose()?;
    let capture = cli
        .capture
        .as_deref()
        .map(|path| {
            Capture::create(path, "cancelnic", &cli.mac.0)
                .with_context(|| format!("{}: cannot write the capture here", path.display()))
        })
        .transpose()?;
    let trace = cli
        .trace
        .as_deref()
        .map(|path| {
            Trace::create(path, &nic::trace_rows(nic::offered()))
                .with_context(|| format!("{}: cannot write the trace here", path.display()))
        })
        .transpose()?;
    Ok(Opened { vhost, control, capture, trace, greeting })
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let Opened { vhost, control, capture, trace, greeting } = open(cli).map_err(Failure::Environment)?;
    sandbox::enter([&vhost].into_iter().chain(&control).filter_map(Bound::folder))
        .map_err(Failure::Environment)?;
    log::write_lines().context("the thread that writes the log")?;

    let stop = Arc::new(Stop::new().context("an event descriptor")?);
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.ask("a signal asked for it")).context("signal handlers")?;

    shrunk::guard(&stop)?;

    let nic = Nic::new(cli, capture, trace, stop.clone());
    worker::start(nic.clone()).context("the worker thread")?;
    if let Some(control) = &control {
        let listener = control.listener().try_clone().context("the control socket")?;
        let methods = Control { nic: nic.clone(), stop: stop.clone() };
        let serve = move || control::serve(&listener, methods);
        thread::Builder::new()
            .name("control-accept".into())
            .spawn(serve)
            .context("the thread for control clients")?;
    }

    // A parent that does not read is no reason to end.
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "listening {greeting}").and_then(|()| stdout.flush());
    tracing::info!("listening on {greeting}");

    let waited = stop.wait_or(std::os::fd::AsFd::as_fd(&vhost)).context("waiting for the front end")?;
    if waited == Woken::Ready {
        let listener = vhost.listener().try_clone().context("the vhost-user socket")?;
        serve(cli, &nic, &stop, Listener::from(listener))?;
    }
    Ok(())
}

/// How long the threads that serve the front end may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// What happens to the connection while main waits.
enum Event {
    /// Someone asked to end.
    Asked,
    /// The front end left, or was made to.
    Ended(Result<(), vhost_user_backend::Error>),
    /// Every thread that served it has ended.
    Gone,
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    thread::Builder::new().name(name.into()).spawn(work).context("a thread")?;
    Ok(())
}

/// Serves one front end until it leaves or someone asks to end.
fn serve(cli: &Cli, nic: &Arc<Nic>, stop: &Arc<Stop>, mut listener: Listener) -> anyhow::Result<()> {
    let memory = nic.shared_memory().clone();
    let backend = Arc::new(Backend::new(nic.clone(), cli.queue_size).context("an event descriptor")?);
    let services = nic.clone().services();
    let mut daemon =
        vring::with_services(services, || VhostUserDaemon::new(REQUESTS.into(), backend, memory))
            .map_err(|error| anyhow::anyhow!("the vhost-user library: {error}"))?;
    let doorbells = daemon.get_epoll_handlers();
    nic.set_forget_doorbell(move |fd| {
        for handler in &doorbells {
            // Those that listen to others do not know it.
            let _ = handler.unregister_listener(fd, EventSet::IN, u64::MAX);
        }
    });
    daemon.start(&mut listener).map_err(|error| anyhow::anyhow!("accepting the front end: {error}"))?;
    tracing::info!("front end connected");
    nic.set_connected(true);

    let connection = daemon.shutdown_handle().context("no connection to end")?;
    let (told, events) = mpsc::channel();
    let (asked, tell) = (stop.clone(), told.clone());
    spawn("stop", move || {
        if asked.wait().is_err() {
            tracing::error!("cannot wait for the end; ending now");
        }
        connection.shutdown();
        let _ = tell.send(Event::Asked);
    })?;
    spawn("connection", move || {
        let _ = told.send(Event::Ended(daemon.wait()));
        drop(daemon);
        let _ = told.send(Event::Gone);
    })?;
    // Not a join: a hostile front end can make a thread wait for ever.
    let (mut ended, mut limit) = (Ok(()), Duration::MAX);
    loop {
        match events.recv_timeout(limit) {
            Ok(Event::Asked) => limit = GRACE,
            Ok(Event::Ended(how)) => (ended, limit) = (how, GRACE),
            Ok(Event::Gone) => break,
            Err(_) => anyhow::bail!("a thread that waits for the front end does not end; ending without it"),
        }
    }
    nic.set_connected(false);
    if stop.memory_shrank() {
        tracing::warn!("the front end shared guest memory that is not there; ending");
    }
    match ended {
        _ if stop.asked() => {}
        Ok(()) => tracing::info!("front end left; ending"),
        Err(vhost_user_backend::Error::HandleRequest(
            vhost::vhost_user::Error::Disconnected | vhost::vhost_user::Error::PartialMessage,
        )) => tracing::info!("front end left; ending"),
        Err(vhost_user_backend::Error::HandleRequest(error @ vhost::vhost_user::Error::InvalidParam)) => {
            // The library gives no more than this; a size or an address that is wrong has been named before.
            let names: Vec<_> = nic::offered().map(|queue| queue.name()).collect();
            let (rings, names, size) = (names.len(), names.join(", "), cli.queue_size);
            tracing::warn!(
                %error,
                "the front end asked for more than is offered, such as one more ring or a feature; ending. There are {rings} \
                 rings, {names}, of at most {size} entries: in QEMU num_vqs={rings},vq_size={size}"
            );
        }
        Err(vhost_user_backend::Error::HandleRequest(error)) => {
            tracing::warn!(%error, "the front end broke the protocol; ending");
        }
        Err(vhost_user_backend::Error::WaitDaemon(_)) => {
            tracing::warn!("the front end broke the protocol; ending");
        }
        Err(error) => anyhow::bail!("the thread that serves the front end: {error}"),
    }
    Ok(())
}
