//! Every structure that crosses the driver's boundary has the size, alignment and field offsets of
//! the published headers (`facts/kmdf-1.33-layout.json`: what a C compiler makes of them).

use std::{collections::BTreeSet, fs, path::Path};

use header_check::{Field, Layout, Structure, layout};
use serde_json::Value;
use wdk_offline::*;

/// Structures without an entry in the facts, each with the reason.
const EXCEPTIONS: [(&str, &str); 1] = [(
    "IO_ERROR_LOG_PACKET",
    "not in the framework's headers; `error_log_packet` checks it against its documentation",
)];

/// Fields that the facts do not give, each with the reason.
const UNLISTED: [(&str, &str, &str); 1] = [(
    "IO_STACK_LOCATION",
    "Flags",
    "the facts give a parameter of that name instead; its neighbours are checked",
)];

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
        layout!(IO_STATUS_BLOCK as "IO_STATUS_BLOCK": Status = __bindgen_anon_1.Status, Pointer = __bindgen_anon_1.Pointer, Information = Information),
        layout!(IRP as "IRP": Type = Type, Size = Size, MdlAddress = MdlAddress, Flags = Flags, MasterIrp = AssociatedIrp.MasterIrp, IrpCount = AssociatedIrp.IrpCount, SystemBuffer = AssociatedIrp.SystemBuffer, ThreadListEntry = ThreadListEntry, IoStatus = IoStatus, RequestorMode = RequestorMode, PendingReturned = PendingReturned, StackCount = StackCount, CurrentLocation = CurrentLocation, Cancel = Cancel, CancelIrql = CancelIrql, ApcEnvironment = ApcEnvironment, AllocationFlags = AllocationFlags, UserIosb = UserIosb, UserEvent = UserEvent, UserApcRoutine = Overlay.AsynchronousParameters.UserApcRoutine, UserApcContext = Overlay.AsynchronousParameters.UserApcContext, AllocationSize = Overlay.AllocationSize, CancelRoutine = CancelRoutine, UserBuffer = UserBuffer, DriverContext = Tail.Overlay.__bindgen_anon_1.DriverContext, Thread = Tail.Overlay.Thread, AuxiliaryBuffer = Tail.Overlay.AuxiliaryBuffer, ListEntry = Tail.Overlay.__bindgen_anon_2.ListEntry, CurrentStackLocation = Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation, PacketType = Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.PacketType, OriginalFileObject = Tail.Overlay.OriginalFileObject, Apc = Tail.Apc, CompletionKey = Tail.CompletionKey),
        layout!(IO_STACK_LOCATION as "IO_STACK_LOCATION": MajorFunction = MajorFunction, MinorFunction = MinorFunction, Control = Control, SecurityContext = Parameters.Create.SecurityContext, Options = Parameters.Create.Options, FileAttributes = Parameters.Create.FileAttributes, ShareAccess = Parameters.Create.ShareAccess, EaLength = Parameters.Create.EaLength, OutputBufferLength = Parameters.DeviceIoControl.OutputBufferLength, InputBufferLength = Parameters.DeviceIoControl.InputBufferLength, IoControlCode = Parameters.DeviceIoControl.IoControlCode, Type3InputBuffer = Parameters.DeviceIoControl.Type3InputBuffer, Argument1 = Parameters.Others.Argument1, Argument2 = Parameters.Others.Argument2, Argument3 = Parameters.Others.Argument3, Argument4 = Parameters.Others.Argument4, DeviceObject = DeviceObject, FileObject = FileObject, CompletionRoutine = CompletionRoutine, Context = Context),
        layout!(FILE_OBJECT as "FILE_OBJECT": Type = Type, Size = Size, DeviceObject = DeviceObject, Vpb = Vpb, FsContext = FsContext, FsContext2 = FsContext2, SectionObjectPointer = SectionObjectPointer, PrivateCacheMap = PrivateCacheMap, FinalStatus = FinalStatus, RelatedFileObject = RelatedFileObject, LockOperation = LockOperation, DeletePending = DeletePending, ReadAccess = ReadAccess, WriteAccess = WriteAccess, DeleteAccess = DeleteAccess, SharedRead = SharedRead, SharedWrite = SharedWrite, SharedDelete = SharedDelete, Flags = Flags, FileName = FileName, CurrentByteOffset = CurrentByteOffset, Waiters = Waiters, Busy = Busy, LastLock = LastLock, Lock = Lock, Event = Event, CompletionContext = CompletionContext, IrpListLock = IrpListLock, IrpList = IrpList, FileObjectExtension = FileObjectExtension),
        layout!(WDF_IO_QUEUE_CONFIG as "WDF_IO_QUEUE_CONFIG": Size = Size, DispatchType = DispatchType, PowerManaged = PowerManaged, AllowZeroLengthRequests = AllowZeroLengthRequests, DefaultQueue = DefaultQueue, EvtIoDefault = EvtIoDefault, EvtIoRead = EvtIoRead, EvtIoWrite = EvtIoWrite, EvtIoDeviceControl = EvtIoDeviceControl, EvtIoInternalDeviceControl = EvtIoInternalDeviceControl, EvtIoStop = EvtIoStop, EvtIoResume = EvtIoResume, EvtIoCanceledOnQueue = EvtIoCanceledOnQueue, NumberOfPresentedRequests = Settings.Parallel.NumberOfPresentedRequests, Driver = Driver),
        layout!(WDF_FILEOBJECT_CONFIG as "WDF_FILEOBJECT_CONFIG": Size = Size, EvtDeviceFileCreate = EvtDeviceFileCreate, EvtFileClose = EvtFileClose, EvtFileCleanup = EvtFileCleanup, AutoForwardCleanupClose = AutoForwardCleanupClose, FileObjectClass = FileObjectClass),
        layout!(WDF_REQUEST_PARAMETERS as "WDF_REQUEST_PARAMETERS": Size = Size, MinorFunction = MinorFunction, Type = Type, OutputBufferLength = Parameters.DeviceIoControl.OutputBufferLength, InputBufferLength = Parameters.DeviceIoControl.InputBufferLength, IoControlCode = Parameters.DeviceIoControl.IoControlCode, Type3InputBuffer = Parameters.DeviceIoControl.Type3InputBuffer),
        layout!(WDF_REQUEST_COMPLETION_PARAMS as "WDF_REQUEST_COMPLETION_PARAMS": Size = Size, Type = Type, IoStatus = IoStatus, IoControlCode = Parameters.Ioctl.IoControlCode, Buffer = Parameters.Ioctl.Output.Buffer, Offset = Parameters.Ioctl.Output.Offset, Length = Parameters.Ioctl.Output.Length),
        layout!(WDF_REQUEST_SEND_OPTIONS as "WDF_REQUEST_SEND_OPTIONS": Size = Size, Flags = Flags, Timeout = Timeout),
        layout!(WDF_REQUEST_REUSE_PARAMS as "WDF_REQUEST_REUSE_PARAMS": Size = Size, Flags = Flags, Status = Status, NewIrp = NewIrp),
        layout!(WDF_IO_TARGET_OPEN_PARAMS as "WDF_IO_TARGET_OPEN_PARAMS": Size = Size, Type = Type, EvtIoTargetQueryRemove = EvtIoTargetQueryRemove, EvtIoTargetRemoveCanceled = EvtIoTargetRemoveCanceled, EvtIoTargetRemoveComplete = EvtIoTargetRemoveComplete, TargetDeviceObject = TargetDeviceObject, TargetFileObject = TargetFileObject, TargetDeviceName = TargetDeviceName, DesiredAccess = DesiredAccess, ShareAccess = ShareAccess, FileAttributes = FileAttributes, CreateDisposition = CreateDisposition, CreateOptions = CreateOptions, EaBuffer = EaBuffer, EaBufferLength = EaBufferLength, AllocationSize = AllocationSize, FileInformation = FileInformation, FileName = FileName),
        layout!(WDF_WORKITEM_CONFIG as "WDF_WORKITEM_CONFIG": Size = Size, EvtWorkItemFunc = EvtWorkItemFunc, AutomaticSerialization = AutomaticSerialization),
        layout!(WDF_DEVICE_STATE as "WDF_DEVICE_STATE": Size = Size, Disabled = Disabled, DontDisplayInUI = DontDisplayInUI, Failed = Failed, NotDisableable = NotDisableable, Removed = Removed, ResourcesChanged = ResourcesChanged, AssignedToGuest = AssignedToGuest),
        layout!(WDF_INTERRUPT_INFO as "WDF_INTERRUPT_INFO": Size = Size, Reserved1 = Reserved1, TargetProcessorSet = TargetProcessorSet, Reserved2 = Reserved2, MessageNumber = MessageNumber, Vector = Vector, Irql = Irql, Mode = Mode, Polarity = Polarity, MessageSignaled = MessageSignaled, ShareDisposition = ShareDisposition, Group = Group),
        layout!(WDFMEMORY_OFFSET as "WDFMEMORY_OFFSET": BufferOffset = BufferOffset, BufferLength = BufferLength),
    ]
}

/// Names and fields of every structure and union written out in the bindings.
fn declared() -> Vec<(String, Vec<String>)> {
    let text = [wdk_offline::sources::TYPES, wdk_offline::sources::OFFERED].concat();
    let file = syn::parse_file(&text).expect("the bindings are Rust");
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
    let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("facts/kmdf-1.33-layout.json");
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
            let named = layout.fields.iter().any(|known| known.path.split('.').next() == Some(field));
            let unlisted = UNLISTED.iter().any(|(name, except, _)| *name == layout.name && except == field);
            assert!(named || unlisted, "{}.{field} is not checked", layout.name);
        }
    }
}

/// No bit field crosses the boundary.
fn is_bits(_: &Field) -> bool {
    false
}

#[test]
fn layouts_match_the_published_headers() {
    let facts = facts();
    let differences: Vec<String> =
        layouts().iter().flat_map(|layout| layout.differences(&facts, is_bits)).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

/// The program that is kept is for the kit's headers of KMDF 1.33.
#[test]
fn c_agrees() {
    let facts = facts();
    let rust: Vec<Structure> = layouts().iter().map(|layout| layout.structure(&[], is_bits)).collect();
    let published: Vec<Structure> =
        layouts().iter().map(|layout| layout.published(&facts, &[], is_bits)).collect();
    let includes = "#include <ntddk.h>\n#include <wdf.h>";
    header_check::judge("kmdf", includes, &rust, &published).expect("C and Rust agree");
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
    use wdk_offline::loader::{
        WDF_BIND_INFO, WDF_BIND_INFO2, WDF_CLASS_BIND_INFO, WDF_CLASS_BIND_INFO2, WDF_VERSION,
    };
    assert_eq!(size_of::<WDF_BIND_INFO2>(), 0x58);
    assert_eq!(offset_of!(WDF_BIND_INFO2, ClientVersionHigherThanFramework), 0x38);
    assert_eq!(offset_of!(WDF_BIND_INFO2, StructTable), 0x50);
    assert_eq!(size_of::<WDF_CLASS_BIND_INFO2>(), 0x78);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO2, MinimumVersionRequired), 0x50);
    assert_eq!(offset_of!(WDF_CLASS_BIND_INFO2, StructTable), 0x70);
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
