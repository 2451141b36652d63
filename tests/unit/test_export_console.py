"""Layer: unit. The console: lines, the limit, the summary, terminals that stand still or are gone."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from otel_ebpf.export.console import HEADER, ConsoleExporter
from otel_ebpf.export.console_summary import MAXIMUM_ROWS, SHOWN_ROWS, Row, Summary
from otel_ebpf.export.terminal import MAXIMUM_WAITING, Terminal
from otel_ebpf.signals.span import NO_ATTRIBUTES, AttributeBlock, Span, SpanKind
from tests.export_samples import CART, SHOP, changed, span
from tests.waiting import wait_for


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def show(*spans: Span, stream: io.TextIOBase | None = None, limit: int = 50) -> list[str]:
    out = stream or io.StringIO()
    console = ConsoleExporter(out, limit)  # type: ignore[arg-type]
    console.start()
    for one in spans:
        console.emit(one)
    console.stop(60)
    return out.getvalue().splitlines() if isinstance(out, io.StringIO) else []


def test_a_line_has_everything() -> None:
    status = (("http.response.status_code", 404), ("server.port", 80))
    one = changed(span(7), kind=SpanKind.CLIENT, attributes=status)
    one = one._replace(shared=AttributeBlock((("network.peer.address", "10.0.0.1"),)), peer_port=80)
    header, line, *_ = show(one)
    assert header == HEADER
    assert re.fullmatch(
        r"\d\d:\d\d:\d\d\.\d{3}  shop +▶  GET /users/\{id\} +404 +12\.50 ms  10\.0\.0\.1:80 +0{31}8", line
    )


def test_columns_are_aligned_whatever_stands_in_them() -> None:
    long = changed(span(), name="GET /" + "x" * 200)
    first, second = show(span(), long)[1:3]
    assert first.index(" ms") == second.index(" ms")
    assert "…" in second
    assert HEADER.index("duration") + len("duration") == first.index(" ms") + len(" ms")


@pytest.mark.parametrize(
    ("own", "port", "peer"),
    [
        ((("network.peer.address", "::1"),), 80, "[::1]:80"),
        ((("network.peer.address", "10.0.0.1"),), 0, "10.0.0.1 "),
        ((("server.address", "/run/app.sock"),), 0, "/run/app.sock"),
        ((), 0, "- "),
    ],
)
def test_peers(own: tuple[tuple[str, str | int], ...], port: int, peer: str) -> None:
    assert f" ms  {peer}" in show(span()._replace(shared=NO_ATTRIBUTES, peer_port=port, own=own))[1]


def test_no_response_shows_the_error() -> None:
    assert " timeo… " in show(changed(span(), attributes=(("error.type", "timeout"),)))[1]
    assert " -  " in show(changed(span(), attributes=()))[1]


def test_what_a_terminal_would_obey_is_not_written() -> None:
    evil = changed(span(), name="GET \x1b]0;owned\x07\n", attributes=(("error.type", "\x1b[2J"),))
    assert not [line for line in show(evil) if "\x1b" in line or "\x07" in line]
    assert len(show(evil)) == len(show(span()))


def test_colour_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31m500" in "\n".join(show(span(status=500), stream=Tty()))
    assert "\x1b[33m404" in "\n".join(show(span(status=404), stream=Tty()))
    assert "\x1b[32m200" in "\n".join(show(span(), stream=Tty()))
    assert "\x1b" not in "\n".join(show(span(status=500)))
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in "\n".join(show(span(status=500), stream=Tty()))


def test_a_terminal_without_the_characters_gets_others() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    show(changed(span(), name="GET /é"), stream=stream)
    stream.flush()
    assert b" <  GET /?" in raw.getvalue()


def test_beyond_the_limit_a_number_is_shown_and_the_summary_has_all() -> None:
    clock = Clock()
    out = io.StringIO()
    console = ConsoleExporter(out, 5, clock)
    console.start()
    for number in range(1005):
        console.emit(span(number))
    clock.now += 1.0
    for number in range(7):
        console.emit(span(number))
    console.stop(60)
    lines = out.getvalue().splitlines()
    assert [line.strip() for line in lines if "more" in line] == ["+1000 more", "+2 more"]
    assert sum(" ms " in line and "GET" in line for line in lines) == 10
    assert re.search(r"shop +in +GET /users/\{id\} +1012 ", lines[-1])


def test_what_was_left_out_is_said_also_when_no_request_follows() -> None:
    clock = Clock()
    out = io.StringIO()
    console = ConsoleExporter(out, 1, clock)
    console.start()
    console.emit(span())
    console.emit(span())
    clock.now += 1.0
    wait_for(lambda: "+1 more" in out.getvalue())
    console.stop(60)
    assert out.getvalue().count("more") == 1


def test_the_summary() -> None:
    spans = [span(service=CART, status=500)] + [span(milliseconds=n) for n in range(1, 101)]
    lines = show(*spans)
    at = lines.index("")
    assert lines[at + 1].split() == ["service", "route", "count", "errors", "p50", "ms", "p95", "ms"]
    shop, cart = lines[at + 2 :]
    assert shop.split()[:4] == ["shop", "in", "GET", "/users/{id}"]
    count, errors, p50, p95 = shop.split()[4:]
    assert (count, errors) == ("100", "0")
    assert 50 <= float(p50) <= 50 * 1.1
    assert 95 <= float(p95) <= 95 * 1.1
    assert cart.split()[4:6] == ["1", "1"]


def test_no_summary_without_requests() -> None:
    assert show() == [HEADER]


def test_the_summary_is_bounded() -> None:
    summary = Summary()
    for number in range(MAXIMUM_ROWS + 100):
        summary.add(changed(span(), name=f"GET /{number}"))
    assert len(summary.rows) == MAXIMUM_ROWS + 1
    assert sum(row.count for row in summary.rows.values()) == MAXIMUM_ROWS + 100
    lines = list(summary.lines())
    assert len(lines) == SHOWN_ROWS + 3
    assert "(other)" in lines[2]


@pytest.mark.parametrize("duration", [-1, 0, 1, 10**18])
def test_odd_durations(duration: int) -> None:
    row = Row()
    row.add(duration, False)
    assert row.quantile(0.5) > 0


class Stuck(io.StringIO):
    """A terminal that was stopped, until it is resumed."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed = Event()

    def write(self, text: str) -> int:
        self.resumed.wait()
        return 0


def test_a_terminal_that_stands_still_blocks_nobody() -> None:
    stuck = Stuck()
    console = ConsoleExporter(stuck, 10**6)
    console.start()
    for number in range(5000):
        console.emit(span(number, SHOP))
    assert console._terminal._lines.qsize() <= MAXIMUM_WAITING + 1
    console.stop(0.2)
    # Here at all, while the terminal still stands.
    assert console._terminal._thread.is_alive()
    stuck.resumed.set()


def test_a_closed_pipe_ends_the_lines_and_not_the_program() -> None:
    program = """
from otel_ebpf.export.console import ConsoleExporter
from tests.export_samples import span
console = ConsoleExporter()
console.start()
console.emit(span(0))
input()
for number in range(200):
    console.emit(span(number))
console.stop(60)
print("never seen")
"""
    read, write = os.pipe()
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=root,
        text=True,
    ) as process:
        os.close(write)
        assert os.read(read, 10)
        os.close(read)
        _, errors = process.communicate("closed\n", timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_closed_stream_is_given_up() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream)
    stream.close()
    terminal.start(str)
    terminal.write("x")
    terminal.close(60)
    assert terminal.write("y") is False
