//! Driver core, device model and the class extension's side, joined in one process: what happens when,
//! as the execution context of a packet queue does it.

use std::{cell::Cell, rc::Rc};

use cancelnic_core::{
    CancelForm, Fault, Notify, Outcome,
    outcome::Waiting,
    queue::Options,
    rx::RxQueue,
    signals::Signals,
    tx::TxQueue,
    virtqueue::{DmaMemory, Layout, Slot, Virtqueue},
};
use cancelnic_mutants::{Mutant, Shown};
use cancelnic_registers::{Caps, Direction};

use crate::{memory::Guest, nic::Nic, receive_side::ReceiveSide, send_side::SendSide};

/// Polls within one wake, after which a driver that still claims work runs in circles.
const MOST_POLLS: usize = 10_000;

/// How a machine is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Elements of the packet ring.
    pub packets: u32,
    /// Elements of the fragment ring.
    pub fragments: u32,
    /// Descriptors of the virtqueue.
    pub descriptors: u16,
    pub event_idx: bool,
    pub caps: Caps,
    /// Bits a second; 0: unlimited.
    pub speed: u64,
    pub form: CancelForm,
    /// Whether enabling the notification ends the polling, as documented; the source polls once more.
    pub documented: bool,
    pub mutant: Option<Mutant>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            packets: 256,
            fragments: 256,
            descriptors: 1024,
            event_idx: true,
            caps: Caps::ALL,
            speed: 0,
            form: CancelForm::Iterator,
            documented: false,
            mutant: None,
        }
    }
}

impl Setup {
    fn options(&self) -> Options {
        let mutant = Shown::numbered(|| self.mutant.map_or(0, Mutant::number));
        Options { caps: self.caps, form: self.form, mutant }
    }

    /// Both ways of asking for interrupts, both forms of the cancel, both ways to fall asleep: every two of them together.
    pub(crate) fn each(test: impl Fn(Self)) {
        for form in [CancelForm::Iterator, CancelForm::Older] {
            for event_idx in [false, true] {
                let documented = event_idx != (form == CancelForm::Older);
                test(Self { event_idx, form, documented, ..Self::default() });
            }
        }
    }
}

/// The framework's wake-up call.
#[derive(Default)]
pub(crate) struct Wake(Cell<bool>);

impl Notify for Wake {
    fn notify(&self) {
        self.0.set(true);
    }
}

/// What came of EvtCancel.
pub(crate) struct Cancelled {
    pub fault: Option<Fault>,
    pub waiting: Waiting,
    /// Packets that came back in the call.
    pub back: usize,
}

/// A virtqueue in guest memory that the device has in service. Its slots are leaked: a test is short.
fn virtqueue(guest: &Guest, nic: &Nic, direction: Direction, setup: &Setup) -> Virtqueue<'static> {
    let layout = Layout::new(setup.descriptors, direction).expect("a good size");
    let (pointer, address) = guest.alloc(layout.bytes());
    let slots = vec![Slot::default(); setup.descriptors.into()].leak();
    // SAFETY: guest memory that is handed out once; the machine keeps it alive longer than the queue.
    let queue = unsafe {
        let memory = DmaMemory::new(pointer, address, layout.bytes());
        Virtqueue::new(memory, layout, slots, direction, setup.event_idx)
    };
    let queue = queue.expect("it fits");
    nic.enter(direction, queue.size(), queue.addresses(), setup.event_idx);
    queue
}

/// What the glue would do about the faults of a queue.
fn glue(signals: &Signals, nic: &Nic, wake: &Wake, faults: &mut Vec<Fault>, outcome: Outcome) {
    if let Some(fault) = outcome.fault {
        assert!(!signals.is_lost(), "a fault is not reported after the queue was lost");
        faults.push(fault);
        nic.reset();
        signals.mark_lost();
        wake.notify();
    }
}

/// A transmit queue and all around it.
pub(crate) struct TxMachine {
    pub guest: Rc<Guest>,
    pub nic: Nic,
    pub side: SendSide,
    pub queue: TxQueue<'static, 'static>,
    pub signals: &'static Signals,
    documented: bool,
    wake: Wake,
    pub faults: Vec<Fault>,
    used_index: u64,
}

impl TxMachine {
    pub(crate) fn new(setup: Setup) -> Self {
        let guest = Rc::new(Guest::new(8 << 20));
        let nic = Nic::new(guest.clone(), setup.caps, setup.speed);
        let side = SendSide::new(&guest, setup.packets, setup.fragments);
        let signals: &'static Signals = Box::leak(Box::new(Signals::new()));
        let virtqueue = virtqueue(&guest, &nic, Direction::Tx, &setup);
        let used_index = virtqueue.addresses()[2] + 2;
        let queue = TxQueue::new(0, virtqueue, side.rings.rings(), signals, setup.options());
        let mut machine = Self {
            guest,
            nic,
            side,
            queue: queue.expect("the block has registers for pair 0"),
            signals,
            documented: setup.documented,
            wake: Wake::default(),
            faults: vec![],
            used_index,
        };
        machine.start();
        machine.run();
        machine
    }

    pub(crate) fn start(&mut self) {
        self.side.start();
        let outcome = self.queue.start(&self.nic);
        glue(self.signals, &self.nic, &self.wake, &mut self.faults, outcome);
        self.wake.notify();
    }

    /// EvtStop: nothing may be outstanding then.
    pub(crate) fn stop(&mut self) -> String {
        assert_eq!(self.side.outstanding(), 0, "ready to stop");
        self.signals.disarm();
        self.queue.stop().to_string()
    }

    /// One EvtAdvance; how many packets came back.
    pub(crate) fn advance(&mut self) -> usize {
        let bell = self.nic.doorbell(Direction::Tx);
        let (outcome, back) = self.side.call(|| self.queue.advance(&self.nic, &bell));
        glue(self.signals, &self.nic, &self.wake, &mut self.faults, outcome);
        back
    }

    pub(crate) fn arm(&mut self) {
        let outcome = self.queue.set_notification_enabled(&self.nic, &self.wake);
        glue(self.signals, &self.nic, &self.wake, &mut self.faults, outcome);
    }

    /// What happens at the device between the last EvtAdvance, which moves nothing, and EvtSetNotificationEnabled. Its
    /// interrupt finds a queue that is not armed. Returns whether the queue is woken all the same.
    pub(crate) fn arm_after(&mut self, event: impl FnOnce(&Self)) -> bool {
        assert_eq!(self.advance(), 0, "the queue still has work");
        let _ = self.signals.take_armed();
        self.wake.0.set(false);
        event(self);
        self.interrupt();
        assert!(!self.wake.0.get(), "something else wakes the queue");
        self.arm();
        self.wake.0.get()
    }

    /// One EvtCancel and the wake that follows it; how many packets came back.
    pub(crate) fn cancel(&mut self) -> Cancelled {
        let (outcome, back) = self.side.call(|| self.queue.cancel(&self.nic));
        self.wake.notify();
        glue(self.signals, &self.nic, &self.wake, &mut self.faults, outcome);
        Cancelled { fault: outcome.fault, waiting: outcome.waiting, back }
    }

    /// Gives `count` frames and posts them.
    pub(crate) fn send(&mut self, count: usize) {
        assert_eq!(self.side.give_all(&self.guest, count), count, "room in the ring");
        self.wake.notify();
        self.run();
    }

    /// The watchdog expired: the glue resets the device and marks the queue lost.
    pub(crate) fn expire(&mut self) {
        self.nic.reset();
        self.signals.mark_lost();
        self.wake.notify();
        self.run();
    }

    /// The device's used index becomes nonsense.
    pub(crate) fn scribble_used_index(&self, index: u16) {
        self.guest.write(self.used_index, &index.to_le_bytes());
    }

    /// The framework polls for a reason of its own.
    pub(crate) fn run_woken(&mut self) {
        self.wake.notify();
        self.run();
    }

    /// The execution context until it sleeps and no interrupt is on its way.
    pub(crate) fn run(&mut self) {
        for _ in 0..MOST_POLLS {
            self.interrupt();
            if !self.wake.0.replace(false) {
                return;
            }
            self.poll();
        }
        panic!("the queue is woken for ever");
    }

    /// The DPC, if the device raised its interrupt.
    pub(crate) fn interrupt(&mut self) {
        if self.nic.take_interrupt() && self.signals.take_armed() {
            self.wake.notify();
        }
    }

    /// From a wake to sleep.
    fn poll(&mut self) {
        for _ in 0..MOST_POLLS {
            // Advance is called, and notification armed, only while packets are outstanding.
            if self.side.outstanding() == 0 {
                return;
            }
            if self.advance() == 0 {
                self.arm();
                if self.documented || self.side.outstanding() == 0 || self.advance() == 0 {
                    return;
                }
            }
        }
        panic!("the queue polls for ever");
    }
}

/// A receive queue and all around it.
pub(crate) struct RxMachine {
    pub guest: Rc<Guest>,
    pub nic: Nic,
    pub side: ReceiveSide,
    pub queue: RxQueue<'static, 'static>,
    pub signals: &'static Signals,
    documented: bool,
    wake: Wake,
    pub faults: Vec<Fault>,
    /// The framework gives buffers until it cancels.
    giving: bool,
    used_index: u64,
}

impl RxMachine {
    pub(crate) fn new(setup: Setup) -> Self {
        let guest = Rc::new(Guest::new(8 << 20));
        let nic = Nic::new(guest.clone(), setup.caps, setup.speed);
        let side = ReceiveSide::new(&guest, setup.packets, setup.fragments);
        let signals: &'static Signals = Box::leak(Box::new(Signals::new()));
        let virtqueue = virtqueue(&guest, &nic, Direction::Rx, &setup);
        let used_index = virtqueue.addresses()[2] + 2;
        let queue = RxQueue::new(0, virtqueue, side.rings.rings(), signals, setup.options());
        let mut machine = Self {
            guest,
            nic,
            side,
            queue: queue.expect("the block has registers for pair 0"),
            signals,
            documented: setup.documented,
            wake: Wake::default(),
            faults: vec![],
            giving: true,
            used_index,
        };
        machine.start();
        machine.run();
        machine
    }

    pub(crate) fn start(&mut self) {
        self.side.start();
        let outcome = self.queue.start(&self.nic);
        glue(self.signals, &self.nic, &self.wake, &mut self.faults, outcome);
        self.giving = true;
        self.wake.notify();
    }

    /// EvtStop: nothing may be outstanding then.
    pub(crate) fn stop(&mut self) -> String {
        assert_eq!(self.side.outstanding(), 0, "ready to stop");
        self.signals.disarm();
        self.queue.stop().to_string()
    }

    /// One EvtAdvance; how many packets came back.
    pub(crate) fn advance(&mut self) -> usize {
        if self.giving {
            self.side.give();
        }
        let bell = self.nic.doorbell(Direction::Rx);
        let (outcome, back) = self.side.call(&self.guest, || self.queue.advance(&self.nic, &bell));
        glue(self.signals, &self.nic, &self.wake, &mut self.faults, outcome);
        back
    }

    pub(crate) fn arm(&mut self) {
        let outcome = self.queue.set_notification_enabled(&self.nic, &self.wake);
        glue(self.signals, &self.nic, &self.wake, &mut self.faults, outcome);
    }

    /// What happens at the device between the last EvtAdvance, which moves nothing, and EvtSetNotificationEnabled. Its
    /// interrupt finds a queue that is not armed. Returns whether the queue is woken all the same.
    pub(crate) fn arm_after(&mut self, event: impl FnOnce(&Self)) -> bool {
        assert_eq!(self.advance(), 0, "the queue still has work");
        let _ = self.signals.take_armed();
        self.wake.0.set(false);
        event(self);
        self.interrupt();
        assert!(!self.wake.0.get(), "something else wakes the queue");
        self.arm();
        self.wake.0.get()
    }

    /// One EvtCancel and the wake that follows it; how many packets came back.
    pub(crate) fn cancel(&mut self) -> Cancelled {
        self.giving = false;
        let (outcome, back) = self.side.call(&self.guest, || self.queue.cancel(&self.nic));
        self.wake.notify();
        glue(self.signals, &self.nic, &self.wake, &mut self.faults, outcome);
        Cancelled { fault: outcome.fault, waiting: outcome.waiting, back }
    }

    /// The watchdog expired: the glue resets the device and marks the queue lost.
    pub(crate) fn expire(&mut self) {
        self.nic.reset();
        self.signals.mark_lost();
        self.wake.notify();
        self.run();
    }

    /// The device's used index becomes nonsense.
    pub(crate) fn scribble_used_index(&self, index: u16) {
        self.guest.write(self.used_index, &index.to_le_bytes());
    }

    /// The framework polls for a reason of its own.
    pub(crate) fn run_woken(&mut self) {
        self.wake.notify();
        self.run();
    }

    /// The execution context until it sleeps and no interrupt is on its way.
    pub(crate) fn run(&mut self) {
        for _ in 0..MOST_POLLS {
            self.interrupt();
            if !self.wake.0.replace(false) {
                self.side.check_buffers(&self.guest);
                return;
            }
            self.poll();
        }
        panic!("the queue is woken for ever");
    }

    /// The DPC, if the device raised its interrupt.
    pub(crate) fn interrupt(&mut self) {
        if self.nic.take_interrupt() && self.signals.take_armed() {
            self.wake.notify();
        }
    }

    /// From a wake to sleep. A receive queue is polled with an empty ring, too.
    fn poll(&mut self) {
        for _ in 0..MOST_POLLS {
            if self.advance() == 0 {
                self.arm();
                if self.documented || self.advance() == 0 {
                    return;
                }
            }
        }
        panic!("the queue polls for ever");
    }
}
