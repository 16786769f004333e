//! ntoskrnl's functions: what a driver imports by name.

mod caller;
mod list;
mod lock;
mod memory;
pub(crate) mod print;
mod registry;
mod string;
mod system;
mod thread;
mod timer;
mod wait;
mod work;

use crate::io::api;
use crate::mm::Owner;
use crate::pe::{Export, exports};
use alloc::{string::String, vec::Vec};
use caller::{caller_is_eighth, caller_is_fourth};

/// The modules that drivers import from.
#[cfg_attr(target_os = "none", expect(dead_code, reason = "for the list of what is offered"))]
pub(crate) const MODULES: [&str; 4] = ["ntoskrnl.exe", "HAL.dll", "NDIS.SYS", "WDFLDR.SYS"];

/// What is offered of a module, by name.
pub(crate) fn exports(module: &str) -> Option<Vec<Export>> {
    let is = |name: &str| module.eq_ignore_ascii_case(name);
    if is("ntoskrnl.exe") {
        Some(kernel())
    } else if is("HAL.dll") {
        Some(hal())
    } else if is("NDIS.SYS") {
        Some(crate::ndis::exports::all())
    } else if is("WDFLDR.SYS") {
        Some(loader())
    } else {
        None
    }
}

/// The address of an exported function.
pub(crate) fn resolve(module: &str, name: &str) -> Option<usize> {
    exports(module)?.into_iter().find(|(known, _)| *known == name).map(|(_, address)| address)
}

fn loader() -> Vec<Export> {
    use crate::wdf::binding;
    exports! {
        "WdfVersionBind" => binding::version_bind,
        "WdfVersionUnbind" => binding::version_unbind,
        "WdfVersionBindClass" => binding::version_bind_class,
        "WdfVersionUnbindClass" => binding::version_unbind_class,
    }
}

/// HAL.dll forwards them to the kernel since Windows 10 2004: drivers that were linked before that name it.
fn hal() -> Vec<Export> {
    exports! {
        "KeQueryPerformanceCounter" => system::query_performance_counter,
        "KeStallExecutionProcessor" => system::stall,
    }
}

fn kernel() -> Vec<Export> {
    let mut all = exports! {
        "DbgPrint" => print::dbg_print,
        "DbgPrintEx" => print::dbg_print_ex,
        "EtwActivityIdControl" => system::etw_accept,
        "EtwRegister" => system::etw_register,
        "EtwSetInformation" => system::etw_accept,
        "EtwUnregister" => system::etw_accept,
        "EtwWrite" => system::etw_accept,
        "EtwWriteTransfer" => system::etw_accept,
        "ExAcquireFastMutex" => wait::acquire_fast_mutex,
        "ExAllocatePool" => memory::allocate_untagged,
        "ExAllocatePool2" => memory::allocate_pool2,
        "ExAllocatePoolWithTag" => memory::allocate_with_tag,
        "ExFreePool" => memory::free,
        "ExFreePoolWithTag" => memory::free_with_tag,
        "ExInterlockedInsertHeadList" => list::insert_head,
        "ExInterlockedInsertTailList" => list::insert_tail,
        "ExInterlockedRemoveHeadList" => list::remove_head,
        "ExQueueWorkItem" => work::queue_executive,
        "ExReleaseFastMutex" => wait::release_fast_mutex,
        "ExTryToAcquireFastMutex" => wait::try_fast_mutex,
        "IoAcquireCancelSpinLock" => api::acquire_cancel_spin_lock,
        "IoAllocateErrorLogEntry" => allocate_error_log_entry,
        "IoAllocateMdl" => memory::allocate_mdl,
        "IoAllocateWorkItem" => allocate_work_item,
        "IoBuildPartialMdl" => memory::build_partial_mdl,
        "IoCancelIrp" => api::cancel_irp,
        "IoCreateDevice" => api::create_device,
        "IoCreateSymbolicLink" => create_symbolic_link,
        "IoDeleteDevice" => api::delete_device,
        "IoDeleteSymbolicLink" => api::delete_symbolic_link,
        "IoFreeMdl" => memory::free_mdl,
        "IoFreeWorkItem" => work::free,
        "IoGetDeviceInterfaces" => get_device_interfaces,
        "IoOpenDeviceRegistryKey" => registry::open_device_key,
        "IoQueueWorkItem" => work::queue_item,
        "IoQueueWorkItemEx" => work::queue_item_ex,
        "IoReleaseCancelSpinLock" => api::release_cancel_spin_lock,
        "IoWMIRegistrationControl" => system::wmi_registration_control,
        "IoWriteErrorLogEntry" => system::write_error_log_entry,
        "IofCallDriver" => api::call_driver,
        "IofCompleteRequest" => api::complete_request,
        "KeAcquireInStackQueuedSpinLock" => lock::acquire_queued,
        "KeAcquireInStackQueuedSpinLockAtDpcLevel" => lock::acquire_queued_at_dpc_level,
        "KeAcquireSpinLockAtDpcLevel" => lock::acquire_at_dpc_level,
        "KeAcquireSpinLockRaiseToDpc" => lock::acquire,
        "KeBugCheck" => system::bug_check,
        "KeBugCheckEx" => system::bug_check_ex,
        "KeCancelTimer" => timer::cancel_timer,
        "KeClearEvent" => wait::clear_event,
        "KeDelayExecutionThread" => system::delay_execution_thread,
        "KeEnterCriticalRegion" => system::critical_region,
        "KeFlushQueuedDpcs" => timer::flush_queued_dpcs,
        "KeGetCurrentIrql" => lock::current_irql,
        "KeGetCurrentProcessorNumberEx" => system::current_processor,
        "KeInitializeDpc" => timer::initialize_dpc,
        "KeInitializeEvent" => wait::initialize_event,
        "KeInitializeMutex" => wait::initialize_mutex,
        "KeInitializeSemaphore" => wait::initialize_semaphore,
        "KeInitializeSpinLock" => lock::initialize,
        "KeInitializeTimer" => initialize_timer,
        "KeInitializeTimerEx" => initialize_timer_ex,
        "KeInsertQueueDpc" => timer::insert_queue_dpc,
        "KeLeaveCriticalRegion" => system::critical_region,
        "KeLowerIrql" => lock::lower_irql,
        "KeQueryActiveProcessorCount" => system::processor_count,
        "KeQueryActiveProcessorCountEx" => system::processor_count,
        "KeQueryMaximumProcessorCountEx" => system::processor_count,
        "KeQueryPerformanceCounter" => system::query_performance_counter,
        "KeQueryTimeIncrement" => system::time_increment,
        "KeQueryUnbiasedInterruptTime" => system::interrupt_time,
        "KeRaiseIrqlToDpcLevel" => lock::raise_to_dpc_level,
        "KeReadStateEvent" => wait::read_state,
        "KeReadStateMutex" => wait::read_state,
        "KeReadStateSemaphore" => wait::read_state,
        "KeReadStateTimer" => wait::read_state,
        "KeReleaseInStackQueuedSpinLock" => lock::release_queued,
        "KeReleaseInStackQueuedSpinLockFromDpcLevel" => lock::release_queued_from_dpc_level,
        "KeReleaseMutex" => wait::release_mutex,
        "KeReleaseSemaphore" => wait::release_semaphore,
        "KeReleaseSpinLock" => lock::release,
        "KeReleaseSpinLockFromDpcLevel" => lock::release_from_dpc_level,
        "KeRemoveQueueDpc" => timer::remove_queue_dpc,
        "KeResetEvent" => wait::reset_event,
        "KeSetCoalescableTimer" => timer::set_coalescable_timer,
        "KeSetEvent" => wait::set_event,
        "KeSetImportanceDpc" => timer::set_dpc,
        "KeSetTargetProcessorDpc" => timer::set_dpc,
        "KeSetTimer" => timer::set_timer,
        "KeSetTimerEx" => timer::set_timer_ex,
        "KeStallExecutionProcessor" => system::stall,
        "KeTryToAcquireSpinLockAtDpcLevel" => lock::try_at_dpc_level,
        "KeWaitForMultipleObjects" => wait::for_multiple,
        "KeWaitForMutexObject" => wait::for_single,
        "KeWaitForSingleObject" => wait::for_single,
        "KfRaiseIrql" => lock::raise_irql,
        "MmBuildMdlForNonPagedPool" => memory::build_mdl,
        "MmGetPhysicalAddress" => memory::physical_address,
        "MmGetSystemRoutineAddress" => system_routine_address,
        "MmMapIoSpace" => memory::map_io_space,
        "MmMapIoSpaceEx" => memory::map_io_space_ex,
        "MmMapLockedPagesSpecifyCache" => memory::map_locked_pages,
        "MmUnmapIoSpace" => memory::unmap_io_space,
        "MmUnmapLockedPages" => memory::unmap_locked_pages,
        "ObReferenceObjectByHandle" => thread::reference_by_handle,
        "ObfDereferenceObject" => thread::dereference,
        "ObfReferenceObject" => thread::reference,
        "PsCreateSystemThread" => thread::create,
        "PsGetCurrentThreadId" => api::current_thread_id,
        "PsTerminateSystemThread" => thread::terminate,
        "RtlAnsiStringToUnicodeString" => string::ansi_to_unicode,
        "RtlAppendUnicodeStringToString" => string::append_unicode,
        "RtlAppendUnicodeToString" => string::append_text,
        "RtlCompareMemory" => string::compare_memory,
        "RtlCompareUnicodeString" => string::compare_unicode,
        "RtlCopyMemory" => system::memcpy,
        "RtlCopyUnicodeString" => string::copy_unicode,
        "RtlEqualUnicodeString" => string::equal_unicode,
        "RtlFillMemory" => system::fill_memory,
        "RtlFreeAnsiString" => string::free,
        "RtlFreeUnicodeString" => string::free,
        "RtlInitAnsiString" => string::init_bytes,
        "RtlInitString" => string::init_bytes,
        "RtlInitUnicodeString" => string::init_unicode,
        "RtlIntegerToUnicodeString" => string::from_integer,
        "RtlMoveMemory" => system::memcpy,
        "RtlUnicodeStringToAnsiString" => string::unicode_to_ansi,
        "RtlUnicodeStringToInteger" => string::to_integer,
        "RtlZeroMemory" => system::zero_memory,
        "ZwClose" => thread::close,
        "ZwCreateKey" => registry::create_key,
        "ZwDeleteKey" => registry::delete_key,
        "ZwDeleteValueKey" => registry::delete_value,
        "ZwFlushKey" => registry::flush_key,
        "ZwOpenKey" => registry::open_key,
        "ZwQueryValueKey" => registry::query_value,
        "ZwSetValueKey" => registry::set_value,
        "__C_specific_handler" => system::c_specific_handler,
        "__chkstk" => crate::verifier::stack::probe,
        "memcmp" => system::memcmp,
        "memcpy" => system::memcpy,
        "memmove" => system::memcpy,
        "memset" => system::memset,
        "strcmp" => string::strcmp,
        "strlen" => string::strlen,
        "strncmp" => string::strncmp,
        "wcscmp" => string::wcscmp,
        "wcslen" => string::wcslen,
        "wcsncmp" => string::wcsncmp,
    };
    // what is imported by its address is data
    all.push(("PsThreadType", (&raw const thread::PS_THREAD_TYPE).addr()));
    all
}

caller_is_fourth! {
    allocate_error_log_entry => system::allocate_error_log_entry_for,
    allocate_work_item => work::allocate_for,
    create_symbolic_link => crate::io::api::create_symbolic_link_for,
    initialize_timer => timer::initialize_timer_for,
    initialize_timer_ex => timer::initialize_timer_ex_for,
}
caller_is_eighth! {
    get_device_interfaces => crate::io::api::get_device_interfaces_for,
}

/// MmGetSystemRoutineAddress: PASSIVE_LEVEL; NULL for what the kernel does not have.
unsafe extern "win64" fn system_routine_address(name: *const wdk_offline::UNICODE_STRING) -> usize {
    crate::verifier::require_irql("MmGetSystemRoutineAddress", crate::ke::Irql::PASSIVE);
    let name = api::text(name);
    ["ntoskrnl.exe", "HAL.dll"].iter().find_map(|module| resolve(module, &name)).unwrap_or_default()
}

/// What a driver that goes has left in the kernel, by rule and in words; it is forgotten. PASSIVE_LEVEL.
pub(crate) fn forget(owner: Owner) -> Vec<(&'static str, Vec<String>)> {
    let work = work::settle(owner);
    let timers = timer::forget(owner);
    let mut left = Vec::from(thread::forget(owner));
    left.extend([("WorkItemLeaked", work), ("TimerOrDpcInUse", timers)]);
    left
}
