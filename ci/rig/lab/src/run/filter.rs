//! What a scenario does with cancelnic-lwf.sys through its control device.

use super::Run;
use super::programs::{Answer, File};
use crate::base::wait::Look;
use anyhow::{Context, Result, bail, ensure};
use cancelnic_ioctl::filter::{
    ALL, BYPASS, Bypass, CANCEL, COUNTERS, Cancel, Counters, HELD, HOLD, Held, HeldList, MOST_LISTED,
    RELEASE, Release, SEND, Select, Send, Sent,
};
use cancelnic_ioctl::{FILTER_DEVICE, Header, SET_MUTANT, SetMutant};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The filter's name, as a driver of a session.
pub const FILTER: &str = "cancelnic-lwf";

/// STATUS_DEVICE_DOES_NOT_EXIST.
const DEVICE_DOES_NOT_EXIST: u32 = 0xC000_00C0;

/// The filter, opened by a program; its first module is meant.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// The program's file.
    pub file: File,
}

/// Frames that the filter sends by itself.
#[derive(Debug, Clone)]
pub struct Own {
    /// Number of the first.
    pub first: u64,
    /// How many.
    pub count: u32,
    /// Cancellation IDs of the subgroups: frame i has that of subgroup i modulo their count.
    pub ids: Vec<u64>,
}

impl Own {
    /// All of them.
    pub fn numbers(&self) -> std::ops::Range<u64> {
        self.first..self.first + u64::from(self.count)
    }

    /// The ID with which a frame was marked; 0 for none.
    pub fn id_of(&self, number: u64) -> u64 {
        let at = (number - self.first) as usize;
        self.ids.get(at % self.ids.len().max(1)).copied().unwrap_or(0)
    }
}

/// The first module, in a structure that has nothing else.
pub fn select() -> Select {
    Select { header: Header::of::<Select>(), module: 0, reserved: 0 }
}

impl Run {
    /// Opens the filter; a test build is told its fault.
    pub fn open_filter(&mut self) -> Result<Filter> {
        let filter = Filter { file: self.open(FILTER_DEVICE)? };
        if let Some(mutant) = self.settings.mutant.filter(|mutant| mutant.driver() == FILTER) {
            let set = SetMutant::new(mutant.number());
            filter.ask(self, "filter: misbehave from now on", SET_MUTANT, &set, 0)?;
        }
        Ok(filter)
    }
}

impl Filter {
    /// A request that must succeed; gives its output.
    fn ask(
        self,
        run: &mut Run,
        what: &str,
        code: u32,
        input: &(impl IntoBytes + Immutable),
        output_len: usize,
    ) -> Result<Vec<u8>> {
        let answer = run.control(what, self.file, code, input.as_bytes(), output_len as u32)?;
        if answer.status != 0 {
            bail!("{what}: status {:#010x}", answer.status);
        }
        Ok(answer.output)
    }

    /// A request whose output is a `T`.
    fn ask_for<T: FromBytes + KnownLayout + Immutable>(
        self,
        run: &mut Run,
        what: &str,
        code: u32,
        input: &(impl IntoBytes + Immutable),
    ) -> Result<T> {
        let output = self.ask(run, what, code, input, size_of::<T>())?;
        T::read_from_bytes(&output).ok().with_context(|| format!("{what}: {} bytes come back", output.len()))
    }

    /// Closes the gate.
    pub fn hold(self, run: &mut Run) -> Result<()> {
        self.ask(run, "filter: close the gate", HOLD, &select(), 0).map(drop)
    }

    /// Opens the gate.
    pub fn release_all(self, run: &mut Run) -> Result<()> {
        self.release_as(run, "filter: open the gate", ALL)
    }

    /// Lets so many lists pass the closed gate.
    pub fn release(self, run: &mut Run, count: u64) -> Result<()> {
        self.release_as(run, &format!("filter: let {count} pass"), count)
    }

    fn release_as(self, run: &mut Run, what: &str, count: u64) -> Result<()> {
        let release = Release { header: Header::of::<Release>(), module: 0, reserved: 0, count };
        self.ask(run, what, RELEASE, &release, 0).map(drop)
    }

    /// Sends `count` frames of the filter's own in so many subgroups, each with an ID; 0: without.
    pub fn send(self, run: &mut Run, count: u32, groups: u32) -> Result<Own> {
        let (first, _) = run.take_numbers_for_filter(count);
        let send = Send { header: Header::of::<Send>(), module: 0, groups, first, count, len: 60 };
        let what = format!("filter: send {count} frames from {first} in {groups} subgroups");
        let sent: Sent = self.ask_for(run, &what, SEND, &send)?;
        let ids = sent.ids[..groups as usize].to_vec();
        ensure!(!ids.contains(&0), "{what}: an ID is NULL: {ids:x?}");
        Ok(Own { first, count, ids })
    }

    /// Tries to send frames of the filter's own, which are noted as given to it if it takes them; its status.
    pub fn try_send(self, run: &mut Run, count: u32) -> Result<u32> {
        let (first, _) = run.take_numbers_for_filter(count);
        let send = Send { header: Header::of::<Send>(), module: 0, groups: 1, first, count, len: 60 };
        let output = size_of::<Sent>() as u32;
        let answer = run.control("filter: try to send", self.file, SEND, send.as_bytes(), output)?;
        if answer.status != 0 {
            run.give_numbers_back(first);
        }
        Ok(answer.status)
    }

    /// Cancels own sends by ID.
    pub fn cancel(self, run: &mut Run, cancel_id: u64) -> Result<()> {
        let answer = self.try_cancel(run, cancel_id)?;
        ensure!(answer.status == 0, "cancel by {cancel_id:#x}: status {:#010x}", answer.status);
        Ok(())
    }

    /// The same, whatever its status.
    pub fn try_cancel(self, run: &mut Run, cancel_id: u64) -> Result<Answer> {
        let cancel = Cancel { header: Header::of::<Cancel>(), module: 0, reserved: 0, cancel_id };
        run.control(&format!("filter: cancel {cancel_id:#x}"), self.file, CANCEL, cancel.as_bytes(), 0)
    }

    /// Lets lists go past the module, or through it, from the restart on that this asks for.
    pub fn bypass(self, run: &mut Run, on: bool) -> Result<()> {
        let bypass = Bypass { header: Header::of::<Bypass>(), module: 0, on: on.into() };
        let what = if on { "filter: step aside" } else { "filter: step in" };
        self.ask(run, what, BYPASS, &bypass, 0).map(drop)
    }

    /// The module's books.
    pub fn counters(self, run: &mut Run) -> Result<Counters> {
        self.ask_for(run, "filter: counters", COUNTERS, &select())
    }

    /// What is held, in order; an error if that is more than one answer lists.
    pub fn held(self, run: &mut Run) -> Result<Vec<HeldList>> {
        let room = size_of::<Held>() + MOST_LISTED * size_of::<HeldList>();
        let output = self.ask(run, "filter: list the frames held", HELD, &select(), room)?;
        let (held, rest) = Held::read_from_prefix(&output).ok().context("the answer has no head")?;
        let lists: Option<Vec<HeldList>> =
            rest.chunks(size_of::<HeldList>()).map(|list| HeldList::read_from_bytes(list).ok()).collect();
        let lists = lists.context("the answer ends within a list")?;
        ensure!(
            held.total == held.listed && held.listed == lists.len() as u64,
            "{held:?} with {} lists",
            lists.len()
        );
        Ok(lists)
    }

    /// Waits until the counters are as wanted.
    pub fn await_counters(
        self,
        run: &mut Run,
        what: &str,
        holds: impl Fn(&Counters) -> bool,
    ) -> Result<Counters> {
        run.step(format!("filter: wait for {what}"), |run| {
            let seen = run.wait(what, |run| {
                let output = size_of::<Counters>() as u32;
                let answer = run.request(self.file, COUNTERS, select().as_bytes(), output)?;
                ensure!(answer.status == 0, "filter: counters: status {:#010x}", answer.status);
                let seen = Counters::read_from_bytes(&answer.output).ok().context("the counters' length")?;
                Ok(if holds(&seen) { Look::Found(seen) } else { Look::NotYet(format!("{seen:?}")) })
            })?;
            Ok((seen, String::new()))
        })
    }

    /// Waits until there is no module any more.
    pub fn await_gone(self, run: &mut Run) -> Result<()> {
        run.step("filter: wait for the module to go", |run| {
            run.wait("the filter's module to go", |run| {
                let output = size_of::<Counters>() as u32;
                let answer = run.request(self.file, COUNTERS, select().as_bytes(), output)?;
                match answer.status {
                    DEVICE_DOES_NOT_EXIST => Ok(Look::Found(())),
                    0 => Ok(Look::NotYet("the module is still there".into())),
                    status => bail!("filter: counters: status {status:#010x}"),
                }
            })?;
            Ok(((), String::new()))
        })
    }

    /// Own frames that ended before they came to the ring.
    pub fn note_ended(self, run: &mut Run, numbers: impl IntoIterator<Item = u64>) {
        numbers.into_iter().for_each(|number| run.facts.originated_ended.push(number));
    }
}
