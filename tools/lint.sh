#!/usr/bin/env bash
# Run every static check, all of them even when one fails, and exit 1 if any did.
. "$(dirname "$0")/common.sh"

failed=()
check() { # NAME COMMAND...
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf '  ok    %s\n' "$name"
    else
        printf '  FAIL  %s\n%s\n' "$name" "$output"
        failed+=("$name")
    fi
}

check "ruff check" "$VENV/bin/ruff" check .
check "ruff format" "$VENV/bin/ruff" format --check .
check "mypy" "$VENV/bin/mypy"
check "import order of the stages" "$VENV/bin/lint-imports"
check "clang-format" tools/clang-format.sh --dry-run -Werror
check "generated ledger" "$VENV/bin/python" tools/generate_ledger.py --check
check "generated configuration docs" "$VENV/bin/python" tools/generate_configuration_docs.py --check
check "generated figures" "$VENV/bin/python" tools/generate_performance_docs.py --check
check "generated tables of signals" "$VENV/bin/python" tools/generate_signals_docs.py --check
check "shell syntax" bash -n tools/*.sh .ci/run

[ ${#failed[@]} = 0 ] || die "lint: ${failed[*]}"
