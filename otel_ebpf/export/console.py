"""Each request as a line on standard output, as it happens, and a table of them on exit.

Lines beyond `LINES_PER_SECOND` are counted and said in one line; the table has them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from time import localtime, monotonic, strftime
from typing import Final, TextIO

from otel_ebpf.export.console_summary import Summary
from otel_ebpf.export.terminal import PLAIN, Terminal, fit, printable
from otel_ebpf.signals.span import Span

__all__ = ["ConsoleExporter"]

LINES_PER_SECOND: Final = 50
HEADER: Final = (
    f"{'time':12}  {'service':20}     {'request':36}  {'status':6}  {'duration':>12}  {'peer':21}  trace"
)

_ARROWS: Final = ({2: "◀", 3: "▶", 4: "▷", 5: "◁"}, {2: "<", 3: ">", 4: ">", 5: "<"})
_STATUS: Final = (
    "http.response.status_code",
    "rpc.response.status_code",
    "db.response.status_code",
    "error.type",
)
_RED, _GREEN, _YELLOW, _DIM, _BOLD = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[1m"


class ConsoleExporter:
    """Shows spans. `emit` is for one thread; nothing here blocks on the terminal but `stop`."""

    def __init__(
        self,
        stream: TextIO | None = None,
        lines_per_second: int = LINES_PER_SECOND,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`stream` is standard output unless given; `clock` gives seconds."""
        self._terminal = Terminal(stream)
        self._clock = clock
        self._limit = lines_per_second
        self._colour = self._terminal.colour
        self._arrows = _ARROWS[0] if self._terminal.can_write("◀▶▷◁·…") else _ARROWS[1]
        self._summary = Summary()
        self._second = -1.0
        self._shown = 0
        self._left_out = 0
        self._said = 0  # by whichever thread comes first: the emitting one, or the terminal's
        self._saying = Lock()

    def start(self) -> None:
        """Start writing."""
        self._terminal.start(self._more_when_due)
        self._terminal.write(self._paint(_DIM, HEADER))

    def emit(self, span: Span) -> None:
        """Show `span`, or count it when this second has had its lines. Never blocks or raises."""
        self._summary.add(span)
        now = self._clock()
        if now - self._second >= 1.0:
            if self._left_out != self._said:
                self._terminal.write(self._more())
            self._second = now
            self._shown = 0
        if self._shown >= self._limit or not self._terminal.write(self.line(span)):
            self._left_out += 1
            return
        self._shown += 1

    def stop(self, timeout: float) -> None:
        """Write what waits and the summary, for at most `timeout` seconds."""
        if more := self._more():
            self._terminal.write(more)
        for text in self._summary.lines():
            self._terminal.write(text)
        self._terminal.close(timeout)

    def _more_when_due(self) -> str:
        return self._more() if self._clock() - self._second >= 1.0 else ""

    def _more(self) -> str:
        with self._saying:
            number = self._left_out - self._said
            self._said += number
        return self._paint(_DIM, f"{'':12}  +{number} more") if number else ""

    def line(self, span: Span) -> str:
        """Return the line for `span`: `HEADER` names its columns."""
        attributes = dict(span.attributes)
        seconds, nanoseconds = divmod(span.start, 1_000_000_000)
        time = strftime("%H:%M:%S", localtime(seconds)) + f".{nanoseconds // 1_000_000:03d}"
        status = next((str(attributes[name]) for name in _STATUS if name in attributes), "-")
        columns = (
            self._paint(_DIM, time),
            fit(span.template.service.name, 20),
            self._arrows.get(span.template.kind, "-"),
            self._paint(_BOLD, fit(span.template.name, 36)),
            self._paint(_colour_of(span, status), fit(status, 6)),
            f"{(span.end - span.start) / 1e6:9.2f} ms",
            fit(_peer(attributes), 21),
            self._paint(_DIM, span.trace_id.hex()),
        )
        return "  ".join(columns)

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{PLAIN}" if self._colour else text


def _peer(attributes: Mapping[str, object]) -> str:
    address = printable(
        str(attributes.get("network.peer.address") or attributes.get("server.address") or "-")
    )
    port = attributes.get("network.peer.port")
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _colour_of(span: Span, status: str) -> str:
    if span.template.error:
        return _RED
    return _YELLOW if status[:1] == "4" else _GREEN
