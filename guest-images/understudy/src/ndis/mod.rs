//! The stand-in for NDIS.SYS: filter modules between an overlying protocol and a miniport.
//!
//! - [`nbl`]: lists in memory. Whose list is where, that it comes back as it went, what a module may do when, and the
//!   protocol's account: `understudy_rules::ndis`.
//! - `books`, `memory`, `flow`: lists as they are made, handed on, and come back.
//! - `module`, `stack`, `attach`, `registration`: filter drivers and modules, and the orders of their states.
//! - `requests`, `events`: OID requests, status indications, PnP events.
//! - `protocol`: the overlying driver. `miniport`: who is below the lowest filter.
//! - `exports`: the functions that a filter driver imports.

pub mod nbl;

#[cfg(target_os = "none")]
mod attach;
#[cfg(target_os = "none")]
pub(crate) mod books;
#[cfg(target_os = "none")]
pub(crate) mod events;
#[cfg(target_os = "none")]
pub(crate) mod exports;
#[cfg(target_os = "none")]
pub(crate) mod flow;
#[cfg(target_os = "none")]
pub(crate) mod memory;
#[cfg(target_os = "none")]
pub(crate) mod miniport;
#[cfg(target_os = "none")]
mod module;
#[cfg(target_os = "none")]
pub(crate) mod protocol;
#[cfg(target_os = "none")]
mod registration;
#[cfg(target_os = "none")]
mod requests;
#[cfg(target_os = "none")]
pub(crate) mod stack;
#[cfg(target_os = "none")]
mod violation;
