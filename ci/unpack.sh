# Sourced by ci/setup and ci/judges: Debian packages, with all that they need, unpacked into a folder. Nothing is
# installed into the system, and no root is needed.
#
# A caller sets `apt` to a folder for apt's own state, which is made anew.

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

# The archive that this machine's own apt sources name, as `types, URIs, key` in one stanza, for the suites given.
write_sources() {
    local file stanza
    for file in /etc/apt/sources.list.d/{debian,ubuntu}.sources; do
        [ -r "$file" ] || continue
        stanza=$(awk -v suites="$*" '
            /^[ \t]*$/ { if (seen) exit; next }
            /^#/ { next }
            /^Suites:/ { print "Suites: " suites; seen = 1; next }
            /^Types:/ { print "Types: deb"; next }
            { print }' "$file")
        [ -n "$stanza" ] || continue
        printf '%s\n' "$stanza" >"$apt/qemu.sources"
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
        END { exit !found }' /etc/apt/sources.list >"$apt/qemu.list"
}

# apt with a state of its own: an empty dpkg status, so that the whole closure is chosen, and no sandbox user, which
# could not enter this folder (and does not exist for anyone but root).
prepare_apt() {
    rm -rf "$apt"
    mkdir -p "$apt"/{lists/partial,cache/archives/partial,state}
    : >"$apt/state/status"
    write_sources "$@" || return 1
    cat >"$apt/preferences" <<PREFERENCES
Package: qemu-* seabios ipxe-qemu
Pin: release a=*-backports
Pin-Priority: 990
PREFERENCES
    local sources
    sources=$(compgen -G "$apt/qemu.*")
    cat >"$apt/apt.conf" <<CONF
Dir::State "$apt/state";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/state/status";
Dir::Cache "$apt/cache";
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
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
CONF
    apt-get -qq -c "$apt/apt.conf" update >&2
}

# unpack FOLDER PACKAGE...: fetches the packages and what they need, after prepare_apt, and unpacks them.
unpack() {
    local root=$1 package
    shift
    apt-get -qq -c "$apt/apt.conf" --download-only install "$@" >&2 || return 1
    mkdir -p "$root"
    for package in "$apt"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink --no-same-owner || return 1
    done
    rm -rf "$apt"
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
