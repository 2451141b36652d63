"""Every entry of the ledger has a test that provokes it, and that failed when its increment was taken out."""

from __future__ import annotations

import ast
import json
import tomllib
from pathlib import Path

import pytest

from otel_ebpf.kernel.ledger import Entry
from tools.mutate_ledger import CAUGHT, ELSEWHERE, places

ROOT = Path(__file__).parent.parent.parent
TESTS: dict[str, list[str]] = tomllib.loads((ROOT / "tests" / "ledger.toml").read_text())["tests"]
MUTANTS: dict[str, dict[str, str]] = json.loads((ROOT / "tests" / "ledger_mutants.json").read_text())
NAMES = [entry.name.lower() for entry in Entry]


def test_every_entry_has_its_tests_and_nothing_else_does() -> None:
    assert list(TESTS) == NAMES, "tests/ledger.toml has the entries of bpf/ledger.toml, in their order"
    assert all(TESTS.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_tests_exist(name: str) -> None:
    for node in TESTS.get(name, ()):
        path, _, function = node.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        functions = {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
        assert not function or function in functions, node


@pytest.mark.parametrize("name", NAMES)
def test_its_increments_were_taken_out_and_missed(name: str) -> None:
    """Where this fails: .venv/bin/python -m tools.mutate_ledger NAME."""
    counted = places(ROOT, name)
    assert counted, "nothing counts this entry"
    found = MUTANTS.get(name, {})
    assert len(found) >= len(counted), f"increments that were never taken out: {counted}"
    assert set(found.values()) <= {CAUGHT, ELSEWHERE}, found
