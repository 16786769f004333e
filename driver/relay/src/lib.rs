//! cancelnic-relay.sys: KMDF driver that sends requests to cancelnic.sys and recalls them
#![no_std]
#![cfg(target_os = "windows")]
