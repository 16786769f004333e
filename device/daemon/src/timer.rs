//! The thread that runs queues when wire time asks for it, and when another thread had to leave work over.

use std::io;
use std::sync::Arc;
use std::thread;

use crate::nic::Nic;

/// Starts the thread. It ends with the process.
pub(crate) fn start(nic: Arc<Nic>) -> io::Result<()> {
    thread::Builder::new().name("wire-time".into()).spawn(move || {
        loop {
            nic.wait_for_wire_time();
            nic.wire_time_passed();
        }
    })?;
    Ok(())
}
