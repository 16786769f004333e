//! Every structure that crosses the driver's boundary has the size, alignment and field offsets of
//! the published headers (`facts/kmdf-1.33-layout.json`: what a C compiler makes of them).

use std::{collections::BTreeSet, fs};

use serde_json::Value;
use wdk_offline::*;

/// A structure as this crate compiles it.
struct Layout {
    name: &'static str,
    fact: &'static str,
    size: usize,
    align: usize,
    /// Name in the facts, path here, offset and size in bytes.
    fields: Vec<(&'static str, &'static str, usize, usize)>,
}

/// Size of a field, told by the type of a pointer to it. Only the type of `get` is used.
fn size_by<T, F>(_get: fn(*const T) -> *const F) -> usize {
    size_of::<F>()
}

macro_rules! layout {
    ($name:ident as $fact:literal: $($field:ident = $first:ident $(. $more:ident)*),+ $(,)?) => {
        Layout {
            name: stringify!($name),
            fact: $fact,
            size: size_of::<$name>(),
            align: align_of::<$name>(),
            fields: vec![$((
                stringify!($field),
                concat!(stringify!($first) $(, ".", stringify!($more))*),
                std::mem::offset_of!($name, $first $(. $more)*),
                // SAFETY: never called; only the type of the field is taken from it.
                size_by::<$name, _>(|at| unsafe { &raw const (*at).$first $(. $more)* }),
            )),+],
        }
    };
}

/// Structures without an entry in the facts, each with the reason.
const EXCEPTIONS: [(&str, &str); 2] = [
    ("IRP", "opaque here: never read or written"),
    (
        "IO_ERROR_LOG_PACKET",
        "not in the framework's headers; `error_log_packet` checks it against its documentation",
    ),
];

fn layouts() -> Vec<Layout> {
    vec![
        layout!(UNICODE_STRING as "UNICODE_STRING": Length = Length, MaximumLength = MaximumLength, Buffer = Buffer),
        layout!(GUID as "GUID": Data1 = Data1, Data2 = Data2, Data3 = Data3, Data4 = Data4),
        layout!(LIST_ENTRY as "LIST_ENTRY": Flink = Flink, Blink = Blink),
        layout!(LARGE_INTEGER as "PHYSICAL_ADDRESS": LowPart = u.LowPart, HighPart = u.HighPart, QuadPart = QuadPart),
        layout!(DRIVER_EXTENSION as "DRIVER_EXTENSION": DriverObject = DriverObject, AddDevice = AddDevice, Count = Count, ServiceKeyName = ServiceKeyName),
        layout!(DRIVER_OBJECT as "DRIVER_OBJECT": Type = Type, Size = Size, DeviceObject = DeviceObject, Flags = Flags, DriverStart = DriverStart, DriverSize = DriverSize, DriverSection = DriverSection, DriverExtension = DriverExtension, DriverName = DriverName, HardwareDatabase = HardwareDatabase, FastIoDispatch = FastIoDispatch, DriverInit = DriverInit, DriverStartIo = DriverStartIo, DriverUnload = DriverUnload, MajorFunction = MajorFunction),
        layout!(DEVICE_OBJECT as "DEVICE_OBJECT": Type = Type, Size = Size, ReferenceCount = ReferenceCount, DriverObject = DriverObject, NextDevice = NextDevice, AttachedDevice = AttachedDevice, CurrentIrp = CurrentIrp, Timer = Timer, Flags = Flags, Characteristics = Characteristics, Vpb = Vpb, DeviceExtension = DeviceExtension, DeviceType = DeviceType, StackSize = StackSize, Wcb = Queue, AlignmentRequirement = AlignmentRequirement, DeviceQueue = DeviceQueue, Dpc = Dpc, ActiveThreadCount = ActiveThreadCount, SecurityDescriptor = SecurityDescriptor, DeviceLock = DeviceLock, SectorSize = SectorSize, Spare1 = Spare1, DeviceObjectExtension = DeviceObjectExtension, Reserved = Reserved),
        layout!(CM_PARTIAL_RESOURCE_DESCRIPTOR as "CM_PARTIAL_RESOURCE_DESCRIPTOR": Type = Type, ShareDisposition = ShareDisposition, Flags = Flags, Start = u.Memory.Start, Length64 = u.Memory.Length, Level = u.Interrupt.Level, Vector = u.Interrupt.Vector, Affinity = u.Interrupt.Affinity, MessageCount = u.MessageInterrupt.__bindgen_anon_1.Raw.MessageCount),
        layout!(INTERFACE as "INTERFACE": Size = Size, Version = Version, Context = Context, InterfaceReference = InterfaceReference, InterfaceDereference = InterfaceDereference),
        layout!(BUS_INTERFACE_STANDARD as "BUS_INTERFACE_STANDARD": Size = Size, Version = Version, Context = Context, InterfaceReference = InterfaceReference, InterfaceDereference = InterfaceDereference, TranslateBusAddress = TranslateBusAddress, GetDmaAdapter = GetDmaAdapter, SetBusData = SetBusData, GetBusData = GetBusData),
        layout!(WDF_DRIVER_GLOBALS as "WDF_DRIVER_GLOBALS": Driver = Driver, DriverFlags = DriverFlags, DriverTag = DriverTag, DriverName = DriverName, DisplaceDriverUnload = DisplaceDriverUnload),
        layout!(WDF_OBJECT_CONTEXT_TYPE_INFO as "WDF_OBJECT_CONTEXT_TYPE_INFO": Size = Size, ContextName = ContextName, ContextSize = ContextSize, UniqueType = UniqueType, EvtDriverGetUniqueContextType = EvtDriverGetUniqueContextType),
        layout!(WDF_OBJECT_ATTRIBUTES as "WDF_OBJECT_ATTRIBUTES": Size = Size, EvtCleanupCallback = EvtCleanupCallback, EvtDestroyCallback = EvtDestroyCallback, ExecutionLevel = ExecutionLevel, SynchronizationScope = SynchronizationScope, ParentObject = ParentObject, ContextSizeOverride = ContextSizeOverride, ContextTypeInfo = ContextTypeInfo),
        layout!(WDF_DRIVER_CONFIG as "WDF_DRIVER_CONFIG": Size = Size, EvtDriverDeviceAdd = EvtDriverDeviceAdd, EvtDriverUnload = EvtDriverUnload, DriverInitFlags = DriverInitFlags, DriverPoolTag = DriverPoolTag),
        layout!(WDF_PNPPOWER_EVENT_CALLBACKS as "WDF_PNPPOWER_EVENT_CALLBACKS": Size = Size, EvtDeviceD0Entry = EvtDeviceD0Entry, EvtDeviceD0EntryPostInterruptsEnabled = EvtDeviceD0EntryPostInterruptsEnabled, EvtDeviceD0Exit = EvtDeviceD0Exit, EvtDeviceD0ExitPreInterruptsDisabled = EvtDeviceD0ExitPreInterruptsDisabled, EvtDevicePrepareHardware = EvtDevicePrepareHardware, EvtDeviceReleaseHardware = EvtDeviceReleaseHardware, EvtDeviceSelfManagedIoCleanup = EvtDeviceSelfManagedIoCleanup, EvtDeviceSelfManagedIoFlush = EvtDeviceSelfManagedIoFlush, EvtDeviceSelfManagedIoInit = EvtDeviceSelfManagedIoInit, EvtDeviceSelfManagedIoSuspend = EvtDeviceSelfManagedIoSuspend, EvtDeviceSelfManagedIoRestart = EvtDeviceSelfManagedIoRestart, EvtDeviceSurpriseRemoval = EvtDeviceSurpriseRemoval, EvtDeviceQueryRemove = EvtDeviceQueryRemove, EvtDeviceQueryStop = EvtDeviceQueryStop, EvtDeviceUsageNotification = EvtDeviceUsageNotification, EvtDeviceRelationsQuery = EvtDeviceRelationsQuery, EvtDeviceUsageNotificationEx = EvtDeviceUsageNotificationEx),
        layout!(WDF_INTERRUPT_CONFIG as "WDF_INTERRUPT_CONFIG": Size = Size, SpinLock = SpinLock, ShareVector = ShareVector, FloatingSave = FloatingSave, AutomaticSerialization = AutomaticSerialization, EvtInterruptIsr = EvtInterruptIsr, EvtInterruptDpc = EvtInterruptDpc, EvtInterruptEnable = EvtInterruptEnable, EvtInterruptDisable = EvtInterruptDisable, EvtInterruptWorkItem = EvtInterruptWorkItem, InterruptRaw = InterruptRaw, InterruptTranslated = InterruptTranslated, WaitLock = WaitLock, PassiveHandling = PassiveHandling, ReportInactiveOnPowerDown = ReportInactiveOnPowerDown, CanWakeDevice = CanWakeDevice),
        layout!(WDF_DMA_ENABLER_CONFIG as "WDF_DMA_ENABLER_CONFIG": Size = Size, Profile = Profile, MaximumLength = MaximumLength, EvtDmaEnablerFill = EvtDmaEnablerFill, EvtDmaEnablerFlush = EvtDmaEnablerFlush, EvtDmaEnablerDisable = EvtDmaEnablerDisable, EvtDmaEnablerEnable = EvtDmaEnablerEnable, EvtDmaEnablerSelfManagedIoStart = EvtDmaEnablerSelfManagedIoStart, EvtDmaEnablerSelfManagedIoStop = EvtDmaEnablerSelfManagedIoStop, AddressWidthOverride = AddressWidthOverride, WdmDmaVersionOverride = WdmDmaVersionOverride, Flags = Flags),
        layout!(WDF_TIMER_CONFIG as "WDF_TIMER_CONFIG": Size = Size, EvtTimerFunc = EvtTimerFunc, Period = Period, AutomaticSerialization = AutomaticSerialization, TolerableDelay = TolerableDelay, UseHighResolutionTimer = UseHighResolutionTimer),
    ]
}

/// Names and fields of every structure and union written out in the bindings.
fn declared() -> Vec<(String, Vec<String>)> {
    let text = wdk_offline::sources::TYPES;
    let file = syn::parse_file(text).expect("the bindings are Rust");
    let names = |fields: &syn::Fields| {
        fields.iter().filter_map(|field| Some(field.ident.as_ref()?.to_string())).collect::<Vec<_>>()
    };
    file.items
        .iter()
        .filter_map(|item| match item {
            syn::Item::Struct(item) => Some((item.ident.to_string(), names(&item.fields))),
            syn::Item::Union(item) => {
                Some((item.ident.to_string(), names(&syn::Fields::Named(item.fields.clone()))))
            }
            _ => None,
        })
        .collect()
}

fn facts() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/facts/kmdf-1.33-layout.json");
    serde_json::from_str(&fs::read_to_string(path).expect("the facts are in the repository")).expect("JSON")
}

#[test]
fn every_structure_is_checked_or_excepted() {
    let checked: BTreeSet<_> = layouts().iter().map(|layout| layout.name.to_owned()).collect();
    let missing: Vec<_> = declared()
        .into_iter()
        .map(|(name, _)| name)
        // parts of a structure that is checked through paths
        .filter(|name| !name.contains("__bindgen_ty"))
        .filter(|name| !checked.contains(name) && EXCEPTIONS.iter().all(|(except, _)| except != name))
        .collect();
    assert!(missing.is_empty(), "neither checked nor excepted: {missing:?}");
}

#[test]
fn every_field_is_checked() {
    let declared = declared();
    for layout in layouts() {
        let (_, fields) =
            declared.iter().find(|(name, _)| name == layout.name).expect("a declared structure");
        for field in fields.iter().filter(|field| !field.starts_with("__bindgen")) {
            let named = layout.fields.iter().any(|(_, path, ..)| path.split('.').next() == Some(field));
            assert!(named, "{}.{field} is not checked", layout.name);
        }
    }
}

#[test]
fn layouts_match_the_published_headers() {
    let facts = facts();
    for layout in layouts() {
        let fact = &facts[layout.fact];
        assert_eq!(Some(layout.size as u64), fact["size"].as_u64(), "size of {}", layout.name);
        // packed(4) and the natural alignment alike
        assert_eq!(Some(layout.align as u64), fact["align"].as_u64(), "alignment of {}", layout.name);
        for (name, path, offset, size) in layout.fields {
            let field = &fact["fields"][name];
            assert_eq!(Some(offset as u64 * 8), field["bit_offset"].as_u64(), "{}.{path}", layout.name);
            assert_eq!(Some(size as u64 * 8), field["bits"].as_u64(), "size of {}.{path}", layout.name);
        }
    }
}

#[test]
fn error_log_packet() {
    use std::mem::offset_of;
    assert_eq!(size_of::<IO_ERROR_LOG_PACKET>(), 48);
    assert_eq!(offset_of!(IO_ERROR_LOG_PACKET, ErrorCode), 12);
    assert_eq!(offset_of!(IO_ERROR_LOG_PACKET, FinalStatus), 20);
    assert_eq!(offset_of!(IO_ERROR_LOG_PACKET, DeviceOffset), 32);
    assert_eq!(offset_of!(IO_ERROR_LOG_PACKET, DumpData), 40);
}

#[test]
fn loader_structures() {
    use std::mem::offset_of;
    use wdk_offline::loader::{WDF_BIND_INFO, WDF_CLASS_BIND_INFO, WDF_VERSION};
    assert_eq!(size_of::<WDF_VERSION>(), 12);
    assert_eq!(size_of::<WDF_BIND_INFO>(), 0x30);
    assert_eq!(offset_of!(WDF_BIND_INFO, Component), 0x8);
    assert_eq!(offset_of!(WDF_BIND_INFO, Version), 0x10);
    assert_eq!(offset_of!(WDF_BIND_INFO, FuncCount), 0x1c);
    assert_eq!(offset_of!(WDF_BIND_INFO, FuncTable), 0x20);
    assert_eq!(offset_of!(WDF_BIND_INFO, Module), 0x28);
    assert_eq!(size_of::<WDF_CLASS_BIND_INFO>(), 0x50);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO, ClassName), 0x8);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO, Version), 0x10);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO, FunctionTable), 0x20);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO, FunctionTableCount), 0x28);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO, ClassBindInfo), 0x30);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO, ClientBindClass), 0x38);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO, ClientUnbindClass), 0x40);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO, ClassModule), 0x48);
}
