//! From the entry point to the agent, and out of the machine again.

use crate::{agent, hal, ke, mm, serial, settings};
use alloc::{boxed::Box, string::String};
use core::arch::global_asm;
use core::panic::PanicInfo;

global_asm!(include_str!("start.s"));

/// hvm_start_info, as QEMU passes it.
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    module_count: u32,
    modules: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_count: u32,
    reserved: u32,
}

/// hvm_modlist_entry.
#[repr(C)]
#[derive(Clone, Copy)]
struct Module {
    address: u64,
    size: u64,
    command_line: u64,
    reserved: u64,
}

/// hvm_memmap_table_entry.
#[repr(C)]
#[derive(Clone, Copy)]
struct MemoryRange {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

const MAGIC: u32 = 0x336e_c578;
const RAM: u32 = 1;
/// Longest command line that is read.
const LONGEST: usize = 4096;

/// Values for the debug-exit device: QEMU ends with `2 * value + 1`.
const EXIT_ORDERLY: u8 = 0x10;
const EXIT_INTERNAL: u8 = 0x30;
const DEBUG_EXIT: u16 = 0xf4;

unsafe extern "C" {
    static understudy_end: [u8; 0];
}

/// Ends QEMU, once it has taken everything that was said.
pub fn exit(value: u8) -> ! {
    crate::serial::drain();
    hal::port::write8(DEBUG_EXIT, value);
    loop {
        x86_64::instructions::hlt();
    }
}

/// Ends the run in order.
pub fn power_off() -> ! {
    exit(EXIT_ORDERLY)
}

/// Ends the run for a fault of understudy itself.
pub fn fatal(what: &str) -> ! {
    x86_64::instructions::interrupts::disable();
    crate::log!("understudy: {what}");
    exit(EXIT_INTERNAL)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    x86_64::instructions::interrupts::disable();
    crate::log!("understudy: {info}");
    exit(EXIT_INTERNAL)
}

/// First Rust code: long mode, interrupts off, RAM identity mapped.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(info: *const StartInfo) -> ! {
    serial::start();
    // SAFETY: QEMU passes the structure's address in EBX; it lies in identity-mapped RAM.
    let info = unsafe { &*info };
    if info.magic != MAGIC {
        fatal("not started through PVH");
    }
    // SAFETY: as above: the list has module_count entries.
    let module = (info.module_count != 0).then(|| unsafe { *(info.modules as *const Module) });
    let from = (&raw const understudy_end).addr();
    let to = ram_end(info, from).min(module.map_or(usize::MAX, |module| module.address as usize));
    let line = command_line(info);
    mm::start(from, to);
    let line = String::from(core::str::from_utf8(&line.0[..line.1]).unwrap_or_default());
    let bundle: &'static [u8] = module.map_or(&[], |module| {
        // SAFETY: the module's RAM is not the heap's, so it stays as QEMU put it.
        unsafe { core::slice::from_raw_parts(module.address as *const u8, module.size as usize) }
    });
    ke::time::start();
    if let Err(error) = settings::start(&line, bundle) {
        fatal(&error);
    }
    crate::log!("understudy: {line:?}, bundle of {} bytes", bundle.len());
    hal::pci::start();
    ke::thread::start();
    ke::interrupt::start();
    serial::listen();
    ke::interrupt::start_clock();
    ke::Thread::spawn("agent", Box::new(|| agent::run()));
    ke::lower(0);
    x86_64::instructions::interrupts::enable();
    ke::dispatch::request_dispatch(true);
    // this flow is the idle thread now
    loop {
        x86_64::instructions::hlt();
    }
}

/// End of the RAM that holds `inside`.
fn ram_end(info: &StartInfo, inside: usize) -> usize {
    let end = (0..info.memory_map_count as usize).find_map(|index| {
        // SAFETY: the map has memory_map_count entries.
        let range = unsafe { *(info.memory_map as *const MemoryRange).add(index) };
        let range_end = range.address.saturating_add(range.size) as usize;
        (range.kind == RAM && (range.address as usize..range_end).contains(&inside)).then_some(range_end)
    });
    end.unwrap_or_else(|| fatal("the memory map has no RAM at the kernel"))
}

/// The command line, copied before the heap may grow over it.
fn command_line(info: &StartInfo) -> ([u8; LONGEST], usize) {
    let mut line = [0; LONGEST];
    let mut len = 0;
    while info.command_line != 0 && len < LONGEST {
        // SAFETY: a zero-terminated string in RAM.
        let byte = unsafe { *((info.command_line as usize + len) as *const u8) };
        if byte == 0 {
            break;
        }
        line[len] = byte;
        len += 1;
    }
    (line, len)
}
