//! The stand-in image: understudy on a disk that firmware starts, in the place of Windows.
//!
//! The disk has one partition, the EFI system partition, with the loader under the name that firmware looks for, the
//! kernel, the archive with the drivers and the kernel's command line. Like an installed Windows, all of it is fixed:
//! the rig tells such a guest nothing before its agent speaks.

use super::place::Place;
use crate::build;
use crate::fat;
use anyhow::{Context as _, Result, ensure};
use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::{GptConfig, partition_types};
use lab::base::artefact::{Artefact, Built};
use lab::base::files::Files;
use lab::base::places;
use lab::machine::store::manifest::{Description, DriverFile, ImageKind, Machine};
use lab::machine::store::{Image, Store};
use lab::settings::Settings;
use std::fs;
use std::io::Cursor;
use std::process::Command;
use understudy_loader::paths;

/// The whole disk, and on it the EFI system partition: as small as FAT16 allows with room for the files.
const DISK: u64 = 40 << 20;
const PARTITION: u64 = 36 << 20;
/// The machine: firmware and understudy need no more, and it is what a dump of its memory holds.
const MACHINE: Machine = Machine { memory_mb: 256, cpus: 2, accel: String::new() };
/// The name of the image, unless another is chosen.
const NAME: &str = "stand-in";

/// Arguments of `cargo rig image stand-in`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo rig image stand-in                         make the image `stand-in`\n  \
    cargo rig test --guest windows --image stand-in  run the scenarios on it")]
pub(crate) struct Options {
    /// Name of the image
    #[arg(long, default_value = NAME)]
    name: String,
    /// Limit the guest to what Windows can do: the filter sends the frames, a disabled device pauses the data path
    #[arg(long)]
    like_windows: bool,
    #[command(flatten)]
    place: Place,
    /// Show cargo's own output
    #[arg(short, long)]
    verbose: bool,
}

/// Makes the image out of what the build makes.
pub(crate) fn make(options: &Options) -> Result<bool> {
    let store = options.place.open()?;
    let built = build::build(build::Options { test_builds: false, verbose: options.verbose })?;
    let settings = Settings::new(Files::shipped(&built));
    let loader = build::loader()?;
    let guest = if options.like_windows { ImageKind::StandInLikeWindows } else { ImageKind::StandIn };
    let image = write(&store, &options.name, guest, &loader, &built, &settings)?;
    println!("{}  {}", image.manifest().name, image.disk().display());
    Ok(true)
}

/// Makes an image that starts understudy with the drivers and the command line of `settings`.
pub(crate) fn write(
    store: &Store,
    name: &str,
    guest: ImageKind,
    loader: &Artefact,
    built: &Built,
    settings: &Settings,
) -> Result<Image> {
    let (firmware, qemu_img) = (places::ovmf()?, places::qemu_img()?);
    let draft = store.begin(name)?;
    let disk = disk(&[
        (fat::BOOT_PROGRAM.into(), fs::read(&loader.path)?),
        (on_fat(paths::KERNEL), without_symbols(fs::read(&built.understudy.path)?)?),
        (on_fat(paths::BUNDLE), settings.files.bundle()?),
        (on_fat(paths::COMMAND_LINE), settings.command_line().into_bytes()),
    ])?;
    let raw = draft.disk().with_extension("raw");
    fs::write(&raw, disk).with_context(|| format!("writing {}", raw.display()))?;
    let mut convert = Command::new(qemu_img);
    convert.args(["convert", "-f", "raw", "-O", "qcow2"]).arg(&raw).arg(draft.disk());
    let converted = convert.output().context("starting qemu-img")?;
    ensure!(
        converted.status.success(),
        "qemu-img makes no disk: {}",
        String::from_utf8_lossy(&converted.stderr).trim()
    );
    fs::remove_file(&raw)?;
    fs::copy(&firmware.vars, draft.vars()).context("copying the firmware's variables")?;
    let drivers = settings.files.drivers.iter();
    let description = Description {
        guest,
        release: "understudy".into(),
        edition: settings.command_line(),
        build: built.understudy.sha256.chars().take(12).collect(),
        iso_sha256: None,
        drivers: drivers
            .map(|driver| DriverFile {
                file: format!("{}.sys", driver.name),
                sha256: driver.image.sha256.clone(),
            })
            .collect(),
        agent: Some(env!("CARGO_PKG_VERSION").into()),
        settings: Machine { accel: "tcg".into(), ..MACHINE },
    };
    draft.seal(description, &mut |_, _| ())
}

/// A disk with one EFI system partition that holds these files.
fn disk(files: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut disk = Cursor::new(vec![0; DISK as usize]);
    let blocks = u32::try_from(DISK / 512 - 1).context("blocks of the disk")?;
    ProtectiveMBR::with_lb_size(blocks).overwrite_lba0(&mut disk).context("the disk's first block")?;
    let mut table = GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(&mut disk, None)
        .context("the disk's partition table")?;
    let number = table.add_partition("EFI system", PARTITION, partition_types::EFI, 0, None)?;
    let partition = table.partitions().get(&number).context("the partition has gone")?;
    let at = usize::try_from(partition.bytes_start(LogicalBlockSize::Lb512)?)?;
    table.write().context("the disk's partition table")?;

    let mut disk = disk.into_inner();
    let room = disk.get_mut(at..at + PARTITION as usize).context("the partition is not on the disk")?;
    let files: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), &content[..])).collect();
    room.copy_from_slice(&fat::volume(room.len(), &files)?);
    Ok(disk)
}

/// A path of the loader's, from the volume's top.
fn on_fat(path: &str) -> String {
    path.trim_start_matches('\\').replace('\\', "/")
}

/// An ELF file without what lies behind its segments and is for debuggers: firmware reads slowly.
fn without_symbols(mut file: Vec<u8>) -> Result<Vec<u8>> {
    use object::LittleEndian as LE;
    use object::elf::FileHeader64;
    use object::read::elf::{FileHeader as _, ProgramHeader as _};

    let header = FileHeader64::<LE>::parse(&*file).context("understudy is no ELF file")?;
    let programs = header.program_headers(LE, &*file).context("understudy's ELF file")?;
    let ends = programs.iter().map(|program| program.p_offset(LE) + program.p_filesz(LE));
    let end = usize::try_from(ends.max().unwrap_or_default())?;
    ensure!(end > 64 && end <= file.len(), "understudy's ELF file is cut short");
    file.truncate(end);
    // e_shoff, then e_shnum and e_shstrndx: no sections
    file[0x28..0x30].fill(0);
    file[0x3c..0x40].fill(0);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fatfs::{FileSystem, FsOptions};
    use std::io::Read as _;

    #[test]
    fn files_on_the_disk_are_found_through_its_partition_table() {
        let content = vec![7; 3 << 20];
        let disk =
            disk(&[(fat::BOOT_PROGRAM.into(), b"MZ".to_vec()), (on_fat(paths::KERNEL), content.clone())])
                .unwrap();
        let table = GptConfig::new().open_from_device(Cursor::new(disk.clone())).unwrap();
        let partition = table.partitions().values().next().unwrap();
        assert_eq!((table.partitions().len(), &partition.part_type_guid), (1, &partition_types::EFI));
        let at = partition.bytes_start(LogicalBlockSize::Lb512).unwrap() as usize;
        let room = disk[at..at + PARTITION as usize].to_vec();
        let volume = FileSystem::new(Cursor::new(room), FsOptions::new()).unwrap();
        let mut read = Vec::new();
        volume.root_dir().open_file("understudy/kernel").unwrap().read_to_end(&mut read).unwrap();
        assert!(read == content);
        assert!(volume.root_dir().open_file("efi/boot/bootx64.efi").is_ok());
    }
}
