//! Extensions: further data beside each element of a ring, found by name through a query.

use core::ffi::c_void;

use crate::assert_layout;

/// Which ring's elements an extension belongs to.
pub type NET_EXTENSION_TYPE = i32;
/// Of packets.
pub const NetExtensionTypePacket: NET_EXTENSION_TYPE = 1;
/// Of fragments.
pub const NetExtensionTypeFragment: NET_EXTENSION_TYPE = 2;
/// Of data buffers.
pub const NetExtensionTypeBuffer: NET_EXTENSION_TYPE = 3;

/// Whether an extension is there; the rest of the word is the framework's.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NET_EXTENSION_STATE {
    /// Not 0: elements carry the extension.
    pub Enabled: u8,
    /// The framework's.
    pub Reserved1: *mut c_void,
}

/// Where an extension's data lie, as a query answered.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_EXTENSION {
    /// The framework's; the first word is the address of element 0's data, the second the distance
    /// in bytes between two elements' data.
    pub Reserved: [*mut c_void; 4],
    /// Whether it is there.
    pub u: NET_EXTENSION_STATE,
}
assert_layout!(NET_EXTENSION: 40 align 8 {
    Reserved @ 0, u @ 0x20, u.Enabled @ 0x20, u.Reserved1 @ 0x20,
});

impl NET_EXTENSION {
    /// An extension that is not there, to be filled in by a query.
    #[must_use]
    pub const fn absent() -> Self {
        let nothing = core::ptr::null_mut();
        Self { Reserved: [nothing; 4], u: NET_EXTENSION_STATE { Reserved1: nothing } }
    }

    /// Whether elements carry the extension.
    #[must_use]
    pub const fn Enabled(&self) -> bool {
        // SAFETY: both members of the union are plain words of which every value is valid.
        unsafe { self.u.Enabled != 0 }
    }
}

/// Address of the extension's data of element `Index`; `Index` is within the ring.
#[must_use]
pub fn NetExtensionGetData(Extension: &NET_EXTENSION, Index: u32) -> *mut c_void {
    let stride = Extension.Reserved[1].addr();
    Extension.Reserved[0].wrapping_byte_add(stride * Index as usize)
}

/// What a client asks for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_EXTENSION_QUERY {
    /// Size of this structure.
    pub Size: u32,
    /// Zero-terminated UTF-16 name.
    pub Name: *const u16,
    /// Version, from 1.
    pub Version: u32,
    /// Of which elements.
    pub Type: NET_EXTENSION_TYPE,
}
assert_layout!(NET_EXTENSION_QUERY: 24 align 8 { Size @ 0, Name @ 8, Version @ 0x10, Type @ 0x14 });

/// A query for one extension.
#[must_use]
pub const fn NET_EXTENSION_QUERY_INIT(
    Name: &'static [u16],
    Version: u32,
    Type: NET_EXTENSION_TYPE,
) -> NET_EXTENSION_QUERY {
    assert!(matches!(Name, [.., 0]), "extension names end with a zero");
    NET_EXTENSION_QUERY { Size: size_of::<NET_EXTENSION_QUERY>() as u32, Name: Name.as_ptr(), Version, Type }
}

/// ASCII as zero-terminated UTF-16; `N` is one more than the text's length.
const fn utf16<const N: usize>(text: &str) -> [u16; N] {
    let text = text.as_bytes();
    assert!(text.len() + 1 == N);
    let mut units = [0; N];
    let mut at = 0;
    while at < text.len() {
        units[at] = text[at] as u16;
        at += 1;
    }
    units
}

/// Name of the fragments' virtual addresses.
pub static NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME: [u16; 27] = utf16("ms_fragment_virtualaddress");
/// The only version.
pub const NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_VERSION_1: u32 = 1;
/// Name of the fragments' logical addresses: where a device finds them.
pub static NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_NAME: [u16; 27] = utf16("ms_fragment_logicaladdress");
/// The only version.
pub const NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_VERSION_1: u32 = 1;

/// A fragment's address for the processor.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_FRAGMENT_VIRTUAL_ADDRESS {
    /// Of the buffer's first byte; the data begin `Offset` behind it.
    pub VirtualAddress: *mut c_void,
}
assert_layout!(NET_FRAGMENT_VIRTUAL_ADDRESS: 8 align 8 { VirtualAddress @ 0 });

/// A fragment's address for a device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NET_FRAGMENT_LOGICAL_ADDRESS {
    /// Of the buffer's first byte; the data begin `Offset` behind it.
    pub LogicalAddress: u64,
}
assert_layout!(NET_FRAGMENT_LOGICAL_ADDRESS: 8 align 8 { LogicalAddress @ 0 });
