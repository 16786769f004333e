//! From the entry point to the agent, and out of the machine again.

use crate::hal::power::fatal;
use crate::hal::{self, serial};
use crate::{agent, ke, mm, netcx, settings, translator, verifier};
use alloc::{boxed::Box, string::String};
use core::arch::global_asm;
use core::ops::Range;
use core::panic::PanicInfo;
use understudy_loader::start_info::{Kind, MAGIC, MemoryRange, Module, StartInfo};
use understudy_rules::ram;

global_asm!(include_str!("start.s"));

/// Longest command line that is read.
const LONGEST: usize = 4096;

unsafe extern "C" {
    static understudy_start: [u8; 0];
    static understudy_end: [u8; 0];
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hal::cpu::interrupts_off();
    crate::log!("understudy: {info}");
    hal::power::exit(hal::power::EXIT_INTERNAL)
}

/// First Rust code: long mode, interrupts off, RAM identity mapped until `mm` starts.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(info: *const StartInfo) -> ! {
    serial::start();
    // SAFETY: QEMU, or the loader, passes the structure's address in EBX; it lies in identity-mapped RAM.
    let info = unsafe { &*info };
    if info.magic != MAGIC {
        fatal("not started through PVH");
    }
    // SAFETY: as above: the list has module_count entries.
    let module = (info.module_count != 0).then(|| unsafe { *(info.modules as *const Module) });
    let kernel = (&raw const understudy_start).addr()..(&raw const understudy_end).addr();
    let used = [kernel, module.map_or(0..0, |module| range(module.address, module.size))];
    let heap = heap(info, &used);
    let line = command_line(info);
    let [kernel, bundle] = used;
    mm::start(heap, &[kernel, bundle, hal::pci::start(), hal::apic::IO_APIC]);
    let line = String::from(core::str::from_utf8(&line.0[..line.1]).unwrap_or_default());
    let bundle: &'static [u8] = module.map_or(&[], |module| {
        // SAFETY: the module's RAM is not the heap's, so it stays as QEMU put it.
        unsafe {
            core::slice::from_raw_parts(
                (mm::DIRECT + module.address as usize) as *const u8,
                module.size as usize,
            )
        }
    });
    ke::time::start();
    if let Err(error) = settings::start(&line, bundle) {
        fatal(&error);
    }
    crate::log!("understudy: {line:?}, bundle of {} bytes", bundle.len());
    verifier::start();
    netcx::start();
    translator::start();
    ke::thread::start();
    ke::interrupt::start();
    agent::input::listen();
    ke::interrupt::start_clock();
    ke::Thread::spawn("agent", Box::new(|| agent::run()));
    ke::lower(ke::Irql::PASSIVE);
    hal::cpu::interrupts_on();
    ke::vectors::request_dispatch(true);
    // this flow is the idle thread now
    loop {
        hal::cpu::halt();
    }
}

fn range(address: u64, size: u64) -> Range<usize> {
    address as usize..address.saturating_add(size) as usize
}

/// The largest piece of RAM that holds nothing that is used, the kernel and its module. What else is handed over is read before the
/// heap grows over it, or is not in RAM by the map.
fn heap(info: &StartInfo, used: &[Range<usize>]) -> Range<usize> {
    // SAFETY: the map has memory_map_count entries.
    let map = unsafe {
        core::slice::from_raw_parts(info.memory_map as *const MemoryRange, info.memory_map_count as usize)
    };
    let free = map.iter().filter(|entry| entry.kind == Kind::Ram as u32);
    ram::largest(free.map(|entry| range(entry.address, entry.size)), used)
        .unwrap_or_else(|| fatal("the memory map has no RAM"))
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
