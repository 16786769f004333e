//! `cancelnic-relay.sys`: sends requests to cancelnic.sys's device interface through an I/O target, and recalls them.
//!
//! [`relay`] is what the driver keeps for its device; the others work on it.
//! 1. [`device`]: EvtDriverDeviceAdd makes the queues, the target and the interface; the target is opened on request.
//! 2. [`control`] takes the control codes; [`send`] makes, sends, recalls and reuses requests; [`pass`] does so with
//!    those of programs; [`slots`] says what may be done with each, and knows no framework.
//! 3. [`target`] opens, stops, starts, purges and closes the target.
//! 4. D0Exit stops the target, requests under way stay so; D0Entry starts it again. EvtIoStop acknowledges a passed
//!    request when power goes, and recalls it when the device goes.
//!
//! Every call and callback is written to a log that programs read: what the framework did is seen, not guessed.
//! Elsewhere than on Windows the crate is [`slots`] alone, for its tests.
#![warn(clippy::multiple_unsafe_ops_per_block)]
#![cfg_attr(target_os = "windows", no_std)]

pub mod slots;

#[cfg(target_os = "windows")]
mod control;
#[cfg(target_os = "windows")]
mod device;
#[cfg(target_os = "windows")]
mod driver;
#[cfg(target_os = "windows")]
mod pass;
#[cfg(target_os = "windows")]
mod relay;
#[cfg(target_os = "windows")]
mod send;
#[cfg(target_os = "windows")]
mod target;
