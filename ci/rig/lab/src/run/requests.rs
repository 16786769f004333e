//! What a scenario does with cancelnic.sys's device interface and with cancelnic-relay.sys.

use super::Run;
use super::programs::{Answer, Controlling, File, class};
use crate::base::files::NIC;
use crate::base::wait::Look;
use crate::facts::RequestEvent;
use agent_protocol::Message;
use anyhow::{Context, Result, ensure};
use cancelnic_ioctl::bench::{self, Complete, Forward, Mark, QueueAction, QueueState, Retrieve, Status};
use cancelnic_ioctl::log::{LOG_RECORDS, LogAnswer, Record, event};
use cancelnic_ioctl::nic;
use cancelnic_ioctl::relay::{self, Outcome, Pass, Send, Slot, SlotState, Target, TargetAnswer, way};
use cancelnic_ioctl::{Header, NIC_BENCH_INTERFACE, NIC_INTERFACE, RELAY_INTERFACE, SET_MUTANT, SetMutant};
use cancelnic_registers::QueueId;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The relay's name, as a driver of a session.
pub const RELAY: &str = "cancelnic-relay";

/// Both drivers' interfaces, opened by one program.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    /// cancelnic.sys.
    pub nic: File,
    /// cancelnic-relay.sys.
    pub relay: File,
}

/// A record of a log, with the driver that wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Logged {
    /// The driver.
    pub driver: &'static str,
    /// What it wrote.
    pub record: Record,
}

impl Logged {
    /// The event in words.
    pub fn what(&self) -> &'static str {
        match self.record.event {
            event::PRESENTED => "presented",
            event::MARKED => "marked",
            event::CANCEL_CALLBACK => "cancel-callback",
            event::UNMARKED => "unmarked",
            event::COMPLETING => "completing",
            event::FORWARDED => "forwarded",
            event::CANCELED_ON_QUEUE => "canceled-on-queue",
            event::REQUEUED => "requeued",
            event::CANCEL_EVENT => "cancel-event",
            event::READY => "ready",
            event::STOP => "stop",
            event::ACKNOWLEDGING => "acknowledging",
            event::RESUME => "resume",
            event::CLEANUP => "cleanup",
            event::SENDING => "sending",
            event::SENT => "sent",
            event::CANCELLING => "cancelling",
            event::CANCELLED => "cancelled",
            event::COMPLETION => "completion",
            event::REUSED => "reused",
            event::TARGET => "target",
            event::TARGET_DONE => "target-done",
            event::RETURNING => "returning",
            _ => "unknown",
        }
    }

    /// As the report tells it.
    pub fn told(&self) -> RequestEvent {
        RequestEvent { driver: self.driver, what: self.what(), irql: self.record.irql }
    }
}

/// How the guest tells that a thread is held at a window, for whomever the window is.
fn held(window: &str) -> String {
    format!("held at {}", window.split('@').next().unwrap_or(window))
}

/// What is in the answer to a request that must succeed.
fn told<T: FromBytes + KnownLayout + Immutable>(answer: &Answer) -> Result<T> {
    ensure!(answer.status == 0, "status {:#010x}", answer.status);
    T::read_from_bytes(&answer.output).ok().context("the answer has another length")
}

impl Run {
    /// Opens cancelnic.sys's interface, or that of its test bench.
    pub fn open_nic(&mut self) -> Result<File> {
        self.open(&class(if self.settings.bench { NIC_BENCH_INTERFACE } else { NIC_INTERFACE }))
    }

    /// What the NIC's driver has noted of requests.
    pub fn nic_log(&mut self, nic: File) -> Result<Vec<Logged>> {
        read_log(self, NIC, nic, nic::LOG)
    }

    /// Opens the relay's interface; a test build is told its fault.
    pub fn open_relay(&mut self) -> Result<File> {
        let relay = self.open(&class(RELAY_INTERFACE))?;
        if let Some(mutant) = self.settings.mutant.filter(|mutant| mutant.driver() == RELAY) {
            let set = SetMutant::new(mutant.number());
            let answer = self.control("misbehave from now on", relay, SET_MUTANT, set.as_bytes(), 0)?;
            ensure!(answer.status == 0, "not a test build: status {:#010x}", answer.status);
        }
        Ok(relay)
    }

    /// Opens both, and the relay's target.
    pub fn open_requests(&mut self) -> Result<Requests> {
        let requests = Requests { nic: self.open_nic()?, relay: self.open_relay()? };
        let opened = requests.target(self, relay::target::OPEN)?;
        ensure!(opened.status == 0 && opened.state == 1, "the target is not open: {opened:?}");
        Ok(requests)
    }

    /// Times that a thread of the guest has been held at a window.
    pub fn held_at(&mut self, window: &str) -> usize {
        self.events(&held(window))
    }

    fn events(&mut self, wanted: &str) -> usize {
        let said = self.session.agent.said();
        said.iter().filter(|said| matches!(said, Message::Event { what, .. } if what == wanted)).count()
    }

    /// Waits until a callback of a queue has returned.
    pub fn await_returned(&mut self, queue: QueueId, callback: &str) -> Result<()> {
        self.step(format!("wait for {queue}'s {callback} to return"), |run| {
            run.wait(&format!("{queue}'s {callback} to return"), |run| {
                run.ask(agent_protocol::Command::Report)?;
                let said = run.session.agent.said();
                let told = said.iter().any(|said| {
                    matches!(said, Message::Event { queue: of, what, .. } if of == queue.name() && what == callback)
                });
                Ok(if told { Look::Found(()) } else { Look::NotYet(run.events_line()) })
            })?;
            Ok(((), String::new()))
        })
    }

    /// Closes a window, does `act`, and waits until one more thread of the guest is held there.
    pub fn hold_at<T>(&mut self, window: &str, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.held_at(window);
        self.hold_window(window)?;
        let done = act(self)?;
        self.await_held(window, before)?;
        Ok(done)
    }

    /// Waits until a thread of the guest is held at a window, one more than `before`.
    pub fn await_held(&mut self, window: &str, before: usize) -> Result<()> {
        self.await_event(format!("somebody waits at {window}"), &held(window), before)
    }

    /// Waits until a callback, of whichever driver, has returned for the first time.
    pub fn await_callback(&mut self, callback: &str) -> Result<()> {
        self.await_event(format!("{callback} has returned"), callback, 0)
    }

    /// Waits until the guest has told of an event more often than `before` times.
    fn await_event(&mut self, name: String, wanted: &str, before: usize) -> Result<()> {
        self.step(name, |run| {
            run.wait(&format!("the guest's report of `{wanted}`"), |run| {
                run.ask(agent_protocol::Command::Report)?;
                let came = run.events(wanted) > before;
                Ok(if came { Look::Found(()) } else { Look::NotYet(run.events_line()) })
            })?;
            Ok(((), String::new()))
        })
    }

    /// The last callback that has returned, for the description of how far a wait has come.
    fn events_line(&self) -> String {
        let last = self.session.agent.said().into_iter().rev().find_map(|said| match said {
            Message::Event { queue, what, .. } => Some(format!("{queue} {what}")),
            _ => None,
        });
        let last = last.unwrap_or_else(|| "none".into());
        format!("{} callbacks over, the last one {last}", self.session.agent.events())
    }
}

impl Requests {
    fn ask<T: FromBytes + KnownLayout + Immutable>(
        run: &mut Run,
        what: &str,
        file: File,
        code: u32,
        input: &(impl IntoBytes + Immutable),
    ) -> Result<T> {
        told(&run.control(what, file, code, input.as_bytes(), size_of::<T>() as u32)?)
    }

    fn begin<T>(
        run: &mut Run,
        what: &str,
        file: File,
        code: u32,
        input: &(impl IntoBytes + Immutable),
    ) -> Result<Controlling> {
        run.begin_control(what, file, code, input.as_bytes(), size_of::<T>() as u32)
    }

    /// Closes both interfaces.
    pub fn close(self, run: &mut Run) -> Result<()> {
        run.close(self.relay)?;
        run.close(self.nic)
    }

    /// Waits for an answer of a `begin_` function.
    pub fn finish<T: FromBytes + KnownLayout + Immutable>(
        self,
        run: &mut Run,
        begun: &Controlling,
    ) -> Result<T> {
        told(&run.finish_control(begun)?)
    }

    /// The relay's target.
    pub fn target(self, run: &mut Run, action: u32) -> Result<TargetAnswer> {
        let what = format!("relay: {} its I/O target", target_verb(action));
        Self::ask(run, &what, self.relay, relay::TARGET, &Target::new(way::NIC, action))
    }

    /// The relay's local target.
    pub fn target_below(self, run: &mut Run, action: u32) -> Result<TargetAnswer> {
        let what = format!("relay: {} its local I/O target", target_verb(action));
        Self::ask(run, &what, self.relay, relay::TARGET, &Target::new(way::BELOW, action))
    }

    /// The same; [`Self::finish`] gives a [`TargetAnswer`].
    pub fn begin_target(self, run: &mut Run, action: u32) -> Result<Controlling> {
        let what = format!("relay: {} its I/O target", target_verb(action));
        Self::begin::<TargetAnswer>(run, &what, self.relay, relay::TARGET, &Target::new(way::NIC, action))
    }

    /// Makes the request of a slot.
    pub fn create(self, run: &mut Run, slot: u32) -> Result<Outcome> {
        Self::ask(run, &format!("relay: create request {slot}"), self.relay, relay::CREATE, &Slot::new(slot))
    }

    /// Sends the request of a slot.
    pub fn send(self, run: &mut Run, send: &Send) -> Result<Outcome> {
        Self::ask(
            run,
            &format!("relay: WdfRequestSend, request {}", send.slot),
            self.relay,
            relay::SEND,
            send,
        )
    }

    /// The same; [`Self::finish`] gives an [`Outcome`].
    pub fn begin_send(self, run: &mut Run, send: &Send) -> Result<Controlling> {
        Self::begin::<Outcome>(
            run,
            &format!("relay: WdfRequestSend, request {}", send.slot),
            self.relay,
            relay::SEND,
            send,
        )
    }

    /// Recalls the request of a slot.
    pub fn cancel(self, run: &mut Run, slot: u32) -> Result<Outcome> {
        Self::ask(
            run,
            &format!("relay: cancel sent request {slot}"),
            self.relay,
            relay::CANCEL,
            &Slot::new(slot),
        )
    }

    /// The same; [`Self::finish`] gives an [`Outcome`].
    pub fn begin_cancel(self, run: &mut Run, slot: u32) -> Result<Controlling> {
        let what = format!("relay: cancel sent request {slot}");
        Self::begin::<Outcome>(run, &what, self.relay, relay::CANCEL, &Slot::new(slot))
    }

    /// Makes the request of a slot ready to be sent again.
    pub fn reuse(self, run: &mut Run, slot: u32) -> Result<Outcome> {
        Self::ask(run, &format!("relay: reuse request {slot}"), self.relay, relay::REUSE, &Slot::new(slot))
    }

    /// Deletes the request of a slot.
    pub fn delete(self, run: &mut Run, slot: u32) -> Result<Outcome> {
        Self::ask(run, &format!("relay: delete request {slot}"), self.relay, relay::DELETE, &Slot::new(slot))
    }

    /// How a slot stands.
    pub fn state(self, run: &mut Run, slot: u32) -> Result<SlotState> {
        Self::ask(run, &format!("relay: state of request {slot}"), self.relay, relay::STATE, &Slot::new(slot))
    }

    /// How the next requests of programs are passed on.
    pub fn pass(self, run: &mut Run, slot: u32, options: u32, routine: bool) -> Result<()> {
        self.pass_to(run, way::NIC, slot, options, routine)
    }

    /// The same, to the target `way`.
    pub fn pass_to(self, run: &mut Run, way: u32, slot: u32, options: u32, routine: bool) -> Result<()> {
        let header = Header::of::<Pass>();
        let pass = Pass { header, slot, options, timeout: 0, routine: routine.into(), way };
        let answer =
            run.control("relay: how to pass requests on", self.relay, relay::PASS, pass.as_bytes(), 0)?;
        ensure!(answer.status == 0, "status {:#010x}", answer.status);
        Ok(())
    }

    /// Makes a waiting request cancelable late; what the framework said.
    pub fn mark(self, run: &mut Run, tag: u32, ex: bool) -> Result<u32> {
        let status: Status =
            Self::ask(run, &format!("NIC: mark {tag}"), self.nic, bench::MARK, &Mark::new(tag, ex))?;
        Ok(status.status)
    }

    /// The same; [`Self::finish`] gives a [`Status`].
    pub fn begin_mark(self, run: &mut Run, tag: u32, ex: bool) -> Result<Controlling> {
        Self::begin::<Status>(run, &format!("NIC: mark {tag}"), self.nic, bench::MARK, &Mark::new(tag, ex))
    }

    /// Ends a waiting request; what the unmark, if any, returned.
    pub fn complete(self, run: &mut Run, tag: u32, status: u32) -> Result<u32> {
        let what = format!("NIC: complete {tag}");
        let status: Status = Self::ask(run, &what, self.nic, bench::COMPLETE, &Complete::new(tag, status))?;
        Ok(status.status)
    }

    /// The same; [`Self::finish`] gives a [`Status`].
    pub fn begin_complete(self, run: &mut Run, tag: u32, status: u32) -> Result<Controlling> {
        let what = format!("NIC: complete {tag}");
        Self::begin::<Status>(run, &what, self.nic, bench::COMPLETE, &Complete::new(tag, status))
    }

    /// Hands a waiting request to another queue; what the framework said.
    pub fn forward(self, run: &mut Run, tag: u32, queue: u32) -> Result<u32> {
        let what = format!("NIC: forward {tag} to queue {queue}");
        let status: Status = Self::ask(run, &what, self.nic, bench::FORWARD, &Forward::new(tag, queue))?;
        Ok(status.status)
    }

    /// Takes the next request out of a manual queue; what the framework said.
    pub fn retrieve(self, run: &mut Run, queue: u32, behaviour: u32) -> Result<u32> {
        let what = format!("NIC: retrieve from queue {queue}");
        let status: Status =
            Self::ask(run, &what, self.nic, bench::RETRIEVE, &Retrieve::new(queue, behaviour))?;
        Ok(status.status)
    }

    /// Does something to a queue.
    pub fn queue(self, run: &mut Run, queue: u32, action: u32) -> Result<QueueState> {
        let what = format!("NIC: action {action} on queue {queue}");
        Self::ask(run, &what, self.nic, bench::QUEUE, &QueueAction::new(queue, action))
    }

    /// Takes both logs, as one in the order of time.
    pub fn log(self, run: &mut Run) -> Result<Vec<Logged>> {
        let mut log = read_log(run, NIC, self.nic, nic::LOG)?;
        log.extend(read_log(run, RELAY, self.relay, relay::LOG)?);
        log.sort_by_key(|logged| logged.record.at);
        Ok(log)
    }
}

/// The function that a step of the relay's target calls, as a verb.
fn target_verb(action: u32) -> &'static str {
    use relay::target;
    match action {
        target::OPEN => "open",
        target::CLOSE => "close",
        target::START => "start",
        target::STOP_CANCEL => "stop, with cancel,",
        target::STOP_WAIT => "stop, with a wait,",
        target::STOP_LEAVE => "stop, leaving requests,",
        target::PURGE_WAIT => "purge, with a wait,",
        target::PURGE => "purge",
        _ => "look at",
    }
}

/// Takes the log of one driver.
pub fn read_log(run: &mut Run, driver: &'static str, file: File, code: u32) -> Result<Vec<Logged>> {
    let room = size_of::<LogAnswer>() + LOG_RECORDS * size_of::<Record>();
    let answer = run.control(&format!("read the request log of {driver}"), file, code, &[], room as u32)?;
    ensure!(answer.status == 0, "status {:#010x}", answer.status);
    let (head, rest) = LogAnswer::read_from_prefix(&answer.output).ok().context("no head")?;
    ensure!(head.lost == 0, "{driver} dropped {} records", head.lost);
    let records = rest.chunks(size_of::<Record>()).map(|one| Record::read_from_bytes(one).ok());
    let records = records.collect::<Option<Vec<_>>>().context("half a record")?;
    ensure!(records.len() == head.count as usize, "{} records, {} announced", records.len(), head.count);
    Ok(records.into_iter().map(|record| Logged { driver, record }).collect())
}
