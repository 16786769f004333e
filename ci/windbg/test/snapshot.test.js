// cancelnic.js over machines that were stopped: `cargo rig test windbg` makes the snapshots and names their folder in
// CANCELNIC_SNAPSHOTS. What is found must be what device and sender say.

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { open } from "./host.js";

const folder = process.env.CANCELNIC_SNAPSHOTS;
const skip = folder === undefined ? "no snapshots: cargo rig test windbg makes them" : false;
const snapshots = new Map();

function snapshot(name) {
    if (!snapshots.has(name)) {
        snapshots.set(name, open(path.join(folder, name)));
    }
    return snapshots.get(name);
}

// The extension's objects, as `dx @$cursession.Cancelnic` reaches them.
function session(name) {
    const { models } = snapshot(name);
    return new models["Debugger.Models.Session"]().Cancelnic;
}

function owners(elements) {
    const count = {};
    for (const { Owner, State } of elements) {
        const kind = `${Owner}: ${State}`;
        count[kind] = (count[kind] ?? 0) + 1;
    }
    return count;
}

test("one device with its cancel block is found, with both queues", { skip }, () => {
    const [device, ...others] = session("held").Devices;
    assert.equal(others.length, 0);
    assert.equal(device.Caps, "TX_CANCEL RX_CANCEL TX_DRAIN");
    assert.equal(device.HasRegisters, true);
    assert.equal(device.GivenUp, false);
    assert.equal(device.Tx.State, "not cancelled");
    assert.equal(device.Rx.State, "not cancelled");
    assert.deepEqual([device.Rx.Armed, device.Rx.Lost], [true, false]);
});

test("packets at the device and packets without room are told apart", { skip }, () => {
    const { expected } = snapshot("held").snapshot;
    const { Tx } = session("held").Devices[0];
    assert.equal(Tx.Ring.WithTheDriver, expected.with_the_driver);
    assert.equal(Tx.Virtqueue.Outstanding, expected.at_the_device);
    assert.deepEqual(owners(Tx.Ring.Elements), {
        "device: posted": expected.at_the_device,
        "driver: not posted": expected.not_posted,
    });
    assert.equal(Tx.Counters.sent, expected.returned);
});

test("packets stand in the ring's order, each with a chain of its own", { skip }, () => {
    const { Ring } = session("held").Devices[0].Tx;
    const elements = Ring.Elements;
    assert.deepEqual(elements.map(({ Packet }) => Packet), elements.map((_, step) => (Ring.Begin + step) % Ring.Size));
    const heads = elements.filter(({ Owner }) => Owner === "device").map(({ Head }) => Head);
    assert.equal(new Set(heads).size, heads.length);
    for (const { Owner, Descriptors, Length } of elements) {
        assert.deepEqual([Descriptors, Length], Owner === "device" ? [2, 60] : [undefined, undefined]);
    }
});

test("a posted packet is as old as the event that posted it", { skip }, () => {
    const { Devices, Trace } = session("held");
    const posting = Trace.filter(({ Queue, Event, Posted }) => Queue === "tx0" && Event === "Advance" && Posted > 1);
    for (const element of Devices[0].Tx.Ring.Elements.filter(({ Owner }) => Owner === "device")) {
        // The machine may have stopped in the very call that posted it, whose event is still to come.
        const ages = [0, ...posting.map((event) => event.MicrosecondsBeforeLast)];
        assert.ok(ages.includes(element.MicrosecondsBeforeLast), `${element}`);
    }
});

test("receive buffers are the device's, as many as there is room for", { skip }, () => {
    const { Rx } = session("held").Devices[0];
    const room = Rx.Virtqueue.Size / 2;
    const elements = Rx.Ring.Elements;
    assert.equal(elements.filter(({ Owner }) => Owner === "device").length, room);
    assert.equal(elements.filter(({ State }) => State === "not posted").length, Rx.Ring.WithTheDriver - room);
    assert.equal(Rx.Counters.received, 1);
});

test("a queue in a cancel says how many packets it owes", { skip }, () => {
    const { expected } = snapshot("cancelling").snapshot;
    const { Tx } = session("cancelling").Devices[0];
    assert.equal(Tx.State, `cancelling, ${expected.with_the_driver} packets owed`);
    const states = owners(Tx.Ring.Elements);
    const count = (outcome) => Object.entries(states)
        .filter(([state]) => state.startsWith(`driver: used as ${outcome}`))
        .reduce((sum, [, number]) => sum + number, 0);
    assert.deepEqual([count("Sent"), count("TakenBack")], [expected.sent, expected.taken_back], JSON.stringify(states));
});

test("the trace tells the queue's life up to the cancel", { skip }, () => {
    const { Trace, Devices } = session("cancelling");
    const events = [...Trace].filter(({ Queue }) => Queue === "tx0").map(({ Event }) => Event);
    assert.deepEqual(events.splice(0, 2), ["QueueCreated", "Start"]);
    // The machine may have stopped before the callback's end.
    assert.match(events.join(" "), /^[^C]* Cancel( CancelReturned.*)?$/);
    assert.equal(Trace.filter(({ Event }) => /^\d+$/.test(Event)).length, 0);
    const ages = Trace.map(({ MicrosecondsBeforeLast }) => MicrosecondsBeforeLast);
    assert.equal(ages.at(-1), 0);
    assert.ok(ages.every((age, nth) => nth === 0 || age <= ages[nth - 1]) && ages[0] < 60e6, String(ages));
    assert.deepEqual(Trace.map(({ Number }) => Number), Trace.map((_, nth) => Trace[0].Number + nth));
    const last = Trace.filter(({ Queue }) => Queue === "tx0").at(-1);
    assert.equal(last.Posted, Devices[0].Tx.Counters.posted);
    assert.equal(Trace[0].Event, "DeviceAdded");
    assert.equal(Trace[0].Device.toString(16), Devices[0].Address.toString(16));
});

test("the status register is what the device says of the queue", { skip }, () => {
    for (const name of ["held", "cancelling"]) {
        for (const seen of snapshot(name).snapshot.device) {
            const queue = session(name).Devices[0].Queues.find((each) => each.Name === seen.queue);
            const { Seq, State, Count } = queue.Status;
            assert.deepEqual([State.toUpperCase(), Seq, Count], [seen.state, seen.seq, seen.count], `${name} ${seen.queue}`);
        }
    }
});

test("status words come apart as the interface packs them", { skip }, () => {
    const { snapshot: { status_words: words } } = snapshot("held");
    const { Status } = session("held").Devices[0].Tx;
    for (const { word, seq, state, result, count } of words) {
        const status = new Status.constructor(word);
        assert.deepEqual(
            [status.Seq, status.State, status.Result, status.Count, status.Gone], [seq, state, result, count, false]
        );
    }
    assert.equal(new Status.constructor(0xffffffff).Gone, true);
});

test("the filter's lists are found in their order, with their IDs and whose they are", { skip }, () => {
    const { expected } = snapshot("filtered").snapshot;
    const [module, ...others] = session("filtered").FilterModules;
    assert.equal(others.length, 0);
    assert.deepEqual([module.State, module.GateClosed, module.HeldCount], ["Running", true, expected.ids.length]);
    assert.deepEqual([...module.Held].map(({ Id }) => Id.toString(16)), expected.ids);
    assert.deepEqual([...module.Held].map(({ Own }) => Own), expected.own);
    assert.equal(new Set([...module.Held].map(({ Address }) => Address.toString(16))).size, expected.ids.length);
    for (const [name, count] of Object.entries(expected.counters)) {
        assert.equal(module.Counters[name], count, name);
    }
});

test("lists are put together by ID", { skip }, () => {
    const { expected } = snapshot("filtered").snapshot;
    const groups = [...session("filtered").FilterModules[0].HeldById].map(({ Id, Lists }) => [Id, Lists.length]);
    const counted = [...new Set(expected.ids)].map((id) => [id, expected.ids.filter((each) => each === id).length]);
    assert.deepEqual(groups, counted);
    const lines = [...snapshot("filtered").aliases.cancelnic_filter()].map(String);
    assert.equal(lines.length, 1 + groups.length + expected.ids.length);
    assert.match(lines[0], /^filter module 0x[0-9a-f]{16}: Running, gate closed, 11 lists held: queued=\d+ cancelled=1 /);
    assert.match(lines.at(-1), /^list 0x[0-9a-f]{16}: ID 0x[0-9a-f]+, the filter's own$/);
});

test("the commands show a line for each thing", { skip }, () => {
    const { aliases } = snapshot("held");
    const lines = aliases.cancelnic().map(String);
    assert.equal(lines.length, 9);
    assert.match(lines[0], /^device 0x[0-9a-f]{16}: TX_CANCEL RX_CANCEL TX_DRAIN, registers mapped$/);
    assert.match(lines[1], /^tx0 not cancelled.*: posted=33 sent=1 taken_back=0 never_posted=0 refused=0 lost=0$/);
    assert.match(lines[2], /^STATUS Running, seq \d+, result Ok, count 0$/);
    assert.match(lines[3], /^tx0 packet ring: 256 elements, Begin=1 Next=33 End=51, 50 with the driver$/);
    assert.match(lines[4], /^virtqueue: 64 descriptors, 0 free, 32 chains outstanding/);
    const ring = aliases.cancelnic_ring("tx").map(String);
    assert.equal(ring.length, 51);
    assert.match(ring[1], /^tx0 packet 1: device, posted, chain at \d+, 2 descriptors, 60 bytes at 0x[0-9a-f]+, posted \d+\.\d{3} ms before the last event$/);
    assert.match(ring[50], /^tx0 packet 50: driver, not posted$/);
    assert.ok(aliases.cancelnic_ring().length > ring.length);
    assert.match(String(aliases.cancelnic_trace()[0]), /^#1 -\d+\.\d{3} ms DeviceAdded$/);
});
