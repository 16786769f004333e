//! NDIS's decisions: `driver/docs/ndis-filter.md`.

pub mod account;
pub mod ledger;
pub mod shape;
pub mod state;
