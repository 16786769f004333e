//! The stand-in kernel on the host: the dispatcher, the I/O manager and the frameworks as they run in QEMU, over the
//! machine's twin (`hal::host`), with drivers written in Rust in the place of `.sys` files.
//!
//! Each test is a process of its own ([`machine`]), so that a broken rule may end it as it ends a machine. Threads are
//! the dispatcher's own; time passes when nobody can run. [`orders`] walks every order of two threads.

mod bind;
mod buffers;
mod driver;
mod machine;
mod orders;

mod dispatcher;
mod filter;
mod helpers;
mod io_targets;
mod kernel;
mod netadapter;
mod ntoskrnl;
mod offers;
mod pnp;
mod queues;
mod requests;
mod rules;
mod waits;
