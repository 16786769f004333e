//! The judge: watches what a driver does with a queue, any driver in any guest, and names what it must
//! not do. It sees what the device sees: the rings, the buffers, the doorbells and the command words.
//! It changes nothing that the driver could see. What it costs is in `device/README.md`, so a device may
//! be made without it.
//!
//! It is no policeman: a finding stops nothing. It is bounded: 256 bytes of a transmit chain and 64 of a receive buffer are
//! looked at, twice; the first [`KEPT`] findings of a queue are kept, all are counted. Descriptors are compared whole.
//!
//! What it cannot see: a change between the ends of a frame of more than 256 bytes that misses the two windows of 64 bytes,
//! which are elsewhere in each frame, as every frame has them; one in an indirect table, if the buffers stay as they were; in
//! one CANCEL, what changed in more chains than an honest ring of 1024 entries has; a receive buffer that is only read while
//! the device owns it; a used ring written with the bytes that it held; a reset that no new life of the queue follows; an
//! event index that was not negotiated, which drivers may write (a doorbell that is left out for it is missing); num_buffers
//! of a sent frame's header, which Linux leaves as it was.

mod bell;
mod frame;
mod view;

use std::time::Duration;

use cancelnic_registers::Direction;
use vm_memory::GuestMemory;

use crate::Rings;
use bell::Bell;
pub use frame::Negotiated;
use view::View;

/// Findings of one queue that are kept; more are only counted.
pub const KEPT: usize = 64;

/// What a driver must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// A descriptor of a chain that the device owns was changed, or was published in another chain (virtio
    /// 1.3 section 2.7.13).
    DescriptorReused,
    /// What is in a buffer changed while the device owned it.
    BufferChanged,
    /// A receive buffer was written to after CANCEL, before STATE read STOPPED.
    ReceiveBufferTouched,
    /// A chain that the interface refuses: a loop, memory that is not there, the wrong direction or length.
    MalformedChain,
    /// The available index ran ahead of the ring.
    AvailableRanAhead,
    /// The used ring, which is the device's to write (virtio 1.3 section 2.7.8), was written.
    UsedRingWritten,
    /// Chains were published, the device had asked for a doorbell, and none came within [`LATE`].
    DoorbellMissing,
    /// Doorbells without a chain, or that the device had not asked for (virtio 1.3 section 2.7.13.4).
    DoorbellNeedless,
    /// A new command word with the SEQ of the last command: the device does not take it.
    CommandReused,
    /// A command's SEQ does not follow that of the last command.
    SeqSkipped,
    /// Chains were published between CANCEL and STOPPED.
    PublishedWhileCancelling,
    /// The device was reset while it had frames that the driver wanted sent, or was writing one.
    ResetInFlight,
    /// A sent frame's virtio_net_hdr has flags or a gso_type that were not negotiated (virtio 1.3 section 5.1.6.2.1).
    HeaderInvalid,
    /// A sent frame is shorter than an Ethernet header.
    FrameTooShort,
    /// A sent frame is longer than the negotiated MTU and an Ethernet header (virtio 1.3 section 5.1.4.1).
    FrameTooLong,
    /// An indirect descriptor without VIRTIO_F_INDIRECT_DESC (virtio 1.3 section 2.7.5.3.1); flags in the available ring
    /// with VIRTIO_F_EVENT_IDX, or flags that are none (section 2.7.7.1).
    FeatureNotNegotiated,
}

/// How long a doorbell may take. A guest that is held up between publishing and ringing is no fault yet.
pub const LATE: Duration = Duration::from_secs(2);

/// One thing that a driver did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub rule: Rule,
    /// The head of the chain or the descriptor that it is about, if it is about one.
    pub descriptor: Option<u16>,
    /// When the device saw it.
    pub at: Duration,
}

/// The judge of one queue.
#[derive(Debug)]
pub struct Judge {
    on: bool,
    direction: Direction,
    now: Duration,
    findings: Vec<Finding>,
    total: u64,
    /// If it is known.
    negotiated: Option<Negotiated>,
    /// Of the ring in service.
    watch: Option<Watch>,
    left: Option<Left>,
}

#[derive(Debug)]
struct Watch {
    view: View,
    bell: Bell,
    /// Where the available ring ended when CANCEL was carried out, until STOPPED.
    cancelled_at: Option<u16>,
}

/// How the queue left service.
#[derive(Debug)]
struct Left {
    rings: Rings,
    base: u16,
    published: u16,
    /// A frame that was in flight.
    frame: Option<u16>,
}

impl Judge {
    pub(crate) fn new(direction: Direction, on: bool) -> Judge {
        let now = Duration::ZERO;
        Judge {
            on,
            direction,
            now,
            findings: Vec::new(),
            total: 0,
            negotiated: None,
            watch: None,
            left: None,
        }
    }

    /// The first [`KEPT`] findings, in the order in which they were made.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Whether it watches.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// A call on the queue begins: what is found in it is found at `now`.
    pub(crate) fn at(&mut self, now: Duration) {
        self.now = now;
        if let Some(watch) = &mut self.watch {
            watch.view.begin();
        }
    }

    /// From here on the driver is held to what was negotiated.
    pub(crate) fn negotiated(&mut self, negotiated: Negotiated) {
        self.negotiated = Some(negotiated);
    }

    /// Adds a finding.
    pub(crate) fn note(&mut self, rule: Rule, descriptor: Option<u16>) {
        if !self.on {
            return;
        }
        self.total = self.total.saturating_add(1);
        if self.findings.len() < KEPT {
            self.findings.push(Finding { rule, descriptor, at: self.now });
        }
    }

    fn note_all(&mut self, found: impl IntoIterator<Item = (Rule, Option<u16>)>) {
        for (rule, descriptor) in found {
            self.note(rule, descriptor);
        }
    }

    /// The queue has entered service with `rings`.
    pub(crate) fn entered<M: GuestMemory>(&mut self, memory: &M, rings: &Rings) {
        self.watch = None;
        if !self.on {
            return;
        }
        let Some(view) = View::new(memory, rings, self.direction) else { return };
        let Some(published) = view.published(memory) else { return };
        if let Some(left) = self.left.take()
            && left.was_reset(rings, published)
        {
            self.note(Rule::ResetInFlight, left.frame);
        }
        self.watch = Some(Watch { view, bell: Bell::new(published, rings.event_idx), cancelled_at: None });
    }

    /// The queue leaves service; `base` is the oldest chain without a used element, `busy` the head of a
    /// frame that was in flight when it was told to.
    pub(crate) fn left<M: GuestMemory>(&mut self, memory: &M, base: u16, busy: Option<u16>) {
        let Some(mut watch) = self.watch.take() else { return };
        let scribbled = watch.view.used_ring_changed(memory);
        self.note_all(scribbled);
        let published = watch.view.published(memory).unwrap_or(base);
        let waiting = match self.direction {
            Direction::Tx if published != base => watch.view.head_at(memory, base),
            // Buffers that wait for frames are no frames.
            Direction::Tx | Direction::Rx => None,
        };
        self.left = Some(Left { rings: *watch.view.rings(), base, published, frame: busy.or(waiting) });
    }

    /// Looks at what the driver has done meanwhile. `armed`: a doorbell was asked for at that index; `heard`: the device
    /// hears doorbells.
    pub(crate) fn look<M: GuestMemory>(&mut self, memory: &M, armed: Option<u16>, heard: bool) {
        let Some(watch) = &mut self.watch else { return };
        let mut found = Vec::new();
        let Some(published) = watch.view.published(memory) else { return };
        watch.view.used_header_changed(memory, &mut found);
        watch.view.wrong_flags(memory, &mut found);
        if let Some(first) = watch.bell.look(published, armed, heard, self.now) {
            found.push((Rule::DoorbellMissing, watch.view.head_at(memory, first)));
        }
        self.note_all(found);
    }

    /// The doorbell was rung. `arms`: how often the device has asked for one since it entered service.
    pub(crate) fn rung<M: GuestMemory>(&mut self, memory: &M, arms: u64) {
        let Some(watch) = &mut self.watch else { return };
        let Some(published) = watch.view.published(memory) else { return };
        if watch.bell.rung(published, arms) {
            self.note(Rule::DoorbellNeedless, None);
        }
    }

    /// Sees the chains that wait in the available ring.
    pub(crate) fn see<M: GuestMemory>(&mut self, memory: &M) {
        let published = self.watch.as_ref().and_then(|watch| watch.view.published(memory));
        published.into_iter().for_each(|published| self.taken(memory, published));
    }

    /// The device has taken the chains before place `end` of the available ring.
    pub(crate) fn taken<M: GuestMemory>(&mut self, memory: &M, end: u16) {
        let Some(watch) = &mut self.watch else { return };
        let mut found = Vec::new();
        watch.view.see(memory, end, self.negotiated, &mut found);
        self.note_all(found);
    }

    /// The device is about to write into the buffers of the chain at `head`, or to give it back: they must
    /// be as they were when it was seen. `rule` names the fault if they are not.
    pub(crate) fn check<M: GuestMemory>(&mut self, memory: &M, head: u16, rule: Rule) {
        let Some(watch) = &mut self.watch else { return };
        if let Some(found) = watch.view.check(memory, head, rule) {
            self.note_all([found]);
        }
    }

    /// The device itself has written into them.
    pub(crate) fn wrote<M: GuestMemory>(&mut self, memory: &M, head: u16) {
        if let Some(watch) = &mut self.watch {
            watch.view.wrote(memory, head);
        }
    }

    /// The device is about to write the used element of the chain at `head`.
    pub(crate) fn completes<M: GuestMemory>(&mut self, memory: &M, head: u16, len: u32) {
        let Some(watch) = &mut self.watch else { return };
        let found = watch.view.completes(memory, head, len);
        self.note_all(found);
    }

    /// CANCEL has taken every chain before place `index` of the available ring.
    pub(crate) fn cancelled(&mut self, index: u16) {
        if let Some(watch) = &mut self.watch {
            watch.cancelled_at = Some(index);
            watch.view.skip_to(index);
        }
    }

    /// STATE is about to leave CANCELLING, or the driver has asked for that.
    pub(crate) fn cancel_ends<M: GuestMemory>(&mut self, memory: &M) {
        let Some(watch) = &mut self.watch else { return };
        let Some(index) = watch.cancelled_at.take() else { return };
        if watch.view.published(memory).is_some_and(|published| published != index) {
            let head = watch.view.head_at(memory, index);
            self.note(Rule::PublishedWhileCancelling, head);
        }
    }

    /// The device asks for no doorbell (flag of the used ring), or for doorbells again.
    pub(crate) fn hushed(&mut self, on: bool) {
        if let Some(watch) = &mut self.watch {
            watch.view.wrote_flags(on.into());
            watch.bell.deaf();
        }
    }

    /// Doorbells were not heard for a while.
    pub(crate) fn deaf(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.bell.deaf();
        }
    }
}

impl Left {
    /// Whether the queue begins a new life with `rings`, whose available index is `published` now, and had
    /// a frame in flight when it left. A machine that was paused before the first completion enters with
    /// base 0, too: its available ring is where it was.
    fn was_reset(&self, rings: &Rings, published: u16) -> bool {
        let place = |rings: &Rings| (rings.desc, rings.avail, rings.used);
        let goes_on = self.base == 0
            && place(rings) == place(&self.rings)
            && published.wrapping_sub(self.published) < 0x8000;
        self.frame.is_some() && rings.base == 0 && !goes_on
    }
}
