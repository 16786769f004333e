//! Chromium without a window, driven through its DevTools protocol over a pipe: JSON objects, each ended by a zero byte.

use anyhow::{Context, Result, bail, ensure};
use base64ct::{Base64, Encoding};
use lab::base::folder::Folder;
use lab::base::process::{Process, readable};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

/// Longest silence of the browser; its start is the longest.
const LIMIT: Duration = Duration::from_secs(60);
/// Names under which Chromium is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Scheme {
    /// As CSS has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// The browser: `$CANCELNIC_CHROMIUM` if set, else the first of PATH.
pub(crate) fn find() -> Option<PathBuf> {
    if let Some(named) = env::var_os("CANCELNIC_CHROMIUM").filter(|value| !value.is_empty()) {
        return Some(named.into());
    }
    let on_path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&on_path).collect();
    NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
}

/// A browser with one tab.
#[derive(Debug)]
pub(crate) struct Browser {
    orders: File,
    answers: BufReader<ChildStdout>,
    /// Events that came while an answer was waited for.
    events: Vec<Value>,
    last: u64,
    tab: Option<String>,
    // The process goes before its folder.
    process: Process,
    _folder: Folder,
}

/// Whether the browser's sandbox can work: it needs a user namespace of its own, which containers often refuse, and not root.
fn can_be_sandboxed() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    !rustix::process::geteuid().is_root() && unshare.status().is_ok_and(|status| status.success())
}

impl Browser {
    /// Starts `program` with a profile of its own and opens a tab.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let folder = Folder::new()?;
        let pipe = folder.path().join("orders");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).context("cannot make a pipe")?;
        // The browser reads orders from descriptor 3 and writes answers to 4.
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"pipe=$1; shift; exec "$@" 3<"$pipe" 4>&1 1>&2"#, "sh"])
            .arg(&pipe)
            .arg(program);
        command.args(["--headless", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--no-first-run", "--disable-dev-shm-usage"]);
        command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
        // It opens pages of this project's alone.
        if !can_be_sandboxed() {
            command.arg("--no-sandbox");
        }
        command.arg("about:blank").env("HOME", folder.path()).stdout(Stdio::piped());
        // Open for both ways: neither side waits for the other.
        let orders = File::options().read(true).write(true).open(&pipe).context("cannot open the pipe")?;
        let mut process = Process::start("chromium", command, folder.path().join("chromium.log"))?;
        let answers = BufReader::new(process.take_stdout().context("no answers from the browser")?);
        let mut browser =
            Self { orders, answers, events: Vec::new(), last: 0, tab: None, process, _folder: folder };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let tab = browser.call("Target.attachToTarget", attach)?;
        browser.tab = Some(tab["sessionId"].as_str().context("the browser opened no tab")?.to_owned());
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Opens a page in that width and scheme, and waits until it is loaded.
    pub(crate) fn open(&mut self, page: &Path, width: u32, scheme: Scheme) -> Result<()> {
        let metrics = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", metrics)?;
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme.name() }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }))?;
        self.events.clear();
        let opened = self.call("Page.navigate", json!({ "url": format!("file://{}", page.display()) }))?;
        ensure!(opened.get("errorText").is_none(), "the browser cannot open {}: {opened}", page.display());
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.read()?;
            self.events.push(event);
        }
        Ok(())
    }

    /// The value of a JavaScript expression in the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let ask = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", ask)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("the page's script failed: {thrown}");
        }
        Ok(answer["result"]["value"].take())
    }

    /// What the page has complained of since it was opened: exceptions, errors and warnings of the console.
    pub(crate) fn complaints(&mut self) -> Result<Vec<String>> {
        // Whatever the page wrote up to now comes before this answer.
        self.evaluate("0")?;
        let complaint = |event: &Value| {
            let params = &event["params"];
            let bad = |level: &Value| level == "error" || level == "warning" || level == "assert";
            match event["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if bad(&params["type"]) => Some(params["args"].to_string()),
                "Log.entryAdded" if bad(&params["entry"]["level"]) => {
                    Some(params["entry"]["text"].to_string())
                }
                _ => None,
            }
        };
        Ok(self.events.iter().filter_map(complaint).collect())
    }

    /// A picture (PNG) of the page: of its first screen or of all of it.
    pub(crate) fn picture(&mut self, whole: bool) -> Result<Vec<u8>> {
        let ask = json!({ "format": "png", "captureBeyondViewport": whole });
        let ask = if whole {
            let size = self.call("Page.getLayoutMetrics", json!({}))?["cssContentSize"].take();
            let clip =
                json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
            json!({ "format": "png", "captureBeyondViewport": true, "clip": clip })
        } else {
            ask
        };
        let taken = self.call("Page.captureScreenshot", ask)?;
        let data = taken["data"].as_str().context("the browser took no picture")?;
        Base64::decode_vec(data).map_err(|error| anyhow::anyhow!("the picture cannot be read: {error}"))
    }

    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last += 1;
        let mut order = json!({ "id": self.last, "method": method, "params": params });
        if let Some(tab) = &self.tab {
            order["sessionId"] = json!(tab);
        }
        let mut line = order.to_string().into_bytes();
        line.push(0);
        self.orders.write_all(&line).context("the browser takes no orders")?;
        loop {
            let mut said = self.read()?;
            if said["id"] != self.last {
                self.events.push(said);
                continue;
            }
            ensure!(said.get("error").is_none(), "the browser refuses {method}: {}", said["error"]);
            return Ok(said["result"].take());
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut said = Vec::new();
        while said.last() != Some(&0) {
            if self.answers.buffer().is_empty() && !readable(self.answers.get_ref().as_fd(), LIMIT) {
                bail!("the browser has been silent for {} s", LIMIT.as_secs());
            }
            let got = self.answers.fill_buf().context("the browser's answers cannot be read")?;
            if got.is_empty() {
                self.process.wait(Duration::from_secs(2));
                bail!("the browser is gone: {}", self.process.epitaph());
            }
            let end = got.iter().position(|byte| *byte == 0).map_or(got.len(), |end| end + 1);
            said.extend(got.iter().take(end));
            self.answers.consume(end);
        }
        said.pop();
        serde_json::from_slice(&said).context("the browser's answer is not JSON")
    }
}
