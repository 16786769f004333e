# shellcheck shell=bash
# Sourced by scripts of ci/ after ci/common.sh: Debian packages, with all that they need, unpacked into a folder. Nothing
# is installed into the system, and no root is needed.
#
# Package lists and packages stay in $target/apt while a script needs them, shared by all scripts that run at the same time.

# What kind of system this is, such as `ubuntu debian`.
distribution() {
    # shellcheck source=/dev/null
    (. /etc/os-release && echo "${ID:-} ${ID_LIKE:-}")
}

# Name of its release, such as `bookworm`.
codename() {
    # shellcheck source=/dev/null
    (. /etc/os-release && echo "${VERSION_CODENAME:-}")
}

# Whether this machine has an apt whose archive can be used.
can_unpack() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    case " $(distribution) " in
    *" debian "* | *" ubuntu "*) ;;
    *) return 1 ;;
    esac
}

# The archive that this machine's own apt sources name, as `types, URIs, key` in one stanza, for the suites given.
write_sources() {
    local file stanza
    rm -f "$apt"/chosen.*
    for file in /etc/apt/sources.list.d/{debian,ubuntu}.sources; do
        [ -r "$file" ] || continue
        stanza=$(awk -v suites="$*" '
            /^[ \t]*$/ { if (seen) exit; next }
            /^#/ { next }
            /^Suites:/ { print "Suites: " suites; seen = 1; next }
            /^Types:/ { print "Types: deb"; next }
            { print }' "$file")
        [ -n "$stanza" ] || continue
        printf '%s\n' "$stanza" >"$apt/chosen.sources"
        return 0
    done
    [ -r /etc/apt/sources.list ] || return 1
    # One-line format: the first `deb` line gives options, archive and components.
    awk -v suites="$*" '
        $1 == "deb" {
            options = ""; at = 2
            if ($2 ~ /^\[/) { do { options = options $at " " } while ($(at++) !~ /\]$/) }
            n = split(suites, suite, " ")
            for (i = 1; i <= n; i++) {
                line = "deb " options $at " " suite[i]
                for (j = at + 2; j <= NF; j++) line = line " " $j
                print line
            }
            found = 1; exit
        }
        END { exit !found }' /etc/apt/sources.list >"$apt/chosen.list"
}

# Only one apt at a time works in these folders.
one_apt() { (flock 7 && apt-get -qq -c "$apt/apt.conf" "$@" >&2) 7>"$target/apt/lock"; }

# prepare_apt SUITE...: apt with a state of its own: an empty dpkg status, so that the whole closure is chosen, and no
# sandbox user, which could not enter this folder (and does not exist for anyone but root). Lists of the last hour do.
prepare_apt() {
    local key="$*"
    apt=$target/apt/${key// /+}
    mkdir -p "$apt"/{lists/partial,state,none/partial} || return 1
    # Whoever comes last takes the packages away: see forget_packages.
    exec 6>"$target/apt/users"
    flock --shared 6
    mkdir -p "$target/apt/packages/partial"
    [ -z "$(find "$apt/updated" -mmin -60 2>/dev/null)" ] || return 0
    : >"$apt/state/status"
    write_sources "$@" || return 1
    cat >"$apt/preferences" <<PREFERENCES
Package: qemu-* seabios ipxe-qemu
Pin: release a=*-backports
Pin-Priority: 990
PREFERENCES
    local sources
    sources=$(compgen -G "$apt/chosen.*")
    cat >"$apt/apt.conf" <<CONF
Dir::State "$apt/state";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/state/status";
Dir::Cache "$apt";
Dir::Cache::archives "$target/apt/packages";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
Dir::Etc::sourcelist "$sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "$apt/preferences";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "$apt";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Get::Assume-Yes "true";
APT::Keep-Downloaded-Packages "true";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
CONF
    one_apt update && touch "$apt/updated"
}

# unpack FOLDER PACKAGE...: fetches the packages and what they need, after prepare_apt, and unpacks them, without manuals.
unpack() {
    local root=$1 file
    local -a files
    shift
    # Into an empty folder, so that packages are listed that another script has fetched already.
    mapfile -t files < <(apt-get -qq -c "$apt/apt.conf" -o Dir::Cache::archives="$apt/none/" --print-uris install "$@" |
        awk '{ print $2 }')
    [ ${#files[@]} -gt 0 ] && one_apt --download-only install "$@" || {
        rm -f "$apt/updated"
        return 1
    }
    mkdir -p "$root"
    for file in "${files[@]}"; do
        dpkg-deb --fsys-tarfile "$target/apt/packages/$file" |
            tar -x -C "$root" --keep-directory-symlink --no-same-owner --exclude='./usr/share/man/*' \
                --exclude='./usr/share/doc/*/*' --exclude='./usr/share/locale/*' || return 1
    done
}

# The packages are of use only until they are unpacked; another script that is at it keeps them.
forget_packages() {
    [ -e "$target/apt/users" ] || return 0
    exec 6>"$target/apt/users"
    flock --nonblock 6 || return 0
    rm -rf "$target"/apt/packages
}

# wrap_program FOLDER PROGRAM: a script in FOLDER that runs the program unpacked in FOLDER/../root with the C library
# unpacked there, wherever the folder has moved to.
wrap_program() {
    cat >"$1/$2" <<'WRAPPER'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/../root
libraries=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
for loader in "$root"/lib64/ld-linux-x86-64.so.2 "$root"/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 \
    "$root"/usr/lib64/ld-linux-x86-64.so.2 "$root"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2; do
    [ -f "$loader" ] && break
done
name=$(basename "$0")
exec "$loader" --library-path "$libraries" --argv0 "$name" "$root/usr/bin/$name" "$@"
WRAPPER
    chmod +x "$1/$2"
}
