//! A machine for the tests: what it is asked is kept, and it answers as it is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use agent_protocol::Machine;
use cancelnic_ioctl::{Header, filter, nic};
use zerocopy::{FromBytes, IntoBytes};

use crate::guest::{
    Change, Device, DriverKey, File, Guest, Operation, Outcome, STATUS_DEVICE_DOES_NOT_EXIST,
    STATUS_OBJECT_NAME_NOT_FOUND, Said, Target,
};

/// Brings its input back.
pub(crate) const ECHO: u32 = 0x8CAC_E000;
/// Pends until it is cancelled or its file is closed.
pub(crate) const PENDS: u32 = 0x8CAC_E004;
pub(crate) const STATUS_CANCELLED: u32 = 0xC000_0120;
/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
const STATUS_INVALID_DEVICE_REQUEST: u32 = 0xC000_0010;

#[derive(Default)]
pub(crate) struct State {
    /// What was done, in order.
    pub done: Vec<String>,
    /// Requests that pend, by number of the file; `true`: cancelled.
    pending: Vec<(usize, bool)>,
    opened: usize,
    closed: usize,
    /// How many threads hang.
    hanging: usize,
    /// What hangs may go on.
    let_go: bool,
    /// IDs that the filter has given out.
    ids: u64,
    /// Drivers that are loaded, as their devices run.
    loaded: BTreeSet<&'static str>,
    /// The NIC's driver key: texts by subkey and name.
    driver_key: BTreeMap<(String, String), String>,
}

#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) struct Pretend {
    pub shared: Arc<Shared>,
    /// How many modules the filter has.
    pub modules: u32,
    /// What the programs say, by name; others cannot be started.
    pub programs: BTreeMap<&'static str, Said>,
    pub system_root: PathBuf,
    pub image_paths: BTreeMap<&'static str, String>,
    /// Error of every change of a device.
    pub refusal: Option<String>,
    /// Drivers stay loaded whatever is done.
    pub sticks: bool,
    /// It does not shut down, though it may.
    pub stays: bool,
    /// What is done and begins so hangs until [`Pretend::let_go`]; `open`: what is opened.
    pub hangs: Option<&'static str>,
}

impl Default for Pretend {
    fn default() -> Self {
        Self {
            shared: Arc::default(),
            modules: 1,
            programs: BTreeMap::new(),
            system_root: PathBuf::from("/nowhere"),
            image_paths: BTreeMap::new(),
            refusal: None,
            sticks: false,
            stays: false,
            hangs: None,
        }
    }
}

impl Pretend {
    /// What was done, in order.
    pub(crate) fn done(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().done.clone()
    }

    /// How many files have been closed.
    pub(crate) fn closed(&self) -> usize {
        self.shared.state.lock().unwrap().closed
    }

    /// How many files have been opened.
    pub(crate) fn opened(&self) -> usize {
        self.shared.state.lock().unwrap().opened
    }

    /// Puts a text into the NIC's driver key.
    pub(crate) fn put_into_driver_key(&self, below: &str, name: &str, text: &str) {
        let mut state = self.shared.state.lock().unwrap();
        state.driver_key.insert((below.into(), name.into()), text.into());
    }

    /// The texts of the NIC's driver key itself.
    pub(crate) fn driver_key_texts(&self) -> Vec<(String, String)> {
        let state = self.shared.state.lock().unwrap();
        let texts = state.driver_key.iter().filter(|((below, _), _)| below.is_empty());
        texts.map(|((_, name), text)| (name.clone(), text.clone())).collect()
    }

    /// Waits until something hangs.
    pub(crate) fn await_hanging(&self) {
        self.wait_while(|state| state.hanging == 0);
    }

    /// Waits until this has been done.
    pub(crate) fn await_done(&self, what: &str) {
        self.wait_while(|state| state.done.iter().all(|done| done != what));
    }

    /// Lets go on what hangs.
    pub(crate) fn let_go(&self) {
        self.shared.state.lock().unwrap().let_go = true;
        self.shared.changed.notify_all();
    }

    fn wait_while(&self, lacks: impl FnMut(&mut State) -> bool) {
        let state = self.shared.state.lock().unwrap();
        let waited = self.shared.changed.wait_timeout_while(state, LIMIT, lacks).unwrap();
        assert!(!waited.1.timed_out(), "nothing more is done");
    }

    fn note(&self, what: String) {
        self.hang(&what);
        self.shared.state.lock().unwrap().done.push(what);
        self.shared.changed.notify_all();
    }

    fn hang(&self, what: &str) {
        if self.hangs.is_some_and(|hangs| what.starts_with(hangs)) {
            self.shared.state.lock().unwrap().hanging += 1;
            self.shared.changed.notify_all();
            self.wait_while(|state| !state.let_go);
        }
    }
}

impl Guest for Pretend {
    fn machine(&self) -> Machine {
        Machine { system: "10.0.1.2".into(), processors: 2, ..Machine::default() }
    }

    fn up_us(&self) -> u64 {
        5
    }

    fn system_root(&self) -> PathBuf {
        self.system_root.clone()
    }

    fn image_path(&self, service: &str) -> Option<String> {
        self.image_paths.get(service).cloned()
    }

    fn is_loaded(&self, service: &str) -> Result<bool, String> {
        self.note(format!("loaded? {service}"));
        Ok(self.sticks || self.shared.state.lock().unwrap().loaded.contains(service))
    }

    fn change(&self, device: Device, change: Change) -> Result<(), String> {
        self.note(format!("{change:?} {}", device.service));
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let loaded = &mut self.shared.state.lock().unwrap().loaded;
        match change {
            Change::Start => loaded.insert(device.service),
            Change::Stop | Change::Remove => loaded.remove(device.service),
        };
        Ok(())
    }

    fn driver_key(&self, device: Device) -> Result<Box<dyn DriverKey>, String> {
        match (device.service, &self.refusal) {
            ("cancelnic", None) => Ok(Box::new(PretendKey(Arc::clone(&self.shared)))),
            (service, refusal) => Err(refusal.clone().unwrap_or_else(|| format!("no key of {service}"))),
        }
    }

    fn open(&self, target: Target<'_>) -> Result<Arc<dyn File>, u32> {
        self.hang("open");
        if matches!(target, Target::Link(name) if name != "cancelnic-lwf") {
            return Err(STATUS_OBJECT_NAME_NOT_FOUND);
        }
        let mut state = self.shared.state.lock().unwrap();
        state.opened += 1;
        Ok(Arc::new(PretendFile {
            number: state.opened,
            modules: self.modules,
            shared: Arc::clone(&self.shared),
        }))
    }

    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<Said> {
        self.note(format!("{program} {}", arguments.join(" ")));
        self.programs.get(program).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn may_leave(&self) -> Result<(), String> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    fn leave(&self, and_come_back: bool) -> Result<(), String> {
        self.note(if and_come_back { "reboot" } else { "power off" }.into());
        if self.stays { Err("it stays".into()) } else { Ok(()) }
    }
}

struct PretendKey(Arc<Shared>);

impl DriverKey for PretendKey {
    fn text(&self, below: &str, value: &str) -> Result<Option<String>, String> {
        let state = self.0.state.lock().unwrap();
        Ok(state.driver_key.get(&(below.to_owned(), value.to_owned())).cloned())
    }

    fn set_text(&self, value: &str, text: &str) -> Result<(), String> {
        let mut state = self.0.state.lock().unwrap();
        state.driver_key.insert((String::new(), value.to_owned()), text.to_owned());
        Ok(())
    }
}

struct PretendFile {
    number: usize,
    modules: u32,
    shared: Arc<Shared>,
}

impl File for PretendFile {
    fn prepare(&self, code: u32, input: &[u8], output_len: u32) -> Arc<dyn Operation> {
        Arc::new(PretendOperation {
            file: self.number,
            modules: self.modules,
            code,
            input: input.to_vec(),
            output_len,
            shared: Arc::clone(&self.shared),
        })
    }

    fn close(&self) {
        let mut state = self.shared.state.lock().unwrap();
        state.closed += 1;
        for (file, cancelled) in &mut state.pending {
            *cancelled |= *file == self.number;
        }
        self.shared.changed.notify_all();
    }
}

struct PretendOperation {
    file: usize,
    modules: u32,
    code: u32,
    input: Vec<u8>,
    output_len: u32,
    shared: Arc<Shared>,
}

impl PretendOperation {
    fn bring(&self, bytes: &[u8]) -> Outcome {
        let output = bytes[..bytes.len().min(self.output_len as usize)].to_vec();
        Outcome { status: 0, information: output.len() as u64, output }
    }

    fn fail(status: u32) -> Outcome {
        Outcome { status, ..Outcome::default() }
    }

    fn input<T: FromBytes>(&self) -> T {
        let Ok(input) = T::read_from_bytes(&self.input) else { panic!("no input of {:#x}", self.code) };
        input
    }
}

impl Operation for PretendOperation {
    fn run(&self) -> Outcome {
        let mut state = self.shared.state.lock().unwrap();
        match self.code {
            ECHO => self.bring(&self.input),
            PENDS => {
                state.pending.push((self.file, false));
                state.done.push(format!("pends on {}", self.file));
                self.shared.changed.notify_all();
                let mine = |state: &mut State| !state.pending.contains(&(self.file, true));
                let mut state = self.shared.changed.wait_while(state, mine).unwrap();
                state.pending.retain(|pending| *pending != (self.file, true));
                Self::fail(STATUS_CANCELLED)
            }
            filter::SEND => {
                let send: filter::Send = self.input();
                let mut ids = [0; filter::MOST_GROUPS];
                for id in ids.iter_mut().take(send.groups as usize) {
                    state.ids += 1;
                    *id = 0xAA00_0000_0000_0000 | state.ids;
                }
                let filter::Send { module, groups, first, count, len, .. } = send;
                state.done.push(format!(
                    "send module={module} groups={groups} first={first} count={count} len={len}"
                ));
                self.bring(filter::Sent { header: Header::of::<filter::Sent>(), ids }.as_bytes())
            }
            filter::CANCEL => {
                let cancel: filter::Cancel = self.input();
                state.done.push(format!("cancel {:#x}", cancel.cancel_id));
                self.bring(&[])
            }
            filter::COUNTERS => {
                let select: filter::Select = self.input();
                if select.module >= self.modules {
                    return Self::fail(STATUS_DEVICE_DOES_NOT_EXIST);
                }
                let header = Header::of::<filter::Counters>();
                self.bring(
                    filter::Counters { header, running: 1, own_aborted: 7, ..Default::default() }.as_bytes(),
                )
            }
            nic::COUNTERS => {
                let tx = nic::TxCounts { taken_back: 9, ..Default::default() };
                let header = Header::of::<nic::Counters>();
                self.bring(nic::Counters { header, tx, ..Default::default() }.as_bytes())
            }
            nic::RINGS => {
                let rx = nic::Ring { elements: 256, end: 3, ..Default::default() };
                let header = Header::of::<nic::RingSnapshot>();
                self.bring(nic::RingSnapshot { header, rx, ..Default::default() }.as_bytes())
            }
            _ => Self::fail(STATUS_INVALID_DEVICE_REQUEST),
        }
    }

    fn cancel(&self) -> bool {
        let mut state = self.shared.state.lock().unwrap();
        let found = state.pending.iter_mut().find(|pending| **pending == (self.file, false));
        let Some(pending) = found else { return false };
        pending.1 = true;
        self.shared.changed.notify_all();
        true
    }
}
