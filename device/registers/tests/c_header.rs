//! `include/cancelnic_registers.h` is what the crate has. After a change:
//! `CANCELNIC_BLESS=1 cargo test -p cancelnic-registers`.

use std::path::PathBuf;

use cancelnic_registers::{
    Caps, CommandWord, Direction, MAX_PAIRS, Op, QueueId, Queues, Revision, StatusWord, TxOutcome,
};
use header_check::c_header::{Source, compiles, generate, kept};

/// The header, in this tree: a compiled-in path would name the tree that a copy was made from.
fn header() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("include/cancelnic_registers.h")
}

const ABOUT: &str = "The register interface of the cancelnic NIC, revision 1.0: see ../README.md.\n\n   \
    Words of 32 bits, little-endian, in the device's configuration space. Reading never changes anything.";

fn sources() -> Vec<Source> {
    let call = |name: &str, _: u64| (name == "from_le_bytes").then_some(u32::from_le_bytes(*b"CINC").into());
    let read = |text| Source::read("", text, &call).expect("Rust");
    vec![
        read(include_str!("../src/block.rs")),
        read(include_str!("../src/command.rs")),
        read(include_str!("../src/status.rs")),
        read(include_str!("../src/used.rs")),
    ]
}

/// First bit and mask of a field, from the word in which it is all ones.
fn field(ones: u32) -> (u32, u32) {
    (ones.trailing_zeros(), ones >> ones.trailing_zeros())
}

/// Macros for what Rust has as functions and bit fields.
fn more() -> String {
    let offset = |direction, of: fn(QueueId) -> usize| {
        let [first, second] = [0, 1].map(|pair| of(QueueId::new(direction, pair).expect("a queue")));
        format!("(0x{first:02x} + {} * (q))", second - first)
    };
    let status = |ones: StatusWord| {
        let (first, mask) = field(ones.into_bits());
        if first == 0 {
            format!("((word) & 0x{mask:x})")
        } else {
            format!("(((word) >> {first}) & 0x{mask:x})")
        }
    };
    let all = StatusWord::GONE;
    let [seq, count] = [StatusWord::new().with_seq(0xff), StatusWord::new().with_count(0xffff)];
    // state and result have no plain setter: the rest of a word of ones, by quarter bytes
    let rest = all.into_bits() & !seq.into_bits() & !count.into_bits();
    let highest = StatusWord::new().with_state(cancelnic_registers::State::Stopped).into_bits();
    let state = (highest & rest) / 3 * 0xf;
    let result = rest & !state;
    let (seq_at, _) = field(CommandWord::new().with_seq(0xff).into_bits());
    let (op_at, _) = field(CommandWord::new().with_op_bits(0xff).into_bits());
    let mut text = String::from("\n/* Registers of queue q, 0 to CANCELNIC_MAX_PAIRS - 1. */\n");
    for (name, direction, of) in [
        ("TX_COMMAND", Direction::Tx, QueueId::command_offset as fn(_) -> _),
        ("TX_STATUS", Direction::Tx, QueueId::status_offset),
        ("RX_COMMAND", Direction::Rx, QueueId::command_offset),
        ("RX_STATUS", Direction::Rx, QueueId::status_offset),
    ] {
        text += &format!("#define CANCELNIC_{name}(q) {}\n", offset(direction, of));
    }
    text += "\n/* Bits of the word at CANCELNIC_CAPS_OFFSET. */\n";
    for (name, caps) in [
        ("TX_CANCEL", Caps::new().with_tx_cancel(true)),
        ("RX_CANCEL", Caps::new().with_rx_cancel(true)),
        ("TX_DRAIN", Caps::new().with_tx_drain(true)),
    ] {
        text += &format!("#define CANCELNIC_CAPS_{name} 0x{:x}u\n", caps.into_bits());
    }
    let (major_at, _) = field(Revision::new().with_major(0xffff).into_bits());
    let (tx, rx) =
        (field(Queues::new().with_tx(0xff).into_bits()), field(Queues::new().with_rx(0xff).into_bits()));
    text += &format!(
        "\n/* The revision that this header describes, and the major part of a revision word. */\n\
         #define CANCELNIC_REVISION 0x{:x}u\n#define CANCELNIC_REVISION_MAJOR(word) ((word) >> {major_at})\n\n\
         /* Counts of queues in the word at CANCELNIC_QUEUES_OFFSET. */\n\
         #define CANCELNIC_QUEUES_TX(word) ((word) & 0x{:x})\n\
         #define CANCELNIC_QUEUES_RX(word) (((word) >> {}) & 0x{:x})\n\n\
         /* The command word that asks for op, a CancelnicOp, as command seq: the one that follows the SEQ in the queue's\n   \
         status word. */\n\
         #define CANCELNIC_COMMAND(seq, op) (((uint32_t)(uint8_t)(seq) << {seq_at}) | ((uint32_t)(op) << {op_at}))\n\n\
         /* Fields of a status word: STATE is a CancelnicState, RESULT a CancelnicCommandResult. All registers of a device\n   \
         that is gone from the bus read all ones. */\n",
        Revision::CURRENT.into_bits(),
        tx.1,
        rx.0,
        rx.1
    );
    for (name, ones) in [
        ("SEQ", seq),
        ("STATE", StatusWord::from_bits(state)),
        ("RESULT", StatusWord::from_bits(result)),
        ("COUNT", count),
    ] {
        text += &format!("#define CANCELNIC_STATUS_{name}(word) {}\n", status(ones));
    }
    text + &format!("#define CANCELNIC_STATUS_GONE 0x{:x}u\n", all.into_bits())
}

/// What macros and constants have to give, from what Rust compiles.
fn values() -> Vec<(String, u64)> {
    use cancelnic_registers::{
        CAPS_OFFSET, CommandResult, ID, ID_OFFSET, NET_CONFIG_SIZE, NET_HEADER_SIZE, QUEUES_OFFSET,
        REVISION_OFFSET, RX_RETURNED, SPACE_SIZE, State,
    };
    let mut values: Vec<(String, u64)> = [
        ("CANCELNIC_SPACE_SIZE", SPACE_SIZE as u64),
        ("CANCELNIC_NET_CONFIG_SIZE", NET_CONFIG_SIZE as u64),
        ("CANCELNIC_ID_OFFSET", ID_OFFSET as u64),
        ("CANCELNIC_REVISION_OFFSET", REVISION_OFFSET as u64),
        ("CANCELNIC_CAPS_OFFSET", CAPS_OFFSET as u64),
        ("CANCELNIC_QUEUES_OFFSET", QUEUES_OFFSET as u64),
        ("CANCELNIC_MAX_PAIRS", MAX_PAIRS as u64),
        ("CANCELNIC_ID", ID.into()),
        ("CANCELNIC_NET_HEADER_SIZE", NET_HEADER_SIZE as u64),
        ("CANCELNIC_RX_RETURNED", RX_RETURNED.into()),
        ("CANCELNIC_TX_OUTCOME_TAKEN_BACK", TxOutcome::TakenBack.used_len().into()),
        ("CANCELNIC_TX_OUTCOME_REFUSED", TxOutcome::Refused.used_len().into()),
        ("CANCELNIC_OP_DRAIN", Op::Drain as u64),
        ("CANCELNIC_STATE_STOPPED", State::Stopped as u64),
        ("CANCELNIC_COMMAND_RESULT_BROKEN", CommandResult::Broken as u64),
        ("CANCELNIC_CAPS_TX_DRAIN", Caps::new().with_tx_drain(true).into_bits().into()),
        ("CANCELNIC_REVISION", Revision::CURRENT.into_bits().into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let last = |direction| QueueId::new(direction, 7).expect("a queue");
    values.push(("CANCELNIC_TX_COMMAND(7)".into(), last(Direction::Tx).command_offset() as u64));
    values.push(("CANCELNIC_RX_STATUS(7)".into(), last(Direction::Rx).status_offset() as u64));
    let command = CommandWord::command(0xab, Op::Cancel).into_bits().into();
    values.push(("CANCELNIC_COMMAND(0xab, CANCELNIC_OP_CANCEL)".into(), command));
    let word = StatusWord::new()
        .with_seq(0x12)
        .with_state(State::Draining)
        .with_result(CommandResult::NotInService)
        .with_count(0x3456);
    let queues = Queues::new().with_tx(3).with_rx(5).into_bits();
    for (name, word, value) in [
        ("STATUS_SEQ", word.into_bits(), u64::from(word.seq())),
        ("STATUS_STATE", word.into_bits(), State::Draining as u64),
        ("STATUS_RESULT", word.into_bits(), CommandResult::NotInService as u64),
        ("STATUS_COUNT", word.into_bits(), word.count().into()),
        ("QUEUES_TX", queues, 3),
        ("QUEUES_RX", queues, 5),
        ("REVISION_MAJOR", Revision::CURRENT.into_bits(), 1),
    ] {
        values.push((format!("CANCELNIC_{name}(0x{word:x}u)"), value));
    }
    values
}

#[test]
fn the_header_is_what_the_crate_has() {
    let text = generate(ABOUT, &sources(), &more(), &[]).expect("a header");
    kept(&header(), &text).expect("the same");
}

#[test]
fn the_header_compiles_as_c_and_cpp_with_rusts_values() {
    let values = values();
    for (name, value) in sources().iter().flat_map(|source| source.constants().collect::<Vec<_>>()) {
        assert!(values.contains(&(name.clone(), value)), "{name} is not checked");
    }
    compiles(&header(), &values).expect("C and C++");
}
