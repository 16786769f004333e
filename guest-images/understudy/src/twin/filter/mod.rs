//! NDIS filters: lists on their way down and up, cancels by ID, pauses, and what a module must not do
//! (`driver/docs/ndis-filter.md`). The filter and the miniport below it are `driver`; the protocol is NDIS's room's.

mod broken;
mod driver;
mod flow;
mod options;
