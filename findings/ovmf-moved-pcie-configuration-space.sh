#!/usr/bin/env bash
# On QEMU's q35, where PCI Express configuration space lies is the firmware's choice: two releases of OVMF put it at two addresses.
#
# Packages: qemu-system-x86 1:7.2+dfsg-7+deb12u18+b3 and ovmf 2022.11-6+deb12u2 (Debian 12) with what they need, and ovmf
# 2025.02-8+deb13u1 (Debian 13), unpacked into a temporary folder.
# The host bridge's register PCIEXBAR (offset 0x60) has address, size and enable bit. SeaBIOS and OVMF of edk2 2022.11 write 0xb0000000
# there, which is in many guests as a constant ("the q35's ECAM"); OVMF of edk2 2025.02 writes 0xe0000000. The machine is the same; the
# ACPI table MCFG follows the register. A guest has to read one of the two.
# Seen: the same QEMU with one firmware after the other; the register is read by QEMU's monitor once it is enabled.
# Output:
#   ovmf 2022.11: PCIEXBAR 0xb0000001
#   ovmf 2025.02: PCIEXBAR 0xe0000001
# Exit 0: as described; 1: it behaves differently now; 3: the packages cannot be had.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# An apt of its own for two releases, from the archive and with the key that this machine's apt has.
archive=$( (cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null || true) | grep -v '^#' | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1)
mkdir -p lists/partial state cache/archives/partial
: >status
for suite in bookworm trixie; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${archive% } $suite main"
done >sources.list
cat >apt.conf <<CONF
Dir::State "$work/state";
Dir::State::Lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Default-Release "bookworm";
CONF
export APT_CONFIG=$work/apt.conf
apt-get -qq update >&2 || exit 3
mapfile -t needed < <(apt-get -s -qq install qemu-system-x86=1:7.2+dfsg-7+deb12u18+b3 | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1=\2/p')
[ ${#needed[@]} -gt 0 ] || exit 3
apt-get -qq download "${needed[@]}" ovmf=2022.11-6+deb12u2 ovmf=2025.02-8+deb13u1 >&2 || exit 3
mkdir old new
dpkg-deb -x ovmf_2022.11*.deb old
dpkg-deb -x ovmf_2025.02*.deb new
for package in *.deb; do
    case $package in ovmf_*) ;; *) dpkg-deb -x "$package" root ;; esac
done

# register FIRMWARE: prints PCIEXBAR, once the firmware has set it. In a shell of its own, with which the machine ends.
register() {
    local root=$work/root answer='' line
    cp "$1/usr/share/OVMF/OVMF_VARS_4M.fd" vars.fd
    coproc monitor {
        LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu exec "$root/usr/bin/qemu-system-x86_64" \
            -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -nodefaults -display none -machine q35 -accel tcg -cpu max -m 256 \
            -drive if=pflash,format=raw,readonly=on,file="$1/usr/share/OVMF/OVMF_CODE_4M.fd" \
            -drive if=pflash,format=raw,file=vars.fd -monitor stdio 2>qemu.log
    }
    # shellcheck disable=SC2154
    trap 'kill "$monitor_PID" 2>/dev/null || true' EXIT
    for _ in $(seq 600); do
        # The machine is stopped meanwhile, so that its own accesses do not come between.
        printf 'stop\no /4 0xcf8 0x80000060\ni /4 0xcfc\ncont\n' >&"${monitor[1]}"
        while IFS= read -r -t 30 -u "${monitor[0]}" line; do
            case $line in
            portl*) answer=${line##*= } && answer=${answer%%[!0-9a-fx]*} && break ;;
            esac
        done
        case $answer in *1) break ;; esac
        sleep 0.1
    done
    printf '0x%08x\n' "$answer"
}

old=$(register old) new=$(register new)
printf 'ovmf 2022.11: PCIEXBAR %s\novmf 2025.02: PCIEXBAR %s\n' "$old" "$new"
[ "$old $new" = "0xb0000001 0xe0000001" ] || exit 1
