#!/usr/bin/env bash
# Debian's Wine runs the file `wineserver` beside its loader although $WINESERVER names another one.
#
# Packages: wine64 and libwine 8.0~repack-4 (Debian 12), unpacked into a temporary folder; nothing is installed.
# Its manual page wineserver(1) has: "WINESERVER: Specifies the path and name of the wineserver binary that will be launched
# automatically by wine. If not set, wine will try to load /usr/lib/wine/wineserver, and if this doesn't exist it will then
# look for a file named "wineserver" in the path and in a few other likely locations."
# Seen: set or not, the variable is looked at only where no file of that name lies beside the loader. In Debian's package one does: a
# shell script for an installed system, with absolute paths. So an unpacked Wine, started with WINESERVER set to its own
# server, ends with "unable to find wineserver executable": the script's words, not Wine's.
# Output:
#   beside the loader: the server beside it was started
#   none beside it:    the server of $WINESERVER was started
# Exit 0: as described; 1: it behaves differently now; 3: the packages cannot be had.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get -qq -o APT::Sandbox::User= download wine64=8.0~repack-4 libwine=8.0~repack-4 libunwind8 >&2 || exit 3
for package in *.deb; do dpkg-deb -x "$package" root; done

at=root/usr/lib/wine
for place in beside variable; do
    printf '#!/bin/sh\necho %s >>%s/started\nexit 1\n' "$place" "$work" >"$work/$place"
    chmod +x "$work/$place"
done

# start: runs Wine until it wants its server; prints which of the two it started.
start() {
    rm -f started
    LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu WINEPREFIX=$work/prefix WINEDEBUG=-all \
        WINESERVER=$work/variable timeout 60 "$at/wine64" cmd /c exit >/dev/null 2>&1 || true
    sort -u started 2>/dev/null || echo none
}
cp beside "$at/wineserver"
first=$(start)
rm "$at/wineserver"
second=$(start)
name() { case $1 in beside) echo "the server beside it was started" ;; variable) echo "the server of \$WINESERVER was started" ;; *) echo "$1" ;; esac; }
echo "beside the loader: $(name "$first")"
echo "none beside it:    $(name "$second")"
[ "$first" = beside ] && [ "$second" = variable ]
