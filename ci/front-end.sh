# Sourced by ci/linux-guest and ci/dpdk-guest: the device under a front end that is not ours, watched by its judge.
#
# A caller sets `name` (its own, for messages) and `folder` (for what it keeps).

missing() {
    echo "$name: missing: $1" >&2
    exit 3
}

work=$(mktemp -d)
device=
clean() {
    [ -z "$device" ] || kill "$device" 2>/dev/null || true
    rm -rf "$work"
}
trap clean EXIT

# Starts the device, with more arguments if given, on the socket $work/device; its log and trace stay in $folder.
start_device() {
    mkdir -p "$folder"
    rm -f "$folder/trace.json"
    cargo build --quiet -p vhost-device-cancelnic
    "${CARGO_TARGET_DIR:-target}/debug/vhost-device-cancelnic" --socket-path "$work/device" --wire loopback "$@" \
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
        echo "$name: the judge found:" >&2
        head -n 20 <<<"$findings" >&2
        exit 1
    fi
    doorbells=$(grep -c '"doorbell"' "$folder/trace.json") || {
        echo "$name: the device's trace, $folder/trace.json, holds no doorbell" >&2
        exit 1
    }
    echo "the judge found nothing in $doorbells doorbells"
}
