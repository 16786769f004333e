//! Interrupts and exceptions: who serves which vector.

use super::irqlock::IrqLock;
use super::vectors::{CLOCK_VECTOR, DISPATCH_VECTOR};
use super::{Irql, Registers, dispatch, hooks, irql, lower, set_irql};
use crate::hal::{apic, cpu};
use alloc::{boxed::Box, sync::Arc};
#[cfg(target_os = "none")]
use understudy_rules::trap::Cause;

type Handler = Arc<dyn Fn() -> bool + Send + Sync>;

/// Who serves a vector.
#[derive(Clone)]
enum Served {
    Never,
    By(Handler),
    /// Nobody any more: what was on its way may still come.
    NoMore,
}

static HANDLERS: IrqLock<[Served; 256]> = IrqLock::new([const { Served::Never }; 256]);

/// Serves `vector` with `routine`, at the IRQL that is the vector's class.
pub(crate) fn connect(vector: u8, routine: Box<dyn Fn() -> bool + Send + Sync>) {
    let routine: Handler = Arc::from(routine);
    set(vector, Served::By(routine));
}

/// Serves `vector` no more.
pub(crate) fn disconnect(vector: u8) {
    set(vector, Served::NoMore);
}

fn set(vector: u8, served: Served) {
    let old = HANDLERS.with(|handlers| core::mem::replace(&mut handlers[usize::from(vector)], served));
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
        let (frame, by_instruction) = frame.straight();
        let cause = if by_instruction { Cause::Instruction } else { Cause::Exception };
        exception(vector, cause, &frame);
    } else if vector == apic::SPURIOUS_VECTOR {
        // it is never in service
        if frame.follows_int(vector) {
            exception(vector, Cause::Instruction, frame);
        }
    } else if apic::in_service(vector) {
        serve(vector, &|irql| Registers::of(frame, irql));
    } else {
        exception(vector, Cause::Instruction, frame);
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
    } else {
        match handler {
            Served::By(handler) => {
                cpu::interrupts_on();
                handler();
                cpu::interrupts_off();
            }
            Served::NoMore => crate::log!("vector {vector:#x} comes after it was disconnected"),
            Served::Never => match hooks::get() {
                Some(hooks) => (hooks.unserved)(vector, &registers(old)),
                None => crate::hal::power::fatal("an interrupt before anybody can judge it"),
            },
        }
    }
    apic::acknowledge();
    lower(old);
}

/// Returns where the code may go on: its page is there now.
#[cfg(target_os = "none")]
fn exception(vector: u8, cause: Cause, frame: &super::frame::Frame) {
    let address = x86_64::registers::control::Cr2::read_raw();
    let (error, rflags) = (frame.error, frame.rflags);
    let exception = super::frame::Exception { cause, vector, error, address, rflags, frame, irql: irql() };
    match hooks::get() {
        Some(hooks) => (hooks.exception)(&exception),
        None => crate::hal::power::fatal("an exception before anybody can judge it"),
    }
}
