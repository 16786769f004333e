//! What the judge costs: frames through a transmit queue, with it and without it.
//!
//! `cargo bench -p cancelnic-model`. The ratio at the end is of rounds that alternate in one run.

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/model/guest.rs"]
mod guest;

use std::time::{Duration, Instant};

use cancelnic_model::{Frame, Queue, Settings, Wire};
use cancelnic_registers::QueueId;
use guest::{Virtqueue, frame, settings};
use vm_memory::{GuestAddress, GuestMemoryMmap};

const RING: u16 = 256;
/// Chains of one round: a header and a frame each.
const FRAMES: u64 = 64;
const LEN: usize = 1514;
/// Rounds of each kind for the ratio.
const ROUNDS: usize = 2000;

struct Nowhere;

impl Wire for Nowhere {
    fn transmit(&mut self, _: QueueId, frame: Frame, _: Duration) -> Option<Frame> {
        Some(divan::black_box(frame))
    }
}

/// A transmit queue and its driver.
struct Nic {
    memory: GuestMemoryMmap<()>,
    queue: Queue,
    ring: Virtqueue,
    frame: Vec<u8>,
}

impl Nic {
    fn new(judged: bool) -> Nic {
        let ring = Virtqueue::new(0x1000, RING, false);
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), ring.end() as usize)]).unwrap();
        let mut queue = Queue::new(QueueId::TX0, &Settings { judged, ..settings(64) });
        queue.set_enabled(true);
        let _ = queue.enter(&memory, Duration::ZERO, &ring.rings(0));
        Nic { memory, queue, ring, frame: frame(7, LEN) }
    }

    /// The driver's part before.
    fn publish(&mut self) {
        for _ in 0..FRAMES {
            self.ring.post_out(&self.memory, &[&[0; 12], &self.frame]);
        }
    }

    /// What is measured: all that the device does for the frames of a round.
    fn work(&mut self) {
        self.queue.doorbell(&self.memory, Duration::ZERO);
        while self.queue.run(&self.memory, Duration::ZERO, &mut Nowhere).again {}
    }

    /// The driver's part afterwards.
    fn reap(&mut self) {
        let used = self.ring.reap(&self.memory);
        assert_eq!(used.len() as u64, FRAMES);
        used.iter().for_each(|(head, _)| self.ring.release(*head));
        assert_eq!(self.queue.judge().total(), 0);
    }
}

#[divan::bench(args = [false, true])]
fn transmit_64_frames(bencher: divan::Bencher<'_, '_>, judged: bool) {
    let nic = std::cell::RefCell::new(Nic::new(judged));
    bencher
        .counter(divan::counter::ItemsCount::new(FRAMES))
        .with_inputs(|| {
            let mut nic = nic.borrow_mut();
            if nic.ring.avail_idx != nic.ring.used_idx {
                nic.reap();
            }
            nic.publish();
        })
        .bench_local_values(|()| nic.borrow_mut().work());
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() {
    divan::main();
    let mut nics = [Nic::new(false), Nic::new(true)];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (nic, times) in nics.iter_mut().zip(&mut times) {
            nic.publish();
            let began = Instant::now();
            nic.work();
            times.push(began.elapsed());
            nic.reap();
        }
    }
    let [off, on] = times.map(median);
    println!(
        "judge on/off: {:.2} ({} ns and {} ns a frame of {LEN} bytes)",
        on.as_secs_f64() / off.as_secs_f64(),
        on.as_nanos() / u128::from(FRAMES),
        off.as_nanos() / u128::from(FRAMES)
    );
}
