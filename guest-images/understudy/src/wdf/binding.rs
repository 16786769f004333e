//! Binding to the framework and to its class extension: WDFLDR's four functions.

use super::client::{CLIENTS, Client, still_bound, with_client};
use super::{class, functions};
use crate::ke::Irql;
use crate::verifier::{require_irql, trace, violation};
use alloc::{boxed::Box, format, string::String};
use wdk_offline::loader::{
    KMDF_FUNCTION_COUNTS, KMDF_MOST_COPIED, WDF_BIND_INFO, WDF_BIND_INFO2, WDF_CLASS_BIND_INFO,
    WDF_CLASS_BIND_INFO2,
};
use wdk_offline::{
    DRIVER_OBJECT, NTSTATUS, STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, UNICODE_STRING, WDF_DRIVER_GLOBALS, WDFFUNC,
};

/// Reads a zero-terminated UTF-16 string of at most 64 units.
unsafe fn wide(text: *const u16) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller passes a zero-terminated string; reading stops at its end.
    let units = (0..64).map(|at| unsafe { text.add(at).read() }).take_while(|&unit| unit != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or('?')).collect()
}

fn refuse_bind(status: NTSTATUS, why: &str) -> NTSTATUS {
    crate::log!("bind refused: {why}");
    trace::set_reason(why);
    status
}

/// Whether a bind structure of that size is of its second, longer form.
///
/// # Errors
/// It is of neither: the bind's status.
fn is_second<First, Second>(name: &str, size: u32) -> Result<bool, NTSTATUS> {
    let sizes = [size_of::<First>(), size_of::<Second>()];
    let form = sizes.iter().position(|&known| known == size as usize).ok_or_else(|| {
        let [first, second] = sizes;
        refuse_bind(
            STATUS_INFO_LENGTH_MISMATCH,
            &format!("{name}.Size {size:#x}, neither {first:#x} nor {second:#x}"),
        )
    })?;
    Ok(form == 1)
}

/// The newest minor version of KMDF 1 whose clients bind: it has the functions of 1.31.
const NEWEST: u32 = 33;

/// Tells a stub of the second form that the framework is not older than the driver: its own constants hold.
///
/// # Safety
/// The pointer is the structure's: null, or a variable of the driver's stub.
unsafe fn not_higher(higher: *mut u8) {
    if !higher.is_null() {
        // SAFETY: the caller vouches for it.
        unsafe { higher.write(0) };
    }
}

/// WdfVersionBind: PASSIVE_LEVEL. Any version of KMDF up to 1.33 binds, with either form of the structure; the INF may
/// declare an older one.
pub(crate) unsafe extern "win64" fn version_bind(
    driver: *mut DRIVER_OBJECT,
    _registry_path: *mut UNICODE_STRING,
    info: *mut WDF_BIND_INFO,
    globals: *mut *mut WDF_DRIVER_GLOBALS,
) -> NTSTATUS {
    require_irql("WdfVersionBind", Irql::PASSIVE);
    // SAFETY: the driver passes its static bind request.
    let request = unsafe { &*info };
    let is_second = match is_second::<WDF_BIND_INFO, WDF_BIND_INFO2>("WDF_BIND_INFO", request.Size) {
        Ok(is_second) => is_second,
        Err(refused) => return refused,
    };
    // SAFETY: as above, zero-terminated by contract.
    let component = unsafe { wide(request.Component) };
    if component != "KmdfLibrary" {
        return refuse_bind(STATUS_OBJECT_NAME_NOT_FOUND, &format!("no framework library {component:?}"));
    }
    let version = request.Version;
    if version.Major != 1 || version.Minor > NEWEST {
        return refuse_bind(
            STATUS_NOT_SUPPORTED,
            &format!("KMDF {}.{} is not here, only 1.0 to 1.{NEWEST}", version.Major, version.Minor),
        );
    }
    let Some(service) = crate::verifier::owners::by_driver(driver) else {
        return refuse_bind(STATUS_INVALID_PARAMETER, "WdfVersionBind with a driver object that is nobody's");
    };
    if let Some((major, minor)) = service.package.kmdf
        && (major != 1 || minor > version.Minor)
    {
        return refuse_bind(
            STATUS_NOT_SUPPORTED,
            &format!("the INF declares KMDF {major}.{minor}, the driver binds 1.{}", version.Minor),
        );
    }
    if still_bound(service.owner).is_some() {
        violation("BoundTwice", 0, 0, format!("WdfVersionBind by {}", service.name));
    }
    if !KMDF_FUNCTION_COUNTS.contains(&request.FuncCount) {
        return refuse_bind(
            STATUS_INVALID_PARAMETER,
            &format!("no version of KMDF has {} functions", request.FuncCount),
        );
    }
    let made = Box::into_raw(Box::new(WDF_DRIVER_GLOBALS {
        DisplaceDriverUnload: 1,
        ..WDF_DRIVER_GLOBALS::default()
    }));
    let client = Client {
        owner: service.owner,
        driver,
        globals: made,
        net: Box::into_raw(Box::new(0_u32)),
        class_bound: false,
        handle: 0,
    };
    CLIENTS.with(|clients| clients.push(client));
    let table = functions::wdf_table();
    // SAFETY: FuncTable is the client's array of FuncCount functions where it has one, else the address of its table
    // pointer; `globals` is the address of its globals pointer; the second form is as long as its Size says.
    unsafe {
        if request.FuncCount <= KMDF_MOST_COPIED {
            core::ptr::copy_nonoverlapping(table, request.FuncTable.cast(), request.FuncCount as usize);
        } else {
            *request.FuncTable.cast::<*const WDFFUNC>() = table;
        }
        if is_second {
            not_higher((*info.cast::<WDF_BIND_INFO2>()).ClientVersionHigherThanFramework);
        }
        *globals = made;
    }
    STATUS_SUCCESS
}

/// WdfVersionUnbind: PASSIVE_LEVEL, after the class's.
pub(crate) unsafe extern "win64" fn version_unbind(
    _registry_path: *mut UNICODE_STRING,
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
) -> NTSTATUS {
    require_irql("WdfVersionUnbind", Irql::PASSIVE);
    let gone = CLIENTS.with(|clients| {
        let at = clients.iter().position(|client| client.globals == globals);
        at.map(|at| clients.swap_remove(at))
    });
    let Some(gone) = gone else {
        violation("UnbindWithoutBind", 0, globals as u64, "WdfVersionUnbind".into());
    };
    if gone.class_bound {
        violation("UnbindOrder", 0, 0, "WdfVersionUnbind before WdfVersionUnbindClass".into());
    }
    // SAFETY: made by `version_bind` with Box::into_raw, taken out of the list just now.
    unsafe {
        drop(Box::from_raw(gone.globals));
        drop(Box::from_raw(gone.net));
    }
    STATUS_SUCCESS
}

/// WdfVersionBindClass: PASSIVE_LEVEL. The class extension's functions are copied into the client's array.
pub(crate) unsafe extern "win64" fn version_bind_class(
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
    class: *mut WDF_CLASS_BIND_INFO,
) -> NTSTATUS {
    require_irql("WdfVersionBindClass", Irql::PASSIVE);
    // SAFETY: the driver passes its static class bind request.
    let request = unsafe { &*class };
    let is_second =
        match is_second::<WDF_CLASS_BIND_INFO, WDF_CLASS_BIND_INFO2>("WDF_CLASS_BIND_INFO", request.Size) {
            Ok(is_second) => is_second,
            Err(refused) => return refused,
        };
    // SAFETY: as above, zero-terminated by contract.
    let name = unsafe { wide(request.ClassName) };
    let Some(extension) = class::get().filter(|extension| extension.name() == name) else {
        return refuse_bind(STATUS_OBJECT_NAME_NOT_FOUND, &format!("no class extension {name:?}"));
    };
    let version = request.Version;
    let Some(count) = extension.functions(version) else {
        return refuse_bind(
            STATUS_NOT_SUPPORTED,
            &format!(
                "{name} {}.{}.{} is not offered, only {}",
                version.Major,
                version.Minor,
                version.Build,
                extension.versions()
            ),
        );
    };
    if request.FunctionTableCount as usize > count {
        let (asked, major, minor) = (request.FunctionTableCount, version.Major, version.Minor);
        return refuse_bind(
            STATUS_INVALID_PARAMETER,
            &format!("{name} {major}.{minor} has {count} functions, not {asked}"),
        );
    }
    let net = with_client(globals, "WdfVersionBindClass", |client| {
        client.class_bound = true;
        client.net as u64
    });
    extension.bound(version);
    let count = request.FunctionTableCount as usize;
    let table = functions::class_table(extension);
    // SAFETY: the client's array has FunctionTableCount entries, ClassBindInfo is the address of its globals pointer; the
    // second form is as long as its Size says.
    unsafe {
        if is_second {
            not_higher((*class.cast::<WDF_CLASS_BIND_INFO2>()).ClientVersionHigherThanFramework);
        }
        core::ptr::copy_nonoverlapping(table.as_ptr(), request.FunctionTable.cast::<usize>(), count);
        *request.ClassBindInfo.cast::<u64>() = net;
    }
    STATUS_SUCCESS
}

/// WdfVersionUnbindClass: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn version_unbind_class(
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
    _class: *mut WDF_CLASS_BIND_INFO,
) {
    const FUNCTION: &str = "WdfVersionUnbindClass";
    require_irql(FUNCTION, Irql::PASSIVE);
    if !with_client(globals, FUNCTION, |client| core::mem::replace(&mut client.class_bound, false)) {
        violation("UnbindWithoutBind", 0, 0, "WdfVersionUnbindClass".into());
    }
}
