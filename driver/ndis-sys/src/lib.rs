//! Bindings of the NDIS 6 filter interface, for drivers and for the stand-in kernel.
#![no_std]
