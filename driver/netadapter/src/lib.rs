//! `cancelnic.sys`: KMDF and NetAdapterCx driver of the cancelnic NIC.
//!
//! The driver is thin: what happens to packets is decided in cancelnic-core, which knows no
//! Windows; the modules here give it memory, registers and callbacks.
//!
//! Life of a device:
//! 1. [`device`]: EvtDriverDeviceAdd makes the framework objects and the network adapter.
//! 2. PrepareHardware: [`hardware`] maps the virtio structures and looks at the device; one without
//!    receive cancel or of another major revision is refused. [`adapter`] tells NetAdapterCx what the
//!    adapter can do and starts it.
//! 3. D0Entry: [`virtqueues`] are allocated and the device starts to work.
//! 4. NetAdapterCx creates, starts, cancels, stops and destroys packet queues: [`queue`].
//! 5. D0Exit: the device is reset, then the virtqueues are freed. ReleaseHardware unmaps the BARs. After a surprise removal
//!    step 4 may end as late as between the two: then the virtqueues are freed in the second.
//!
//! [`driver`] is the image's entry, [`class`] the way to NetAdapterCx. [`context`] holds the device's parts: [`hardware`],
//! [`virtqueues`], [`wake`] (passes interrupts on to waiting queues) and [`watchdog`], which do not know it, and [`io`] (the
//! device interface). [`failure`] ends a cancel that takes too long; [`anchor`] is where a debugger starts.
#![warn(clippy::multiple_unsafe_ops_per_block)]
#![no_std]
#![cfg(target_os = "windows")]

mod adapter;
mod anchor;
mod class;
mod context;
mod device;
mod driver;
mod failure;
mod hardware;
mod io;
mod memory;
mod misbehave;
mod packet_queue;
mod pci;
mod queue;
mod report;
mod trespass;
mod virtqueues;
mod wake;
mod watchdog;
