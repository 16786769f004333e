//! The agent's program under Wine, as a service with a terminal behind COM2; and the INF files as Wine's SetupAPI reads
//! them. One Windows for all: the tests run in their order.
//!
//! What Windows has and Wine lacks (devices, Driver Verifier) must be answered with a failure in words.

#[cfg(unix)]
mod parameters;
#[cfg(unix)]
mod port;
#[cfg(unix)]
mod prefix;
#[cfg(unix)]
mod tests;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    tests::run()
}

#[cfg(not(unix))]
fn main() {
    println!("NOT TESTED: Wine is for other systems");
}
