//! What transmit and receive queues have in common beneath their pipelines: service and ring, commands, judge, counts.
//! The pipelines ([`Transmit`](crate::tx::Transmit), [`Receive`](crate::rx::Receive)) take chains here and give them
//! back here.

use std::time::Duration;

use cancelnic_registers::{CommandResult, QueueId, State};
use virtio_queue::DescriptorChain;
use vm_memory::GuestMemory;

use crate::control::Control;
use crate::service::{BYTES_PER_WORK, Service};
use crate::snapshot::Totals;
use crate::{Broken, Judge, Rings, Rule, Settings, Turn};

#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) id: QueueId,
    pub(crate) service: Service,
    pub(crate) control: Control,
    pub(crate) judge: Judge,
    /// Whether it may fetch and receive.
    pub(crate) enabled: bool,
    pub(crate) totals: Totals,
    /// Work done since `run` asked last, besides steps: see [`WORK_PER_RUN`](crate::service::WORK_PER_RUN).
    pub(crate) work: usize,
    refused_now: u64,
    broke_now: Option<Broken>,
}

/// A chain that was taken from the available ring.
pub(crate) struct Taken<'a, M: GuestMemory> {
    /// `None` if it names no descriptor of the table, so that no used element can be written.
    pub(crate) head: Option<u16>,
    /// The ring's size.
    pub(crate) ring: u16,
    pub(crate) chain: DescriptorChain<&'a M>,
}

impl<'a, M: GuestMemory> Taken<'a, M> {
    fn new(ring: u16, chain: DescriptorChain<&'a M>) -> Taken<'a, M> {
        Taken { head: Some(chain.head_index()).filter(|head| *head < ring), ring, chain }
    }
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
            work: 0,
            refused_now: 0,
            broke_now: None,
        }
    }

    /// Whether it works as any virtio-net queue does.
    pub(crate) fn is_running(&self) -> bool {
        self.control.state() == State::Running
    }

    /// Lets the judge look at the ring.
    pub(crate) fn look<M: GuestMemory>(&mut self, memory: &M, now: Duration) {
        self.judge.at(now);
        let running = self.is_running() && self.service.broken().is_none();
        let armed = self.service.ring().and_then(|ring| ring.armed());
        self.judge.look(memory, running, armed, self.enabled);
    }

    /// Enters service with `rings`.
    pub(crate) fn enter<M: GuestMemory>(&mut self, memory: &M, now: Duration, rings: &Rings) {
        self.broke_now = self.service.enter(memory, rings);
        self.judge.at(now);
        if self.broke_now.is_none() {
            self.judge.entered(memory, rings);
        }
    }

    /// Takes the next chain from the available ring; if there is none, asks for a doorbell.
    ///
    /// # Errors
    /// No chain. True if one may have come meanwhile, so that it pays to ask again.
    pub(crate) fn take<'a, M: GuestMemory>(&mut self, memory: &'a M) -> Result<Taken<'a, M>, bool> {
        let Some(ring) = self.service.source() else { return Err(false) };
        let (size, index) = (ring.size(), ring.next_index());
        match ring.take(memory) {
            Ok(Some(chain)) => {
                self.judge.taken(memory, index);
                Ok(Taken::new(size, chain))
            }
            Ok(None) => Err(ring.ask_for_doorbell(memory).unwrap_or_else(|why| self.mark_broken(why))),
            Err(why) => Err(self.mark_broken(why)),
        }
    }

    /// A frame of `len` bytes was copied.
    pub(crate) fn copied(&mut self, len: usize) {
        self.work = self.work.saturating_add(len.div_ceil(BYTES_PER_WORK));
    }

    /// Gives the chain taken last back to the available ring.
    pub(crate) fn put_back(&mut self) {
        if let Some(ring) = self.service.source() {
            ring.put_back();
        }
    }

    /// CANCEL takes every chain that is available at this moment. How many have a known head.
    ///
    /// # Errors
    /// What the command is answered with instead.
    pub(crate) fn take_all<'a, M: GuestMemory>(
        &mut self,
        memory: &'a M,
        mut each: impl FnMut(Taken<'a, M>),
    ) -> Result<usize, CommandResult> {
        let Some(ring) = self.service.source() else { return Err(CommandResult::NotInService) };
        let size = ring.size();
        let mut known: usize = 0;
        let all = ring.take_all(memory, |chain| {
            let taken = Taken::new(size, chain);
            known = known.saturating_add(taken.head.is_some().into());
            each(taken);
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

    /// Writes a used element; false if the queue breaks over it.
    pub(crate) fn write_used<M: GuestMemory>(&mut self, memory: &M, head: u16, len: u32) -> bool {
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
