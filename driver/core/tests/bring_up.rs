//! Transport and identity, against a common configuration that keeps a log of every access.

use std::cell::RefCell;

use cancelnic_core::{
    Mmio, Registers,
    features::{self, Features, KNOWN, NET_F_MAC, NET_F_MTU, NET_F_SPEED_DUPLEX, NET_F_STATUS, VERSION_1},
    identity::{Identity, Link, Refusal, examine},
    transport::{self, RESET_LOOKS, Reset, TransportError},
};
use cancelnic_registers::{Caps, Revision};

/// A common configuration; `None` for a device that is gone.
struct Common(RefCell<Option<State>>);

#[derive(Default)]
struct State {
    offered: u64,
    accepted: u64,
    /// Bits that the device takes back out of device_status.
    refuses: u8,
    /// device_status after a reset reads not 0 for this many looks.
    slow_reset: u32,
    queues: u16,
    size: u16,
    vectors: bool,
    status: u8,
    select: [u32; 2],
    written: Vec<(u32, u32)>,
}

impl Common {
    fn good() -> State {
        State {
            offered: VERSION_1 | NET_F_MAC | 1 << 28 | 1,
            queues: 2,
            size: 1024,
            vectors: true,
            status: 0xf,
            ..State::default()
        }
    }

    fn new(state: State) -> Self {
        Self(RefCell::new(Some(state)))
    }

    fn gone() -> Self {
        Self(RefCell::new(None))
    }

    fn written(&self) -> Vec<(u32, u32)> {
        self.0.borrow().as_ref().map(|state| state.written.clone()).unwrap_or_default()
    }

    fn read(&self, offset: u32) -> u32 {
        let mut state = self.0.borrow_mut();
        let Some(state) = state.as_mut() else { return u32::MAX };
        let last =
            |at: u32| state.written.iter().rev().find(|(to, _)| *to == at).map_or(0, |(_, value)| *value);
        match offset {
            0x04 => (state.offered >> (32 * state.select[0])) as u32,
            0x10 | 0x1a => {
                if state.vectors {
                    last(offset)
                } else {
                    0xffff
                }
            }
            0x12 => u32::from(state.queues),
            0x14 if state.status == 0 && state.slow_reset > 0 => {
                state.slow_reset -= 1;
                1
            }
            0x14 => u32::from(state.status),
            0x18 if last(0x16) >= u32::from(state.queues) => 0,
            0x18 => u32::from(state.size),
            0x1e => last(0x16),
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write(&self, offset: u32, value: u32) {
        let mut state = self.0.borrow_mut();
        let Some(state) = state.as_mut() else { return };
        state.written.push((offset, value));
        match offset {
            0x00 => state.select[0] = value,
            0x08 => state.select[1] = value,
            0x0c => state.accepted |= u64::from(value) << (32 * state.select[1]),
            0x14 => state.status = value as u8 & !state.refuses,
            0x18 => state.size = state.size.min(value as u16),
            0x10 | 0x16 | 0x1a | 0x1c | 0x20..=0x34 => {}
            _ => panic!("write to {offset:#x}"),
        }
    }
}

/// Each width only where virtio has fields of it.
impl Mmio for Common {
    fn read8(&self, offset: u32) -> u8 {
        assert!([0x14, 0x15].contains(&offset));
        self.read(offset) as u8
    }
    fn read16(&self, offset: u32) -> u16 {
        assert!((0x10..0x14).contains(&offset) || (0x16..0x20).contains(&offset));
        self.read(offset) as u16
    }
    fn read32(&self, offset: u32) -> u32 {
        assert!(!(0x10..0x20).contains(&offset));
        self.read(offset)
    }
    fn write8(&self, offset: u32, value: u8) {
        assert_eq!(offset, 0x14);
        self.write(offset, value.into());
    }
    fn write16(&self, offset: u32, value: u16) {
        assert!((0x10..0x14).contains(&offset) || (0x16..0x20).contains(&offset));
        self.write(offset, value.into());
    }
    fn write32(&self, offset: u32, value: u32) {
        assert!(!(0x10..0x20).contains(&offset));
        self.write(offset, value);
    }
}

#[test]
fn features_are_agreed_on_before_anything_else() {
    let common = Common::new(Common::good());
    let features = transport::begin(&common, || {}).expect("a good device");
    assert_eq!(features.bits(), VERSION_1 | NET_F_MAC, "neither checksum offload nor INDIRECT_DESC");
    let status: Vec<u32> = common.written().iter().filter(|(at, _)| *at == 0x14).map(|(_, to)| *to).collect();
    assert_eq!(status, [0, 1, 3, 11]);
    assert_eq!(common.0.borrow().as_ref().map(|state| state.accepted), Some(features.bits()));
}

#[test]
fn queue_is_enabled_last_and_with_the_shared_vector() {
    let common = Common::new(Common::good());
    assert_eq!(transport::queue_capacity(&common, 1), Ok(1024));
    let notify_off = transport::enable_queue(&common, 1, 256, [0x1_0000_1000, 0x2000, 0x3000]);
    assert_eq!(notify_off, Ok(1));
    let written = common.written();
    assert_eq!(written.last(), Some(&(0x1c, 1)));
    for write in
        [(0x16, 1), (0x18, 256), (0x1a, 0), (0x20, 0x1000), (0x24, 1), (0x28, 0x2000), (0x30, 0x3000)]
    {
        assert!(written.contains(&write), "{write:x?}");
    }
}

#[test]
fn queue_size_that_is_no_power_of_two_is_rounded_down() {
    let common = Common::new(State { size: 1000, ..Common::good() });
    assert_eq!(transport::queue_capacity(&common, 0), Ok(512));
}

#[test]
fn each_obstacle_has_its_own_error() {
    let begin = |state| transport::begin(&Common::new(state), || {});
    let good = Common::good;
    assert_eq!(begin(State { offered: 1, ..good() }), Err(TransportError::NotModern(1)));
    let rejects = State { refuses: 8, ..good() };
    assert_eq!(begin(rejects), Err(TransportError::FeaturesRejected(VERSION_1 | NET_F_MAC)));
    assert_eq!(begin(State { queues: 1, ..good() }), Err(TransportError::TooFewQueues(1)));
    assert_eq!(begin(State { slow_reset: u32::MAX, ..good() }), Err(TransportError::NoReset));
    assert_eq!(transport::begin(&Common::gone(), || {}), Err(TransportError::Gone));
    let no_vectors = Common::new(State { vectors: false, ..good() });
    assert_eq!(transport::set_config_vector(&no_vectors), Err(TransportError::NoVector(None)));
    assert_eq!(transport::enable_queue(&no_vectors, 0, 64, [0; 3]), Err(TransportError::NoVector(Some(0))));
    let common = Common::new(good());
    assert_eq!(transport::queue_capacity(&common, 2), Err(TransportError::NoQueue(2)));
    assert_eq!(transport::enable_queue(&common, 0, 2048, [0; 3]), Err(TransportError::QueueSize(0, 2048)));
    assert_eq!(common.written().last(), Some(&(0x14, 0x8f)), "FAILED is set");
}

#[test]
fn reset_waits_until_it_is_answered() {
    let common = Common::new(State { slow_reset: 3, ..Common::good() });
    let mut pauses = 0;
    assert_eq!(transport::reset(&common, || pauses += 1), Reset::Done);
    assert_eq!(pauses, 3);
}

#[test]
fn reset_of_a_device_that_is_gone_is_quiet() {
    let reset = transport::reset(&Common::gone(), || panic!("nothing to wait for"));
    assert_eq!(reset, Reset::Gone);
    assert!(reset.is_quiet());
}

#[test]
fn reset_without_an_answer_is_bounded_and_not_quiet() {
    let common = Common::new(State { slow_reset: u32::MAX, ..Common::good() });
    let mut pauses = 0;
    let reset = transport::reset(&common, || pauses += 1);
    assert_eq!((reset, reset.is_quiet(), pauses), (Reset::Unanswered, false, RESET_LOOKS));
}

/// A configuration space, in words.
struct Space([u32; 64]);

impl Registers for Space {
    fn read(&self, offset: u32) -> u32 {
        assert!(offset.is_multiple_of(4));
        self.0[offset as usize / 4]
    }
    fn write(&self, _: u32, _: u32) {
        panic!("identification writes nothing")
    }
}

fn space() -> Space {
    let mut words = [0; 64];
    words[0] = u32::from_le_bytes([0x02, 0xca, 0xce, 0x11]);
    words[1] = u32::from_le_bytes([0x22, 0x33, 1, 0]);
    words[2] = 9000 << 16 | 1;
    words[3] = 10_000;
    words[4] = 1;
    words[16] = 0x434e_4943;
    words[17] = 0x0001_0000;
    words[18] = 7;
    Space(words)
}

fn all() -> Features {
    Features::choose(KNOWN).expect("VERSION_1 is among them")
}

#[test]
fn everything_that_the_device_tells_is_believed() {
    let identity = Identity {
        caps: Caps::ALL,
        mac: Some([0x02, 0xca, 0xce, 0x11, 0x22, 0x33]),
        mtu: 9000,
        link: Link { up: true, speed: Some(10_000_000_000), full_duplex: true },
    };
    assert_eq!(examine(&space(), all()), Ok(identity));
}

#[test]
fn fields_without_their_feature_are_not_read() {
    let mut space = space();
    space.0[1] &= 0xffff;
    let features = Features::choose(VERSION_1).expect("VERSION_1");
    let identity = examine(&space, features).expect("a good device");
    assert_eq!((identity.mac, identity.mtu, identity.link.up), (None, 1500, true));
    assert_eq!((identity.link.speed, identity.link.full_duplex), (None, false));
    assert_eq!(features.bits() & (NET_F_MTU | NET_F_STATUS | NET_F_SPEED_DUPLEX), 0);
}

#[test]
fn link_down_and_unknown_speed_are_told() {
    let mut space = space();
    space.0[1] &= 0xffff;
    space.0[3] = u32::MAX;
    space.0[4] = 0xff;
    let identity = examine(&space, all()).expect("a good device");
    assert_eq!(identity.link, Link { up: false, speed: None, full_duplex: false });
}

#[test]
fn a_device_that_is_gone_tells_no_link() {
    assert_eq!(Link::read(&Space([u32::MAX; 64]), all()), None);
}

#[test]
fn devices_that_cannot_be_driven_are_refused_with_the_reason() {
    let with = |at: usize, word: u32| {
        let mut space = space();
        space.0[at] = word;
        examine(&space, all())
    };
    assert_eq!(with(16, 0), Err(Refusal::NoCancelBlock(0)));
    assert_eq!(
        with(17, 0x0002_0001),
        Err(Refusal::UnknownRevision(Revision::new().with_major(2).with_minor(1)))
    );
    assert_eq!(with(18, 0b101), Err(Refusal::NoRxCancel));
    assert_eq!(examine(&Space([u32::MAX; 64]), all()), Err(Refusal::Gone));
    assert!(Refusal::NoRxCancel.to_string().contains("RX_CANCEL"));
    assert!(with(17, 0x0001_0007).is_ok(), "a newer minor is compatible");
    let no_tx_cancel = with(18, 0b110).expect("transmit just drains then");
    assert!(!no_tx_cancel.caps.tx_cancel());
}

#[test]
fn indirect_descriptors_and_offloads_are_never_accepted() {
    let features = Features::choose(u64::MAX).expect("VERSION_1 is offered");
    assert_eq!(features.bits(), KNOWN);
    assert!(!features.has(1 << 28) && !features.has(1 << 0) && features.has(features::RING_EVENT_IDX));
    assert_eq!(Features::choose(!VERSION_1), None);
}
