//! The worker: the thread that runs queues when wire time asks for it, when another thread leaves work over, and that polls.

use std::io;
use std::sync::Arc;
use std::thread;

use crate::nic::Nic;

/// Starts the thread. It ends with the process.
pub(crate) fn start(nic: Arc<Nic>) -> io::Result<()> {
    thread::Builder::new().name("worker".into()).spawn(move || {
        loop {
            nic.wait_for_work();
            nic.work();
        }
    })?;
    Ok(())
}
