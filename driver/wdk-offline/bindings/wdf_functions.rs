// Types of the KMDF functions that cancelnic.sys calls through the function table.

pub type PFN_WDFCOMMONBUFFERCREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        DmaEnabler: WDFDMAENABLER,
        Length: usize,
        Attributes: PWDF_OBJECT_ATTRIBUTES,
        CommonBuffer: *mut WDFCOMMONBUFFER,
    ) -> NTSTATUS,
>;
pub type PFN_WDFCOMMONBUFFERGETALIGNEDVIRTUALADDRESS = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, CommonBuffer: WDFCOMMONBUFFER) -> PVOID,
>;
pub type PFN_WDFCOMMONBUFFERGETALIGNEDLOGICALADDRESS = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        CommonBuffer: WDFCOMMONBUFFER,
    ) -> PHYSICAL_ADDRESS,
>;
pub type PFN_WDFCOMMONBUFFERGETLENGTH = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, CommonBuffer: WDFCOMMONBUFFER) -> usize,
>;
pub type PFN_WDFDEVICEWDMGETDEVICEOBJECT = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE) -> PDEVICE_OBJECT,
>;
pub type PFN_WDFDEVICESETALIGNMENTREQUIREMENT = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE, AlignmentRequirement: ULONG),
>;
pub type PFN_WDFDEVICEINITSETPNPPOWEREVENTCALLBACKS = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        DeviceInit: PWDFDEVICE_INIT,
        PnpPowerEventCallbacks: PWDF_PNPPOWER_EVENT_CALLBACKS,
    ),
>;
pub type PFN_WDFDEVICECREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        DeviceInit: *mut PWDFDEVICE_INIT,
        DeviceAttributes: PWDF_OBJECT_ATTRIBUTES,
        Device: *mut WDFDEVICE,
    ) -> NTSTATUS,
>;
pub type PFN_WDFDEVICESETFAILED = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Device: WDFDEVICE,
        FailedAction: WDF_DEVICE_FAILED_ACTION,
    ),
>;
pub type PFN_WDFDMAENABLERCREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Device: WDFDEVICE,
        Config: PWDF_DMA_ENABLER_CONFIG,
        Attributes: PWDF_OBJECT_ATTRIBUTES,
        DmaEnablerHandle: *mut WDFDMAENABLER,
    ) -> NTSTATUS,
>;
pub type PFN_WDFDRIVERCREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        DriverObject: PDRIVER_OBJECT,
        RegistryPath: PCUNICODE_STRING,
        DriverAttributes: PWDF_OBJECT_ATTRIBUTES,
        DriverConfig: PWDF_DRIVER_CONFIG,
        Driver: *mut WDFDRIVER,
    ) -> NTSTATUS,
>;
pub type PFN_WDFFDOQUERYFORINTERFACE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Fdo: WDFDEVICE,
        InterfaceType: LPCGUID,
        Interface: PINTERFACE,
        Size: USHORT,
        Version: USHORT,
        InterfaceSpecificData: PVOID,
    ) -> NTSTATUS,
>;
pub type PFN_WDFINTERRUPTCREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Device: WDFDEVICE,
        Configuration: PWDF_INTERRUPT_CONFIG,
        Attributes: PWDF_OBJECT_ATTRIBUTES,
        Interrupt: *mut WDFINTERRUPT,
    ) -> NTSTATUS,
>;
pub type PFN_WDFINTERRUPTQUEUEDPCFORISR = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Interrupt: WDFINTERRUPT) -> BOOLEAN,
>;
pub type PFN_WDFINTERRUPTACQUIRELOCK =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Interrupt: WDFINTERRUPT)>;
pub type PFN_WDFINTERRUPTRELEASELOCK =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Interrupt: WDFINTERRUPT)>;
pub type PFN_WDFINTERRUPTGETDEVICE = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Interrupt: WDFINTERRUPT) -> WDFDEVICE,
>;
pub type PFN_WDFOBJECTGETTYPEDCONTEXTWORKER = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Handle: WDFOBJECT,
        TypeInfo: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
    ) -> PVOID,
>;
pub type PFN_WDFOBJECTREFERENCEACTUAL = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Handle: WDFOBJECT,
        Tag: PVOID,
        Line: LONG,
        File: PCCH,
    ),
>;
pub type PFN_WDFOBJECTDELETE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Object: WDFOBJECT)>;
pub type PFN_WDFCMRESOURCELISTGETCOUNT = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, List: WDFCMRESLIST) -> ULONG,
>;
pub type PFN_WDFCMRESOURCELISTGETDESCRIPTOR = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        List: WDFCMRESLIST,
        Index: ULONG,
    ) -> PCM_PARTIAL_RESOURCE_DESCRIPTOR,
>;
pub type PFN_WDFSPINLOCKCREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        SpinLockAttributes: PWDF_OBJECT_ATTRIBUTES,
        SpinLock: *mut WDFSPINLOCK,
    ) -> NTSTATUS,
>;
pub type PFN_WDFSPINLOCKACQUIRE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, SpinLock: WDFSPINLOCK)>;
pub type PFN_WDFSPINLOCKRELEASE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, SpinLock: WDFSPINLOCK)>;
pub type PFN_WDFTIMERCREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Config: PWDF_TIMER_CONFIG,
        Attributes: PWDF_OBJECT_ATTRIBUTES,
        Timer: *mut WDFTIMER,
    ) -> NTSTATUS,
>;
pub type PFN_WDFTIMERSTART = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Timer: WDFTIMER, DueTime: LONGLONG) -> BOOLEAN,
>;
pub type PFN_WDFTIMERSTOP = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Timer: WDFTIMER, Wait: BOOLEAN) -> BOOLEAN,
>;
pub type PFN_WDFTIMERGETPARENTOBJECT = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Timer: WDFTIMER) -> WDFOBJECT,
>;
