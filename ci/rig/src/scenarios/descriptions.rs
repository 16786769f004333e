//! A line on each scenario: what it shows. `cargo rig test --list` prints them, and the page over all scenarios.

/// The line of the scenario of that name. A test holds that there is one.
pub fn of(name: &str) -> &'static str {
    DESCRIPTIONS.iter().find(|row| row.0 == name).map_or("", |row| row.1)
}

/// By name.
pub const DESCRIPTIONS: &[(&str, &str)] = &[
    (
        "callbacks-keep-their-order",
        "each queue's callbacks come in NetAdapterCx's order and never overlap, through four lives",
    ),
    ("caught-acknowledged-outside-stop", "a relay that acknowledges a stop outside EvtIoStop is caught"),
    ("caught-cancelled-request-lost", "an interface that never completes a cancelled request is caught"),
    ("caught-completed-after-recall", "a relay that completes a request again after its recall is caught"),
    ("caught-completed-twice", "an interface that completes a request twice is caught"),
    (
        "caught-completed-while-cancelable",
        "an interface that completes a request without unmarking it is caught",
    ),
    ("caught-deleted-while-sent", "a relay that deletes a request which is under way is caught"),
    (
        "caught-no-receive-filter",
        "a driver that offers no receive filter, as every client of NetAdapterCx 2.0, is bound by no protocol",
    ),
    ("caught-filter-completes-own-up", "a filter that hands its own lists to the driver above is caught"),
    ("caught-filter-completes-twice", "a filter that completes a list twice is caught"),
    ("caught-filter-forgets-to-pass-on", "a filter that does not pass a cancel by ID down is caught"),
    (
        "caught-filter-ignores-high-byte",
        "a filter that compares no high-order byte of a cancellation ID is caught",
    ),
    (
        "caught-filter-keeps-stale-id",
        "a filter that leaves an old cancellation ID on a list it uses again is caught",
    ),
    ("caught-filter-loses-held-on-pause", "a filter that pauses with lists still held is caught"),
    ("caught-filter-matches-null", "a filter that takes NULL for a cancellation ID is caught"),
    ("caught-filter-pauses-at-once", "a filter that pauses with its own lists still below is caught"),
    ("caught-filter-reorders-the-rest", "a filter that reorders the lists which a cancel leaves is caught"),
    ("caught-filter-sends-while-paused", "a filter that sends while it is paused is caught"),
    ("caught-filter-sets-no-status", "a filter that aborts a list without its status is caught"),
    ("caught-handle-of-another-kind", "a relay that passes a handle of another kind is caught"),
    ("caught-local-target-closed", "a relay that closes its local I/O target is caught"),
    (
        "caught-loop-in-cancel",
        "an endless loop in EvtCancel is named with callback, function, file, line and IRQL",
    ),
    ("caught-null-read-in-cancel", "a read at 0x18 in EvtCancel is named with function, file and line"),
    ("caught-packet-kept", "a driver that keeps one cancelled transmit packet is caught"),
    ("caught-panic-in-cancel", "a Rust panic in EvtCancel is named with file, line, column and message"),
    ("caught-purge-ignored", "a relay that ignores EvtIoStop with Purge is caught"),
    (
        "caught-recall-without-reference",
        "a relay that recalls a request without holding a reference is caught",
    ),
    ("caught-resume-forgotten", "a driver that does not resume a cancelled queue at its restart is caught"),
    (
        "caught-rx-buffers-before-stopped",
        "a driver that returns receive buffers while the device still writes is caught",
    ),
    ("caught-sent-while-sent", "a relay that sends a request which is under way is caught"),
    (
        "caught-sent-without-reuse",
        "a relay that sends a completed request again without reusing it is caught",
    ),
    (
        "caught-sleep-in-prepare-hardware",
        "an endless sleep in EvtDevicePrepareHardware is named with function, file and line",
    ),
    ("caught-stop-not-acknowledged", "a relay that forgets to acknowledge a stop is caught"),
    ("caught-target-without-power", "a relay that leaves its target running without power is caught"),
    ("caught-wait-in-cancel", "a driver that waits in EvtCancel, at DISPATCH_LEVEL, is caught"),
    (
        "cause-cancel-never-written",
        "a driver that never writes CANCEL fails by its own reset of the device, with its watchdog's line",
    ),
    (
        "cause-completion-skipped",
        "a driver that skips a completion fails by the frames that it reports as sent and that never left",
    ),
    (
        "cause-doorbell-not-rung",
        "a driver that rings no doorbell fails by the device judge's finding, before any wait has run out",
    ),
    (
        "cause-returned-before-used",
        "a driver that returns packets before the device has used them fails by those frames",
    ),
    (
        "cause-sent-marked-taken-back",
        "a driver that marks sent frames as taken back fails by those frames, not by the wait for them",
    ),
    (
        "copied-tree-builds-its-own-driver",
        "a copied checkout with its target folder builds its own driver, not the one it was copied from",
    ),
    (
        "debug-boots-an-image-for-windbg",
        "an image is started for a debugger: KD over COM1, then gdb's protocol for EXDI",
    ),
    (
        "debug-stops-in-cancel-callback",
        "gdb stops in the driver's Cancel callback, and the run goes on to a good end",
    ),
    (
        "demo-report-is-whole",
        "the demo leaves page, JSON, capture and logs, and its JSON agrees with the capture",
    ),
    ("direct-control-code", "a METHOD_OUT_DIRECT answer is written straight into the program's buffer"),
    ("failure-device-killed", "a killed device process is named as the cause, and nothing is left behind"),
    ("failure-inf-does-not-match", "an INF of another device ends the demo with one line and exit code 3"),
    ("failure-interrupted", "Ctrl-C in a demo ends it with exit code 130 and leaves no process and no file"),
    (
        "failure-qemu-gives-up",
        "a QEMU that ends at its start is named with its own last line and exit code 3",
    ),
    ("failure-qemu-without-the-device", "a QEMU without the vhost-user device is named, with exit code 3"),
    ("failure-rig-killed", "a rig that is killed takes its device and its machine along"),
    (
        "failure-socket-busy",
        "a socket that somebody else has is named as the device's failure, and nothing is left",
    ),
    ("failure-truncated-driver", "half a driver file ends the demo with one line and exit code 3"),
    ("failure-wrong-usage", "wrong flags end with one line and exit code 2"),
    (
        "file-closed-with-requests-outstanding",
        "closing a file ends its requests: cancelable, not cancelable, passed on",
    ),
    (
        "filter-asked-before-its-detach",
        "a program's request that reached the filter before its detach ends well",
    ),
    (
        "filter-cancel-another-drivers-id",
        "IDs that differ in the high-order byte alone belong to different drivers",
    ),
    (
        "filter-cancel-interleaved-ids",
        "of interleaved lists with two IDs, one ID is cancelled and the others keep their order",
    ),
    (
        "filter-cancel-none-one-some-all",
        "a cancel by ID hits none, one, some and all of the held lists; the rest keep their order",
    ),
    ("filter-cancel-null", "a cancel of NULL hits none of the unmarked lists"),
    (
        "filter-cancel-one-of-two-subgroups",
        "of the filter's own frames in two subgroups, one subgroup is cancelled",
    ),
    (
        "filter-cancel-races-completion",
        "a cancel by ID while the device completes: each list ends once, as sent or aborted",
    ),
    ("filter-cancel-stale-id", "a list that is used again without an ID is not hit by its old one"),
    (
        "filter-cancel-then-queue-cancel",
        "a cancel by ID, then the queue's cancel: every list ends once, none is lost",
    ),
    (
        "filter-cancel-while-detaching",
        "cancels that come while the filter detaches; a new module begins with new counters",
    ),
    (
        "filter-cancel-while-paused",
        "cancels and sends that find a paused filter: sends are refused, nothing is hit",
    ),
    (
        "filter-cancel-while-pausing",
        "cancels that come while own lists at the device keep a pause from ending",
    ),
    ("filter-cancelled-between-the-pauses", "a cancel by ID between the pauses of the stack's drivers"),
    ("filter-cancelled-then-paused", "a pause that overtakes a cancel by ID which is still on its way"),
    (
        "filter-counted-release",
        "a held filter lets a given count of lists pass, in order, later ones included",
    ),
    (
        "filter-detached-and-attached-again",
        "frames pass while the filter is detached; attached again, it holds once more",
    ),
    ("filter-detached-under-a-request", "the filter is detached while a program's request is inside it"),
    (
        "filter-most-lists-outstanding",
        "as many own lists as may be outstanding are sent, and one more is refused",
    ),
    ("filter-oid-requests-pass", "OID requests pass the filter both ways"),
    (
        "filter-pause-ends-with-the-last-list",
        "a pause of the filter ends when the last of its lists comes back",
    ),
    ("filter-paused-under-a-request", "the filter is paused while a program's request is inside it"),
    (
        "filter-power-and-unload-while-holding",
        "lists held while power goes and while the drivers unload come back as paused",
    ),
    (
        "filter-protocol-unbinds-and-binds",
        "the driver above cancels what the filter holds, unbinds, and binds again",
    ),
    (
        "filter-refuses-malformed-requests",
        "malformed control requests are refused with their status and change nothing",
    ),
    (
        "filter-steps-aside-and-in",
        "a filter that steps aside sees no list; back in its place, it holds and cancels",
    ),
    (
        "filter-ten-thousand-sends",
        "ten thousand sends under random cancels, holds and pauses: every list ends once",
    ),
    ("filter-two-in-one-stack", "two filters in one stack: both hold and cancel, in NDIS's order"),
    ("filter-without-memory", "without memory a send is refused whole, wherever in it memory ends"),
    (
        "foreign-driver-in-the-place-of-ours",
        "a package under other names runs in the place of ours; half of it is refused by name",
    ),
    (
        "foreign-driver-with-its-pdb",
        "another project's driver gets lines from the PDB beside it, unless that is of another build",
    ),
    (
        "forms-alike-across-ring-wrap",
        "both forms of the queue cancel give each frame the same fate across the ring's wrap",
    ),
    ("forms-alike-one-on-the-wire", "both forms of the queue cancel agree with one frame on the wire"),
    (
        "forms-alike-without-hardware-cancel",
        "both forms of the queue cancel agree on a device that takes nothing back",
    ),
    (
        "forms-same-frames-same-order",
        "both forms agree on frames on the hardware, in the ring only, and half received",
    ),
    (
        "hang-reported-device-holds",
        "a queue that the device holds is reported with every part, and goes back when it can",
    ),
    (
        "hang-reported-tx-packet-kept",
        "a transmit packet that is kept is reported: indices, fragments, registers, rings",
    ),
    (
        "image-failed-step-ends-the-installation",
        "a guest that reports a failed step of its installation ends it at once",
    ),
    ("image-interrupted-leaves-nothing", "Ctrl-C in an installation leaves no file and no process"),
    (
        "image-is-installed-sealed-and-verified",
        "from an ISO to a sealed image that is listed and verified, with a stand-in for Setup",
    ),
    (
        "image-stall-ends-with-a-picture-of-the-screen",
        "an installation that stands still ends with its phase and a picture of the screen",
    ),
    ("load-and-unload", "the drivers load, start and unload, and nothing is left in the guest"),
    ("local-target-answers", "requests to the local I/O target are answered in each way of sending"),
    (
        "local-target-power-and-removal",
        "what waits in the local I/O target waits through a power cycle and ends at removal",
    ),
    (
        "local-target-requests-passed-on",
        "a program's requests are passed down the stack to the local I/O target",
    ),
    (
        "local-target-stopped-and-purged",
        "a stopped local I/O target parks requests, and a purged one refuses them",
    ),
    (
        "machine-paused-in-a-cancel",
        "the virtual machine is paused while a cancel waits: leaving service finishes it",
    ),
    (
        "machine-paused-with-frames-held",
        "the virtual machine is paused with frames fetched: each is sent once afterwards",
    ),
    (
        "malformed-requests-are-refused",
        "control requests of every wrong length, version and value are refused and change nothing",
    ),
    (
        "manual-queue-ready-behind-a-cancelled-request",
        "a manual queue tells of a request behind one that is being cancelled",
    ),
    (
        "manual-queue-retrieve-and-requeue",
        "requests are fetched from a manual queue, given back to its head, and not reordered",
    ),
    ("manual-queue-tells-when-ready", "a manual queue tells of its first request, and of no later one"),
    (
        "nic-power-down-with-requests-pending",
        "the NIC loses power with requests waiting at it, and gets it back",
    ),
    (
        "nic-surprise-removal-before-its-queues-are-cancelled",
        "the NIC is pulled out under traffic: EvtCancel comes after D0Exit",
    ),
    (
        "nic-surprise-removal-while-its-queues-are-cancelled",
        "the NIC is pulled out while its queues wait for the device in a cancel",
    ),
    (
        "nic-surprise-removal-with-requests-pending",
        "the NIC is pulled out with requests of four kinds under way: each ends",
    ),
    (
        "queue-cancel-tells-those-who-wait",
        "programs that wait are told when EvtCancel has done its work, with its counts",
    ),
    (
        "queues-destroyed-and-created-anew",
        "the packet queues are destroyed and created again, and carry traffic",
    ),
    (
        "relay-power-down-with-a-request-pending",
        "the relay loses power with a passed request under way, and gets it back",
    ),
    (
        "relay-removal-with-a-request-pending",
        "the relay is removed with a passed request under way, which is recalled",
    ),
    (
        "receive-filter-lets-its-frames-through",
        "the protocol gets the frames that its packet filter names; those to other addresses are counted apart",
    ),
    ("reload-the-driver", "the driver is unloaded and loaded again, and carries traffic each time"),
    (
        "report-page-is-readable-in-a-browser",
        "the pages of a good, a failing and a long run fit wide and narrow screens, light and dark, and count right",
    ),
    (
        "report-trace-is-sound",
        "a run's trace is valid, with rig, device and callbacks on one clock, counters and arrows",
    ),
    ("request-becoming-cancelable", "a recall that meets the receiver while it marks the request cancelable"),
    (
        "request-cancelable",
        "a recall of a cancelable request calls EvtRequestCancel inside it, or finds it unmarked",
    ),
    (
        "bench-is-not-shipped",
        "the shipped NIC driver refuses every code and behaviour of the test bench, and mutants",
    ),
    (
        "request-cancelled-by-its-program",
        "a program's CancelIoEx reaches its request through the relay's sent request",
    ),
    ("request-cancelled-twice", "a second recall, later or at the same time, finds nothing"),
    ("request-completed", "a recall of a completed request changes nothing"),
    ("request-completing-now", "a recall that meets the completion while it runs"),
    ("request-forwarded", "a recall of a request that its receiver has forwarded to another queue"),
    (
        "request-ignoring-target-state",
        "a request sent although its target is stopped is recalled like any other",
    ),
    ("request-never-sent", "a recall before the send, and one that meets it half way"),
    ("request-not-cancelable", "a recall of a request that is not cancelable leaves it to its receiver"),
    ("request-parked", "a recall of a request that waits in a stopped target"),
    ("request-passed-on", "a recall of a program's request that the relay has passed on"),
    (
        "request-queued-at-the-target",
        "a recall of a request in the receiver's queue, and of one that is leaving it",
    ),
    ("request-send-and-forget", "a recall of a request that was sent and forgotten finds nothing"),
    ("request-synchronous", "a recall of a synchronous send by another thread"),
    ("request-with-timeout", "a recall before a time-out, and time-outs that recall by themselves"),
    ("requeue-to-another-kind-of-queue", "only a manual queue takes a request back; others refuse it"),
    ("rx-cancel-again-and-again", "ten rounds of traffic, receive cancel and restart: every frame arrives"),
    (
        "rx-cancel-frames-arriving",
        "a receive cancel while frames arrive: all of them are received after the restart",
    ),
    (
        "rx-cancel-frames-waiting",
        "a receive cancel with one frame half written and nine waiting: as documented",
    ),
    (
        "rx-cancel-frames-waiting-as-source",
        "the same by NetAdapterCx's source: one frame half written, nine waiting",
    ),
    ("rx-cancel-half-written", "no buffer goes back before the half written frame is whole"),
    ("rx-cancel-idle", "a receive cancel without traffic returns every buffer empty"),
    (
        "rx-cancel-unfinished-as-documented",
        "buffers that EvtCancel leaves never come back, as documented, and this is caught",
    ),
    (
        "rx-cancel-unfinished-as-source",
        "buffers that EvtCancel leaves come back by later polling, as in the source",
    ),
    (
        "rx-watchdog-resets-the-device",
        "a frame that stays half written: the watchdog resets the device, all buffers come back",
    ),
    ("stand-in-agent-loss-is-reported", "an agent that goes silent on an image is reported as such"),
    (
        "stand-in-bug-check-is-reported",
        "a bug check on an image is reported with its STOP code and a memory dump",
    ),
    (
        "stand-in-hang-is-reported",
        "a guest that hangs on an image is reported with queues, NMI and a memory dump",
    ),
    (
        "stand-in-image-runs-the-demo",
        "the demo runs on a stand-in image to a good verdict, and the image stays as sealed",
    ),
    (
        "stand-in-like-windows-runs-demo-and-scenarios",
        "a guest limited to what Windows offers runs the demo and every scenario it can",
    ),
    (
        "states-are-the-devices-own",
        "the report's states are the device's, on the rig's clock, and a short cancel shows",
    ),
    ("stop-a-slow-wire", "a data path with a slow wire is stopped under traffic"),
    ("stop-while-traffic-flows", "the data path is stopped while traffic flows: every frame has one fate"),
    (
        "target-stop-waits-for-the-completion-routine",
        "a target's stop waits for the completion routine of the last request",
    ),
    ("tx-cancel-across-ring-wrap", "a transmit cancel of 64 frames across the wrap of the packet ring"),
    (
        "tx-cancel-many-fragments",
        "a transmit cancel of frames of eight fragments, some of which did not fit the virtqueue",
    ),
    (
        "tx-cancel-many-rounds",
        "24 rounds of cancel and restart: the virtqueue wraps with cancelled chains in it",
    ),
    (
        "tx-cancel-never-posted",
        "a transmit cancel with 64 frames on the hardware and 136 in the packet ring only",
    ),
    ("tx-cancel-one-off-the-wire", "a transmit cancel with one of ten frames sent and not completed"),
    (
        "tx-cancel-one-on-the-wire",
        "a transmit cancel with one of ten frames on the wire: it is sent, nine are taken back",
    ),
    ("tx-cancel-still-available", "a transmit cancel of frames that the device has not fetched"),
    ("tx-cancel-twice", "EvtCancel called twice takes each frame back once"),
    ("tx-cancel-wire-held-0", "a transmit cancel of an empty queue"),
    ("tx-cancel-wire-held-1", "a transmit cancel of one frame that the device has fetched"),
    ("tx-cancel-wire-held-64", "a transmit cancel of 64 frames that the device has fetched"),
    ("tx-cancel-wire-held-ring-less-1", "a transmit cancel of a full packet ring, 255 frames"),
    (
        "tx-frames-too-long-are-skipped",
        "frames over the MTU are skipped in the packet ring and never reach the hardware",
    ),
    ("tx-no-cancel-drains", "without TX_CANCEL what the device has drains as sent"),
    ("tx-restart-and-send-again", "after a cancel and a restart 100 more frames are sent and received"),
    (
        "tx-watchdog-resets-the-device",
        "a completion that never comes: the watchdog resets the device, all packets come back",
    ),
    ("unload-while-traffic-flows", "the driver is unloaded while traffic flows: every frame has one fate"),
    (
        "whole-path-as-documented",
        "load, traffic, cancel, restart, power and unload, by NetAdapterCx's documentation",
    ),
    ("whole-path-as-source", "load, traffic, cancel, restart, power and unload, by NetAdapterCx's source"),
    (
        "windbg-extension-reads-a-stopped-driver",
        "the debugger's extension reads three stopped machines as they are",
    ),
    (
        "windows-machine-answers-at-every-address",
        "the machine of a Windows guest starts, and each device answers at its place",
    ),
    ("caught-cleanup-forgotten", "an interface that leaves the requests of a closed file waiting is caught"),
    ("caught-event-forgotten", "an interface that does not tell those who wait for a cancel event is caught"),
    (
        "caught-information-too-long",
        "an interface that reports more bytes than the output buffer holds is caught",
    ),
    ("caught-marked-twice", "an interface that marks a request cancelable twice is caught"),
    ("caught-used-after-completion", "an interface that uses a request after its completion is caught"),
    (
        "failure-interrupted-inside-a-scenario",
        "Ctrl-C in a test whose scenario runs a rig of its own leaves no process and no file of either",
    ),
    (
        "failure-output-cut-off",
        "a closed pipe ends the command in silence with exit code 141, a full output with one line and 3",
    ),
    (
        "failure-of-the-machine-is-no-fault",
        "no place for temporary files or for the report is one line and exit code 3, before anything is built",
    ),
    (
        "failure-driver-imports-what-is-not-offered",
        "a driver with an import that understudy does not offer ends the test at once with its name",
    ),
    (
        "tx-completion-before-arming",
        "a completion between the last EvtAdvance and the arming of tx0 is not lost",
    ),
    ("tx-completion-after-arming", "a completion just after tx0's notification is armed wakes the queue"),
    (
        "rx-frames-before-arming",
        "frames that arrive between the last EvtAdvance and the arming of rx0 are not lost",
    ),
    ("rx-frames-after-arming", "frames that arrive just after rx0's notification is armed wake the queue"),
    (
        "caught-tx-notify-forgotten",
        "a driver that does not look again after arming tx0 (a lost wake-up) is caught",
    ),
    (
        "caught-rx-notify-forgotten",
        "a driver that does not look again after arming rx0 (a lost wake-up) is caught",
    ),
    (
        "tx-notify-forgotten-as-source",
        "the lost wake-up of tx0 where the framework polls again, as in its source",
    ),
    (
        "rx-notify-forgotten-as-source",
        "the lost wake-up of rx0 where the framework polls again, as in its source",
    ),
];
