//! cancelnic-lwf.sys: NDIS modifying filter that cancels sends by ID
#![no_std]
#![cfg(target_os = "windows")]
