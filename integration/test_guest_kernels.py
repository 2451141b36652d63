"""Other kernels: every program loads there, and the spine works on every rung that they have.

What fails in the guest fails here, by name and with its text. OTEL_EBPF_GUESTS names the releases to
boot (comma separated, or `all`); Debian 12's by default. `kernels` marks what only `make test-kernels` has
time for.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integration.guest.kernels import DEFAULT, RELEASES, Kernel, fetch
from integration.guest.pytest_runs import Outcome, run_pytest
from integration.guest.run import run_in_guest
from tests.allowed_skips import LIST, allowed_patterns, unlisted

_CHOSEN = os.environ.get("OTEL_EBPF_GUESTS") or ",".join(DEFAULT)
GUESTS = tuple(RELEASES) if _CHOSEN == "all" else tuple(_CHOSEN.split(","))
PYTEST_SECONDS = 1500

pytestmark = pytest.mark.timeout(PYTEST_SECONDS + 120)


@pytest.fixture(scope="session", params=GUESTS)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    return fetch(RELEASES[str(request.param)])


def test_the_guest_runs_the_kernel_that_was_asked_for(kernel: Kernel, tmp_path: Path) -> None:
    script = "uname -r; ip -br a show lo; test -r /sys/kernel/btf/vmlinux && echo back > $SHARE/back; exit 7"
    finished = run_in_guest(
        kernel, ["sh", "-c", script], share=tmp_path, timeout=120, environment={"SHARE": str(tmp_path)}
    )
    assert finished.status == 7
    assert finished.output.startswith(f"{kernel.release.series}.")
    assert "127.0.0.1/8" in finished.output
    assert (tmp_path / "back").read_text() == "back\n"


def test_every_program_loads(kernel: Kernel, tmp_path: Path) -> None:
    outcome = run_pytest(kernel, ["tests/kernel"], share=tmp_path, timeout=PYTEST_SECONDS, name="kernel")
    _judge(kernel, outcome)


@pytest.mark.kernels
def test_the_spine_works(kernel: Kernel, tmp_path: Path) -> None:
    selection = ["integration", "-m", "guest"]
    outcome = run_pytest(kernel, selection, share=tmp_path, timeout=PYTEST_SECONDS, name="integration")
    _judge(kernel, outcome)
    ran = "\n".join(outcome.passed)
    assert not [rung for rung in kernel.release.rungs if rung not in ran], "a rung has no test that ran"


def _judge(kernel: Kernel, outcome: Outcome) -> None:
    series = kernel.release.series
    print(f"{series}, up after {outcome.finished.boot_seconds} s: {outcome.summary()}")
    texts = [f"{series}/{name}\n{text}" for name, text in outcome.failed.items()]
    assert not texts, "\n\n".join([f"{len(texts)} tests failed under {series}", *texts])
    assert outcome.finished.status == 0, outcome.finished.output[-3000:]
    assert outcome.passed, "nothing ran"
    skipped = [f"{series}/{name}" for name in outcome.skipped]
    assert not unlisted(skipped, allowed_patterns(LIST.read_text())), "skips that are not listed"
