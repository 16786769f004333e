//! `vhost-device-cancelnic`: the cancelnic NIC as a vhost-user back end.
//!
//! Its life: (1) the command line; (2) both sockets and the capture are opened; (3) the sandbox is
//! entered; (4) threads start: the log, control clients, the worker; (5) `listening SOCKET` on stdout; (6) one front
//! end is served; (7) it leaves, or someone asks to end, and the sockets are removed.
//!
//! Exit codes: 0 ended as it should, 1 a fault of ours, 2 usage, 3 something outside is missing or taken.

mod capture;
mod cli;
mod control;
mod files;
mod front_end;
mod lines;
mod log;
mod nic;
mod sandbox;
mod shrunk;
mod sockets;
mod stop;
mod trace;
mod wires;
mod worker;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

use crate::capture::Capture;
use crate::cli::{Cli, CliExit};
use crate::control::Control;
use crate::front_end::{Breach, Session};
use crate::nic::Nic;
use crate::sockets::{Bound, Place};
use crate::stop::{Stop, Woken};
use crate::trace::Trace;
use crate::wires::Far;

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

/// A thread that panics takes the process with it: without that thread the machine would hang, silently.
fn end_with_a_panic() {
    std::panic::set_hook(Box::new(|info| {
        log::line(&format!("thread '{}' {info}", thread::current().name().unwrap_or("without a name")));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            log::line(&trace.to_string());
        }
        log::finish();
        sockets::remove_all();
        std::process::exit(1);
    }));
}

/// As many descriptors as this process may have: each control client takes one, and so does each that the front end sends.
fn allow_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

/// What is open before the sandbox closes.
struct Opened {
    vhost: Bound,
    control: Option<Bound>,
    capture: Option<Capture>,
    trace: Option<Trace>,
    far: Far,
    /// The wire's place, if it has one.
    wire: Option<Place>,
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
    let (far, wire) = wires::open(&cli.wire).context("the wire")?;
    Ok(Opened { vhost, control, capture, trace, far, wire, greeting })
}

fn run(cli: &Cli) -> Result<(), Failure> {
    allow_descriptors();
    let Opened { vhost, control, capture, trace, far, wire, greeting } =
        open(cli).map_err(Failure::Environment)?;
    let places = || [&vhost].into_iter().chain(&control).filter_map(Bound::place).chain(&wire);
    sockets::guard(places());
    sandbox::enter(places().map(Place::folder)).map_err(Failure::Environment)?;
    log::write_lines().context("the thread that writes the log")?;

    let stop = Arc::new(Stop::new().context("an event descriptor")?);
    let asked = stop.clone();
    ctrlc::set_handler(move || asked.ask("a signal asked for it")).context("signal handlers")?;

    shrunk::guard(&stop)?;

    let nic = Nic::new(cli, far, capture, trace, stop.clone());
    worker::start(nic.clone()).context("the worker thread")?;
    wires::start(&nic).context("the threads of the wire")?;
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
        serve(cli, &nic, &stop, vhost.listener())?;
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
    Ended(Result<(), Breach>),
    /// Every thread that served it has ended.
    Gone,
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    thread::Builder::new().name(name.into()).spawn(work).context("a thread")?;
    Ok(())
}

/// Serves one front end until it leaves or someone asks to end.
fn serve(cli: &Cli, nic: &Arc<Nic>, stop: &Arc<Stop>, listener: &UnixListener) -> anyhow::Result<()> {
    let (stream, _) = listener.accept().context("accepting the front end")?;
    let connection = stream.try_clone().context("the connection")?;
    let mut session = Session::new(nic.clone(), stream, cli.queue_size).context("serving the front end")?;
    tracing::info!("front end connected");
    nic.set_connected(true);

    let (told, events) = mpsc::channel();
    let (asked, tell) = (stop.clone(), told.clone());
    spawn("stop", move || {
        if asked.wait().is_err() {
            tracing::error!("cannot wait for the end; ending now");
        }
        let _ = connection.shutdown(Shutdown::Both);
        let _ = tell.send(Event::Asked);
    })?;
    spawn("front-end", move || {
        let _ = told.send(Event::Ended(session.run()));
        drop(session);
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
        Err(breach) if breach.is_beyond_the_offer() => {
            let names: Vec<_> = nic::offered().map(|queue| queue.name()).collect();
            let (rings, names, size) = (names.len(), names.join(", "), cli.queue_size);
            tracing::warn!(
                "the front end asked for more than is offered: {breach}; ending. There are {rings} rings, {names}, of at \
                 most {size} entries: in QEMU num_vqs={rings},vq_size={size}"
            );
        }
        Err(breach) => tracing::warn!("the front end broke the protocol: {breach}; ending"),
    }
    Ok(())
}
