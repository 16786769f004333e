//! The end of a run that broke a rule: told on both ports, then the machine is off.

use crate::ke::Registers;
use agent_protocol::{Message, QueueView, Violation};
use alloc::boxed::Box;

/// Exit value of a bug check at the debug-exit device.
pub const EXIT_BUG_CHECK: u8 = 0x20;

/// Reports the violation, with the place of the code that it is about, and the queue where a queue hangs; then powers
/// off. Any IRQL.
pub fn stop(
    registers: &Registers,
    code: u32,
    parameters: [u64; 4],
    violation: Violation,
    view: Option<QueueView>,
) -> ! {
    x86_64::instructions::interrupts::disable();
    crate::log!(
        "*** STOP {code:#x} {parameters:x?}: {} in {}, {}",
        violation.rule,
        violation.callback,
        violation.place
    );
    let processor = Some(Box::new(registers.describe()));
    match serde_json::to_string(&Message::BugCheck { violation, code, parameters, view, processor }) {
        Ok(line) => crate::serial::write_line(&line),
        Err(error) => crate::log!("the bug check cannot be told: {error}"),
    }
    crate::exit(EXIT_BUG_CHECK)
}
