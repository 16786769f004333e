//! The project's devices through the configuration manager and SetupAPI.

use std::{
    io,
    path::Path,
    ptr::{null, null_mut},
    time::Duration,
};

use cancelnic_agent::{
    device::wait,
    drivers::newest_staged,
    guest::{Change, Device},
};
use windows_sys::Win32::{
    Devices::DeviceAndDriverInstallation::{
        CM_DISABLE_UI_NOT_OK, CM_Disable_DevNode, CM_Enable_DevNode, CM_Get_DevNode_Status,
        CM_LOCATE_DEVNODE_NORMAL, CM_Locate_DevNodeW, CM_PROB_DISABLED, CM_Query_And_Remove_SubTreeW,
        CM_REENUMERATE_SYNCHRONOUS, CM_REMOVE_NO_RESTART, CM_REMOVE_UI_NOT_OK, CM_Reenumerate_DevNode,
        CM_SETUP_DEVNODE_READY, CM_Setup_DevNode, CONFIGRET, CR_SUCCESS, DICD_GENERATE_ID, DICS_FLAG_GLOBAL,
        DIF_REGISTERDEVICE, DIGCF_ALLCLASSES, DIGCF_PRESENT, DIREG_DRV, DN_HAS_PROBLEM, DN_STARTED,
        DiInstallDevice, GUID_DEVCLASS_SYSTEM, HDEVINFO, SP_DEVINFO_DATA, SPDRP_HARDWAREID,
        SetupDiCallClassInstaller, SetupDiCreateDeviceInfoList, SetupDiCreateDeviceInfoW,
        SetupDiDestroyDeviceInfoList, SetupDiEnumDeviceInfo, SetupDiGetClassDevsW,
        SetupDiGetDeviceRegistryPropertyW, SetupDiOpenDevRegKey, SetupDiSetDeviceRegistryPropertyW,
    },
    Foundation::{ERROR_NO_MORE_ITEMS, INVALID_HANDLE_VALUE},
    System::Registry::{KEY_QUERY_VALUE, KEY_SET_VALUE},
};

use super::{
    registry::OpenKey,
    sys,
    text::{list, wide},
};

/// How long a device may take to start.
const START: Duration = Duration::from_secs(20);

fn checked(what: &str, result: CONFIGRET) -> Result<(), String> {
    if result == CR_SUCCESS { Ok(()) } else { Err(format!("{what}: CONFIGRET {result:#x}")) }
}

/// Changes a device; `root` is the system's folder.
pub(super) fn change(device: Device, change: Change, root: &Path) -> Result<(), String> {
    let found = find(device)?;
    match (change, &found) {
        (Change::Start, Some(found)) => found.node().start(),
        (Change::Start, None) if device.root => make(device, root),
        (Change::Start, None) => {
            look_again()?;
            present(device)?.node().start()
        }
        (Change::Stop, Some(found)) => found.node().stop(),
        // a root device that was never made, or was removed
        (Change::Stop, None) if device.root => Ok(()),
        (Change::Remove, Some(found)) => found.node().remove(),
        (Change::Stop | Change::Remove, None) => Err(absent(device)),
    }
}

/// The driver key of a device.
pub(super) fn driver_key(device: Device) -> Result<OpenKey, String> {
    let Found { set, data } = present(device)?;
    let access = KEY_QUERY_VALUE | KEY_SET_VALUE;
    // SAFETY: the device is one of the set, which lives through the call.
    let key = unsafe { SetupDiOpenDevRegKey(set.0, &raw const data, DICS_FLAG_GLOBAL, 0, DIREG_DRV, access) };
    if key == INVALID_HANDLE_VALUE {
        let error = io::Error::last_os_error();
        return Err(format!(
            "the driver key of {}, whose driver may not be installed: {error}",
            device.hardware_id
        ));
    }
    // SAFETY: the key was opened here.
    Ok(unsafe { OpenKey::new(key) })
}

/// A device that has been found, in its set.
struct Found {
    set: DeviceSet,
    data: SP_DEVINFO_DATA,
}

impl Found {
    fn node(&self) -> Node {
        Node(self.data.DevInst)
    }
}

fn absent(device: Device) -> String {
    format!("no device {} is there", device.hardware_id)
}

fn present(device: Device) -> Result<Found, String> {
    find(device)?.ok_or_else(|| absent(device))
}

/// The present device that has the hardware ID; it need not run.
fn find(device: Device) -> Result<Option<Found>, String> {
    let enumerator = device.hardware_id.split('\\').next().unwrap_or_default();
    let wanted = device.hardware_id.to_ascii_lowercase();
    let set = DeviceSet::present(enumerator)?;
    let mut data = no_device();
    let mut index = 0;
    // SAFETY: the set lives through the call; the structure carries its size.
    while unsafe { SetupDiEnumDeviceInfo(set.0, index, &raw mut data) } != 0 {
        if set.hardware_ids(&data).iter().any(|id| id.to_ascii_lowercase().starts_with(&wanted)) {
            return Ok(Some(Found { set, data }));
        }
        index += 1;
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(ERROR_NO_MORE_ITEMS.cast_signed()) => Ok(None),
        error => Err(format!("the list of devices: {error}")),
    }
}

fn no_device() -> SP_DEVINFO_DATA {
    SP_DEVINFO_DATA { cbSize: size_of::<SP_DEVINFO_DATA>() as u32, ..SP_DEVINFO_DATA::default() }
}

/// A device node.
#[derive(Clone, Copy)]
struct Node(u32);

impl Node {
    /// Status flags and problem number.
    fn status(self) -> Result<(u32, u32), String> {
        let (mut status, mut problem) = (0, 0);
        // SAFETY: the pointers are those of local variables.
        let result = unsafe { CM_Get_DevNode_Status(&raw mut status, &raw mut problem, self.0, 0) };
        checked("the device's status", result).map(|()| (status, problem))
    }

    fn is_disabled(self) -> Result<bool, String> {
        let (status, problem) = self.status()?;
        Ok(status & DN_HAS_PROBLEM != 0 && problem == CM_PROB_DISABLED)
    }

    fn start(self) -> Result<(), String> {
        if self.is_disabled()? {
            // SAFETY: no pointers.
            checked("enabling the device", unsafe { CM_Enable_DevNode(self.0, 0) })?;
        } else if self.status()?.0 & DN_STARTED == 0 {
            // SAFETY: no pointers.
            checked("starting the device", unsafe { CM_Setup_DevNode(self.0, CM_SETUP_DEVNODE_READY) })?;
        }
        let started = wait(START, || {
            let (status, problem) = self.status()?;
            if status & DN_HAS_PROBLEM != 0 {
                return Err(format!("the device does not start: problem code {problem}"));
            }
            Ok(status & DN_STARTED != 0)
        })?;
        if started { Ok(()) } else { Err(format!("the device has not started after {} s", START.as_secs())) }
    }

    fn stop(self) -> Result<(), String> {
        if self.is_disabled()? {
            return Ok(());
        }
        // SAFETY: no pointers.
        checked("disabling the device", unsafe { CM_Disable_DevNode(self.0, CM_DISABLE_UI_NOT_OK) })
    }

    fn remove(self) -> Result<(), String> {
        let mut veto = 0;
        let mut name = [0_u16; 260];
        // SAFETY: the name has as many units as is said.
        let result = unsafe {
            CM_Query_And_Remove_SubTreeW(
                self.0,
                &raw mut veto,
                name.as_mut_ptr(),
                name.len() as u32,
                CM_REMOVE_UI_NOT_OK | CM_REMOVE_NO_RESTART,
            )
        };
        let who = list(&name).into_iter().next().unwrap_or_default();
        checked(&format!("removing the device (veto type {veto} of {who:?})"), result)
    }
}

/// Has all buses look for devices.
fn look_again() -> Result<(), String> {
    let mut root = 0;
    // SAFETY: without an ID, the root is meant.
    let located = unsafe { CM_Locate_DevNodeW(&raw mut root, null(), CM_LOCATE_DEVNODE_NORMAL) };
    checked("the root of the devices", located)?;
    // SAFETY: no pointers.
    checked("looking for devices", unsafe { CM_Reenumerate_DevNode(root, CM_REENUMERATE_SYNCHRONOUS) })
}

/// A set of device information.
struct DeviceSet(HDEVINFO);

impl DeviceSet {
    /// A set that was made just now; `what` it is of.
    fn of(set: HDEVINFO, what: &str) -> Result<Self, String> {
        if set == INVALID_HANDLE_VALUE as HDEVINFO {
            return Err(format!("{what}: {}", io::Error::last_os_error()));
        }
        Ok(Self(set))
    }

    /// The present devices of an enumerator.
    fn present(enumerator: &str) -> Result<Self, String> {
        let enumerator = wide(enumerator);
        let flags = DIGCF_ALLCLASSES | DIGCF_PRESENT;
        // SAFETY: no class; the name ends with NUL.
        let set = unsafe { SetupDiGetClassDevsW(null(), enumerator.as_ptr(), null_mut(), flags) };
        Self::of(set, "the list of devices")
    }

    /// The hardware IDs of a device of this set; none if it has none.
    fn hardware_ids(&self, data: &SP_DEVINFO_DATA) -> Vec<String> {
        let mut units = [0_u16; 2048];
        // SAFETY: the device is one of the set; the buffer has as many bytes as is said.
        let read = unsafe {
            SetupDiGetDeviceRegistryPropertyW(
                self.0,
                data,
                SPDRP_HARDWAREID,
                null_mut(),
                units.as_mut_ptr().cast(),
                size_of_val(&units) as u32,
                null_mut(),
            )
        };
        if read == 0 { Vec::new() } else { list(&units) }
    }
}

impl Drop for DeviceSet {
    fn drop(&mut self) {
        // SAFETY: the set was made by this program and is used no more.
        unsafe { SetupDiDestroyDeviceInfoList(self.0) };
    }
}

/// Makes a root device and installs its driver from the driver store.
fn make(device: Device, root: &Path) -> Result<(), String> {
    if newest_staged(device.service, root).is_none() {
        return Err(format!(
            "{}.sys is not in the driver store: install.cmd of the driver package puts it there",
            device.service
        ));
    }
    let step = |what: &str, good| sys::checked(good).map_err(|error| format!("{what}: {error}"));
    // SAFETY: the class lives through the call.
    let set = unsafe { SetupDiCreateDeviceInfoList(&GUID_DEVCLASS_SYSTEM, null_mut()) };
    let set = DeviceSet::of(set, "a set of devices")?;
    let name = wide(device.service);
    // the property is a list of strings
    let ids: Vec<u16> = wide(device.hardware_id).into_iter().chain([0]).collect();
    let mut data = no_device();
    let mut restart = 0;
    // SAFETY: set, names, class and data live through the calls; strings end with NUL; the list is as long as is said.
    unsafe {
        step(
            "making the device",
            SetupDiCreateDeviceInfoW(
                set.0,
                name.as_ptr(),
                &GUID_DEVCLASS_SYSTEM,
                null(),
                null_mut(),
                DICD_GENERATE_ID,
                &raw mut data,
            ),
        )?;
        step(
            "its hardware ID",
            SetupDiSetDeviceRegistryPropertyW(
                set.0,
                &raw mut data,
                SPDRP_HARDWAREID,
                ids.as_ptr().cast(),
                (ids.len() * size_of::<u16>()) as u32,
            ),
        )?;
        step(
            "registering the device",
            SetupDiCallClassInstaller(DIF_REGISTERDEVICE, set.0, &raw const data),
        )?;
        step(
            "installing the device's driver from the driver store",
            DiInstallDevice(null_mut(), set.0, &raw const data, null(), 0, &raw mut restart),
        )?;
    }
    if restart != 0 {
        return Err(format!("{}'s device works after a restart of Windows only", device.service));
    }
    present(device)?.node().start()
}
