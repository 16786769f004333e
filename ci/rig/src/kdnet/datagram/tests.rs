use super::made::{Made, poke, poke_body};
use super::*;

fn key() -> Key {
    "1.2.3.4".parse().unwrap()
}

/// Made by `openssl enc -aes-256-cbc` and Python's hmac, from key 1.z.10.3w5e11264sgsf, sequence 0x102 and the body
/// "of another make".
const OF_ANOTHER_MAKE: [u8; 54] = [
    0x4d, 0x44, 0x42, 0x47, 0x05, 0x01, 0x29, 0xc1, 0x02, 0xe3, 0x1b, 0x22, 0x15, 0xc6, 0xa3, 0x1b, 0x24,
    0xfe, 0x6e, 0x75, 0x65, 0x9c, 0x60, 0x3b, 0x4d, 0x21, 0x7c, 0xf1, 0xd5, 0x98, 0x87, 0xcf, 0x07, 0xed,
    0x52, 0x62, 0x52, 0x0c, 0x4b, 0x3b, 0xf6, 0x39, 0x31, 0x25, 0xe5, 0x19, 0x52, 0x32, 0x4b, 0x34, 0xe5,
    0xf9, 0x27, 0x66,
];

#[test]
fn a_datagram_of_another_make_opens() {
    let sealed = Sealed::parse(&OF_ANOTHER_MAKE).unwrap();
    assert_eq!((sealed.version(), sealed.channel()), (5, Channel::Control));
    let opened = sealed.open(&"1.z.10.3w5e11264sgsf".parse().unwrap()).unwrap();
    let expected = Opened { sequence: 0x102, from_debugger: false, body: b"of another make".to_vec() };
    assert_eq!(opened, expected);
}

#[test]
fn a_poke_tells_its_key_and_its_debuggers_port() {
    let datagram = poke(&key(), 7, 0x5a, 50123);
    assert_eq!(datagram.len(), 374);
    let opened = Sealed::parse(&datagram).unwrap().open(&key()).unwrap();
    assert_eq!(opened.sequence, 7);
    let mut client_key = [0x5a; 32];
    client_key[..8].copy_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]);
    let poke = opened.poke().unwrap();
    assert_eq!(poke, Poke { client_key, host_port: 50123, length: POKE_LENGTH });
    assert_eq!(poke.session(), [0x5a; 24]);
}

#[test]
fn another_key_does_not_open_it() {
    let datagram = poke(&key(), 1, 0, 0);
    for other in ["1.2.3.5", "4.3.2.1", "0.2.3.4"] {
        assert_eq!(Sealed::parse(&datagram).unwrap().open(&other.parse().unwrap()), None, "{other}");
    }
}

#[test]
fn one_changed_bit_anywhere_does_not_open_or_is_no_datagram() {
    let datagram = Made { version: 5, channel: 1, order: 0x100, body: b"body" }.seal(&key());
    for bit in 0..datagram.len() * 8 {
        let mut changed = datagram.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let opened = Sealed::parse(&changed).ok().and_then(|sealed| sealed.open(&key()));
        assert_eq!(opened, None, "bit {bit}");
    }
}

#[test]
fn a_debuggers_own_datagram_is_known_as_such() {
    let datagram = Made { version: 2, channel: 1, order: 0x980, body: &[1, 2] }.seal(&key());
    let opened = Sealed::parse(&datagram).unwrap().open(&key()).unwrap();
    assert!(opened.from_debugger);
    assert_eq!((opened.sequence, opened.poke()), (9, None));
}

#[test]
fn every_cut_of_a_poke_is_named() {
    let datagram = poke(&key(), 1, 0, 0);
    for length in 0..datagram.len() {
        let seen = Sealed::parse(&datagram[..length]);
        let expected = match length {
            0..4 => Some(Malformed::Foreign),
            4..38 => Some(Malformed::Truncated(length)),
            _ if !(length - 22).is_multiple_of(16) => Some(Malformed::PartOfBlock(length)),
            _ => None,
        };
        assert_eq!(seen.err(), expected, "{length} bytes");
        // Cut at a block, its form is right, and its tag is not.
        if let Ok(sealed) = seen {
            assert_eq!(sealed.open(&key()), None, "{length} bytes");
        }
    }
}

#[test]
fn more_pad_than_body_makes_an_empty_body() {
    let datagram = Made { version: 5, channel: 1, order: 0xf, body: &[] }.seal(&key());
    assert_eq!(Sealed::parse(&datagram).unwrap().open(&key()).unwrap().body, b"");
}

#[test]
fn a_poke_that_ends_before_its_port_is_none() {
    let body = poke_body(1, 1, 0);
    for length in [0, 1, 2, 33, 34, 87] {
        let opened = Opened { sequence: 1, from_debugger: false, body: body[..length].to_vec() };
        assert_eq!(opened.poke(), None, "{length} bytes");
    }
}
