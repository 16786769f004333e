//! What a driver imports from ntoskrnl: called by name, with the addresses that the loader writes into an image.

use super::driver::Driver;
use super::machine::{on_a_machine, stops_with};
use crate::ke::{Event, Irql, delay_us, irql, lower, now_us, raise, worker};
use crate::mm;
use crate::nt;
use crate::verifier::{output, pool};
use alloc::sync::Arc;
use core::ffi::{CStr, c_void};
use core::mem::zeroed;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::boxed::Box;
use wdk_offline::{IO_ERROR_LOG_PACKET, LARGE_INTEGER, PHYSICAL_ADDRESS, UNICODE_STRING};

/// POOL_FLAG_NON_PAGED, POOL_FLAG_PAGED, POOL_FLAG_UNINITIALIZED.
const NON_PAGED: u64 = 0x40;
const PAGED: u64 = 0x100;
const UNINITIALIZED: u64 = 2;
const TAG: u32 = u32::from_le_bytes(*b"Test");

/// A function of ntoskrnl's by its name and type.
macro_rules! imported {
    ($name:ident: fn($($type:ty),*) $(-> $result:ty)?; $($argument:expr),*) => {{
        let address = $crate::nt::resolve("ntoskrnl.exe", stringify!($name)).expect("an export");
        type Function = unsafe extern "win64" fn($($type),*) $(-> $result)?;
        // SAFETY: the export has that type; what it is given is the test's own, or is to be refused.
        unsafe { core::mem::transmute::<usize, Function>(address)($($argument),*) }
    }};
}

pub(super) use imported;

fn allocate(flags: u64, size: usize, tag: u32) -> *mut u8 {
    imported!(ExAllocatePool2: fn(u64, usize, u32) -> *mut u8; flags, size, tag)
}

fn free(block: *mut u8, tag: u32) {
    imported!(ExFreePoolWithTag: fn(*mut u8, u32); block, tag);
}

fn is_filled(block: *const u8, len: usize, with: u8) -> bool {
    // SAFETY: a block of that length.
    unsafe { core::slice::from_raw_parts(block, len) }.iter().all(|&byte| byte == with)
}

#[test]
fn a_file_is_known_in_any_case_and_what_is_not_offered_has_no_address() {
    for (file, function) in [
        ("NTOSKRNL.exe", "memcpy"),
        ("ntoskrnl.exe", "DbgPrintEx"),
        ("wdfldr.sys", "WdfVersionBind"),
        ("hal.dll", "KeStallExecutionProcessor"),
        ("ndis.sys", "NdisFRegisterFilterDriver"),
    ] {
        assert!(nt::resolve(file, function).is_some(), "{file}!{function}");
    }
    for (file, function) in
        [("ntoskrnl.exe", "MEMCPY"), ("ntoskrnl.exe", "ZwCreateFile"), ("hal.dll", "memcpy"), ("", "")]
    {
        assert_eq!(nt::resolve(file, function), None, "{file}!{function}");
    }
}

#[test]
fn pool_memory_is_zero_unless_the_driver_takes_it_as_it_is() {
    on_a_machine!(|| {
        let _driver = Driver::load("pool");
        for (flags, byte) in [(NON_PAGED, 0), (PAGED, 0), (NON_PAGED | UNINITIALIZED, 0xcd)] {
            for size in [1, 100, 4096, 10_000] {
                let block = allocate(flags, size, TAG);
                assert!(is_filled(block, size, byte), "{size} bytes, flags {flags:#x}");
                free(block, TAG);
            }
        }
    });
}

#[test]
fn a_page_or_more_of_pool_begins_a_page() {
    on_a_machine!(|| {
        let _driver = Driver::load("pool");
        for size in [4096, 4097, 20_000] {
            let block = allocate(NON_PAGED, size, TAG);
            assert!(block.addr().is_multiple_of(4096));
            free(block, TAG);
        }
    });
}

#[test]
fn pool_memory_is_the_drivers_that_called_until_it_frees_it() {
    on_a_machine!(|| {
        let driver = Driver::load("pool");
        let block = allocate(NON_PAGED, 100, TAG);
        assert_eq!(pool::report(driver.service.owner), ["100 bytes, tag Test"]);
        free(block, 0);
        assert!(pool::report(driver.service.owner).is_empty());
    });
}

#[test]
fn non_paged_pool_is_there_at_dispatch_level() {
    on_a_machine!(|| {
        let old = raise(Irql::DISPATCH);
        free(allocate(NON_PAGED, 8, TAG), TAG);
        lower(old);
    });
}

#[test]
fn paged_pool_at_dispatch_level_is_named() {
    stops_with!("IrqlTooHigh", || {
        raise(Irql::DISPATCH);
        allocate(PAGED, 8, TAG);
    });
}

#[test]
fn paged_pool_that_is_freed_at_dispatch_level_is_named() {
    stops_with!("IrqlTooHigh", || {
        let driver = Driver::load("pool");
        let block = allocate(PAGED, 8, TAG);
        assert_eq!(pool::report(driver.service.owner), ["8 bytes of paged pool, tag Test"]);
        raise(Irql::DISPATCH);
        free(block, TAG);
    });
}

#[test]
fn a_block_without_a_tag_is_named() {
    stops_with!("PoolAllocation", || {
        allocate(NON_PAGED, 8, 0);
    });
}

#[test]
fn a_block_of_no_bytes_is_named() {
    stops_with!("PoolAllocation", || {
        allocate(NON_PAGED, 0, TAG);
    });
}

#[test]
fn a_block_freed_with_another_tag_is_named() {
    stops_with!("BadPoolFree", || free(allocate(NON_PAGED, 8, TAG), TAG + 1));
}

#[test]
fn a_block_freed_twice_is_named() {
    stops_with!("BadPoolFree", || {
        let block = allocate(NON_PAGED, 8, TAG);
        free(block, TAG);
        free(block, TAG);
    });
}

#[test]
fn a_block_written_past_its_end_is_named() {
    stops_with!("BadPoolFree", || {
        let block = allocate(NON_PAGED, 8, TAG);
        // SAFETY: the guard behind the block, which is there to be written.
        unsafe { block.add(8).write(0) };
        free(block, TAG);
    });
}

#[test]
fn a_string_is_copied_as_far_as_there_is_room_and_ended_where_there_is_more() {
    let from = mm::leak_unicode("abcdef");
    for (room, copied, ended) in
        [(4_u16, "ab", false), (12, "abcdef", false), (14, "abcdef", true), (0, "", false)]
    {
        let mut units = [0x55_u16; 8];
        let mut to = UNICODE_STRING { Length: 2, MaximumLength: room, Buffer: units.as_mut_ptr() };
        imported!(RtlCopyUnicodeString: fn(*mut UNICODE_STRING, *const UNICODE_STRING); &raw mut to, &raw const from);
        let count = usize::from(to.Length) / 2;
        assert_eq!(alloc::string::String::from_utf16_lossy(&units[..count]), copied);
        assert_eq!(units[count], if ended { 0 } else { 0x55 }, "{room} bytes of room");
    }
}

#[test]
fn the_longest_string_is_not_ended_behind_its_room() {
    let from = mm::leak_unicode(&"x".repeat(0x7fff - 1));
    let from = UNICODE_STRING { Length: 0xfffe, ..from };
    let mut units = vec![0x55_u16; 0x8001];
    let mut to = UNICODE_STRING { Length: 0, MaximumLength: 0xffff, Buffer: units.as_mut_ptr() };
    imported!(RtlCopyUnicodeString: fn(*mut UNICODE_STRING, *const UNICODE_STRING); &raw mut to, &raw const from);
    assert_eq!((to.Length, units[0x7ffe], units[0x7fff]), (0xfffe, 0, 0x55));
}

#[test]
fn a_copy_of_no_string_is_empty() {
    let mut to = mm::leak_unicode("abc");
    imported!(RtlCopyUnicodeString: fn(*mut UNICODE_STRING, *const UNICODE_STRING); &raw mut to, null());
    assert_eq!(to.Length, 0);
}

#[test]
fn memory_is_moved_over_itself_in_both_directions() {
    let mut bytes = *b"abcdefgh";
    let at = bytes.as_mut_ptr();
    // SAFETY: within the eight bytes; so for all below.
    let end = unsafe { at.add(2) };
    assert_eq!(imported!(memmove: fn(*mut u8, *const u8, usize) -> *mut u8; end, at, 6), end);
    assert_eq!(&bytes, b"ababcdef");
    imported!(memcpy: fn(*mut u8, *const u8, usize) -> *mut u8; at, end, 6);
    assert_eq!(&bytes, b"abcdefef");
}

#[test]
fn memory_is_set_to_the_low_byte_and_no_further_than_its_end() {
    let mut bytes = [1_u8; 4];
    imported!(memset: fn(*mut u8, i32, usize) -> *mut u8; bytes.as_mut_ptr(), 0x1_02ff, 3);
    assert_eq!(bytes, [0xff, 0xff, 0xff, 1]);
}

#[test]
fn memory_is_compared_by_bytes_without_a_sign() {
    let compare = |left: &[u8; 2], right: &[u8; 2]| imported!(memcmp: fn(*const u8, *const u8, usize) -> i32; left.as_ptr(), right.as_ptr(), 2);
    assert!(compare(&[1, 0x80], &[1, 0x7f]) > 0);
    assert!(compare(&[1, 2], &[1, 3]) < 0);
    assert_eq!(compare(&[1, 2], &[1, 2]), 0);
}

#[test]
fn the_performance_counter_counts_at_its_frequency() {
    on_a_machine!(|| {
        let mut frequency = LARGE_INTEGER { QuadPart: 0 };
        // SAFETY: plain numbers; so for all below.
        let counter = |at| {
            let now = imported!(KeQueryPerformanceCounter: fn(*mut LARGE_INTEGER) -> LARGE_INTEGER; at);
            // SAFETY: plain numbers; so for all below.
            unsafe { now.QuadPart }
        };
        let before = counter(&raw mut frequency);
        delay_us(1_000_000);
        let passed = counter(null_mut()) - before;
        // SAFETY: as above.
        let frequency = unsafe { frequency.QuadPart };
        assert!(
            (frequency..frequency + frequency / 100).contains(&passed),
            "{passed} of {frequency} a second"
        );
    });
}

fn sleep(units: i64) -> i32 {
    let mut interval = LARGE_INTEGER { QuadPart: units };
    imported!(KeDelayExecutionThread: fn(i8, u8, *mut LARGE_INTEGER) -> i32; 0, 0, &raw mut interval)
}

#[test]
fn a_thread_sleeps_for_units_of_100_nanoseconds_and_no_shorter() {
    on_a_machine!(|| {
        for (units, us) in [(-10_000, 1000), (-10_001, 1001), (-1, 1)] {
            let before = now_us();
            assert_eq!(sleep(units), 0);
            assert!(now_us() - before >= us, "{units}");
        }
    });
}

#[test]
fn a_sleep_at_dispatch_level_is_named() {
    stops_with!("WaitAtDispatch", || {
        raise(Irql::DISPATCH);
        sleep(-10);
    });
}

#[test]
fn a_sleep_until_a_time_of_day_is_refused_by_name() {
    stops_with!("NotOffered", || {
        sleep(10);
    });
}

#[test]
fn a_stall_takes_its_time_at_any_irql() {
    on_a_machine!(|| {
        let old = raise(Irql::DISPATCH);
        let before = now_us();
        imported!(KeStallExecutionProcessor: fn(u32); 50);
        assert!(now_us() - before >= 50);
        lower(old);
    });
}

fn acquire(lock: &mut u64) -> u8 {
    imported!(KeAcquireSpinLockRaiseToDpc: fn(*mut u64) -> u8; lock)
}

fn release(lock: &mut u64, irql: u8) {
    imported!(KeReleaseSpinLock: fn(*mut u64, u8); lock, irql);
}

#[test]
fn spin_locks_raise_irql_and_the_outer_one_gives_it_back() {
    on_a_machine!(|| {
        let (mut outer, mut inner) = (0, 0);
        let first = acquire(&mut outer);
        let second = acquire(&mut inner);
        assert_eq!((first, second), (Irql::PASSIVE.number(), Irql::DISPATCH.number()));
        release(&mut inner, second);
        assert_eq!(irql(), Irql::DISPATCH);
        release(&mut outer, first);
        assert_eq!((irql(), outer, inner), (Irql::PASSIVE, 0, 0));
    });
}

#[test]
fn a_spin_lock_acquired_twice_is_named() {
    stops_with!("SpinLockAcquiredTwice", || {
        let mut lock = 0;
        acquire(&mut lock);
        acquire(&mut lock);
    });
}

#[test]
fn a_spin_lock_released_without_being_held_is_named() {
    stops_with!("SpinLockNotHeld", || {
        raise(Irql::DISPATCH);
        release(&mut 0, 0);
    });
}

#[test]
fn a_spin_lock_released_below_dispatch_level_is_named() {
    stops_with!("SpinLockNotHeld", || {
        let mut lock = 0;
        acquire(&mut lock);
        lower(Irql::PASSIVE);
        release(&mut lock, 0);
    });
}

fn log_entry(size: u8) -> *mut IO_ERROR_LOG_PACKET {
    imported!(IoAllocateErrorLogEntry: fn(usize, u8) -> *mut IO_ERROR_LOG_PACKET; 1, size)
}

#[test]
fn an_entry_for_the_event_log_has_a_packets_size_at_least_and_240_bytes_at_most() {
    on_a_machine!(|| {
        let driver = Driver::load("log");
        let least = size_of::<IO_ERROR_LOG_PACKET>() as u8;
        assert!(log_entry(least - 1).is_null() && log_entry(241).is_null());
        for size in [least, 240] {
            let entry = log_entry(size);
            assert!(is_filled(entry.cast(), size.into(), 0));
            assert_eq!(pool::report(driver.service.owner).len(), 1);
            imported!(IoWriteErrorLogEntry: fn(*mut IO_ERROR_LOG_PACKET); entry);
            assert!(pool::report(driver.service.owner).is_empty(), "it goes with its writing");
        }
    });
}

#[test]
fn an_entry_for_the_event_log_that_was_not_allocated_is_named() {
    stops_with!("BadPoolFree", || {
        // SAFETY: plain numbers.
        let mut own: IO_ERROR_LOG_PACKET = unsafe { zeroed() };
        imported!(IoWriteErrorLogEntry: fn(*mut IO_ERROR_LOG_PACKET); &raw mut own);
    });
}

const NO_CACHE: u32 = 0x204;

fn map(address: i64, size: usize, protect: u32) -> *mut c_void {
    mm::grant(alloc::vec![0xfe00_0000..0xfe00_2000]);
    let address = PHYSICAL_ADDRESS { QuadPart: address };
    imported!(MmMapIoSpaceEx: fn(PHYSICAL_ADDRESS, usize, u32) -> *mut c_void; address, size, protect)
}

fn unmap(address: *mut c_void, size: usize) {
    imported!(MmUnmapIoSpace: fn(*mut c_void, usize); address, size);
}

#[test]
fn device_memory_is_mapped_for_the_driver_that_calls_and_never_at_an_address_twice() {
    on_a_machine!(|| {
        let driver = Driver::load("mapping");
        let first = map(0xfe00_1010, 0x20, NO_CACHE);
        assert_eq!(first.addr() % 4096, 0x10, "the offset in its page stays");
        assert_eq!(mm::mapped_for(driver.service.owner), ["0x20 bytes at 0xfe001010"]);
        unmap(first, 0x20);
        assert!(mm::mapped_for(driver.service.owner).is_empty());
        assert_ne!(map(0xfe00_1010, 0x20, NO_CACHE), first);
    });
}

#[test]
fn a_mapping_beyond_the_devices_memory_is_named() {
    stops_with!("MapOfForeignMemory", || {
        map(0xfe00_1ff0, 0x20, NO_CACHE);
    });
}

#[test]
fn a_mapping_whose_end_wraps_is_named() {
    stops_with!("MapOfForeignMemory", || {
        map(0xfe00_0000, usize::MAX, NO_CACHE);
    });
}

#[test]
fn a_mapping_with_a_cache_is_named() {
    stops_with!("MapOfForeignMemory", || {
        map(0xfe00_0000, 0x20, 4);
    });
}

#[test]
fn an_unmapping_of_another_length_is_named() {
    stops_with!("BadUnmap", || unmap(map(0xfe00_0000, 0x20, NO_CACHE), 0x10));
}

fn print(text: &'static CStr, first: u64, second: u64) {
    macro_rules! variadic {
        ($($zero:literal)*) => {
            imported!(DbgPrintEx: fn(u32, u32, *const i8, u64, u64 $(, variadic!(@ $zero))*) -> u32;
                77, 0, text.as_ptr(), first, second $(, $zero)*)
        };
        (@ $zero:literal) => { u64 };
    }
    assert_eq!(variadic!(0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0), 0);
}

#[test]
fn what_a_driver_prints_last_is_kept_without_its_line_end() {
    on_a_machine!(|| {
        let old = raise(Irql::DISPATCH);
        print(c"queue %u of %s\r\n", 3, c"nic".as_ptr() as u64);
        lower(old);
        assert_eq!(output::last_debug_line(), "queue 3 of nic");
        assert_eq!(output::last_debug_line(), "queue 3 of nic", "looking does not take it");
    });
}

fn bug_check(code: u32, parameters: [u64; 4]) {
    let [p1, p2, p3, p4] = parameters;
    imported!(KeBugCheckEx: fn(u32, u64, u64, u64, u64); code, p1, p2, p3, p4);
}

#[test]
fn a_drivers_own_bug_check_is_named() {
    stops_with!("KeBugCheckEx", || bug_check(0xE2, [1, 2, 3, 4]));
}

#[test]
fn a_panic_of_a_driver_in_rust_is_named() {
    stops_with!("DriverPanicked", || {
        let _driver = Driver::load("panicking");
        let file = "driver/src/lib.rs";
        bug_check(0xDEAD_DEAD, [file.as_ptr() as u64, file.len() as u64, 7, 9]);
    });
}

#[test]
fn a_panics_code_with_no_name_of_a_file_is_a_bug_check_like_any_other() {
    stops_with!("KeBugCheckEx", || {
        let _driver = Driver::load("panicking");
        bug_check(0xDEAD_DEAD, ["x".as_ptr() as u64, 0, 7, 9]);
    });
}

#[test]
fn a_panics_name_outside_every_driver_is_not_read() {
    stops_with!("KeBugCheckEx", || bug_check(0xDEAD_DEAD, [0x10, 20, 7, 9]));
}

#[test]
fn threads_have_numbers_of_their_own() {
    on_a_machine!(|| {
        let id = || imported!(PsGetCurrentThreadId: fn() -> u64;);
        let (other, done) = (Arc::new(AtomicU64::new(0)), Arc::new(Event::auto()));
        let (slot, set) = (other.clone(), done.clone());
        worker::run(Box::new(move || {
            slot.store(id(), SeqCst);
            set.set();
        }));
        assert!(done.wait_timeout(1_000_000));
        assert_eq!(id(), id());
        assert_ne!(id(), other.load(SeqCst));
    });
}
