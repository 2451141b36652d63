"""Every way into and out of a socket, on every rung: seen, or counted as unseen; never silently lost."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence

import pytest

from integration.conftest import Traced
from integration.harness.books import UNSEEN
from integration.harness.limits import slack, wait_until
from integration.harness.spans import CLIENT, SERVER, SeenSpan, describe
from integration.harness.ways import COUNT, WAYS_ONLY, Run, Way, run_way
from integration.harness.ways_table import Table

IN = ("read", "readv", "recvfrom", "recvmsg", "recvmmsg", "splice", "io_uring", "peek", "byte", "nonblocking")
OUT = (
    *("write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile", "head_then_sendfile", "splice"),
    *("io_uring", "byte", "zerocopy"),
)
BITS = (64, 32) if platform.machine() == "x86_64" else (64,)


def _ways() -> list[Way]:
    made = []
    for bits in BITS:
        tail = "" if bits == 64 else ", 32-bit"
        made += [Way(f"`{way}` in{tail}", bits, into=way) for way in IN]
        made += [Way(f"`{way}` out{tail}", bits, out=way) for way in OUT]
        made.append(Way(f"`MSG_FASTOPEN`{tail}", bits, client_out="fast_open"))
        for end in ("shutdown", "reset"):
            made.append(Way(f"`{end}` by the client{tail}", bits, client_end=end))
            made.append(Way(f"`{end}` by the server{tail}", bits, server_end=end))
    return made


def _whole(spans: Sequence[SeenSpan], mark: str) -> bool:
    found = sorted((span.mark, span.method, span.status) for span in spans)
    return found == [(f"{mark}-{i}", "GET", 200) for i in range(COUNT)]


def _verdict(traced: Traced, run: Run) -> str:
    clients = traced.backend.spans(run.port, CLIENT)
    servers = traced.backend.spans(run.port, SERVER)
    reasons = sorted(
        name.removeprefix("event_unseen_").removeprefix("event_") for name in UNSEEN if run.counted[name]
    )
    counted = f"counted {', '.join(reasons)}" if reasons else ""
    if _whole(clients, run.mark) and _whole(servers, run.mark):
        return f"seen; {counted}" if counted else "seen"
    assert len(clients) <= COUNT and len(servers) <= COUNT, f"{run.way}:\n{describe(clients + servers)}"  # noqa: PT018
    return counted or "LOST"


def _observe(traced: Traced, chosen: Sequence[Way]) -> dict[str, str]:
    """Run these ways one after another; return the verdict of each, by row."""
    runs = [run_way(traced, way) for way in chosen]
    whole = [run for run in runs if not any(run.counted[name] for name in UNSEEN)]

    def arrived() -> bool:
        return all(len(traced.backend.spans(run.port)) >= 2 * COUNT for run in whole)

    wait_until(arrived, every=0.1)
    time.sleep(slack(0.4))
    return {run.way.row: _verdict(traced, run) for run in runs}


def _confirm(traced: Traced, observed: dict[str, str], doubtful: Sequence[Way]) -> None:
    """Run these again until two verdicts agree: what strangers do is counted in the same ledger."""
    for _ in range(3):
        again = _observe(traced, doubtful)
        doubtful = [way for way in doubtful if observed[way.row] != again[way.row]]
        observed.update(again)
        if not doubtful:
            break


@pytest.mark.guest
def test_ways(rung: str, start_agent: Callable[..., Traced]) -> None:
    """Compare with docs/ways.md, where that was observed on a kernel of this version."""
    traced = start_agent(rung, config=WAYS_ONLY)
    table, every = Table(), _ways()
    known = table.column(rung)
    observed = _observe(traced, every)
    _confirm(
        traced, observed, [way for way in every if observed[way.row] not in ("seen", known.get(way.row))]
    )
    if os.environ.get("OTEL_EBPF_WRITE_DOCS") == "1":
        table.write(rung, observed)
    lost = [row for row, verdict in observed.items() if verdict == "LOST"]
    assert not lost, f"neither seen nor counted on {rung}: {lost}"
    if known and os.environ.get("OTEL_EBPF_WRITE_DOCS") != "1":
        changed = {row: (known.get(row), now) for row, now in observed.items() if known.get(row) != now}
        assert not changed, f"docs/ways.md says otherwise (known, now): {changed}"
