//! What a filter driver sets up when it registers, and NDIS's smaller functions.

use super::driver::{characteristics, register, service};
use crate::ke::now_us;
use crate::nt;
use crate::twin::machine::{on_a_machine, stops_with};
use core::mem::transmute;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst};
use ndis_sys::*;

static ANSWER: AtomicI32 = AtomicI32::new(NDIS_STATUS_SUCCESS);
static GOT: AtomicU64 = AtomicU64::new(0);

unsafe extern "win64" fn set_options(driver: NDIS_HANDLE, _context: NDIS_HANDLE) -> i32 {
    GOT.store(driver as u64, SeqCst);
    ANSWER.load(SeqCst)
}

fn import(name: &str) -> usize {
    nt::resolve("NDIS.SYS", name).expect("an export")
}

fn registered(answer: i32) -> i32 {
    ANSWER.store(answer, SeqCst);
    let mut all = characteristics();
    all.SetOptionsHandler = Some(set_options);
    register(&service(), &mut all)
}

#[test]
fn a_driver_sets_its_options_with_its_handle_while_it_registers() {
    on_a_machine!(|| {
        assert_eq!(registered(NDIS_STATUS_SUCCESS), NDIS_STATUS_SUCCESS);
        assert_eq!(open(GOT.load(SeqCst)), NDIS_STATUS_FAILURE, "a driver's handle, and no configuration");
    });
}

#[test]
fn a_driver_whose_options_fail_is_not_registered() {
    stops_with!("InvalidFilterHandle", || {
        assert_eq!(registered(NDIS_STATUS_RESOURCES), NDIS_STATUS_RESOURCES);
        open(GOT.load(SeqCst));
    });
}

#[test]
fn a_filter_sleeps_and_its_events_are_reset() {
    on_a_machine!(|| {
        let before = now_us();
        // SAFETY: the exports have these types; the event is the test's.
        unsafe {
            transmute::<usize, unsafe extern "win64" fn(u32)>(import("NdisMSleep"))(1_000);
            assert!(now_us() - before >= 1_000);
            let mut event = [0_u64; 8];
            let call = |name| transmute::<usize, unsafe extern "win64" fn(*mut u64)>(import(name));
            let wait =
                transmute::<usize, unsafe extern "win64" fn(*mut u64, u32) -> u8>(import("NdisWaitEvent"));
            let at = event.as_mut_ptr();
            call("NdisInitializeEvent")(at);
            call("NdisSetEvent")(at);
            assert_eq!(wait(at, 1), 1);
            call("NdisResetEvent")(at);
            assert_eq!(wait(at, 1), 0);
        }
    });
}

type Open = unsafe extern "win64" fn(*mut [u64; 3], *mut NDIS_HANDLE) -> i32;

fn open(handle: u64) -> i32 {
    let mut out = null_mut();
    // SAFETY: the export has that type; the structure is the test's.
    unsafe { transmute::<usize, Open>(import("NdisOpenConfigurationEx"))(&mut [0, handle, 0], &raw mut out) }
}

#[test]
fn a_configuration_of_nobody_is_named() {
    stops_with!("InvalidFilterHandle", || {
        open(0x10);
    });
}
