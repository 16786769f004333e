//! Interrupts and exceptions: who serves which vector.

use super::irqlock::IrqLock;
use super::vectors::{CLOCK_VECTOR, DISPATCH_VECTOR};
use super::{Irql, Registers, dispatch, hooks, irql, lower, set_irql};
use crate::hal::{apic, cpu};
use alloc::{boxed::Box, sync::Arc};

type Handler = Arc<dyn Fn() -> bool + Send + Sync>;
static HANDLERS: IrqLock<[Option<Handler>; 256]> = IrqLock::new([const { None }; 256]);

/// Serves `vector` with `routine`, at the IRQL that is the vector's class.
pub(crate) fn connect(vector: u8, routine: Box<dyn Fn() -> bool + Send + Sync>) {
    let routine: Handler = Arc::from(routine);
    let old = HANDLERS.with(|handlers| handlers[usize::from(vector)].replace(routine));
    drop(old);
}

/// Serves `vector` no more.
pub(crate) fn disconnect(vector: u8) {
    let old = HANDLERS.with(|handlers| handlers[usize::from(vector)].take());
    drop(old);
}

/// Sets the tables, the APIC and the COM2 line up; interrupts stay off.
#[cfg(target_os = "none")]
pub(crate) fn start() {
    static TABLE: IrqLock<[[u64; 2]; 256]> = IrqLock::new([[0; 2]; 256]);
    TABLE.with(crate::hal::descriptors::start);
    apic::start(super::vectors::SERIAL_VECTOR);
}

/// Starts the clock: one interrupt a millisecond.
#[cfg(target_os = "none")]
pub(crate) fn start_clock() {
    apic::start_clock(CLOCK_VECTOR, || super::stall_us(5_000));
}

/// All interrupts and exceptions come here, interrupts off.
#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
extern "C" fn interrupt_entry(frame: &super::frame::Frame) {
    let vector = frame.vector as u8;
    if vector < 32 {
        exception(vector, frame);
    }
    if vector != apic::SPURIOUS_VECTOR {
        serve(vector, &|irql| Registers::of(frame, irql));
    }
}

/// Serves an interrupt of that vector, interrupts off; `registers` are those of the code that it has interrupted.
pub(crate) fn serve(vector: u8, registers: &dyn Fn(Irql) -> Registers) {
    let old = irql();
    set_irql(Irql::of_vector(vector));
    if vector == DISPATCH_VECTOR {
        // acknowledged first: the thread may change in here
        apic::acknowledge();
        cpu::interrupts_on();
        dispatch::serve();
        cpu::interrupts_off();
        set_irql(old);
        return;
    }
    let handler = HANDLERS.with(|handlers| handlers[usize::from(vector)].clone());
    if vector == CLOCK_VECTOR {
        dispatch::clock();
        if let Some(hooks) = hooks::get() {
            (hooks.tick)(&|| registers(old), old);
        }
    } else if let Some(handler) = handler {
        cpu::interrupts_on();
        handler();
        cpu::interrupts_off();
    } else {
        crate::log!("nobody serves vector {vector:#x}");
    }
    apic::acknowledge();
    lower(old);
}

#[cfg(target_os = "none")]
fn exception(vector: u8, frame: &super::frame::Frame) -> ! {
    let address = x86_64::registers::control::Cr2::read_raw();
    let (error, rflags) = (frame.error, frame.rflags);
    let exception = super::frame::Exception { vector, error, address, rflags, frame, irql: irql() };
    match hooks::get() {
        Some(hooks) => (hooks.exception)(&exception),
        None => crate::hal::power::fatal("an exception before anybody can judge it"),
    }
}
