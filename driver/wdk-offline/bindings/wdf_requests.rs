// KMDF 1.31 handles, enumerations, callback types and structures of the request half (x64): queues, requests,
// I/O targets, files, memory.

wdf_handles! {
    WDFQUEUE WDFQUEUE__,
    WDFREQUEST WDFREQUEST__,
    WDFIOTARGET WDFIOTARGET__,
    WDFMEMORY WDFMEMORY__,
    WDFFILEOBJECT WDFFILEOBJECT__,
}
pub type WDFCONTEXT = PVOID;

pub mod _WDF_IO_QUEUE_DISPATCH_TYPE {
    pub type Type = i32;
    pub const WdfIoQueueDispatchInvalid: Type = 0;
    pub const WdfIoQueueDispatchSequential: Type = 1;
    pub const WdfIoQueueDispatchParallel: Type = 2;
    pub const WdfIoQueueDispatchManual: Type = 3;
    pub const WdfIoQueueDispatchMax: Type = 4;
}
pub use self::_WDF_IO_QUEUE_DISPATCH_TYPE::Type as WDF_IO_QUEUE_DISPATCH_TYPE;

pub mod _WDF_IO_QUEUE_STATE {
    pub type Type = i32;
    pub const WdfIoQueueAcceptRequests: Type = 1;
    pub const WdfIoQueueDispatchRequests: Type = 2;
    pub const WdfIoQueueNoRequests: Type = 4;
    pub const WdfIoQueueDriverNoRequests: Type = 8;
    pub const WdfIoQueuePnpHeld: Type = 16;
}
pub use self::_WDF_IO_QUEUE_STATE::Type as WDF_IO_QUEUE_STATE;

pub mod _WDF_REQUEST_STOP_ACTION_FLAGS {
    pub type Type = i32;
    pub const WdfRequestStopActionInvalid: Type = 0;
    pub const WdfRequestStopActionSuspend: Type = 1;
    pub const WdfRequestStopActionPurge: Type = 2;
    pub const WdfRequestStopRequestCancelable: Type = 0x1000_0000;
}

pub mod _WDF_REQUEST_TYPE {
    pub type Type = i32;
    pub const WdfRequestTypeCreate: Type = 0;
    pub const WdfRequestTypeRead: Type = 3;
    pub const WdfRequestTypeWrite: Type = 4;
    pub const WdfRequestTypeDeviceControl: Type = 14;
    pub const WdfRequestTypeDeviceControlInternal: Type = 15;
    pub const WdfRequestTypeNoFormat: Type = 255;
}
pub use self::_WDF_REQUEST_TYPE::Type as WDF_REQUEST_TYPE;

pub mod _WDF_REQUEST_SEND_OPTIONS_FLAGS {
    pub type Type = i32;
    pub const WDF_REQUEST_SEND_OPTION_TIMEOUT: Type = 1;
    pub const WDF_REQUEST_SEND_OPTION_SYNCHRONOUS: Type = 2;
    pub const WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE: Type = 4;
    pub const WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET: Type = 8;
}

pub mod _WDF_REQUEST_REUSE_FLAGS {
    pub type Type = i32;
    pub const WDF_REQUEST_REUSE_NO_FLAGS: Type = 0;
    pub const WDF_REQUEST_REUSE_SET_NEW_IRP: Type = 1;
}

pub mod _WDF_IO_TARGET_OPEN_TYPE {
    pub type Type = i32;
    pub const WdfIoTargetOpenUndefined: Type = 0;
    pub const WdfIoTargetOpenUseExistingDevice: Type = 1;
    pub const WdfIoTargetOpenByName: Type = 2;
    pub const WdfIoTargetOpenReopen: Type = 3;
    pub const WdfIoTargetOpenLocalTargetByFile: Type = 4;
}
pub use self::_WDF_IO_TARGET_OPEN_TYPE::Type as WDF_IO_TARGET_OPEN_TYPE;

pub mod _WDF_IO_TARGET_STATE {
    pub type Type = i32;
    pub const WdfIoTargetStateUndefined: Type = 0;
    pub const WdfIoTargetStarted: Type = 1;
    pub const WdfIoTargetStopped: Type = 2;
    pub const WdfIoTargetClosedForQueryRemove: Type = 3;
    pub const WdfIoTargetClosed: Type = 4;
    pub const WdfIoTargetDeleted: Type = 5;
    pub const WdfIoTargetPurged: Type = 6;
}
pub use self::_WDF_IO_TARGET_STATE::Type as WDF_IO_TARGET_STATE;

pub mod _WDF_IO_TARGET_SENT_IO_ACTION {
    pub type Type = i32;
    pub const WdfIoTargetSentIoUndefined: Type = 0;
    pub const WdfIoTargetCancelSentIo: Type = 1;
    pub const WdfIoTargetWaitForSentIoToComplete: Type = 2;
    pub const WdfIoTargetLeaveSentIoPending: Type = 3;
}
pub use self::_WDF_IO_TARGET_SENT_IO_ACTION::Type as WDF_IO_TARGET_SENT_IO_ACTION;

pub mod _WDF_IO_TARGET_PURGE_IO_ACTION {
    pub type Type = i32;
    pub const WdfIoTargetPurgeIoUndefined: Type = 0;
    pub const WdfIoTargetPurgeIoAndWait: Type = 1;
    pub const WdfIoTargetPurgeIo: Type = 2;
}
pub use self::_WDF_IO_TARGET_PURGE_IO_ACTION::Type as WDF_IO_TARGET_PURGE_IO_ACTION;

pub mod _WDF_FILEOBJECT_CLASS {
    pub type Type = i32;
    pub const WdfFileObjectInvalid: Type = 0;
    pub const WdfFileObjectNotRequired: Type = 1;
    pub const WdfFileObjectWdfCanUseFsContext: Type = 2;
    pub const WdfFileObjectWdfCanUseFsContext2: Type = 3;
    pub const WdfFileObjectWdfCannotUseFsContexts: Type = 4;
    pub const WdfFileObjectCanBeOptional: Type = 0x8000_0000_u32 as i32;
}
pub use self::_WDF_FILEOBJECT_CLASS::Type as WDF_FILEOBJECT_CLASS;

pub mod _POOL_TYPE {
    pub type Type = i32;
    pub const NonPagedPool: Type = 0;
    pub const PagedPool: Type = 1;
    pub const NonPagedPoolNx: Type = 512;
}
pub use self::_POOL_TYPE::Type as POOL_TYPE;

pub type PFN_WDF_IO_QUEUE_IO_DEFAULT =
    ::core::option::Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST)>;
pub type PFN_WDF_IO_QUEUE_IO_READ =
    ::core::option::Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST, Length: usize)>;
pub type PFN_WDF_IO_QUEUE_IO_WRITE = PFN_WDF_IO_QUEUE_IO_READ;
pub type PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL = ::core::option::Option<
    unsafe extern "C" fn(
        Queue: WDFQUEUE,
        Request: WDFREQUEST,
        OutputBufferLength: usize,
        InputBufferLength: usize,
        IoControlCode: ULONG,
    ),
>;
pub type PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL = PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL;
pub type PFN_WDF_IO_QUEUE_IO_STOP =
    ::core::option::Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST, ActionFlags: ULONG)>;
pub type PFN_WDF_IO_QUEUE_IO_RESUME =
    ::core::option::Option<unsafe extern "C" fn(Queue: WDFQUEUE, Request: WDFREQUEST)>;
pub type PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE = PFN_WDF_IO_QUEUE_IO_RESUME;
pub type PFN_WDF_IO_QUEUE_STATE =
    ::core::option::Option<unsafe extern "C" fn(Queue: WDFQUEUE, Context: WDFCONTEXT)>;
pub type PFN_WDF_REQUEST_CANCEL = ::core::option::Option<unsafe extern "C" fn(Request: WDFREQUEST)>;
pub type PFN_WDF_REQUEST_COMPLETION_ROUTINE = ::core::option::Option<
    unsafe extern "C" fn(
        Request: WDFREQUEST,
        Target: WDFIOTARGET,
        Params: PWDF_REQUEST_COMPLETION_PARAMS,
        Context: WDFCONTEXT,
    ),
>;
pub type PFN_WDF_DEVICE_FILE_CREATE = ::core::option::Option<
    unsafe extern "C" fn(Device: WDFDEVICE, Request: WDFREQUEST, FileObject: WDFFILEOBJECT),
>;
pub type PFN_WDF_FILE_CLOSE = ::core::option::Option<unsafe extern "C" fn(FileObject: WDFFILEOBJECT)>;
pub type PFN_WDF_FILE_CLEANUP = PFN_WDF_FILE_CLOSE;
pub type PFN_WDF_IO_TARGET_QUERY_REMOVE =
    ::core::option::Option<unsafe extern "C" fn(IoTarget: WDFIOTARGET) -> NTSTATUS>;
pub type PFN_WDF_IO_TARGET_REMOVE_CANCELED =
    ::core::option::Option<unsafe extern "C" fn(IoTarget: WDFIOTARGET)>;
pub type PFN_WDF_IO_TARGET_REMOVE_COMPLETE = PFN_WDF_IO_TARGET_REMOVE_CANCELED;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_IO_QUEUE_CONFIG__bindgen_ty_1__bindgen_ty_1 {
    pub NumberOfPresentedRequests: ULONG,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub union _WDF_IO_QUEUE_CONFIG__bindgen_ty_1 {
    pub Parallel: _WDF_IO_QUEUE_CONFIG__bindgen_ty_1__bindgen_ty_1,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_IO_QUEUE_CONFIG {
    pub Size: ULONG,
    pub DispatchType: WDF_IO_QUEUE_DISPATCH_TYPE,
    pub PowerManaged: WDF_TRI_STATE,
    pub AllowZeroLengthRequests: BOOLEAN,
    pub DefaultQueue: BOOLEAN,
    pub EvtIoDefault: PFN_WDF_IO_QUEUE_IO_DEFAULT,
    pub EvtIoRead: PFN_WDF_IO_QUEUE_IO_READ,
    pub EvtIoWrite: PFN_WDF_IO_QUEUE_IO_WRITE,
    pub EvtIoDeviceControl: PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL,
    pub EvtIoInternalDeviceControl: PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL,
    pub EvtIoStop: PFN_WDF_IO_QUEUE_IO_STOP,
    pub EvtIoResume: PFN_WDF_IO_QUEUE_IO_RESUME,
    pub EvtIoCanceledOnQueue: PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE,
    pub Settings: _WDF_IO_QUEUE_CONFIG__bindgen_ty_1,
    pub Driver: WDFDRIVER,
}
pub type PWDF_IO_QUEUE_CONFIG = *mut WDF_IO_QUEUE_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_FILEOBJECT_CONFIG {
    pub Size: ULONG,
    pub EvtDeviceFileCreate: PFN_WDF_DEVICE_FILE_CREATE,
    pub EvtFileClose: PFN_WDF_FILE_CLOSE,
    pub EvtFileCleanup: PFN_WDF_FILE_CLEANUP,
    pub AutoForwardCleanupClose: WDF_TRI_STATE,
    pub FileObjectClass: WDF_FILEOBJECT_CLASS,
}
pub type PWDF_FILEOBJECT_CONFIG = *mut WDF_FILEOBJECT_CONFIG;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_4 {
    pub OutputBufferLength: usize,
    pub InputBufferLength: usize,
    pub IoControlCode: ULONG,
    pub Type3InputBuffer: PVOID,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub union _WDF_REQUEST_PARAMETERS__bindgen_ty_1 {
    pub DeviceIoControl: _WDF_REQUEST_PARAMETERS__bindgen_ty_1__bindgen_ty_4,
}
// Of the parameters only those of a control request are written out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_REQUEST_PARAMETERS {
    pub Size: USHORT,
    pub MinorFunction: UCHAR,
    pub Type: WDF_REQUEST_TYPE,
    pub Parameters: _WDF_REQUEST_PARAMETERS__bindgen_ty_1,
}
pub type PWDF_REQUEST_PARAMETERS = *mut WDF_REQUEST_PARAMETERS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_COMPLETION_PARAMS__bindgen_ty_1__bindgen_ty_3__bindgen_ty_1 {
    pub Buffer: WDFMEMORY,
    pub Offset: usize,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_COMPLETION_PARAMS__bindgen_ty_1__bindgen_ty_3__bindgen_ty_2 {
    pub Buffer: WDFMEMORY,
    pub Offset: usize,
    pub Length: usize,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct _WDF_REQUEST_COMPLETION_PARAMS__bindgen_ty_1__bindgen_ty_3 {
    pub IoControlCode: ULONG,
    pub Input: _WDF_REQUEST_COMPLETION_PARAMS__bindgen_ty_1__bindgen_ty_3__bindgen_ty_1,
    pub Output: _WDF_REQUEST_COMPLETION_PARAMS__bindgen_ty_1__bindgen_ty_3__bindgen_ty_2,
}
// Of the parameters only those of a control request are written out; others use no byte behind these.
#[repr(C)]
#[derive(Clone, Copy)]
pub union _WDF_REQUEST_COMPLETION_PARAMS__bindgen_ty_1 {
    pub Ioctl: _WDF_REQUEST_COMPLETION_PARAMS__bindgen_ty_1__bindgen_ty_3,
}
#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_REQUEST_COMPLETION_PARAMS {
    pub Size: ULONG,
    pub Type: WDF_REQUEST_TYPE,
    pub IoStatus: IO_STATUS_BLOCK,
    pub Parameters: _WDF_REQUEST_COMPLETION_PARAMS__bindgen_ty_1,
}
pub type PWDF_REQUEST_COMPLETION_PARAMS = *mut WDF_REQUEST_COMPLETION_PARAMS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_REQUEST_SEND_OPTIONS {
    pub Size: ULONG,
    pub Flags: ULONG,
    pub Timeout: LONGLONG,
}
pub type PWDF_REQUEST_SEND_OPTIONS = *mut WDF_REQUEST_SEND_OPTIONS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_REQUEST_REUSE_PARAMS {
    pub Size: ULONG,
    pub Flags: ULONG,
    pub Status: NTSTATUS,
    pub NewIrp: PIRP,
}
pub type PWDF_REQUEST_REUSE_PARAMS = *mut WDF_REQUEST_REUSE_PARAMS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDF_IO_TARGET_OPEN_PARAMS {
    pub Size: ULONG,
    pub Type: WDF_IO_TARGET_OPEN_TYPE,
    pub EvtIoTargetQueryRemove: PFN_WDF_IO_TARGET_QUERY_REMOVE,
    pub EvtIoTargetRemoveCanceled: PFN_WDF_IO_TARGET_REMOVE_CANCELED,
    pub EvtIoTargetRemoveComplete: PFN_WDF_IO_TARGET_REMOVE_COMPLETE,
    pub TargetDeviceObject: PDEVICE_OBJECT,
    pub TargetFileObject: PFILE_OBJECT,
    pub TargetDeviceName: UNICODE_STRING,
    pub DesiredAccess: ULONG,
    pub ShareAccess: ULONG,
    pub FileAttributes: ULONG,
    pub CreateDisposition: ULONG,
    pub CreateOptions: ULONG,
    pub EaBuffer: PVOID,
    pub EaBufferLength: ULONG,
    pub AllocationSize: PLONGLONG,
    pub FileInformation: ULONG,
    pub FileName: UNICODE_STRING,
}
pub type PWDF_IO_TARGET_OPEN_PARAMS = *mut WDF_IO_TARGET_OPEN_PARAMS;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct WDFMEMORY_OFFSET {
    pub BufferOffset: usize,
    pub BufferLength: usize,
}
pub type PWDFMEMORY_OFFSET = *mut WDFMEMORY_OFFSET;

zeroed_default! {
    WDF_IO_QUEUE_CONFIG, WDF_FILEOBJECT_CONFIG, WDF_REQUEST_PARAMETERS, WDF_REQUEST_COMPLETION_PARAMS,
    WDF_REQUEST_SEND_OPTIONS, WDF_REQUEST_REUSE_PARAMS, WDF_IO_TARGET_OPEN_PARAMS, WDFMEMORY_OFFSET,
}
