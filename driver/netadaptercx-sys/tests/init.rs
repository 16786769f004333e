//! The initialisers write what the headers' macros write, and a ring's elements are found.

use std::{alloc::Layout, ptr::null_mut};

use netadaptercx_sys::*;

#[test]
fn transmit_capabilities_by_default() {
    let mut dma = NET_ADAPTER_DMA_CAPABILITIES_INIT(null_mut());
    assert_eq!((dma.Size, dma.CacheEnabled, dma.PreferredNode), (32, 2, 0x8000_0000));
    // SAFETY: every bit pattern of the union is a number.
    assert_eq!(unsafe { dma.MaximumPhysicalAddress.QuadPart }, 0);
    let tx = NET_ADAPTER_TX_CAPABILITIES_INIT_FOR_DMA(&raw mut dma, 1);
    assert_eq!((tx.Size, tx.MappingRequirement, tx.PayloadBackfill), (56, 1, 0));
    assert_eq!((tx.MaximumNumberOfFragments, tx.FragmentBufferAlignment), (u64::MAX, 1));
    assert_eq!((tx.FragmentRingNumberOfElementsHint, tx.MaximumNumberOfQueues), (0, 1));
    assert_eq!(tx.DmaCapabilities, &raw mut dma);
}

#[test]
fn receive_capabilities_by_default() {
    let mut dma = NET_ADAPTER_DMA_CAPABILITIES_INIT(null_mut());
    let rx = NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED_DMA(&raw mut dma, 1514, 1);
    assert_eq!((rx.Size, rx.AllocationMode, rx.AttachmentMode), (56, 0, 0));
    assert_eq!(
        (rx.FragmentRingNumberOfElementsHint, rx.MaximumFrameSize, rx.MaximumNumberOfQueues),
        (0, 1514, 1)
    );
    // SAFETY: the initialiser wrote this member.
    let system = unsafe { rx.u.System };
    assert_eq!((system.MappingRequirement, system.FragmentBufferAlignment), (1, 1));
    assert_eq!(system.DmaCapabilities, &raw mut dma);
}

#[test]
fn link_state_disconnected_knows_no_speed() {
    let state = NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED();
    assert_eq!((state.Size, state.TxLinkSpeed, state.RxLinkSpeed), (40, u64::MAX, u64::MAX));
    assert_eq!((state.MediaConnectState, state.MediaDuplexState), (2, 0));
    assert_eq!((state.SupportedPauseFunctions, state.AutoNegotiationFlags), (0, 0));
}

#[test]
fn queue_configuration_has_no_start_and_stop() {
    let config = NET_PACKET_QUEUE_CONFIG_INIT(None, None, None);
    assert_eq!(config.Size, 48);
    assert!(config.EvtStart.is_none() && config.EvtStop.is_none());
}

#[test]
fn link_layer_address_is_padded_with_zeros() {
    let address = NET_ADAPTER_LINK_LAYER_ADDRESS_INIT([2, 3, 4, 5, 6, 7]);
    assert_eq!(address.Length, 6);
    assert_eq!(address.Address[..7], [2, 3, 4, 5, 6, 7, 0]);
}

#[test]
fn extension_query_names_end_with_zero() {
    let query = NET_EXTENSION_QUERY_INIT(
        &NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_NAME,
        NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_VERSION_1,
        NetExtensionTypeFragment,
    );
    assert_eq!((query.Size, query.Version, query.Type), (24, 1, 2));
    let name: Vec<u16> = "ms_fragment_logicaladdress\0".encode_utf16().collect();
    assert_eq!(name, NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_NAME);
}

#[test]
fn extension_data_lie_a_stride_apart() {
    let mut data = [0_u64; 6];
    let mut extension = NET_EXTENSION::absent();
    assert!(!extension.Enabled());
    extension.Reserved[0] = data.as_mut_ptr().cast();
    extension.Reserved[1] = std::ptr::without_provenance_mut(16);
    extension.u.Enabled = 1;
    assert!(extension.Enabled());
    assert_eq!(NetExtensionGetData(&extension, 2).cast(), &raw mut data[4]);
}

#[test]
fn ring_elements_wrap() {
    let layout = Layout::from_size_align(64 + 4 * 16, 128).expect("a layout");
    // SAFETY: the layout's size is not 0.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    assert!(!memory.is_null());
    let ring: *mut NET_RING = memory.cast();
    // SAFETY: the allocation holds a ring of four elements of 16 bytes and is freed below only.
    unsafe {
        (*ring).ElementStride = 16;
        (*ring).NumberOfElements = 4;
        (*ring).ElementIndexMask = 3;
        assert_eq!(NetRingGetElementAtIndex(ring, 0).cast(), memory.add(64));
        assert_eq!(NetRingGetElementAtIndex(ring, 3).cast(), memory.add(64 + 48));
        assert_eq!(NetRingGetElementAtIndex(ring, 4).cast(), memory.add(64));
        std::alloc::dealloc(memory, layout);
    }
    assert_eq!(NetRingAdvanceIndex(3, 3, 2), 1);
    assert_eq!(NetRingGetRangeCount(3, 3, 1), 2);
    assert_eq!(NetRingGetRangeCount(3, 1, 1), 0);
}
