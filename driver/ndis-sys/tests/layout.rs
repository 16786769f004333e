//! Every structure of this crate has the published size, alignment and field offsets
//! (`facts/ndis-layout.txt`), every revision its size, and the constants their values.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    mem::offset_of,
    path::Path,
};

use header_check::Structure;
use ndis_sys::*;

/// Size, alignment, field offsets, in bytes.
type Layout = (usize, usize, Vec<(String, usize)>);

macro_rules! layouts {
    ($($name:ident { $($field:ident),+ $(,)? })+) => {
        BTreeMap::from([$((
            stringify!($name).to_owned(),
            (
                size_of::<$name>(),
                align_of::<$name>(),
                vec![$((stringify!($field).to_owned(), offset_of!($name, $field))),+],
            ),
        )),+])
    };
}

fn compiled() -> BTreeMap<String, Layout> {
    layouts! {
        NDIS_OBJECT_HEADER { Type, Revision, Size }
        NDIS_FILTER_DRIVER_CHARACTERISTICS {
            Header, MajorNdisVersion, MinorNdisVersion, MajorDriverVersion, MinorDriverVersion, Flags, FriendlyName,
            UniqueName, ServiceName, SetOptionsHandler, SetFilterModuleOptionsHandler, AttachHandler, DetachHandler,
            RestartHandler, PauseHandler, SendNetBufferListsHandler, SendNetBufferListsCompleteHandler,
            CancelSendNetBufferListsHandler, ReceiveNetBufferListsHandler, ReturnNetBufferListsHandler,
            OidRequestHandler, OidRequestCompleteHandler, CancelOidRequestHandler, DevicePnPEventNotifyHandler,
            NetPnPEventHandler, StatusHandler, DirectOidRequestHandler, DirectOidRequestCompleteHandler,
            CancelDirectOidRequestHandler, SynchronousOidRequestHandler, SynchronousOidRequestCompleteHandler,
        }
        NDIS_FILTER_ATTACH_PARAMETERS {
            Header, IfIndex, NetLuid, FilterModuleGuidName, BaseMiniportIfIndex, BaseMiniportInstanceName,
            BaseMiniportName, MediaConnectState, MediaDuplexState, XmitLinkSpeed, RcvLinkSpeed, MiniportMediaType,
            MiniportPhysicalMediaType, MiniportMediaSpecificAttributes, DefaultOffloadConfiguration,
            MacAddressLength, CurrentMacAddress, BaseMiniportNetLuid, LowerIfIndex, LowerIfNetLuid, Flags,
            HDSplitCurrentConfig, ReceiveFilterCapabilities, MiniportPhysicalDeviceObject, NicSwitchCapabilities,
            BaseMiniportIfConnectorPresent, SriovCapabilities, NicSwitchArray,
        }
        NDIS_FILTER_ATTRIBUTES { Header, Flags }
        NDIS_FILTER_PAUSE_PARAMETERS { Header, Flags, PauseReason }
        NDIS_FILTER_RESTART_PARAMETERS {
            Header, MiniportMediaType, MiniportPhysicalMediaType, RestartAttributes, LowerIfIndex, LowerIfNetLuid,
            Flags,
        }
        NDIS_RESTART_ATTRIBUTES { Next, Oid, DataLength, Data }
        NDIS_FILTER_PARTIAL_CHARACTERISTICS {
            Header, Flags, SendNetBufferListsHandler, SendNetBufferListsCompleteHandler,
            CancelSendNetBufferListsHandler, ReceiveNetBufferListsHandler, ReturnNetBufferListsHandler,
        }
        NET_BUFFER_LIST {
            Next, FirstNetBuffer, Context, ParentNetBufferList, NdisPoolHandle, NdisReserved, ProtocolReserved,
            MiniportReserved, Scratch, SourceHandle, NblFlags, ChildRefCount, Flags, Status, NetBufferListInfo,
        }
        NET_BUFFER_LIST_CONTEXT { Next, Size, Offset }
        NET_BUFFER {
            Next, CurrentMdl, CurrentMdlOffset, DataLength, MdlChain, DataOffset, ChecksumBias, Reserved,
            NdisPoolHandle, NdisReserved, ProtocolReserved, MiniportReserved, DataPhysicalAddress, SharedMemoryInfo,
        }
        MDL { Next, Size, MdlFlags, Process, MappedSystemVa, StartVa, ByteCount, ByteOffset }
        NET_BUFFER_LIST_POOL_PARAMETERS {
            Header, ProtocolId, fAllocateNetBuffer, ContextSize, PoolTag, DataSize, Flags,
        }
        NDIS_OID_REQUEST {
            Header, RequestType, PortNumber, Timeout, RequestId, RequestHandle, DATA, NdisReserved,
            MiniportReserved, SourceReserved, SupportedRevision, SwitchId, VPortId, Flags,
        }
        NDIS_STATUS_INDICATION {
            Header, SourceHandle, PortNumber, StatusCode, Flags, DestinationHandle, RequestId, StatusBuffer,
            StatusBufferSize, Guid, NdisReserved,
        }
        NET_PNP_EVENT { NetEvent, Buffer, BufferLength, NdisReserved }
        NET_PNP_EVENT_NOTIFICATION { Header, PortNumber, NetPnPEvent, Flags, SwitchId, VPortId }
        NET_DEVICE_PNP_EVENT {
            Header, PortNumber, DevicePnPEvent, InformationBuffer, InformationBufferLength, NdisReserved,
        }
        NDIS_DEVICE_OBJECT_ATTRIBUTES {
            Header, DeviceName, SymbolicName, MajorFunctions, ExtensionSize, DefaultSDDLString, DeviceClassGuid,
        }
        NDIS_EVENT { Event }
        NDIS_SPIN_LOCK { SpinLock, OldIrql }
    }
}

/// The table of published numbers.
fn published() -> BTreeMap<String, Layout> {
    let hexadecimal = |text: &str| usize::from_str_radix(text, 16).expect("a hexadecimal number");
    let mut layouts = BTreeMap::<String, Layout>::new();
    let mut current = String::new();
    let facts = include_str!("../facts/ndis-layout.txt");
    for line in facts.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [field, offset] => {
                let (_, _, fields) = layouts.get_mut(&current).expect("a structure before its fields");
                fields.push((field.to_owned(), hexadecimal(offset)));
            }
            [name, size, align] => {
                current = name.to_owned();
                layouts.insert(current.clone(), (hexadecimal(size), hexadecimal(align), Vec::new()));
            }
            _ => panic!("`{line}` is neither a structure nor a field"),
        }
    }
    layouts
}

/// Names of the structures that this crate's source declares.
fn declared() -> BTreeSet<String> {
    let source = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(source).expect("a source folder") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a source file");
        for item in syn::parse_file(&text).expect("Rust").items {
            if let syn::Item::Struct(item) = item {
                names.insert(item.ident.to_string());
            }
        }
    }
    names
}

#[test]
fn structures_are_laid_out_as_published() {
    assert_eq!(compiled(), published());
}

/// The program that is kept is for the kit's headers of NDIS 6.80.
#[test]
fn c_agrees() {
    let structures = |layouts: BTreeMap<String, Layout>| -> Vec<Structure> {
        let structure =
            |(name, (size, align, fields))| Structure { name, size, align, fields, bit_fields: vec![] };
        layouts.into_iter().map(structure).collect()
    };
    let includes = "#define NDIS680 1\n#include <ntddk.h>\n#include <ndis.h>";
    header_check::judge("ndis", includes, &structures(compiled()), &structures(published()))
        .expect("C and Rust agree");
}

#[test]
fn every_structure_is_in_the_table() {
    // parts of NDIS_OID_REQUEST without a name of their own in the headers; see the next test
    let unnamed =
        ["NDIS_OID_REQUEST_INFORMATION", "NDIS_OID_REQUEST_METHOD"].map(str::to_owned).into_iter().collect();
    let table: BTreeSet<String> = published().into_keys().collect();
    assert_eq!(declared().difference(&table).cloned().collect::<BTreeSet<_>>(), unnamed);
}

#[test]
fn parts_of_an_oid_request_stand_where_published() {
    type R = NDIS_OID_REQUEST;
    let query = [
        offset_of!(R, DATA.Information.Oid),
        offset_of!(R, DATA.Information.InformationBuffer),
        offset_of!(R, DATA.Information.InformationBufferLength),
        offset_of!(R, DATA.Information.BytesTransferred),
        offset_of!(R, DATA.Information.BytesNeeded),
    ];
    assert_eq!(query, [0x20, 0x28, 0x30, 0x34, 0x38]);
    let method = [
        offset_of!(R, DATA.Method.Oid),
        offset_of!(R, DATA.Method.InformationBuffer),
        offset_of!(R, DATA.Method.InputBufferLength),
        offset_of!(R, DATA.Method.OutputBufferLength),
        offset_of!(R, DATA.Method.MethodId),
        offset_of!(R, DATA.Method.BytesWritten),
        offset_of!(R, DATA.Method.BytesRead),
        offset_of!(R, DATA.Method.BytesNeeded),
    ];
    assert_eq!(method, [0x20, 0x28, 0x30, 0x34, 0x38, 0x3C, 0x40, 0x44]);
}

#[test]
fn the_cancellation_id_stands_where_published() {
    assert_eq!(offset_of!(NET_BUFFER_LIST, NetBufferListInfo) + 8 * NetBufferListCancelId, 0xB8);
    let private = 0x90 + 8 * (MaxNetBufferListInfo + NDIS_PRIVATE_NET_BUFFER_LIST_INFO);
    assert_eq!(private.next_multiple_of(16), NDIS_SIZEOF_PRIVATE_NET_BUFFER_LIST);
}

#[test]
fn revisions_end_where_the_next_one_goes_on() {
    type C = NDIS_FILTER_DRIVER_CHARACTERISTICS;
    assert_eq!(
        usize::from(NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_1),
        offset_of!(C, DirectOidRequestHandler)
    );
    assert_eq!(
        usize::from(NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_2),
        offset_of!(C, SynchronousOidRequestHandler)
    );
    assert_eq!(usize::from(NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_3), size_of::<C>());
    type A = NDIS_FILTER_ATTACH_PARAMETERS;
    assert_eq!(usize::from(NDIS_SIZEOF_FILTER_ATTACH_PARAMETERS_REVISION_1), offset_of!(A, Flags) + 4);
    assert_eq!(
        usize::from(NDIS_SIZEOF_FILTER_ATTACH_PARAMETERS_REVISION_2),
        offset_of!(A, ReceiveFilterCapabilities)
    );
    assert_eq!(
        usize::from(NDIS_SIZEOF_FILTER_ATTACH_PARAMETERS_REVISION_3),
        offset_of!(A, BaseMiniportIfConnectorPresent)
    );
    assert_eq!(usize::from(NDIS_SIZEOF_FILTER_ATTACH_PARAMETERS_REVISION_4), size_of::<A>());
    type O = NDIS_OID_REQUEST;
    assert_eq!(usize::from(NDIS_SIZEOF_OID_REQUEST_REVISION_1), offset_of!(O, SwitchId));
    assert_eq!(usize::from(NDIS_SIZEOF_OID_REQUEST_REVISION_2), size_of::<O>());
    type P = NET_BUFFER_LIST_POOL_PARAMETERS;
    assert_eq!(usize::from(NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1), offset_of!(P, Flags));
    type N = NET_PNP_EVENT_NOTIFICATION;
    assert_eq!(usize::from(NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1), offset_of!(N, SwitchId));
    assert_eq!(usize::from(NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_2), offset_of!(N, VPortId) + 4);
    type R = NDIS_FILTER_RESTART_PARAMETERS;
    assert_eq!(usize::from(NDIS_SIZEOF_FILTER_RESTART_PARAMETERS_REVISION_1), offset_of!(R, Flags) + 4);
    type D = NET_DEVICE_PNP_EVENT;
    assert_eq!(usize::from(NDIS_SIZEOF_NET_DEVICE_PNP_EVENT_REVISION_1), offset_of!(D, NdisReserved) + 16);
}

#[test]
fn an_aborted_send_is_not_an_aborted_request() {
    let published = [
        (NDIS_STATUS_SEND_ABORTED, 0xC023_000C_u32),
        (NDIS_STATUS_REQUEST_ABORTED, 0xC001_000C),
        (NDIS_STATUS_PAUSED, 0xC023_002A),
        (NDIS_STATUS_PENDING, 0x103),
    ];
    for (ours, theirs) in published {
        assert_eq!(ours.cast_unsigned(), theirs);
    }
}
