//! The model's queues behind registers, doorbells and one interrupt, as QEMU's transport joins them.

use std::{
    cell::{Cell, RefCell},
    num::NonZeroU64,
    rc::Rc,
    time::Duration,
};

use cancelnic_core::{Doorbell, Registers};
use cancelnic_model::{ConfigSpace, Frame, Link, NetConfig, Queue, Rings, Settings, Speed, Turn, Wire};
use cancelnic_registers::{Caps, Direction, QueueId, SPACE_SIZE, StatusWord};

/// Where work can be held.
pub(crate) use cancelnic_model::Gate;

use crate::{frame, memory::Guest};

/// Calls of `run` within one event, after which the model runs in circles.
const MOST_TURNS: usize = 10_000;

/// Offsets and words.
type Writes = Vec<(u32, u32)>;

/// Numbers of the frames that have left.
#[derive(Default)]
struct Sent(Vec<u64>);

impl Wire for Sent {
    fn transmit(&mut self, queue: QueueId, frame: Frame, _: Duration) -> Option<Frame> {
        assert_eq!(queue, QueueId::TX0);
        self.0.push(frame::number_of(&frame));
        Some(frame)
    }
}

struct Inside {
    space: ConfigSpace,
    tx: Queue,
    rx: Queue,
    wire: Sent,
    now: Duration,
    deadline: Option<Duration>,
    interrupt: bool,
    /// QEMU's copy of the configuration space, as the last read left it.
    cache: [u8; SPACE_SIZE],
}

/// The device. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Nic {
    guest: Rc<Guest>,
    inside: Rc<RefCell<Inside>>,
    gone: Rc<Cell<bool>>,
    /// Commands written and not yet delivered, while they are held.
    held: Rc<RefCell<Option<Writes>>>,
    /// What status registers are made to read instead.
    lie: Rc<Cell<Option<StatusWord>>>,
    /// Register reads, each of which takes a driver about 50 microseconds.
    reads: Rc<Cell<usize>>,
}

impl Nic {
    pub(crate) fn new(guest: Rc<Guest>, caps: Caps, speed: u64) -> Self {
        let speed = NonZeroU64::new(speed).map_or(Speed::Unlimited, Speed::BitsPerSecond);
        let link = Link::new(speed);
        let settings = Settings {
            caps,
            judged: true,
            fifo_depth: 64,
            link,
            longest: usize::MAX,
            pending_limit: 1024,
            pending_bytes: 4 << 20,
        };
        let [tx, rx] = [QueueId::TX0, QueueId::RX0].map(|queue| Queue::new(queue, &settings));
        let net =
            NetConfig { mac: [2, 0, 0, 0, 0, 1], link_up: true, mtu: 1500, speed: 1000, full_duplex: true };
        let inside = Inside {
            space: ConfigSpace::new(&net, caps, [&tx, &rx].map(|queue| (queue.id(), queue.status()))),
            tx,
            rx,
            wire: Sent::default(),
            now: Duration::ZERO,
            deadline: None,
            interrupt: false,
            cache: [0; SPACE_SIZE],
        };
        Self {
            guest,
            inside: Rc::new(RefCell::new(inside)),
            gone: Rc::default(),
            held: Rc::default(),
            lie: Rc::default(),
            reads: Rc::default(),
        }
    }

    /// The driver has enabled a queue and said DRIVER_OK.
    pub(crate) fn enter(
        &self,
        direction: Direction,
        size: u16,
        [desc, avail, used]: [u64; 3],
        event_idx: bool,
    ) {
        let rings = Rings { size, desc, avail, used, base: 0, event_idx };
        self.with(|guest, inside| {
            let now = inside.now;
            let queue = inside.queue(direction);
            queue.set_enabled(true);
            queue.enter(&guest.memory, now, &rings)
        });
    }

    /// What the device's judge has found on the transmit queue.
    #[cfg(feature = "mutants")]
    pub(crate) fn findings(&self) -> Vec<cancelnic_model::Rule> {
        self.inside.borrow().tx.judge().findings().iter().map(|finding| finding.rule).collect()
    }

    /// The driver has written device_status 0: both queues leave service before it reads 0.
    pub(crate) fn reset(&self) {
        if self.gone.get() {
            return;
        }
        let inside = &mut *self.inside.borrow_mut();
        let left = inside.tx.leave(&self.guest.memory, inside.now, &mut inside.wire);
        inside.interrupt |= left.signal;
        let left = inside.rx.leave(&self.guest.memory, inside.now, &mut inside.wire);
        inside.interrupt |= left.signal;
    }

    /// Surprise removal: nothing is read or written any more, registers read all ones.
    pub(crate) fn remove(&self) {
        self.gone.set(true);
    }

    /// Register writes are on their way for a while.
    pub(crate) fn hold_commands(&self) {
        *self.held.borrow_mut() = Some(vec![]);
    }

    /// The writes that were held arrive.
    pub(crate) fn deliver_commands(&self) {
        for (offset, value) in self.held.take().expect("they were held") {
            self.write(offset, value);
        }
    }

    /// Both status registers read this from now on.
    pub(crate) fn lie(&self, word: Option<StatusWord>) {
        self.lie.set(word);
    }

    pub(crate) fn close(&self, gate: Gate) {
        self.set_gate(gate, false);
    }

    pub(crate) fn open(&self, gate: Gate) {
        self.set_gate(gate, true);
    }

    fn set_gate(&self, gate: Gate, open: bool) {
        self.with(|_, inside| {
            // A queue that does not have the gate takes no notice.
            inside.tx.set_gate(gate, open, inside.now);
            inside.rx.set_gate(gate, open, inside.now);
            again()
        });
    }

    /// Lets `count` pieces through a closed gate.
    pub(crate) fn step(&self, gate: Gate, count: u64) {
        self.with(|_, inside| {
            inside.tx.step_gate(gate, count, inside.now);
            inside.rx.step_gate(gate, count, inside.now);
            again()
        });
    }

    /// Time goes by; whatever falls due in it happens at its time.
    pub(crate) fn pass(&self, time: Duration) {
        let end = self.inside.borrow().now + time;
        loop {
            let due = self.inside.borrow().deadline.filter(|due| *due <= end);
            self.inside.borrow_mut().now = due.unwrap_or(end);
            self.inside.borrow_mut().deadline = None;
            self.with(|_, _| again());
            if due.is_none() {
                return;
            }
        }
    }

    /// A numbered frame arrives from the wire; false if there was no room to wait.
    pub(crate) fn inject(&self, number: u64) -> bool {
        let mut taken = false;
        self.with(|_, inside| {
            taken = inside.rx.inject(frame::numbered(number, frame::length(number)));
            again()
        });
        taken
    }

    /// Any bytes arrive from the wire.
    pub(crate) fn inject_bytes(&self, bytes: Vec<u8>) {
        self.with(|_, inside| {
            assert!(inside.rx.inject(bytes));
            again()
        });
    }

    /// Numbers of the frames that have left, in order.
    pub(crate) fn sent(&self) -> Vec<u64> {
        self.inside.borrow().wire.0.clone()
    }

    /// The device's own books say the same.
    pub(crate) fn check_totals(&self, sent: u64, taken_back: u64) {
        let books = self.inside.borrow().tx.snapshot(&self.guest.memory);
        assert_eq!((books.totals.sent, books.totals.taken_back), (sent, taken_back));
        assert_eq!((books.available, books.inside), (0, Default::default()));
    }

    pub(crate) fn status(&self, direction: Direction) -> StatusWord {
        self.inside.borrow_mut().queue(direction).status().read()
    }

    /// Whether a frame is half written into its buffer.
    pub(crate) fn is_writing(&self) -> bool {
        self.inside.borrow().rx.inside().writing == 1
    }

    /// Whether the interrupt was raised since the last time.
    pub(crate) fn take_interrupt(&self) -> bool {
        std::mem::take(&mut self.inside.borrow_mut().interrupt)
    }

    /// Register reads so far.
    pub(crate) fn reads(&self) -> usize {
        self.reads.get()
    }

    pub(crate) fn doorbell(&self, direction: Direction) -> Bell {
        Bell(self.clone(), direction)
    }

    /// Something happened to a queue; then both run until neither has more to do now.
    fn with(&self, event: impl FnOnce(&Guest, &mut Inside) -> Turn) {
        if self.gone.get() {
            return;
        }
        let inside = &mut *self.inside.borrow_mut();
        let turn = event(&self.guest, inside);
        let mut more = inside.note(turn);
        for _ in 0..MOST_TURNS {
            if !more {
                return;
            }
            let turn = inside.tx.run(&self.guest.memory, inside.now, &mut inside.wire);
            more = inside.note(turn);
            let turn = inside.rx.run(&self.guest.memory, inside.now, &mut inside.wire);
            more |= inside.note(turn);
        }
        panic!("the model runs for ever");
    }
}

impl Inside {
    fn queue(&mut self, direction: Direction) -> &mut Queue {
        match direction {
            Direction::Tx => &mut self.tx,
            Direction::Rx => &mut self.rx,
        }
    }

    /// Takes note of what a queue asks for; whether it has more to do now.
    fn note(&mut self, turn: Turn) -> bool {
        self.interrupt |= turn.signal;
        let now = self.now;
        if let Some(due) = turn.deadline.filter(|due| *due > now) {
            self.deadline = Some(self.deadline.map_or(due, |deadline| deadline.min(due)));
        }
        turn.again || turn.deadline.is_some_and(|due| due <= now)
    }
}

fn again() -> Turn {
    Turn { again: true, ..Turn::default() }
}

/// One queue's doorbell.
pub(crate) struct Bell(Nic, Direction);

impl Doorbell for Bell {
    fn ring(&self) {
        self.0.with(|guest, inside| match self.1 {
            Direction::Tx => inside.tx.run(&guest.memory, inside.now, &mut inside.wire),
            Direction::Rx => inside.rx.run(&guest.memory, inside.now, &mut inside.wire),
        });
    }
}

impl Registers for Nic {
    fn read(&self, offset: u32) -> u32 {
        self.reads.set(self.reads.get() + 1);
        assert!(offset.is_multiple_of(4));
        if self.gone.get() {
            return u32::MAX;
        }
        if let Some(lie) = self.lie.get() {
            return lie.into_bits();
        }
        let inside = &mut *self.inside.borrow_mut();
        inside.cache = inside.space.bytes();
        let word = inside.cache[offset as usize..][..4].try_into().expect("four bytes");
        u32::from_le_bytes(word)
    }

    fn write(&self, offset: u32, value: u32) {
        assert!(offset.is_multiple_of(4));
        if self.gone.get() {
            return;
        }
        if let Some(held) = &mut *self.held.borrow_mut() {
            held.push((offset, value));
            return;
        }
        let commands = {
            let inside = &mut *self.inside.borrow_mut();
            inside.cache[offset as usize..][..4].copy_from_slice(&value.to_le_bytes());
            let all = inside.cache;
            inside.space.write(0, &all).commands
        };
        for command in commands {
            self.with(|guest, inside| {
                let queue = match command.queue.direction() {
                    Direction::Tx => &mut inside.tx,
                    Direction::Rx => &mut inside.rx,
                };
                queue.command(&guest.memory, inside.now, command.word, &mut inside.wire)
            });
        }
    }
}
