# Shared by the scripts beside it; sourced, not run.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv
export DEBIAN_FRONTEND=noninteractive

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Run a command as root: directly, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        die "this needs root and there is no sudo; as root, run: $*"
    fi
}

# Print those of the named packages that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            echo "$package"
    done
}

# True when apt knows a version of the package to install. (No pipe: under pipefail grep -q would
# end apt-cache by SIGPIPE and turn a match into a failure.)
has_candidate() {
    grep -q '^ *Candidate: [^(]' <<<"$(apt-cache policy "$1" 2>/dev/null)"
}

# Services that come with a package (apache2, nginx, docker) are not started: the tests start their own.
# A policy that the machine already has is left as it is.
without_starting_services() {
    local policy=/usr/sbin/policy-rc.d status=0
    [ -e "$policy" ] && { "$@"; return; }
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod +x "$policy"
    "$@" || status=$?
    as_root rm -f "$policy"
    return "$status"
}

# Read package lists once, and only when something has to be installed.
refresh_package_lists() {
    [ -n "${lists_are_fresh:-}" ] && return
    as_root apt-get update -qq
    lists_are_fresh=1
}

# Install the named packages that are missing, and no recommendations.
install_packages() {
    command -v apt-get >/dev/null ||
        die "only Debian 12+ and Ubuntu 24.04+ are set up automatically; install: $*"
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} = 0 ] && return
    say "installing ${missing[*]}"
    refresh_package_lists
    without_starting_services as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install: ${missing[*]}"
}

# Steps that took long leave the hash of their inputs behind; the same hash again means nothing to do.
stamp_of() { # FILES... WORDS...: hash of the files' content and of the words
    local item
    for item in "$@"; do
        if [ -f "$item" ]; then cat "$item"; else printf '%s\n' "$item"; fi
    done | sha256sum | cut -d' ' -f1
}
is_done() { [ "$(cat "$VENV/.stamps/$1" 2>/dev/null)" = "$2" ]; }
mark_done() {
    mkdir -p "$VENV/.stamps"
    printf '%s\n' "$2" >"$VENV/.stamps/$1"
}
