#!/usr/bin/env bash
# Install what the test suites run: the packages named in integration/**/REQUIREMENTS, the developers'
# Python tools, the kernels that guests boot, and a root with an older OpenSSL. Safe to run again.
. "$(dirname "$0")/common.sh"

# A runtime that is here from elsewhere (PATH) serves as well as the distribution's.
command_of() {
    case $1 in
        nodejs) echo node ;;
        golang-go) echo go ;;
        cargo) echo cargo ;;
        chromium) echo chromium ;;
        default-jdk-headless) echo javac ;;
        docker.io) echo dockerd ;;
        *) echo "" ;;
    esac
}

# Debian 12 has a second one, for its browsers, that knows today's lock files.
package_of() {
    case $1-$(. /etc/os-release && echo "${VERSION_CODENAME:-}") in
        cargo-bookworm) echo cargo-web ;;
        *) echo "$1" ;;
    esac
}

requirements() {
    local package command
    sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' integration/REQUIREMENTS integration/*/REQUIREMENTS 2>/dev/null |
        sort -u | while read -r package; do
        command=$(command_of "$package")
        if [ -z "$command" ] || ! command -v "$command" >/dev/null; then package_of "$package"; fi
    done
}

tools/setup.sh dev
mapfile -t packages < <(requirements)
install_packages "${packages[@]}"
"$VENV/bin/python" -m integration.guest.kernels fetch
"$VENV/bin/python" -m integration.harness.roots fetch
"$VENV/bin/python" -m integration.harness.booted fetch
"$VENV/bin/python" -m integration.harness.resolved fetch
