//! `cancelnic-agent.exe`: the rig's agent in a Windows guest.

#[cfg(windows)]
mod windows;

#[cfg(windows)]
fn main() -> std::process::ExitCode {
    windows::program::main()
}

#[cfg(not(windows))]
fn main() -> std::process::ExitCode {
    eprintln!("cancelnic-agent is a program for Windows; `cargo rig build` makes it");
    std::process::ExitCode::from(2)
}
