//! `vhost-device-cancelnic`
mod capture;
mod cli;
mod control;
mod log;
mod sandbox;
mod sockets;
mod stop;
fn main() {}
