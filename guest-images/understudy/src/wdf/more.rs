//! The part of KMDF's table that no driver of ours calls: helpers, the registry, what a driver sets up and tells of its device.

use super::queue::api as queue;
use super::request::api as request;
use super::typed::{table, typed};
use super::{
    collection, control, dma, driver, file, interrupt, memory, object, registry, string, wait_lock, work_item,
};
use super::{device_api as api, device_init as init};
use alloc::{vec, vec::Vec};

/// Name and address of each.
pub(super) fn offered() -> Vec<(&'static str, usize)> {
    table! {
        "WdfDriverWdmGetDriverObject", PFN_WDFDRIVERWDMGETDRIVEROBJECT => driver::wdm_get_driver_object;
        "WdfDriverGetRegistryPath", PFN_WDFDRIVERGETREGISTRYPATH => driver::get_registry_path;
        "WdfDriverOpenParametersRegistryKey", PFN_WDFDRIVEROPENPARAMETERSREGISTRYKEY => registry::open_parameters;
        "WdfWdmDriverGetWdfDriverHandle", PFN_WDFWDMDRIVERGETWDFDRIVERHANDLE => driver::of_wdm_driver;
        "WdfDeviceInitSetIoType", PFN_WDFDEVICEINITSETIOTYPE => init::set_io_type;
        "WdfDeviceInitSetDeviceType", PFN_WDFDEVICEINITSETDEVICETYPE => init::set_device_type;
        "WdfDeviceInitSetExclusive", PFN_WDFDEVICEINITSETEXCLUSIVE => init::set_exclusive;
        "WdfDeviceInitFree", PFN_WDFDEVICEINITFREE => init::free;
        "WdfDeviceInitAssignName", PFN_WDFDEVICEINITASSIGNNAME => init::assign_name;
        "WdfDeviceInitSetDeviceClass", PFN_WDFDEVICEINITSETDEVICECLASS => init::set_device_class;
        "WdfDeviceInitSetPowerPolicyEventCallbacks", PFN_WDFDEVICEINITSETPOWERPOLICYEVENTCALLBACKS => init::set_power_policy_callbacks;
        "WdfDeviceInitSetPowerPolicyOwnership", PFN_WDFDEVICEINITSETPOWERPOLICYOWNERSHIP => init::set_power_policy_ownership;
        "WdfDeviceInitSetPowerNotPageable", PFN_WDFDEVICEINITSETPOWERNOTPAGEABLE => init::set_power_pageable;
        "WdfDeviceInitSetPowerPageable", PFN_WDFDEVICEINITSETPOWERPAGEABLE => init::set_power_pageable;
        "WdfDeviceInitSetRequestAttributes", PFN_WDFDEVICEINITSETREQUESTATTRIBUTES => init::set_request_attributes;
        "WdfDeviceInitAssignSDDLString", PFN_WDFDEVICEINITASSIGNSDDLSTRING => init::assign_security;
        "WdfFdoInitSetFilter", PFN_WDFFDOINITSETFILTER => init::set_filter;
        "WdfDeviceSetPnpCapabilities", PFN_WDFDEVICESETPNPCAPABILITIES => api::set_pnp_capabilities;
        "WdfDeviceSetPowerCapabilities", PFN_WDFDEVICESETPOWERCAPABILITIES => api::set_power_capabilities;
        "WdfDeviceAssignS0IdleSettings", PFN_WDFDEVICEASSIGNS0IDLESETTINGS => api::assign_idle_settings;
        "WdfDeviceAssignSxWakeSettings", PFN_WDFDEVICEASSIGNSXWAKESETTINGS => api::assign_wake_settings;
        "WdfDeviceStopIdleNoTrack", PFN_WDFDEVICESTOPIDLENOTRACK => api::stop_idle_no_track;
        "WdfDeviceResumeIdleNoTrack", PFN_WDFDEVICERESUMEIDLENOTRACK => api::resume_idle_no_track;
        "WdfDeviceStopIdleActual", PFN_WDFDEVICESTOPIDLEACTUAL => api::stop_idle_actual;
        "WdfDeviceResumeIdleActual", PFN_WDFDEVICERESUMEIDLEACTUAL => api::resume_idle_actual;
        "WdfDeviceCreateSymbolicLink", PFN_WDFDEVICECREATESYMBOLICLINK => api::create_symbolic_link;
        "WdfDeviceSetDeviceState", PFN_WDFDEVICESETDEVICESTATE => api::set_device_state;
        "WdfDeviceGetDeviceState", PFN_WDFDEVICEGETDEVICESTATE => api::get_device_state;
        "WdfDeviceGetDriver", PFN_WDFDEVICEGETDRIVER => api::get_driver;
        "WdfDeviceGetDefaultQueue", PFN_WDFDEVICEGETDEFAULTQUEUE => api::get_default_queue;
        "WdfDeviceWdmGetAttachedDevice", PFN_WDFDEVICEWDMGETATTACHEDDEVICE => api::wdm_get_attached_device;
        "WdfDeviceWdmGetPhysicalDevice", PFN_WDFDEVICEWDMGETPHYSICALDEVICE => api::wdm_get_physical_device;
        "WdfWdmDeviceGetWdfDeviceHandle", PFN_WDFWDMDEVICEGETWDFDEVICEHANDLE => api::of_wdm_device;
        "WdfDeviceOpenRegistryKey", PFN_WDFDEVICEOPENREGISTRYKEY => registry::open_of_device;
        "WdfDeviceSetDeviceInterfaceState", PFN_WDFDEVICESETDEVICEINTERFACESTATE => api::set_interface_state;
        "WdfDeviceSetStaticStopRemove", PFN_WDFDEVICESETSTATICSTOPREMOVE => api::set_static_stop_remove;
        "WdfControlDeviceInitAllocate", PFN_WDFCONTROLDEVICEINITALLOCATE => control::init_allocate;
        "WdfControlFinishInitializing", PFN_WDFCONTROLFINISHINITIALIZING => control::finish_initializing;
        "WdfCollectionCreate", PFN_WDFCOLLECTIONCREATE => collection::create;
        "WdfCollectionGetCount", PFN_WDFCOLLECTIONGETCOUNT => collection::get_count;
        "WdfCollectionAdd", PFN_WDFCOLLECTIONADD => collection::add;
        "WdfCollectionRemove", PFN_WDFCOLLECTIONREMOVE => collection::remove;
        "WdfCollectionRemoveItem", PFN_WDFCOLLECTIONREMOVEITEM => collection::remove_item;
        "WdfCollectionGetItem", PFN_WDFCOLLECTIONGETITEM => collection::get_item;
        "WdfCollectionGetFirstItem", PFN_WDFCOLLECTIONGETFIRSTITEM => collection::get_first_item;
        "WdfCollectionGetLastItem", PFN_WDFCOLLECTIONGETLASTITEM => collection::get_last_item;
        "WdfStringCreate", PFN_WDFSTRINGCREATE => string::create;
        "WdfStringGetUnicodeString", PFN_WDFSTRINGGETUNICODESTRING => string::get_unicode_string;
        "WdfWaitLockCreate", PFN_WDFWAITLOCKCREATE => wait_lock::create;
        "WdfWaitLockAcquire", PFN_WDFWAITLOCKACQUIRE => wait_lock::acquire;
        "WdfWaitLockRelease", PFN_WDFWAITLOCKRELEASE => wait_lock::release;
        "WdfWorkItemCreate", PFN_WDFWORKITEMCREATE => work_item::create;
        "WdfWorkItemEnqueue", PFN_WDFWORKITEMENQUEUE => work_item::enqueue;
        "WdfWorkItemGetParentObject", PFN_WDFWORKITEMGETPARENTOBJECT => work_item::get_parent_object;
        "WdfWorkItemFlush", PFN_WDFWORKITEMFLUSH => work_item::flush;
        "WdfObjectAllocateContext", PFN_WDFOBJECTALLOCATECONTEXT => object::allocate_context;
        "WdfObjectContextGetObject", PFN_WDFOBJECTCONTEXTGETOBJECT => object::context_get_object;
        "WdfObjectCreate", PFN_WDFOBJECTCREATE => object::object_create;
        "WdfMemoryCreatePreallocated", PFN_WDFMEMORYCREATEPREALLOCATED => memory::create_preallocated;
        "WdfMemoryAssignBuffer", PFN_WDFMEMORYASSIGNBUFFER => memory::assign_buffer;
        "WdfMemoryCopyToBuffer", PFN_WDFMEMORYCOPYTOBUFFER => memory::copy_to_buffer;
        "WdfMemoryCopyFromBuffer", PFN_WDFMEMORYCOPYFROMBUFFER => memory::copy_from_buffer;
        "WdfRequestWdmGetIrp", PFN_WDFREQUESTWDMGETIRP => request::wdm_get_irp;
        "WdfRequestGetRequestorMode", PFN_WDFREQUESTGETREQUESTORMODE => request::get_requestor_mode;
        "WdfInterruptGetInfo", PFN_WDFINTERRUPTGETINFO => interrupt::get_info;
        "WdfInterruptSynchronize", PFN_WDFINTERRUPTSYNCHRONIZE => interrupt::synchronize;
        "WdfFileObjectGetFileName", PFN_WDFFILEOBJECTGETFILENAME => file::get_file_name;
        "WdfFileObjectWdmGetFileObject", PFN_WDFFILEOBJECTWDMGETFILEOBJECT => file::wdm_get_file_object;
        "WdfRegistryOpenKey", PFN_WDFREGISTRYOPENKEY => registry::open_key;
        "WdfRegistryCreateKey", PFN_WDFREGISTRYCREATEKEY => registry::create_key;
        "WdfRegistryClose", PFN_WDFREGISTRYCLOSE => registry::close;
        "WdfRegistryRemoveKey", PFN_WDFREGISTRYREMOVEKEY => registry::remove_key;
        "WdfRegistryRemoveValue", PFN_WDFREGISTRYREMOVEVALUE => registry::remove_value;
        "WdfRegistryQueryValue", PFN_WDFREGISTRYQUERYVALUE => registry::query_value;
        "WdfRegistryQueryMemory", PFN_WDFREGISTRYQUERYMEMORY => registry::query_memory;
        "WdfRegistryQueryUnicodeString", PFN_WDFREGISTRYQUERYUNICODESTRING => registry::query_unicode_string;
        "WdfRegistryQueryString", PFN_WDFREGISTRYQUERYSTRING => registry::query_string;
        "WdfRegistryQueryULong", PFN_WDFREGISTRYQUERYULONG => registry::query_ulong;
        "WdfRegistryAssignValue", PFN_WDFREGISTRYASSIGNVALUE => registry::assign_value;
        "WdfRegistryAssignUnicodeString", PFN_WDFREGISTRYASSIGNUNICODESTRING => registry::assign_unicode_string;
        "WdfRegistryAssignString", PFN_WDFREGISTRYASSIGNSTRING => registry::assign_string;
        "WdfRegistryAssignULong", PFN_WDFREGISTRYASSIGNULONG => registry::assign_ulong;
        "WdfIoTargetGetDevice", PFN_WDFIOTARGETGETDEVICE => api::of_io_target;
        "WdfDmaEnablerGetMaximumLength", PFN_WDFDMAENABLERGETMAXIMUMLENGTH => dma::get_maximum_length;
        "WdfDmaEnablerSetMaximumScatterGatherElements", PFN_WDFDMAENABLERSETMAXIMUMSCATTERGATHERELEMENTS => dma::set_maximum_fragments;
        "WdfDmaEnablerGetMaximumScatterGatherElements", PFN_WDFDMAENABLERGETMAXIMUMSCATTERGATHERELEMENTS => dma::get_maximum_fragments;
        "WdfIoQueueRetrieveRequestByFileObject", PFN_WDFIOQUEUERETRIEVEREQUESTBYFILEOBJECT => queue::retrieve_request_by_file_object;
    }
}
