//! The rules by which understudy's frameworks decide, without any machine: nothing here touches a driver's memory, waits,
//! or knows a thread. Each is written down, with its source, in `driver/docs`, and tested beside its code.
//!
//! - [`inf`], [`ram`]: what PnP takes from an INF, what the heap takes of the memory map.
//! - [`io`]: transfer methods. [`wdf`]: handles, queues' states, recalls (`driver/docs/requests.md`).
//! - [`netcx`]: rings' elements, the ring checks, the books above the rings, notifications (`driver/docs/netadaptercx.md`).
//! - [`ndis`]: whose a net buffer list is, a module's states (`driver/docs/ndis-filter.md`).
//! - [`rule`]: the rules' names, where each comes from, and whether it stops a run.
//! - [`frame`], [`receive_filter`]: numbered frames, and which frames an adapter lets through.
//! - [`trap`]: what Windows makes of an exception or an `int` instruction.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod frame;
pub mod inf;
pub mod io;
pub mod ndis;
pub mod netcx;
pub mod ram;
pub mod receive_filter;
pub mod rule;
pub mod trap;
pub mod wdf;
