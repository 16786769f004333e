//! The end of a run that broke a rule: told on both ports, then the machine is off.

use super::{BugCheck, owners};
use crate::hal::{cpu, power, serial};
use crate::ke::Registers;
use agent_protocol::{MOST_STACK, Message, Processor, QueueView, Violation};
use alloc::{boxed::Box, string::String};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// How many bytes of a violation's texts are reported.
const LONGEST: usize = 4096;
/// How many stops have begun: a fault may come while one is reported, as that looks at what a driver has ruined.
static BEGUN: AtomicU32 = AtomicU32::new(0);

/// Exit value of a bug check at the debug-exit device.
pub(crate) const EXIT_BUG_CHECK: u8 = 0x20;

/// Reports the violation, with the place of the code that it is about, and the queue where a queue hangs; then powers
/// off. Any IRQL.
pub(crate) fn stop(
    registers: &Registers,
    code: BugCheck,
    parameters: [u64; 4],
    mut violation: Violation,
    view: Option<QueueView>,
) -> ! {
    cpu::interrupts_off();
    for text in [&mut violation.rule, &mut violation.callback, &mut violation.place] {
        text.truncate(text.floor_char_boundary(LONGEST));
    }
    crate::log!(
        "*** STOP {code:#x} {parameters:x?}: {} in {}, {}",
        violation.rule,
        violation.callback,
        violation.place
    );
    let again = BEGUN.fetch_add(1, Relaxed);
    match again {
        0 => {}
        // the end of a line that is half written
        1 => serial::write_line(""),
        _ => power::exit(EXIT_BUG_CHECK),
    }
    let processor = (again == 0).then(|| Box::new(describe(registers)));
    let view = view.filter(|_| again == 0);
    match serde_json::to_string(&Message::BugCheck {
        violation,
        code: code.number(),
        parameters,
        view,
        processor,
    }) {
        Ok(line) => serial::write_line(&line),
        Err(error) => crate::log!("the bug check cannot be told: {error}"),
    }
    power::exit(EXIT_BUG_CHECK)
}

/// Registers with the stack's top and the drivers' images, for the rig.
fn describe(registers: &Registers) -> Processor {
    Processor {
        irql: registers.irql.number(),
        rip: registers.rip,
        registers: registers.general,
        stack: stack(registers.general[Processor::RSP]),
        images: owners::images(),
    }
}

/// The stack's bytes from `from` upwards, in hexadecimal, as far as they can be read; nothing where that is no stack.
fn stack(from: u64) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::new();
    let Some(len) = (1..=MOST_STACK / 512)
        .rev()
        .map(|blocks| blocks * 512)
        .find(|len| crate::mm::is_readable(from as usize, *len))
    else {
        return text;
    };
    if !from.is_multiple_of(8) {
        return text;
    }
    // SAFETY: memory that may be read; whoever writes to it is interrupted or is this code itself.
    let bytes = unsafe { core::slice::from_raw_parts(from as *const u8, len) };
    text.reserve(2 * len);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
