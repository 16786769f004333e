// Types of the KMDF functions of the request half: queues, requests, I/O targets, files, memory.

pub type PFN_WDFDEVICEINITSETCHARACTERISTICS = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        DeviceInit: PWDFDEVICE_INIT,
        DeviceCharacteristics: ULONG,
        OrInValues: BOOLEAN,
    ),
>;
pub type PFN_WDFDEVICEINITSETFILEOBJECTCONFIG = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        DeviceInit: PWDFDEVICE_INIT,
        FileObjectConfig: PWDF_FILEOBJECT_CONFIG,
        FileObjectAttributes: PWDF_OBJECT_ATTRIBUTES,
    ),
>;
pub type PFN_WDFDEVICECREATEDEVICEINTERFACE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Device: WDFDEVICE,
        InterfaceClassGUID: *const GUID,
        ReferenceString: PCUNICODE_STRING,
    ) -> NTSTATUS,
>;
pub type PFN_WDFDEVICECONFIGUREREQUESTDISPATCHING = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Device: WDFDEVICE,
        Queue: WDFQUEUE,
        RequestType: WDF_REQUEST_TYPE,
    ) -> NTSTATUS,
>;
pub type PFN_WDFDEVICEGETIOTARGET = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Device: WDFDEVICE) -> WDFIOTARGET,
>;
pub type PFN_WDFFILEOBJECTGETDEVICE = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, FileObject: WDFFILEOBJECT) -> WDFDEVICE,
>;
pub type PFN_WDFIOQUEUECREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Device: WDFDEVICE,
        Config: PWDF_IO_QUEUE_CONFIG,
        QueueAttributes: PWDF_OBJECT_ATTRIBUTES,
        Queue: *mut WDFQUEUE,
    ) -> NTSTATUS,
>;
pub type PFN_WDFIOQUEUEGETSTATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Queue: WDFQUEUE,
        QueueRequests: PULONG,
        DriverRequests: PULONG,
    ) -> WDF_IO_QUEUE_STATE,
>;
pub type PFN_WDFIOQUEUESTART =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Queue: WDFQUEUE)>;
pub type PFN_WDFIOQUEUESTOP = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Queue: WDFQUEUE,
        StopComplete: PFN_WDF_IO_QUEUE_STATE,
        Context: WDFCONTEXT,
    ),
>;
pub type PFN_WDFIOQUEUESTOPSYNCHRONOUSLY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Queue: WDFQUEUE)>;
pub type PFN_WDFIOQUEUEGETDEVICE = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Queue: WDFQUEUE) -> WDFDEVICE,
>;
pub type PFN_WDFIOQUEUERETRIEVENEXTREQUEST = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Queue: WDFQUEUE,
        OutRequest: *mut WDFREQUEST,
    ) -> NTSTATUS,
>;
pub type PFN_WDFIOQUEUEDRAIN = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Queue: WDFQUEUE,
        DrainComplete: PFN_WDF_IO_QUEUE_STATE,
        Context: WDFCONTEXT,
    ),
>;
pub type PFN_WDFIOQUEUEPURGE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Queue: WDFQUEUE,
        PurgeComplete: PFN_WDF_IO_QUEUE_STATE,
        Context: WDFCONTEXT,
    ),
>;
pub type PFN_WDFIOQUEUEPURGESYNCHRONOUSLY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Queue: WDFQUEUE)>;
pub type PFN_WDFIOQUEUESTOPANDPURGE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Queue: WDFQUEUE,
        StopAndPurgeComplete: PFN_WDF_IO_QUEUE_STATE,
        Context: WDFCONTEXT,
    ),
>;
pub type PFN_WDFIOQUEUEREADYNOTIFY = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Queue: WDFQUEUE,
        QueueReady: PFN_WDF_IO_QUEUE_STATE,
        Context: WDFCONTEXT,
    ) -> NTSTATUS,
>;
pub type PFN_WDFIOTARGETCREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Device: WDFDEVICE,
        IoTargetAttributes: PWDF_OBJECT_ATTRIBUTES,
        IoTarget: *mut WDFIOTARGET,
    ) -> NTSTATUS,
>;
pub type PFN_WDFIOTARGETOPEN = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        IoTarget: WDFIOTARGET,
        OpenParams: PWDF_IO_TARGET_OPEN_PARAMS,
    ) -> NTSTATUS,
>;
pub type PFN_WDFIOTARGETCLOSE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, IoTarget: WDFIOTARGET)>;
pub type PFN_WDFIOTARGETSTART = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, IoTarget: WDFIOTARGET) -> NTSTATUS,
>;
pub type PFN_WDFIOTARGETSTOP = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        IoTarget: WDFIOTARGET,
        Action: WDF_IO_TARGET_SENT_IO_ACTION,
    ),
>;
pub type PFN_WDFIOTARGETPURGE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        IoTarget: WDFIOTARGET,
        Action: WDF_IO_TARGET_PURGE_IO_ACTION,
    ),
>;
pub type PFN_WDFIOTARGETGETSTATE = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, IoTarget: WDFIOTARGET) -> WDF_IO_TARGET_STATE,
>;
pub type PFN_WDFIOTARGETFORMATREQUESTFORIOCTL = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        IoTarget: WDFIOTARGET,
        Request: WDFREQUEST,
        IoctlCode: ULONG,
        InputBuffer: WDFMEMORY,
        InputBufferOffset: PWDFMEMORY_OFFSET,
        OutputBuffer: WDFMEMORY,
        OutputBufferOffset: PWDFMEMORY_OFFSET,
    ) -> NTSTATUS,
>;
pub type PFN_WDFIOTARGETFORMATREQUESTFORINTERNALIOCTL = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        IoTarget: WDFIOTARGET,
        Request: WDFREQUEST,
        IoctlCode: ULONG,
        InputBuffer: WDFMEMORY,
        InputBufferOffset: PWDFMEMORY_OFFSET,
        OutputBuffer: WDFMEMORY,
        OutputBufferOffset: PWDFMEMORY_OFFSET,
    ) -> NTSTATUS,
>;
pub type PFN_WDFMEMORYCREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Attributes: PWDF_OBJECT_ATTRIBUTES,
        PoolType: POOL_TYPE,
        PoolTag: ULONG,
        BufferSize: usize,
        Memory: *mut WDFMEMORY,
        Buffer: *mut PVOID,
    ) -> NTSTATUS,
>;
pub type PFN_WDFMEMORYGETBUFFER = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Memory: WDFMEMORY,
        BufferSize: *mut usize,
    ) -> PVOID,
>;
pub type PFN_WDFOBJECTDEREFERENCEACTUAL = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Handle: WDFOBJECT,
        Tag: PVOID,
        Line: LONG,
        File: PCCH,
    ),
>;
pub type PFN_WDFREQUESTCREATE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        RequestAttributes: PWDF_OBJECT_ATTRIBUTES,
        IoTarget: WDFIOTARGET,
        Request: *mut WDFREQUEST,
    ) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTREUSE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        ReuseParams: PWDF_REQUEST_REUSE_PARAMS,
    ) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTFORMATREQUESTUSINGCURRENTTYPE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST)>;
pub type PFN_WDFREQUESTSEND = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        Target: WDFIOTARGET,
        Options: PWDF_REQUEST_SEND_OPTIONS,
    ) -> BOOLEAN,
>;
pub type PFN_WDFREQUESTGETSTATUS = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTMARKCANCELABLE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        EvtRequestCancel: PFN_WDF_REQUEST_CANCEL,
    ),
>;
pub type PFN_WDFREQUESTMARKCANCELABLEEX = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        EvtRequestCancel: PFN_WDF_REQUEST_CANCEL,
    ) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTUNMARKCANCELABLE = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTISCANCELED = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> BOOLEAN,
>;
pub type PFN_WDFREQUESTCANCELSENTREQUEST = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> BOOLEAN,
>;
pub type PFN_WDFREQUESTSETCOMPLETIONROUTINE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        CompletionRoutine: PFN_WDF_REQUEST_COMPLETION_ROUTINE,
        CompletionContext: WDFCONTEXT,
    ),
>;
pub type PFN_WDFREQUESTGETCOMPLETIONPARAMS = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        Params: PWDF_REQUEST_COMPLETION_PARAMS,
    ),
>;
pub type PFN_WDFREQUESTCOMPLETE = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST, Status: NTSTATUS),
>;
pub type PFN_WDFREQUESTCOMPLETEWITHINFORMATION = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        Status: NTSTATUS,
        Information: ULONG_PTR,
    ),
>;
pub type PFN_WDFREQUESTSETINFORMATION = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST, Information: ULONG_PTR),
>;
pub type PFN_WDFREQUESTGETINFORMATION = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> ULONG_PTR,
>;
pub type PFN_WDFREQUESTGETPARAMETERS = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        Parameters: PWDF_REQUEST_PARAMETERS,
    ),
>;
pub type PFN_WDFREQUESTRETRIEVEINPUTMEMORY = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        Memory: *mut WDFMEMORY,
    ) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTRETRIEVEOUTPUTMEMORY = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        Memory: *mut WDFMEMORY,
    ) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTRETRIEVEINPUTBUFFER = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        MinimumRequiredLength: usize,
        Buffer: *mut PVOID,
        Length: *mut usize,
    ) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTRETRIEVEOUTPUTBUFFER = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        MinimumRequiredSize: usize,
        Buffer: *mut PVOID,
        Length: *mut usize,
    ) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTGETFILEOBJECT = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> WDFFILEOBJECT,
>;
pub type PFN_WDFREQUESTFORWARDTOIOQUEUE = ::core::option::Option<
    unsafe extern "C" fn(
        DriverGlobals: PWDF_DRIVER_GLOBALS,
        Request: WDFREQUEST,
        DestinationQueue: WDFQUEUE,
    ) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTGETIOQUEUE = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> WDFQUEUE,
>;
pub type PFN_WDFREQUESTREQUEUE = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST) -> NTSTATUS,
>;
pub type PFN_WDFREQUESTSTOPACKNOWLEDGE = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Request: WDFREQUEST, Requeue: BOOLEAN),
>;
pub type PFN_WDFIOQUEUESTOPANDPURGESYNCHRONOUSLY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Queue: WDFQUEUE)>;
pub type PFN_WDFIOQUEUEDRAINSYNCHRONOUSLY =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, Queue: WDFQUEUE)>;
pub type PFN_WDFIOTARGETCLOSEFORQUERYREMOVE =
    ::core::option::Option<unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, IoTarget: WDFIOTARGET)>;
pub type PFN_WDFIOTARGETWDMGETTARGETDEVICEOBJECT = ::core::option::Option<
    unsafe extern "C" fn(DriverGlobals: PWDF_DRIVER_GLOBALS, IoTarget: WDFIOTARGET) -> PDEVICE_OBJECT,
>;
