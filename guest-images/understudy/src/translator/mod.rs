//! The one room that knows NDIS and NetAdapterCx: net buffer lists above, packet queues below. For NDIS it is the
//! miniport, for NetAdapterCx the driver above.

pub(crate) mod datapath;
mod rx;
mod tx;

use crate::ndis::miniport::{self, Miniport};
use crate::ndis::{events, stack};
use crate::netcx::adapter;
use crate::netcx::overlying::{self, Overlying};
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;
use understudy_rules::ndis::ledger::List;
use understudy_rules::receive_filter::{Filter, Mac};
use wdk_offline::{NTSTATUS, STATUS_NOT_SUPPORTED};

struct Translator;

/// Makes the translator known to both of its sides. At boot.
pub(crate) fn start() {
    miniport::register(&Translator);
    overlying::register(&Translator);
}

/// What the adapter says, or the default without one.
fn ask<R: Default>(question: impl FnOnce(&adapter::Adapter) -> R) -> R {
    adapter::current().map(|(_, adapter)| question(&adapter)).unwrap_or_default()
}

impl Miniport for Translator {
    fn handle(&self) -> u64 {
        adapter::handle()
    }

    fn mac(&self) -> Mac {
        ask(adapter::Adapter::mac)
    }

    fn is_connected(&self) -> bool {
        ask(|adapter| adapter.connected.load(Relaxed))
    }

    fn supported_filters(&self) -> i32 {
        ask(adapter::Adapter::supported_filters)
    }

    fn multicast_addresses(&self) -> usize {
        ask(adapter::Adapter::multicast_addresses)
    }

    fn set_receive_filter(&self, filter: &Filter) -> NTSTATUS {
        adapter::current()
            .map_or(STATUS_NOT_SUPPORTED, |(handle, adapter)| adapter.set_receive_filter(handle, filter))
    }

    fn has_queues(&self) -> bool {
        datapath::exists()
    }

    fn is_running(&self) -> bool {
        datapath::is_running()
    }

    fn start(&self) {
        datapath::start();
    }

    fn pause(&self, cancels: u32) {
        datapath::pause(cancels);
    }

    fn take_down(&self) {
        datapath::take_down();
    }

    fn send(&self, lists: &[List]) -> Vec<List> {
        datapath::send_lists(lists)
    }

    fn refused(&self, numbers: &[Option<u64>]) {
        datapath::refused(numbers);
    }

    fn give_back(&self, lists: &[List]) {
        datapath::return_lists(lists);
    }
}

impl Overlying for Translator {
    fn link(&self, connected: bool) {
        events::link(connected);
    }

    fn stops(&self) {
        stack::adapter_down(false);
    }
}
