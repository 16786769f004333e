//! Capability list and BAR matching, on configuration spaces written out byte by byte.

use cancelnic_core::pci::{CONFIG_LEN, PciError, Region, bar_address, find_structures, match_bar};

/// A virtio-net device as QEMU lays it out: MSI-X in BAR 1, 64-bit prefetchable BAR 4 with the structures.
fn config() -> [u8; CONFIG_LEN] {
    let mut config = [0; CONFIG_LEN];
    config[0..4].copy_from_slice(&[0xf4, 0x1a, 0x41, 0x10]);
    config[6] = 0x10;
    bar(&mut config, 1, 0xfebd_1000);
    bar(&mut config, 4, 0x0000_000c);
    bar(&mut config, 5, 0x0000_0080);
    config[0x34] = 0x98;
    config[0x98..0x9c].copy_from_slice(&[0x11, 0x84, 0, 0]); // MSI-X
    // configuration access: BAR 0, no memory behind it
    capability(&mut config, 0x84, 0x70, 5, Region { bar: 0, offset: 0, len: 0 });
    capability(&mut config, 0x70, 0x60, 2, Region { bar: 4, offset: 0x3000, len: 0x1000 });
    config[0x80] = 4;
    capability(&mut config, 0x60, 0x50, 4, Region { bar: 4, offset: 0x2000, len: 0x1000 });
    capability(&mut config, 0x50, 0x40, 3, Region { bar: 4, offset: 0x1000, len: 0x1000 });
    capability(&mut config, 0x40, 0x00, 1, Region { bar: 4, offset: 0x0000, len: 0x1000 });
    config
}

fn bar(config: &mut [u8], bar: usize, value: u32) {
    config[0x10 + 4 * bar..][..4].copy_from_slice(&value.to_le_bytes());
}

fn capability(config: &mut [u8], at: usize, next: u8, kind: u8, region: Region) {
    let Region { bar, offset, len } = region;
    config[at..at + 8].copy_from_slice(&[9, next, 16, kind, bar, 0, 0, 0]);
    config[at + 8..at + 12].copy_from_slice(&offset.to_le_bytes());
    config[at + 12..at + 16].copy_from_slice(&len.to_le_bytes());
}

#[test]
fn structures_are_found_in_any_order() {
    let found = find_structures(&config()).expect("a good device");
    assert_eq!(found.common, Region { bar: 4, offset: 0, len: 0x1000 });
    assert_eq!(found.notify, Region { bar: 4, offset: 0x3000, len: 0x1000 });
    assert_eq!(found.device, Region { bar: 4, offset: 0x2000, len: 0x1000 });
    assert_eq!(found.doorbell(1), Some(4));
}

#[test]
fn doorbell_outside_the_structure_is_refused() {
    let mut found = find_structures(&config()).expect("a good device");
    assert_eq!(found.doorbell(0x3ff), Some(0xffc));
    assert_eq!(found.doorbell(0x400), None);
    found.notify_multiplier = u32::MAX;
    assert_eq!(found.doorbell(2), None);
}

#[test]
fn first_structure_of_a_kind_wins() {
    let mut config = config();
    config[0x41] = 0xb0;
    capability(&mut config, 0xb0, 0, 1, Region { bar: 2, offset: 0x500, len: 0x38 });
    assert_eq!(find_structures(&config).expect("a good device").common.bar, 4);
}

#[test]
fn structure_in_a_reserved_bar_is_passed_over() {
    let mut config = config();
    config[0x41] = 0xb0;
    config[0x44] = 6;
    capability(&mut config, 0xb0, 0, 1, Region { bar: 2, offset: 0x500, len: 0x38 });
    assert_eq!(find_structures(&config).expect("a good device").common.bar, 2);
}

#[test]
fn missing_structure_is_named() {
    let mut config = config();
    config[0x73] = 8;
    assert_eq!(find_structures(&config), Err(PciError::Missing("notification")));
}

#[test]
fn device_configuration_without_room_for_the_cancel_block_is_refused() {
    let mut config = config();
    config[0x60 + 12..0x60 + 16].copy_from_slice(&255_u32.to_le_bytes());
    assert_eq!(find_structures(&config), Err(PciError::TooShort("device configuration", 255)));
}

#[test]
fn capability_loop_ends() {
    let mut config = config();
    config[0x41] = 0x98;
    assert_eq!(find_structures(&config), Err(PciError::BadList));
}

#[test]
fn capability_at_the_very_end_does_not_leave_the_space() {
    let mut config = config();
    config[0x41] = 0xfc;
    config[0xfc..].copy_from_slice(&[9, 0, 16, 1]);
    assert!(find_structures(&config).is_ok());
}

#[test]
fn other_devices_and_absent_ones_are_told_apart() {
    let mut other = config();
    other[2] = 0x42;
    assert_eq!(find_structures(&other), Err(PciError::WrongDevice(0x1af4, 0x1042)));
    assert_eq!(find_structures(&[0xff; CONFIG_LEN]), Err(PciError::Gone));
    let mut bare = config();
    bare[6] = 0;
    assert_eq!(find_structures(&bare), Err(PciError::BadList));
}

#[test]
fn bar_is_matched_by_address_whatever_the_order() {
    let config = config();
    let region = find_structures(&config).expect("a good device").device;
    assert_eq!(bar_address(&config, 4), Ok(0x80_0000_0000));
    let resources = [(0xfebd_1000, 0x1000), (0x80_0000_0000, 0x4000)];
    assert_eq!(match_bar(&config, region, resources.into_iter()), Ok(1));
    assert_eq!(match_bar(&config, region, resources.into_iter().rev()), Ok(0));
}

#[test]
fn resource_shorter_than_the_structure_does_not_match() {
    let config = config();
    let region = find_structures(&config).expect("a good device").device;
    let short = [(0x80_0000_0000, 0x2fff)];
    assert_eq!(match_bar(&config, region, short.into_iter()), Err(PciError::NoResource(4, 0x80_0000_0000)));
}

#[test]
fn bar_without_memory_is_refused() {
    let mut config = config();
    bar(&mut config, 0, 0x0000_c001);
    bar(&mut config, 5, 0xfe00_0004);
    assert_eq!(bar_address(&config, 0), Err(PciError::BadBar(0)), "an I/O BAR");
    assert_eq!(bar_address(&config, 2), Err(PciError::BadBar(2)), "an unassigned BAR");
    assert_eq!(bar_address(&config, 5), Err(PciError::BadBar(5)), "64 bits that do not fit");
    assert_eq!(bar_address(&config, 6), Err(PciError::BadBar(6)), "no BAR");
}
