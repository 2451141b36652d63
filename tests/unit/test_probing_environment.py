"""Variables in a process's environment."""

from __future__ import annotations

import subprocess

import pytest

from otel_ebpf.probing.environment import has_set


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({"ASKED": "1"}, True), ({"ASKED": "0"}, False), ({"ASKED": ""}, False), ({"NOT_ASKED": "1"}, False)],
)
def test_a_variable(environment: dict[str, str], expected: bool) -> None:
    whole = {"PATH": "/usr/bin:/bin", **environment}
    with subprocess.Popen(["cat"], env=whole, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdin
        assert one.stdout
        one.stdin.write(b"here\n")
        one.stdin.flush()
        one.stdout.readline()
        assert has_set(one.pid, "ASKED") is expected


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert has_set(gone.pid, "ASKED")
