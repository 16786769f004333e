//! The disk that is installed to, block by block.

use firmware::{
    Handle, Result, Status,
    block::BlockDevice,
    memory::{MemoryType, Place, pages},
};

/// Where the count of starts is, bytes from the disk's start: behind every boot image.
const COUNT_AT: u64 = 16 << 20;
/// Marks it.
const MARK: &[u8; 8] = b"STARTS=\0";
/// Where the filling begins, and how much it is: more than Setup writes before it copies Windows.
const FILL_AT: u64 = 32 << 20;
const FILL: u64 = 96 << 20;
/// Bytes moved at a time; a multiple of every block size.
const CHUNK: usize = 256 << 10;

/// The one disk that can be written.
pub(crate) struct Disk {
    device: BlockDevice,
    /// Of [`CHUNK`] bytes, aligned for every device.
    buffer: &'static mut [u8],
}

impl Disk {
    /// Finds it.
    pub(crate) fn find() -> Result<Self> {
        for device in BlockDevice::all()? {
            let device = device?;
            let media = device.media();
            let whole = media.present && !media.partition;
            if whole && !media.read_only && media.block_size == 512 {
                let buffer = pages(Place::Anywhere, MemoryType::LOADER_DATA, CHUNK)?;
                return Ok(Self { device, buffer });
            }
        }
        Err(Status::NOT_FOUND)
    }

    /// Whether a volume is on a disc, which cannot be written.
    pub(crate) fn is_disc(volume: Handle) -> Result<bool> {
        Ok(BlockDevice::of(volume)?.media().read_only)
    }

    /// Makes the disk's start a copy of a volume, which the firmware then starts from.
    pub(crate) fn copy_from(&mut self, volume: Handle) -> Result {
        let mut source = BlockDevice::of(volume)?;
        let size = u64::from(source.media().block_size);
        // Some firmware takes the device to be longer than the volume on it.
        source.read(0, &mut self.buffer[..size as usize])?;
        let all = volume_size(self.buffer);
        let mut at = 0;
        while at < all.min(COUNT_AT) {
            let bytes = (all - at).min(CHUNK as u64) as usize;
            source.read(at / size, &mut self.buffer[..bytes])?;
            self.write(at, bytes)?;
            at += bytes as u64;
        }
        self.device.flush()
    }

    /// Writes as much as an installation would at its least.
    pub(crate) fn fill(&mut self) -> Result {
        self.buffer.fill(0x5a);
        for chunk in 0..FILL / CHUNK as u64 {
            self.write(FILL_AT + chunk * CHUNK as u64, CHUNK)?;
        }
        Ok(())
    }

    /// How often the disk was started from.
    pub(crate) fn starts(&mut self) -> Result<u8> {
        self.device.read(COUNT_AT / 512, &mut self.buffer[..512])?;
        if &self.buffer[..8] == MARK { Ok(self.buffer[8]) } else { Err(Status::NOT_FOUND) }
    }

    /// Notes how often the disk was started from.
    pub(crate) fn set_starts(&mut self, starts: u8) -> Result {
        self.buffer[..512].fill(0);
        self.buffer[..8].copy_from_slice(MARK);
        self.buffer[8] = starts;
        self.write(COUNT_AT, 512)?;
        self.device.flush()
    }

    /// Writes the first bytes of the buffer.
    fn write(&mut self, at: u64, bytes: usize) -> Result {
        self.device.write(at / 512, &self.buffer[..bytes])
    }
}

/// Bytes of a FAT volume, as its first sector tells: bytes of a sector, and their number in 16 bits or in 32.
fn volume_size(first: &[u8]) -> u64 {
    let field = |at: usize, bytes: usize| {
        first[at..at + bytes].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    };
    let sectors = if field(19, 2) == 0 { field(32, 4) } else { field(19, 2) };
    field(11, 2) * sectors
}
