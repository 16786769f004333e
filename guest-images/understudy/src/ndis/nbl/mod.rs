//! Net buffer lists in memory: chains walked, shapes taken, data read. All that follows their pointers is here.

use alloc::{collections::BTreeSet, format, vec::Vec};
use ndis_sys::{
    MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_SOURCE_IS_NONPAGED_POOL, NDIS_SIZEOF_PRIVATE_NET_BUFFER_LIST,
    NET_BUFFER, NET_BUFFER_LIST, NetBufferListCancelId,
};
use understudy_rules::ndis::ledger::{Broken, List, Way};
use understudy_rules::ndis::shape::{FIELDS, Part, Shape, digest};

/// What NDIS's two private information slots hold: nobody else may use them.
pub(crate) const PRIVATE_POISON: u64 = 0x5ec2_e75e_c2e7_5ec2;
/// Bytes of NET_BUFFER_LIST that drivers know.
const KNOWN: usize = size_of::<NET_BUFFER_LIST>() - 8;
/// Where the two private slots begin: behind the 27 known ones.
const PRIVATE: usize = KNOWN;
/// More NET_BUFFERs or MDLs in one chain are a cycle.
const MOST_PARTS: usize = 4096;
/// Flags that belong to the protocol.
const PROTOCOL_FLAGS: u32 = 0xfff0_0003;
/// Information slots that a miniport may write on the way back: large-send results.
const RESULT_SLOTS: [usize; 2] = [2, 22];

/// A list that lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nbl(*mut NET_BUFFER_LIST);

impl Nbl {
    /// The list at this address.
    ///
    /// # Safety
    /// It lives as long as this value is used, with the size that NDIS gives it, and nobody writes it meanwhile but
    /// who holds it.
    #[must_use]
    pub(crate) unsafe fn new(list: List) -> Self {
        Self(list as *mut NET_BUFFER_LIST)
    }

    /// Its address.
    #[must_use]
    pub(crate) fn list(self) -> List {
        self.0 as List
    }

    /// A reference for one access.
    fn get(&self) -> &NET_BUFFER_LIST {
        // SAFETY: it lives, by the contract of `new`.
        unsafe { &*self.0 }
    }

    /// The next list of the chain.
    #[must_use]
    pub(crate) fn next(self) -> List {
        self.get().Next as List
    }

    /// Chains `next` behind it; 0 ends the chain.
    pub(crate) fn set_next(self, next: List) {
        // SAFETY: it lives, by the contract of `new`; so for all writes below.
        unsafe { (*self.0).Next = next as *mut NET_BUFFER_LIST };
    }

    /// Status.
    #[must_use]
    pub(crate) fn status(self) -> i32 {
        self.get().Status
    }

    /// Writes Status.
    pub(crate) fn set_status(self, status: i32) {
        // SAFETY: as in `set_next`.
        unsafe { (*self.0).Status = status };
    }

    /// NetBufferListCancelId.
    #[must_use]
    pub(crate) fn cancel_id(self) -> u64 {
        self.get().NetBufferListInfo[NetBufferListCancelId] as u64
    }

    /// Writes NetBufferListCancelId.
    pub(crate) fn set_cancel_id(self, id: u64) {
        // SAFETY: as in `set_next`.
        unsafe { (*self.0).NetBufferListInfo[NetBufferListCancelId] = id as *mut _ };
    }

    /// Writes SourceHandle.
    pub(crate) fn set_source(self, handle: u64) {
        // SAFETY: as in `set_next`.
        unsafe { (*self.0).SourceHandle = handle as *mut _ };
    }

    /// The miniport's two words.
    #[must_use]
    pub(crate) fn miniport_word(self) -> u64 {
        self.get().MiniportReserved[0] as u64
    }

    /// Writes the first of the miniport's words.
    pub(crate) fn set_miniport_word(self, word: u64) {
        // SAFETY: as in `set_next`.
        unsafe { (*self.0).MiniportReserved[0] = word as *mut _ };
    }

    /// Its NET_BUFFERs in order.
    ///
    /// # Errors
    /// Their chain does not end.
    pub(crate) fn buffers(self) -> Result<Vec<Buffer>, Broken> {
        let mut found = Vec::new();
        let mut buffer = self.get().FirstNetBuffer;
        while !buffer.is_null() {
            if found.len() == MOST_PARTS {
                return Err(broken(self.list(), "the chain of NET_BUFFERs does not end"));
            }
            found.push(Buffer(buffer));
            // SAFETY: net buffers of a list live as long as the list.
            buffer = unsafe { (*buffer).Next };
        }
        Ok(found)
    }

    /// What the list looks like now.
    ///
    /// # Errors
    /// A NET_BUFFER does not hold together, or NDIS's private slots were written.
    pub(crate) fn shape(self, way: Way) -> Result<Shape, Broken> {
        // SAFETY: NDIS's own lists have the private size.
        let private = unsafe { self.0.cast::<u8>().add(PRIVATE).cast::<[u64; 2]>().read() };
        if private != [PRIVATE_POISON; 2] {
            let place = format!("list {:#x}: the private slots hold {private:#x?}", self.list());
            return Err(Broken::new("PrivateSlotsWritten", place));
        }
        let list = self.get();
        let word = |pointer: *mut core::ffi::c_void| pointer as u64;
        // a send's maker is the protocol or a filter, a receive's the miniport or a filter: each has its area
        let reserved = match way {
            Way::Send => list.ProtocolReserved.map(word),
            Way::Receive => {
                let [first, second] = list.MiniportReserved.map(word);
                [first, second, 0, 0]
            }
        };
        let info = list.NetBufferListInfo.iter().enumerate();
        let info = info.filter(|(at, _)| *at != NetBufferListCancelId && !RESULT_SLOTS.contains(at));
        let fields: [u64; FIELDS.len()] = [
            list.FirstNetBuffer as u64,
            list.Context as u64,
            list.ParentNetBufferList as u64,
            list.NdisPoolHandle as u64,
            digest(0, &list.NdisReserved.map(|word| word as usize as u64).map(u64::to_le_bytes).concat()),
            reserved[0],
            reserved[1],
            digest(reserved[2], &reserved[3].to_le_bytes()),
            list.NblFlags.into(),
            (list.Flags & PROTOCOL_FLAGS).into(),
            info.fold(0, |value, (_, &slot)| digest(value, &(slot as u64).to_le_bytes())),
        ];
        let mut shape = Shape {
            source: list.SourceHandle as u64,
            cancel_id: self.cancel_id(),
            fields,
            ..Shape::default()
        };
        for buffer in self.buffers()? {
            for piece in &buffer.pieces()? {
                // SAFETY: `pieces` names memory that the MDLs describe, mapped as long as the list is under way.
                shape.data = digest(shape.data, unsafe { piece.bytes() });
            }
            shape.parts.push(buffer.part());
        }
        Ok(shape)
    }
}

fn broken(at: usize, what: &str) -> Broken {
    Broken::new("InvalidNetBuffer", format!("{at:#x}: {what}"))
}

/// The MDLs of a chain, a cycle cut off.
fn mdls(first: *mut MDL) -> Vec<*mut MDL> {
    let mut found = Vec::new();
    let mut mdl = first;
    while !mdl.is_null() && found.len() < MOST_PARTS {
        found.push(mdl);
        // SAFETY: MDLs of a list live as long as it is under way.
        mdl = unsafe { (*mdl).Next };
    }
    found
}

/// A run of used bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Address of the first byte.
    pub address: usize,
    /// Bytes, not 0.
    pub len: usize,
}

impl Piece {
    /// The bytes.
    ///
    /// # Safety
    /// The memory is mapped, and nobody writes it while the slice lives.
    #[must_use]
    pub(crate) unsafe fn bytes(&self) -> &[u8] {
        // SAFETY: by contract.
        unsafe { core::slice::from_raw_parts(self.address as *const u8, self.len) }
    }
}

/// A NET_BUFFER that lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buffer(*mut NET_BUFFER);

impl Buffer {
    /// The NET_BUFFER at this address.
    ///
    /// # Safety
    /// It and its MDLs live as long as this value is used, and nobody writes them meanwhile but who holds the list.
    #[must_use]
    pub(crate) unsafe fn new(buffer: *mut NET_BUFFER) -> Self {
        Self(buffer)
    }

    /// The NET_BUFFER for whoever holds the list.
    #[must_use]
    pub(crate) fn pointer(self) -> *mut NET_BUFFER {
        self.0
    }

    /// A reference for one access.
    fn get(&self) -> &NET_BUFFER {
        // SAFETY: it lives, by the contract of `new`: net buffers of a list live as long as the list.
        unsafe { &*self.0 }
    }

    fn part(self) -> Part {
        let buffer = self.get();
        let mut chain = 0;
        for mdl in mdls(buffer.MdlChain) {
            // SAFETY: MDLs of a list live as long as it is under way.
            let mdl = unsafe { &*mdl };
            chain = digest(
                chain,
                &[mdl.MappedSystemVa as u64, mdl.ByteCount.into()].map(u64::to_le_bytes).concat(),
            );
        }
        [
            core::ptr::from_ref(buffer) as u64,
            buffer.CurrentMdl as u64,
            buffer.CurrentMdlOffset.into(),
            buffer.DataLength as u64,
            buffer.MdlChain as u64,
            buffer.DataOffset.into(),
            chain,
        ]
    }

    /// The used data of a NET_BUFFER, piece by piece.
    ///
    /// # Errors
    /// Its MDLs do not hold what it says: CurrentMdl and its offset, DataOffset, DataLength.
    pub(crate) fn pieces(self) -> Result<Vec<Piece>, Broken> {
        let at = self.0 as usize;
        let buffer = self.get();
        let chain = mdls(buffer.MdlChain);
        if chain.len() == MOST_PARTS {
            return Err(broken(at, "the chain of MDLs does not end"));
        }
        let mut before = 0;
        let mut left = buffer.DataLength;
        let mut found = Vec::new();
        let mut begun = false;
        for mdl in chain {
            // SAFETY: MDLs of a list live as long as it is under way.
            let this = unsafe { &*mdl };
            let count = this.ByteCount as usize;
            let mut offset = 0;
            if !begun {
                if mdl != buffer.CurrentMdl {
                    before += count;
                    continue;
                }
                begun = true;
                offset = buffer.CurrentMdlOffset as usize;
                if before + offset != buffer.DataOffset as usize || offset > count {
                    return Err(broken(at, "DataOffset does not lead to CurrentMdl and CurrentMdlOffset"));
                }
            }
            let len = left.min(count - offset);
            if len != 0 {
                if this.MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL) == 0 {
                    return Err(broken(at, "an MDL is not mapped"));
                }
                found.push(Piece { address: this.MappedSystemVa as usize + offset, len });
                left -= len;
            }
            if left == 0 {
                break;
            }
        }
        if left == 0 { Ok(found) } else { Err(broken(at, "DataLength is more than its MDLs hold")) }
    }

    /// All used bytes of a NET_BUFFER, copied.
    ///
    /// # Errors
    /// As [`Self::pieces`].
    pub(crate) fn copy(self) -> Result<Vec<u8>, Broken> {
        let mut bytes = Vec::new();
        for piece in self.pieces()? {
            // SAFETY: `pieces` names memory that the MDLs describe; the copy ends before anybody else runs with it.
            bytes.extend_from_slice(unsafe { piece.bytes() });
        }
        Ok(bytes)
    }
}

/// Walks a chain that a driver passes.
///
/// # Errors
/// It is empty, has a cycle, or holds what `lives` does not know.
pub(crate) fn walk(first: *mut NET_BUFFER_LIST, lives: impl Fn(List) -> bool) -> Result<Vec<List>, Broken> {
    if first.is_null() {
        return Err(Broken::new("EmptyChain", "the chain of NET_BUFFER_LISTs is NULL".into()));
    }
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut list = first as List;
    while list != 0 {
        if !lives(list) {
            let place =
                format!("{list:#x}, number {} of the chain, is no NET_BUFFER_LIST that lives", found.len());
            return Err(Broken::new("NotANetBufferList", place));
        }
        if !seen.insert(list) {
            let place = format!("list {list:#x} stands in its chain twice");
            return Err(Broken::new("ChainHasCycle", place));
        }
        found.push(list);
        // SAFETY: it lives: the books know it.
        list = unsafe { Nbl::new(list) }.next();
    }
    Ok(found)
}

/// Chains the lists in order and returns the first, NULL for none.
///
/// # Safety
/// All of them live and are the caller's.
pub(crate) unsafe fn link(lists: &[List]) -> *mut NET_BUFFER_LIST {
    for (at, &list) in lists.iter().enumerate() {
        // SAFETY: by contract.
        unsafe { Nbl::new(list) }.set_next(lists.get(at + 1).copied().unwrap_or_default());
    }
    lists.first().map_or(core::ptr::null_mut(), |&list| list as *mut NET_BUFFER_LIST)
}

/// Sets the private slots of a fresh list.
///
/// # Safety
/// `list` has NDIS_SIZEOF_PRIVATE_NET_BUFFER_LIST bytes that are the caller's.
pub(crate) unsafe fn poison_private(list: *mut NET_BUFFER_LIST) {
    const { assert!(PRIVATE + 16 <= NDIS_SIZEOF_PRIVATE_NET_BUFFER_LIST) };
    // SAFETY: by contract; the slots lie within the private size.
    unsafe { list.cast::<u8>().add(PRIVATE).cast::<[u64; 2]>().write([PRIVATE_POISON; 2]) };
}

#[cfg(test)]
mod tests;
