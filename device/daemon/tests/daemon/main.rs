//! The daemon as its users meet it: a process with two sockets. A front end without a virtual machine
//! plays QEMU and the guest's driver. No test sleeps: each waits on a condition, with a bound.

mod attack;
mod cancel;
mod faults;
mod fuzz;
mod guest;
mod hostile;
mod judge;
mod life;
mod process;
mod qemu;
mod raw;
mod receive;
mod service;
mod wires;
