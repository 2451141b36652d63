"""Run pytest in a guest and read its report."""

from __future__ import annotations

import os
import shutil
import xml.etree.ElementTree as ElementTree  # our own pytest's report, not hostile input
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from integration.guest.kernels import Kernel
from integration.guest.run import CHECKOUT, Finished, GuestError, run_in_guest

WAYS = CHECKOUT / "docs" / "ways.md"
REPORTS = CHECKOUT / "build" / "reports"
SLACK = 10
"""Time limits of the tests are stretched by this: what emulation was measured to cost."""
TEST_SECONDS = 900
"""After which one test is ended there: the longest takes two minutes on a host with nothing else to do."""


@dataclass(frozen=True)
class Outcome:
    """What pytest said in the guest. Names are those of the junit report: file path::test."""

    finished: Finished
    passed: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: dict[str, str]
    """Name to what went wrong, errors in fixtures included."""

    def summary(self) -> str:
        """Return pytest's own last line."""
        lines = self.finished.output.strip().splitlines()
        return lines[-1] if lines else "(no output)"


def run_pytest(
    kernel: Kernel,
    arguments: Sequence[str],
    *,
    share: Path,
    timeout: float,
    rungs: Sequence[str],
    briefly: Sequence[str] = (),
) -> Outcome:
    """Run pytest with `arguments` under `kernel`, the tests of rungs on `rungs`, on some of them `briefly`.

    The report and the output are kept in build/reports as guest-SERIES. What the guest writes of
    docs/ways.md is taken over. Raises GuestError when the guest did not come to an end, or pytest did
    not come to run tests.
    """
    series = kernel.release.series
    command = [
        "python",
        "-m",
        "pytest",
        *arguments,
        "--durations=15",
        f"--timeout={TEST_SECONDS}",
        "-p",
        "no:cacheprovider",
        f"--junit-xml={share}/junit.xml",
    ]
    environment = {
        "OTEL_EBPF_TEST_RUNGS": ",".join(rungs),
        "OTEL_EBPF_TEST_BRIEFLY": ",".join(briefly),
        "OTEL_EBPF_TEST_SLACK": str(SLACK),
        "OTEL_EBPF_GUEST": series,
        "HYPOTHESIS_STORAGE_DIRECTORY": "/tmp/hypothesis",
    }
    writes = os.environ.get("OTEL_EBPF_WRITE_DOCS") == "1"
    if writes:
        shutil.copy(WAYS, share / "ways.md")
        environment |= {"OTEL_EBPF_WRITE_DOCS": "1", "OTEL_EBPF_WAYS_PAGE": str(share / "ways.md")}
    finished = run_in_guest(kernel, command, timeout=timeout, share=share, environment=environment)
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / f"guest-{series}.log").write_text(finished.output)
    if not (share / "junit.xml").exists():
        raise GuestError(f"pytest left no report, exit status {finished.status}:\n{finished.output[-3000:]}")
    shutil.copy(share / "junit.xml", REPORTS / f"guest-{series}.xml")
    if writes:
        shutil.copy(share / "ways.md", WAYS)
    return read_report(share / "junit.xml", finished)


def read_report(path: Path, finished: Finished) -> Outcome:
    """Read a junit report as pytest writes it."""
    passed, skipped, failed = [], [], {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        wrong = [case.find("failure"), case.find("error")]
        texts = [f"{found.get('message', '')}\n{found.text or ''}" for found in wrong if found is not None]
        if texts:
            failed[name] = "\n".join(texts)
        elif case.find("skipped") is not None:
            skipped.append(name)
        else:
            passed.append(name)
    return Outcome(finished, tuple(passed), tuple(skipped), failed)
