use super::*;
use alloc::boxed::Box;
use core::ptr::null_mut;

/// A list with one NET_BUFFER over `cuts` of `bytes`, the data starting `lead` bytes into the first.
struct Made {
    list: Box<[u128; NDIS_SIZEOF_PRIVATE_NET_BUFFER_LIST / 16]>,
    buffer: Box<NET_BUFFER>,
    mdls: Vec<MDL>,
    _data: Vec<Vec<u8>>,
}

fn made(cuts: &[&[u8]], lead: u32) -> Made {
    let mut data: Vec<Vec<u8>> = cuts.iter().map(|cut| cut.to_vec()).collect();
    let mut mdls: Vec<MDL> = data
        .iter_mut()
        .map(|bytes| MDL {
            Next: null_mut(),
            Size: 0x30,
            MdlFlags: MDL_SOURCE_IS_NONPAGED_POOL,
            Process: null_mut(),
            MappedSystemVa: bytes.as_mut_ptr().cast(),
            StartVa: null_mut(),
            ByteCount: bytes.len() as u32,
            ByteOffset: 0,
        })
        .collect();
    for at in 1..mdls.len() {
        mdls[at - 1].Next = &raw mut mdls[at];
    }
    let total: usize = cuts.iter().map(|cut| cut.len()).sum();
    // SAFETY: all zero bits are valid for a NET_BUFFER: pointers and numbers.
    let mut buffer: Box<NET_BUFFER> = Box::new(unsafe { core::mem::zeroed() });
    buffer.MdlChain = &raw mut mdls[0];
    buffer.CurrentMdl = buffer.MdlChain;
    buffer.CurrentMdlOffset = lead;
    buffer.DataOffset = lead;
    buffer.DataLength = total - lead as usize;
    let mut list = Box::new([0_u128; NDIS_SIZEOF_PRIVATE_NET_BUFFER_LIST / 16]);
    let pointer = list.as_mut_ptr().cast::<NET_BUFFER_LIST>();
    // SAFETY: the box has the private size.
    unsafe {
        (*pointer).FirstNetBuffer = &raw mut *buffer;
        poison_private(pointer);
    }
    Made { list, buffer, mdls, _data: data }
}

impl Made {
    fn nbl(&mut self) -> Nbl {
        // SAFETY: the box lives as long as `self`.
        unsafe { Nbl::new(self.list.as_mut_ptr() as List) }
    }

    fn buffer(&mut self) -> Buffer {
        // SAFETY: the box and its MDLs live as long as `self`.
        unsafe { Buffer::new(&raw mut *self.buffer) }
    }
}

#[test]
fn data_is_read_across_mdls() {
    let mut made = made(&[b"..abc", b"defgh"], 2);
    assert_eq!(made.buffer().copy().unwrap(), b"abcdefgh");
    assert_eq!(made.buffer().pieces().unwrap().iter().map(|piece| piece.len).collect::<Vec<_>>(), [3, 5]);
}

#[test]
fn a_length_beyond_the_mdls_is_refused() {
    let mut made = made(&[b"abc"], 0);
    made.buffer.DataLength = 4;
    assert_eq!(made.buffer().pieces().unwrap_err().rule, "InvalidNetBuffer");
}

#[test]
fn an_offset_that_does_not_lead_to_the_current_mdl_is_refused() {
    let mut made = made(&[b"abc"], 1);
    made.buffer.DataOffset = 0;
    assert_eq!(made.buffer().pieces().unwrap_err().rule, "InvalidNetBuffer");
}

#[test]
fn a_shape_tells_data_and_marks_apart() {
    let mut made = made(&[b"abc"], 0);
    let before = made.nbl().shape(Way::Send).unwrap();
    made.nbl().set_cancel_id(7);
    let marked = made.nbl().shape(Way::Send).unwrap();
    assert_eq!((marked.cancel_id, before.difference(&marked)), (7, None));
    made.mdls[0].ByteCount = 2;
    made.buffer.DataLength = 2;
    assert!(before.difference(&made.nbl().shape(Way::Send).unwrap()).unwrap().contains("DataLength"));
}

#[test]
fn who_gets_a_list_may_use_its_own_words() {
    let mut made = made(&[b"abc"], 0);
    let before = made.nbl().shape(Way::Send).unwrap();
    made.nbl().set_miniport_word(9);
    made.nbl().set_status(-1);
    made.nbl().set_next(0x40);
    assert_eq!(before.difference(&made.nbl().shape(Way::Send).unwrap()), None);
}

#[test]
fn a_written_private_slot_is_found() {
    let mut made = made(&[b"abc"], 0);
    made.list[0x170 / 16] = 0;
    assert_eq!(made.nbl().shape(Way::Send).unwrap_err().rule, "PrivateSlotsWritten");
}

#[test]
fn chains_are_walked_to_their_end() {
    let mut lists = [made(&[b"a"], 0), made(&[b"b"], 0)];
    let addresses: Vec<List> = lists.iter_mut().map(|made| made.nbl().list()).collect();
    // SAFETY: the boxes live.
    let first = unsafe { link(&addresses) };
    assert_eq!(walk(first, |_| true).unwrap(), addresses);

    lists[1].nbl().set_next(addresses[0]);
    assert_eq!(walk(first, |_| true).unwrap_err().rule, "ChainHasCycle");
    assert_eq!(walk(first, |list| list == addresses[0]).unwrap_err().rule, "NotANetBufferList");
    assert_eq!(walk(null_mut(), |_| true).unwrap_err().rule, "EmptyChain");
}
