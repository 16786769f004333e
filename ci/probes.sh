# shellcheck shell=bash
# Sourced by ci/judges: a small piece of real work for each program that was unpacked, so that one that does not start, or
# does nothing, is known by its own words before a test meets it.

# stamp_of FOLDER: changes with what lies there and with the probes.
stamp_of() {
    {
        (cd "$1" && find . -printf '%P %s %l %m\n' | LC_ALL=C sort)
        cat ci/probes.sh
    } | sha256sum | cut -d' ' -f1
}

# probe FOLDER PROGRAM: with FOLDER first on PATH. A failure is told with the program's own last lines.
probe() {
    local work status=0
    work=$(mktemp -d)
    # In a shell of its own, with -e although the caller asks for the outcome: each line has to hold.
    PATH=$1:$PATH WORK=$work bash -euo pipefail -c "$(declare -f "probe_$2"); cd \"\$WORK\"; probe_$2" >"$work/said" 2>&1 </dev/null ||
        status=$?
    if [ "$status" -ne 0 ]; then
        say "$2 is there and does not work (exit $status); its last lines:"
        tail -n 8 "$work/said" | sed 's/^/    /' >&2
    fi
    rm -rf "$work"
    return "$status"
}

probe_genisoimage() {
    echo "a judge's words" >file.txt
    genisoimage -quiet -o image.iso file.txt
    [ "$(tail -c +32770 image.iso | head -c 5)" = CD001 ]
}

probe_chromium() {
    echo '<p id="word"></p><script>word.textContent = 6 * 7</script>' >page.html
    # The page is the probe's own.
    HOME=$PWD chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --dump-dom "file://$PWD/page.html" | grep 42
}

probe_xorriso() {
    echo "a judge's words" >file.txt
    xorriso -as mkisofs -quiet -o image.iso file.txt
    xorriso -indev image.iso -find / -type f >found
    cat found
    grep -qi file.txt found
}

probe_mtools() {
    echo "a judge's words" >file.txt
    mtools -c mformat -C -i image.img -f 1440 ::
    mtools -c mcopy -i image.img file.txt ::
    mtools -c mtype -i image.img ::file.txt | cmp - file.txt
}

probe_openssl() {
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=probe -keyout key.pem -out certificate.pem
    openssl verify -CAfile certificate.pem certificate.pem
}

# The smallest image for Windows that can be signed: headers and one section.
probe_osslsigncode() {
    local at bytes
    head -c 1024 /dev/zero >plain.exe
    while read -r at bytes; do
        # shellcheck disable=SC2059
        printf "$bytes" | dd of=plain.exe bs=1 seek="$at" conv=notrunc status=none
    done <<'IMAGE'
0 MZ
60 \x40
64 PE\0\0\x64\x86\x01
84 \xf0\0\x22\0\x0b\x02
92 \0\x02
104 \0\x10
120 \0\x10\0\0\0\x02
144 \0\x20\0\0\0\x02
196 \x10
328 .text\0\0\0\0\x02\0\0\0\x10\0\0\0\x02\0\0\0\x02
IMAGE
    openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=probe -addext extendedKeyUsage=codeSigning \
        -keyout key.pem -out certificate.pem
    osslsigncode sign -certs certificate.pem -key key.pem -in plain.exe -out signed.exe
    osslsigncode verify -CAfile certificate.pem -in signed.exe
    # ... and one that was changed is refused
    printf '\xff' | dd of=signed.exe bs=1 seek=700 conv=notrunc status=none
    ! osslsigncode verify -CAfile certificate.pem -in signed.exe
}

probe_shellcheck() {
    printf '#!/bin/sh\necho $1\n' >script
    ! shellcheck script >found
    cat found
    grep -q SC2086 found
}

probe_python3() {
    python3 -c 'import xml.etree.ElementTree as tree; print(tree.fromstring("<a><b/></a>")[0].tag)' | grep -qx b
}

# Its own Python, its own files, and those of a program.
probe_gdb() {
    gdb -nx -batch -ex 'python print(6 * 7)' -ex 'info line' -ex "file $(readlink -f "$(command -v bash)")" \
        -ex 'print $_siginfo' -ex 'info files' >found 2>&1 || true
    cat found
    grep -qx 42 found
    grep -q 'Entry point: 0x' found
    ! grep -qi 'could not load\|python exception' found
}

probe_node() {
    printf 'require("node:test").test("works", () => {})\n' >a.test.js
    node --test a.test.js
    npm --version
}

# A prefix is made, a program runs in it, and what it started ends.
probe_wine() {
    export WINEPREFIX=$WORK/prefix WINEDEBUG=fixme-all WINEDLLOVERRIDES='mscoree,mshtml=;winemenubuilder.exe=d'
    unset DISPLAY WAYLAND_DISPLAY
    trap 'wineserver --kill || true; wineserver --wait || true' EXIT
    wine wineboot --init
    wine cmd /c 'echo works' >found
    cat found
    grep -q works found
}
