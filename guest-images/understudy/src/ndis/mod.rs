//! The stand-in for NDIS.SYS: filter modules between an overlying protocol and a miniport.
//!
//! - [`nbl`]: lists in memory. Whose list is where, that it comes back as it went, what a module may do when, and the
//!   protocol's account: `understudy_rules::ndis`.
//! - `books`, `memory`, `flow`: lists as they are made, handed on, and come back.
//! - `module`, `modules`, `stack`, `attach`, `registration`: filter drivers and modules, and the orders of their states.
//! - `requests`, `events`: OID requests, status indications, PnP events.
//! - `protocol`, `binding`: the overlying driver and what it keeps. `miniport`: who is below the lowest filter.
//! - `exports`: the functions that a filter driver imports.

pub(crate) mod nbl;

mod attach;
pub(crate) mod binding;
pub(crate) mod books;
pub(crate) mod events;
pub(crate) mod exports;
pub(crate) mod flow;
pub(crate) mod memory;
pub(crate) mod miniport;
mod module;
mod modules;
pub(crate) mod protocol;
mod registration;
mod requests;
pub(crate) mod stack;
mod violation;
