// WinDbg extension for cancelnic.sys: adapters, queues, packet rings, the cancel block, the driver's last events; and for
// cancelnic-lwf.sys: what the filter holds.
//
//   .scriptload C:\cancelnic\cancelnic.js
//   !cancelnic            adapters and queues          dx @$cursession.Cancelnic
//   !cancelnic_ring       packets with the driver      dx @$cursession.Cancelnic.Devices[0].Tx.Ring
//   !cancelnic_trace      the driver's last events     dx @$cursession.Cancelnic.Trace
//   !cancelnic_filter     lists that the filter holds  dx @$cursession.Cancelnic.FilterModules
//
// Everything starts at a static of the driver. Where a field lies comes from its PDB, never from here: a
// structure is read whole, and its fields are found through the PDB's type objects. What stands here in numbers is
// hardware or NDIS's interface: the bits of the status word, the split virtqueue of virtio 1.3, the slot of an ID.
//
// The debugger's engine knows ECMAScript 2015 and no more; it hides properties whose names begin with two underscores.
"use strict";

// Modules as the debugger names them: it turns what no symbol can have into underscores.
const NIC = "cancelnic";
const FILTER = "cancelnic_lwf";

// ---- Typed memory ----

// Fields with which Rust's library wraps one value: atomics, cells, Wrapping, NonNull.
const WRAPPERS = ["value", "v", "p", "__0", "pointer"];

// A size, an offset or a constant: the debugger gives some of them as its own 64-bit integers.
function plain(value) {
    return typeof value === "number" ? value : value.asNumber();
}

function underlying(type) {
    let real = type;
    while (real.typeKind === "typedef") {
        real = real.baseType;
    }
    return real;
}

// A field of a type; undefined if there is none of that name.
function fieldOf(type, name) {
    try {
        return type.fields[name];
    } catch (error) {
        return undefined;
    }
}

function typeNamed(name) {
    return host.getModuleType(NIC, name);
}

// The name that an enumeration of the PDB has for a value; the number itself if it has none among `names`.
function nameOf(type, value, names) {
    for (const name of names) {
        const constant = fieldOf(type, name);
        // Enumerations have 32 bits at most; the debugger may take the highest for a sign.
        if (constant !== undefined && plain(constant.value) >>> 0 === value >>> 0) {
            return name;
        }
    }
    return String(value);
}

// A value of the target: its bytes, read once, and its type.
class Value {
    constructor(bytes, start, type, location) {
        this.bytes = bytes;
        this.start = start;
        this.type = underlying(type);
        this.location = location;
    }

    static read(location, type) {
        const size = plain(type.size);
        return new Value(host.memory.readMemoryValues(location, size, 1, false), 0, type, location);
    }

    // The field at a path such as "virtqueue.layout.size". Pointers on the way are followed.
    at(path) {
        return path.split(".").reduce((value, name) => value.field(name), this);
    }

    field(name) {
        if (this.type.typeKind === "pointer") {
            return this.target().field(name);
        }
        const field = fieldOf(this.type, name);
        if (field === undefined) {
            throw new Error(`${this.type.name} has no field ${name}: this cancelnic.js is for another cancelnic.sys`);
        }
        return this.part(plain(field.offset), field.type);
    }

    part(offset, type) {
        return new Value(this.bytes, this.start + offset, type, this.location.add(offset));
    }

    // What the wrappers hold.
    inner() {
        let value = this;
        while (value.type.typeKind === "udt") {
            const name = WRAPPERS.find((wrapper) => fieldOf(value.type, wrapper) !== undefined);
            if (name === undefined) {
                throw new Error(`${value.type.name} is no wrapper of one value that this cancelnic.js knows`);
            }
            value = value.field(name);
        }
        return value;
    }

    // An unsigned number; exact up to 2^53, which no counter reaches.
    number() {
        const value = this.inner();
        let number = 0;
        for (let at = plain(value.type.size) - 1; at >= 0; at -= 1) {
            number = number * 256 + value.bytes[value.start + at];
        }
        return number;
    }

    flag() {
        return this.number() !== 0;
    }

    word(offset) {
        const at = this.start + offset;
        return (this.bytes[at] | this.bytes[at + 1] << 8 | this.bytes[at + 2] << 16 | this.bytes[at + 3] << 24) >>> 0;
    }

    // A pointer's value as the debugger's own 64-bit integer.
    address() {
        const value = this.inner();
        return new host.Int64(value.word(0), value.word(4));
    }

    isNull() {
        const value = this.inner();
        return value.word(0) === 0 && value.word(4) === 0;
    }

    // What a pointer points to.
    target() {
        const value = this.inner();
        return Value.read(value.address(), value.type.baseType);
    }

    // The `count` elements that a pointer points to, read at once.
    targets(count) {
        const value = this.inner();
        return elementsAt(value.address(), value.type.baseType, count, plain(value.type.baseType.size));
    }

    // The elements of an array within this value.
    elements() {
        const type = underlying(this.type.baseType);
        const size = plain(type.size);
        const elements = [];
        for (let at = 0; at < plain(this.type.size); at += size) {
            elements.push(this.part(at, type));
        }
        return elements;
    }
}

function elementsAt(location, type, count, stride) {
    if (count === 0) {
        return [];
    }
    const bytes = host.memory.readMemoryValues(location, count * stride, 1, false);
    const elements = [];
    for (let index = 0; index < count; index += 1) {
        elements.push(new Value(bytes, index * stride, type, location.add(index * stride)));
    }
    return elements;
}

// The debugger's 64-bit integers are objects.
function same(one, other) {
    return one.getLowPart() === other.getLowPart() && one.getHighPart() === other.getHighPart();
}

function hex(address) {
    return `0x${address.toString(16).replace(/^0x/, "")}`;
}

// A static of a driver, `file` without its extension.
function staticOf(module, file, name) {
    let symbol;
    try {
        symbol = host.getModuleSymbol(module, name);
    } catch (error) {
        symbol = undefined;
    }
    if (symbol === undefined || symbol === null) {
        throw new Error(
            `no symbol ${name}: is ${file}.sys loaded (lm m ${module}), and ${file}.pdb of the same build on the ` +
            `symbol path (.sympath+ FOLDER; .reload /f ${file}.sys)?`
        );
    }
    return Value.read(symbol.targetLocation, symbol.targetType);
}

// ---- The driver's last events ----

const EVENTS = [
    "DeviceAdded", "DeviceRemoved", "PowerUp", "PowerDown", "QueueCreated", "QueueDestroyed", "Start", "Advance",
    "Armed", "Cancel", "CancelReturned", "Stop", "GivenUp",
];

function milliseconds(microseconds) {
    return `${(microseconds / 1000).toFixed(3)} ms`;
}

// The queue whose virtqueue has this index: virtio 1.3 section 5.1.2. The driver writes all ones for none.
function queueName(virtqueue) {
    return virtqueue === 0xffffffff ? "" : `${virtqueue % 2 === 0 ? "rx" : "tx"}${Math.floor(virtqueue / 2)}`;
}

class TraceEvent {
    constructor(entry, types) {
        this.Number = entry.at("number").number();
        this.Microseconds = entry.at("time").number();
        this.Event = nameOf(types.event, entry.at("event").number(), EVENTS);
        this.Device = new host.Int64(entry.at("device").word(0), entry.at("device").word(4));
        this.Queue = queueName(entry.at("queue").number());
        this.Posted = entry.at("posted").number();
        this.Returned = entry.at("returned").number();
        this.MicrosecondsBeforeLast = 0;
    }

    toString() {
        const queue = this.Queue === "" ? "" : `${this.Queue} `;
        const counts = this.Queue === "" ? "" : ` posted=${this.Posted} returned=${this.Returned}`;
        return `#${this.Number} -${milliseconds(this.MicrosecondsBeforeLast)} ${queue}${this.Event}${counts}`;
    }
}

// The events that the ring still has, the oldest first. One that was being written is left out.
function readTrace(base) {
    const types = {
        event: typeNamed("cancelnic_core::trace::Event"),
    };
    const entries = base.at("trace.entries").elements();
    const count = base.at("trace.count").number();
    const events = [];
    for (let number = Math.max(1, count - entries.length + 1); number <= count; number += 1) {
        const entry = entries[(number - 1) % entries.length];
        if (entry.at("number").number() === number) {
            events.push(new TraceEvent(entry, types));
        }
    }
    const last = events.reduce((latest, event) => Math.max(latest, event.Microseconds), 0);
    for (const event of events) {
        event.MicrosecondsBeforeLast = last - event.Microseconds;
    }
    return events;
}

// How long before the last event the queue had posted its n-th packet; 0 in a call that is not over, whose event is still
// to come; undefined if it is not in the ring any more.
function postedBefore(trace, device, queue, ordinal) {
    let before;
    for (const event of trace) {
        if (event.Queue !== queue || !same(event.Device, device)) {
            continue;
        }
        if (event.Event === "QueueCreated") {
            before = event;
            continue;
        }
        if (event.Posted >= ordinal) {
            return before === undefined || before.Posted >= ordinal ? undefined : event.MicrosecondsBeforeLast;
        }
        before = event;
    }
    return 0;
}

// ---- The cancel block ----

const STATES = ["Running", "Cancelling", "Draining", "Stopped"];
const RESULTS = ["Ok", "Pending", "UnknownOp", "NotSupported", "NotInService", "Broken"];

// A queue's status register.
class Status {
    constructor(word) {
        this.Word = word;
        this.Gone = word === 0xffffffff;
        this.Seq = word >>> 24;
        this.State = nameOf(typeNamed("cancelnic_registers::status::State"), word >>> 20 & 0xf, STATES);
        this.Result = nameOf(typeNamed("cancelnic_registers::status::CommandResult"), word >>> 16 & 0xf, RESULTS);
        this.Count = word & 0xffff;
    }

    toString() {
        if (this.Gone) {
            return "STATUS reads all ones: the device is gone";
        }
        return `STATUS ${this.State}, seq ${this.Seq}, result ${this.Result}, count ${this.Count}`;
    }
}

// A queue's status register, or a word on why it cannot be had: a dump has no registers.
function readStatus(device, port) {
    const window = device.at("hardware.value.variant1.value.__0.device.base");
    if (window.isNull()) {
        return "registers not mapped";
    }
    const location = window.address().add(port.at("status").number());
    let bytes;
    try {
        bytes = host.memory.readMemoryValues(location, 1, 4, false);
    } catch (error) {
        return `STATUS at ${hex(location)} cannot be read here`;
    }
    return new Status(bytes[0] >>> 0);
}

// ---- Queues ----

const OUTCOMES = ["Sent", "TakenBack", "Refused"];
const CHAIN_STATES = ["Free", "Posted", "Used"];

// 16-bit counters that wrap.
function ahead(of, from) {
    return of - from & 0xffff;
}

// The driver's side of a virtqueue, with what the device has used and the driver has not looked at.
class Virtqueue {
    constructor(value) {
        this.__value = value;
        this.Size = value.at("layout.size").number();
        this.Free = value.at("free_count").number();
        this.Posted = value.at("posted").number();
        this.Published = value.at("published").number();
        this.Used = value.at("used").number();
        this.Popped = value.at("popped").number();
        this.Outstanding = ahead(this.Posted, this.Popped);
        this.EventIdx = value.at("event_idx").flag();
    }

    // Used elements behind the driver's own count, by head: virtio 1.3 section 2.7, the split virtqueue's used ring.
    // The driver puts the parts one behind the other, each aligned as section 2.7 asks.
    unseen() {
        const start = this.__value.at("memory.start").address();
        const available = 16 * this.Size;
        const used = available + 4 + 2 * this.Size + 2 + 3 & ~3;
        const index = host.memory.readMemoryValues(start.add(used + 2), 1, 2, false)[0];
        const elements = host.memory.readMemoryValues(start.add(used + 4), 2 * this.Size, 4, false);
        const heads = new Map();
        for (let at = this.Used; ahead(index, at) !== 0 && heads.size < this.Size; at = at + 1 & 0xffff) {
            const place = 2 * (at & this.Size - 1);
            heads.set(elements[place], elements[place + 1] >>> 0);
        }
        return heads;
    }

    // Outstanding chains, the oldest first.
    chains() {
        const slots = this.__value.at("slots.data_ptr").targets(this.Size);
        const descriptors = elementsAt(
            this.__value.at("memory.start").address(),
            typeNamed("cancelnic_core::virtqueue::memory::Descriptor"),
            this.Size,
            plain(typeNamed("cancelnic_core::virtqueue::memory::Descriptor").size)
        );
        const unseen = this.unseen();
        const chains = [];
        for (let nth = 0; nth < this.Outstanding; nth += 1) {
            const position = this.Popped + nth & this.Size - 1;
            const head = slots[position].at("order").number();
            const slot = slots[head];
            const state = slot.at("state");
            const count = slot.at("count").number();
            // The first descriptor is the header's; the frame begins in the second.
            const frame = count > 1 ? descriptors[slot.at("next").number()] : descriptors[head];
            chains.push({
                nth,
                head,
                count,
                packet: slot.at("token").number(),
                state: nameOf(state.type, state.number(), CHAIN_STATES),
                usedLength: slot.at("used_len").number(),
                published: nth < ahead(this.Published, this.Popped),
                unseenLength: unseen.get(head),
                address: new host.Int64(frame.at("address").word(0), frame.at("address").word(4)),
                length: frame.at("len").number(),
            });
        }
        return chains;
    }

    toString() {
        return `virtqueue: ${this.Size} descriptors, ${this.Free} free, ${this.Outstanding} chains outstanding, ` +
            `posted=${this.Posted} published=${this.Published} used=${this.Used} popped=${this.Popped}`;
    }
}

// A packet that the driver owns.
class RingElement {
    constructor(queue, index, owner, state) {
        this.Queue = queue;
        this.Packet = index;
        this.Owner = owner;
        this.State = state;
    }

    carriedBy(chain, age) {
        this.Head = chain.head;
        this.Descriptors = chain.count;
        this.Address = chain.address;
        this.Length = chain.length;
        if (age !== undefined) {
            this.MicrosecondsBeforeLast = age;
        }
        return this;
    }

    toString() {
        let text = `${this.Queue} packet ${this.Packet}: ${this.Owner}, ${this.State}`;
        if (this.Head !== undefined) {
            text += `, chain at ${this.Head}, ${this.Descriptors} descriptors, ${this.Length} bytes at ${hex(this.Address)}`;
            text += this.MicrosecondsBeforeLast === undefined
                ? ", older than the trace"
                : `, posted ${milliseconds(this.MicrosecondsBeforeLast)} before the last event`;
        }
        return text;
    }
}

// A packet ring.
class Ring {
    constructor(queue, ring) {
        this.__queue = queue;
        this.Size = ring.at("NumberOfElements").number();
        this.Begin = ring.at("BeginIndex").number() % this.Size;
        this.Next = ring.at("NextIndex").number() % this.Size;
        this.End = ring.at("EndIndex").number() % this.Size;
        this.WithTheDriver = (this.End - this.Begin + this.Size) % this.Size;
    }

    // Each packet that the driver owns, the oldest first.
    get Elements() {
        const { Name, Virtqueue: virtqueue, __owner: owner } = this.__queue;
        const { posted } = this.__queue.Counters;
        const chains = new Map(virtqueue.chains().map((chain) => [chain.packet, chain]));
        const elements = [];
        let isPosted = true;
        for (let step = 0; step < this.WithTheDriver; step += 1) {
            const index = (this.Begin + step) % this.Size;
            isPosted = isPosted && index !== this.Next;
            const chain = isPosted ? chains.get(index) : undefined;
            if (chain === undefined) {
                const state = isPosted ? "passed over, waits for an older packet" : "not posted";
                elements.push(new RingElement(Name, index, "driver", state));
                continue;
            }
            const ordinal = posted - virtqueue.Outstanding + chain.nth + 1;
            const age = postedBefore(owner.__trace, owner.Address, Name, ordinal);
            const [who, state] = this.chainState(chain);
            elements.push(new RingElement(Name, index, who, state).carriedBy(chain, age));
        }
        return elements;
    }

    chainState(chain) {
        if (chain.state === "Used") {
            return ["driver", `${this.usedAs(chain.usedLength)}, waits for an older packet`];
        }
        if (chain.unseenLength !== undefined) {
            return ["driver", `${this.usedAs(chain.unseenLength)}, not looked at yet`];
        }
        return chain.published ? ["device", "posted"] : ["driver", "posted, not published"];
    }

    usedAs(length) {
        if (this.__queue.Name.startsWith("rx")) {
            return `used with ${length} bytes`;
        }
        return `used as ${nameOf(typeNamed("cancelnic_registers::used::TxOutcome"), length, OUTCOMES)}`;
    }

    * [Symbol.iterator]() {
        yield* this.Elements;
    }

    toString() {
        return `${this.__queue.Name} packet ring: ${this.Size} elements, Begin=${this.Begin} Next=${this.Next} ` +
            `End=${this.End}, ${this.WithTheDriver} with the driver`;
    }
}

const COUNTERS = {
    tx0: ["posted", "sent", "taken_back", "never_posted", "refused", "lost"],
    rx0: ["posted", "received", "returned_empty", "malformed"],
};

// A packet queue between EvtPacketQueueCreate and its end.
class PacketQueue {
    constructor(owner, name, context) {
        const queue = context.at("queue.value");
        this.__owner = owner;
        this.Name = name;
        this.Address = context.location;
        this.Counters = {};
        for (const counter of COUNTERS[name]) {
            this.Counters[counter] = queue.at(`counters.${counter}`).number();
        }
        this.Cancelled = queue.at("cancelled").flag();
        this.Lost = queue.at("signals.lost").flag();
        this.Armed = queue.at("signals.armed").flag();
        this.Virtqueue = new Virtqueue(queue.at("virtqueue"));
        this.Ring = new Ring(this, queue.at("rings.packets.ring").target());
        this.Status = readStatus(owner.__value, queue.at("port"));
    }

    get State() {
        if (this.Lost) {
            return "lost: the device was reset or is gone";
        }
        if (!this.Cancelled) {
            return "not cancelled";
        }
        return this.Ring.WithTheDriver === 0 ? "cancelled, empty" : `cancelling, ${this.Ring.WithTheDriver} packets owed`;
    }

    toString() {
        const counters = COUNTERS[this.Name].map((counter) => `${counter}=${this.Counters[counter]}`).join(" ");
        return `${this.Name} ${this.State}${this.Armed ? ", armed" : ""}: ${counters}`;
    }
}

// ---- Devices ----

const CAPS = ["TX_CANCEL", "RX_CANCEL", "TX_DRAIN"];

// An adapter's device context.
class Device {
    constructor(pointer, trace) {
        this.__value = pointer.target();
        this.__trace = trace;
        this.Address = pointer.address();
        const caps = this.__value.at("caps").number();
        this.Caps = CAPS.filter((name, bit) => (caps >>> bit & 1) !== 0).join(" ");
        this.HasRegisters = !this.__value.at("hardware.value.variant1.value.__0.device.base").isNull();
        this.GivenUp = this.__value.at("watchdog.given_up").flag();
    }

    __queue(name, side) {
        const [context] = this.__value.at(`queues.${side}`).elements();
        return context.isNull() ? undefined : new PacketQueue(this, name, context.target());
    }

    get Tx() {
        return this.__queue("tx0", "tx");
    }

    get Rx() {
        return this.__queue("rx0", "rx");
    }

    get Queues() {
        return [this.Tx, this.Rx].filter((queue) => queue !== undefined);
    }

    toString() {
        const registers = this.HasRegisters ? "registers mapped" : "no registers";
        return `device ${hex(this.Address)}: ${this.Caps}, ${registers}${this.GivenUp ? ", GIVEN UP" : ""}`;
    }
}

// ---- The filter ----

const MODULE_STATES = ["Paused", "Running", "Pausing"];
const MODULE_COUNTERS = [
    "queued", "cancelled", "cancel_calls", "cancels_passed_on", "passed_down", "passed_up", "own_originated",
    "own_outstanding", "own_aborted",
];
// NetBufferListCancelId of NDIS_NET_BUFFER_LIST_INFO.
const CANCEL_ID = 5;

// A net buffer list that the filter holds.
class HeldList {
    constructor(list, source) {
        this.Address = list.location;
        this.Id = list.at("NetBufferListInfo").elements()[CANCEL_ID].address();
        this.Own = same(list.at("SourceHandle").address(), source);
    }

    toString() {
        const id = this.Id.getLowPart() === 0 && this.Id.getHighPart() === 0 ? "no ID" : `ID ${hex(this.Id)}`;
        return `list ${hex(this.Address)}: ${id}${this.Own ? ", the filter's own" : ""}`;
    }
}

// An attached filter module.
class FilterModule {
    constructor(pointer) {
        const filter = pointer.target();
        this.Address = pointer.address();
        this.__next = filter.at("next.value.variant1.value.__0");
        this.__source = filter.at("handle").address();
        const books = filter.at("sends.books.value.value");
        const state = books.at("state");
        this.State = nameOf(state.type, state.number(), MODULE_STATES);
        this.GateClosed = books.at("gate.tag").number() !== 0;
        this.HeldCount = books.at("held.len").number();
        this.__first = books.at("held.ends.variant1.value.__0.__0");
        this.Counters = {};
        for (const counter of MODULE_COUNTERS) {
            this.Counters[counter] = books.at(`counters.${counter}`).number();
        }
    }

    // In the order in which they are going to be sent.
    get Held() {
        const held = [];
        for (let next = this.__first; held.length < this.HeldCount && !next.isNull();) {
            const list = next.target();
            held.push(new HeldList(list, this.__source));
            next = list.at("Next");
        }
        return held;
    }

    // Lists by ID, those that came first first.
    get HeldById() {
        const groups = new Map();
        for (const list of this.Held) {
            const id = hex(list.Id);
            groups.set(id, (groups.get(id) || []).concat([list]));
        }
        return Array.from(groups, ([Id, Lists]) => ({ Id, Lists, toString: () => `ID ${Id}: ${Lists.length} lists` }));
    }

    * [Symbol.iterator]() {
        yield* this.Held;
    }

    toString() {
        const counters = MODULE_COUNTERS.map((counter) => `${counter}=${this.Counters[counter]}`).join(" ");
        return `filter module ${hex(this.Address)}: ${this.State}, gate ${this.GateClosed ? "closed" : "open"}, ` +
            `${this.HeldCount} lists held: ${counters}`;
    }
}

function filterModules() {
    const modules = [];
    let next = staticOf(FILTER, "cancelnic-lwf", "cancelnic_lwf::module::MODULES").at("value.value.__0.variant1.value.__0");
    while (!next.isNull()) {
        const module = new FilterModule(next);
        modules.push(module);
        next = module.__next;
    }
    return modules;
}

// Both drivers.
class Cancelnic {
    get __anchor() {
        return staticOf(NIC, "cancelnic", "cancelnic::anchor::ANCHOR");
    }

    get FilterModules() {
        return filterModules();
    }

    get Trace() {
        return readTrace(this.__anchor);
    }

    get Devices() {
        const anchor = this.__anchor;
        const trace = readTrace(anchor);
        return anchor.at("devices").elements()
            .filter((place) => !place.isNull())
            .map((place) => new Device(place, trace));
    }

    toString() {
        return "cancelnic.sys, cancelnic-lwf.sys";
    }
}

// ---- Commands ----

// !cancelnic: each device, then each of its queues with its status register, ring and virtqueue.
function showDevices() {
    const lines = [];
    for (const device of new Cancelnic().Devices) {
        lines.push(device);
        for (const queue of device.Queues) {
            lines.push(queue, queue.Status, queue.Ring, queue.Virtqueue);
        }
    }
    return lines.length === 0 ? "cancelnic.sys is loaded and has no device" : lines;
}

// !cancelnic_ring ["tx" or "rx"]: the packets that the driver owns.
function showRing(side) {
    const lines = [];
    for (const device of new Cancelnic().Devices) {
        for (const queue of device.Queues) {
            if (side === undefined || queue.Name.startsWith(String(side))) {
                lines.push(queue.Ring, ...queue.Ring.Elements);
            }
        }
    }
    return lines.length === 0 ? "no such packet queue" : lines;
}

// !cancelnic_trace: the last events, the oldest first.
function showTrace() {
    return new Cancelnic().Trace;
}

// !cancelnic_filter: each module, then the lists that it holds.
function showFilter() {
    const lines = [];
    for (const module of filterModules()) {
        lines.push(module, ...module.HeldById, ...module.Held);
    }
    return lines.length === 0 ? "cancelnic-lwf.sys is loaded and attached to nothing" : lines;
}

class SessionExtension {
    get Cancelnic() {
        return new Cancelnic();
    }
}

// The debugger calls this when it loads the script. A dot in an alias would name another extension's function.
function initializeScript() {
    return [
        new host.apiVersionSupport(1, 3),
        new host.functionAlias(showDevices, "cancelnic"),
        new host.functionAlias(showRing, "cancelnic_ring"),
        new host.functionAlias(showTrace, "cancelnic_trace"),
        new host.functionAlias(showFilter, "cancelnic_filter"),
        new host.namedModelParent(SessionExtension, "Debugger.Models.Session"),
    ];
}
