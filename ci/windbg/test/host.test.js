// cancelnic.js where something is missing, over a host made by hand; and the stand-in itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Int64, Memory, Types, load, makeHost, walk } from "./host.js";

// A host with the types and symbols given, and no memory at all.
function empty({ types = {}, symbols = {} } = {}) {
    const memory = new Memory((address) => address, () => {
        throw new Error("no memory");
    });
    return load(makeHost({ modules: { cancelnic: { types: new Types(types), symbols } }, memory }));
}

test("the script registers its commands and the session's model", () => {
    const { aliases, models } = empty();
    assert.deepEqual(Object.keys(aliases).sort(), ["cancelnic", "cancelnic_filter", "cancelnic_ring", "cancelnic_trace"]);
    assert.deepEqual(Object.keys(models), ["Debugger.Models.Session"]);
});

test("a driver without symbols is answered with what to type", () => {
    assert.throws(() => empty().aliases.cancelnic(), /\.sympath\+ FOLDER; \.reload \/f cancelnic\.sys/);
});

test("a filter that is not loaded is answered with what to type", () => {
    assert.throws(() => empty().aliases.cancelnic_filter(), /is cancelnic-lwf\.sys loaded \(lm m cancelnic_lwf\)/);
});

test("a PDB of another build is named by the field that it lacks", () => {
    const memory = new Memory((address) => address, (_, length) => new Uint8Array(length));
    const types = new Types({ 1: { kind: "udt", name: "Anchor", size: 8, fields: [] } });
    const symbols = { "cancelnic::anchor::ANCHOR": { address: 0x1000n, type: 1 } };
    const { aliases } = load(makeHost({ modules: { cancelnic: { types, symbols } }, memory }));
    assert.throws(() => aliases.cancelnic_trace(), /(Anchor has no field trace|there is no type cancelnic_core)/);
});

test("64-bit integers go around at their end and refuse to become inexact numbers", () => {
    assert.equal(new Int64(0xffffffff, 0xffffffff).add(1).asNumber(), 0);
    assert.equal(new Int64(1, 0x200000).toString(16), "0x20000000000001");
    assert.throws(() => new Int64(1, 0x200000).asNumber());
});

test("addresses go through four levels, pages of 4 KiB and 2 MiB", () => {
    const tables = new Map([[0x1000n, 0x2003n], [0x2000n, 0x3003n], [0x3000n, 0x4003n], [0x3008n, 0x600083n], [0x4008n, 0x7003n]]);
    const read = (at) => new Uint8Array(new BigUint64Array([tables.get(at) ?? 0n]).buffer);
    const translate = walk(read, 0x1000n);
    assert.equal(translate(0x1234n), 0x7234n);
    assert.equal(translate(0x212345n), 0x612345n);
    assert.throws(() => translate(0x2000n), /not mapped/);
});
