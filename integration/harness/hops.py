"""Services that ask each other, and whether their spans have the right parents: see programs/traces."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from integration.conftest import Traced
from integration.harness.build import PROGRAMS
from integration.harness.limits import PATIENCE, SLACK, slack, wait_until
from integration.harness.measured import new_mark
from integration.harness.ports import free_port
from integration.harness.program import Program
from integration.harness.servers import Server
from integration.harness.spans import SeenSpan
from integration.harness.traces import Verdict, judge, torn

__all__ = [
    "EMULATED",
    "REQUESTS",
    "TRACES",
    "UVICORN",
    "Hops",
    "check",
    "judge_amid_traffic",
    "judged",
    "visitor",
]

TRACES = PROGRAMS / "traces"
UVICORN = (sys.executable, "-m", "uvicorn", "--no-access-log", "--timeout-keep-alive", "60")
"""Who asks may keep a connection as long as uvicorn does by itself, and then ask by one that is closed."""
EMULATED = SLACK >= 5
REQUESTS = 40 if EMULATED else 200
_BEFORE_SENDS = b"btf_trace_tcp_sendmsg_locked"
_TOO_EARLY = 0.01
"""Of the requests, what a host that stops a processor for a moment may bring about."""


class Hops:
    """Services by name, started at their first use: `threaded-0` and `threaded-1` are two of a kind."""

    def __init__(self) -> None:
        self._running: dict[str, Server] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __call__(
        self, name: str, command: Sequence[str | Path] = (), environment: Mapping[str, str] | None = None
    ) -> Server:
        """Return the service; `command` starts one of no known kind, and gets its port as the last word."""
        if name not in self._running:
            port, kind = free_port(), name.partition("-")[0]
            words = [*command, str(port)] if command else _command(kind, port)
            stop = signal.SIGQUIT if kind == "prefork" else signal.SIGTERM
            program = Program(words, port=port, environment=environment, directory=TRACES, stop_signal=stop)
            self._running[name] = Server(self._stack.enter_context(program), port, name)
        return self._running[name]


def _command(kind: str, port: int) -> list[str]:
    commands: dict[str, list[str]] = {
        "threaded": [sys.executable, "threaded_hop.py", str(port)],
        "careless": [sys.executable, "careless_hop.py", str(port)],
        "node": ["node", "node_hop.js", str(port)],
        "asyncio": [*UVICORN, "--loop", "asyncio", "--port", str(port), "asyncio_hop:app"],
        "prefork": [
            *[sys.executable, "-m", "gunicorn", "--workers", "4", "--no-control-socket"],
            *["--bind", f"127.0.0.1:{port}", "prefork_hop:app"],
        ],
    }
    return commands[kind]


def visitor(first: Server, hops: str, mark: str, requests: int, at_once: int, *more: object) -> list[str]:
    """Return the command that asks `first` to go by `hops`, so many times, so many at once.

    `more` is what else programs/traces/visitor.py is told.
    """
    words = [sys.executable, TRACES / "visitor.py", first.port, hops, mark, requests, at_once, *more]
    return [str(word) for word in words]


def judged(
    traced: Traced, first: Server, hops: str, spans: int, at_once: int, *more: object, wrong: int = 0
) -> Verdict:
    """Ask `first` REQUESTS times to go by `hops`, so many at once, and judge the `spans` of each.

    No more than `wrong` may be wrong. `more` is as in `visitor`.
    """
    mark = new_mark()
    words = visitor(first, hops, mark, REQUESTS, at_once, *more)
    subprocess.run(words, check=True, timeout=slack(PATIENCE), stdin=subprocess.DEVNULL)
    try:
        seen = traced.backend.expect(spans * REQUESTS, mark=mark)
    except AssertionError as error:
        counted = {name: total for name, total in traced.agent.ledger().items() if total}
        raise AssertionError(f"{str(error).partition(chr(10))[0]}\nledger: {counted}") from None
    verdict = judge(seen, "visitor")
    assert sum(verdict.wrong.values()) <= wrong, str(verdict)
    assert verdict.missing or not torn(seen)
    return verdict


def check(
    traced: Traced, first: Server, hops: str, spans: int, at_once: int, *more: object, spared: str = ""
) -> None:
    """The same where none may be missing either, but for a few servers' on rungs that hear of sends late.

    `spared` is a kind, as "go_hop client", of which all may be missing.
    """
    verdict = judged(traced, first, hops, spans, at_once, *more)
    late = _hears_of_sends_late(traced.agent.rung_in_use())
    if EMULATED and late:
        return
    missing = {kind: number for kind, number in verdict.missing.items() if kind != spared}
    asked_too_early = sum(number for kind, number in missing.items() if kind.endswith(" server"))
    assert not late or asked_too_early <= _TOO_EARLY * REQUESTS, str(verdict)
    assert sum(missing.values()) == (asked_too_early if late else 0), str(verdict)


def _hears_of_sends_late(rung: str) -> bool:
    """Whether the rung sees a send when it returns, which can be later than what the other end does of it."""
    if rung == "socket_trace":
        return _BEFORE_SENDS not in Path("/sys/kernel/btf/vmlinux").read_bytes()
    return rung == "syscall"


def judge_amid_traffic(
    rung: str, start_agent: Callable[..., Traced], chain: Sequence[Server], how: str, at_once: int
) -> None:
    """Start an agent while the first of three services asks the others, the last in the way `how` says.

    None may be wrong, and none lost that the ledger does not tell of.
    """
    first, middle, last = chain
    mark = new_mark()
    with subprocess.Popen(
        visitor(first, f"{middle.port}/{last.port}{how}", mark, 1_000_000, at_once)
    ) as visits:
        include = [{"ports": [server.port for server in chain]}]
        traced = start_agent(rung=rung, config={"discovery": {"include": include}})
        assert wait_until(lambda: len(traced.backend.marked(mark)) > 3000)
        visits.terminate()
    verdict = judge(_whole(traced.backend.settled(mark), at_once), "visitor", lossy=True)
    assert not verdict.wrong, str(verdict)
    assert not verdict.lost or traced.agent.ledger()["exchange_ring_full"], str(verdict)
    assert sum(verdict.right.values()) > 1000, str(verdict)


def _whole(spans: Sequence[SeenSpan], at_once: int) -> list[SeenSpan]:
    """Leave out the last requests of each of a visitor's threads: it was ended amid them."""

    def number(span: SeenSpan) -> int:
        return int(span.target.partition("?")[0].split("/")[2])

    last = [0] * at_once
    for span in spans:
        last[number(span) % at_once] = max(last[number(span) % at_once], number(span))
    return [span for span in spans if number(span) < last[number(span) % at_once] - at_once]
