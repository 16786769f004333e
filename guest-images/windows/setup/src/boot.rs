//! The key that an installation ISO wants pressed before it starts, and how to do without.
//!
//! The ISO's EFI boot image, `efisys.bin`, waits for a key; a second one that lies beside it, `efisys_noprompt.bin`,
//! does not. El Torito's boot catalog says where the boot image begins, so four bytes decide which one starts.

use std::io::{Read, Seek, SeekFrom, Write};

use crate::{Udf, UdfFault};

/// The boot image that asks.
const ASKS: &str = "efi/microsoft/boot/efisys.bin";
/// The boot image that does not.
const DOES_NOT_ASK: &str = "efi/microsoft/boot/efisys_noprompt.bin";
/// Sectors of the disc.
const SECTOR: u64 = 2048;
/// Where El Torito's boot record stands.
const BOOT_RECORD: u64 = 17 * SECTOR;
/// Platform of a catalog's entry: EFI.
const EFI: u8 = 0xef;
/// Boot images are of some 1.5 MB; more than this is none.
const LARGEST: u64 = 64 << 20;

/// Why an ISO goes on asking.
#[derive(Debug, thiserror::Error)]
pub enum BootFault {
    /// The disc cannot be read or written.
    #[error(transparent)]
    Disc(#[from] UdfFault),
    /// It starts no EFI machine.
    #[error("it has no El Torito boot catalog with an EFI entry")]
    NoCatalog,
    /// Somebody has changed it already, or made it in another way.
    #[error("its EFI boot image is neither {ASKS} nor {DOES_NOT_ASK}")]
    Unknown,
    /// The other boot image cannot be pointed at.
    #[error("{DOES_NOT_ASK} does not lie in one piece on the disc, or is too large")]
    Pieces,
}

/// Lets an ISO start without a key. True if it was changed, false if it did not ask before.
///
/// # Errors
/// [`BootFault`]; the ISO is as it was then, unless writing itself failed.
pub fn skip_key_prompt<D: Read + Write + Seek>(disc: D) -> Result<bool, BootFault> {
    let mut udf = Udf::open(disc)?;
    let (asks, does_not) = (udf.find(ASKS)?, udf.find(DOES_NOT_ASK)?);
    if asks.size > LARGEST || does_not.size > LARGEST {
        return Err(BootFault::Pieces);
    }
    let place = does_not.in_one_piece().ok_or(BootFault::Pieces)?;
    let target = u32::try_from(place / SECTOR).ok().filter(|_| place.is_multiple_of(SECTOR));
    let target = target.ok_or(BootFault::Pieces)?;
    let asking = udf.read(&asks, 0, asks.size as usize)?;
    let silent = udf.read(&does_not, 0, does_not.size as usize)?;

    let mut disc = udf.into_inner();
    let entry = efi_entry(&mut disc)?;
    // bootable, no emulation, ..., sectors of 512 bytes to load, first sector (El Torito 2.3)
    let (old_count, first) = (6, 8);
    let mut bytes = read(&mut disc, entry, 32)?;
    let began = u32::from_le_bytes([bytes[first], bytes[first + 1], bytes[first + 2], bytes[first + 3]]);
    let began = u64::from(began) * SECTOR;
    let begins_with =
        |disc: &mut D, image: &[u8]| read(disc, began, image.len()).is_ok_and(|found| found == image);
    if began == place || begins_with(&mut disc, &silent) {
        return Ok(false);
    }
    if !begins_with(&mut disc, &asking) {
        return Err(BootFault::Unknown);
    }
    let count = u16::from_le_bytes([bytes[old_count], bytes[old_count + 1]]);
    // fewer than 2 means the whole image; otherwise it has to cover the new one
    if count > 1 && silent.len() > usize::from(count) * 512 {
        let needed = u16::try_from(silent.len().div_ceil(512)).map_err(|_| BootFault::Pieces)?;
        bytes[old_count..old_count + 2].copy_from_slice(&needed.to_le_bytes());
    }
    bytes[first..first + 4].copy_from_slice(&target.to_le_bytes());
    disc.seek(SeekFrom::Start(entry)).map_err(UdfFault::Io)?;
    disc.write_all(&bytes).and_then(|()| disc.flush()).map_err(UdfFault::Io)?;
    Ok(true)
}

/// Byte offset of the boot catalog's first bootable entry for EFI.
fn efi_entry<D: Read + Seek>(disc: &mut D) -> Result<u64, BootFault> {
    let record = read(disc, BOOT_RECORD, SECTOR as usize)?;
    if &record[..6] != b"\0CD001" || !record[7..].starts_with(b"EL TORITO SPECIFICATION") {
        return Err(BootFault::NoCatalog);
    }
    let sector = u32::from_le_bytes([record[71], record[72], record[73], record[74]]);
    let at = u64::from(sector) * SECTOR;
    let catalog = read(disc, at, SECTOR as usize)?;
    let sum = catalog[..32].chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    if catalog[0] != 1 || sum.fold(0, u16::wrapping_add) != 0 {
        return Err(BootFault::NoCatalog);
    }
    // validation entry (its platform is that of the entry behind it), then sections: a header and its entries
    let mut platform = catalog[1];
    for (index, entry) in catalog.chunks(32).enumerate().skip(1) {
        match entry[0] {
            0x90 | 0x91 => platform = entry[1],
            0x88 if platform == EFI => return Ok(at + index as u64 * 32),
            _ => {}
        }
    }
    Err(BootFault::NoCatalog)
}

fn read<D: Read + Seek>(disc: &mut D, at: u64, length: usize) -> Result<Vec<u8>, BootFault> {
    let mut bytes = vec![0; length];
    disc.seek(SeekFrom::Start(at)).and_then(|_| disc.read_exact(&mut bytes)).map_err(UdfFault::Io)?;
    Ok(bytes)
}
