//! Every structure of this crate has the published size, alignment, field offsets and bit fields
//! (`facts/netadaptercx-layout.json`: what a C compiler makes of the headers), and every
//! function its published index.

use std::{collections::BTreeSet, fs, path::PathBuf};

use header_check::{BitField, Field, Layout, Structure, layout, number};
use netadaptercx_sys::*;
use serde_json::Value;

/// Types that are no structure of the headers of their own, each with the reason.
const EXCEPTIONS: [(&str, &str); 6] = [
    ("NET_RING_RESERVED", "unnamed part of NET_RING, checked through it"),
    ("NET_EXTENSION_STATE", "unnamed part of NET_EXTENSION, checked through it"),
    ("NET_ADAPTER_RX_BUFFERS", "unnamed part of NET_ADAPTER_RX_CAPABILITIES, checked through it"),
    ("NET_ADAPTER_RX_SYSTEM_BUFFERS", "unnamed part of NET_ADAPTER_RX_CAPABILITIES, checked through it"),
    ("NetFunctions", "this crate's own"),
    ("$", "what the macro `handle` declares: opaque, behind a pointer"),
];

/// Structures that consist of bit fields here and of named fields in the headers; see `bit_fields`.
const BIT_FIELD_MEMBER: &str = "Bits";

fn layouts() -> Vec<Layout> {
    vec![
        layout!(NET_RING as "NET_RING": OSReserved1 = OSReserved1, ElementStride = ElementStride, NumberOfElements = NumberOfElements, ElementIndexMask = ElementIndexMask, EndIndex = EndIndex, OSReserved0 = u.OSReserved0, OSReserved2 = u.OSReserved2, BeginIndex = BeginIndex, NextIndex = NextIndex, Scratch = Scratch, Buffer = Buffer),
        layout!(NET_RING_COLLECTION as "NET_RING_COLLECTION": Rings = Rings),
        layout!(NET_PACKET_LAYOUT as "NET_PACKET_LAYOUT": Layer2HeaderLength = Bits),
        layout!(NET_PACKET as "NET_PACKET": FragmentIndex = FragmentIndex, FragmentCount = FragmentCount, Layout = Layout, Ignore = Bits),
        layout!(NET_FRAGMENT as "NET_FRAGMENT": ValidLength = Bits),
        layout!(NET_EXTENSION as "NET_EXTENSION": Reserved = Reserved, Enabled = u.Enabled, Reserved1 = u.Reserved1),
        layout!(NET_EXTENSION_QUERY as "NET_EXTENSION_QUERY": Size = Size, Name = Name, Version = Version, Type = Type),
        layout!(NET_FRAGMENT_VIRTUAL_ADDRESS as "NET_FRAGMENT_VIRTUAL_ADDRESS": VirtualAddress = VirtualAddress),
        layout!(NET_FRAGMENT_LOGICAL_ADDRESS as "NET_FRAGMENT_LOGICAL_ADDRESS": LogicalAddress = LogicalAddress),
        layout!(NET_DRIVER_GLOBALS as "NET_DRIVER_GLOBALS": Unused = Unused),
        layout!(NET_PACKET_QUEUE_CONFIG as "NET_PACKET_QUEUE_CONFIG_2_0": Size = Size, EvtStart = EvtStart, EvtStop = EvtStop, EvtAdvance = EvtAdvance, EvtSetNotificationEnabled = EvtSetNotificationEnabled, EvtCancel = EvtCancel),
        layout!(NET_PACKET_QUEUE_CONFIG_2_5 as "NET_PACKET_QUEUE_CONFIG": Size = Earlier.Size, EvtStart = Earlier.EvtStart, EvtStop = Earlier.EvtStop, EvtAdvance = Earlier.EvtAdvance, EvtSetNotificationEnabled = Earlier.EvtSetNotificationEnabled, EvtCancel = Earlier.EvtCancel, ExecutionContext = ExecutionContext),
        layout!(NET_ADAPTER_DATAPATH_CALLBACKS as "NET_ADAPTER_DATAPATH_CALLBACKS": Size = Size, EvtAdapterCreateTxQueue = EvtAdapterCreateTxQueue, EvtAdapterCreateRxQueue = EvtAdapterCreateRxQueue),
        layout!(NET_ADAPTER_LINK_LAYER_ADDRESS as "NET_ADAPTER_LINK_LAYER_ADDRESS": Length = Length, Address = Address),
        layout!(NET_ADAPTER_LINK_LAYER_CAPABILITIES as "NET_ADAPTER_LINK_LAYER_CAPABILITIES": Size = Size, MaxTxLinkSpeed = MaxTxLinkSpeed, MaxRxLinkSpeed = MaxRxLinkSpeed),
        layout!(NET_ADAPTER_LINK_STATE as "NET_ADAPTER_LINK_STATE": Size = Size, TxLinkSpeed = TxLinkSpeed, RxLinkSpeed = RxLinkSpeed, MediaConnectState = MediaConnectState, MediaDuplexState = MediaDuplexState, SupportedPauseFunctions = SupportedPauseFunctions, AutoNegotiationFlags = AutoNegotiationFlags),
        layout!(NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES as "NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES": Size = Size, SupportedPacketFilters = SupportedPacketFilters, MaximumMulticastAddresses = MaximumMulticastAddresses, EvtSetReceiveFilter = EvtSetReceiveFilter),
        layout!(NET_ADAPTER_DMA_CAPABILITIES as "NET_ADAPTER_DMA_CAPABILITIES": Size = Size, DmaEnabler = DmaEnabler, MaximumPhysicalAddress = MaximumPhysicalAddress, CacheEnabled = CacheEnabled, PreferredNode = PreferredNode),
        layout!(NET_ADAPTER_TX_CAPABILITIES as "NET_ADAPTER_TX_CAPABILITIES": Size = Size, MappingRequirement = MappingRequirement, PayloadBackfill = PayloadBackfill, MaximumNumberOfFragments = MaximumNumberOfFragments, FragmentBufferAlignment = FragmentBufferAlignment, FragmentRingNumberOfElementsHint = FragmentRingNumberOfElementsHint, MaximumNumberOfQueues = MaximumNumberOfQueues, DmaCapabilities = DmaCapabilities),
        layout!(NET_ADAPTER_RX_CAPABILITIES as "NET_ADAPTER_RX_CAPABILITIES": Size = Size, AllocationMode = AllocationMode, AttachmentMode = AttachmentMode, FragmentRingNumberOfElementsHint = FragmentRingNumberOfElementsHint, MaximumFrameSize = MaximumFrameSize, MaximumNumberOfQueues = MaximumNumberOfQueues, EvtAdapterReturnRxBuffer = u.EvtAdapterReturnRxBuffer, MappingRequirement = u.System.MappingRequirement, FragmentBufferAlignment = u.System.FragmentBufferAlignment, DmaCapabilities = u.System.DmaCapabilities),
    ]
}

/// Bit fields: structure in the facts, field, first byte of that structure, bytes that a value with
/// only this field set to all ones has.
fn bit_fields() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    fn packet(set: impl Fn(&mut NET_PACKET)) -> Vec<u8> {
        let mut packet = NET_PACKET::default();
        set(&mut packet);
        let mut bytes = vec![0; 6];
        bytes.extend(packet.Layout.Bits);
        bytes.push(packet.Bits);
        bytes
    }
    fn layout(set: impl Fn(&mut NET_PACKET_LAYOUT)) -> Vec<u8> {
        packet(|packet| set(&mut packet.Layout))[6..11].to_vec()
    }
    fn fragment(set: impl Fn(&mut NET_FRAGMENT)) -> Vec<u8> {
        let mut fragment = NET_FRAGMENT::default();
        set(&mut fragment);
        fragment.Bits.to_le_bytes().to_vec()
    }
    let p = "NET_PACKET";
    let l = "NET_PACKET_LAYOUT";
    let f = "NET_FRAGMENT";
    vec![
        (l, "Layer2HeaderLength", layout(|v| v.set_Layer2HeaderLength(0xff))),
        (l, "Layer3HeaderLength", layout(|v| v.set_Layer3HeaderLength(0xffff))),
        (l, "Layer4HeaderLength", layout(|v| v.set_Layer4HeaderLength(0xff))),
        (l, "Layer2Type", layout(|v| v.set_Layer2Type(0xff))),
        (l, "Layer3Type", layout(|v| v.set_Layer3Type(0xff))),
        (l, "Layer4Type", layout(|v| v.set_Layer4Type(0xff))),
        (l, "Reserved0", layout(|v| v.set_Reserved0(0xff))),
        (p, "Ignore", packet(|v| v.set_Ignore(true))),
        (p, "Scratch", packet(|v| v.set_Scratch(true))),
        (p, "Reserved1", packet(|v| v.set_Reserved1(0xff))),
        (f, "ValidLength", fragment(|v| v.set_ValidLength(u32::MAX))),
        (f, "Capacity", fragment(|v| v.set_Capacity(u32::MAX))),
        (f, "Offset", fragment(|v| v.set_Offset(u16::MAX))),
        (f, "Scratch", fragment(|v| v.set_Scratch(true))),
        (f, "OsReserved_Bounced", fragment(|v| v.set_OsReserved_Bounced(true))),
    ]
}

fn is_bits(field: &Field) -> bool {
    field.path == BIT_FIELD_MEMBER
}

/// Names that this crate gives to parts without one.
const UNNAMED: [&str; 3] = ["u", "System", "Earlier"];

/// For C: as Rust lays the structures out.
fn structures() -> Vec<Structure> {
    let bits = bit_fields();
    let bits_of = |layout: &Layout| {
        bits.iter()
            .filter(|(fact, ..)| *fact == layout.fact)
            .map(|(_, name, bytes)| BitField::of_ones(name, bytes).expect("one run of bits"))
            .collect()
    };
    layouts()
        .iter()
        .map(|layout| Structure { bit_fields: bits_of(layout), ..layout.structure(&UNNAMED, is_bits) })
        .collect()
}

/// For C: as they are published.
fn published() -> Vec<Structure> {
    let facts = facts();
    let mut structures = structures();
    for (structure, layout) in structures.iter_mut().zip(layouts()) {
        let mut bit_fields = std::mem::take(&mut structure.bit_fields);
        for field in &mut bit_fields {
            let fact = &facts[layout.fact]["fields"][&field.name];
            (field.first, field.width) = (number(&fact["bit_offset"]), number(&fact["bits"]));
        }
        *structure = Structure { bit_fields, ..layout.published(&facts, &UNNAMED, is_bits) };
    }
    structures
}

/// This package's folder at run time: a compiled-in path would name the tree that a copy was made from.
fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it").into()
}

fn facts() -> Value {
    let path = package().join("facts/netadaptercx-layout.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the facts are in the repository")).expect("JSON")
}

/// Names of every structure and union in this crate's source, those that macros declare included.
fn declared() -> BTreeSet<String> {
    let source = package().join("src");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(source).expect("the source folder") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a source file");
        for item in syn::parse_file(&text).expect("the source is Rust").items {
            match item {
                syn::Item::Struct(item) => _ = names.insert(item.ident.to_string()),
                syn::Item::Union(item) => _ = names.insert(item.ident.to_string()),
                syn::Item::Macro(item) => {
                    let text = item.mac.tokens.to_string();
                    let words: Vec<_> = text.split_whitespace().collect();
                    for pair in words.windows(2).filter(|pair| ["struct", "union"].contains(&pair[0])) {
                        names.insert(pair[1].to_owned());
                    }
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn every_structure_is_checked_or_excepted() {
    let checked: BTreeSet<_> = layouts().iter().map(|layout| layout.name).collect();
    let declared = declared();
    assert!(declared.len() > checked.len(), "the scan misses structures: {declared:?}");
    for name in &checked {
        assert!(declared.contains(*name), "{name} is checked but not declared");
    }
    let missing: Vec<_> = declared
        .iter()
        .filter(|name| !checked.contains(name.as_str()))
        .filter(|name| EXCEPTIONS.iter().all(|(except, _)| except != name))
        .collect();
    assert!(missing.is_empty(), "neither checked nor excepted: {missing:?}");
}

#[test]
fn every_field_of_the_headers_is_checked() {
    let facts = facts();
    let bits = bit_fields();
    for layout in layouts() {
        for name in facts[layout.fact]["fields"].as_object().expect("fields").keys() {
            let plain = layout.fields.iter().any(|field| field.name == name);
            let bit = bits.iter().any(|(fact, field, _)| *fact == layout.fact && field == name);
            assert!(plain || bit, "{}.{name} is not checked", layout.fact);
        }
    }
}

#[test]
fn layouts_match_the_published_headers() {
    let facts = facts();
    let differences: Vec<String> =
        layouts().iter().flat_map(|layout| layout.differences(&facts, is_bits)).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn bit_fields_match_the_published_headers() {
    let facts = facts();
    for (structure, field, bytes) in bit_fields() {
        let set: Vec<u64> = (0..bytes.len() as u64 * 8)
            .filter(|bit| bytes[*bit as usize / 8] >> (bit % 8) & 1 == 1)
            .collect();
        let fact = &facts[structure]["fields"][field];
        let first = fact["bit_offset"].as_u64().expect("an offset");
        let width = fact["bits"].as_u64().expect("a width");
        assert_eq!(set, (first..first + width).collect::<Vec<_>>(), "{structure}.{field}");
    }
}

#[test]
fn bit_fields_read_back_what_was_set_and_leave_the_others() {
    let mut fragment = NET_FRAGMENT { Bits: u64::MAX };
    fragment.set_ValidLength(1514);
    fragment.set_Capacity(2048);
    fragment.set_Offset(12);
    assert_eq!((fragment.ValidLength(), fragment.Capacity(), fragment.Offset()), (1514, 2048, 12));
    assert!(fragment.Scratch() && fragment.OsReserved_Bounced());
    fragment.set_Scratch(false);
    assert!(!fragment.Scratch() && fragment.OsReserved_Bounced());

    let mut layout = NET_PACKET_LAYOUT { Bits: [0xff; 5] };
    layout.set_Layer2HeaderLength(14);
    layout.set_Layer3HeaderLength(20);
    layout.set_Layer4HeaderLength(8);
    layout.set_Layer2Type(NetPacketLayer2TypeEthernet);
    layout.set_Layer3Type(NetPacketLayer3TypeIPv4NoOptions);
    layout.set_Layer4Type(NetPacketLayer4TypeUdp);
    assert_eq!(
        (layout.Layer2HeaderLength(), layout.Layer3HeaderLength(), layout.Layer4HeaderLength()),
        (14, 20, 8)
    );
    assert_eq!((layout.Layer2Type(), layout.Layer3Type(), layout.Layer4Type()), (2, 3, 2));
    assert_eq!(layout.Reserved0(), 0xf);

    let mut packet = NET_PACKET { Bits: 0xff, ..NET_PACKET::default() };
    packet.set_Ignore(false);
    assert!(!packet.Ignore() && packet.Scratch() && packet.Reserved1() == 0x3f);
}

/// The program that is kept is for the kit's headers of NetAdapterCx 2.1.
#[test]
fn c_agrees() {
    let includes = "#define NETADAPTER_VERSION_MAJOR 2\n#define NETADAPTER_VERSION_MINOR 1\n#include <ntddk.h>\n\
                    #include <wdf.h>\n#include <netadaptercx.h>\n#include <net/virtualaddress.h>\n\
                    #include <net/logicaladdress.h>";
    header_check::judge("netadaptercx", includes, &structures(), &published()).expect("C and Rust agree");
}

/// The facts list the table of version 2.5; an earlier version has the beginning of it.
#[test]
fn functions_stand_at_their_published_indices() {
    let facts = include_str!("../facts/netadaptercx-functions.txt");
    let published: Vec<&str> = facts
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let (number, name) = line.split_once(' ').expect("number and name");
            assert_eq!(number.parse(), Ok(index), "the facts are numbered in order");
            name
        })
        .collect();
    assert_eq!(NET_FUNCTION_NAMES[..], published[..]);
    assert_eq!(index::NetRxQueueGetExtension, 62);
    assert_eq!(index::NetWakeSourceListGetElement, NET_FUNCTION_COUNT_2_0 - 1);
    assert_eq!(index::NetAdapterSetReceiveFilterCapabilities, 76);
    assert_eq!(index::NetReceiveFilterGetMulticastAddressList, NET_FUNCTION_COUNT - 1);
}
