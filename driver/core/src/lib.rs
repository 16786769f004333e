//! What `cancelnic.sys` decides, without a single Windows call: ring bookkeeping, cancel, reap, and
//! the virtio-pci transport's decisions. It runs on real `NET_RING` memory, in the driver and on the
//! host against the device's model alike.
//!
//! The life of the parts, as the driver glue walks through it:
//! 1. *Prepare hardware*: [`pci::find_structures`] and [`pci::match_bar`] say which memory to map.
//! 2. *D0 entry*: [`transport::begin`] resets the device and agrees on features,
//!    [`identity::examine`] checks the cancel block, the glue allocates virtqueue memory
//!    ([`virtqueue::Layout`]) and makes a [`virtqueue::Virtqueue`] of each, then
//!    [`transport::enable_queue`] and [`transport::driver_ok`].
//! 3. *Packet queue creation*: [`queue::Queue::new`] over the rings, a [`tx::TxQueue`] or an [`rx::RxQueue`].
//! 4. *Start, advance, arm, cancel, stop*: the methods of the same names. Each is called from the
//!    packet queue's callback of that name, so never two of one queue at a time. An [`Outcome`] says
//!    what the glue must do next.
//! 5. *Interrupt*: [`signals::Signals::take_armed`] for each queue, under the lock that Stop takes.
//! 6. *Time out or fault*: the glue resets the device ([`transport::reset`]), marks all queues'
//!    [`signals::Signals`] lost, reports the adapter failed and notifies them.
//! 7. *D0 exit*: [`transport::reset`]; the memory is freed only if that says it may be.
//!
//! Nothing here waits, allocates or blocks; every loop over a register is bounded.
#![warn(clippy::multiple_unsafe_ops_per_block)]
#![no_std]

pub mod cancel_form;
pub mod command;
pub mod counters;
pub mod features;
pub mod hardware;
pub mod identity;
pub mod outcome;
pub mod pci;
pub mod queue;
mod ring;
pub mod rx;
pub mod signals;
pub mod trace;
pub mod transport;
pub mod tx;
pub mod virtqueue;
pub mod waiters;
pub mod watchdog;

pub use cancel_form::CancelForm;
pub use hardware::{Doorbell, Mmio, Notify, Registers};
pub use outcome::{Fault, Outcome};
pub use ring::Rings;
