use super::explain::Address;
use super::place::{Place, in_one_line};
use super::stack::Frame;
use super::{Stack, Symbols};
use agent_protocol::{LoadedImage, Processor};

fn place(function: &str, file: &str, line: u32) -> Place {
    Place { function: function.into(), file: Some(file.into()), line: Some(line) }
}

/// A stack with a call of understudy's, one of a driver's that has an inlined function in it, and one that nothing is
/// known of.
pub(crate) fn stack() -> Stack {
    let frame = |address: &str, image: Option<&str>, places: &[Place]| Frame {
        address: address.into(),
        image: image.map(Into::into),
        places: places.to_vec(),
    };
    let wait = Place { function: "understudy::nt::wait".into(), file: None, line: None };
    Stack {
        of: "WaitAtDispatch in tx0 EvtCancel".into(),
        irql: 2,
        frames: vec![
            frame("0x201230", Some("understudy"), &[wait]),
            frame(
                "cancelnic.sys+0x80c9",
                Some("cancelnic.sys"),
                &[
                    place("cancelnic::misbehave::sleep", "driver/netadapter/src/misbehave.rs", 41),
                    place("cancelnic::queue::tx_cancel", "driver/netadapter/src/queue.rs", 380),
                ],
            ),
            frame("0xdead", None, &[]),
        ],
        notes: vec!["other.sys has offsets only: no other.pdb beside /d/other.sys".into()],
    }
}

#[test]
fn a_stack_shows_inlined_functions_and_whose_each_call_is() {
    assert_eq!(
        stack().text(),
        "stack of WaitAtDispatch in tx0 EvtCancel, IRQL 2\n  understudy: understudy::nt::wait\n  \
         cancelnic::misbehave::sleep, driver/netadapter/src/misbehave.rs:41 (inlined)\n  \
         cancelnic::queue::tx_cancel, driver/netadapter/src/queue.rs:380 (cancelnic.sys+0x80c9)\n  0xdead\n  \
         other.sys has offsets only: no other.pdb beside /d/other.sys"
    );
}

#[test]
fn words_without_an_address_are_completed_from_the_stack() {
    let mut violation = crate::verdict::violation("WaitAtDispatch", "tx0 EvtCancel", "a wait at IRQL 2");
    Symbols::default().explain_violation(&mut violation, Some(&stack()));
    assert_eq!(
        violation.place,
        "a wait at IRQL 2, called from cancelnic::misbehave::sleep, driver/netadapter/src/misbehave.rs:41, inlined \
         into cancelnic::queue::tx_cancel, driver/netadapter/src/queue.rs:380 (cancelnic.sys+0x80c9)"
    );
}

#[test]
fn a_panic_is_in_the_function_that_panicked() {
    let mut stack = stack();
    let handler = place("cancelnic_kernel::runtime::panic", "driver/kernel/src/runtime.rs", 50);
    let way = place("core::panicking::panic_fmt", "library/core/src/panicking.rs", 80);
    for place in [way, handler] {
        let (address, image) = ("cancelnic.sys+0x10".into(), Some("cancelnic.sys".into()));
        stack.frames.insert(1, Frame { address, image, places: vec![place] });
    }
    let mut violation = crate::verdict::violation("DriverPanicked", "tx0 EvtCancel", "a.rs:1:2: seven");
    Symbols::default().explain_violation(&mut violation, Some(&stack));
    assert!(
        violation.place.starts_with("a.rs:1:2: seven, in cancelnic::misbehave::sleep, "),
        "{violation:?}"
    );
}

#[test]
fn an_address_is_found_within_words() {
    let text = "read of unmapped 0x18 at cancelnic-lwf.sys+0x80c9, error 0";
    let found = Address::find(text).unwrap();
    assert_eq!((found.file, found.offset), ("cancelnic-lwf.sys", 0x80c9));
    assert_eq!(&text[found.start..found.end], "cancelnic-lwf.sys+0x80c9");
    for none in ["", "cancelnic.sys", ".sys+0x12", "a.sys+0x", "a.sys+0x123456789"] {
        assert_eq!(Address::find(none), None, "{none}");
    }
}

#[test]
fn what_nothing_is_known_of_stays_as_it_is() {
    let text = "at other.sys+0x10 and – other.sys+0x20";
    assert_eq!(Symbols::default().explain(text), text);
}

#[test]
fn the_line_names_the_drivers_own_source_before_the_librarys() {
    let places = [
        place("core::ptr::read_volatile", "library/core/src/ptr/mod.rs", 1),
        place("cancelnic::hardware::read", "driver/netadapter/src/hardware.rs", 20),
        place("cancelnic::queue::tx_cancel", "driver/netadapter/src/queue.rs", 30),
    ];
    assert_eq!(
        in_one_line(&places).unwrap(),
        "cancelnic::hardware::read, driver/netadapter/src/hardware.rs:20, inlined into \
         cancelnic::queue::tx_cancel, driver/netadapter/src/queue.rs:30"
    );
    assert_eq!(in_one_line(&places[..1]).unwrap(), "core::ptr::read_volatile, library/core/src/ptr/mod.rs:1");
    assert_eq!(in_one_line(&[]), None);
}

/// Numbers from a guest that has gone wrong: an image over the end of all addresses, and a stack at the end.
#[test]
fn a_stack_of_nonsense_is_walked_to_an_end() {
    let image = |base, size| LoadedImage { file: "cancelnic.sys".into(), base, size };
    for images in [vec![], vec![image(u64::MAX - 0xfff, u64::MAX)], vec![image(0, u64::MAX)]] {
        for rip in [0, u64::MAX - 1, u64::MAX] {
            for rsp in [0, 1, u64::MAX - 7, u64::MAX] {
                let mut processor =
                    Processor { rip, images: images.clone(), stack: "ff".repeat(64), ..Processor::default() };
                processor.registers = [u64::MAX; 16];
                processor.registers[Processor::RSP] = rsp;
                let stack = Symbols::default().walk("nonsense".into(), &processor);
                assert!(!stack.frames.is_empty(), "{processor:x?}");
            }
        }
    }
}
