#!/usr/bin/env bash
# Under QEMU's TCG, a processor that waits in MWAIT sleeps where it is the only one, and spins where there are two.
#
# Packages: qemu-system-x86 1:7.2+dfsg-7+deb12u18+b3 (Debian 12) with what it needs, unpacked into a temporary folder, and gcc
# to assemble a guest of 150 bytes. Seen in the same way with 1:11.1.2+ds-3~bpo13+4 of Debian 13's backports.
# `-cpu max` reports MONITOR and MWAIT (CPUID leaf 1, ECX bit 3). By Intel's manual (volume 2, MWAIT) the instruction waits until the
# monitored line is written, so a guest that finds the bit waits in it rather than in HLT: edk2 leaves all processors but the first there
# when boot services end, whatever system comes after.
# Seen: the guest below lets its last processor wait in MWAIT if CPUID offers it, else in HLT, with interrupts off. Nobody ever writes the
# monitored line. With `-smp 1` that processor's thread uses no time. With `-smp 2` the second one's uses a whole processor of
# the host; `-cpu max,monitor=off` brings it to rest.
# Output, after each machine has waited for 4 s:
#   -smp 1 -cpu max: the processor in MWAIT sleeps
#   -smp 2 -cpu max: the processor in MWAIT spins
#   -smp 2 -cpu max,monitor=off: the processor in HLT sleeps
# Exit 0: as described; 1: it behaves differently now; 3: the packages cannot be had.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
version=1:7.2+dfsg-7+deb12u18+b3
mapfile -t packages < <(apt-get -s -qq install --no-install-recommends "qemu-system-x86=$version" 2>/dev/null |
    sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p')
[ ${#packages[@]} -gt 0 ] || packages=("qemu-system-x86=$version")
apt-get -qq -o APT::Sandbox::User= download "${packages[@]}" >&2 || exit 3
for package in *.deb; do dpkg-deb -x "$package" root; done

cat >guest.S <<'GUEST'
        .code32
        .balign 4
        .long 0x1badb002, 0, -0x1badb002        # Multiboot
        .globl start
start:  cli
        cmpl $1, processors
        je 2f
        mov $wait, %esi                         # the others start at 0x8000, in real mode
        mov $0x8000, %edi
        mov $waited - wait, %ecx
        rep movsb
        movl $0xc4500, 0xfee00300               # INIT, then start-up, to all but this one
        mov $10000000, %ecx
1:      loop 1b
        movl $0xc4608, 0xfee00300
        hlt
2:      mov $1, %eax
        cpuid
        test $8, %ecx
        jz 3f
        mov $0x9000, %eax
        xor %ecx, %ecx
        xor %edx, %edx
1:      monitor
        mwait
        jmp 1b
3:      hlt
        .code16
wait:   xor %ax, %ax
        mov %ax, %ds
        mov $1, %eax
        cpuid
        test $8, %ecx
        jz 3f
        mov $0x9000, %eax
        xor %ecx, %ecx
        xor %edx, %edx
1:      monitor
        mwait
        jmp 1b
3:      hlt
waited:
        .balign 4
processors: .long PROCESSORS
GUEST

# run PROCESSORS MODEL: prints the processor time of the last processor's thread over 4 s, in hundredths of a second.
run() {
    local last=$(($1 - 1)) root=$work/root qemu thread before
    gcc -m32 -nostdlib -static -no-pie -Wl,--build-id=none,-Ttext=0x100000,-estart -DPROCESSORS="$1" -o "guest$1" guest.S
    LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu "$root/usr/bin/qemu-system-x86_64" \
        -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -name guest,debug-threads=on -M q35 -accel tcg -cpu "$2" -smp "$1" -m 64 \
        -nodefaults -display none -kernel "guest$1" >&2 &
    qemu=$!
    sleep 6
    thread=$(grep -l "CPU $last/TCG" /proc/$qemu/task/*/comm)
    spent() { awk '{ print $14 + $15 }' "${thread%comm}stat"; }
    before=$(spent)
    sleep 4
    echo $(($(spent) - before))
    kill "$qemu"
    wait "$qemu" 2>/dev/null || true
}
# Of 400 hundredths a spinning thread gets what the host's other work leaves.
word() { if [ "$1" -ge 60 ]; then echo spins; elif [ "$1" -le 10 ]; then echo sleeps; else echo "did neither ($1)"; fi; }
one=$(run 1 max) two=$(run 2 max) off=$(run 2 max,monitor=off)
echo "-smp 1 -cpu max: the processor in MWAIT $(word "$one")"
echo "-smp 2 -cpu max: the processor in MWAIT $(word "$two")"
echo "-smp 2 -cpu max,monitor=off: the processor in HLT $(word "$off")"
[ "$(word "$one") $(word "$two") $(word "$off")" = "sleeps spins sleeps" ]
