//! More of what a driver imports from ntoskrnl: pool by type, MDLs, work items, strings, the registry, spin locks.

use super::driver::Driver;
use super::machine::{on_a_machine, stops_with};
use super::ntoskrnl::imported;
use crate::ke::{Irql, delay_us, irql, lower, raise};
use crate::mm;
use crate::nt;
use crate::verifier::pool;
use alloc::string::String;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use ndis_sys::MDL;
use std::vec::Vec;
use wdk_offline::{LIST_ENTRY, NTSTATUS, PHYSICAL_ADDRESS, UNICODE_STRING};

const TAG: u32 = u32::from_le_bytes(*b"Test");

#[test]
fn pool_by_type_is_the_drivers_and_is_not_zeroed() {
    on_a_machine!(|| {
        let driver = Driver::load("pool");
        let block = imported!(ExAllocatePoolWithTag: fn(u32, usize, u32) -> *mut u8; 512, 8, TAG);
        // SAFETY: the block's first byte.
        assert_ne!(unsafe { *block }, 0);
        assert_eq!(pool::report(driver.service.owner), ["8 bytes, tag Test"]);
        imported!(ExFreePool: fn(*mut u8); block);
        let block = imported!(ExAllocatePool: fn(u32, usize) -> *mut u8; 0, 8);
        assert_eq!(pool::report(driver.service.owner), ["8 bytes, tag None"]);
        imported!(ExFreePoolWithTag: fn(*mut u8, u32); block, 0);
    });
}

#[test]
fn paged_pool_by_type_at_dispatch_level_is_named() {
    stops_with!("IrqlTooHigh", || {
        raise(Irql::DISPATCH);
        imported!(ExAllocatePoolWithTag: fn(u32, usize, u32) -> *mut u8; 1, 8, TAG);
    });
}

#[test]
fn device_memory_that_is_mapped_by_cache_type_is_the_drivers() {
    on_a_machine!(|| {
        let driver = Driver::load("mapping");
        mm::grant(alloc::vec![0xfe00_0000..0xfe00_2000]);
        let at = PHYSICAL_ADDRESS { QuadPart: 0xfe00_0000 };
        let mapped = imported!(MmMapIoSpace: fn(PHYSICAL_ADDRESS, usize, u32) -> *mut u8; at, 0x20, 0);
        assert_eq!(mm::mapped_for(driver.service.owner), ["0x20 bytes at 0xfe000000"]);
        imported!(MmUnmapIoSpace: fn(*mut u8, usize); mapped, 0x20);
    });
}

fn allocate_mdl(address: *mut u8, len: u32) -> *mut MDL {
    imported!(IoAllocateMdl: fn(*mut u8, u32, u8, u8, *mut u8) -> *mut MDL; address, len, 0, 0, null_mut())
}

fn free_mdl(mdl: *mut MDL) {
    imported!(IoFreeMdl: fn(*mut MDL); mdl);
}

fn system_address(mdl: *mut MDL) -> *mut u8 {
    imported!(MmMapLockedPagesSpecifyCache: fn(*mut MDL, i8, u32, *mut u8, u32, u32) -> *mut u8; mdl, 0, 1, null_mut(), 0, 16)
}

#[test]
fn an_mdl_describes_its_memory_once_it_is_built() {
    on_a_machine!(|| {
        let driver = Driver::load("mdl");
        let mut bytes = std::vec![0_u8; 10_000];
        let (start, len) = (bytes.as_mut_ptr(), bytes.len() as u32);
        let mdl = allocate_mdl(start, len);
        // SAFETY: the driver's MDL.
        let (described, pages) = unsafe {
            (
                (*mdl).StartVa as usize + (*mdl).ByteOffset as usize,
                ((*mdl).Size as usize - size_of::<MDL>()) / 8,
            )
        };
        assert_eq!((described, pages), (start.addr(), (start.addr() % 4096 + 10_000).div_ceil(4096)));
        imported!(MmBuildMdlForNonPagedPool: fn(*mut MDL); mdl);
        assert_eq!(system_address(mdl), start);
        let part = allocate_mdl(start, 100);
        // SAFETY: within the memory.
        let middle = unsafe { start.add(5_000) };
        imported!(IoBuildPartialMdl: fn(*mut MDL, *mut MDL, *mut u8, u32); mdl, part, middle, 50);
        // SAFETY: the driver's MDL.
        assert_eq!((system_address(part), unsafe { (*part).ByteCount }), (middle, 50));
        assert_eq!(pool::report(driver.service.owner).len(), 2);
        free_mdl(part);
        free_mdl(mdl);
        assert!(pool::report(driver.service.owner).is_empty());
    });
}

#[test]
fn an_mdl_that_was_not_built_has_no_address() {
    stops_with!("MdlNotLocked", || {
        let mut bytes = [0; 8];
        system_address(allocate_mdl(bytes.as_mut_ptr(), 8));
    });
}

#[test]
fn a_part_outside_its_mdl_is_named() {
    stops_with!("MdlPartOutside", || {
        let mut bytes = [0; 8];
        let mdl = allocate_mdl(bytes.as_mut_ptr(), 8);
        imported!(MmBuildMdlForNonPagedPool: fn(*mut MDL); mdl);
        let part = allocate_mdl(bytes.as_mut_ptr(), 8);
        imported!(IoBuildPartialMdl: fn(*mut MDL, *mut MDL, *mut u8, u32); mdl, part, bytes.as_mut_ptr(), 9);
    });
}

#[test]
fn an_mdl_freed_twice_is_named() {
    stops_with!("BadPoolFree", || {
        let mut bytes = [0; 8];
        let mdl = allocate_mdl(bytes.as_mut_ptr(), 8);
        free_mdl(mdl);
        free_mdl(mdl);
    });
}

static RAN: AtomicU32 = AtomicU32::new(0);
static GOT: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

type Routine = unsafe extern "win64" fn(u64, u64, u64);

unsafe extern "win64" fn work(device: u64, context: u64, item: u64) {
    assert_eq!(irql(), Irql::PASSIVE);
    delay_us(100);
    for (slot, value) in GOT.iter().zip([device, context, item]) {
        slot.store(value, SeqCst);
    }
    RAN.fetch_add(1, SeqCst);
}

fn allocate_item(device: u64) -> u64 {
    imported!(IoAllocateWorkItem: fn(u64) -> u64; device)
}

fn queue_item(item: u64, context: u64) {
    imported!(IoQueueWorkItemEx: fn(u64, Routine, i32, u64); item, work, 1, context);
}

#[test]
fn a_work_items_routine_runs_at_passive_level_with_device_context_and_item() {
    on_a_machine!(|| {
        let driver = Driver::load("work");
        let device = driver.object() as u64;
        let item = allocate_item(device);
        let old = raise(Irql::DISPATCH);
        queue_item(item, 7);
        lower(old);
        delay_us(1_000);
        assert_eq!((RAN.load(SeqCst), GOT.each_ref().map(|slot| slot.load(SeqCst))), (1, [device, 7, item]));
        queue_item(item, 8);
        delay_us(1_000);
        assert_eq!(RAN.load(SeqCst), 2);
        imported!(IoFreeWorkItem: fn(u64); item);
        driver.unload();
    });
}

#[test]
fn an_unload_waits_for_work_that_still_runs() {
    on_a_machine!(|| {
        let driver = Driver::load("work");
        let item = allocate_item(driver.object() as u64);
        let mut own = [0, 0, work as Routine as usize as u64, 5_u64];
        queue_item(item, 7);
        imported!(ExQueueWorkItem: fn(*mut u64, i32); own.as_mut_ptr(), 1);
        delay_us(1);
        imported!(IoFreeWorkItem: fn(u64); item);
        driver.unload();
        assert_eq!(RAN.load(SeqCst), 2);
    });
}

#[test]
fn a_work_item_that_is_queued_is_not_queued_again() {
    stops_with!("WorkItemInUse", || {
        let item = allocate_item(1);
        raise(Irql::DISPATCH);
        queue_item(item, 0);
        queue_item(item, 0);
    });
}

#[test]
fn a_work_item_that_is_queued_is_not_freed() {
    stops_with!("WorkItemInUse", || {
        let item = allocate_item(1);
        raise(Irql::DISPATCH);
        queue_item(item, 0);
        imported!(IoFreeWorkItem: fn(u64); item);
    });
}

#[test]
fn a_work_item_that_is_not_freed_is_named_at_unload() {
    stops_with!("PoolLeaked", || {
        let driver = Driver::load("work");
        allocate_item(1);
        driver.unload();
    });
}

fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

fn text(string: &UNICODE_STRING) -> String {
    // SAFETY: Length bytes are there.
    let units = unsafe { core::slice::from_raw_parts(string.Buffer, usize::from(string.Length) / 2) };
    String::from_utf16_lossy(units)
}

const EMPTY: UNICODE_STRING = UNICODE_STRING { Length: 9, MaximumLength: 9, Buffer: null_mut() };

#[test]
fn a_counted_string_is_as_long_as_the_text_it_is_made_from() {
    let units = wide("abc");
    let mut string = EMPTY;
    imported!(RtlInitUnicodeString: fn(*mut UNICODE_STRING, *const u16); &raw mut string, units.as_ptr());
    assert_eq!((string.Length, string.MaximumLength, text(&string).as_str()), (6, 8, "abc"));
    imported!(RtlInitUnicodeString: fn(*mut UNICODE_STRING, *const u16); &raw mut string, null());
    assert_eq!((string.Length, string.MaximumLength, string.Buffer.is_null()), (0, 0, true));
}

#[test]
fn strings_are_compared_with_and_without_their_case() {
    on_a_machine!(|| {
        let [small, large, longer] = ["abc", "ABC", "abcd"].map(mm::leak_unicode);
        let compare = |left: &UNICODE_STRING, right: &UNICODE_STRING, insensitive| {
            imported!(RtlCompareUnicodeString: fn(*const UNICODE_STRING, *const UNICODE_STRING, u8) -> i32;
                left, right, insensitive)
        };
        assert_eq!(compare(&small, &large, 1), 0);
        assert!(compare(&small, &large, 0) > 0 && compare(&small, &longer, 1) < 0);
        let equal = |insensitive| {
            imported!(RtlEqualUnicodeString: fn(*const UNICODE_STRING, *const UNICODE_STRING, u8) -> u8;
                &small, &large, insensitive)
        };
        assert_eq!((equal(0), equal(1)), (0, 1));
    });
}

#[test]
fn a_string_grows_as_far_as_there_is_room() {
    let mut units = [0x55_u16; 8];
    let mut string = UNICODE_STRING { Length: 0, MaximumLength: 10, Buffer: units.as_mut_ptr() };
    let more = wide("abc");
    let append = |string: &mut UNICODE_STRING| imported!(RtlAppendUnicodeToString: fn(*mut UNICODE_STRING, *const u16) -> NTSTATUS; string, more.as_ptr());
    assert_eq!((append(&mut string), append(&mut string)), (0, 0xC000_0023_u32 as i32));
    let tail = mm::leak_unicode("de");
    let status = imported!(RtlAppendUnicodeStringToString: fn(*mut UNICODE_STRING, *const UNICODE_STRING) -> NTSTATUS;
        &raw mut string, &raw const tail);
    assert_eq!((status, text(&string).as_str(), units[5]), (0, "abcde", 0x55));
}

#[test]
fn numbers_are_read_and_written_in_their_base() {
    on_a_machine!(|| {
        let read = |text: &str, base| {
            let (string, mut value) = (mm::leak_unicode(text), 0_u32);
            let status = imported!(RtlUnicodeStringToInteger: fn(*const UNICODE_STRING, u32, *mut u32) -> NTSTATUS;
                &raw const string, base, &raw mut value);
            (status, value)
        };
        assert_eq!(
            (read("0x1F", 0), read(" -12x", 10), read("1f", 16)),
            ((0, 31), (0, 12_u32.wrapping_neg()), (0, 31))
        );
        assert_eq!(read("1", 7).0, 0xC000_000D_u32 as i32);
        let mut units = [0_u16; 4];
        let mut string = UNICODE_STRING { Length: 0, MaximumLength: 8, Buffer: units.as_mut_ptr() };
        let mut write = |value| imported!(RtlIntegerToUnicodeString: fn(u32, u32, *mut UNICODE_STRING) -> NTSTATUS; value, 16, &raw mut string);
        assert_eq!((write(0x10000), write(0xBEEF)), (0x8000_0005_u32 as i32, 0));
        assert_eq!(text(&string), "BEEF");
    });
}

#[test]
fn a_string_that_a_function_allocated_is_the_drivers_to_free() {
    on_a_machine!(|| {
        let driver = Driver::load("strings");
        let mut bytes = [0_u64; 2];
        imported!(RtlInitAnsiString: fn(*mut u64, *const u8); bytes.as_mut_ptr(), c"abc".as_ptr().cast());
        let mut string = EMPTY;
        let status = imported!(RtlAnsiStringToUnicodeString: fn(*mut UNICODE_STRING, *const u64, u8) -> NTSTATUS;
            &raw mut string, bytes.as_ptr(), 1);
        assert_eq!((status, text(&string).as_str()), (0, "abc"));
        assert_eq!(pool::report(driver.service.owner).len(), 1);
        imported!(RtlFreeUnicodeString: fn(*mut UNICODE_STRING); &raw mut string);
        assert!(pool::report(driver.service.owner).is_empty() && string.Buffer.is_null());
    });
}

#[test]
fn the_c_librarys_strings_are_measured_and_compared() {
    let [short, long] = [c"ab", c"abc"].map(|text| text.as_ptr().cast::<u8>());
    assert_eq!(imported!(strlen: fn(*const u8) -> usize; long), 3);
    assert!(imported!(strcmp: fn(*const u8, *const u8) -> i32; short, long) < 0);
    assert_eq!(imported!(strncmp: fn(*const u8, *const u8, usize) -> i32; short, long, 2), 0);
    let units = wide("abcd");
    assert_eq!(imported!(wcslen: fn(*const u16) -> usize; units.as_ptr()), 4);
    assert_eq!(imported!(RtlCompareMemory: fn(*const u8, *const u8, usize) -> usize; short, long, 3), 2);
}

#[repr(C)]
struct Attributes {
    length: u64,
    root: u64,
    name: *const UNICODE_STRING,
    rest: [u64; 3],
}

fn attributes(root: u64, name: &UNICODE_STRING) -> Attributes {
    Attributes { length: 48, root, name, rest: [0; 3] }
}

fn open_key(root: u64, path: &str) -> Result<u64, NTSTATUS> {
    let (name, mut key) = (mm::leak_unicode(path), 0);
    let attributes = attributes(root, &name);
    let status = imported!(ZwOpenKey: fn(*mut u64, u32, *const Attributes) -> NTSTATUS; &raw mut key, 1, &raw const attributes);
    if status == 0 { Ok(key) } else { Err(status) }
}

/// The handle, and whether the key was made.
fn create_key(root: u64, path: &str) -> Result<(u64, bool), NTSTATUS> {
    let (name, mut key, mut made) = (mm::leak_unicode(path), 0, 0);
    let attributes = attributes(root, &name);
    let status = imported!(ZwCreateKey: fn(*mut u64, u32, *const Attributes, u32, u64, u32, *mut u32) -> NTSTATUS;
        &raw mut key, 1, &raw const attributes, 0, 0, 0, &raw mut made);
    if status == 0 { Ok((key, made == 1)) } else { Err(status) }
}

/// KEY_VALUE_PARTIAL_INFORMATION: status, type and data, as far as there is room for so many bytes.
fn query(key: u64, name: &str, room: usize) -> (NTSTATUS, u32, Vec<u8>) {
    let (name, mut buffer, mut len) = (mm::leak_unicode(name), [0_u32; 64], 0_u32);
    let status = imported!(ZwQueryValueKey: fn(u64, *const UNICODE_STRING, i32, *mut u32, u32, *mut u32) -> NTSTATUS;
        key, &raw const name, 2, buffer.as_mut_ptr(), room as u32, &raw mut len);
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_le_bytes()).collect();
    let end = (len as usize).clamp(12, room.max(12));
    (status, buffer[1], Vec::from(&bytes[12..end]))
}

fn set(key: u64, name: &str, kind: u32, data: &[u8]) -> NTSTATUS {
    let name = mm::leak_unicode(name);
    imported!(ZwSetValueKey: fn(u64, *const UNICODE_STRING, u32, u32, *const u8, u32) -> NTSTATUS;
        key, &raw const name, 0, kind, data.as_ptr(), data.len() as u32)
}

const NOT_FOUND: NTSTATUS = 0xC000_0034_u32 as i32;

#[test]
fn a_drivers_key_is_there_and_what_it_makes_below_stays() {
    on_a_machine!(|| {
        let driver = Driver::load("registry");
        let path = "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\Registry";
        let service = open_key(0, path).expect("the service's key");
        assert_eq!(query(service, "type", 64), (0, 4, Vec::from([1, 0, 0, 0])));
        assert_eq!(open_key(service, "Parameters"), Err(NOT_FOUND));
        let (key, made) = create_key(service, "Parameters").expect("it is made");
        assert!(made && !create_key(0, &std::format!("{path}\\parameters")).expect("it is there").1);
        assert_eq!(query(key, "Depth", 64).0, NOT_FOUND);
        assert_eq!(set(key, "Depth", 4, &7_u32.to_le_bytes()), 0);
        assert_eq!(query(key, "DEPTH", 64), (0, 4, Vec::from([7, 0, 0, 0])));
        assert_eq!(query(key, "Depth", 13), (0x8000_0005_u32 as i32, 4, Vec::from([7])));
        assert_eq!(query(key, "Depth", 11).0, 0xC000_0023_u32 as i32);
        assert_eq!(create_key(service, "no\\such").err(), Some(NOT_FOUND));
        let delete = |key| imported!(ZwDeleteKey: fn(u64) -> NTSTATUS; key);
        assert_eq!((delete(service), delete(key)), (0xC000_0121_u32 as i32, 0));
        assert_eq!(open_key(service, "Parameters"), Err(NOT_FOUND));
        drop(driver);
    });
}

#[test]
fn a_key_that_is_not_closed_is_named_at_unload() {
    stops_with!("HandleLeaked", || {
        let driver = Driver::load("registry");
        open_key(0, "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\registry").expect("the key");
        driver.unload();
    });
}

#[test]
fn a_handle_that_is_none_is_refused() {
    on_a_machine!(|| assert_eq!(query(4, "x", 64).0, 0xC000_0008_u32 as i32));
}

#[test]
fn locks_at_dispatch_level_leave_irql_alone() {
    on_a_machine!(|| {
        let mut lock = 1_u64;
        imported!(KeInitializeSpinLock: fn(*mut u64); &raw mut lock);
        let old = raise(Irql::DISPATCH);
        imported!(KeAcquireSpinLockAtDpcLevel: fn(*mut u64); &raw mut lock);
        assert_eq!(imported!(KeTryToAcquireSpinLockAtDpcLevel: fn(*mut u64) -> u8; &raw mut lock), 0);
        imported!(KeReleaseSpinLockFromDpcLevel: fn(*mut u64); &raw mut lock);
        assert_eq!(irql(), Irql::DISPATCH);
        lower(old);
        let mut handle = [0_u64; 3];
        imported!(KeAcquireInStackQueuedSpinLock: fn(*mut u64, *mut u64); &raw mut lock, handle.as_mut_ptr());
        assert_eq!((irql(), lock), (Irql::DISPATCH, 1));
        imported!(KeReleaseInStackQueuedSpinLock: fn(*mut u64); handle.as_mut_ptr());
        assert_eq!((irql(), lock), (Irql::PASSIVE, 0));
    });
}

#[test]
fn a_lock_for_dispatch_level_below_it_is_named() {
    stops_with!("IrqlTooLow", || {
        imported!(KeAcquireSpinLockAtDpcLevel: fn(*mut u64); &mut 0);
    });
}

#[test]
fn irql_is_raised_and_lowered_by_name() {
    on_a_machine!(|| {
        let current = || imported!(KeGetCurrentIrql: fn() -> u8;);
        let old = imported!(KfRaiseIrql: fn(u8) -> u8; 1);
        assert_eq!((old, imported!(KeRaiseIrqlToDpcLevel: fn() -> u8;), current()), (0, 1, 2));
        imported!(KeLowerIrql: fn(u8); 0);
        assert_eq!(current(), 0);
    });
}

#[test]
fn irql_that_is_lowered_to_a_higher_one_is_named() {
    stops_with!("IrqlLoweredToHigher", || {
        imported!(KeLowerIrql: fn(u8); 2);
    });
}

#[test]
fn interlocked_lists_keep_their_order() {
    on_a_machine!(|| {
        let none = || LIST_ENTRY { Flink: null_mut(), Blink: null_mut() };
        let (mut head, mut first, mut second) = (none(), none(), none());
        let (head, first, second) = (&raw mut head, &raw mut first, &raw mut second);
        // SAFETY: the list's own head.
        unsafe { head.write(LIST_ENTRY { Flink: head, Blink: head }) };
        let mut lock = 0_u64;
        let lock = &raw mut lock;
        type Entry = *mut LIST_ENTRY;
        let tail = |entry| imported!(ExInterlockedInsertTailList: fn(Entry, Entry, *mut u64) -> Entry; head, entry, lock);
        let remove = || imported!(ExInterlockedRemoveHeadList: fn(Entry, *mut u64) -> Entry; head, lock);
        assert_eq!((tail(first).is_null(), tail(second)), (true, first));
        assert_eq!((remove(), remove(), remove().is_null()), (first, second, true));
        assert!(
            imported!(ExInterlockedInsertHeadList: fn(Entry, Entry, *mut u64) -> Entry; head, second, lock)
                .is_null()
        );
        assert_eq!(remove(), second);
    });
}

#[test]
fn a_routine_is_found_by_its_name_or_not_at_all() {
    on_a_machine!(|| {
        let find = |name: &str| {
            let name = mm::leak_unicode(name);
            imported!(MmGetSystemRoutineAddress: fn(*const UNICODE_STRING) -> usize; &raw const name)
        };
        assert_eq!(Some(find("KeSetEvent")), nt::resolve("ntoskrnl.exe", "KeSetEvent"));
        assert_eq!(find("KeNoSuchRoutine"), 0);
    });
}
