//! Random conversations: messages that are nearly right, in any order, with any descriptors. The seed of
//! one that goes wrong is in the failure. Under `ci/fuzz`, which gives a number in CANCELNIC_FUZZ, they are others, and more.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::process::Daemon;
use crate::raw::{Random, Raw, memfd, odd_descriptors};

/// Conversations, and messages in each.
const TALKS: u32 = 60;
const MESSAGES: usize = 60;
/// Where the guest's memory seems to lie in the front end.
const USER: u64 = 0x7f00_0000_0000;
const MEMORY: u64 = 1 << 20;

/// Descriptors to give away.
struct Given {
    memory: File,
    event: OwnedFd,
    odd: Vec<(&'static str, OwnedFd)>,
}

impl Given {
    fn any(&self, random: &mut Random) -> BorrowedFd<'_> {
        match random.below(4) {
            0 => self.memory.as_fd(),
            1 => self.odd[random.below(self.odd.len())].1.as_fd(),
            _ => self.event.as_fd(),
        }
    }
}

/// A number that means something somewhere, or nothing.
fn number(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => u64::MAX,
        1 => 1 << random.below(64),
        2 => USER + MEMORY - random.below(64) as u64,
        3..6 => USER + 16 * random.below(0x1_0000) as u64,
        _ => random.below(70) as u64,
    }
}

fn words(random: &mut Random, count: usize) -> Vec<u64> {
    (0..count).map(|_| number(random)).collect()
}

/// One message: mostly of the shape that its request has.
fn say(raw: &Raw, random: &mut Random, given: &Given) -> bool {
    let queue = random.below(2) as u64;
    let fd = given.any(random);
    let vring = |value: u64| vec![value << 32 | queue];
    let choice = match random.below(200) {
        rare @ 196.. => rare - 160,
        usual => usual % 36,
    };
    match choice {
        0..3 => raw.send(2, &[1 << 30 | 1 << 32 | (random.below(2) as u64) << 29], &[]),
        3..5 => raw.send(5, &[1, 0, MEMORY, USER, 0], &[given.memory.as_fd()]),
        5..9 => raw.send(8, &vring([64, 1, 2, 1024, 7][random.below(5)]), &[]),
        9..13 => {
            let ring = USER + 0x1000 + 0x4000 * queue + 16 * random.below(4) as u64;
            raw.send(9, &[queue, ring, ring + 0x2000, ring + 0x1000, 0], &[])
        }
        13..16 => raw.send(10, &vring(random.below(0x1_0000) as u64), &[]),
        16..19 => raw.send(11, &vring(0), &[]),
        19..24 => raw.send(12, &[queue], &[given.event.as_fd()]),
        24..27 => raw.send(13, &[queue], &[fd]),
        27..33 => raw.send(18, &vring(random.below(2) as u64), &[]),
        33..36 => {
            // SET_CONFIG: offset and size, flags and the first 4 bytes, the others
            let len = 8 * random.below(24);
            let mut body = vec![((len as u64 + 4) << 32) | (8 * random.below(8) as u64), 1];
            body.extend(words(random, len / 8));
            raw.send(25, &body, &[])
        }
        // From here on one that is likely to end the conversation.
        36 => {
            let table = words(random, 5);
            raw.send(5, &[&[1 + random.below(3) as u64], &table[..]].concat(), &[fd])
        }
        37 => raw.send(9, &[&[queue], &words(random, 4)[..]].concat(), &[]),
        38 => raw.send(12, &[queue], &[fd]),
        _ => {
            let count = random.below(6);
            raw.send(1 + random.below(45) as u32, &words(random, count), &[fd][..random.below(2)])
        }
    }
}

#[test]
fn random_conversations_are_survived() {
    let given: Option<u32> = std::env::var("CANCELNIC_FUZZ").ok().map(|seed| seed.parse().unwrap());
    let (first, talks) = given.map_or((1, TALKS), |seed| (seed.max(1), 8 * TALKS));
    let mut entered = 0;
    for seed in first..first + talks {
        let mut random = Random::new(seed);
        let event = rustix::event::eventfd(1, rustix::event::EventfdFlags::NONBLOCK).unwrap();
        let given = Given { memory: memfd(MEMORY), event, odd: odd_descriptors() };
        let mut messages = MESSAGES;
        let mut daemon = Daemon::start(&["--wire", "loopback"]);
        let raw = Raw::connect(&daemon.socket());
        eprintln!("seed {seed}");
        raw.send(2, &[1 << 30 | 1 << 32], &[]);
        raw.send(16, &[0x209], &[]);
        raw.send(5, &[1, 0, MEMORY, USER, 0], &[given.memory.as_fd()]);
        while messages > 0 && say(&raw, &mut random, &given) {
            messages -= 1;
        }
        if random.below(3) == 0 {
            given.memory.set_len(0).unwrap();
        }
        raw.finish();
        let (status, log) = daemon.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("panicked") && !daemon.socket().exists(), "{log}");
        entered += log.matches("enters service").count();
    }
    assert!(entered > talks as usize, "the conversations get nowhere: {entered} starts of a queue");
}
