//! The rings, the doorbells, the commands and the resets.

use super::*;

#[test]
fn available_index_that_runs_ahead_is_found() {
    both(|mut bench| {
        bench.scribble(bench.out.avail() + 2, RING + 1);
        bench.ring();
        assert_eq!(bench.found(), [(Rule::AvailableRanAhead, None)]);
    });
}

#[test]
fn used_index_and_flags_written_by_the_driver_are_found() {
    for (offset, times) in [(0, 1), (2, 1)] {
        let mut bench = Bench::new(false);
        bench.transmit(1);
        bench.scribble(bench.out.used() + offset, 0x4444);
        bench.tx.look(&bench.memory, bench.now);
        assert_eq!(bench.found(), vec![(Rule::UsedRingWritten, None); times]);
    }
}

#[test]
fn used_element_written_by_the_driver_is_found_when_it_comes_round_or_at_the_end() {
    let mut bench = Bench::new(false);
    let head = bench.transmit(0);
    bench.reap();
    bench.scribble(bench.out.used() + 4, 0x0444);
    for number in 1..16 {
        bench.transmit(number);
        bench.reap();
    }
    assert_eq!(bench.found(), []);
    bench.transmit(16);
    assert_eq!(bench.found(), [(Rule::UsedRingWritten, Some(head))]);

    let mut bench = Bench::new(false);
    let head = bench.transmit(0);
    bench.scribble(bench.out.used() + 8, 0x0444);
    bench.leave();
    assert_eq!(bench.found(), [(Rule::UsedRingWritten, Some(head))]);
}

#[test]
fn doorbell_that_never_comes_is_found() {
    both(|mut bench| {
        bench.transmit(1);
        let head = bench.publish(2);
        bench.tx.look(&bench.memory, bench.now);
        bench.now += LATE - Duration::from_nanos(1);
        bench.tx.look(&bench.memory, bench.now);
        assert_eq!(bench.found(), []);
        bench.now += Duration::from_nanos(1);
        bench.tx.look(&bench.memory, bench.now);
        assert_eq!(bench.found(), [(Rule::DoorbellMissing, Some(head))]);
    });
}

#[test]
fn doorbells_for_nothing_are_found() {
    both(|mut bench| {
        bench.transmit(1);
        (0..8).for_each(|_| bench.ring());
        assert_eq!(bench.found()[0], (Rule::DoorbellNeedless, None));
    });
}

#[test]
fn doorbells_that_the_device_did_not_ask_for_are_found() {
    let mut bench = Bench::new(true);
    bench.hold(Gate::Fetch);
    for number in 0..8 {
        bench.transmit(number);
    }
    assert_eq!(bench.found()[0], (Rule::DoorbellNeedless, None));
    let mut bench = Bench::new(false);
    bench.hold(Gate::Fetch);
    for number in 0..8 {
        bench.transmit(number);
    }
    assert_eq!(bench.found(), [], "without VIRTIO_F_EVENT_IDX each is asked for");
}

#[test]
fn command_words_that_are_used_again_or_skip_are_found() {
    let net = NetConfig { mac: [2; 6], link_up: true, mtu: 1500, speed: 0, full_duplex: true };
    let bench = Bench::new(false);
    let mut config =
        ConfigSpace::new(&net, Caps::ALL, [&bench.tx, &bench.rx].map(|queue| (queue.id(), queue.status())));
    let mut write = |offset, seq, op| {
        let word = CommandWord::command(seq, op).into_bits().to_le_bytes();
        let misuses = config.write(offset, &word).misuses;
        misuses.iter().map(|misuse| (misuse.queue.direction(), misuse.rule)).collect::<Vec<_>>()
    };
    assert_eq!(write(0x80, 1, Op::Cancel), []);
    assert_eq!(write(0x80, 1, Op::Cancel), [], "the same word again is QEMU's");
    assert_eq!(write(0x80, 1, Op::Resume), [(Direction::Tx, Rule::CommandReused)]);
    assert_eq!(write(0x80, 3, Op::Resume), [(Direction::Tx, Rule::SeqSkipped)]);
    assert_eq!(write(0x80, 4, Op::Cancel), []);
    assert_eq!(write(0xc0, 0, Op::Cancel), [(Direction::Rx, Rule::CommandReused)]);
    assert_eq!(write(0xc0, 1, Op::Cancel), []);
}

#[test]
fn chains_published_between_cancel_and_stopped_are_found() {
    both(|mut bench| {
        bench.hold(Gate::Complete);
        bench.transmit(1);
        bench.command(Direction::Tx, Op::Cancel);
        let head = bench.transmit(2);
        assert_eq!(bench.tx.status().read().state(), Some(State::Cancelling));
        bench.open();
        assert_eq!(bench.found(), [(Rule::PublishedWhileCancelling, Some(head))]);
    });
}

#[test]
fn chains_may_be_published_behind_a_resume_that_waits() {
    both(|mut bench| {
        bench.hold(Gate::Complete);
        bench.transmit(1);
        bench.command(Direction::Tx, Op::Cancel);
        bench.command(Direction::Tx, Op::Resume);
        bench.transmit(2);
        bench.open();
        assert_eq!(bench.tx.snapshot(&bench.memory).totals.sent, 2);
        assert_eq!(bench.found(), []);
    });
}

#[test]
fn reset_with_frames_in_flight_is_found() {
    for gate in Gate::of(Direction::Tx).iter().copied() {
        let mut bench = Bench::new(false);
        bench.transmit(1);
        bench.reap();
        bench.hold(gate);
        let head = bench.transmit(2);
        bench.leave();
        bench.out.reset(&bench.memory);
        bench.back.reset(&bench.memory);
        bench.enter(0);
        assert_eq!(bench.found(), [(Rule::ResetInFlight, Some(head))], "{gate:?}");
    }
}

#[test]
fn reset_before_the_first_completion_is_told_from_a_pause() {
    let mut bench = Bench::new(false);
    bench.hold(Gate::Wire);
    let head = bench.transmit(1);
    assert_eq!(bench.leave(), 0);
    bench.enter(0);
    assert_eq!(bench.found(), [], "the machine was paused");
    bench.leave();
    bench.out.reset(&bench.memory);
    bench.enter(0);
    assert_eq!(bench.found(), [(Rule::ResetInFlight, Some(head))]);
}

#[test]
fn reset_with_buffers_posted_and_no_frame_in_flight_is_good() {
    let mut bench = Bench::new(false);
    bench.post(3);
    bench.transmit(1);
    bench.rx.inject(frame(1, 60));
    bench.run();
    bench.leave();
    bench.out.reset(&bench.memory);
    bench.back.reset(&bench.memory);
    bench.enter(0);
    assert_eq!(bench.found(), []);
}
