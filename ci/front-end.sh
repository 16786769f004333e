# shellcheck shell=bash
# Sourced by ci/linux-guest and ci/dpdk-guest after ci/common.sh: the device under a front end that is not ours, watched
# by its judge.
#
# A caller sets `folder` (for what it keeps) and has called make_device.

work=$(mktemp -d)
device=
clean() {
    [ -z "$device" ] || kill "$device" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT

# make_device ARGUMENT...: builds the device, and has it judge the arguments that are meant for it.
make_device() {
    cargo build --package vhost-device-cancelnic || exit 3
    device_program=${CARGO_TARGET_DIR:-target}/debug/vhost-device-cancelnic
    local status=0 said
    said=$("$device_program" --socket-path "$work/no/folder" "$@" 2>&1) || status=$?
    [ "$status" -ne 2 ] || usage_error "the device refuses its arguments: ${said%% (see*}"
}

# Starts the device, with more arguments if given, on the socket $work/device; its log and trace stay in $folder.
start_device() {
    mkdir -p "$folder"
    rm -f "$folder/trace.json"
    "$device_program" --socket-path "$work/device" --wire loopback "$@" \
        --queue-size 256 --trace "$folder/trace.json" >"$work/greeting" 2>"$folder/device.log" &
    device=$!
    until grep -q listening "$work/greeting"; do
        kill -0 "$device" 2>/dev/null || missing "a device that starts: $(tail -n 1 "$folder/device.log")"
        sleep 0.1
    done
}

# After the device has ended: what its judge found is a fault, and so is a trace that the judge did not look at.
check_findings() {
    local findings doorbells
    if findings=$(grep '"descriptor"' "$folder/trace.json"); then
        say "the judge found:"
        head -n 20 <<<"$findings" >&2
        exit 1
    fi
    doorbells=$(grep -c '"doorbell"' "$folder/trace.json") || {
        say "the device's trace, $folder/trace.json, holds no doorbell"
        exit 1
    }
    echo "the judge found nothing in $doorbells doorbells"
}
