//! The two function tables that clients call through. Every entry that understudy does not offer traps by name.

use super::class::{self, ClassExtension};
use super::queue::api as queue;
use super::request::{api as request, buffers, cancel, format, send};
use super::typed::{table, typed};
use super::{
    bus_interface, device, dma, driver, file, interrupt, io_target, lock, memory, object, resources, timer,
};
use crate::verifier::{BugCheck, trace};
use alloc::{boxed::Box, format, vec, vec::Vec};
use core::arch::global_asm;
use spin::Once;
use wdk_offline::{
    FUNCTION_NAMES, PFN_WDFCOMMONBUFFERCREATE, PFN_WDFDEVICECREATE, PFN_WDFDMAENABLERCREATE,
    PFN_WDFDRIVERCREATE, PFN_WDFFDOQUERYFORINTERFACE, PFN_WDFINTERRUPTCREATE, PFN_WDFOBJECTDELETE,
    PFN_WDFOBJECTGETTYPEDCONTEXTWORKER, PFN_WDFSPINLOCKCREATE, PFN_WDFTIMERCREATE, PFN_WDFTIMERSTART,
    WDFFUNC,
};

/// Entries of the KMDF table.
pub(crate) const WDF_FUNCTIONS: usize = 458;
/// Most entries that a class extension's table may have: those of NetAdapterCx 2.1.
const CLASS_FUNCTIONS: usize = netadaptercx_sys::NET_FUNCTION_COUNT_2_5;
/// Bytes of one trap stub.
const STUB: usize = 16;

// One stub per entry: its number in eax, then the common trap, which passes the number and the return address on.
global_asm!(
    ".pushsection .text",
    ".balign 16",
    ".global understudy_traps",
    "understudy_traps:",
    ".set entry, 0",
    ".rept {count}",
    ".balign 16",
    "mov eax, entry",
    "jmp 2f",
    ".set entry, entry + 1",
    ".endr",
    "2:",
    "mov ecx, eax",
    "mov rdx, [rsp]",
    "and rsp, -16",
    "sub rsp, 32",
    "call {trap}",
    "ud2",
    ".popsection",
    count = const WDF_FUNCTIONS + CLASS_FUNCTIONS,
    trap = sym trap,
);

unsafe extern "C" {
    static understudy_traps: [u8; STUB];
}

unsafe extern "win64" fn trap(entry: u32, caller: u64) -> ! {
    let entry = entry as usize;
    let name = match entry.checked_sub(WDF_FUNCTIONS) {
        Some(net) => {
            class::get().map_or("a function of no class extension", |class| class.function_name(net))
        }
        None => FUNCTION_NAMES[entry],
    };
    trace::stop(
        BugCheck::WDF_VIOLATION,
        [0, entry as u64, caller, 0],
        "FunctionNotOffered",
        format!(
            "{name} is not offered by understudy, called from {}",
            crate::verifier::owners::describe(caller)
        ),
    )
}

fn stub(entry: usize) -> usize {
    &raw const understudy_traps as usize + entry * STUB
}

static WDF_TABLE: Once<Box<[usize]>> = Once::new();

/// The KMDF table: the same for every client and never written again.
pub(crate) fn wdf_table() -> *const WDFFUNC {
    let table = WDF_TABLE.call_once(|| {
        let mut table: Box<[usize]> = (0..WDF_FUNCTIONS).map(stub).collect();
        for (name, function) in all() {
            let index = FUNCTION_NAMES.iter().position(|known| *known == name);
            table[index.unwrap_or_else(|| panic!("no KMDF function {name}"))] = function;
        }
        table
    });
    table.as_ptr().cast()
}

fn all() -> impl Iterator<Item = (&'static str, usize)> {
    offered().into_iter().chain(offered_requests()).chain(super::more::offered())
}

/// The names of what is offered.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    all().map(|(name, _)| name)
}

/// The class extension's table, to be copied into a client's array.
pub(crate) fn class_table(class: &dyn ClassExtension) -> Box<[usize]> {
    let mut table: Box<[usize]> = (0..CLASS_FUNCTIONS).map(|entry| stub(WDF_FUNCTIONS + entry)).collect();
    for &(index, function) in class.offered() {
        table[index] = function;
    }
    table
}

fn offered() -> [(&'static str, usize); 29] {
    [
        ("WdfDriverCreate", typed!(PFN_WDFDRIVERCREATE, driver::driver_create)),
        (
            "WdfDeviceInitSetPnpPowerEventCallbacks",
            typed!(
                wdk_offline::PFN_WDFDEVICEINITSETPNPPOWEREVENTCALLBACKS,
                device::set_pnp_power_event_callbacks
            ),
        ),
        ("WdfDeviceCreate", typed!(PFN_WDFDEVICECREATE, device::device_create)),
        (
            "WdfObjectGetTypedContextWorker",
            typed!(PFN_WDFOBJECTGETTYPEDCONTEXTWORKER, object::get_typed_context),
        ),
        (
            "WdfObjectReferenceActual",
            typed!(wdk_offline::PFN_WDFOBJECTREFERENCEACTUAL, object::reference_actual),
        ),
        ("WdfObjectDelete", typed!(PFN_WDFOBJECTDELETE, object::object_delete)),
        ("WdfFdoQueryForInterface", typed!(PFN_WDFFDOQUERYFORINTERFACE, bus_interface::query_for_interface)),
        (
            "WdfCmResourceListGetCount",
            typed!(wdk_offline::PFN_WDFCMRESOURCELISTGETCOUNT, resources::get_count),
        ),
        (
            "WdfCmResourceListGetDescriptor",
            typed!(wdk_offline::PFN_WDFCMRESOURCELISTGETDESCRIPTOR, resources::get_descriptor),
        ),
        ("WdfInterruptCreate", typed!(PFN_WDFINTERRUPTCREATE, interrupt::create)),
        (
            "WdfInterruptQueueDpcForIsr",
            typed!(wdk_offline::PFN_WDFINTERRUPTQUEUEDPCFORISR, interrupt::queue_dpc_for_isr),
        ),
        (
            "WdfInterruptAcquireLock",
            typed!(wdk_offline::PFN_WDFINTERRUPTACQUIRELOCK, interrupt::acquire_lock),
        ),
        (
            "WdfInterruptReleaseLock",
            typed!(wdk_offline::PFN_WDFINTERRUPTRELEASELOCK, interrupt::release_lock),
        ),
        ("WdfInterruptGetDevice", typed!(wdk_offline::PFN_WDFINTERRUPTGETDEVICE, interrupt::get_device)),
        ("WdfSpinLockCreate", typed!(PFN_WDFSPINLOCKCREATE, lock::spin_lock_create)),
        ("WdfSpinLockAcquire", typed!(wdk_offline::PFN_WDFSPINLOCKACQUIRE, lock::spin_lock_acquire)),
        ("WdfSpinLockRelease", typed!(wdk_offline::PFN_WDFSPINLOCKRELEASE, lock::spin_lock_release)),
        ("WdfDmaEnablerCreate", typed!(PFN_WDFDMAENABLERCREATE, dma::enabler_create)),
        (
            "WdfDeviceSetAlignmentRequirement",
            typed!(wdk_offline::PFN_WDFDEVICESETALIGNMENTREQUIREMENT, device::set_alignment_requirement),
        ),
        ("WdfCommonBufferCreate", typed!(PFN_WDFCOMMONBUFFERCREATE, dma::common_buffer_create)),
        (
            "WdfCommonBufferGetAlignedVirtualAddress",
            typed!(wdk_offline::PFN_WDFCOMMONBUFFERGETALIGNEDVIRTUALADDRESS, dma::virtual_address),
        ),
        (
            "WdfCommonBufferGetAlignedLogicalAddress",
            typed!(wdk_offline::PFN_WDFCOMMONBUFFERGETALIGNEDLOGICALADDRESS, dma::logical_address),
        ),
        ("WdfCommonBufferGetLength", typed!(wdk_offline::PFN_WDFCOMMONBUFFERGETLENGTH, dma::length)),
        ("WdfTimerCreate", typed!(PFN_WDFTIMERCREATE, timer::create)),
        ("WdfTimerStart", typed!(PFN_WDFTIMERSTART, timer::start)),
        ("WdfTimerStop", typed!(wdk_offline::PFN_WDFTIMERSTOP, timer::stop)),
        (
            "WdfTimerGetParentObject",
            typed!(wdk_offline::PFN_WDFTIMERGETPARENTOBJECT, timer::get_parent_object),
        ),
        ("WdfDeviceSetFailed", typed!(wdk_offline::PFN_WDFDEVICESETFAILED, device::set_failed)),
        (
            "WdfDeviceWdmGetDeviceObject",
            typed!(wdk_offline::PFN_WDFDEVICEWDMGETDEVICEOBJECT, device::wdm_get_device_object),
        ),
    ]
}

/// The request half.
fn offered_requests() -> Vec<(&'static str, usize)> {
    table! {
        "WdfObjectDereferenceActual", PFN_WDFOBJECTDEREFERENCEACTUAL => object::dereference_actual;
        "WdfDeviceInitSetCharacteristics", PFN_WDFDEVICEINITSETCHARACTERISTICS => device::set_characteristics;
        "WdfDeviceInitSetFileObjectConfig", PFN_WDFDEVICEINITSETFILEOBJECTCONFIG => file::set_file_object_config;
        "WdfDeviceCreateDeviceInterface", PFN_WDFDEVICECREATEDEVICEINTERFACE => device::create_device_interface;
        "WdfDeviceConfigureRequestDispatching", PFN_WDFDEVICECONFIGUREREQUESTDISPATCHING
            => device::configure_request_dispatching;
        "WdfDeviceGetIoTarget", PFN_WDFDEVICEGETIOTARGET => device::get_io_target;
        "WdfFileObjectGetDevice", PFN_WDFFILEOBJECTGETDEVICE => file::get_device;
        "WdfIoQueueCreate", PFN_WDFIOQUEUECREATE => queue::create;
        "WdfIoQueueGetState", PFN_WDFIOQUEUEGETSTATE => queue::get_state;
        "WdfIoQueueStart", PFN_WDFIOQUEUESTART => queue::start;
        "WdfIoQueueStop", PFN_WDFIOQUEUESTOP => queue::stop;
        "WdfIoQueueStopSynchronously", PFN_WDFIOQUEUESTOPSYNCHRONOUSLY => queue::stop_synchronously;
        "WdfIoQueueGetDevice", PFN_WDFIOQUEUEGETDEVICE => queue::get_device;
        "WdfIoQueueRetrieveNextRequest", PFN_WDFIOQUEUERETRIEVENEXTREQUEST => queue::retrieve_next_request;
        "WdfIoQueueReadyNotify", PFN_WDFIOQUEUEREADYNOTIFY => queue::ready_notify;
        "WdfIoQueueDrain", PFN_WDFIOQUEUEDRAIN => queue::drain;
        "WdfIoQueuePurge", PFN_WDFIOQUEUEPURGE => queue::purge;
        "WdfIoQueuePurgeSynchronously", PFN_WDFIOQUEUEPURGESYNCHRONOUSLY => queue::purge_synchronously;
        "WdfIoQueueStopAndPurgeSynchronously", PFN_WDFIOQUEUESTOPANDPURGESYNCHRONOUSLY
            => queue::stop_and_purge_synchronously;
        "WdfIoQueueDrainSynchronously", PFN_WDFIOQUEUEDRAINSYNCHRONOUSLY => queue::drain_synchronously;
        "WdfIoTargetCloseForQueryRemove", PFN_WDFIOTARGETCLOSEFORQUERYREMOVE => io_target::api::close_for_query_remove;
        "WdfIoQueueStopAndPurge", PFN_WDFIOQUEUESTOPANDPURGE => queue::stop_and_purge;
        "WdfIoTargetCreate", PFN_WDFIOTARGETCREATE => io_target::api::create;
        "WdfIoTargetOpen", PFN_WDFIOTARGETOPEN => io_target::api::open;
        "WdfIoTargetClose", PFN_WDFIOTARGETCLOSE => io_target::api::close;
        "WdfIoTargetStart", PFN_WDFIOTARGETSTART => io_target::api::start;
        "WdfIoTargetStop", PFN_WDFIOTARGETSTOP => io_target::api::stop;
        "WdfIoTargetPurge", PFN_WDFIOTARGETPURGE => io_target::api::purge;
        "WdfIoTargetWdmGetTargetDeviceObject", PFN_WDFIOTARGETWDMGETTARGETDEVICEOBJECT
            => io_target::api::wdm_get_target_device_object;
        "WdfIoTargetGetState", PFN_WDFIOTARGETGETSTATE => io_target::api::get_state;
        "WdfIoTargetFormatRequestForIoctl", PFN_WDFIOTARGETFORMATREQUESTFORIOCTL => format::format_for_ioctl;
        "WdfIoTargetFormatRequestForInternalIoctl", PFN_WDFIOTARGETFORMATREQUESTFORINTERNALIOCTL
            => format::format_for_internal_ioctl;
        "WdfMemoryCreate", PFN_WDFMEMORYCREATE => memory::create;
        "WdfMemoryGetBuffer", PFN_WDFMEMORYGETBUFFER => memory::get_buffer;
        "WdfRequestCreate", PFN_WDFREQUESTCREATE => request::create;
        "WdfRequestReuse", PFN_WDFREQUESTREUSE => request::reuse;
        "WdfRequestFormatRequestUsingCurrentType", PFN_WDFREQUESTFORMATREQUESTUSINGCURRENTTYPE
            => format::format_using_current_type;
        "WdfRequestSend", PFN_WDFREQUESTSEND => send::send;
        "WdfRequestGetStatus", PFN_WDFREQUESTGETSTATUS => request::get_status;
        "WdfRequestMarkCancelable", PFN_WDFREQUESTMARKCANCELABLE => cancel::mark_cancelable;
        "WdfRequestMarkCancelableEx", PFN_WDFREQUESTMARKCANCELABLEEX => cancel::mark_cancelable_ex;
        "WdfRequestUnmarkCancelable", PFN_WDFREQUESTUNMARKCANCELABLE => cancel::unmark_cancelable;
        "WdfRequestIsCanceled", PFN_WDFREQUESTISCANCELED => cancel::is_canceled;
        "WdfRequestCancelSentRequest", PFN_WDFREQUESTCANCELSENTREQUEST => cancel::cancel_sent_request;
        "WdfRequestSetCompletionRoutine", PFN_WDFREQUESTSETCOMPLETIONROUTINE => send::set_completion_routine;
        "WdfRequestGetCompletionParams", PFN_WDFREQUESTGETCOMPLETIONPARAMS => send::get_completion_params;
        "WdfRequestComplete", PFN_WDFREQUESTCOMPLETE => request::complete;
        "WdfRequestCompleteWithInformation", PFN_WDFREQUESTCOMPLETEWITHINFORMATION
            => request::complete_with_information;
        "WdfRequestSetInformation", PFN_WDFREQUESTSETINFORMATION => request::set_information;
        "WdfRequestGetInformation", PFN_WDFREQUESTGETINFORMATION => request::get_information;
        "WdfRequestGetParameters", PFN_WDFREQUESTGETPARAMETERS => request::get_parameters;
        "WdfRequestRetrieveInputMemory", PFN_WDFREQUESTRETRIEVEINPUTMEMORY => buffers::retrieve_input_memory;
        "WdfRequestRetrieveOutputMemory", PFN_WDFREQUESTRETRIEVEOUTPUTMEMORY => buffers::retrieve_output_memory;
        "WdfRequestRetrieveInputBuffer", PFN_WDFREQUESTRETRIEVEINPUTBUFFER => buffers::retrieve_input_buffer;
        "WdfRequestRetrieveOutputBuffer", PFN_WDFREQUESTRETRIEVEOUTPUTBUFFER => buffers::retrieve_output_buffer;
        "WdfRequestGetFileObject", PFN_WDFREQUESTGETFILEOBJECT => request::get_file_object;
        "WdfRequestForwardToIoQueue", PFN_WDFREQUESTFORWARDTOIOQUEUE => queue::forward_to_io_queue;
        "WdfRequestGetIoQueue", PFN_WDFREQUESTGETIOQUEUE => queue::get_io_queue;
        "WdfRequestRequeue", PFN_WDFREQUESTREQUEUE => queue::requeue;
        "WdfRequestStopAcknowledge", PFN_WDFREQUESTSTOPACKNOWLEDGE => cancel::stop_acknowledge;
    }
}
