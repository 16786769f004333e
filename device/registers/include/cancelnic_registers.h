/* The register interface of the cancelnic NIC, revision 1.0: see ../README.md.

   Words of 32 bits, little-endian, in the device's configuration space. Reading never changes anything.

   Generated from Rust: change it there. */

#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 Size of the whole configuration space, in bytes.
 */
#define CANCELNIC_SPACE_SIZE 256

/*
 Bytes at the start of the space that belong to `virtio_net_config` (virtio 1.3 section 5.1.4).
 */
#define CANCELNIC_NET_CONFIG_SIZE 64

/*
 Offset of the word that holds CANCELNIC_ID.
 */
#define CANCELNIC_ID_OFFSET 64

/*
 Offset of the Revision.
 */
#define CANCELNIC_REVISION_OFFSET 68

/*
 Offset of the Caps.
 */
#define CANCELNIC_CAPS_OFFSET 72

/*
 Offset of the Queues.
 */
#define CANCELNIC_QUEUES_OFFSET 76

/*
 Queue pairs that the block has registers for.
 */
#define CANCELNIC_MAX_PAIRS 8

/*
 What the word at CANCELNIC_ID_OFFSET reads: the bytes `C I N C` in memory order.
 */
#define CANCELNIC_ID 0x434e4943u

/*
 Bytes of `virtio_net_hdr` before each frame, with VIRTIO_F_VERSION_1 (virtio 1.3 section 5.1.6). A
 received frame's `len` is never less.
 */
#define CANCELNIC_NET_HEADER_SIZE 12

/*
 `len` of a receive chain that holds no frame: taken back, or refused as malformed.
 */
#define CANCELNIC_RX_RETURNED 0u

/*
 The whole frame went over the wire.
 */
#define CANCELNIC_TX_OUTCOME_SENT 0u

/*
 Taken back by CANCEL: not one byte of the frame was on the wire.
 */
#define CANCELNIC_TX_OUTCOME_TAKEN_BACK 0x80000000u

/*
 Refused as malformed: not one byte was on the wire.
 */
#define CANCELNIC_TX_OUTCOME_REFUSED 0x80000001u

/*
 What a queue can be told to do.
 */
enum CancelnicOp
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /*
     Take back every available chain that is not yet on the wire, then stop.
     */
    CANCELNIC_OP_CANCEL = 1,
    /*
     Leave CANCELNIC_STATE_STOPPED.
     */
    CANCELNIC_OP_RESUME = 2,
    /*
     Fetch no more, send what is fetched, then stop.
     */
    CANCELNIC_OP_DRAIN = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum CancelnicOp CancelnicOp;
#else
typedef uint8_t CancelnicOp;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 Where a queue is, as far as commands go.
 */
enum CancelnicState
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /*
     The queue works as any virtio-net queue does.
     */
    CANCELNIC_STATE_RUNNING = 0,
    /*
     A CANCEL was taken; some chain that it covers has no used element yet. Nothing is fetched.
     */
    CANCELNIC_STATE_CANCELLING = 1,
    /*
     A DRAIN was taken; some fetched chain has no used element yet. Nothing more is fetched.
     */
    CANCELNIC_STATE_DRAINING = 2,
    /*
     The device reads and writes no buffer and no used ring of the queue until RESUME or CANCEL.
     */
    CANCELNIC_STATE_STOPPED = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum CancelnicState CancelnicState;
#else
typedef uint8_t CancelnicState;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 How a command ended.
 */
enum CancelnicCommandResult
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /*
     Done, or under way as CancelnicState tells.
     */
    CANCELNIC_COMMAND_RESULT_OK = 0,
    /*
     A RESUME that takes effect as soon as the queue is stopped.
     */
    CANCELNIC_COMMAND_RESULT_PENDING = 1,
    /*
     No such operation.
     */
    CANCELNIC_COMMAND_RESULT_UNKNOWN_OP = 2,
    /*
     The device's Caps do not have it.
     */
    CANCELNIC_COMMAND_RESULT_NOT_SUPPORTED = 3,
    /*
     The queue is not in service.
     */
    CANCELNIC_COMMAND_RESULT_NOT_IN_SERVICE = 4,
    /*
     The queue is broken (the available index ran ahead by more than the queue's size) until it leaves
     service.
     */
    CANCELNIC_COMMAND_RESULT_BROKEN = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum CancelnicCommandResult CancelnicCommandResult;
#else
typedef uint8_t CancelnicCommandResult;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/* Registers of queue q, 0 to CANCELNIC_MAX_PAIRS - 1. */
#define CANCELNIC_TX_COMMAND(q) (0x80 + 8 * (q))
#define CANCELNIC_TX_STATUS(q) (0x84 + 8 * (q))
#define CANCELNIC_RX_COMMAND(q) (0xc0 + 8 * (q))
#define CANCELNIC_RX_STATUS(q) (0xc4 + 8 * (q))

/* Bits of the word at CANCELNIC_CAPS_OFFSET. */
#define CANCELNIC_CAPS_TX_CANCEL 0x1u
#define CANCELNIC_CAPS_RX_CANCEL 0x2u
#define CANCELNIC_CAPS_TX_DRAIN 0x4u

/* The revision that this header describes, and the major part of a revision word. */
#define CANCELNIC_REVISION 0x10000u
#define CANCELNIC_REVISION_MAJOR(word) ((word) >> 16)

/* Counts of queues in the word at CANCELNIC_QUEUES_OFFSET. */
#define CANCELNIC_QUEUES_TX(word) ((word) & 0xff)
#define CANCELNIC_QUEUES_RX(word) (((word) >> 8) & 0xff)

/* The command word that asks for op, a CancelnicOp, as command seq: the one that follows the SEQ in the queue's
   status word. */
#define CANCELNIC_COMMAND(seq, op) (((uint32_t)(uint8_t)(seq) << 24) | ((uint32_t)(op) << 16))

/* Fields of a status word: STATE is a CancelnicState, RESULT a CancelnicCommandResult. All registers of a device
   that is gone from the bus read all ones. */
#define CANCELNIC_STATUS_SEQ(word) (((word) >> 24) & 0xff)
#define CANCELNIC_STATUS_STATE(word) (((word) >> 20) & 0xf)
#define CANCELNIC_STATUS_RESULT(word) (((word) >> 16) & 0xf)
#define CANCELNIC_STATUS_COUNT(word) ((word) & 0xffff)
#define CANCELNIC_STATUS_GONE 0xffffffffu
