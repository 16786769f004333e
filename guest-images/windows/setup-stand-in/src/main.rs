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

use uefi::{
    CStr16, Result, Status, boot, cstr16,
    prelude::entry,
    proto::{
        loaded_image::LoadedImage,
        media::file::{File as _, FileAttribute, FileMode},
    },
    runtime::{self, ResetType},
    system,
};

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

#[entry]
fn main() -> Status {
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
    boot::set_watchdog_timer(0, 0x1_0000, None)?;
    show(cstr16!("stand-in for Windows Setup"));
    let variant = variant()?;
    let own = boot::open_protocol_exclusive::<LoadedImage>(boot::image_handle())?.device();
    let own = own.ok_or(Status::NOT_FOUND)?;
    let mut disk = Disk::find()?;
    if Disk::is_disc(own)? { setup(variant, own, &mut disk) } else { windows(variant, &mut disk) }
}

fn setup(variant: Variant, own: uefi::Handle, disk: &mut Disk) -> Result<Status> {
    if variant == Variant::Asks {
        show(cstr16!("Press any key to boot from CD or DVD"));
        stand_still();
    }
    com1::say("phase windows-pe");
    if variant == Variant::Silent {
        show(cstr16!("Select the operating system you want to install"));
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

/// Shows a line on the screen, for whoever looks at a picture of it.
fn show(line: &CStr16) {
    system::with_stdout(|out| {
        // The firmware reports an error if one of its consoles fails, be it another than the screen.
        let _ = out.output_string(line);
        let _ = out.output_string(cstr16!("\r\n"));
    });
}

fn reset(kind: ResetType) -> ! {
    runtime::reset(kind, Status::SUCCESS, None)
}

fn stand_still() -> ! {
    loop {
        // Until the firmware's next timer interrupt.
        x86_64::instructions::hlt();
    }
}

/// What the file `variant` says, beside this program on the volume that it was started from.
fn variant() -> Result<Variant> {
    let mut volume = boot::get_image_file_system(boot::image_handle())?;
    let mut root = volume.open_volume()?;
    let file = root.open(cstr16!("variant"), FileMode::Read, FileAttribute::empty())?;
    let mut text = [0; 16];
    let mut file = file.into_regular_file().ok_or(Status::UNSUPPORTED)?;
    let length = file.read(&mut text)?;
    match &text[..length] {
        b"installs" => Ok(Variant::Installs),
        b"asks" => Ok(Variant::Asks),
        b"silent" => Ok(Variant::Silent),
        b"fails" => Ok(Variant::Fails),
        _ => Err(Status::UNSUPPORTED.into()),
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    com1::say(format_args!("failed stand-in: {info}"));
    loop {
        x86_64::instructions::hlt();
    }
}
