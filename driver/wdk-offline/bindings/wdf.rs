// KMDF 1.31 handles, enumerations, callback types and structures (x64).

macro_rules! wdf_handles {
    ($($handle:ident $opaque:ident),* $(,)?) => {$(
        #[repr(C)]
        pub struct $opaque {
            _opaque: [u8; 0],
        }
        pub type $handle = *mut $opaque;
    )*};
}
wdf_handles! {
    WDFDRIVER WDFDRIVER__,
    WDFDEVICE WDFDEVICE__,
    WDFCMRESLIST WDFCMRESLIST__,
    WDFINTERRUPT WDFINTERRUPT__,
    WDFSPINLOCK WDFSPINLOCK__,
    WDFWAITLOCK WDFWAITLOCK__,
    WDFDMAENABLER WDFDMAENABLER__,
    WDFCOMMONBUFFER WDFCOMMONBUFFER__,
    WDFTIMER WDFTIMER__,
    PWDFDEVICE_INIT WDFDEVICE_INIT,
}
pub type WDFOBJECT = PVOID;

pub type WDFFUNC = ::core::option::Option<unsafe extern "C" fn()>;

unsafe extern "C" {
    #[link_name = "WdfFunctions_01031"]
    pub static mut WdfFunctions: *const WDFFUNC;
    pub static mut WdfDriverGlobals: PWDF_DRIVER_GLOBALS;
    pub static mut WdfFunctionCount: ULONG;
}

pub mod _WDF_TRI_STATE {
    pub type Type = i32;
    pub const WdfFalse: Type = 0;
    pub const WdfTrue: Type = 1;
    pub const WdfUseDefault: Type = 2;
}
pub use self::_WDF_TRI_STATE::Type as WDF_TRI_STATE;

pub mod _WDF_EXECUTION_LEVEL {
    pub type Type = i32;
    pub const WdfExecutionLevelInvalid: Type = 0;
    pub const WdfExecutionLevelInheritFromParent: Type = 1;
    pub const WdfExecutionLevelPassive: Type = 2;
    pub const WdfExecutionLevelDispatch: Type = 3;
}
pub use self::_WDF_EXECUTION_LEVEL::Type as WDF_EXECUTION_LEVEL;

pub mod _WDF_SYNCHRONIZATION_SCOPE {
    pub type Type = i32;
    pub const WdfSynchronizationScopeInvalid: Type = 0;
    pub const WdfSynchronizationScopeInheritFromParent: Type = 1;
    pub const WdfSynchronizationScopeDevice: Type = 2;
    pub const WdfSynchronizationScopeQueue: Type = 3;
    pub const WdfSynchronizationScopeNone: Type = 4;
}
pub use self::_WDF_SYNCHRONIZATION_SCOPE::Type as WDF_SYNCHRONIZATION_SCOPE;

pub mod _WDF_POWER_DEVICE_STATE {
    pub type Type = i32;
    pub const WdfPowerDeviceInvalid: Type = 0;
    pub const WdfPowerDeviceD0: Type = 1;
    pub const WdfPowerDeviceD1: Type = 2;
    pub const WdfPowerDeviceD2: Type = 3;
    pub const WdfPowerDeviceD3: Type = 4;
    pub const WdfPowerDeviceD3Final: Type = 5;
    pub const WdfPowerDevicePrepareForHibernation: Type = 6;
    pub const WdfPowerDeviceMaximum: Type = 7;
}
pub use self::_WDF_POWER_DEVICE_STATE::Type as WDF_POWER_DEVICE_STATE;

pub mod _WDF_DEVICE_FAILED_ACTION {
    pub type Type = i32;
    pub const WdfDeviceFailedUndefined: Type = 0;
    pub const WdfDeviceFailedAttemptRestart: Type = 1;
    pub const WdfDeviceFailedNoRestart: Type = 2;
}
pub use self::_WDF_DEVICE_FAILED_ACTION::Type as WDF_DEVICE_FAILED_ACTION;

pub mod _WDF_DMA_PROFILE {
    pub type Type = i32;
    pub const WdfDmaProfileInvalid: Type = 0;
    pub const WdfDmaProfilePacket: Type = 1;
    pub const WdfDmaProfileScatterGather: Type = 2;
    pub const WdfDmaProfilePacket64: Type = 3;
    pub const WdfDmaProfileScatterGather64: Type = 4;
    pub const WdfDmaProfileScatterGatherDuplex: Type = 5;
    pub const WdfDmaProfileScatterGather64Duplex: Type = 6;
    pub const WdfDmaProfileSystem: Type = 7;
    pub const WdfDmaProfileSystemDuplex: Type = 8;
}
pub use self::_WDF_DMA_PROFILE::Type as WDF_DMA_PROFILE;

pub type PFN_WDF_OBJECT_CONTEXT_CLEANUP = ::core::option::Option<unsafe extern "C" fn(Object: WDFOBJECT)>;
pub type PFN_WDF_OBJECT_CONTEXT_DESTROY = ::core::option::Option<unsafe extern "C" fn(Object: WDFOBJECT)>;
pub type PFN_WDF_DRIVER_DEVICE_ADD =
    ::core::option::Option<unsafe extern "C" fn(Driver: WDFDRIVER, DeviceInit: PWDFDEVICE_INIT) -> NTSTATUS>;
pub type PFN_WDF_DRIVER_UNLOAD = ::core::option::Option<unsafe extern "C" fn(Driver: WDFDRIVER)>;
pub type PFN_WDF_DEVICE_D0_ENTRY = ::core::option::Option<
    unsafe extern "C" fn(Device: WDFDEVICE, PreviousState: WDF_POWER_DEVICE_STATE) -> NTSTATUS,
>;
pub type PFN_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED = PFN_WDF_DEVICE_D0_ENTRY;
pub type PFN_WDF_DEVICE_D0_EXIT = ::core::option::Option<
    unsafe extern "C" fn(Device: WDFDEVICE, TargetState: WDF_POWER_DEVICE_STATE) -> NTSTATUS,
>;
pub type PFN_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED = PFN_WDF_DEVICE_D0_EXIT;
pub type PFN_WDF_DEVICE_PREPARE_HARDWARE = ::core::option::Option<
    unsafe extern "C" fn(
        Device: WDFDEVICE,
        ResourcesRaw: WDFCMRESLIST,
        ResourcesTranslated: WDFCMRESLIST,
    ) -> NTSTATUS,
>;
pub type PFN_WDF_DEVICE_RELEASE_HARDWARE = ::core::option::Option<
    unsafe extern "C" fn(Device: WDFDEVICE, ResourcesTranslated: WDFCMRESLIST) -> NTSTATUS,
>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP =
    ::core::option::Option<unsafe extern "C" fn(Device: WDFDEVICE)>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_FLUSH =
    ::core::option::Option<unsafe extern "C" fn(Device: WDFDEVICE)>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_INIT =
    ::core::option::Option<unsafe extern "C" fn(Device: WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND =
    ::core::option::Option<unsafe extern "C" fn(Device: WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_SELF_MANAGED_IO_RESTART =
    ::core::option::Option<unsafe extern "C" fn(Device: WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_SURPRISE_REMOVAL = ::core::option::Option<unsafe extern "C" fn(Device: WDFDEVICE)>;
pub type PFN_WDF_DEVICE_QUERY_REMOVE =
    ::core::option::Option<unsafe extern "C" fn(Device: WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_QUERY_STOP =
    ::core::option::Option<unsafe extern "C" fn(Device: WDFDEVICE) -> NTSTATUS>;
pub type PFN_WDF_DEVICE_USAGE_NOTIFICATION = ::core::option::Option<
    unsafe extern "C" fn(Device: WDFDEVICE, NotificationType: i32, IsInNotificationPath: BOOLEAN),
>;
pub type PFN_WDF_DEVICE_RELATIONS_QUERY =
    ::core::option::Option<unsafe extern "C" fn(Device: WDFDEVICE, RelationType: i32)>;
pub type PFN_WDF_DEVICE_USAGE_NOTIFICATION_EX = ::core::option::Option<
    unsafe extern "C" fn(Device: WDFDEVICE, NotificationType: i32, IsInNotificationPath: BOOLEAN) -> NTSTATUS,
>;
pub type PFN_WDF_INTERRUPT_ISR =
    ::core::option::Option<unsafe extern "C" fn(Interrupt: WDFINTERRUPT, MessageID: ULONG) -> BOOLEAN>;
pub type PFN_WDF_INTERRUPT_DPC =
    ::core::option::Option<unsafe extern "C" fn(Interrupt: WDFINTERRUPT, AssociatedObject: WDFOBJECT)>;
pub type PFN_WDF_INTERRUPT_WORKITEM = PFN_WDF_INTERRUPT_DPC;
pub type PFN_WDF_INTERRUPT_ENABLE = ::core::option::Option<
    unsafe extern "C" fn(Interrupt: WDFINTERRUPT, AssociatedDevice: WDFDEVICE) -> NTSTATUS,
>;
pub type PFN_WDF_INTERRUPT_DISABLE = PFN_WDF_INTERRUPT_ENABLE;
pub type PFN_WDF_DMA_ENABLER_FILL =
    ::core::option::Option<unsafe extern "C" fn(DmaEnabler: WDFDMAENABLER) -> NTSTATUS>;
pub type PFN_WDF_DMA_ENABLER_FLUSH = PFN_WDF_DMA_ENABLER_FILL;
pub type PFN_WDF_DMA_ENABLER_DISABLE = PFN_WDF_DMA_ENABLER_FILL;
pub type PFN_WDF_DMA_ENABLER_ENABLE = PFN_WDF_DMA_ENABLER_FILL;
pub type PFN_WDF_DMA_ENABLER_SELFMANAGED_IO_START = PFN_WDF_DMA_ENABLER_FILL;
pub type PFN_WDF_DMA_ENABLER_SELFMANAGED_IO_STOP = PFN_WDF_DMA_ENABLER_FILL;
pub type PFN_WDF_TIMER = ::core::option::Option<unsafe extern "C" fn(Timer: WDFTIMER)>;
pub type PFN_GET_UNIQUE_CONTEXT_TYPE =
    ::core::option::Option<unsafe extern "C" fn() -> PCWDF_OBJECT_CONTEXT_TYPE_INFO>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_DRIVER_GLOBALS {
    pub Driver: WDFDRIVER,
    pub DriverFlags: ULONG,
    pub DriverTag: ULONG,
    pub DriverName: [CHAR; 32],
    pub DisplaceDriverUnload: BOOLEAN,
}
pub type PWDF_DRIVER_GLOBALS = *mut WDF_DRIVER_GLOBALS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_OBJECT_CONTEXT_TYPE_INFO {
    pub Size: ULONG,
    pub ContextName: PCSTR,
    pub ContextSize: usize,
    pub UniqueType: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
    pub EvtDriverGetUniqueContextType: PFN_GET_UNIQUE_CONTEXT_TYPE,
}
pub type PCWDF_OBJECT_CONTEXT_TYPE_INFO = *const WDF_OBJECT_CONTEXT_TYPE_INFO;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_OBJECT_ATTRIBUTES {
    pub Size: ULONG,
    pub EvtCleanupCallback: PFN_WDF_OBJECT_CONTEXT_CLEANUP,
    pub EvtDestroyCallback: PFN_WDF_OBJECT_CONTEXT_DESTROY,
    pub ExecutionLevel: WDF_EXECUTION_LEVEL,
    pub SynchronizationScope: WDF_SYNCHRONIZATION_SCOPE,
    pub ParentObject: WDFOBJECT,
    pub ContextSizeOverride: usize,
    pub ContextTypeInfo: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
}
pub type PWDF_OBJECT_ATTRIBUTES = *mut WDF_OBJECT_ATTRIBUTES;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_DRIVER_CONFIG {
    pub Size: ULONG,
    pub EvtDriverDeviceAdd: PFN_WDF_DRIVER_DEVICE_ADD,
    pub EvtDriverUnload: PFN_WDF_DRIVER_UNLOAD,
    pub DriverInitFlags: ULONG,
    pub DriverPoolTag: ULONG,
}
pub type PWDF_DRIVER_CONFIG = *mut WDF_DRIVER_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_PNPPOWER_EVENT_CALLBACKS {
    pub Size: ULONG,
    pub EvtDeviceD0Entry: PFN_WDF_DEVICE_D0_ENTRY,
    pub EvtDeviceD0EntryPostInterruptsEnabled: PFN_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED,
    pub EvtDeviceD0Exit: PFN_WDF_DEVICE_D0_EXIT,
    pub EvtDeviceD0ExitPreInterruptsDisabled: PFN_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED,
    pub EvtDevicePrepareHardware: PFN_WDF_DEVICE_PREPARE_HARDWARE,
    pub EvtDeviceReleaseHardware: PFN_WDF_DEVICE_RELEASE_HARDWARE,
    pub EvtDeviceSelfManagedIoCleanup: PFN_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP,
    pub EvtDeviceSelfManagedIoFlush: PFN_WDF_DEVICE_SELF_MANAGED_IO_FLUSH,
    pub EvtDeviceSelfManagedIoInit: PFN_WDF_DEVICE_SELF_MANAGED_IO_INIT,
    pub EvtDeviceSelfManagedIoSuspend: PFN_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND,
    pub EvtDeviceSelfManagedIoRestart: PFN_WDF_DEVICE_SELF_MANAGED_IO_RESTART,
    pub EvtDeviceSurpriseRemoval: PFN_WDF_DEVICE_SURPRISE_REMOVAL,
    pub EvtDeviceQueryRemove: PFN_WDF_DEVICE_QUERY_REMOVE,
    pub EvtDeviceQueryStop: PFN_WDF_DEVICE_QUERY_STOP,
    pub EvtDeviceUsageNotification: PFN_WDF_DEVICE_USAGE_NOTIFICATION,
    pub EvtDeviceRelationsQuery: PFN_WDF_DEVICE_RELATIONS_QUERY,
    pub EvtDeviceUsageNotificationEx: PFN_WDF_DEVICE_USAGE_NOTIFICATION_EX,
}
pub type PWDF_PNPPOWER_EVENT_CALLBACKS = *mut WDF_PNPPOWER_EVENT_CALLBACKS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_INTERRUPT_CONFIG {
    pub Size: ULONG,
    pub SpinLock: WDFSPINLOCK,
    pub ShareVector: WDF_TRI_STATE,
    pub FloatingSave: BOOLEAN,
    pub AutomaticSerialization: BOOLEAN,
    pub EvtInterruptIsr: PFN_WDF_INTERRUPT_ISR,
    pub EvtInterruptDpc: PFN_WDF_INTERRUPT_DPC,
    pub EvtInterruptEnable: PFN_WDF_INTERRUPT_ENABLE,
    pub EvtInterruptDisable: PFN_WDF_INTERRUPT_DISABLE,
    pub EvtInterruptWorkItem: PFN_WDF_INTERRUPT_WORKITEM,
    pub InterruptRaw: PCM_PARTIAL_RESOURCE_DESCRIPTOR,
    pub InterruptTranslated: PCM_PARTIAL_RESOURCE_DESCRIPTOR,
    pub WaitLock: WDFWAITLOCK,
    pub PassiveHandling: BOOLEAN,
    pub ReportInactiveOnPowerDown: WDF_TRI_STATE,
    pub CanWakeDevice: BOOLEAN,
}
pub type PWDF_INTERRUPT_CONFIG = *mut WDF_INTERRUPT_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_DMA_ENABLER_CONFIG {
    pub Size: ULONG,
    pub Profile: WDF_DMA_PROFILE,
    pub MaximumLength: usize,
    pub EvtDmaEnablerFill: PFN_WDF_DMA_ENABLER_FILL,
    pub EvtDmaEnablerFlush: PFN_WDF_DMA_ENABLER_FLUSH,
    pub EvtDmaEnablerDisable: PFN_WDF_DMA_ENABLER_DISABLE,
    pub EvtDmaEnablerEnable: PFN_WDF_DMA_ENABLER_ENABLE,
    pub EvtDmaEnablerSelfManagedIoStart: PFN_WDF_DMA_ENABLER_SELFMANAGED_IO_START,
    pub EvtDmaEnablerSelfManagedIoStop: PFN_WDF_DMA_ENABLER_SELFMANAGED_IO_STOP,
    pub AddressWidthOverride: ULONG,
    pub WdmDmaVersionOverride: ULONG,
    pub Flags: ULONG,
}
pub type PWDF_DMA_ENABLER_CONFIG = *mut WDF_DMA_ENABLER_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_TIMER_CONFIG {
    pub Size: ULONG,
    pub EvtTimerFunc: PFN_WDF_TIMER,
    pub Period: ULONG,
    pub AutomaticSerialization: BOOLEAN,
    pub TolerableDelay: ULONG,
    // the header aligns the next field to 8 bytes
    pub __bindgen_padding_0: u32,
    pub UseHighResolutionTimer: BOOLEAN,
}
pub type PWDF_TIMER_CONFIG = *mut WDF_TIMER_CONFIG;

macro_rules! zeroed_default {
    ($($structure:ident),* $(,)?) => {$(
        impl ::core::default::Default for $structure {
            fn default() -> Self {
                // SAFETY: all zero bytes are a valid value: numbers, nullable pointers and options
                // of function pointers only.
                unsafe { ::core::mem::zeroed() }
            }
        }
    )*};
}
zeroed_default! {
    UNICODE_STRING, LARGE_INTEGER, IO_STATUS_BLOCK, IRP, IO_STACK_LOCATION, FILE_OBJECT, DRIVER_EXTENSION, DRIVER_OBJECT, DEVICE_OBJECT, IO_ERROR_LOG_PACKET,
    CM_PARTIAL_RESOURCE_DESCRIPTOR, INTERFACE, BUS_INTERFACE_STANDARD, WDF_DRIVER_GLOBALS,
    WDF_OBJECT_CONTEXT_TYPE_INFO, WDF_OBJECT_ATTRIBUTES, WDF_DRIVER_CONFIG,
    WDF_PNPPOWER_EVENT_CALLBACKS, WDF_INTERRUPT_CONFIG, WDF_DMA_ENABLER_CONFIG, WDF_TIMER_CONFIG,
}
