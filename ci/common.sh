# shellcheck shell=bash
# Sourced by the scripts of ci/ before anything else, with their arguments as they are: their help, the folder that they
# write to, and the lines that they print when something is missing. The working folder becomes the workspace's top.
#
# Sets `top` (the workspace), `script` (its name, for messages) and `target` (the folder that cargo and the rig use too).

_script=$(readlink -f "${BASH_SOURCE[-1]}")
top=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
script=${_script#"$top/ci/"}
cd "$top" || exit 3

# The comment at the top of a script is its help.
for _argument in "$@"; do
    case $_argument in
    -h | --help)
        awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$_script"
        exit 0
        ;;
    esac
done

# As ci/rig/lab/src/base/places.rs has it: relative to the workspace. The programs that are started get it as an absolute path.
case ${CARGO_TARGET_DIR:-} in
'') target=$top/target ;;
/*) target=$CARGO_TARGET_DIR ;;
*) target=$top/$CARGO_TARGET_DIR ;;
esac
[ -z "${CARGO_TARGET_DIR:-}" ] || export CARGO_TARGET_DIR=$target

say() { printf '%s: %s\n' "$script" "$*" >&2; }

# background COMMAND...: in a process group of its own, which stop_background ends. Its process is in $started. Without a
# group of its own it would not see Ctrl-C.
_groups=()
background() {
    set -m
    "$@" &
    started=$!
    set +m
    _groups+=("$started")
}
stop_background() {
    local group
    for group in "${_groups[@]}"; do
        kill -- "-$group" 2>/dev/null || true
    done
}

# missing WHAT [HOW TO GET IT]: ends the script.
missing() {
    say "missing: $1"
    [ $# -lt 2 ] || say "get it with: $2"
    exit 3
}

usage_error() {
    say "$1; see $0 --help"
    exit 2
}

# no_arguments "$@": for a script that takes none but --help.
no_arguments() { [ $# -eq 0 ] || usage_error "unknown argument: $1"; }

# refuse LINE: ends the script where the machine does not allow what it needs.
refuse() {
    say "$1"
    exit 3
}
readonly _elsewhere="set CARGO_TARGET_DIR to a folder on another disk"

# Makes the target folder, or ends the script with one line.
make_target() {
    local error trial=$target/.writable.$$
    error=$( (mkdir -p "$target" && : >"$trial") 2>&1) && rm -f "$trial" && return
    case $error in
    *"No space left"*) refuse "no space left in $target: free some, or $_elsewhere" ;;
    esac
    refuse "cannot write to $target (${error##*: }): set CARGO_TARGET_DIR to a folder that can be written"
}

free_megabytes() { df -Pm "$target" | awk 'NR == 2 { print $4 }'; }

# need_space MEGABYTES WHAT: ends the script with one line if the target folder's disk has less.
need_space() {
    local free
    free=$(free_megabytes)
    [ "${free:-0}" -ge "$1" ] || refuse "no space: $2 needs $1 MB, and $target has $free MB left: free some, or $_elsewhere"
}

# download_failed WHAT HOW: what stopped it may be the disk, not the network.
download_failed() {
    [ "$(free_megabytes)" -ge 20 ] || refuse "no space left in $target for $1: free some, or $_elsewhere"
    missing "$1 (the download failed)" "$2"
}
