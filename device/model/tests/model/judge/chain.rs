//! Chains, descriptors and buffers that the device owns.

use super::*;

#[test]
fn chain_published_twice_while_in_flight_is_found() {
    both(|mut bench| {
        bench.hold(Gate::Wire);
        let head = bench.transmit(1);
        bench.out.publish(&bench.memory, head);
        bench.ring();
        assert_eq!(bench.found(), [(Rule::DescriptorReused, Some(head))]);
        assert_eq!(bench.tx.judge().findings()[0].at, bench.now);
    });
}

#[test]
fn chain_that_borrows_a_descriptor_in_flight_is_found() {
    both(|mut bench| {
        bench.hold(Gate::Wire);
        let head = bench.transmit(1);
        // 9 leads to the head in flight
        bench.out.put_descriptor(&bench.memory, 9, (0x1000, 12, 1, head));
        bench.out.publish(&bench.memory, 9);
        bench.ring();
        assert_eq!(bench.found(), [(Rule::DescriptorReused, Some(head))]);
    });
}

#[test]
fn descriptor_rewritten_in_flight_is_found() {
    both(|mut bench| {
        bench.hold(Gate::Complete);
        let head = bench.transmit(1);
        bench.out.put_descriptor(&bench.memory, head, (0x1000, 13, 1, head));
        bench.open();
        assert_eq!(bench.found(), [(Rule::DescriptorReused, Some(head))]);
    });
}

#[test]
fn descriptors_may_be_reused_once_they_are_back() {
    let mut bench = Bench::new(false);
    for number in 0..50 {
        bench.transmit(number);
        bench.reap();
    }
    assert_eq!(bench.found(), []);
}

#[test]
fn transmit_buffer_changed_in_flight_is_found() {
    both(|mut bench| {
        bench.hold(Gate::Complete);
        let head = bench.transmit(1);
        bench.transmit(2);
        bench.scribble(bench.out.buffer(head) + 4, 0x5555);
        bench.open();
        assert_eq!(bench.found(), [(Rule::BufferChanged, Some(head))], "the other is as it was");
    });
}

#[test]
fn indirect_buffers_and_tables_are_watched() {
    for spoilt in [0, 1] {
        let mut bench = Bench::new(false);
        bench.hold(Gate::Complete);
        let (table, data) = (bench.out.buffer(8), bench.out.buffer(9));
        bench.memory.write_obj(data, GuestAddress(table)).unwrap();
        bench.memory.write_obj(100u32, GuestAddress(table + 8)).unwrap();
        bench.memory.write_obj([0u16; 2], GuestAddress(table + 12)).unwrap();
        bench.out.put_descriptor(&bench.memory, 3, (table, 16, 4, 0));
        bench.out.publish(&bench.memory, 3);
        bench.ring();
        if spoilt == 1 {
            bench.scribble(data + 50, 0x5555);
        }
        bench.open();
        assert_eq!(bench.tx.snapshot(&bench.memory).totals.sent, 1);
        let expected = [(Rule::BufferChanged, Some(3))];
        assert_eq!(bench.found(), expected[..spoilt]);
    }
}

#[test]
fn posted_receive_buffer_that_changes_is_found() {
    both(|mut bench| {
        let heads = bench.post(2);
        bench.scribble(bench.back.buffer(heads[0] - 1), 0x5555);
        bench.scribble(bench.back.buffer(heads[0]), 0x5555);
        bench.rx.inject(frame(1, 60));
        bench.run();
        // The header's buffer, which comes first, is not looked at: drivers may share it.
        assert_eq!(bench.found(), [(Rule::BufferChanged, Some(heads[0]))]);
    });
}

#[test]
fn half_written_receive_buffer_that_changes_is_found() {
    both(|mut bench| {
        bench.rx.set_gate(Gate::RxWrite, false, bench.now);
        let heads = bench.post(1);
        bench.rx.inject(frame(1, 60));
        bench.run();
        bench.scribble(bench.back.buffer(heads[0] - 1) + 8, 0x5555);
        bench.open();
        assert_eq!(bench.found(), [(Rule::BufferChanged, Some(heads[0]))]);
    });
}

#[test]
fn receive_buffers_touched_before_stopped_are_found() {
    both(|mut bench| {
        bench.rx.set_gate(Gate::RxWrite, false, bench.now);
        let heads = bench.post(3);
        bench.rx.inject(frame(1, 60));
        bench.run();
        bench.command(Direction::Rx, Op::Cancel);
        assert_eq!(bench.rx.status().read().state(), Some(State::Cancelling));
        for head in [heads[0], heads[2]] {
            bench.scribble(bench.back.buffer(head - 1) + 8, 0x5555);
        }
        bench.open();
        let touched = |head| (Rule::ReceiveBufferTouched, Some(head));
        assert_eq!(bench.found(), [touched(heads[0]), touched(heads[2])]);
    });
}

#[test]
fn malformed_chain_is_found() {
    let mut bench = Bench::new(false);
    bench.out.put_descriptor(&bench.memory, 5, (0x1000, 0, 0, 0));
    bench.out.publish(&bench.memory, 5);
    bench.ring();
    bench.back.put_descriptor(&bench.memory, 6, (0x1000, 11, 2, 0));
    bench.back.publish(&bench.memory, 6);
    bench.rx.inject(frame(1, 60));
    bench.rx.doorbell(&bench.memory, bench.now);
    bench.run();
    assert_eq!(bench.found(), [(Rule::MalformedChain, Some(5)), (Rule::MalformedChain, Some(6))]);
}

#[test]
fn a_cancel_looks_once_more_at_as_many_chains_as_an_honest_ring_has() {
    let mut bench = Bench::of_size(4096, &settings(4), false);
    bench.hold(Gate::Fetch);
    let heads: Vec<u16> = (0..1500).map(|number| bench.publish(number)).collect();
    // A call sees a few hundred.
    (0..6).for_each(|_| bench.run());
    for head in &heads {
        bench.scribble(bench.out.buffer(*head) + 4, 0x5555);
    }
    bench.command(Direction::Tx, Op::Cancel);
    assert_eq!(bench.tx.snapshot(&bench.memory).totals.taken_back, 1500);
    assert_eq!(bench.tx.judge().total(), 1024);
    assert_eq!(bench.found()[0], (Rule::BufferChanged, Some(heads[0])));
}
