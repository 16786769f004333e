//! What a driver must not do, each with the rule that names it.

use super::hardware::*;
use super::nic::*;
use super::send_frames;
use crate::ke::delay_us;
use crate::ndis::stack;
use crate::twin::machine::{on_a_machine, stops_with};
use core::mem::transmute;
use core::sync::atomic::Ordering::SeqCst;
use netadaptercx_sys::*;
use understudy_rules::frame;

/// What a driver does wrong until its data path runs.
fn started(what: Does) -> impl FnOnce() + Send + 'static {
    move || drop(up(what))
}

/// What it does wrong with packets to be sent.
fn sending(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(what);
        send_frames(1, 4, 100);
    }
}

/// What it does wrong with received frames.
fn receiving(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(what);
        wire_brings(0..4);
    }
}

/// What it does wrong in a pause.
fn pausing(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(what);
        send_frames(1, 4, 100);
        stack::pause(1);
    }
}

/// One test each: the rule that what the driver does breaks.
macro_rules! broken {
    ($($name:ident: $how:ident($what:ident) => $rule:literal;)*) => {
        $(
            #[test]
            fn $name() {
                stops_with!($rule, $how(Does::$what));
            }
        )*
    };
}

broken! {
    begin_index_past_end_index_is_named: sending(TakesFromBehindEnd) => "InvalidRingBeginIndex";
    end_index_is_the_frameworks: sending(MovesEnd) => "InvalidRingImmutable";
    elements_of_the_frameworks_must_not_be_written:
        sending(WritesAFrameworkElement) => "InvalidRingImmutableFrameworkElement";
    packets_to_be_sent_must_not_be_written: sending(WritesATxPacket) => "InvalidRingImmutableDriverTxPacket";
    fragments_to_be_sent_must_not_be_written:
        sending(WritesATxFragment) => "InvalidRingImmutableDriverTxFragment";
    fragments_that_stay_behind_are_named_at_the_stop: pausing(KeepsTxFragments) => "TxFragmentsNotReturned";
    a_received_packet_that_still_holds_poison_is_named:
        receiving(LeavesThePoison) => "InvalidRingUnmodifiedRxPacket";
    a_received_packet_without_fragments_is_named:
        receiving(NamesNoFragment) => "InvalidRingFragmentCountZero";
    a_fragment_in_two_packets_is_named: receiving(NamesOneTwice) => "InvalidRingFragmentCountOverlap";
    a_fragment_that_the_driver_keeps_is_named:
        receiving(NamesAFragmentThatItKeeps) => "InvalidRingFragmentIndexOutOfPostRange";
    a_frame_longer_than_its_buffer_is_named:
        receiving(IndicatesMoreThanTheBuffer) => "InvalidRingFragmentLengthInvalid";
    a_damaged_frame_is_named: receiving(DamagesFrames) => "RxFrameDamaged";
    an_ignored_packet_must_not_be_written:
        pausing(SpoilsAnIgnoredPacket) => "InvalidRingImmutableDriverRxPacketIgnore";
    a_second_queue_from_one_callback_is_named: started(MakesAQueueTwice) => "QueueAlreadyCreated";
    a_queue_without_evt_cancel_is_named:
        started(MakesAQueueWithoutCancel) => "InvalidQueueConfiguration";
    an_adapter_that_is_started_twice_is_named: started(StartsTwice) => "AdapterAlreadyStarted";
    dma_without_an_enabler_is_named: started(OffersNoDma) => "InvalidTxCapabilities";
    no_receive_queue_at_all_is_named: started(OffersNoQueues) => "InvalidRxCapabilities";
    a_hint_that_is_no_power_of_two_is_named: started(HasAnOddHint) => "NotPowerOfTwo";
    another_versions_structure_is_named: started(HasAnotherVersionsSize) => "InvalidStructTypeSize";
    an_address_that_is_too_long_is_named: started(HasALongAddress) => "InvalidLinkLayerAddress";
    an_mtu_of_nothing_is_named: started(HasAnMtuOfNothing) => "MtuMustBeGreaterThanZero";
    a_link_state_that_does_not_exist_is_named: started(LiesAboutTheLink) => "InvalidLinkState";
    receive_filters_without_a_callback_are_named:
        started(OffersFiltersWithoutCallback) => "InvalidSetReceiveFilterCallBack";
    an_extension_that_does_not_exist_is_named:
        started(AsksForAStrangeExtension) => "InvalidNetExtensionName";
    a_transmit_queue_for_a_receive_queue_is_named: started(MixesUpQueues) => "InvalidQueueHandle";
    globals_that_nobody_gave_out_are_named: started(UsesAStrangersGlobals) => "CorruptedPrivateGlobals";
    a_start_at_dispatch_level_is_named: started(CallsAtDispatch) => "IrqlIsNotPassive";
    a_device_that_was_not_configured_is_named:
        started(LeavesOutTheConfiguration) => "NetDeviceInitConfigMissing";
    an_adapter_without_datapath_callbacks_is_named:
        started(ForgetsTheCallbacks) => "InvalidDatapathCallbacks";
    characteristics_after_net_device_init_config_are_named:
        started(SetsCharacteristicsLate) => "CharacteristicsAfterNetDeviceInitConfig";
    two_adapters_from_one_init_are_named: started(CreatesTwoFromOneInit) => "AdapterInitAlreadyUsed";
}

#[test]
fn a_mark_on_a_packet_that_was_to_be_ignored_is_named() {
    stops_with!("IgnoredPacketMarked", || {
        up(Does::MarksWhatItWasToIgnore);
        send_frames(1, 1, frame::TOO_LONG);
    });
}

#[test]
fn a_notification_that_nobody_asked_for_is_named() {
    stops_with!("NotifyWithoutArm", || {
        up(Does::Right);
        let queue = RX.with(|rx| rx.queue) as NETPACKETQUEUE;
        for _ in 0..2 {
            net!(NetRxQueueNotifyMoreReceivedPacketsAvailable:
                 PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE(queue));
        }
    });
}

#[test]
fn a_rule_that_is_set_to_warn_or_off_does_not_end_the_run() {
    let line = "rule.NotifyWithoutArm=warn rule.CharacteristicsAfterNetDeviceInitConfig=off";
    crate::settings::start(line, &[]).expect("rules that can be set so");
    on_a_machine!(|| {
        up(Does::SetsCharacteristicsLate);
        let queue = RX.with(|rx| rx.queue) as NETPACKETQUEUE;
        for _ in 0..2 {
            net!(NetRxQueueNotifyMoreReceivedPacketsAvailable:
                 PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE(queue));
        }
        wire_brings(0..4);
        stack::pause(1);
    });
}

#[test]
fn a_notification_after_evt_stop_is_named() {
    stops_with!("NotifyAfterStop", || {
        up(Does::Right);
        stack::pause(1);
        let queue = TX.with(|tx| tx.queue) as NETPACKETQUEUE;
        net!(NetTxQueueNotifyMoreCompletedPacketsAvailable:
             PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE(queue));
    });
}

#[test]
fn a_receive_buffer_that_is_written_after_its_return_is_named() {
    stops_with!("RxBufferWrittenAfterReturn", || {
        up(Does::Right);
        delay_us(1000);
        stack::pause(1);
        let late = LATE.load(SeqCst) as *mut u8;
        // SAFETY: the pool's buffer, which is not the driver's any more: that is what is to be seen.
        unsafe { *late = 1 };
        stack::start();
        delay_us(1000);
        wire_brings(0..200);
        stack::pause(1);
    });
}
