//! `cancelnic.sys`.
#![no_std]
#![cfg(target_os = "windows")]
mod driver;
mod loader;
mod runtime;
