// A stand-in for WinDbg's `host`: the part of it that cancelnic.js uses, over a snapshot of a stopped machine.
//
// A snapshot is made by `cargo rig test windbg`: a folder with the machine's memory as it lies in the chips, and
// snapshot.json with the processor's page table, the device's registers, and of each driver its place and the types and
// variables of its PDB. As in a debugger, addresses go through the page table, and whatever is not there cannot be read.

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import vm from "node:vm";

const EXTENSION = fileURLToPath(new URL("../cancelnic.js", import.meta.url));
const MASK = (1n << 64n) - 1n;

// The debugger's 64-bit integer, with methods that its documentation names. `==` of two is left out, as it holds there
// and not here; so is every method that cancelnic.js has no use for.
export class Int64 {
    #value;

    constructor(low, high) {
        this.#value = (BigInt(low) | BigInt(high ?? 0) << 32n) & MASK;
    }

    static of(big) {
        return new Int64(Number(big & 0xffffffffn), Number(big >> 32n & 0xffffffffn));
    }

    // For the stand-in only.
    static value(integer) {
        return typeof integer === "number" ? BigInt(integer) : integer.#value;
    }

    add(other) {
        return Int64.of(this.#value + Int64.value(other));
    }

    asNumber() {
        if (this.#value > BigInt(Number.MAX_SAFE_INTEGER)) {
            throw new Error("64 bit value loses precision on conversion to number");
        }
        return Number(this.#value);
    }

    getLowPart() {
        return Number(this.#value & 0xffffffffn);
    }

    getHighPart() {
        return Number(this.#value >> 32n);
    }

    toString(radix = 10) {
        return radix === 16 ? `0x${this.#value.toString(16)}` : this.#value.toString(radix);
    }
}

// Where an object is: all that one can do with it is to go further.
class Location {
    constructor(address) {
        Object.defineProperty(this, "address", { value: address });
    }

    add(offset) {
        return new Location(this.address + Int64.value(offset));
    }
}

function addressOf(location) {
    return location instanceof Location ? location.address : Int64.value(location);
}

// An address space: `translate` gives the physical address of a virtual one, `read` the bytes at a physical one.
export class Memory {
    constructor(translate, read) {
        this.translate = translate;
        this.physical = read;
    }

    // Up to the end of each page at once, as neighbours need not lie side by side.
    read(address, length) {
        const bytes = new Uint8Array(length);
        for (let done = 0; done < length;) {
            const at = address + BigInt(done);
            const piece = Math.min(length - done, 4096 - Number(at & 0xfffn));
            bytes.set(this.physical(this.translate(at), piece), done);
            done += piece;
        }
        return bytes;
    }
}

// x86-64's four levels (Intel SDM volume 3, 5.5), present pages of 4 KiB, 2 MiB and 1 GiB.
export function walk(read, root) {
    const entry = (table, index) => new DataView(read(table + BigInt(index * 8), 8).buffer).getBigUint64(0, true);
    return (address) => {
        let table = root & ~0xfffn;
        for (let shift = 39n; ; shift -= 9n) {
            const found = entry(table, Number(address >> shift & 0x1ffn));
            if ((found & 1n) === 0n) {
                throw new Error(`0x${address.toString(16)} is not mapped`);
            }
            const frame = found & 0x000ffffffffff000n;
            if (shift === 12n || shift < 39n && (found & 0x80n) !== 0n) {
                const within = (1n << shift) - 1n;
                return frame & ~within | address & within;
            }
            table = frame;
        }
    };
}

// A machine's memory in files, each from a physical address on.
export function files(folder, ranges) {
    const pieces = ranges.map(({ file, start, size }) => ({
        start: BigInt(start),
        size: BigInt(size),
        file: fs.openSync(path.join(folder, file), "r"),
    }));
    return (address, length) => {
        const range = pieces.find(({ start, size }) => address >= start && address + BigInt(length) <= start + size);
        if (range === undefined) {
            throw new Error(`physical 0x${address.toString(16)} is not in the snapshot`);
        }
        const bytes = new Uint8Array(length);
        fs.readSync(range.file, bytes, 0, length, Number(address - range.start));
        return bytes;
    };
}

// Type objects over the records of a snapshot.
export class Types {
    constructor(records) {
        this.records = records;
        this.made = new Map();
        this.names = new Map();
        for (const [index, record] of Object.entries(records)) {
            if (record.name !== undefined && !record.forward) {
                this.names.set(record.name, Number(index));
            }
        }
    }

    named(name) {
        const index = this.names.get(name);
        if (index === undefined) {
            throw new Error(`there is no type ${name}`);
        }
        return this.get(index);
    }

    get(index) {
        const record = this.records[index];
        if (record === undefined) {
            throw new Error(`there is no type record ${index}`);
        }
        if (record.forward) {
            return this.named(record.name);
        }
        if (!this.made.has(index)) {
            this.made.set(index, this.make(record));
        }
        return this.made.get(index);
    }

    make(record) {
        const types = this;
        const field = ({ name, offset, type, value }) => ({
            name,
            locationKind: value === undefined ? "member" : "constant",
            get type() {
                return types.get(type);
            },
            // As a 64-bit value, as the documentation says.
            offset: offset === undefined ? undefined : new Int64(offset),
            value,
        });
        return {
            name: record.name ?? "",
            typeKind: record.kind,
            size: new Int64(record.size ?? 0),
            get baseType() {
                return types.get(record.base);
            },
            fields: Object.fromEntries((record.fields ?? []).map((each) => [each.name, field(each)])),
        };
    }
}

// The `host` object; `modules` has types and symbols by the module's name.
export function makeHost({ modules, memory }) {
    class Registration {
        constructor(...parts) {
            this.parts = parts;
        }
    }
    const known = (name) => {
        if (modules[name] === undefined) {
            throw new Error(`there is no module ${name}`);
        }
        return modules[name];
    };
    const views = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array };
    return {
        Int64,
        apiVersionSupport: class extends Registration {},
        functionAlias: class extends Registration {},
        namedModelParent: class extends Registration {},
        getModuleType(name, type) {
            return known(name).types.named(type);
        },
        getModuleSymbol(name, symbol) {
            const { types, symbols } = known(name);
            const found = symbols[symbol];
            if (found === undefined) {
                throw new Error(`there is no symbol ${symbol}`);
            }
            return { targetLocation: new Location(found.address), targetType: types.get(found.type) };
        },
        memory: {
            readMemoryValues(location, count, size = 1) {
                return new views[size](memory.read(addressOf(location), count * size).buffer);
            },
        },
    };
}

// Loads cancelnic.js into a host, as `.scriptload` does; gives its aliases and model extensions by name.
export function load(host) {
    const context = vm.createContext({ host });
    vm.runInContext(fs.readFileSync(EXTENSION, "utf8"), context, { filename: EXTENSION });
    const registered = vm.runInContext("initializeScript()", context);
    const of = (kind) => registered.filter((each) => each instanceof kind).map(({ parts: [what, name] }) => [name, what]);
    return { aliases: Object.fromEntries(of(host.functionAlias)), models: Object.fromEntries(of(host.namedModelParent)) };
}

// The snapshot in a folder, as a loaded extension, with what the snapshot says of itself.
export function open(folder) {
    const snapshot = JSON.parse(fs.readFileSync(path.join(folder, "snapshot.json"), "utf8"));
    const read = files(folder, snapshot.memory);
    const modules = snapshot.modules.map(({ name, base, types, symbols }) => [name, {
        types: new Types(types),
        symbols: Object.fromEntries(
            symbols.map((symbol) => [symbol.name, { address: BigInt(base) + BigInt(symbol.rva), type: symbol.type }])
        ),
    }]);
    const memory = new Memory(walk(read, BigInt(snapshot.page_table)), read);
    const host = makeHost({ modules: Object.fromEntries(modules), memory });
    return { snapshot, host, ...load(host) };
}
