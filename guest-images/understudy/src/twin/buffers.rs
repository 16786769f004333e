//! A request's buffers by every transfer method, and the names by which programs reach a device.

use super::driver::{CODE, Callbacks, Driver, Io, Request, open, status};
use super::machine::{on_a_machine, stops_with};
use crate::io::names;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Irql, raise};
use crate::mm::Owner;
use crate::wdf::memory;
use crate::wdf::request::buffers;
use alloc::sync::Arc;
use core::ptr::null_mut;
use std::boxed::Box;
use std::vec::Vec;
use wdk_offline::{_POOL_TYPE, NTSTATUS, STATUS_SUCCESS};

const TOO_SMALL: NTSTATUS = status(0xC000_0023);

/// WdfRequestRetrieveInputBuffer or its counterpart: address and length.
fn buffer(request: Request, output: bool, least: usize) -> Result<(*mut u8, usize), NTSTATUS> {
    let function = if output { buffers::retrieve_output_buffer } else { buffers::retrieve_input_buffer };
    let (mut found, mut len) = (null_mut(), 0);
    // SAFETY: KMDF checks the handle, the places are this function's.
    match unsafe { function(null_mut(), request.raw(), least, &raw mut found, &raw mut len) } {
        STATUS_SUCCESS => Ok((found.cast(), len)),
        status => Err(status),
    }
}

/// The same by WDFMEMORY.
fn through_memory(request: Request, output: bool) -> Result<(*mut u8, usize), NTSTATUS> {
    let function = if output { buffers::retrieve_output_memory } else { buffers::retrieve_input_memory };
    let (mut found, mut len) = (null_mut(), 0);
    // SAFETY: as above.
    match unsafe { function(null_mut(), request.raw(), &raw mut found) } {
        // SAFETY: as above.
        STATUS_SUCCESS => Ok((unsafe { memory::get_buffer(null_mut(), found, &raw mut len) }.cast(), len)),
        status => Err(status),
    }
}

type Answer = (NTSTATUS, u64, Vec<u8>);

/// What a program reads back that sends `input` by that method and has room for so many bytes, from a driver that does
/// `presented`.
fn sent(method: u32, input: &[u8], room: u32, presented: impl Fn(Request) + Send + Sync + 'static) -> Answer {
    let driver = Driver::load("reading");
    let control = move |_, request| presented(request);
    driver.default_queue(Callbacks { control: Some(Box::new(control)), ..Callbacks::default() });
    let answer = Arc::new(IrqLock::new(None));
    let slot = answer.clone();
    open(&driver).control(
        CODE | method,
        input,
        room,
        |_| (),
        move |status, information, bytes| {
            let bytes = bytes.to_vec();
            slot.with(|slot| *slot = Some((status, information, bytes)));
        },
    );
    answer.with(Option::take).expect("the driver completes what it is given at once")
}

/// Answers with what came, each byte inverted.
fn invert(request: Request) {
    let (from, len) = buffer(request, false, 1).unwrap();
    // SAFETY: the request's own buffers; with METHOD_BUFFERED both are one.
    let bytes = unsafe { core::slice::from_raw_parts(from, len) }.to_vec();
    let (to, room) = buffer(request, true, len).unwrap();
    bytes.iter().take(room).enumerate().for_each(|(at, byte)| {
        // SAFETY: as above.
        unsafe { *to.add(at) = !byte };
    });
    request.complete_with(STATUS_SUCCESS, len as u64);
}

#[test]
fn a_buffered_request_reads_and_answers_in_one_buffer() {
    on_a_machine!(|| assert_eq!(sent(0, &[1, 2, 3], 3, invert), (STATUS_SUCCESS, 3, [254, 253, 252].into())));
}

#[test]
fn a_direct_request_answers_in_the_programs_pages() {
    on_a_machine!(|| assert_eq!(sent(2, &[1, 2, 3], 3, invert), (STATUS_SUCCESS, 3, [254, 253, 252].into())));
}

#[test]
fn a_buffer_that_is_shorter_than_the_driver_needs_is_too_small() {
    on_a_machine!(|| {
        let look = |request: Request| {
            assert_eq!(buffer(request, false, 3).map(|found| found.1), Ok(3));
            assert_eq!(buffer(request, false, 4), Err(TOO_SMALL));
            assert_eq!(buffer(request, true, 6), Err(TOO_SMALL));
            request.complete(STATUS_SUCCESS);
        };
        sent(0, &[1, 2, 3], 5, look);
    });
}

#[test]
fn a_side_without_a_buffer_is_too_small() {
    on_a_machine!(|| {
        let look = |request: Request| {
            assert_eq!(buffer(request, false, 0), Err(TOO_SMALL));
            assert_eq!(through_memory(request, false), Err(TOO_SMALL));
            assert!(buffer(request, true, 0).is_ok());
            request.complete(STATUS_SUCCESS);
        };
        sent(0, &[], 5, look);
        let look = |request: Request| {
            assert!(buffer(request, false, 0).is_ok());
            assert_eq!(through_memory(request, true), Err(TOO_SMALL));
            request.complete(STATUS_SUCCESS);
        };
        sent(2, &[1], 0, look);
    });
}

#[test]
fn a_memory_object_lies_over_the_same_bytes_and_is_one_however_often_it_is_asked_for() {
    on_a_machine!(|| {
        let look = |request: Request| {
            assert_eq!(buffer(request, false, 1), through_memory(request, false));
            assert_eq!(buffer(request, true, 1), through_memory(request, true));
            assert_eq!(through_memory(request, true), through_memory(request, true));
            request.complete(STATUS_SUCCESS);
        };
        sent(2, &[1, 2], 7, look);
    });
}

#[test]
fn an_answer_is_as_long_as_the_driver_says() {
    on_a_machine!(|| {
        let (status, information, bytes) = sent(0, &[7; 8], 8, |request| request.complete_with(0, 2));
        assert_eq!((status, information, bytes.len()), (STATUS_SUCCESS, 2, 2));
    });
}

#[test]
fn the_buffers_of_a_request_that_the_driver_has_completed_are_nobodys() {
    stops_with!("InvalidHandle", || {
        let late = |request: Request| {
            request.complete(STATUS_SUCCESS);
            let _named = buffer(request, false, 1);
        };
        sent(0, &[1], 1, late);
    });
}

#[test]
fn a_link_leads_to_its_device_under_each_of_its_prefixes() {
    on_a_machine!(|| {
        let driver = Driver::load("named");
        let owner = Owner::next();
        names::link_device("\\DosDevices\\Named", driver.object(), owner).unwrap();
        for name in ["\\\\.\\Named", "\\??\\named", "\\DosDevices\\Global\\NAMED", "\\GLOBAL??\\Named"] {
            assert_eq!(names::resolve(name), Some(driver.object()), "{name}");
        }
        assert_eq!(names::resolve("\\\\.\\Nam"), None);
        assert_eq!(names::report(owner), ["Named"]);
        names::unlink("\\??\\nameD").unwrap();
        assert_eq!(names::resolve("\\\\.\\Named"), None);
        assert!(names::unlink("\\??\\Named").is_err() && names::report(owner).is_empty());
    });
}

#[test]
fn a_second_link_of_one_name_is_refused_and_one_to_no_device_leads_nowhere() {
    on_a_machine!(|| {
        let owner = Owner::next();
        names::link("\\??\\Once", "\\Device\\Nobody", owner).unwrap();
        assert!(names::link("\\DosDevices\\ONCE", "\\Device\\Other", owner).is_err());
        assert_eq!(names::resolve("\\\\.\\Once"), None);
    });
}

#[test]
fn a_file_on_a_device_that_goes_gets_no_more_answers() {
    on_a_machine!(|| {
        let driver = Driver::load("going");
        let control = |_, request: Request| request.complete(STATUS_SUCCESS);
        driver.default_queue(Callbacks { control: Some(Box::new(control)), ..Callbacks::default() });
        let file = open(&driver);
        assert_eq!(Io::start(&file).ended(), STATUS_SUCCESS);
        file.close();
        driver.node.remove(false, &[]);
        assert!(driver.node.device().is_none());
    });
}

#[test]
fn memory_of_paged_pool_that_is_made_at_dispatch_level_is_named() {
    stops_with!("IrqlTooHigh", || {
        raise(Irql::DISPATCH);
        let mut made = null_mut();
        let paged = _POOL_TYPE::PagedPool;
        // SAFETY: the place for the handle is the test's; the rest is absent.
        unsafe { memory::create(null_mut(), null_mut(), paged, 0, 8, &raw mut made, null_mut()) };
    });
}
