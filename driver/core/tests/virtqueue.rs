//! The virtqueue against a device written out by hand, which may break every rule.

use std::{
    alloc::{Layout as Allocation, alloc, dealloc},
    ptr::NonNull,
};

use cancelnic_core::virtqueue::{
    Buffer, Completed, DmaMemory, Layout, NET_HEADER_LEN, Slot, Violation, Virtqueue,
};
use cancelnic_registers::Direction;

const PHYSICAL: u64 = 0x7000_0000;

/// Virtqueue memory, and the device's view of it.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
    allocation: Allocation,
}

impl Memory {
    fn new(size: u16, direction: Direction) -> Self {
        let layout = Layout::new(size, direction).expect("a good size");
        let allocation = Allocation::from_size_align(layout.bytes(), 4096).expect("a good size");
        // SAFETY: the size is not 0.
        let start = NonNull::new(unsafe { alloc(allocation) }).expect("memory");
        // SAFETY: the allocation has that many bytes.
        unsafe { start.write_bytes(0xaa, layout.bytes()) };
        Self { start, layout, allocation }
    }

    fn read<T: Copy>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= self.layout.bytes());
        // SAFETY: inside the allocation, as just checked, and aligned as virtio lays it out.
        unsafe { self.start.add(offset).cast::<T>().read_volatile() }
    }

    fn write<T>(&self, offset: usize, value: T) {
        assert!(offset + size_of::<T>() <= self.layout.bytes());
        // SAFETY: as in `read`.
        unsafe { self.start.add(offset).cast::<T>().write_volatile(value) };
    }

    fn available_index(&self) -> u16 {
        self.read(self.layout.available() + 2)
    }

    fn available(&self, n: u16) -> u16 {
        self.read(self.layout.available() + 4 + 2 * usize::from(n % self.layout.size()))
    }

    fn used_event(&self) -> u16 {
        self.read(self.layout.available() + 4 + 2 * usize::from(self.layout.size()))
    }

    fn use_chain(&self, n: u16, id: u32, len: u32) {
        let at = self.layout.used() + 4 + 8 * usize::from(n % self.layout.size());
        self.write(at, id);
        self.write(at + 4, len);
        self.write(self.layout.used() + 2, n.wrapping_add(1));
    }

    fn set_available_event(&self, index: u16) {
        self.write(self.layout.used() + 4 + 8 * usize::from(self.layout.size()), index);
    }

    /// (address, len, flags) of each descriptor of a chain.
    fn chain(&self, head: u16) -> Vec<(u64, u32, u16)> {
        let mut found = vec![];
        let mut at = head;
        loop {
            assert!(found.len() < usize::from(self.layout.size()), "a loop");
            let base = 16 * usize::from(at);
            let flags: u16 = self.read(base + 12);
            found.push((self.read(base), self.read(base + 8), flags));
            if flags & 1 == 0 {
                return found;
            }
            at = self.read(base + 14);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout.
        unsafe { dealloc(self.start.as_ptr(), self.allocation) };
    }
}

fn queue<'m>(memory: &Memory, slots: &'m mut [Slot], direction: Direction, event_idx: bool) -> Virtqueue<'m> {
    // SAFETY: the allocation outlives the queue in every test and only `Memory` plays the device.
    unsafe {
        let dma = DmaMemory::new(memory.start, PHYSICAL, memory.layout.bytes());
        Virtqueue::new(dma, memory.layout, slots, direction, event_idx).expect("memory and slots fit")
    }
}

fn buffers(count: u16) -> impl Iterator<Item = Buffer> {
    (0..count).map(|n| Buffer { address: 0x1000 * (u64::from(n) + 1), len: 100 + u32::from(n) })
}

fn post(queue: &mut Virtqueue<'_>, token: u32, count: u16) -> bool {
    queue.post(token, buffers(count), count)
}

#[test]
fn parts_are_aligned_and_do_not_overlap() {
    for size in (1..=15).map(|bit| 1_u16 << bit) {
        for direction in [Direction::Tx, Direction::Rx] {
            let layout = Layout::new(size, direction).expect("a power of two");
            let n = usize::from(size);
            assert_eq!(layout.available(), 16 * n);
            assert!(layout.used() >= 16 * n + 6 + 2 * n && layout.used().is_multiple_of(4));
            let headers = if direction == Direction::Rx { n } else { 1 };
            assert!(layout.bytes() >= layout.used() + 6 + 8 * n + headers * NET_HEADER_LEN as usize);
        }
    }
    for size in [0, 1, 3, 100, 0xffff] {
        assert_eq!(Layout::new(size, Direction::Tx), None);
    }
}

#[test]
fn memory_that_does_not_fit_is_refused() {
    let memory = Memory::new(4, Direction::Tx);
    let bytes = memory.layout.bytes();
    let fits = |physical, len, slots, shift| {
        // SAFETY: the queue is dropped at once, or never made.
        unsafe {
            let dma = DmaMemory::new(memory.start.add(shift), physical, len);
            let mut slots = slots_of(slots);
            Virtqueue::new(dma, memory.layout, &mut slots, Direction::Tx, false).is_some()
        }
    };
    assert!(fits(PHYSICAL, bytes, 4, 0));
    assert!(!fits(PHYSICAL, bytes - 1, 4, 0), "too short");
    assert!(!fits(PHYSICAL + 8, bytes, 4, 0), "misaligned for the device");
    assert!(!fits(PHYSICAL, bytes, 4, 8), "misaligned for the processor");
    assert!(!fits(PHYSICAL, bytes, 3, 0), "too few slots");
}

fn slots_of(count: usize) -> Vec<Slot> {
    vec![Slot::default(); count]
}

#[test]
fn transmit_chain_begins_with_the_shared_header_of_zeros() {
    let memory = Memory::new(8, Direction::Tx);
    let mut slots = slots_of(8);
    let mut queue = queue(&memory, &mut slots, Direction::Tx, false);
    assert!(post(&mut queue, 1, 2) && post(&mut queue, 2, 1));
    assert_eq!(memory.available_index(), 0, "not yet published");
    assert!(queue.publish());
    assert_eq!(memory.available_index(), 2);
    let first = memory.chain(memory.available(0));
    let second = memory.chain(memory.available(1));
    assert_eq!(first[1..], [(0x1000, 100, 1), (0x2000, 101, 0)]);
    assert_eq!(first[0], second[0], "the same header");
    let (header, len, flags) = first[0];
    assert_eq!((len, flags), (NET_HEADER_LEN, 1));
    assert_eq!(memory.read::<[u8; 12]>((header - PHYSICAL) as usize), [0; 12]);
}

#[test]
fn receive_chains_are_writable_and_have_a_header_each() {
    let memory = Memory::new(8, Direction::Rx);
    let mut slots = slots_of(8);
    let mut queue = queue(&memory, &mut slots, Direction::Rx, false);
    assert!((0..4).all(|token| post(&mut queue, token, 1)));
    assert!(!post(&mut queue, 4, 1), "full");
    assert!(queue.publish());
    let mut headers: Vec<_> = (0..4)
        .map(|n| memory.chain(memory.available(n)))
        .map(|chain| {
            assert_eq!((chain[0].2, chain[1].2), (3, 2));
            chain[0].0
        })
        .collect();
    headers.sort_unstable();
    assert!(headers.windows(2).all(|pair| pair[1] - pair[0] >= u64::from(NET_HEADER_LEN)));
    assert!(headers[3] + 12 <= PHYSICAL + memory.layout.bytes() as u64);
}

#[test]
fn chain_too_long_for_what_is_free_changes_nothing() {
    let memory = Memory::new(4, Direction::Tx);
    let mut slots = slots_of(4);
    let mut queue = queue(&memory, &mut slots, Direction::Tx, false);
    assert!(!post(&mut queue, 0, 4));
    assert!(!post(&mut queue, 0, u16::MAX));
    assert_eq!((queue.free_descriptors(), queue.outstanding()), (4, 0));
    assert!(post(&mut queue, 0, 3));
    assert_eq!(queue.free_descriptors(), 0);
    assert!(!post(&mut queue, 1, 0));
}

#[test]
fn fewer_buffers_than_said_end_the_chain_where_they_end() {
    let memory = Memory::new(8, Direction::Tx);
    let mut slots = slots_of(8);
    let mut queue = queue(&memory, &mut slots, Direction::Tx, false);
    assert!(queue.post(0, buffers(1), 5));
    assert!(queue.publish());
    assert_eq!(memory.chain(memory.available(0)).len(), 2);
    assert_eq!(queue.free_descriptors(), 6);
    memory.use_chain(0, memory.available(0).into(), 0);
    assert_eq!(queue.poll(), Ok(()));
    assert_eq!(queue.pop(), Some(Completed { token: 0, len: 0 }));
    assert_eq!(queue.free_descriptors(), 8);
}

#[test]
fn completions_come_out_in_the_order_of_posting() {
    let memory = Memory::new(8, Direction::Tx);
    let mut slots = slots_of(8);
    let mut queue = queue(&memory, &mut slots, Direction::Tx, false);
    assert!((0..3).all(|token| post(&mut queue, token, 1)) && queue.publish());
    for (n, chain) in [(0, 2), (1, 0), (2, 1)] {
        memory.use_chain(n, memory.available(chain).into(), 10 + u32::from(chain));
        assert_eq!(queue.poll(), Ok(()));
        if n == 0 {
            assert_eq!((queue.pop(), queue.oldest()), (None, Some(0)), "the oldest is not used yet");
        }
    }
    let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(popped, [0, 1, 2].map(|token| Completed { token, len: 10 + token }));
    assert_eq!((queue.outstanding(), queue.free_descriptors()), (0, 8));
}

#[test]
fn indices_wrap_around_sixteen_bits() {
    let memory = Memory::new(4, Direction::Tx);
    let mut slots = slots_of(4);
    let mut queue = queue(&memory, &mut slots, Direction::Tx, true);
    for token in 0..200_000_u32 {
        let n = token as u16;
        memory.set_available_event(n);
        assert!(post(&mut queue, token, 1 + (token % 3) as u16));
        assert!(queue.publish(), "the device waits for index {n}");
        memory.use_chain(n, memory.available(n).into(), token);
        assert!(queue.has_news());
        assert_eq!(queue.poll(), Ok(()));
        assert_eq!(queue.pop(), Some(Completed { token, len: token }));
        assert_eq!(queue.free_descriptors(), 4);
    }
}

#[test]
fn doorbell_is_rung_only_when_the_device_waits_for_it() {
    let memory = Memory::new(8, Direction::Tx);
    let mut slots = slots_of(8);
    let mut queue = queue(&memory, &mut slots, Direction::Tx, true);
    assert!(!queue.publish(), "nothing to tell");
    memory.set_available_event(1);
    assert!(post(&mut queue, 0, 1) && !queue.publish(), "it waits for the second");
    assert!(post(&mut queue, 1, 1) && queue.publish());
    assert!(post(&mut queue, 2, 1) && !queue.publish(), "it has been told");
}

#[test]
fn doorbell_without_event_indices_follows_the_flag() {
    let memory = Memory::new(8, Direction::Tx);
    let mut slots = slots_of(8);
    let mut queue = queue(&memory, &mut slots, Direction::Tx, false);
    memory.write(memory.layout.used(), 1_u16);
    assert!(post(&mut queue, 0, 1) && !queue.publish());
    memory.write(memory.layout.used(), 0_u16);
    assert!(post(&mut queue, 1, 1) && queue.publish());
}

#[test]
fn arming_asks_for_the_next_element_and_sees_one_that_is_there() {
    let memory = Memory::new(8, Direction::Tx);
    let mut slots = slots_of(8);
    let mut queue = queue(&memory, &mut slots, Direction::Tx, true);
    assert!((0..2).all(|token| post(&mut queue, token, 1)) && queue.publish());
    assert!(!queue.enable_interrupt());
    memory.use_chain(0, memory.available(0).into(), 0);
    assert!(queue.enable_interrupt(), "used before it was armed");
    assert_eq!(queue.poll(), Ok(()));
    assert!(!queue.enable_interrupt());
    assert_eq!(memory.used_event(), 1);
}

/// A device that breaks a rule once, and what must hold ever after.
fn broken_by(break_it: impl Fn(&Memory), violation: Violation) {
    let memory = Memory::new(8, Direction::Rx);
    let mut slots = slots_of(8);
    let mut queue = queue(&memory, &mut slots, Direction::Rx, false);
    assert!((0..3).all(|token| post(&mut queue, token, 1)) && queue.publish());
    memory.use_chain(0, memory.available(0).into(), 100);
    break_it(&memory);
    assert_eq!(queue.poll(), Err(violation));
    assert_eq!(queue.poll(), Err(violation), "said again at every call");
    assert_eq!(queue.violation(), Some(violation));
    assert!(!post(&mut queue, 9, 1), "out of service");
    assert!(queue.outstanding() <= 3 && queue.free_descriptors() <= 8);
}

#[test]
fn used_id_beyond_the_queue_breaks_it() {
    broken_by(|memory| memory.use_chain(1, 8, 0), Violation::IdOutOfRange(8));
    broken_by(|memory| memory.use_chain(1, 0x1_0000, 0), Violation::IdOutOfRange(0x1_0000));
    broken_by(|memory| memory.use_chain(1, u32::MAX, 0), Violation::IdOutOfRange(u32::MAX));
}

#[test]
fn used_id_that_is_not_outstanding_breaks_it() {
    let twice = Memory::available as fn(&Memory, u16) -> u16;
    broken_by(|memory| memory.use_chain(1, twice(memory, 0).into(), 0), Violation::IdNotOutstanding(0));
    // the second descriptor of the first chain is no head
    broken_by(|memory| memory.use_chain(1, 1, 0), Violation::IdNotOutstanding(1));
    broken_by(|memory| memory.use_chain(1, 7, 0), Violation::IdNotOutstanding(7));
}

#[test]
fn used_index_that_runs_ahead_breaks_it() {
    broken_by(|memory| memory.write(memory.layout.used() + 2, 4_u16), Violation::UsedIndexAhead(4));
    broken_by(|memory| memory.write(memory.layout.used() + 2, u16::MAX), Violation::UsedIndexAhead(u16::MAX));
}

#[test]
fn unpublished_chain_is_not_the_devices_to_use() {
    let memory = Memory::new(8, Direction::Tx);
    let mut slots = slots_of(8);
    let mut queue = queue(&memory, &mut slots, Direction::Tx, false);
    assert!(post(&mut queue, 0, 1));
    memory.use_chain(0, 0, 0);
    assert_eq!(queue.poll(), Err(Violation::UsedIndexAhead(1)));
}
