//! Guest memory as the front end shares it: regions of files, each with its place in the guest and in the front end.

use std::fs::File;
use std::os::fd::OwnedFd;

use vhost::vhost_user::message::FrontendReq;
use vm_memory::{FileOffset, GuestAddress, GuestMemoryAtomic, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

use super::Breach;
use super::message::longs;

/// Guest memory as the front end last shared it.
pub(crate) type Memory = GuestMemoryAtomic<GuestMemoryMmap<()>>;

/// A guest address that no region has, and that has every alignment that a ring can need.
const NOWHERE: u64 = !0xfff;
/// Bytes of a region in the table.
const ENTRY: usize = 32;

/// Where the regions seem to lie in the front end, by whose addresses it names rings.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

#[derive(Debug)]
struct Place {
    front_end: u64,
    guest: u64,
    len: u64,
}

impl Places {
    /// The guest's address of what the front end has at `address`; one that is nowhere if it has not shared it.
    pub(super) fn guest(&self, address: u64) -> u64 {
        let found = self.0.iter().find_map(|place| {
            let offset = address.checked_sub(place.front_end).filter(|offset| *offset < place.len)?;
            place.guest.checked_add(offset)
        });
        found.unwrap_or(NOWHERE)
    }
}

/// Maps the regions in the body of SET_MEM_TABLE, each with its descriptor.
pub(super) fn map(body: &[u8], descriptors: Vec<OwnedFd>) -> Result<(GuestMemoryMmap<()>, Places), Breach> {
    let malformed = || Breach::Body(FrontendReq::SET_MEM_TABLE, body.len());
    let (count, table) = body.split_first_chunk::<8>().ok_or_else(malformed)?;
    // The upper half is padding.
    let count = u64::from_le_bytes(*count) & u64::from(u32::MAX);
    if usize::try_from(count).ok().and_then(|count| count.checked_mul(ENTRY)) != Some(table.len()) {
        return Err(malformed());
    }
    if usize::try_from(count) != Ok(descriptors.len()) {
        return Err(Breach::Descriptors(FrontendReq::SET_MEM_TABLE, descriptors.len()));
    }
    let mut regions = Vec::new();
    let mut places = Places::default();
    for (entry, descriptor) in table.chunks(ENTRY).zip(descriptors) {
        let [guest, len, front_end, offset] = longs(entry).ok_or_else(malformed)?;
        let impossible = |why: &dyn std::fmt::Display| {
            Breach::Memory(format!("region at {guest:#x} of {len:#x} bytes: {why}"))
        };
        let size = usize::try_from(len).map_err(|error| impossible(&error))?;
        if front_end.checked_add(len).is_none() {
            return Err(impossible(&"it runs past the front end's last address"));
        }
        let mapped = MmapRegion::from_file(FileOffset::new(File::from(descriptor), offset), size);
        let mapped = mapped.map_err(|error| impossible(&error))?;
        let region = GuestRegionMmap::new(mapped, GuestAddress(guest));
        regions.push(region.ok_or_else(|| impossible(&"it runs past the guest's last address"))?);
        places.0.push(Place { front_end, guest, len });
    }
    regions.sort_by_key(vm_memory::GuestMemoryRegion::start_addr);
    let memory = GuestMemoryMmap::from_regions(regions).map_err(|error| Breach::Memory(error.to_string()))?;
    Ok((memory, places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_shared_are_nowhere() {
        let place = |front_end, guest, len| Place { front_end, guest, len };
        let places = Places(vec![place(0x7000, 0, 0x1000), place(0x9000, u64::MAX, 0x1000)]);
        assert_eq!((places.guest(0x7000), places.guest(0x7fff)), (0, 0xfff));
        for address in [0, 0x6fff, 0x8000, 0x9001, u64::MAX] {
            assert_eq!(places.guest(address), NOWHERE, "{address:#x}");
        }
        assert_eq!(Places::default().guest(0x7000), NOWHERE);
    }
}
