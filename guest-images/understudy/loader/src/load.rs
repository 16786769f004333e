//! From UEFI into the kernel.
//!
//! 1. Kernel, bundle and command line are read from the disk that the loader came from.
//! 2. The kernel's pages are taken where its ELF file wants them, all else anywhere below 4 GiB.
//! 3. The firmware is left, and its last memory map becomes the kernel's.
//! 4. A copy of `hand-over.s` below 4 GiB switches paging and long mode off and enters the kernel.

use alloc::{format, string::String};
use core::arch::global_asm;
use core::mem::offset_of;
use firmware::file::File;
use firmware::memory::{self, MemoryDescriptor, MemoryType, Place, Pool};
use firmware::{PAGE, Status, raw};
use understudy_loader::kernel::Kernel;
use understudy_loader::paths;
use understudy_loader::start_info::{Kind, MAGIC, MemoryRange, Module, StartInfo, write_map};

extern crate alloc;

global_asm!(include_str!("hand-over.s"));

unsafe extern "C" {
    static hand_over_start: [u8; 0];
    static hand_over_end: [u8; 0];
}

#[global_allocator]
static POOL: Pool = Pool;

/// What a kernel in 32-bit mode can address.
const BELOW_4_GIB: Place = Place::UpTo(u32::MAX as u64);
/// Longest command line, the zero behind it included.
const LONGEST: usize = 4096;
/// Most ranges of memory; firmware has some hundred before neighbours are joined.
const MOST_RANGES: usize = 1024;

/// Everything that the kernel is told, in one piece that it must not use as RAM.
#[repr(C)]
struct HandOver {
    info: StartInfo,
    module: Module,
    line: [u8; LONGEST],
    map: [MemoryRange; MOST_RANGES],
    /// Flat 32-bit code and data.
    gdt: [u64; 3],
    gdt_pointer: [u8; 10],
}

/// Where the firmware starts.
// SAFETY: the linker looks for this name, which nothing else here has.
#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(image: raw::Handle, table: *const raw::table::system::SystemTable) -> Status {
    // SAFETY: the arguments are those that the firmware gave, which runs the program.
    unsafe { firmware::start(image, table) };
    match load() {
        Ok(never) => match never {},
        Err(error) => {
            // The firmware's console is the serial ports, and there is nobody else to tell.
            firmware::show(format_args!("understudy-loader: {error}"));
            firmware::stall(1_000_000);
            Status::LOAD_ERROR
        }
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware::show(format_args!("understudy-loader: {info}"));
    loop {
        core::hint::spin_loop();
    }
}

fn load() -> Result<core::convert::Infallible, String> {
    let root = firmware::own_device()
        .and_then(File::root)
        .map_err(|error| format!("no file system where the loader came from: {error}"))?;
    let read = |path, place| {
        let content = root.open(path).and_then(|file| file.read(place));
        content.map_err(|error| format!("{path}: {error}"))
    };
    let elf = read(paths::KERNEL, Place::Anywhere)?;
    let bundle = read(paths::BUNDLE, BELOW_4_GIB)?;
    let line = read(paths::COMMAND_LINE, Place::Anywhere)?;
    let line = line.trim_ascii();
    if line.len() >= LONGEST {
        return Err(format!("{}: {} bytes are too many", paths::COMMAND_LINE, line.len()));
    }
    let kernel = Kernel::parse(elf).map_err(|fault| format!("{}: {fault}", paths::KERNEL))?;

    place(&kernel)?;
    let hand_over = pages(BELOW_4_GIB, MemoryType::LOADER_DATA, size_of::<HandOver>())?.as_mut_ptr();
    let code = copy_code()?;

    // SAFETY: the pages are this program's, aligned, large enough and zeroed; all zeros is a value of every field.
    let told = unsafe { &mut *hand_over.cast::<HandOver>() };
    let at = hand_over as u64;
    told.module = Module { address: bundle.as_ptr() as u64, size: bundle.len() as u64, ..Module::default() };
    told.line[..line.len()].copy_from_slice(line);
    told.gdt = [0, 0x00cf_9a00_0000_ffff, 0x00cf_9200_0000_ffff];
    told.gdt_pointer[..2].copy_from_slice(&23_u16.to_le_bytes());
    told.gdt_pointer[2..].copy_from_slice(&(at + offset_of!(HandOver, gdt) as u64).to_le_bytes());
    told.info = StartInfo {
        magic: MAGIC,
        version: 1,
        module_count: 1,
        modules: at + offset_of!(HandOver, module) as u64,
        command_line: at + offset_of!(HandOver, line) as u64,
        rsdp: firmware::acpi_root().unwrap_or_default(),
        memory_map: at + offset_of!(HandOver, map) as u64,
        ..StartInfo::default()
    };

    // The last file; nothing below uses the allocator either.
    drop(root);
    // SAFETY: no file is open, and there are no block devices here.
    let map = unsafe { memory::exit_boot_services() };
    let Some(count) = write_map(map.ranges().map(range), &mut told.map) else { stop() };
    told.info.memory_map_count = count as u32;
    // SAFETY: the code is hand-over.s, at an identity-mapped address below 4 GiB as it requires; it takes the
    // kernel's entry, the start information and the descriptor table's pointer, all of them below 4 GiB too.
    unsafe {
        let enter: extern "sysv64" fn(u32, u32, *const u8) -> ! = core::mem::transmute(code);
        enter(kernel.entry, at as u32, told.gdt_pointer.as_ptr())
    }
}

/// The firmware has gone: there is nobody to tell.
fn stop() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Takes the kernel's pages where it wants them, and fills them.
fn place(kernel: &Kernel<'_>) -> Result<(), String> {
    let (first, last) = kernel.pages();
    let memory = pages(Place::At(first), MemoryType::LOADER_DATA, (last - first) as usize)
        .map_err(|error| format!("the kernel's place at {first:#x}: {error}"))?;
    for segment in &kernel.segments {
        let at = (segment.address - first) as usize;
        memory[at..at + segment.content.len()].copy_from_slice(segment.content);
    }
    Ok(())
}

/// Enough whole pages for `bytes`, zeroed.
fn pages(place: Place, kind: MemoryType, bytes: usize) -> Result<&'static mut [u8], String> {
    memory::pages(place, kind, bytes).map_err(|error| format!("no memory for {bytes} bytes: {error}"))
}

/// A copy of `hand-over.s` where 32-bit mode can run it.
fn copy_code() -> Result<*const u8, String> {
    let (start, end) = (&raw const hand_over_start, &raw const hand_over_end);
    let len = end.addr() - start.addr();
    let copy = pages(BELOW_4_GIB, MemoryType::LOADER_CODE, len)?;
    // SAFETY: both labels stand in this image's code, in this order; the pages are this program's.
    unsafe { start.cast::<u8>().copy_to_nonoverlapping(copy.as_mut_ptr(), len) };
    Ok(copy.as_ptr())
}

/// What a range is for once the firmware has been left.
fn range(memory: MemoryDescriptor) -> (u64, u64, Kind) {
    let kind = match memory.ty {
        MemoryType::CONVENTIONAL | MemoryType::BOOT_SERVICES_CODE | MemoryType::BOOT_SERVICES_DATA => {
            Kind::Ram
        }
        MemoryType::ACPI_RECLAIM => Kind::AcpiTables,
        MemoryType::ACPI_NON_VOLATILE => Kind::AcpiFirmware,
        _ => Kind::Reserved,
    };
    (memory.phys_start, memory.page_count * PAGE as u64, kind)
}
