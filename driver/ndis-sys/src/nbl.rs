//! Net buffer lists and what they are made of.
//!
//! A list ([`NET_BUFFER_LIST`]) holds net buffers ([`NET_BUFFER`], a frame each), which hold chains
//! of memory descriptor lists ([`MDL`]). Lists and net buffers are allocated by NDIS only, which
//! keeps private members behind those declared here.

use core::ffi::c_void;

use crate::{
    assert_layout,
    object::{NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_STATUS},
};

/// Describes a buffer in system memory.
#[repr(C)]
pub struct MDL {
    /// Next part of the same data.
    pub Next: *mut MDL,
    /// Bytes of this structure with its page numbers.
    pub Size: i16,
    /// MDL_ flags.
    pub MdlFlags: i16,
    /// The process to which the memory belongs.
    pub Process: *mut c_void,
    /// Address of the first byte, if [`MDL_MAPPED_TO_SYSTEM_VA`] or [`MDL_SOURCE_IS_NONPAGED_POOL`] is set.
    pub MappedSystemVa: *mut c_void,
    /// The first page.
    pub StartVa: *mut c_void,
    /// Length in bytes.
    pub ByteCount: u32,
    /// First byte, in bytes into the first page.
    pub ByteOffset: u32,
}
assert_layout!(MDL: 0x30 align 8 {
    Next @ 0, Size @ 8, MdlFlags @ 0xA, Process @ 0x10, MappedSystemVa @ 0x18, StartVa @ 0x20, ByteCount @ 0x28,
    ByteOffset @ 0x2C,
});

/// The memory has a system address.
pub const MDL_MAPPED_TO_SYSTEM_VA: i16 = 1;
/// The pages stay in memory.
pub const MDL_PAGES_LOCKED: i16 = 2;
/// The memory is nonpaged pool.
pub const MDL_SOURCE_IS_NONPAGED_POOL: i16 = 4;

/// One frame.
#[repr(C, align(16))]
pub struct NET_BUFFER {
    /// Next frame of the same list.
    pub Next: *mut NET_BUFFER,
    /// The part in which the data starts.
    pub CurrentMdl: *mut MDL,
    /// Where it starts there, in bytes.
    pub CurrentMdlOffset: u32,
    /// Nothing.
    pub Padding: u32,
    /// Length of the data in bytes. The headers have a 32-bit view of it as well, its lower half.
    pub DataLength: usize,
    /// All parts, with room in front of the data.
    pub MdlChain: *mut MDL,
    /// Where the data starts in all parts, in bytes.
    pub DataOffset: u32,
    /// Nothing.
    pub HeaderPadding: u32,
    /// For checksums.
    pub ChecksumBias: u16,
    /// NDIS's.
    pub Reserved: u16,
    /// The pool.
    pub NdisPoolHandle: NDIS_HANDLE,
    /// NDIS's.
    pub NdisReserved: [*mut c_void; 2],
    /// The protocol driver's.
    pub ProtocolReserved: [*mut c_void; 6],
    /// The miniport driver's.
    pub MiniportReserved: [*mut c_void; 4],
    /// For virtual machine queues.
    pub DataPhysicalAddress: u64,
    /// For virtual machine queues.
    pub SharedMemoryInfo: *mut c_void,
}
assert_layout!(NET_BUFFER: 0xB0 align 16 {
    Next @ 0, CurrentMdl @ 8, CurrentMdlOffset @ 0x10, DataLength @ 0x18, MdlChain @ 0x20, DataOffset @ 0x28,
    ChecksumBias @ 0x30, Reserved @ 0x32, NdisPoolHandle @ 0x38, NdisReserved @ 0x40, ProtocolReserved @ 0x50,
    MiniportReserved @ 0x80, DataPhysicalAddress @ 0xA0, SharedMemoryInfo @ 0xA8,
});

/// A driver's own data on a net buffer list, in front of which more can be put.
#[repr(C, align(16))]
pub struct NET_BUFFER_LIST_CONTEXT {
    /// Next context.
    pub Next: *mut NET_BUFFER_LIST_CONTEXT,
    /// Bytes of data behind this structure.
    pub Size: u16,
    /// First used byte of them.
    pub Offset: u16,
}
assert_layout!(NET_BUFFER_LIST_CONTEXT: 0x10 align 16 { Next @ 0, Size @ 8, Offset @ 0xA });

/// Slots of [`NET_BUFFER_LIST::NetBufferListInfo`] that clients of NDIS 6.80 to 6.87 know.
pub const MaxNetBufferListInfo: usize = 27;
/// Slots that NDIS itself has behind its clients' own.
pub const NDIS_PRIVATE_NET_BUFFER_LIST_INFO: usize = 2;
/// Bytes that NDIS allocates for a list.
pub const NDIS_SIZEOF_PRIVATE_NET_BUFFER_LIST: usize = 0x180;
/// Slot of the cancellation ID.
pub const NetBufferListCancelId: usize = 5;

/// One or more frames that travel together.
#[repr(C, align(16))]
pub struct NET_BUFFER_LIST {
    /// Next list of the same call.
    pub Next: *mut NET_BUFFER_LIST,
    /// The frames.
    pub FirstNetBuffer: *mut NET_BUFFER,
    /// Drivers' own data.
    pub Context: *mut NET_BUFFER_LIST_CONTEXT,
    /// The list that this one is a clone or fragment of; its maker's.
    pub ParentNetBufferList: *mut NET_BUFFER_LIST,
    /// The pool.
    pub NdisPoolHandle: NDIS_HANDLE,
    /// Nothing.
    pub Padding: usize,
    /// NDIS's.
    pub NdisReserved: [*mut c_void; 2],
    /// The protocol driver's.
    pub ProtocolReserved: [*mut c_void; 4],
    /// The miniport driver's.
    pub MiniportReserved: [*mut c_void; 2],
    /// The present holder's; undefined when the list changes hands.
    pub Scratch: *mut c_void,
    /// Handle of the binding, filter module or adapter that originated the list.
    pub SourceHandle: NDIS_HANDLE,
    /// NDIS_NBL_FLAGS_; NDIS's.
    pub NblFlags: u32,
    /// Count of clones or fragments; their maker's.
    pub ChildRefCount: i32,
    /// NBL_FLAGS_; parts belong to different drivers.
    pub Flags: u32,
    /// What became of it; valid in a completion.
    pub Status: NDIS_STATUS,
    /// Out-of-band data.
    pub NetBufferListInfo: [*mut c_void; MaxNetBufferListInfo],
}
assert_layout!(NET_BUFFER_LIST: 0x170 align 16 {
    Next @ 0, FirstNetBuffer @ 8, Context @ 0x10, ParentNetBufferList @ 0x18, NdisPoolHandle @ 0x20,
    NdisReserved @ 0x30, ProtocolReserved @ 0x40, MiniportReserved @ 0x60, Scratch @ 0x70, SourceHandle @ 0x78,
    NblFlags @ 0x80, ChildRefCount @ 0x84, Flags @ 0x88, Status @ 0x8C, NetBufferListInfo @ 0x90,
});

/// Reads a list's cancellation ID, as the macro of this name does.
///
/// # Safety
/// `list` points to a list that the caller holds, or that is not completed meanwhile.
#[must_use]
pub unsafe fn NDIS_GET_NET_BUFFER_LIST_CANCEL_ID(list: *const NET_BUFFER_LIST) -> *mut c_void {
    // SAFETY: the caller vouches for the list.
    unsafe { (*list).NetBufferListInfo[NetBufferListCancelId] }
}

/// Writes a list's cancellation ID, as the macro of this name does: a store, nothing else.
///
/// # Safety
/// `list` points to a list that the caller holds and has originated.
pub unsafe fn NDIS_SET_NET_BUFFER_LIST_CANCEL_ID(list: *mut NET_BUFFER_LIST, CancelId: *mut c_void) {
    // SAFETY: the caller vouches for the list.
    unsafe { (*list).NetBufferListInfo[NetBufferListCancelId] = CancelId }
}

/// What a pool of net buffer lists is made for.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_BUFFER_LIST_POOL_PARAMETERS {
    /// Type DEFAULT.
    pub Header: NDIS_OBJECT_HEADER,
    /// [`NDIS_PROTOCOL_ID_DEFAULT`].
    pub ProtocolId: u8,
    /// Whether each list comes with a net buffer.
    pub fAllocateNetBuffer: u8,
    /// Bytes of context of each list, a multiple of 16.
    pub ContextSize: u16,
    /// Tag of the pool's memory.
    pub PoolTag: u32,
    /// Bytes of data that come with each net buffer.
    pub DataSize: u32,
    /// Since revision 2 (NDIS 6.87).
    pub Flags: u32,
}
assert_layout!(NET_BUFFER_LIST_POOL_PARAMETERS: 0x14 align 4 {
    Header @ 0, ProtocolId @ 4, fAllocateNetBuffer @ 5, ContextSize @ 6, PoolTag @ 8, DataSize @ 0xC, Flags @ 0x10,
});

/// A pool for no particular protocol.
pub const NDIS_PROTOCOL_ID_DEFAULT: u8 = 0;

impl NET_BUFFER_LIST_POOL_PARAMETERS {
    /// A pool of lists with a net buffer each, without data and context.
    #[must_use]
    pub const fn with_net_buffers(PoolTag: u32) -> Self {
        Self {
            Header: NDIS_OBJECT_HEADER::new(
                crate::NDIS_OBJECT_TYPE_DEFAULT,
                crate::NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
                crate::NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1,
            ),
            ProtocolId: NDIS_PROTOCOL_ID_DEFAULT,
            fAllocateNetBuffer: 1,
            ContextSize: 0,
            PoolTag,
            DataSize: 0,
            Flags: 0,
        }
    }
}

/// Send: the caller is at DISPATCH_LEVEL.
pub const NDIS_SEND_FLAGS_DISPATCH_LEVEL: u32 = 1;
/// Send: the miniport driver looks for frames that are for this machine.
pub const NDIS_SEND_FLAGS_CHECK_FOR_LOOPBACK: u32 = 2;
/// Send: all lists belong to one queue.
pub const NDIS_SEND_FLAGS_SINGLE_QUEUE: u32 = 4;
/// Send complete: the caller is at DISPATCH_LEVEL.
pub const NDIS_SEND_COMPLETE_FLAGS_DISPATCH_LEVEL: u32 = 1;
/// Send complete: all lists belong to one queue.
pub const NDIS_SEND_COMPLETE_FLAGS_SINGLE_QUEUE: u32 = 2;
/// Return: the caller is at DISPATCH_LEVEL.
pub const NDIS_RETURN_FLAGS_DISPATCH_LEVEL: u32 = 1;
/// Return: all lists belong to one queue.
pub const NDIS_RETURN_FLAGS_SINGLE_QUEUE: u32 = 2;
/// Receive: the caller is at DISPATCH_LEVEL.
pub const NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL: u32 = 1;
/// Receive: the lists are the indicator's again when the call returns.
pub const NDIS_RECEIVE_FLAGS_RESOURCES: u32 = 2;
/// Receive: all frames have one EtherType.
pub const NDIS_RECEIVE_FLAGS_SINGLE_ETHER_TYPE: u32 = 0x100;
/// Receive: all frames belong to one VLAN.
pub const NDIS_RECEIVE_FLAGS_SINGLE_VLAN: u32 = 0x200;
/// Receive: all frames match the packet filter exactly.
pub const NDIS_RECEIVE_FLAGS_PERFECT_FILTERED: u32 = 0x400;
/// Receive: all lists belong to one queue.
pub const NDIS_RECEIVE_FLAGS_SINGLE_QUEUE: u32 = 0x800;
/// Receive: more lists follow soon.
pub const NDIS_RECEIVE_FLAGS_MORE_NBLS: u32 = 0x2000;

/// NblFlags: nobody may change the data of this send.
pub const NDIS_NBL_FLAGS_SEND_READ_ONLY: u32 = 1;
/// NblFlags: nobody may change the data of this receive.
pub const NDIS_NBL_FLAGS_RECV_READ_ONLY: u32 = 2;
/// NblFlags: the frame has been looped back.
pub const NDIS_NBL_FLAGS_IS_LOOPBACK_PACKET: u32 = 0x8000;

/// Flags that belong to protocol drivers (NDIS 6.30 and later).
pub const NBL_FLAGS_PROTOCOL_RESERVED: u32 = 0xFFF0_0003;
/// Flags that belong to miniport drivers.
pub const NBL_FLAGS_MINIPORT_RESERVED: u32 = 0xF000;
/// Flags that belong to the present holder.
pub const NBL_FLAGS_SCRATCH: u32 = 0x000F_0000;
/// Flags that belong to NDIS.
pub const NBL_FLAGS_NDIS_RESERVED: u32 = 0xFFC;
