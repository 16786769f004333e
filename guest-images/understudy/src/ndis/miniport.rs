//! The miniport below the lowest filter, as NDIS sees it: registered at boot by whatever drives the adapter.

use alloc::vec::Vec;
use spin::Once;
use understudy_rules::ndis::ledger::List;
use understudy_rules::receive_filter::{Filter, Mac};
use wdk_offline::NTSTATUS;

/// An adapter with its data path.
pub(crate) trait Miniport: Sync {
    /// SourceHandle of what it indicates; 0: there is no adapter. Any IRQL.
    fn handle(&self) -> u64;
    /// The address that its frames come from. Any IRQL.
    fn mac(&self) -> Mac;
    /// Whether its link is up.
    fn is_connected(&self) -> bool;
    /// The packet filters that it offers, as NDIS_PACKET_TYPE flags.
    fn supported_filters(&self) -> i32;
    /// How many addresses its multicast list may have.
    fn multicast_addresses(&self) -> usize;
    /// Sets its receive filter. PASSIVE_LEVEL.
    fn set_receive_filter(&self, filter: &Filter) -> NTSTATUS;

    /// Whether there are queues.
    fn has_queues(&self) -> bool;
    /// Whether lists flow.
    fn is_running(&self) -> bool;
    /// Starts the data path. PASSIVE_LEVEL.
    fn start(&self);
    /// Takes the data path down as a pause does; each queue's cancel is asked for `cancels` times. PASSIVE_LEVEL.
    fn pause(&self, cancels: u32);
    /// Pauses if running and destroys the queues. PASSIVE_LEVEL.
    fn take_down(&self);

    /// Takes lists to be sent. Those that it returns met a closed gate, or no queue: they are to be completed
    /// NDIS_STATUS_PAUSED. Up to DISPATCH_LEVEL.
    fn send(&self, lists: &[List]) -> Vec<List>;
    /// Frames that somebody above completed NDIS_STATUS_PAUSED. Up to DISPATCH_LEVEL.
    fn refused(&self, numbers: &[Option<u64>]);
    /// Received lists come back. Up to DISPATCH_LEVEL.
    fn give_back(&self, lists: &[List]);
}

static MINIPORT: Once<&'static dyn Miniport> = Once::new();

/// Makes it known. At boot.
pub(crate) fn register(miniport: &'static dyn Miniport) {
    MINIPORT.call_once(|| miniport);
}

/// The miniport.
pub(crate) fn get() -> &'static dyn Miniport {
    *MINIPORT.get().unwrap_or_else(|| unreachable!("a miniport is registered at boot"))
}
