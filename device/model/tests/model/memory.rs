//! Guest memory that writes down every access of the device, and what the queue's status register read at
//! that moment: what another processor could have seen.

use std::cell::{Cell, RefCell};

use cancelnic_model::StatusRegister;
use cancelnic_registers::StatusWord;
use vm_memory::bitmap::BS;
use vm_memory::guest_memory::{GuestMemorySliceIterator, Result};
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};

/// One access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    pub address: u64,
    pub len: usize,
    pub write: bool,
    /// The watched status register, when the access began.
    pub status: StatusWord,
    /// The watched used ring's index, when the access began.
    pub used_idx: u16,
}

impl Access {
    pub(crate) fn touches(&self, from: u64, len: u64) -> bool {
        self.address < from + len && from < self.address + self.len as u64
    }
}

/// The memory.
pub(crate) struct Watched {
    pub inner: GuestMemoryMmap<()>,
    register: RefCell<StatusRegister>,
    used_idx: Cell<GuestAddress>,
    log: RefCell<Vec<Access>>,
}

impl Watched {
    pub(crate) fn new(bytes: usize) -> Watched {
        Watched {
            inner: GuestMemoryMmap::from_ranges(&[(GuestAddress(0), bytes)]).unwrap(),
            register: RefCell::default(),
            used_idx: Cell::default(),
            log: RefCell::default(),
        }
    }

    /// From here on, `register` and the index of the used ring at `used` are looked at on every access.
    pub(crate) fn watch(&self, register: StatusRegister, used: u64) {
        self.register.replace(register);
        self.used_idx.set(GuestAddress(used + 2));
    }

    /// The accesses since the last call.
    pub(crate) fn accesses(&self) -> Vec<Access> {
        self.log.take()
    }
}

impl GuestMemory for Watched {
    type PhysicalMemory = GuestMemoryMmap<()>;
    type Bitmap = <GuestMemoryMmap<()> as GuestMemory>::Bitmap;

    fn check_range(&self, addr: GuestAddress, count: usize, access: Permissions) -> bool {
        GuestMemory::check_range(&self.inner, addr, count, access)
    }

    fn get_slices<'a>(
        &'a self,
        addr: GuestAddress,
        count: usize,
        access: Permissions,
    ) -> Result<impl GuestMemorySliceIterator<'a, BS<'a, Self::Bitmap>>> {
        self.log.borrow_mut().push(Access {
            address: addr.0,
            len: count,
            write: access != Permissions::Read,
            status: self.register.borrow().read(),
            used_idx: self.inner.read_obj(self.used_idx.get()).map_or(0, u16::from_le),
        });
        GuestMemory::get_slices(&self.inner, addr, count, access)
    }
}
