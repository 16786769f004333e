//! The structures and control codes that programs and the project's drivers exchange.
#![no_std]
