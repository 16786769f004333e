//! What transmit and receive queues have in common beneath their pipelines: service and ring, commands, judge, counts.
//! The pipelines ([`Transmit`](crate::tx::Transmit), [`Receive`](crate::rx::Receive)) take chains here and give them
//! back here.

use std::time::Duration;

use cancelnic_registers::{CommandResult, QueueId, State};
use vm_memory::GuestMemory;

use crate::chain::{Buffers, Table};
use crate::control::Control;
use crate::fault::Faults;
use crate::ring::Run;
use crate::service::{BYTES_PER_WORK, Service, WORK_PER_RUN};
use crate::snapshot::Totals;
use crate::{Broken, Fault, Judge, Rings, Rule, Settings, Turn};

#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) id: QueueId,
    pub(crate) service: Service,
    pub(crate) control: Control,
    pub(crate) judge: Judge,
    /// Whether it may fetch and receive.
    pub(crate) enabled: bool,
    pub(crate) totals: Totals,
    pub(crate) faults: Faults,
    /// Work done since `run` asked last, besides steps: see [`WORK_PER_RUN`](crate::service::WORK_PER_RUN).
    pub(crate) work: usize,
    /// Somebody calls `run` all the time: no doorbell is needed.
    pub(crate) is_polled: bool,
    /// The place for the buffers of one chain.
    pub(crate) buffers: Buffers,
    refused_now: u64,
    broke_now: Option<Broken>,
}

impl Base {
    pub(crate) fn new(id: QueueId, settings: &Settings) -> Base {
        Base {
            id,
            service: Service::Out { base: 0 },
            control: Control::new(id.direction(), settings.caps),
            judge: Judge::new(id.direction(), settings.judged),
            enabled: false,
            totals: Totals::default(),
            faults: Faults::default(),
            work: 0,
            is_polled: false,
            buffers: Buffers::default(),
            refused_now: 0,
            broke_now: None,
        }
    }

    /// Whether it works as any virtio-net queue does.
    pub(crate) fn is_running(&self) -> bool {
        self.control.state() == State::Running
    }

    /// Lets the judge look at what is the driver's and at what is the device's alone.
    pub(crate) fn look<M: GuestMemory>(&mut self, memory: &M, now: Duration) {
        self.judge.at(now);
        let (armed, hushed) =
            self.service.ring().map_or((None, false), |ring| (ring.armed(), ring.is_hushed()));
        self.judge.look(memory, armed, self.enabled && !hushed);
    }

    /// Lets the judge see the chains that the driver has published.
    pub(crate) fn see<M: GuestMemory>(&mut self, memory: &M) {
        if self.is_running() && self.service.broken().is_none() {
            self.judge.see(memory);
        }
    }

    /// Asks for no doorbell, or for doorbells again. Look for chains afterwards.
    pub(crate) fn hush<M: GuestMemory>(&mut self, memory: &M, on: bool) {
        let Some(ring) = self.service.source() else { return };
        match ring.hush(memory, on) {
            Ok(true) => self.judge.hushed(on),
            Ok(false) => {}
            Err(why) => _ = self.mark_broken(why),
        }
    }

    /// Makes the used elements that are owed visible.
    pub(crate) fn flush<M: GuestMemory>(&mut self, memory: &M) {
        if let Some(ring) = self.service.ring() {
            ring.flush(memory);
        }
    }

    /// Work that `run` may still do.
    pub(crate) fn is_tired(&self) -> bool {
        self.work >= WORK_PER_RUN
    }

    /// Enters service with `rings`.
    pub(crate) fn enter<M: GuestMemory>(&mut self, memory: &M, now: Duration, rings: &Rings) {
        self.broke_now = self.service.enter(memory, rings);
        self.judge.at(now);
        if self.broke_now.is_none() {
            self.judge.entered(memory, rings);
        }
    }

    /// Takes the next chains from the available ring, `most` at most; if there is none, asks for a doorbell. The judge is to
    /// be told with [`Judge::taken`].
    ///
    /// # Errors
    /// No chain. True if one may have come meanwhile, so that it pays to ask again.
    pub(crate) fn take<M: GuestMemory>(&mut self, memory: &M, most: usize) -> Result<Run, bool> {
        let Some(ring) = self.service.source() else { return Err(false) };
        match ring.take(memory, most) {
            Ok(run) if run.len() > 0 => Ok(run),
            Ok(_) if self.is_polled => Err(false),
            Ok(_) => Err(ring.ask_for_doorbell(memory).unwrap_or_else(|why| self.mark_broken(why))),
            Err(why) => Err(self.mark_broken(why)),
        }
    }

    /// A frame of `len` bytes was copied.
    pub(crate) fn copied(&mut self, len: usize) {
        self.work = self.work.saturating_add(len.div_ceil(BYTES_PER_WORK));
    }

    /// Gives the chains taken last back to the available ring.
    pub(crate) fn put_back(&mut self, count: usize) {
        if let Some(ring) = self.service.source() {
            ring.put_back(count);
        }
    }

    /// CANCEL takes every chain that is available at this moment. How many have a known head.
    ///
    /// # Errors
    /// What the command is answered with instead.
    pub(crate) fn take_all<M: GuestMemory>(
        &mut self,
        memory: &M,
        mut each: impl FnMut(Table, Option<u16>),
    ) -> Result<usize, CommandResult> {
        let Some(ring) = self.service.source() else { return Err(CommandResult::NotInService) };
        let table = ring.table();
        let mut known: usize = 0;
        let all = ring.take_all(memory, |head| {
            known = known.saturating_add(head.is_some().into());
            each(table, head);
        });
        match all {
            Ok(()) => {
                self.judge.cancelled(ring.next_index());
                Ok(known)
            }
            Err(why) => {
                self.mark_broken(why);
                Err(CommandResult::Broken)
            }
        }
    }

    /// Owes a used element, which [`Base::flush`] writes; false if the queue breaks over it, or an armed fault keeps it back.
    pub(crate) fn write_used<M: GuestMemory>(&mut self, memory: &M, head: u16, len: u32) -> bool {
        let Some(ring) = self.service.ring() else { return false };
        match self.faults.of_completion() {
            None | Some(Fault::StuckInCancelling) => self.complete(memory, head, len),
            Some(Fault::CompletionDoubled) => {
                self.complete(memory, head, len) && self.complete(memory, head, len)
            }
            Some(Fault::CompletionOfAnother) => {
                let nobodys = head.wrapping_add(ring.table().entries);
                self.complete(memory, nobodys, len)
            }
            Some(Fault::CompletionWithheld) => {
                ring.skip();
                false
            }
            Some(Fault::CompletionAfterStopped) => {
                ring.skip();
                self.faults.hold(head, len);
                false
            }
        }
    }

    /// Writes the used elements that an armed fault has kept back until STATE reads STOPPED, as it does now.
    pub(crate) fn complete_late<M: GuestMemory>(&mut self, memory: &M) {
        while let Some((head, len)) = self.faults.next_late() {
            self.complete(memory, head, len);
        }
        self.flush(memory);
    }

    fn complete<M: GuestMemory>(&mut self, memory: &M, head: u16, len: u32) -> bool {
        let Some(ring) = self.service.ring() else { return false };
        self.judge.completes(memory, head, len);
        if let Err(why) = ring.complete(memory, head, len) {
            return self.mark_broken(why);
        }
        count(&mut self.totals.completed);
        true
    }

    /// Gives up on a chain whose head is unknown: it is refused without a used element.
    pub(crate) fn give_up(&mut self) {
        if let Some(ring) = self.service.ring() {
            ring.skip();
        }
        self.count_refused();
    }

    /// A malformed chain more.
    pub(crate) fn count_refused(&mut self) {
        count(&mut self.totals.refused);
        count(&mut self.refused_now);
    }

    /// The ring cannot be used any more. False: nothing moves by that.
    fn mark_broken(&mut self, why: Broken) -> bool {
        if why == Broken::Index {
            self.judge.note(Rule::AvailableRanAhead, None);
        }
        self.broke_now = self.service.mark_broken(why).or(self.broke_now);
        false
    }

    /// What a call that ends now asks for.
    pub(crate) fn turn<M: GuestMemory>(&mut self, memory: &M, deadline: Option<Duration>) -> Turn {
        let wanted = self.service.ring().is_some_and(|ring| ring.wants_interrupt(memory));
        Turn {
            signal: self.control.take_interrupt() | wanted,
            moved: false,
            again: false,
            deadline,
            refused: std::mem::take(&mut self.refused_now),
            broke: self.broke_now.take(),
        }
    }
}

/// One more.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
