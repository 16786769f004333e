/* What programs and the drivers of the cancelnic NIC exchange: control codes and structures.

   Every buffer begins with a CancelnicHeader; all numbers are little-endian. A request whose input is not exactly
   what its code wants is refused, and changes nothing: STATUS_INFO_LENGTH_MISMATCH for its length,
   STATUS_REVISION_MISMATCH for its version, STATUS_INVALID_PARAMETER for a value. A code that wants no input does
   not look at it. The devices are for administrators only, and are opened for reading and writing.

   Generated from Rust: change it there. */

#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 Version of every structure here; a driver refuses another one.
 */
#define CANCELNIC_VERSION 1u

/*
 Chooses the deliberate fault that a driver's test build shows. Input CancelnicSetMutant, no output. cancelnic-lwf.sys and
 cancelnic-relay.sys take it in test builds only; cancelnic.sys reads its INF keyword `Mutant` instead.
 */
#define CANCELNIC_SET_MUTANT 0x8cace3fcu

/*
 METHOD_OUT_DIRECT in a control code's low bits: the output is written straight into the sender's pages.
 */
#define CANCELNIC_METHOD_OUT_DIRECT 2u

/*
 Records that a driver keeps until they are read; further ones are counted and dropped.
 */
#define CANCELNIC_LOG_LOG_RECORDS 512

/*
 NIC: a request was presented by a queue; `value` is the queue (CANCELNIC_BENCH_QUEUE_...).
 */
#define CANCELNIC_LOG_EVENT_PRESENTED 1u

/*
 NIC: WdfRequestMarkCancelableEx returned `status`, or WdfRequestMarkCancelable returned (`value` is 1).
 */
#define CANCELNIC_LOG_EVENT_MARKED 2u

/*
 NIC: EvtRequestCancel was called.
 */
#define CANCELNIC_LOG_EVENT_CANCEL_CALLBACK 3u

/*
 NIC: WdfRequestUnmarkCancelable returned `status`.
 */
#define CANCELNIC_LOG_EVENT_UNMARKED 4u

/*
 NIC: WdfRequestComplete is about to be called with `status`.
 */
#define CANCELNIC_LOG_EVENT_COMPLETING 5u

/*
 NIC: WdfRequestForwardToIoQueue to queue `value` returned `status`.
 */
#define CANCELNIC_LOG_EVENT_FORWARDED 6u

/*
 NIC: EvtIoCanceledOnQueue was called.
 */
#define CANCELNIC_LOG_EVENT_CANCELED_ON_QUEUE 7u

/*
 NIC: WdfRequestRequeue returned `status`.
 */
#define CANCELNIC_LOG_EVENT_REQUEUED 8u

/*
 NIC: a packet queue's EvtCancel has done its work; `value` is the event's number.
 */
#define CANCELNIC_LOG_EVENT_CANCEL_EVENT 9u

/*
 NIC: EvtIoQueueState was called for queue `value`, which was empty and has a request.
 */
#define CANCELNIC_LOG_EVENT_READY 10u

/*
 Both: EvtIoStop was called with action flags `value`.
 */
#define CANCELNIC_LOG_EVENT_STOP 16u

/*
 Both: WdfRequestStopAcknowledge(FALSE) is about to be called.
 */
#define CANCELNIC_LOG_EVENT_ACKNOWLEDGING 17u

/*
 Both: EvtIoResume was called.
 */
#define CANCELNIC_LOG_EVENT_RESUME 18u

/*
 Both: EvtFileCleanup was called.
 */
#define CANCELNIC_LOG_EVENT_CLEANUP 19u

/*
 Relay: WdfRequestSend is about to be called with option flags `value`.
 */
#define CANCELNIC_LOG_EVENT_SENDING 32u

/*
 Relay: WdfRequestSend returned `value` (BOOLEAN); `status` is WdfRequestGetStatus's where it returned FALSE or
 the send was synchronous, else 0.
 */
#define CANCELNIC_LOG_EVENT_SENT 33u

/*
 Relay: WdfRequestCancelSentRequest is about to be called, a reference held.
 */
#define CANCELNIC_LOG_EVENT_CANCELLING 34u

/*
 Relay: WdfRequestCancelSentRequest returned `value` (BOOLEAN).
 */
#define CANCELNIC_LOG_EVENT_CANCELLED 35u

/*
 Relay: the completion routine was called; `status` and `value` are the I/O status block.
 */
#define CANCELNIC_LOG_EVENT_COMPLETION 36u

/*
 Relay: WdfRequestReuse returned `status`.
 */
#define CANCELNIC_LOG_EVENT_REUSED 37u

/*
 Relay: a target function is about to be called; `value` is the action (CANCELNIC_RELAY_TARGET_...).
 */
#define CANCELNIC_LOG_EVENT_TARGET 38u

/*
 Relay: it has returned; `value` is the target's state.
 */
#define CANCELNIC_LOG_EVENT_TARGET_DONE 39u

/*
 Relay: the program's request is about to be completed with `status`.
 */
#define CANCELNIC_LOG_EVENT_RETURNING 40u

/*
 No input; output CancelnicNicCounters.
 */
#define CANCELNIC_NIC_COUNTERS 0x8cace080u

/*
 No input; output CancelnicNicRingSnapshot.
 */
#define CANCELNIC_NIC_RINGS 0x8cace084u

/*
 Input CancelnicNicWait; output CancelnicNicCancelEvent. Pends. STATUS_INSUFFICIENT_RESOURCES if too many wait.
 */
#define CANCELNIC_NIC_WAIT 0x8cace088u

/*
 No input; output CancelnicLogLogAnswer and records.
 */
#define CANCELNIC_NIC_LOG 0x8cace08cu

/*
 As CANCELNIC_NIC_LOG, the records written straight into the program's buffer (METHOD_OUT_DIRECT).
 */
#define CANCELNIC_NIC_LOG_DIRECT 0x8cace0a6u

/*
 Marks it cancelable and keeps it.
 */
#define CANCELNIC_NIC_BEHAVIOUR_CANCELABLE 0u

/*
 Keeps it without marking it; CANCELNIC_BENCH_MARK may do so later.
 */
#define CANCELNIC_NIC_BEHAVIOUR_NOT_CANCELABLE 1u

/*
 Forwards it to the second queue.
 */
#define CANCELNIC_NIC_BEHAVIOUR_SECOND_QUEUE 2u

/*
 Forwards it to the third queue.
 */
#define CANCELNIC_NIC_BEHAVIOUR_THIRD_QUEUE 3u

/*
 Completes it at once, STATUS_SUCCESS, with the state of things.
 */
#define CANCELNIC_NIC_BEHAVIOUR_AT_ONCE 4u

/*
 Marks it cancelable by WdfRequestMarkCancelable, which may call EvtRequestCancel before it returns.
 */
#define CANCELNIC_NIC_BEHAVIOUR_CANCELABLE_OLD 5u

/*
 The largest of these.
 */
#define CANCELNIC_NIC_BEHAVIOUR_LAST 5u

/*
 Input CancelnicBenchMark; output CancelnicBenchStatus: makes a waiting request cancelable that was not.
 STATUS_NOT_FOUND if none of this tag is in a state for it.
 */
#define CANCELNIC_BENCH_MARK 0x8cace090u

/*
 Input CancelnicBenchComplete; output CancelnicBenchStatus: ends a waiting request, unmarking it first if it is cancelable; the
 answer tells what WdfRequestUnmarkCancelable returned. STATUS_NOT_FOUND as with CANCELNIC_BENCH_MARK.
 */
#define CANCELNIC_BENCH_COMPLETE 0x8cace094u

/*
 Input CancelnicBenchForward; output CancelnicBenchStatus: hands a waiting, not cancelable request to another queue, or back to the
 one that it came from (WdfRequestRequeue).
 */
#define CANCELNIC_BENCH_FORWARD 0x8cace098u

/*
 Input CancelnicBenchRetrieve; output CancelnicBenchStatus: takes the next request out of a manual queue; it waits again, with its own
 behaviour. STATUS_NO_MORE_ENTRIES if there is none.
 */
#define CANCELNIC_BENCH_RETRIEVE 0x8cace09cu

/*
 Input CancelnicBenchQueueAction; output CancelnicBenchQueueState.
 */
#define CANCELNIC_BENCH_QUEUE 0x8cace0a0u

/*
 Of the control codes: parallel, not power-managed.
 */
#define CANCELNIC_BENCH_QUEUE_CONTROL 0u

/*
 Presents waiting requests: parallel, power-managed.
 */
#define CANCELNIC_BENCH_QUEUE_WAIT 1u

/*
 Manual, power-managed.
 */
#define CANCELNIC_BENCH_QUEUE_SECOND 2u

/*
 Manual, power-managed, with EvtIoCanceledOnQueue.
 */
#define CANCELNIC_BENCH_QUEUE_THIRD 3u

/*
 Nothing: only the state is asked for.
 */
#define CANCELNIC_BENCH_ACTION_NONE 0u

/*
 WdfIoQueueStart.
 */
#define CANCELNIC_BENCH_ACTION_START 1u

/*
 WdfIoQueueStop, without a completion callback.
 */
#define CANCELNIC_BENCH_ACTION_STOP 2u

/*
 WdfIoQueueStopAndPurge, without one either.
 */
#define CANCELNIC_BENCH_ACTION_STOP_AND_PURGE 3u

/*
 WdfIoQueueDrain, without one either.
 */
#define CANCELNIC_BENCH_ACTION_DRAIN 4u

/*
 WdfIoQueuePurge, without one either.
 */
#define CANCELNIC_BENCH_ACTION_PURGE 5u

/*
 WdfIoQueueReadyNotify: CANCELNIC_LOG_EVENT_READY is noted from now on.
 */
#define CANCELNIC_BENCH_ACTION_READY_NOTIFY 6u

/*
 WdfIoQueueReadyNotify with NULL: not any more.
 */
#define CANCELNIC_BENCH_ACTION_READY_FORGET 7u

/*
 The largest of these.
 */
#define CANCELNIC_BENCH_ACTION_LAST 7u

/*
 Sends frames of the filter's own. Input CancelnicFilterSend, output CancelnicFilterSent. Succeeds when the lists have been queued or
 passed down; what becomes of them is in CancelnicFilterCounters. All or none: STATUS_INSUFFICIENT_RESOURCES without memory,
 or with more than CANCELNIC_FILTER_MOST_OUTSTANDING own lists outstanding; STATUS_DEVICE_NOT_READY unless the module runs.
 */
#define CANCELNIC_FILTER_SEND 0x8cace040u

/*
 Closes the gate: sends, overlying drivers' and the filter's own, are queued. Input CancelnicFilterSelect, no output. The gate
 belongs to the file that has closed it last. It opens by itself when the last handle of that file is closed, which also
 happens to a program that dies; when more than CANCELNIC_FILTER_MOST_HELD lists are queued; and CANCELNIC_FILTER_LONGEST_HOLD_MS after this
 request, with the next send or control request that comes to the module.
 */
#define CANCELNIC_FILTER_HOLD 0x8cace044u

/*
 Lets queued sends go on their way. Input CancelnicFilterRelease, no output.
 */
#define CANCELNIC_FILTER_RELEASE 0x8cace048u

/*
 Cancels the filter's own sends by ID: those queued, and by NdisFCancelSendNetBufferLists those below. Input
 CancelnicFilterCancel, no output. An ID that is NULL or not the filter's own (its high-order byte) is a Fault::Value.
 */
#define CANCELNIC_FILTER_CANCEL 0x8cace04cu

/*
 Asks for a module's books. Input CancelnicFilterSelect, output CancelnicFilterCounters.
 */
#define CANCELNIC_FILTER_COUNTERS 0x8cace050u

/*
 Lists the queued sends in their order. Input CancelnicFilterSelect, output CancelnicFilterHeld followed by as many CancelnicFilterHeldList as the
 output buffer holds, at most CANCELNIC_FILTER_MOST_LISTED.
 */
#define CANCELNIC_FILTER_HELD 0x8cace054u

/*
 Takes a module out of the way of lists, or puts it in again. Input CancelnicFilterBypass, no output. Succeeds when NDIS has been
 asked to pause and restart the stack, during which it happens: CancelnicFilterCounters.bypassed says when it has. With the status
 of NdisFRestartFilter if NDIS does not take that on. A module that is bypassed sees no list and sends none of its own
 (CANCELNIC_FILTER_SEND ends with STATUS_DEVICE_NOT_READY); its gate stays as it is. It is put in again when the last handle of the
 file that has taken it out is closed.
 */
#define CANCELNIC_FILTER_BYPASS 0x8cace05cu

/*
 Most subgroups of one CancelnicFilterSend.
 */
#define CANCELNIC_FILTER_MOST_GROUPS 8

/*
 Most own lists of a module that may be outstanding.
 */
#define CANCELNIC_FILTER_MOST_OUTSTANDING 16384u

/*
 Most lists that a closed gate holds: with more, it opens.
 */
#define CANCELNIC_FILTER_MOST_HELD 32768ull

/*
 Longest time that a gate stays closed, in milliseconds.
 */
#define CANCELNIC_FILTER_LONGEST_HOLD_MS 60000ull

/*
 Shortest frame of CancelnicFilterSend, in bytes.
 */
#define CANCELNIC_FILTER_SHORTEST 60u

/*
 Longest frame of CancelnicFilterSend, in bytes.
 */
#define CANCELNIC_FILTER_LONGEST 1514u

/*
 Most CancelnicFilterHeldList of one answer.
 */
#define CANCELNIC_FILTER_MOST_LISTED 1024

/*
 CancelnicFilterRelease.count: everything, and the gate is opened.
 */
#define CANCELNIC_FILTER_ALL 0xffffffffffffffffull

/*
 CancelnicFilterHeldList.number of a frame that has none.
 */
#define CANCELNIC_FILTER_NO_NUMBER 0xffffffffffffffffull

/*
 Slots, numbered from 0.
 */
#define CANCELNIC_RELAY_SLOTS 16u

/*
 Input CancelnicRelayTarget; output CancelnicRelayTargetAnswer: does something to the I/O target.
 */
#define CANCELNIC_RELAY_TARGET 0x8cace0c0u

/*
 Input CancelnicRelaySlot; output CancelnicRelayOutcome: makes the slot's request (WdfRequestCreate). STATUS_OBJECT_NAME_COLLISION if
 it has one.
 */
#define CANCELNIC_RELAY_CREATE 0x8cace0c4u

/*
 Input CancelnicRelaySend; output CancelnicRelayOutcome: formats the slot's own request as CANCELNIC_NIC_WAIT and sends it.
 STATUS_NOT_FOUND if the slot has none, STATUS_DEVICE_BUSY if it is under way or has not been reused.
 */
#define CANCELNIC_RELAY_SEND 0x8cace0c8u

/*
 Input CancelnicRelaySlot; output CancelnicRelayOutcome: recalls the slot's request (WdfRequestCancelSentRequest) with a reference held
 over the call. STATUS_NOT_FOUND if the slot has none.
 */
#define CANCELNIC_RELAY_CANCEL 0x8cace0ccu

/*
 Input CancelnicRelaySlot; output CancelnicRelayOutcome: makes the slot's own request ready to be sent again (WdfRequestReuse).
 STATUS_DEVICE_BUSY while it is under way.
 */
#define CANCELNIC_RELAY_REUSE 0x8cace0d0u

/*
 Input CancelnicRelaySlot; output CancelnicRelayOutcome: deletes the slot's own request. STATUS_DEVICE_BUSY while it is under way.
 */
#define CANCELNIC_RELAY_DELETE 0x8cace0d4u

/*
 Input CancelnicRelaySlot; output CancelnicRelaySlotState.
 */
#define CANCELNIC_RELAY_STATE 0x8cace0d8u

/*
 Input CancelnicRelayPass; no output: how the next requests of programs are passed on.
 */
#define CANCELNIC_RELAY_PASS 0x8cace0dcu

/*
 No input; output CancelnicLogLogAnswer and records.
 */
#define CANCELNIC_RELAY_LOG 0x8cace0e0u

/*
 The remote one, cancelnic.sys's device interface.
 */
#define CANCELNIC_RELAY_WAY_NIC 0u

/*
 The local one, the next lower device of the relay's own stack.
 */
#define CANCELNIC_RELAY_WAY_BELOW 1u

/*
 Nothing: only the state is asked for.
 */
#define CANCELNIC_RELAY_TARGET_NONE 0u

/*
 WdfIoTargetOpen of the first interface of cancelnic.sys.
 */
#define CANCELNIC_RELAY_TARGET_OPEN 1u

/*
 WdfIoTargetClose.
 */
#define CANCELNIC_RELAY_TARGET_CLOSE 2u

/*
 WdfIoTargetStart.
 */
#define CANCELNIC_RELAY_TARGET_START 3u

/*
 WdfIoTargetStop, WdfIoTargetCancelSentIo.
 */
#define CANCELNIC_RELAY_TARGET_STOP_CANCEL 4u

/*
 WdfIoTargetStop, WdfIoTargetWaitForSentIoToComplete.
 */
#define CANCELNIC_RELAY_TARGET_STOP_WAIT 5u

/*
 WdfIoTargetStop, WdfIoTargetLeaveSentIoPending.
 */
#define CANCELNIC_RELAY_TARGET_STOP_LEAVE 6u

/*
 WdfIoTargetPurge, WdfIoTargetPurgeIoAndWait.
 */
#define CANCELNIC_RELAY_TARGET_PURGE_WAIT 7u

/*
 WdfIoTargetPurge, WdfIoTargetPurgeIo.
 */
#define CANCELNIC_RELAY_TARGET_PURGE 8u

/*
 The largest of these.
 */
#define CANCELNIC_RELAY_TARGET_LAST 8u

/*
 Cancelled when the time-out is over.
 */
#define CANCELNIC_RELAY_OPTION_TIMEOUT 1u

/*
 The call returns when the request has completed.
 */
#define CANCELNIC_RELAY_OPTION_SYNCHRONOUS 2u

/*
 Sent whatever the target's state.
 */
#define CANCELNIC_RELAY_OPTION_IGNORE_TARGET_STATE 4u

/*
 Not seen again. For passed requests.
 */
#define CANCELNIC_RELAY_OPTION_SEND_AND_FORGET 8u

/*
 No request.
 */
#define CANCELNIC_RELAY_PHASE_EMPTY 0u

/*
 Made or reused, not sent.
 */
#define CANCELNIC_RELAY_PHASE_READY 1u

/*
 Sent; its completion routine has not run, or it has none.
 */
#define CANCELNIC_RELAY_PHASE_SENT 2u

/*
 Its completion routine has run, or a synchronous send has returned, or the send failed.
 */
#define CANCELNIC_RELAY_PHASE_DONE 3u

/*
 What every structure begins with.
 */
typedef struct CancelnicHeader {
    /*
     CANCELNIC_VERSION.
     */
    uint32_t version;
    /*
     Size of the whole structure in bytes.
     */
    uint32_t size;
} CancelnicHeader;

/*
 Input of CANCELNIC_SET_MUTANT.
 */
typedef struct CancelnicSetMutant {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     The fault, by its number in cancelnic-mutants; 0 for none.
     */
    uint32_t mutant;
    /*
     Zero.
     */
    uint32_t reserved;
} CancelnicSetMutant;

/*
 Head of the answer.
 */
typedef struct CancelnicLogLogAnswer {
    /*
     Version, and the size of this head.
     */
    struct CancelnicHeader header;
    /*
     Records that follow.
     */
    uint32_t count;
    /*
     Records dropped since the last reading because the log was full.
     */
    uint32_t lost;
} CancelnicLogLogAnswer;

/*
 One thing that happened.
 */
typedef struct CancelnicLogRecord {
    /*
     Number within the driver's log, from 0 on.
     */
    uint32_t sequence;
    /*
     What happened: one of CANCELNIC_LOG_EVENT_....
     */
    uint32_t event;
    /*
     Which request: the slot (relay) or the tag (NIC); `u32::MAX` for none.
     */
    uint32_t tag;
    /*
     NTSTATUS, where there is one.
     */
    uint32_t status;
    /*
     What CANCELNIC_LOG_EVENT_... says.
     */
    uint64_t value;
    /*
     The thread's number.
     */
    uint64_t thread;
    /*
     The processor's time stamp counter: orders the logs of two drivers.
     */
    uint64_t at;
    /*
     IRQL.
     */
    uint32_t irql;
    /*
     Zero.
     */
    uint32_t reserved;
} CancelnicLogRecord;

/*
 Transmit packets by fate, since the packet queue was created.
 */
typedef struct CancelnicNicTxCounts {
    /*
     Given to the device.
     */
    uint64_t posted;
    /*
     Completed as sent.
     */
    uint64_t sent;
    /*
     Completed as taken back.
     */
    uint64_t taken_back;
    /*
     Returned without having been given to the device.
     */
    uint64_t never_posted;
    /*
     Refused by the device.
     */
    uint64_t refused;
    /*
     Lost with the device.
     */
    uint64_t lost;
} CancelnicNicTxCounts;

/*
 Receive packets by fate, since the packet queue was created.
 */
typedef struct CancelnicNicRxCounts {
    /*
     Given to the device.
     */
    uint64_t posted;
    /*
     Indicated with a frame.
     */
    uint64_t received;
    /*
     Returned without a frame.
     */
    uint64_t returned_empty;
    /*
     Of those, completed with an impossible length.
     */
    uint64_t malformed;
} CancelnicNicRxCounts;

/*
 Answer of CANCELNIC_NIC_COUNTERS, as after each queue's last callback.
 */
typedef struct CancelnicNicCounters {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     Transmit queue 0.
     */
    struct CancelnicNicTxCounts tx;
    /*
     Receive queue 0.
     */
    struct CancelnicNicRxCounts rx;
    /*
     EvtCancels of packet queues since the device was added.
     */
    uint64_t cancels;
    /*
     Requests that wait now.
     */
    uint64_t waiting;
} CancelnicNicCounters;

/*
 A packet ring's indices.
 */
typedef struct CancelnicNicRing {
    /*
     1 between EvtStart and EvtStop.
     */
    uint32_t started;
    /*
     Elements in the ring.
     */
    uint32_t elements;
    /*
     First element that the driver owns.
     */
    uint32_t begin;
    /*
     First of those that it has not posted.
     */
    uint32_t next;
    /*
     End of what the driver owns.
     */
    uint32_t end;
    /*
     Zero.
     */
    uint32_t reserved;
} CancelnicNicRing;

/*
 Answer of CANCELNIC_NIC_RINGS, as after each queue's last callback.
 */
typedef struct CancelnicNicRingSnapshot {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     Packet ring of transmit queue 0.
     */
    struct CancelnicNicRing tx;
    /*
     Packet ring of receive queue 0.
     */
    struct CancelnicNicRing rx;
} CancelnicNicRingSnapshot;

/*
 Input of CANCELNIC_NIC_WAIT.
 */
typedef struct CancelnicNicWait {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     The sender's name for the request.
     */
    uint32_t tag;
    /*
     One of CANCELNIC_NIC_BEHAVIOUR_....
     */
    uint32_t behaviour;
} CancelnicNicWait;

/*
 Output of CANCELNIC_NIC_WAIT.
 */
typedef struct CancelnicNicCancelEvent {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     Number of the EvtCancel since the device was added, from 1 on; 0 if there was none yet.
     */
    uint64_t number;
    /*
     The packet queue: 0 transmit, 1 receive.
     */
    uint32_t queue;
    /*
     Packets that the driver still owned when EvtCancel was about to return.
     */
    uint32_t outstanding;
    /*
     Transmit queue 0 at that time.
     */
    struct CancelnicNicTxCounts tx;
    /*
     Receive queue 0 at that time.
     */
    struct CancelnicNicRxCounts rx;
} CancelnicNicCancelEvent;

/*
 Input of CANCELNIC_BENCH_MARK.
 */
typedef struct CancelnicBenchMark {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     The request.
     */
    uint32_t tag;
    /*
     1: by WdfRequestMarkCancelableEx; 0: by WdfRequestMarkCancelable.
     */
    uint32_t ex;
} CancelnicBenchMark;

/*
 Input of CANCELNIC_BENCH_COMPLETE.
 */
typedef struct CancelnicBenchComplete {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     The request.
     */
    uint32_t tag;
    /*
     NTSTATUS to complete it with.
     */
    uint32_t status;
} CancelnicBenchComplete;

/*
 Input of CANCELNIC_BENCH_FORWARD.
 */
typedef struct CancelnicBenchForward {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     The request.
     */
    uint32_t tag;
    /*
     One of CANCELNIC_BENCH_QUEUE_..., not CANCELNIC_BENCH_QUEUE_CONTROL.
     */
    uint32_t queue;
} CancelnicBenchForward;

/*
 Input of CANCELNIC_BENCH_RETRIEVE.
 */
typedef struct CancelnicBenchRetrieve {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     CANCELNIC_BENCH_QUEUE_SECOND or CANCELNIC_BENCH_QUEUE_THIRD.
     */
    uint32_t queue;
    /*
     CANCELNIC_NIC_BEHAVIOUR_CANCELABLE, CANCELNIC_NIC_BEHAVIOUR_NOT_CANCELABLE or CANCELNIC_NIC_BEHAVIOUR_AT_ONCE.
     */
    uint32_t behaviour;
} CancelnicBenchRetrieve;

/*
 Input of CANCELNIC_BENCH_QUEUE.
 */
typedef struct CancelnicBenchQueueAction {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     One of CANCELNIC_BENCH_QUEUE_..., not CANCELNIC_BENCH_QUEUE_CONTROL.
     */
    uint32_t queue;
    /*
     One of CANCELNIC_BENCH_ACTION_....
     */
    uint32_t action;
} CancelnicBenchQueueAction;

/*
 Output of CANCELNIC_BENCH_QUEUE.
 */
typedef struct CancelnicBenchQueueState {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     WdfIoQueueGetState's flags: 1 accepts, 2 dispatches, 4 empty, 8 the driver owns none, 16 held by PnP.
     */
    uint32_t state;
    /*
     Requests in the queue.
     */
    uint32_t queued;
    /*
     Requests that the driver owns.
     */
    uint32_t owned;
    /*
     NTSTATUS of the action; 0 if it has none.
     */
    uint32_t status;
} CancelnicBenchQueueState;

/*
 A status as an answer: that of CANCELNIC_BENCH_MARK, CANCELNIC_BENCH_COMPLETE, CANCELNIC_BENCH_FORWARD, CANCELNIC_BENCH_RETRIEVE.
 */
typedef struct CancelnicBenchStatus {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     NTSTATUS of the framework's call.
     */
    uint32_t status;
    /*
     Zero.
     */
    uint32_t reserved;
} CancelnicBenchStatus;

/*
 Input of CANCELNIC_FILTER_SEND. Frames are broadcast from the adapter's address with EtherType 0x88B5, their number as a
 big-endian `u64`, and filler.
 */
typedef struct CancelnicFilterSend {
    /*
     Of this structure.
     */
    struct CancelnicHeader header;
    /*
     Index of the module.
     */
    uint32_t module;
    /*
     Count of subgroups, at most CANCELNIC_FILTER_MOST_GROUPS: frame i belongs to subgroup i modulo this, and each subgroup
     gets an ID of its own. 1: one ID for all. 0: no ID.
     */
    uint32_t groups;
    /*
     Number of the first frame.
     */
    uint64_t first;
    /*
     Count of frames, at least 1.
     */
    uint32_t count;
    /*
     Length of each in bytes, CANCELNIC_FILTER_SHORTEST to CANCELNIC_FILTER_LONGEST.
     */
    uint32_t len;
} CancelnicFilterSend;

/*
 Output of CANCELNIC_FILTER_SEND.
 */
typedef struct CancelnicFilterSent {
    /*
     Of this structure.
     */
    struct CancelnicHeader header;
    /*
     The subgroups' cancellation IDs; the rest is 0.
     */
    uint64_t ids[CANCELNIC_FILTER_MOST_GROUPS];
} CancelnicFilterSent;

/*
 A module and nothing else.
 */
typedef struct CancelnicFilterSelect {
    /*
     Of this structure.
     */
    struct CancelnicHeader header;
    /*
     Index of the module.
     */
    uint32_t module;
    /*
     0.
     */
    uint32_t reserved;
} CancelnicFilterSelect;

/*
 Input of CANCELNIC_FILTER_RELEASE.
 */
typedef struct CancelnicFilterRelease {
    /*
     Of this structure.
     */
    struct CancelnicHeader header;
    /*
     Index of the module.
     */
    uint32_t module;
    /*
     0.
     */
    uint32_t reserved;
    /*
     How many lists may pass a gate that stays closed, lists that come later included; or CANCELNIC_FILTER_ALL.
     */
    uint64_t count;
} CancelnicFilterRelease;

/*
 Input of CANCELNIC_FILTER_CANCEL.
 */
typedef struct CancelnicFilterCancel {
    /*
     Of this structure.
     */
    struct CancelnicHeader header;
    /*
     Index of the module.
     */
    uint32_t module;
    /*
     0.
     */
    uint32_t reserved;
    /*
     One of CancelnicFilterSent.ids.
     */
    uint64_t cancel_id;
} CancelnicFilterCancel;

/*
 Input of CANCELNIC_FILTER_BYPASS.
 */
typedef struct CancelnicFilterBypass {
    /*
     Of this structure.
     */
    struct CancelnicHeader header;
    /*
     Index of the module.
     */
    uint32_t module;
    /*
     1: lists go past the module; 0: through it.
     */
    uint32_t on;
} CancelnicFilterBypass;

/*
 Output of CANCELNIC_FILTER_COUNTERS: numbers of net buffer lists since the module was attached, but for the first three
 and the last.
 */
typedef struct CancelnicFilterCounters {
    /*
     Of this structure.
     */
    struct CancelnicHeader header;
    /*
     1 if the gate is closed.
     */
    uint32_t gate_closed;
    /*
     1 if the module is running.
     */
    uint32_t running;
    /*
     Queued now, own ones included.
     */
    uint64_t held_now;
    /*
     Own lists that are queued or below now.
     */
    uint64_t own_outstanding;
    /*
     Own lists made.
     */
    uint64_t own_originated;
    /*
     Own lists that ended with NDIS_STATUS_SUCCESS.
     */
    uint64_t own_success;
    /*
     Own lists that ended with NDIS_STATUS_SEND_ABORTED.
     */
    uint64_t own_aborted;
    /*
     Own lists that ended with NDIS_STATUS_PAUSED.
     */
    uint64_t own_paused;
    /*
     Own lists that ended with another status.
     */
    uint64_t own_failed;
    /*
     Overlying drivers' lists that were passed down.
     */
    uint64_t passed_down;
    /*
     Of those, how many came back from below.
     */
    uint64_t passed_up;
    /*
     Overlying drivers' lists that were queued.
     */
    uint64_t queued;
    /*
     Overlying drivers' lists completed with NDIS_STATUS_SEND_ABORTED out of the queue.
     */
    uint64_t cancelled;
    /*
     Overlying drivers' lists completed with NDIS_STATUS_PAUSED by this module.
     */
    uint64_t refused;
    /*
     Calls of FilterCancelSendNetBufferLists, and CANCELNIC_FILTER_CANCEL requests.
     */
    uint64_t cancel_calls;
    /*
     Of those, how many were passed down.
     */
    uint64_t cancels_passed_on;
    /*
     Received lists that were passed up.
     */
    uint64_t received;
    /*
     Received lists that came back.
     */
    uint64_t returned;
    /*
     1 if lists go past the module.
     */
    uint64_t bypassed;
} CancelnicFilterCounters;

/*
 Beginning of the output of CANCELNIC_FILTER_HELD.
 */
typedef struct CancelnicFilterHeld {
    /*
     Of this structure, without the lists behind it.
     */
    struct CancelnicHeader header;
    /*
     Lists in the queue.
     */
    uint64_t total;
    /*
     How many of them, from the front, follow.
     */
    uint64_t listed;
} CancelnicFilterHeld;

/*
 One queued list in the output of CANCELNIC_FILTER_HELD.
 */
typedef struct CancelnicFilterHeldList {
    /*
     The number in its first frame; CANCELNIC_FILTER_NO_NUMBER in a frame of another kind.
     */
    uint64_t number;
    /*
     Its cancellation ID.
     */
    uint64_t cancel_id;
    /*
     1 if the filter has originated it.
     */
    uint64_t own;
} CancelnicFilterHeldList;

/*
 Input of CANCELNIC_RELAY_TARGET.
 */
typedef struct CancelnicRelayTarget {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     One of CANCELNIC_RELAY_TARGET_....
     */
    uint32_t action;
    /*
     One of CANCELNIC_RELAY_WAY_....
     */
    uint32_t way;
} CancelnicRelayTarget;

/*
 Output of CANCELNIC_RELAY_TARGET.
 */
typedef struct CancelnicRelayTargetAnswer {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     NTSTATUS of the call; 0 if it has none.
     */
    uint32_t status;
    /*
     WdfIoTargetGetState's: 1 started, 2 stopped, 3 closed for query-remove, 4 closed, 5 deleted, 6 purged.
     */
    uint32_t state;
} CancelnicRelayTargetAnswer;

/*
 Input that is a slot only.
 */
typedef struct CancelnicRelaySlot {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     The slot, below CANCELNIC_RELAY_SLOTS.
     */
    uint32_t slot;
    /*
     Zero.
     */
    uint32_t reserved;
} CancelnicRelaySlot;

/*
 Input of CANCELNIC_RELAY_SEND.
 */
typedef struct CancelnicRelaySend {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     The slot, below CANCELNIC_RELAY_SLOTS.
     */
    uint32_t slot;
    /*
     Flags of CANCELNIC_RELAY_OPTION_....
     */
    uint32_t options;
    /*
     With CANCELNIC_RELAY_OPTION_TIMEOUT: the time-out in 100 ns, negative: from now on. Not above 0.
     */
    int64_t timeout;
    /*
     1: with a completion routine.
     */
    uint32_t routine;
    /*
     One of CANCELNIC_RELAY_WAY_....
     */
    uint32_t way;
    /*
     Tag of the request at the NIC.
     */
    uint32_t tag;
    /*
     One of CANCELNIC_NIC_BEHAVIOUR_....
     */
    uint32_t behaviour;
} CancelnicRelaySend;

/*
 Input of CANCELNIC_RELAY_PASS.
 */
typedef struct CancelnicRelayPass {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     The slot of the next request; a request finds STATUS_DEVICE_BUSY if it is taken.
     */
    uint32_t slot;
    /*
     Flags of CANCELNIC_RELAY_OPTION_....
     */
    uint32_t options;
    /*
     As in CancelnicRelaySend.
     */
    int64_t timeout;
    /*
     1: with a completion routine, as a request that is not forgotten needs it.
     */
    uint32_t routine;
    /*
     One of CANCELNIC_RELAY_WAY_....
     */
    uint32_t way;
} CancelnicRelayPass;

/*
 Output of CANCELNIC_RELAY_SEND, CANCELNIC_RELAY_CANCEL and the other operations on a slot.
 */
typedef struct CancelnicRelayOutcome {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     What WdfRequestSend or WdfRequestCancelSentRequest returned (BOOLEAN).
     */
    uint32_t returned;
    /*
     NTSTATUS: of the call, or WdfRequestGetStatus after a send.
     */
    uint32_t status;
    /*
     IRQL at which the call was made.
     */
    uint32_t irql;
    /*
     Completion routines that have run for the slot's request since it was sent, as the relay counts them.
     */
    uint32_t completions;
} CancelnicRelayOutcome;

/*
 Output of CANCELNIC_RELAY_STATE.
 */
typedef struct CancelnicRelaySlotState {
    /*
     Version and size.
     */
    struct CancelnicHeader header;
    /*
     One of CANCELNIC_RELAY_PHASE_....
     */
    uint32_t phase;
    /*
     1: a program's request.
     */
    uint32_t passed;
    /*
     NTSTATUS with which it completed; in CANCELNIC_RELAY_PHASE_SENT what WdfRequestGetStatus says.
     */
    uint32_t status;
    /*
     Completion routines run for it since it was sent.
     */
    uint32_t completions;
    /*
     IoStatus.Information.
     */
    uint64_t information;
} CancelnicRelaySlotState;

/* Device interface class of cancelnic.sys: initialises a GUID. */
#define CANCELNIC_NIC_INTERFACE { 0x6b2f6d52, 0x6f0e, 0x4d0c, { 0x9f, 0x3e, 0x2f, 0x6d, 0x0a, 0x1c, 0x4e, 0x01 } }
/* The same of its test bench, in test builds. */
#define CANCELNIC_NIC_BENCH_INTERFACE { 0x6b2f6d52, 0x6f0e, 0x4d0c, { 0x9f, 0x3e, 0x2f, 0x6d, 0x0a, 0x1c, 0x4e, 0x03 } }
/* The same of cancelnic-relay.sys. */
#define CANCELNIC_RELAY_INTERFACE { 0x6b2f6d52, 0x6f0e, 0x4d0c, { 0x9f, 0x3e, 0x2f, 0x6d, 0x0a, 0x1c, 0x4e, 0x02 } }
/* cancelnic-lwf.sys's control device below \Device and \DosDevices. */
#define CANCELNIC_FILTER_DEVICE L"cancelnic-lwf"

/* These layouts are Rust's: a compiler that has others refuses them. */
#define CANCELNIC_CHECK(name, holds) typedef char cancelnic_check_##name[(holds) ? 1 : -1]
CANCELNIC_CHECK(CancelnicHeader, sizeof(CancelnicHeader) == 8);
CANCELNIC_CHECK(CancelnicHeader_version, offsetof(CancelnicHeader, version) == 0);
CANCELNIC_CHECK(CancelnicHeader_size, offsetof(CancelnicHeader, size) == 4);
CANCELNIC_CHECK(CancelnicSetMutant, sizeof(CancelnicSetMutant) == 16);
CANCELNIC_CHECK(CancelnicSetMutant_header, offsetof(CancelnicSetMutant, header) == 0);
CANCELNIC_CHECK(CancelnicSetMutant_mutant, offsetof(CancelnicSetMutant, mutant) == 8);
CANCELNIC_CHECK(CancelnicSetMutant_reserved, offsetof(CancelnicSetMutant, reserved) == 12);
CANCELNIC_CHECK(CancelnicLogLogAnswer, sizeof(CancelnicLogLogAnswer) == 16);
CANCELNIC_CHECK(CancelnicLogLogAnswer_header, offsetof(CancelnicLogLogAnswer, header) == 0);
CANCELNIC_CHECK(CancelnicLogLogAnswer_count, offsetof(CancelnicLogLogAnswer, count) == 8);
CANCELNIC_CHECK(CancelnicLogLogAnswer_lost, offsetof(CancelnicLogLogAnswer, lost) == 12);
CANCELNIC_CHECK(CancelnicLogRecord, sizeof(CancelnicLogRecord) == 48);
CANCELNIC_CHECK(CancelnicLogRecord_sequence, offsetof(CancelnicLogRecord, sequence) == 0);
CANCELNIC_CHECK(CancelnicLogRecord_event, offsetof(CancelnicLogRecord, event) == 4);
CANCELNIC_CHECK(CancelnicLogRecord_tag, offsetof(CancelnicLogRecord, tag) == 8);
CANCELNIC_CHECK(CancelnicLogRecord_status, offsetof(CancelnicLogRecord, status) == 12);
CANCELNIC_CHECK(CancelnicLogRecord_value, offsetof(CancelnicLogRecord, value) == 16);
CANCELNIC_CHECK(CancelnicLogRecord_thread, offsetof(CancelnicLogRecord, thread) == 24);
CANCELNIC_CHECK(CancelnicLogRecord_at, offsetof(CancelnicLogRecord, at) == 32);
CANCELNIC_CHECK(CancelnicLogRecord_irql, offsetof(CancelnicLogRecord, irql) == 40);
CANCELNIC_CHECK(CancelnicLogRecord_reserved, offsetof(CancelnicLogRecord, reserved) == 44);
CANCELNIC_CHECK(CancelnicNicTxCounts, sizeof(CancelnicNicTxCounts) == 48);
CANCELNIC_CHECK(CancelnicNicTxCounts_posted, offsetof(CancelnicNicTxCounts, posted) == 0);
CANCELNIC_CHECK(CancelnicNicTxCounts_sent, offsetof(CancelnicNicTxCounts, sent) == 8);
CANCELNIC_CHECK(CancelnicNicTxCounts_taken_back, offsetof(CancelnicNicTxCounts, taken_back) == 16);
CANCELNIC_CHECK(CancelnicNicTxCounts_never_posted, offsetof(CancelnicNicTxCounts, never_posted) == 24);
CANCELNIC_CHECK(CancelnicNicTxCounts_refused, offsetof(CancelnicNicTxCounts, refused) == 32);
CANCELNIC_CHECK(CancelnicNicTxCounts_lost, offsetof(CancelnicNicTxCounts, lost) == 40);
CANCELNIC_CHECK(CancelnicNicRxCounts, sizeof(CancelnicNicRxCounts) == 32);
CANCELNIC_CHECK(CancelnicNicRxCounts_posted, offsetof(CancelnicNicRxCounts, posted) == 0);
CANCELNIC_CHECK(CancelnicNicRxCounts_received, offsetof(CancelnicNicRxCounts, received) == 8);
CANCELNIC_CHECK(CancelnicNicRxCounts_returned_empty, offsetof(CancelnicNicRxCounts, returned_empty) == 16);
CANCELNIC_CHECK(CancelnicNicRxCounts_malformed, offsetof(CancelnicNicRxCounts, malformed) == 24);
CANCELNIC_CHECK(CancelnicNicCounters, sizeof(CancelnicNicCounters) == 104);
CANCELNIC_CHECK(CancelnicNicCounters_header, offsetof(CancelnicNicCounters, header) == 0);
CANCELNIC_CHECK(CancelnicNicCounters_tx, offsetof(CancelnicNicCounters, tx) == 8);
CANCELNIC_CHECK(CancelnicNicCounters_rx, offsetof(CancelnicNicCounters, rx) == 56);
CANCELNIC_CHECK(CancelnicNicCounters_cancels, offsetof(CancelnicNicCounters, cancels) == 88);
CANCELNIC_CHECK(CancelnicNicCounters_waiting, offsetof(CancelnicNicCounters, waiting) == 96);
CANCELNIC_CHECK(CancelnicNicRing, sizeof(CancelnicNicRing) == 24);
CANCELNIC_CHECK(CancelnicNicRing_started, offsetof(CancelnicNicRing, started) == 0);
CANCELNIC_CHECK(CancelnicNicRing_elements, offsetof(CancelnicNicRing, elements) == 4);
CANCELNIC_CHECK(CancelnicNicRing_begin, offsetof(CancelnicNicRing, begin) == 8);
CANCELNIC_CHECK(CancelnicNicRing_next, offsetof(CancelnicNicRing, next) == 12);
CANCELNIC_CHECK(CancelnicNicRing_end, offsetof(CancelnicNicRing, end) == 16);
CANCELNIC_CHECK(CancelnicNicRing_reserved, offsetof(CancelnicNicRing, reserved) == 20);
CANCELNIC_CHECK(CancelnicNicRingSnapshot, sizeof(CancelnicNicRingSnapshot) == 56);
CANCELNIC_CHECK(CancelnicNicRingSnapshot_header, offsetof(CancelnicNicRingSnapshot, header) == 0);
CANCELNIC_CHECK(CancelnicNicRingSnapshot_tx, offsetof(CancelnicNicRingSnapshot, tx) == 8);
CANCELNIC_CHECK(CancelnicNicRingSnapshot_rx, offsetof(CancelnicNicRingSnapshot, rx) == 32);
CANCELNIC_CHECK(CancelnicNicWait, sizeof(CancelnicNicWait) == 16);
CANCELNIC_CHECK(CancelnicNicWait_header, offsetof(CancelnicNicWait, header) == 0);
CANCELNIC_CHECK(CancelnicNicWait_tag, offsetof(CancelnicNicWait, tag) == 8);
CANCELNIC_CHECK(CancelnicNicWait_behaviour, offsetof(CancelnicNicWait, behaviour) == 12);
CANCELNIC_CHECK(CancelnicNicCancelEvent, sizeof(CancelnicNicCancelEvent) == 104);
CANCELNIC_CHECK(CancelnicNicCancelEvent_header, offsetof(CancelnicNicCancelEvent, header) == 0);
CANCELNIC_CHECK(CancelnicNicCancelEvent_number, offsetof(CancelnicNicCancelEvent, number) == 8);
CANCELNIC_CHECK(CancelnicNicCancelEvent_queue, offsetof(CancelnicNicCancelEvent, queue) == 16);
CANCELNIC_CHECK(CancelnicNicCancelEvent_outstanding, offsetof(CancelnicNicCancelEvent, outstanding) == 20);
CANCELNIC_CHECK(CancelnicNicCancelEvent_tx, offsetof(CancelnicNicCancelEvent, tx) == 24);
CANCELNIC_CHECK(CancelnicNicCancelEvent_rx, offsetof(CancelnicNicCancelEvent, rx) == 72);
CANCELNIC_CHECK(CancelnicBenchMark, sizeof(CancelnicBenchMark) == 16);
CANCELNIC_CHECK(CancelnicBenchMark_header, offsetof(CancelnicBenchMark, header) == 0);
CANCELNIC_CHECK(CancelnicBenchMark_tag, offsetof(CancelnicBenchMark, tag) == 8);
CANCELNIC_CHECK(CancelnicBenchMark_ex, offsetof(CancelnicBenchMark, ex) == 12);
CANCELNIC_CHECK(CancelnicBenchComplete, sizeof(CancelnicBenchComplete) == 16);
CANCELNIC_CHECK(CancelnicBenchComplete_header, offsetof(CancelnicBenchComplete, header) == 0);
CANCELNIC_CHECK(CancelnicBenchComplete_tag, offsetof(CancelnicBenchComplete, tag) == 8);
CANCELNIC_CHECK(CancelnicBenchComplete_status, offsetof(CancelnicBenchComplete, status) == 12);
CANCELNIC_CHECK(CancelnicBenchForward, sizeof(CancelnicBenchForward) == 16);
CANCELNIC_CHECK(CancelnicBenchForward_header, offsetof(CancelnicBenchForward, header) == 0);
CANCELNIC_CHECK(CancelnicBenchForward_tag, offsetof(CancelnicBenchForward, tag) == 8);
CANCELNIC_CHECK(CancelnicBenchForward_queue, offsetof(CancelnicBenchForward, queue) == 12);
CANCELNIC_CHECK(CancelnicBenchRetrieve, sizeof(CancelnicBenchRetrieve) == 16);
CANCELNIC_CHECK(CancelnicBenchRetrieve_header, offsetof(CancelnicBenchRetrieve, header) == 0);
CANCELNIC_CHECK(CancelnicBenchRetrieve_queue, offsetof(CancelnicBenchRetrieve, queue) == 8);
CANCELNIC_CHECK(CancelnicBenchRetrieve_behaviour, offsetof(CancelnicBenchRetrieve, behaviour) == 12);
CANCELNIC_CHECK(CancelnicBenchQueueAction, sizeof(CancelnicBenchQueueAction) == 16);
CANCELNIC_CHECK(CancelnicBenchQueueAction_header, offsetof(CancelnicBenchQueueAction, header) == 0);
CANCELNIC_CHECK(CancelnicBenchQueueAction_queue, offsetof(CancelnicBenchQueueAction, queue) == 8);
CANCELNIC_CHECK(CancelnicBenchQueueAction_action, offsetof(CancelnicBenchQueueAction, action) == 12);
CANCELNIC_CHECK(CancelnicBenchQueueState, sizeof(CancelnicBenchQueueState) == 24);
CANCELNIC_CHECK(CancelnicBenchQueueState_header, offsetof(CancelnicBenchQueueState, header) == 0);
CANCELNIC_CHECK(CancelnicBenchQueueState_state, offsetof(CancelnicBenchQueueState, state) == 8);
CANCELNIC_CHECK(CancelnicBenchQueueState_queued, offsetof(CancelnicBenchQueueState, queued) == 12);
CANCELNIC_CHECK(CancelnicBenchQueueState_owned, offsetof(CancelnicBenchQueueState, owned) == 16);
CANCELNIC_CHECK(CancelnicBenchQueueState_status, offsetof(CancelnicBenchQueueState, status) == 20);
CANCELNIC_CHECK(CancelnicBenchStatus, sizeof(CancelnicBenchStatus) == 16);
CANCELNIC_CHECK(CancelnicBenchStatus_header, offsetof(CancelnicBenchStatus, header) == 0);
CANCELNIC_CHECK(CancelnicBenchStatus_status, offsetof(CancelnicBenchStatus, status) == 8);
CANCELNIC_CHECK(CancelnicBenchStatus_reserved, offsetof(CancelnicBenchStatus, reserved) == 12);
CANCELNIC_CHECK(CancelnicFilterSend, sizeof(CancelnicFilterSend) == 32);
CANCELNIC_CHECK(CancelnicFilterSend_header, offsetof(CancelnicFilterSend, header) == 0);
CANCELNIC_CHECK(CancelnicFilterSend_module, offsetof(CancelnicFilterSend, module) == 8);
CANCELNIC_CHECK(CancelnicFilterSend_groups, offsetof(CancelnicFilterSend, groups) == 12);
CANCELNIC_CHECK(CancelnicFilterSend_first, offsetof(CancelnicFilterSend, first) == 16);
CANCELNIC_CHECK(CancelnicFilterSend_count, offsetof(CancelnicFilterSend, count) == 24);
CANCELNIC_CHECK(CancelnicFilterSend_len, offsetof(CancelnicFilterSend, len) == 28);
CANCELNIC_CHECK(CancelnicFilterSent, sizeof(CancelnicFilterSent) == 72);
CANCELNIC_CHECK(CancelnicFilterSent_header, offsetof(CancelnicFilterSent, header) == 0);
CANCELNIC_CHECK(CancelnicFilterSent_ids, offsetof(CancelnicFilterSent, ids) == 8);
CANCELNIC_CHECK(CancelnicFilterSelect, sizeof(CancelnicFilterSelect) == 16);
CANCELNIC_CHECK(CancelnicFilterSelect_header, offsetof(CancelnicFilterSelect, header) == 0);
CANCELNIC_CHECK(CancelnicFilterSelect_module, offsetof(CancelnicFilterSelect, module) == 8);
CANCELNIC_CHECK(CancelnicFilterSelect_reserved, offsetof(CancelnicFilterSelect, reserved) == 12);
CANCELNIC_CHECK(CancelnicFilterRelease, sizeof(CancelnicFilterRelease) == 24);
CANCELNIC_CHECK(CancelnicFilterRelease_header, offsetof(CancelnicFilterRelease, header) == 0);
CANCELNIC_CHECK(CancelnicFilterRelease_module, offsetof(CancelnicFilterRelease, module) == 8);
CANCELNIC_CHECK(CancelnicFilterRelease_reserved, offsetof(CancelnicFilterRelease, reserved) == 12);
CANCELNIC_CHECK(CancelnicFilterRelease_count, offsetof(CancelnicFilterRelease, count) == 16);
CANCELNIC_CHECK(CancelnicFilterCancel, sizeof(CancelnicFilterCancel) == 24);
CANCELNIC_CHECK(CancelnicFilterCancel_header, offsetof(CancelnicFilterCancel, header) == 0);
CANCELNIC_CHECK(CancelnicFilterCancel_module, offsetof(CancelnicFilterCancel, module) == 8);
CANCELNIC_CHECK(CancelnicFilterCancel_reserved, offsetof(CancelnicFilterCancel, reserved) == 12);
CANCELNIC_CHECK(CancelnicFilterCancel_cancel_id, offsetof(CancelnicFilterCancel, cancel_id) == 16);
CANCELNIC_CHECK(CancelnicFilterBypass, sizeof(CancelnicFilterBypass) == 16);
CANCELNIC_CHECK(CancelnicFilterBypass_header, offsetof(CancelnicFilterBypass, header) == 0);
CANCELNIC_CHECK(CancelnicFilterBypass_module, offsetof(CancelnicFilterBypass, module) == 8);
CANCELNIC_CHECK(CancelnicFilterBypass_on, offsetof(CancelnicFilterBypass, on) == 12);
CANCELNIC_CHECK(CancelnicFilterCounters, sizeof(CancelnicFilterCounters) == 152);
CANCELNIC_CHECK(CancelnicFilterCounters_header, offsetof(CancelnicFilterCounters, header) == 0);
CANCELNIC_CHECK(CancelnicFilterCounters_gate_closed, offsetof(CancelnicFilterCounters, gate_closed) == 8);
CANCELNIC_CHECK(CancelnicFilterCounters_running, offsetof(CancelnicFilterCounters, running) == 12);
CANCELNIC_CHECK(CancelnicFilterCounters_held_now, offsetof(CancelnicFilterCounters, held_now) == 16);
CANCELNIC_CHECK(CancelnicFilterCounters_own_outstanding, offsetof(CancelnicFilterCounters, own_outstanding) == 24);
CANCELNIC_CHECK(CancelnicFilterCounters_own_originated, offsetof(CancelnicFilterCounters, own_originated) == 32);
CANCELNIC_CHECK(CancelnicFilterCounters_own_success, offsetof(CancelnicFilterCounters, own_success) == 40);
CANCELNIC_CHECK(CancelnicFilterCounters_own_aborted, offsetof(CancelnicFilterCounters, own_aborted) == 48);
CANCELNIC_CHECK(CancelnicFilterCounters_own_paused, offsetof(CancelnicFilterCounters, own_paused) == 56);
CANCELNIC_CHECK(CancelnicFilterCounters_own_failed, offsetof(CancelnicFilterCounters, own_failed) == 64);
CANCELNIC_CHECK(CancelnicFilterCounters_passed_down, offsetof(CancelnicFilterCounters, passed_down) == 72);
CANCELNIC_CHECK(CancelnicFilterCounters_passed_up, offsetof(CancelnicFilterCounters, passed_up) == 80);
CANCELNIC_CHECK(CancelnicFilterCounters_queued, offsetof(CancelnicFilterCounters, queued) == 88);
CANCELNIC_CHECK(CancelnicFilterCounters_cancelled, offsetof(CancelnicFilterCounters, cancelled) == 96);
CANCELNIC_CHECK(CancelnicFilterCounters_refused, offsetof(CancelnicFilterCounters, refused) == 104);
CANCELNIC_CHECK(CancelnicFilterCounters_cancel_calls, offsetof(CancelnicFilterCounters, cancel_calls) == 112);
CANCELNIC_CHECK(CancelnicFilterCounters_cancels_passed_on, offsetof(CancelnicFilterCounters, cancels_passed_on) == 120);
CANCELNIC_CHECK(CancelnicFilterCounters_received, offsetof(CancelnicFilterCounters, received) == 128);
CANCELNIC_CHECK(CancelnicFilterCounters_returned, offsetof(CancelnicFilterCounters, returned) == 136);
CANCELNIC_CHECK(CancelnicFilterCounters_bypassed, offsetof(CancelnicFilterCounters, bypassed) == 144);
CANCELNIC_CHECK(CancelnicFilterHeld, sizeof(CancelnicFilterHeld) == 24);
CANCELNIC_CHECK(CancelnicFilterHeld_header, offsetof(CancelnicFilterHeld, header) == 0);
CANCELNIC_CHECK(CancelnicFilterHeld_total, offsetof(CancelnicFilterHeld, total) == 8);
CANCELNIC_CHECK(CancelnicFilterHeld_listed, offsetof(CancelnicFilterHeld, listed) == 16);
CANCELNIC_CHECK(CancelnicFilterHeldList, sizeof(CancelnicFilterHeldList) == 24);
CANCELNIC_CHECK(CancelnicFilterHeldList_number, offsetof(CancelnicFilterHeldList, number) == 0);
CANCELNIC_CHECK(CancelnicFilterHeldList_cancel_id, offsetof(CancelnicFilterHeldList, cancel_id) == 8);
CANCELNIC_CHECK(CancelnicFilterHeldList_own, offsetof(CancelnicFilterHeldList, own) == 16);
CANCELNIC_CHECK(CancelnicRelayTarget, sizeof(CancelnicRelayTarget) == 16);
CANCELNIC_CHECK(CancelnicRelayTarget_header, offsetof(CancelnicRelayTarget, header) == 0);
CANCELNIC_CHECK(CancelnicRelayTarget_action, offsetof(CancelnicRelayTarget, action) == 8);
CANCELNIC_CHECK(CancelnicRelayTarget_way, offsetof(CancelnicRelayTarget, way) == 12);
CANCELNIC_CHECK(CancelnicRelayTargetAnswer, sizeof(CancelnicRelayTargetAnswer) == 16);
CANCELNIC_CHECK(CancelnicRelayTargetAnswer_header, offsetof(CancelnicRelayTargetAnswer, header) == 0);
CANCELNIC_CHECK(CancelnicRelayTargetAnswer_status, offsetof(CancelnicRelayTargetAnswer, status) == 8);
CANCELNIC_CHECK(CancelnicRelayTargetAnswer_state, offsetof(CancelnicRelayTargetAnswer, state) == 12);
CANCELNIC_CHECK(CancelnicRelaySlot, sizeof(CancelnicRelaySlot) == 16);
CANCELNIC_CHECK(CancelnicRelaySlot_header, offsetof(CancelnicRelaySlot, header) == 0);
CANCELNIC_CHECK(CancelnicRelaySlot_slot, offsetof(CancelnicRelaySlot, slot) == 8);
CANCELNIC_CHECK(CancelnicRelaySlot_reserved, offsetof(CancelnicRelaySlot, reserved) == 12);
CANCELNIC_CHECK(CancelnicRelaySend, sizeof(CancelnicRelaySend) == 40);
CANCELNIC_CHECK(CancelnicRelaySend_header, offsetof(CancelnicRelaySend, header) == 0);
CANCELNIC_CHECK(CancelnicRelaySend_slot, offsetof(CancelnicRelaySend, slot) == 8);
CANCELNIC_CHECK(CancelnicRelaySend_options, offsetof(CancelnicRelaySend, options) == 12);
CANCELNIC_CHECK(CancelnicRelaySend_timeout, offsetof(CancelnicRelaySend, timeout) == 16);
CANCELNIC_CHECK(CancelnicRelaySend_routine, offsetof(CancelnicRelaySend, routine) == 24);
CANCELNIC_CHECK(CancelnicRelaySend_way, offsetof(CancelnicRelaySend, way) == 28);
CANCELNIC_CHECK(CancelnicRelaySend_tag, offsetof(CancelnicRelaySend, tag) == 32);
CANCELNIC_CHECK(CancelnicRelaySend_behaviour, offsetof(CancelnicRelaySend, behaviour) == 36);
CANCELNIC_CHECK(CancelnicRelayPass, sizeof(CancelnicRelayPass) == 32);
CANCELNIC_CHECK(CancelnicRelayPass_header, offsetof(CancelnicRelayPass, header) == 0);
CANCELNIC_CHECK(CancelnicRelayPass_slot, offsetof(CancelnicRelayPass, slot) == 8);
CANCELNIC_CHECK(CancelnicRelayPass_options, offsetof(CancelnicRelayPass, options) == 12);
CANCELNIC_CHECK(CancelnicRelayPass_timeout, offsetof(CancelnicRelayPass, timeout) == 16);
CANCELNIC_CHECK(CancelnicRelayPass_routine, offsetof(CancelnicRelayPass, routine) == 24);
CANCELNIC_CHECK(CancelnicRelayPass_way, offsetof(CancelnicRelayPass, way) == 28);
CANCELNIC_CHECK(CancelnicRelayOutcome, sizeof(CancelnicRelayOutcome) == 24);
CANCELNIC_CHECK(CancelnicRelayOutcome_header, offsetof(CancelnicRelayOutcome, header) == 0);
CANCELNIC_CHECK(CancelnicRelayOutcome_returned, offsetof(CancelnicRelayOutcome, returned) == 8);
CANCELNIC_CHECK(CancelnicRelayOutcome_status, offsetof(CancelnicRelayOutcome, status) == 12);
CANCELNIC_CHECK(CancelnicRelayOutcome_irql, offsetof(CancelnicRelayOutcome, irql) == 16);
CANCELNIC_CHECK(CancelnicRelayOutcome_completions, offsetof(CancelnicRelayOutcome, completions) == 20);
CANCELNIC_CHECK(CancelnicRelaySlotState, sizeof(CancelnicRelaySlotState) == 32);
CANCELNIC_CHECK(CancelnicRelaySlotState_header, offsetof(CancelnicRelaySlotState, header) == 0);
CANCELNIC_CHECK(CancelnicRelaySlotState_phase, offsetof(CancelnicRelaySlotState, phase) == 8);
CANCELNIC_CHECK(CancelnicRelaySlotState_passed, offsetof(CancelnicRelaySlotState, passed) == 12);
CANCELNIC_CHECK(CancelnicRelaySlotState_status, offsetof(CancelnicRelaySlotState, status) == 16);
CANCELNIC_CHECK(CancelnicRelaySlotState_completions, offsetof(CancelnicRelaySlotState, completions) == 20);
CANCELNIC_CHECK(CancelnicRelaySlotState_information, offsetof(CancelnicRelaySlotState, information) == 24);
#undef CANCELNIC_CHECK
