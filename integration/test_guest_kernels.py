"""Other kernels: every program loads there, and the spine works on every rung that they have.

What fails in the guest fails here, by name and with its text. OTEL_EBPF_GUESTS names the releases to
boot (comma separated, or `all`): one rung of each gets all tests, the others the most. By default it is
Debian 12's, and the most on the rungs that need a guest on most development hosts.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from integration.guest.kernels import DEFAULT, RELEASES, Kernel, fetch
from integration.guest.pytest_runs import Outcome, run_pytest
from integration.guest.run import run_in_guest
from tests.allowed_skips import LIST, allowed_patterns, unlisted

_CHOSEN = os.environ.get("OTEL_EBPF_GUESTS", "")
GUESTS = tuple(RELEASES) if _CHOSEN == "all" else tuple(_CHOSEN.split(",")) if _CHOSEN else DEFAULT
DEFAULT_RUNGS = ("trampoline", "kprobe")
PYTEST_SECONDS = 5400 if _CHOSEN else 2100

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


def test_every_program_loads_and_the_spine_works(kernel: Kernel, tmp_path: Path) -> None:
    rungs = kernel.release.rungs if _CHOSEN else DEFAULT_RUNGS
    briefly = rungs[1:] if _CHOSEN else rungs
    selection = ["tests/kernel", "integration", "-m", "guest"]
    outcome = run_pytest(
        kernel, selection, share=tmp_path, timeout=PYTEST_SECONDS, rungs=rungs, briefly=briefly
    )
    _judge(kernel, outcome)
    for folder in ("tests/kernel", "integration"):
        ran = "\n".join(name for name in outcome.passed if name.startswith(folder))
        assert not [rung for rung in rungs if rung not in ran], f"a rung has no test of {folder} that ran"


def _judge(kernel: Kernel, outcome: Outcome) -> None:
    series = kernel.release.series
    print(f"{series}, up after {outcome.finished.boot_seconds} s: {outcome.summary()}")
    texts = [f"{series}/{name}\n{text}" for name, text in outcome.failed.items()]
    assert not texts, "\n\n".join([f"{len(texts)} tests failed under {series}", *texts])
    assert outcome.finished.status == 0, outcome.finished.output[-3000:]
    assert outcome.passed, "nothing ran"
    skipped = [f"{series}/{name}" for name in outcome.skipped]
    assert not unlisted(skipped, allowed_patterns(LIST.read_text())), "skips that are not listed"
