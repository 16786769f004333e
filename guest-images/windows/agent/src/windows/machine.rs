//! The machine as Windows describes it, and its end.

use std::{
    env, io,
    os::windows::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    ptr::{null, null_mut},
    sync::Arc,
};

use agent_protocol::Machine;
use cancelnic_agent::guest::{Change, Device, DriverKey, File, Guest, Said, Target};
use windows_sys::{
    Wdk::System::{
        SystemInformation::{NtQuerySystemInformation, SystemTimeOfDayInformation},
        SystemServices::RtlGetVersion,
    },
    Win32::{
        Foundation::{CloseHandle, ERROR_NOT_ALL_ASSIGNED, HANDLE, LUID},
        Security::{
            AdjustTokenPrivileges, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW, SE_PRIVILEGE_ENABLED,
            SE_SHUTDOWN_NAME, TOKEN_ADJUST_PRIVILEGES, TOKEN_PRIVILEGES, TOKEN_QUERY,
        },
        System::{
            Registry::HKEY_LOCAL_MACHINE,
            Shutdown::{
                InitiateSystemShutdownExW, SHTDN_REASON_FLAG_PLANNED, SHTDN_REASON_MAJOR_OTHER,
                SHTDN_REASON_MINOR_OTHER,
            },
            SystemInformation::{GetTickCount64, GlobalMemoryStatusEx, MEMORYSTATUSEX, OSVERSIONINFOW},
            Threading::{
                ALL_PROCESSOR_GROUPS, CREATE_NO_WINDOW, GetActiveProcessorCount, GetCurrentProcess,
                OpenProcessToken,
            },
        },
    },
};

use super::{device, file, registry, service, sys::checked};

/// Seconds between 1601-01-01, where Windows' time begins, and 1970-01-01.
const SECONDS_BEFORE_1970: i64 = 11_644_473_600;

/// The machine that the agent runs on.
pub(super) struct Windows;

impl Guest for Windows {
    fn machine(&self) -> Machine {
        Machine {
            agent: String::new(),
            system: version(),
            // SAFETY: always safe to call.
            processors: unsafe { GetActiveProcessorCount(ALL_PROCESSOR_GROUPS) },
            memory_mb: memory_mb(),
            started_unix: started_unix(),
        }
    }

    fn up_us(&self) -> u64 {
        // SAFETY: always safe to call.
        unsafe { GetTickCount64() }.saturating_mul(1000)
    }

    fn system_root(&self) -> PathBuf {
        system_root()
    }

    fn image_path(&self, service: &str) -> Option<String> {
        let key = format!(r"SYSTEM\CurrentControlSet\Services\{service}");
        let path = registry::text(HKEY_LOCAL_MACHINE, &key, "ImagePath").ok().flatten();
        path.filter(|path| !path.is_empty())
    }

    fn is_loaded(&self, name: &str) -> Result<bool, String> {
        service::is_loaded(name)
    }

    fn change(&self, device: Device, change: Change) -> Result<(), String> {
        device::change(device, change, &system_root())
    }

    fn driver_key(&self, device: Device) -> Result<Box<dyn DriverKey>, String> {
        Ok(Box::new(device::driver_key(device)?))
    }

    fn open(&self, target: Target<'_>) -> Result<Arc<dyn File>, u32> {
        file::open(target)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<Said> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).creation_flags(CREATE_NO_WINDOW);
        let output = command.output()?;
        let code = output.status.code().unwrap_or(-1);
        Ok(Said { code, output: [output.stdout, output.stderr].concat() })
    }

    fn may_leave(&self) -> Result<(), String> {
        enable_shutdown_privilege().map_err(|error| format!("the right to shut Windows down: {error}"))
    }

    fn leave(&self, and_come_back: bool) -> Result<(), String> {
        leave(and_come_back).map_err(|error| format!("Windows does not shut down: {error}"))
    }
}

/// The system's folder.
fn system_root() -> PathBuf {
    env::var_os("SystemRoot").map_or_else(|| PathBuf::from(r"C:\Windows"), PathBuf::from)
}

/// `major.minor.build.revision`.
fn version() -> String {
    let mut version = OSVERSIONINFOW {
        dwOSVersionInfoSize: size_of::<OSVERSIONINFOW>() as u32,
        ..OSVERSIONINFOW::default()
    };
    // SAFETY: the structure carries its size. It always succeeds.
    unsafe { RtlGetVersion(&raw mut version) };
    let key = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";
    // where the system does not tell its revision it is 0
    let revision = registry::number(HKEY_LOCAL_MACHINE, key, "UBR").ok().flatten().unwrap_or(0);
    let OSVERSIONINFOW { dwMajorVersion: major, dwMinorVersion: minor, dwBuildNumber: build, .. } = version;
    format!("{major}.{minor}.{build}.{revision}")
}

fn memory_mb() -> u64 {
    let mut memory =
        MEMORYSTATUSEX { dwLength: size_of::<MEMORYSTATUSEX>() as u32, ..MEMORYSTATUSEX::default() };
    // SAFETY: the structure carries its size; left zero on failure.
    unsafe { GlobalMemoryStatusEx(&raw mut memory) };
    memory.ullTotalPhys >> 20
}

/// SYSTEM_TIMEOFDAY_INFORMATION, whose fields the documentation leaves open.
#[repr(C)]
#[derive(Default)]
struct TimeOfDay {
    boot_time: i64,
    rest: [u64; 5],
}

fn started_unix() -> u64 {
    let mut time = TimeOfDay::default();
    // SAFETY: the buffer has the structure's 48 bytes; left zero on failure.
    unsafe {
        NtQuerySystemInformation(
            SystemTimeOfDayInformation,
            (&raw mut time).cast(),
            size_of::<TimeOfDay>() as u32,
            null_mut(),
        )
    };
    u64::try_from(time.boot_time / 10_000_000 - SECONDS_BEFORE_1970).unwrap_or(0)
}

/// Shuts down, at once and whatever programs think of it.
fn leave(and_come_back: bool) -> io::Result<()> {
    let reason = SHTDN_REASON_MAJOR_OTHER | SHTDN_REASON_MINOR_OTHER | SHTDN_REASON_FLAG_PLANNED;
    // SAFETY: this machine, no message.
    checked(unsafe { InitiateSystemShutdownExW(null(), null(), 0, 1, and_come_back.into(), reason) })
}

fn enable_shutdown_privilege() -> io::Result<()> {
    let mut token: HANDLE = null_mut();
    let mut privilege = LUID::default();
    // SAFETY: the pointers are those of local variables; the token is closed at the end.
    unsafe {
        checked(OpenProcessToken(
            GetCurrentProcess(),
            TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY,
            &raw mut token,
        ))?;
        let result =
            checked(LookupPrivilegeValueW(null(), SE_SHUTDOWN_NAME, &raw mut privilege)).and_then(|()| {
                let privileges = TOKEN_PRIVILEGES {
                    PrivilegeCount: 1,
                    Privileges: [LUID_AND_ATTRIBUTES { Luid: privilege, Attributes: SE_PRIVILEGE_ENABLED }],
                };
                checked(AdjustTokenPrivileges(token, 0, &raw const privileges, 0, null_mut(), null_mut()))?;
                // a privilege that the account has not is left out, which counts as success
                match io::Error::last_os_error() {
                    error if error.raw_os_error() == Some(ERROR_NOT_ALL_ASSIGNED.cast_signed()) => Err(error),
                    _ => Ok(()),
                }
            });
        CloseHandle(token);
        result
    }
}
