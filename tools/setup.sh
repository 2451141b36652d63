#!/usr/bin/env bash
# Make this checkout able to run: system packages, a virtual environment in .venv, the BPF objects.
#
#   tools/setup.sh          what the agent needs
#   tools/setup.sh dev      the developers' tools too (pytest, ruff, mypy, clang-format, ...)
#
# Safe to run again: each step is skipped when it is done. Nothing outside .venv and the system's
# package database is written; no other Python environment is touched.
. "$(dirname "$0")/common.sh"

EXTRAS=${1:-}

# The first compiler that is here or can be had, of those that bpf/Makefile looks for.
choose_clang() {
    local version
    for version in 19 18; do
        command -v "clang-$version" >/dev/null && command -v "llvm-strip-$version" >/dev/null &&
            { echo "$version"; return; }
    done
    refresh_package_lists
    for version in 19 18; do
        has_candidate "clang-$version" && { echo "$version"; return; }
    done
    die "no clang of version 18 or newer is to be had from apt; the BPF objects need one"
}

system_packages() {
    install_packages ca-certificates make libbpf1 libbpf-dev linux-libc-dev
    CLANG_VERSION=$(choose_clang)
    command -v "clang-$CLANG_VERSION" >/dev/null || install_packages "clang-$CLANG_VERSION"
    command -v "llvm-strip-$CLANG_VERSION" >/dev/null || install_packages "llvm-$CLANG_VERSION"
    if [ "$EXTRAS" = dev ] && ! command -v "clang-format-$CLANG_VERSION" >/dev/null; then
        install_packages "clang-format-$CLANG_VERSION"
    fi
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# The distribution's Python if it is new enough: it is the one that stays. Otherwise any other.
choose_python() {
    local candidate
    [ -x /usr/bin/python3 ] || install_packages python3
    for candidate in /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3; do
        is_new_enough "$candidate" && { command -v "$candidate"; return; }
    done
    die "Python 3.11 or newer is needed; the distribution's is $(/usr/bin/python3 --version)"
}

virtual_environment() {
    if ! is_new_enough "$VENV/bin/python" || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        local python
        python=$(choose_python)
        [ "$python" = /usr/bin/python3 ] && install_packages python3-venv
        say "creating $VENV with $python"
        rm -rf "$VENV"
        "$python" -m venv "$VENV"
    fi
}

python_package() {
    local stamp
    stamp=$(stamp_of pyproject.toml hatch_build.py "$("$VENV/bin/python" --version)" "$PWD")
    is_done "package-dev" "$stamp" && return
    [ "$EXTRAS" = "" ] && is_done package "$stamp" && return
    say "installing the package and its dependencies${EXTRAS:+ ($EXTRAS)}"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".${EXTRAS:+[$EXTRAS]}"
    mark_done "package${EXTRAS:+-$EXTRAS}" "$stamp"
}

system_packages
virtual_environment
python_package
make --silent -C bpf
