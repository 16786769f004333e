//! What the NDIS filter decides: the held queue, matching by cancellation ID, the way down.
#![no_std]
