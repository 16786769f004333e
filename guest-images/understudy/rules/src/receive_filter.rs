//! Receive filters: which ones an adapter has, and which frames a filter lets through. Knows nothing of handles.
//!
//! Numbers and conditions: `Verifier_VerifyReceiveFilterCapabilities` (verifier.cpp) and `NxAdapter::SetReceiveFilter`
//! (nxadapter.cpp) of the published source.
//!
//! Rules: CX39, CX40 (`driver/docs/netadaptercx.md`).

use alloc::vec::Vec;
use netadaptercx_sys::{
    NET_PACKET_FILTER_FLAGS, NetPacketFilterFlagAllMulticast, NetPacketFilterFlagBroadcast,
    NetPacketFilterFlagDirected, NetPacketFilterFlagMulticast, NetPacketFilterFlagPromiscuous,
};

/// The flags that there are.
pub const KNOWN: NET_PACKET_FILTER_FLAGS = NetPacketFilterFlagDirected
    | NetPacketFilterFlagMulticast
    | NetPacketFilterFlagAllMulticast
    | NetPacketFilterFlagBroadcast
    | NetPacketFilterFlagPromiscuous;

/// An Ethernet address.
pub type Mac = [u8; 6];

/// Capabilities that NetAdapterCx stops at, by its failure code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Code 12: filters without EvtSetReceiveFilter.
    Callback,
    /// Code 11: flags that are not known.
    Flags,
    /// Code 11: neither a filter nor a multicast list; or the Multicast flag without a list; or a list without the flag.
    Multicast,
}

impl Wrong {
    /// The failure code of bug check 0x19E and its name.
    #[must_use]
    pub fn code(self) -> (u64, &'static str) {
        match self {
            Self::Flags | Self::Multicast => (11, "InvalidReceiveFilterCapabilities"),
            Self::Callback => (12, "InvalidSetReceiveFilterCallBack"),
        }
    }
}

/// Looks at what NetAdapterSetReceiveFilterCapabilities was given.
///
/// # Errors
/// The first condition that does not hold, in the source's order.
pub fn check(flags: NET_PACKET_FILTER_FLAGS, multicast: usize, has_callback: bool) -> Result<(), Wrong> {
    if flags != 0 && !has_callback {
        return Err(Wrong::Callback);
    }
    if flags & !KNOWN != 0 {
        return Err(Wrong::Flags);
    }
    let wants_list = flags & NetPacketFilterFlagMulticast != 0;
    if flags == 0 || wants_list != (multicast > 0) {
        return Err(Wrong::Multicast);
    }
    Ok(())
}

/// Whether an adapter with the filters `supported` can be set to `wanted`; 0 clears the filter, which an adapter without
/// filters refuses as well.
#[must_use]
pub fn can_set(supported: NET_PACKET_FILTER_FLAGS, wanted: NET_PACKET_FILTER_FLAGS) -> bool {
    supported != 0 && wanted & !supported == 0
}

/// A filter in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Kinds of frame that pass.
    pub flags: NET_PACKET_FILTER_FLAGS,
    /// Addresses that the Multicast flag lets through.
    pub multicast: Vec<Mac>,
}

impl Filter {
    /// Whether a frame to `destination` passes at an adapter whose address is `own`.
    #[must_use]
    pub fn lets_through(&self, destination: Mac, own: Mac) -> bool {
        let has = |flag| self.flags & flag != 0;
        if has(NetPacketFilterFlagPromiscuous) {
            return true;
        }
        if destination == [0xff; 6] {
            return has(NetPacketFilterFlagBroadcast);
        }
        // the group bit
        if destination[0] & 1 != 0 {
            return has(NetPacketFilterFlagAllMulticast)
                || has(NetPacketFilterFlagMulticast) && self.multicast.contains(&destination);
        }
        has(NetPacketFilterFlagDirected) && destination == own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = [2, 0, 0, 0, 0, 1];
    const OTHER: Mac = [2, 0, 0, 0, 0, 2];
    const ALL_HOSTS: Mac = [0x01, 0, 0x5e, 0, 0, 1];
    const OTHER_GROUP: Mac = [0x01, 0, 0x5e, 0, 0, 2];
    const EVERYONE: Mac = [0xff; 6];

    #[test]
    fn capabilities_are_refused_where_the_framework_stops() {
        for (flags, multicast, callback, expected) in [
            (KNOWN, 1, true, Ok(())),
            (NetPacketFilterFlagDirected, 0, true, Ok(())),
            (KNOWN, 1, false, Err(Wrong::Callback)),
            (0x10, 0, true, Err(Wrong::Flags)),
            (0, 0, false, Err(Wrong::Multicast)),
            (NetPacketFilterFlagMulticast, 0, true, Err(Wrong::Multicast)),
            (NetPacketFilterFlagDirected, 4, true, Err(Wrong::Multicast)),
            (0, 4, false, Err(Wrong::Multicast)),
        ] {
            assert_eq!(check(flags, multicast, callback), expected, "{flags:#x} {multicast} {callback}");
        }
    }

    #[test]
    fn an_adapter_without_filters_can_be_set_to_nothing_not_even_to_no_filter() {
        assert!(!can_set(0, 0) && !can_set(0, NetPacketFilterFlagDirected));
        assert!(can_set(KNOWN, 0) && can_set(KNOWN, KNOWN));
        assert!(!can_set(NetPacketFilterFlagDirected, NetPacketFilterFlagPromiscuous));
    }

    #[test]
    fn each_flag_lets_its_kind_of_frame_through_and_no_other() {
        let all = [OWN, OTHER, ALL_HOSTS, OTHER_GROUP, EVERYONE];
        for (flags, expected) in [
            (0, &[][..]),
            (NetPacketFilterFlagDirected, &[OWN]),
            (NetPacketFilterFlagMulticast, &[ALL_HOSTS]),
            (NetPacketFilterFlagAllMulticast, &[ALL_HOSTS, OTHER_GROUP]),
            (NetPacketFilterFlagBroadcast, &[EVERYONE]),
            (NetPacketFilterFlagPromiscuous, &all),
        ] {
            let filter = Filter { flags, multicast: [ALL_HOSTS].to_vec() };
            let passed: Vec<Mac> =
                all.into_iter().filter(|&destination| filter.lets_through(destination, OWN)).collect();
            assert_eq!(passed, expected, "{flags:#x}");
        }
    }
}
