//! A UEFI program in the place of Windows Setup and of the Windows that it installs.
//!
//! It tells what it does on COM1, as the answer file and the first-logon script do (`windows_setup::Report`):
//!
//! 1. Started from a disc, it is Setup: it copies the disc's boot image, that is itself, to the disk, writes what an
//!    installation would, and restarts.
//! 2. Started from the disk, it is Windows: it counts its starts there, restarts after the first, and after the second
//!    it plays the first logon and powers off.
//!
//! A file `variant` beside it, of one word, says how: `installs` as it should, `asks` waits for a key first, `silent`
//! stands still within Setup, `fails` reports a failed step.

#![no_std]
#![no_main]

mod com1;
mod disk;

use firmware::{Handle, ResetType, Result, Status, file::File, memory::Place, raw, reset, show};

use disk::Disk;

/// What the program does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    /// All that it should.
    Installs,
    /// Waits for a key.
    Asks,
    /// Stands still within Setup.
    Silent,
    /// Reports a failed step.
    Fails,
}

/// Where the firmware starts.
// SAFETY: the linker looks for this name, which nothing else here has.
#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(image: raw::Handle, table: *const raw::table::system::SystemTable) -> Status {
    // SAFETY: the arguments are those that the firmware gave, which runs the program.
    unsafe { firmware::start(image, table) };
    match play() {
        Ok(never) => never,
        Err(error) => {
            com1::say(format_args!("failed stand-in: {error}"));
            Status::ABORTED
        }
    }
}

fn play() -> Result<Status> {
    // Long phases must not end with a reset by the firmware.
    firmware::disable_watchdog()?;
    show("stand-in for Windows Setup");
    let own = firmware::own_device()?;
    let variant = variant(own)?;
    let mut disk = Disk::find()?;
    if Disk::is_disc(own)? { setup(variant, own, &mut disk) } else { windows(variant, &mut disk) }
}

fn setup(variant: Variant, own: Handle, disk: &mut Disk) -> Result<Status> {
    if variant == Variant::Asks {
        show("Press any key to boot from CD or DVD");
        stand_still();
    }
    com1::say("phase windows-pe");
    if variant == Variant::Silent {
        show("Select the operating system you want to install");
        stand_still();
    }
    disk.fill()?;
    disk.copy_from(own)?;
    disk.set_starts(0)?;
    reset(ResetType::COLD)
}

fn windows(variant: Variant, disk: &mut Disk) -> Result<Status> {
    let starts = disk.starts()? + 1;
    disk.set_starts(starts)?;
    if starts == 1 {
        com1::say("phase specialize");
        reset(ResetType::COLD);
    }
    com1::say("phase first-logon");
    com1::say("step drivers");
    if variant == Variant::Fails {
        com1::say("failed drivers: exit code 5");
        stand_still();
    }
    com1::say("step no sleep");
    com1::say("done");
    reset(ResetType::SHUTDOWN)
}

fn stand_still() -> ! {
    loop {
        // Until the firmware's next timer interrupt.
        x86_64::instructions::hlt();
    }
}

/// What the file `variant` says, beside this program on the volume that it was started from.
fn variant(own: Handle) -> Result<Variant> {
    match &*File::root(own)?.open("variant")?.read(Place::Anywhere)? {
        b"installs" => Ok(Variant::Installs),
        b"asks" => Ok(Variant::Asks),
        b"silent" => Ok(Variant::Silent),
        b"fails" => Ok(Variant::Fails),
        _ => Err(Status::UNSUPPORTED),
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    com1::say(format_args!("failed stand-in: {info}"));
    loop {
        x86_64::instructions::hlt();
    }
}
