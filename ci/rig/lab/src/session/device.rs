//! The device process and its control socket.

use crate::base::folder::Folder;
use crate::base::process::{Process, readable};
use crate::base::wait::LIMIT;
use crate::device::control::Control;
use crate::machine::names;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Starts the device process in `folder` and waits until it serves.
pub fn start_device(folder: &Folder, settings: &Settings) -> Result<(Process, Control)> {
    let path = |name: &str| folder.path().join(name);
    let mut command = Command::new(&settings.files.device);
    command
        .arg("--socket-path")
        .arg(path(names::DEVICE))
        .arg("--control")
        .arg(path("control"))
        .arg("--capture")
        .arg(path("capture.pcapng"))
        .arg("--trace")
        .arg(path("trace.json"))
        .args(settings.device.arguments())
        .stdout(Stdio::piped());
    let mut device = Process::start("the device process", command, path("device.log"))?;
    let stdout = device.take_stdout().context("the device's standard output is not piped")?;
    // Readable at the first line as well as at the end of the process.
    let mut line = String::new();
    if !readable(stdout.as_fd(), LIMIT) {
        bail!("the device process runs, and has not reported within {} s that it listens", LIMIT.as_secs());
    }
    BufReader::new(stdout).read_line(&mut line).context("the device's standard output")?;
    if !line.starts_with("listening") {
        device.wait(Duration::from_secs(2));
        bail!("{}", device.epitaph());
    }
    let control = Control::connect(&path("control"))?;
    Ok((device, control))
}
