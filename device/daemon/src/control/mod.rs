//! The control socket: what the rig and people at a shell hold the NIC's gates with.

mod methods;
mod server;

pub(crate) use methods::Control;
pub(crate) use server::serve;
