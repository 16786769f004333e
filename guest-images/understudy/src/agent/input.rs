//! The rig's lines, as COM2's interrupt brings them.

use crate::hal::serial;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, interrupt, vectors};
use alloc::{boxed::Box, collections::VecDeque, string::String, vec::Vec};

static INPUT: IrqLock<VecDeque<u8>> = IrqLock::new(VecDeque::new());
static ARRIVED: Event = Event::auto();

/// Connects COM2's interrupt.
pub(crate) fn listen() {
    interrupt::connect(
        vectors::SERIAL_VECTOR,
        Box::new(|| {
            let mut any = false;
            while let Some(byte) = serial::received() {
                INPUT.with(|input| input.push_back(byte));
                any = true;
            }
            if any {
                ARRIVED.set();
            }
            any
        }),
    );
}

/// Waits for the next line from COM2. PASSIVE_LEVEL.
pub(crate) fn read_line() -> String {
    let mut line = Vec::new();
    loop {
        while let Some(byte) = INPUT.with(VecDeque::pop_front) {
            match byte {
                b'\n' if !line.is_empty() => return String::from_utf8_lossy(&line).into_owned(),
                b'\n' | b'\r' => {}
                _ => line.push(byte),
            }
        }
        ARRIVED.wait();
    }
}
