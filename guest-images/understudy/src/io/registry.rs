//! The registry, as far as drivers can see it: the keys of the services that are loaded, those of their devices, and what
//! drivers make below them. It stays until the machine is off.
//!
//! Paths: "Driver's registry path", IoOpenDeviceRegistryKey. Statuses: ZwOpenKey, ZwCreateKey, ZwDeleteKey.

use crate::ke::irqlock::IrqLock;
use crate::verifier::owners::{self, Service};
use alloc::collections::BTreeMap;
use alloc::{format, string::String, vec::Vec};
use wdk_offline::{NTSTATUS, STATUS_OBJECT_NAME_NOT_FOUND};

/// STATUS_CANNOT_DELETE, and that a key is gone.
const STATUS_CANNOT_DELETE: NTSTATUS = 0xC000_0121_u32 as i32;
const STATUS_KEY_DELETED: NTSTATUS = 0xC000_017C_u32 as i32;
/// Where the services' keys are, and those of devices: the driver's key and the device's.
const SERVICES: &str = "\\registry\\machine\\system\\controlset001\\services";
const CLASS: &str = "\\registry\\machine\\system\\controlset001\\control\\class";
const ENUM: &str = "\\registry\\machine\\system\\controlset001\\enum\\root";
/// REG_SZ, REG_EXPAND_SZ and REG_DWORD.
pub(crate) const SZ: u32 = 1;
const EXPAND_SZ: u32 = 2;
pub(crate) const DWORD: u32 = 4;

/// A value: its type and its bytes.
pub(crate) type Value = (u32, Vec<u8>);

/// Values by name in lower case, with the name as it was written.
type Values = BTreeMap<String, (String, Value)>;

/// Every key by its path in lower case.
static KEYS: IrqLock<BTreeMap<String, Values>> = IrqLock::new(BTreeMap::new());

/// Zero-terminated text as the registry has it.
pub(crate) fn text(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn folded(path: &str) -> String {
    let lower = path.trim_end_matches('\\').to_ascii_lowercase();
    lower.replace("\\currentcontrolset", "\\controlset001")
}

/// Makes the keys that Windows has made when a driver is loaded: of the service, and of its device. What the INF gives the
/// device's driver key stands there.
fn install(service: &Service) {
    let name = service.name.to_ascii_lowercase();
    let value = |name: &str, value: Value| (name.to_ascii_lowercase(), (String::from(name), value));
    let image = format!("\\SystemRoot\\System32\\drivers\\{}", service.package.binary);
    let of_service = [
        value("Type", (DWORD, Vec::from(1_u32.to_le_bytes()))),
        value("ImagePath", (EXPAND_SZ, text(&image))),
    ];
    let keywords = service.package.keywords.iter();
    let of_driver = keywords.map(|(name, keyword)| value(name, (SZ, text(keyword)))).collect();
    let mut made = Vec::new();
    for root in [SERVICES, CLASS, ENUM] {
        // with every key on the way
        for (at, _) in root.match_indices('\\').skip(1) {
            made.push((String::from(&root[..at]), Values::new()));
        }
        made.push((String::from(root), Values::new()));
    }
    made.push((format!("{SERVICES}\\{name}"), Values::from(of_service)));
    made.push((format!("{CLASS}\\{name}"), Values::new()));
    made.push((driver_path(&name), of_driver));
    made.push((format!("{ENUM}\\{name}"), Values::new()));
    made.push((format!("{ENUM}\\{name}\\0000"), Values::new()));
    made.push((device_path(&name), Values::new()));
    KEYS.with(|keys| {
        for (path, values) in made {
            keys.entry(path).or_insert(values);
        }
    });
}

fn driver_path(service: &str) -> String {
    format!("{CLASS}\\{service}\\0000")
}

fn device_path(service: &str) -> String {
    format!("{ENUM}\\{service}\\0000\\device parameters")
}

fn install_all() {
    for service in owners::all() {
        install(&service);
    }
}

/// An open key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    path: String,
}

impl Key {
    fn join(below: Option<&Self>, path: &str) -> String {
        match below {
            Some(key) if path.is_empty() => key.path.clone(),
            Some(key) => format!("{}\\{}", key.path, folded(path)),
            None => folded(path),
        }
    }

    /// Opens a key by its path, or by one below another key.
    ///
    /// # Errors
    /// STATUS_OBJECT_NAME_NOT_FOUND.
    pub(crate) fn open(below: Option<&Self>, path: &str) -> Result<Self, NTSTATUS> {
        install_all();
        let path = Self::join(below, path);
        let exists = KEYS.with(|keys| keys.contains_key(&path));
        if exists { Ok(Self { path }) } else { Err(STATUS_OBJECT_NAME_NOT_FOUND) }
    }

    /// As [`Self::open`]; where there is none, it is made, if the one above it is there. Whether it was made.
    ///
    /// # Errors
    /// STATUS_OBJECT_NAME_NOT_FOUND.
    pub(crate) fn create(below: Option<&Self>, path: &str) -> Result<(Self, bool), NTSTATUS> {
        install_all();
        let path = Self::join(below, path);
        let above = path.rsplit_once('\\').map_or("", |(above, _)| above);
        let made = KEYS.with(|keys| {
            if keys.contains_key(&path) {
                return Ok(false);
            }
            if !keys.contains_key(above) {
                return Err(STATUS_OBJECT_NAME_NOT_FOUND);
            }
            keys.insert(path.clone(), Values::new());
            Ok(true)
        })?;
        Ok((Self { path }, made))
    }

    /// The key of a service.
    pub(crate) fn of_service(service: &Service) -> Self {
        install(service);
        Self { path: format!("{SERVICES}\\{}", service.name.to_ascii_lowercase()) }
    }

    /// The driver's key of a service's device, where the INF's values are.
    pub(crate) fn of_driver(service: &Service) -> Self {
        install(service);
        Self { path: driver_path(&service.name.to_ascii_lowercase()) }
    }

    /// The device's own key.
    pub(crate) fn of_device(service: &Service) -> Self {
        install(service);
        Self { path: device_path(&service.name.to_ascii_lowercase()) }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// A value of it. What the command line gives as `param.NAME` stands above the INF's.
    ///
    /// # Errors
    /// STATUS_OBJECT_NAME_NOT_FOUND, or the key was deleted.
    pub(crate) fn value(&self, name: &str) -> Result<Value, NTSTATUS> {
        if self.path.starts_with(CLASS)
            && let Some(given) = crate::settings::param(name)
        {
            return Ok((SZ, text(&given)));
        }
        let name = name.to_ascii_lowercase();
        KEYS.with(|keys| {
            let values = keys.get(&self.path).ok_or(STATUS_KEY_DELETED)?;
            values.get(&name).map(|(_, value)| value.clone()).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)
        })
    }

    /// Sets a value of it.
    ///
    /// # Errors
    /// The key was deleted.
    pub(crate) fn set(&self, name: &str, value: Value) -> Result<(), NTSTATUS> {
        let entry = (name.to_ascii_lowercase(), (String::from(name), value));
        let old = KEYS.with(|keys| Some(keys.get_mut(&self.path)?.insert(entry.0, entry.1)));
        old.map(drop).ok_or(STATUS_KEY_DELETED)
    }

    /// Takes a value away.
    ///
    /// # Errors
    /// STATUS_OBJECT_NAME_NOT_FOUND, or the key was deleted.
    pub(crate) fn remove(&self, name: &str) -> Result<(), NTSTATUS> {
        let name = name.to_ascii_lowercase();
        let old = KEYS.with(|keys| {
            let values = keys.get_mut(&self.path).ok_or(STATUS_KEY_DELETED)?;
            values.remove(&name).ok_or(STATUS_OBJECT_NAME_NOT_FOUND)
        });
        old.map(drop)
    }

    /// Deletes the key.
    ///
    /// # Errors
    /// STATUS_CANNOT_DELETE while there are keys below it.
    pub(crate) fn delete(&self) -> Result<(), NTSTATUS> {
        let below = format!("{}\\", self.path);
        let old = KEYS.with(|keys| {
            if keys.keys().any(|path| path.starts_with(&below)) {
                return Err(STATUS_CANNOT_DELETE);
            }
            Ok(keys.remove(&self.path))
        });
        old.map(drop)
    }
}
