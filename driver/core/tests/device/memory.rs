//! Guest memory: what the driver reaches by pointer and the device by address.

use std::{cell::Cell, ptr::NonNull};

use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Start of the guest's memory for the device.
const BASE: u64 = 0x4000_0000;

/// Memory of one machine, handed out once and never taken back.
pub(crate) struct Guest {
    pub memory: GuestMemoryMmap,
    next: Cell<u64>,
    end: u64,
}

impl Guest {
    pub(crate) fn new(bytes: usize) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(BASE), bytes)]).expect("memory");
        Self { memory, next: Cell::new(BASE), end: BASE + bytes as u64 }
    }

    /// `len` bytes: for the driver, and for the device. Page-aligned.
    pub(crate) fn alloc(&self, len: usize) -> (NonNull<u8>, u64) {
        let address = self.next.get();
        self.next.set((address + len as u64).next_multiple_of(4096));
        assert!(self.next.get() <= self.end, "the test needs more guest memory");
        let pointer = self.memory.get_host_address(GuestAddress(address)).expect("inside");
        (NonNull::new(pointer).expect("mapped"), address)
    }

    pub(crate) fn read(&self, address: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read_slice(&mut bytes, GuestAddress(address)).expect("inside");
        bytes
    }

    pub(crate) fn write(&self, address: u64, bytes: &[u8]) {
        self.memory.write_slice(bytes, GuestAddress(address)).expect("inside");
    }
}
