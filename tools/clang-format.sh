#!/usr/bin/env bash
# Format the C of bpf/ (`-i`), or say what is out of format (`--dry-run -Werror`).
. "$(dirname "$0")/common.sh"

for version in 19 18; do
    command -v "clang-format-$version" >/dev/null && break
done
mapfile -t files < <(find bpf -path bpf/build -prune -o \( -name '*.c' -o -name '*.h' \) -print)
[ ${#files[@]} = 0 ] || exec "clang-format-$version" --style=file "$@" "${files[@]}"
