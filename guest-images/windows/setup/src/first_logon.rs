//! The script of the first logon: drivers and agent, then what makes Windows a quiet test machine, then power off.

use crate::report::{REPORT, ReportedPhase};

/// Folder of the disc that holds the script and the driver package.
pub const FOLDER: &str = "cancelnic";
/// Name of the script in [`FOLDER`].
pub const SCRIPT: &str = "first-logon.cmd";
/// What Setup runs at the first logon: the script, from whichever drive the disc is.
pub const FIRST_LOGON_COMMAND: &str = r"cmd.exe /c for %d in (D E F G H) do @if exist %d:\cancelnic\first-logon.cmd call %d:\cancelnic\first-logon.cmd";
/// The agent's program on the disc, if there is one. It becomes a service of that name.
pub const AGENT: &str = "cancelnic-agent.exe";

/// What is reported, and the command.
type Step = (&'static str, &'static str);

/// What is installed.
const DRIVERS: [Step; 1] = [("drivers", r#"cmd.exe /c "%~dp0install.cmd""#)];

/// The agent, which copies itself from the disc, as later starts do not have it, and becomes a service.
const AGENT_STEPS: [Step; 2] = [
    ("agent", r#""%~dp0cancelnic-agent.exe" --install"#),
    (
        "the agent comes back",
        "sc.exe failure cancelnic-agent reset= 60 actions= restart/1000/restart/1000/restart/5000",
    ),
];

/// What makes Windows a quiet test machine.
const QUIET: [Step; 11] = [
    // a driver of the same device that Windows Update has must not come in
    (
        "no drivers from Windows Update",
        r"reg.exe add HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate /v ExcludeWUDriversInQualityUpdate /t REG_DWORD /d 1 /f",
    ),
    (
        "no drivers from the network",
        r"reg.exe add HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\DriverSearching /v SearchOrderConfig /t REG_DWORD /d 0 /f",
    ),
    (
        "no updates",
        r"reg.exe add HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU /v NoAutoUpdate /t REG_DWORD /d 1 /f",
    ),
    // 2: kernel memory; kept and shown, until somebody has looked
    (
        "kernel dumps",
        r"reg.exe add HKLM\SYSTEM\CurrentControlSet\Control\CrashControl /v CrashDumpEnabled /t REG_DWORD /d 2 /f",
    ),
    (
        "dumps are kept",
        r"reg.exe add HKLM\SYSTEM\CurrentControlSet\Control\CrashControl /v AlwaysKeepMemoryDump /t REG_DWORD /d 1 /f",
    ),
    (
        "no restart after a bug check",
        r"reg.exe add HKLM\SYSTEM\CurrentControlSet\Control\CrashControl /v AutoReboot /t REG_DWORD /d 0 /f",
    ),
    // machines of tests are often switched off
    ("no repair at the next start", "bcdedit.exe /set {current} bootstatuspolicy ignoreallfailures"),
    ("no recovery", "bcdedit.exe /set {current} recoveryenabled no"),
    ("no sleep", "powercfg.exe /change standby-timeout-ac 0"),
    ("no dark screen", "powercfg.exe /change monitor-timeout-ac 0"),
    // with it, shutting down would only hibernate the kernel
    ("no fast start", "powercfg.exe /hibernate off"),
];

/// The script. It reports each step to COM1; after the last it powers the machine off, after a failure it does not.
pub fn first_logon_script(agent: bool) -> String {
    let agent = AGENT_STEPS.iter().filter(|_| agent);
    let mut lines =
        vec!["@echo off".to_owned(), format!("call :say {}", said(&ReportedPhase::FirstLogon.line()))];
    for (what, command) in DRIVERS.iter().chain(agent).chain(&QUIET) {
        lines.push(format!("set step={what}"));
        lines.push("call :say step %step%".to_owned());
        lines.push((*command).to_owned());
        // not `if errorlevel 1`, which takes negative exit codes for good
        lines.push("if not %errorlevel%==0 goto failed".to_owned());
    }
    lines.extend(
        [
            "call :say done",
            "shutdown.exe /s /t 0",
            "exit /b 0",
            ":failed",
            "call :say failed %step%: exit code %errorlevel%",
            "exit /b 1",
            ":say",
        ]
        .map(str::to_owned),
    );
    // a digit before the `>` would be taken for a handle
    lines.push(format!(">COM1 echo {REPORT}%*"));
    lines.push("exit /b 0".to_owned());
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// A line of the guest without what `:say` puts before it.
fn said(line: &str) -> &str {
    line.strip_prefix(REPORT).unwrap_or(line)
}
