//! NetAdapterCx's decisions: `driver/docs/netadaptercx.md`.

pub mod arms;
pub mod element;
pub mod hang;
pub mod ledger;
pub mod unseen;
pub mod verifier;
