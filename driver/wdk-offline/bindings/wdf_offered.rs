// Handles, structures and function types of the KMDF functions that understudy offers and no driver of ours calls.

wdf_handles! {
    WDFKEY WDFKEY__,
    WDFSTRING WDFSTRING__,
    WDFCOLLECTION WDFCOLLECTION__,
    WDFWORKITEM WDFWORKITEM__,
}

pub type ACCESS_MASK = ULONG;
pub type PUSHORT = *mut USHORT;
pub type PWSTR = *mut WCHAR;
pub type WDF_DEVICE_IO_TYPE = i32;
pub type PFN_WDF_WORKITEM = ::core::option::Option<unsafe extern "C" fn(WorkItem: WDFWORKITEM)>;
pub type PFN_WDF_INTERRUPT_SYNCHRONIZE =
    ::core::option::Option<unsafe extern "C" fn(Interrupt: WDFINTERRUPT, Context: WDFCONTEXT) -> BOOLEAN>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_WORKITEM_CONFIG {
    pub Size: ULONG,
    pub EvtWorkItemFunc: PFN_WDF_WORKITEM,
    pub AutomaticSerialization: BOOLEAN,
}
pub type PWDF_WORKITEM_CONFIG = *mut WDF_WORKITEM_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_DEVICE_STATE {
    pub Size: ULONG,
    pub Disabled: WDF_TRI_STATE,
    pub DontDisplayInUI: WDF_TRI_STATE,
    pub Failed: WDF_TRI_STATE,
    pub NotDisableable: WDF_TRI_STATE,
    pub Removed: WDF_TRI_STATE,
    pub ResourcesChanged: WDF_TRI_STATE,
    pub AssignedToGuest: WDF_TRI_STATE,
}
pub type PWDF_DEVICE_STATE = *mut WDF_DEVICE_STATE;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_INTERRUPT_INFO {
    pub Size: ULONG,
    pub Reserved1: ULONG64,
    pub TargetProcessorSet: KAFFINITY,
    pub Reserved2: ULONG,
    pub MessageNumber: ULONG,
    pub Vector: ULONG,
    pub Irql: KIRQL,
    pub Mode: i32,
    pub Polarity: i32,
    pub MessageSignaled: BOOLEAN,
    pub ShareDisposition: UCHAR,
    pub __bindgen_padding_0: [UCHAR; 6],
    pub Group: USHORT,
}
pub type PWDF_INTERRUPT_INFO = *mut WDF_INTERRUPT_INFO;

// What follows is looked at by its Size alone, which stands first.
pub type PWDF_DEVICE_PNP_CAPABILITIES = PULONG;
pub type PWDF_DEVICE_POWER_CAPABILITIES = PULONG;
pub type PWDF_DEVICE_POWER_POLICY_IDLE_SETTINGS = PULONG;
pub type PWDF_DEVICE_POWER_POLICY_WAKE_SETTINGS = PULONG;
pub type PWDF_POWER_POLICY_EVENT_CALLBACKS = PULONG;
pub type PFN_WDFDRIVERWDMGETDRIVEROBJECT =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Driver: WDFDRIVER) -> PDRIVER_OBJECT>;
pub type PFN_WDFDRIVERGETREGISTRYPATH =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Driver: WDFDRIVER) -> PWSTR>;
pub type PFN_WDFDRIVEROPENPARAMETERSREGISTRYKEY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Driver: WDFDRIVER, DesiredAccess: ACCESS_MASK, KeyAttributes: PWDF_OBJECT_ATTRIBUTES, Key: *mut WDFKEY) -> NTSTATUS>;
pub type PFN_WDFWDMDRIVERGETWDFDRIVERHANDLE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DriverObject: PDRIVER_OBJECT) -> WDFDRIVER>;
pub type PFN_WDFDEVICEINITSETIOTYPE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT, IoType: WDF_DEVICE_IO_TYPE)>;
pub type PFN_WDFDEVICEINITSETDEVICETYPE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT, DeviceType: ULONG)>;
pub type PFN_WDFDEVICEINITSETEXCLUSIVE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT, IsExclusive: BOOLEAN)>;
pub type PFN_WDFDEVICEINITFREE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT)>;
pub type PFN_WDFDEVICEINITASSIGNNAME =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT, DeviceName: PCUNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFDEVICEINITSETDEVICECLASS =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT, DeviceClassGuid: *const GUID)>;
pub type PFN_WDFDEVICEINITSETPOWERPOLICYEVENTCALLBACKS =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT, PowerPolicyEventCallbacks: PWDF_POWER_POLICY_EVENT_CALLBACKS)>;
pub type PFN_WDFDEVICEINITSETPOWERPOLICYOWNERSHIP =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT, IsPowerPolicyOwner: BOOLEAN)>;
pub type PFN_WDFDEVICEINITSETPOWERNOTPAGEABLE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT)>;
pub type PFN_WDFDEVICEINITSETPOWERPAGEABLE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT)>;
pub type PFN_WDFDEVICEINITSETREQUESTATTRIBUTES =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT, RequestAttributes: PWDF_OBJECT_ATTRIBUTES)>;
pub type PFN_WDFDEVICEINITASSIGNSDDLSTRING =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT, SDDLString: PCUNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFFDOINITSETFILTER =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceInit: PWDFDEVICE_INIT)>;
pub type PFN_WDFDEVICESETPNPCAPABILITIES =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, PnpCapabilities: PWDF_DEVICE_PNP_CAPABILITIES)>;
pub type PFN_WDFDEVICESETPOWERCAPABILITIES =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, PowerCapabilities: PWDF_DEVICE_POWER_CAPABILITIES)>;
pub type PFN_WDFDEVICEASSIGNS0IDLESETTINGS =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, Settings: PWDF_DEVICE_POWER_POLICY_IDLE_SETTINGS) -> NTSTATUS>;
pub type PFN_WDFDEVICEASSIGNSXWAKESETTINGS =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, Settings: PWDF_DEVICE_POWER_POLICY_WAKE_SETTINGS) -> NTSTATUS>;
pub type PFN_WDFDEVICESTOPIDLENOTRACK =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, WaitForD0: BOOLEAN) -> NTSTATUS>;
pub type PFN_WDFDEVICERESUMEIDLENOTRACK =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE)>;
pub type PFN_WDFDEVICESTOPIDLEACTUAL =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, WaitForD0: BOOLEAN, Tag: PVOID, Line: LONG, File: PCCH) -> NTSTATUS>;
pub type PFN_WDFDEVICERESUMEIDLEACTUAL =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, Tag: PVOID, Line: LONG, File: PCCH)>;
pub type PFN_WDFDEVICECREATESYMBOLICLINK =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, SymbolicLinkName: PCUNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFDEVICESETDEVICESTATE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, DeviceState: PWDF_DEVICE_STATE)>;
pub type PFN_WDFDEVICEGETDEVICESTATE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, DeviceState: PWDF_DEVICE_STATE)>;
pub type PFN_WDFDEVICEGETDRIVER =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE) -> WDFDRIVER>;
pub type PFN_WDFDEVICEGETDEFAULTQUEUE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE) -> WDFQUEUE>;
pub type PFN_WDFDEVICEWDMGETATTACHEDDEVICE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE) -> PDEVICE_OBJECT>;
pub type PFN_WDFDEVICEWDMGETPHYSICALDEVICE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE) -> PDEVICE_OBJECT>;
pub type PFN_WDFWDMDEVICEGETWDFDEVICEHANDLE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DeviceObject: PDEVICE_OBJECT) -> WDFDEVICE>;
pub type PFN_WDFDEVICEOPENREGISTRYKEY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, DeviceInstanceKeyType: ULONG, DesiredAccess: ACCESS_MASK, KeyAttributes: PWDF_OBJECT_ATTRIBUTES, Key: *mut WDFKEY) -> NTSTATUS>;
pub type PFN_WDFDEVICESETDEVICEINTERFACESTATE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, InterfaceClassGUID: *const GUID, ReferenceString: PCUNICODE_STRING, IsInterfaceEnabled: BOOLEAN)>;
pub type PFN_WDFDEVICESETSTATICSTOPREMOVE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, Stoppable: BOOLEAN)>;
pub type PFN_WDFCONTROLDEVICEINITALLOCATE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Driver: WDFDRIVER, SDDLString: *const UNICODE_STRING) -> PWDFDEVICE_INIT>;
pub type PFN_WDFCONTROLFINISHINITIALIZING =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE)>;
pub type PFN_WDFCOLLECTIONCREATE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, CollectionAttributes: PWDF_OBJECT_ATTRIBUTES, Collection: *mut WDFCOLLECTION) -> NTSTATUS>;
pub type PFN_WDFCOLLECTIONGETCOUNT =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Collection: WDFCOLLECTION) -> ULONG>;
pub type PFN_WDFCOLLECTIONADD =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Collection: WDFCOLLECTION, Object: WDFOBJECT) -> NTSTATUS>;
pub type PFN_WDFCOLLECTIONREMOVE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Collection: WDFCOLLECTION, Item: WDFOBJECT)>;
pub type PFN_WDFCOLLECTIONREMOVEITEM =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Collection: WDFCOLLECTION, Index: ULONG)>;
pub type PFN_WDFCOLLECTIONGETITEM =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Collection: WDFCOLLECTION, Index: ULONG) -> WDFOBJECT>;
pub type PFN_WDFCOLLECTIONGETFIRSTITEM =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Collection: WDFCOLLECTION) -> WDFOBJECT>;
pub type PFN_WDFCOLLECTIONGETLASTITEM =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Collection: WDFCOLLECTION) -> WDFOBJECT>;
pub type PFN_WDFSTRINGCREATE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, UnicodeString: PCUNICODE_STRING, StringAttributes: PWDF_OBJECT_ATTRIBUTES, String: *mut WDFSTRING) -> NTSTATUS>;
pub type PFN_WDFSTRINGGETUNICODESTRING =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, String: WDFSTRING, UnicodeString: PUNICODE_STRING)>;
pub type PFN_WDFWAITLOCKCREATE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, LockAttributes: PWDF_OBJECT_ATTRIBUTES, Lock: *mut WDFWAITLOCK) -> NTSTATUS>;
pub type PFN_WDFWAITLOCKACQUIRE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Lock: WDFWAITLOCK, Timeout: PLONGLONG) -> NTSTATUS>;
pub type PFN_WDFWAITLOCKRELEASE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Lock: WDFWAITLOCK)>;
pub type PFN_WDFWORKITEMCREATE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Config: PWDF_WORKITEM_CONFIG, Attributes: PWDF_OBJECT_ATTRIBUTES, WorkItem: *mut WDFWORKITEM) -> NTSTATUS>;
pub type PFN_WDFWORKITEMENQUEUE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, WorkItem: WDFWORKITEM)>;
pub type PFN_WDFWORKITEMGETPARENTOBJECT =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, WorkItem: WDFWORKITEM) -> WDFOBJECT>;
pub type PFN_WDFWORKITEMFLUSH =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, WorkItem: WDFWORKITEM)>;
pub type PFN_WDFOBJECTALLOCATECONTEXT =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Handle: WDFOBJECT, ContextAttributes: PWDF_OBJECT_ATTRIBUTES, Context: *mut PVOID) -> NTSTATUS>;
pub type PFN_WDFOBJECTCONTEXTGETOBJECT =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, ContextPointer: PVOID) -> WDFOBJECT>;
pub type PFN_WDFOBJECTCREATE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Attributes: PWDF_OBJECT_ATTRIBUTES, Object: *mut WDFOBJECT) -> NTSTATUS>;
pub type PFN_WDFMEMORYCREATEPREALLOCATED =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Attributes: PWDF_OBJECT_ATTRIBUTES, Buffer: PVOID, BufferSize: usize, Memory: *mut WDFMEMORY) -> NTSTATUS>;
pub type PFN_WDFMEMORYASSIGNBUFFER =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Memory: WDFMEMORY, Buffer: PVOID, BufferSize: usize) -> NTSTATUS>;
pub type PFN_WDFMEMORYCOPYTOBUFFER =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, SourceMemory: WDFMEMORY, SourceOffset: usize, Buffer: PVOID, NumBytesToCopyTo: usize) -> NTSTATUS>;
pub type PFN_WDFMEMORYCOPYFROMBUFFER =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DestinationMemory: WDFMEMORY, DestinationOffset: usize, Buffer: PVOID, NumBytesToCopyFrom: usize) -> NTSTATUS>;
pub type PFN_WDFREQUESTWDMGETIRP =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> PIRP>;
pub type PFN_WDFREQUESTGETREQUESTORMODE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> KPROCESSOR_MODE>;
pub type PFN_WDFINTERRUPTGETINFO =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Interrupt: WDFINTERRUPT, Info: PWDF_INTERRUPT_INFO)>;
pub type PFN_WDFINTERRUPTSYNCHRONIZE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Interrupt: WDFINTERRUPT, Callback: PFN_WDF_INTERRUPT_SYNCHRONIZE, Context: WDFCONTEXT) -> BOOLEAN>;
pub type PFN_WDFFILEOBJECTGETFILENAME =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, FileObject: WDFFILEOBJECT) -> PUNICODE_STRING>;
pub type PFN_WDFFILEOBJECTWDMGETFILEOBJECT =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, FileObject: WDFFILEOBJECT) -> PFILE_OBJECT>;
pub type PFN_WDFREGISTRYOPENKEY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, ParentKey: WDFKEY, KeyName: PCUNICODE_STRING, DesiredAccess: ACCESS_MASK, KeyAttributes: PWDF_OBJECT_ATTRIBUTES, Key: *mut WDFKEY) -> NTSTATUS>;
pub type PFN_WDFREGISTRYCREATEKEY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, ParentKey: WDFKEY, KeyName: PCUNICODE_STRING, DesiredAccess: ACCESS_MASK, CreateOptions: ULONG, CreateDisposition: PULONG, KeyAttributes: PWDF_OBJECT_ATTRIBUTES, Key: *mut WDFKEY) -> NTSTATUS>;
pub type PFN_WDFREGISTRYCLOSE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY)>;
pub type PFN_WDFREGISTRYREMOVEKEY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY) -> NTSTATUS>;
pub type PFN_WDFREGISTRYREMOVEVALUE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFREGISTRYQUERYVALUE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING, ValueLength: ULONG, Value: PVOID, ValueLengthQueried: PULONG, ValueType: PULONG) -> NTSTATUS>;
pub type PFN_WDFREGISTRYQUERYMEMORY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING, PoolType: POOL_TYPE, MemoryAttributes: PWDF_OBJECT_ATTRIBUTES, Memory: *mut WDFMEMORY, ValueType: PULONG) -> NTSTATUS>;
pub type PFN_WDFREGISTRYQUERYUNICODESTRING =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING, ValueByteLength: PUSHORT, Value: PUNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFREGISTRYQUERYSTRING =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING, String: WDFSTRING) -> NTSTATUS>;
pub type PFN_WDFREGISTRYQUERYULONG =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING, Value: PULONG) -> NTSTATUS>;
pub type PFN_WDFREGISTRYASSIGNVALUE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING, ValueType: ULONG, ValueLength: ULONG, Value: PVOID) -> NTSTATUS>;
pub type PFN_WDFREGISTRYASSIGNUNICODESTRING =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING, Value: PCUNICODE_STRING) -> NTSTATUS>;
pub type PFN_WDFREGISTRYASSIGNSTRING =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING, String: WDFSTRING) -> NTSTATUS>;
pub type PFN_WDFREGISTRYASSIGNULONG =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Key: WDFKEY, ValueName: PCUNICODE_STRING, Value: ULONG) -> NTSTATUS>;
pub type PFN_WDFIOTARGETGETDEVICE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, IoTarget: WDFIOTARGET) -> WDFDEVICE>;
pub type PFN_WDFDMAENABLERGETMAXIMUMLENGTH =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DmaEnabler: WDFDMAENABLER) -> usize>;
pub type PFN_WDFDMAENABLERSETMAXIMUMSCATTERGATHERELEMENTS =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DmaEnabler: WDFDMAENABLER, MaximumFragments: usize)>;
pub type PFN_WDFDMAENABLERGETMAXIMUMSCATTERGATHERELEMENTS =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, DmaEnabler: WDFDMAENABLER) -> usize>;
pub type PFN_WDFIOQUEUERETRIEVEREQUESTBYFILEOBJECT =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Queue: WDFQUEUE, FileObject: WDFFILEOBJECT, OutRequest: *mut WDFREQUEST) -> NTSTATUS>;
