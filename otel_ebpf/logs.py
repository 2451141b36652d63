"""The agent's log: one line for each event, on standard error, as text or as JSON.

What is logged has names in it that are anybody's: of files, processes, hosts, and what servers answer.
None of them can end a line or speak to a terminal. Of lines of one kind (one place in the code) the first
few in half a minute are written; the next one that is says how many were not.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from logging import Filter, Formatter, LogRecord
from time import monotonic
from traceback import format_exception
from types import TracebackType
from typing import Any, Final

from otel_ebpf.export.throttle import INTERVAL

__all__ = ["JsonFormatter", "RateLimit", "TextFormatter", "printable", "set_up"]

BURST: Final = 20
KINDS_MAX: Final = 1024
"""Places in the code that log, with those of libraries, are some hundred."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FAULT: Final = "this is a fault of otel-ebpf: please report it with this line"

logger = logging.getLogger("otel_ebpf")


def set_up(form: str, level: int) -> RateLimit:
    """Log by `telemetry.log.format`, from `level` on, also what ends a thread. May be called again.

    Returns what leaves lines out, to be asked at the end.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    limit = RateLimit()
    handler.addFilter(limit)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_ended_thread
    return limit


def printable(text: str) -> str:
    """Escape what is not printable, such as ends of lines, controls and bytes that are no UTF-8."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class TextFormatter(Formatter):
    """`2026-01-31T12:00:00.123Z WARNING otel_ebpf.export.queue: message`."""

    def format(self, record: LogRecord) -> str:
        """Return one line."""
        line = f"{_time(record)} {record.levelname} {record.name}: {printable(_message(record))}"
        return f"{line}: {printable(trace)}" if (trace := _traceback(record)) else line


class JsonFormatter(Formatter):
    """An object with `timestamp`, `level`, `logger`, `message`, and the event's own fields (`extra`)."""

    def format(self, record: LogRecord) -> str:
        """Return one line."""
        fields: dict[str, Any] = {
            "timestamp": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if trace := _traceback(record):
            fields["exception"] = trace
        # ASCII alone, so that controls and ends of lines are escaped; but for one, which is ASCII
        return json.dumps(_whole(fields), default=str).replace("\x7f", r"\u007f")


class RateLimit(Filter):
    """Lets BURST lines of a kind pass in INTERVAL seconds, and counts the rest."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], tuple[float, int]] = {}  # until when, and how many
        self._lock = threading.Lock()

    def filter(self, record: LogRecord) -> bool:
        """Say whether to write the line; `record.suppressed` is how many were not, if any."""
        if record.levelno < logging.INFO:
            return True
        kind = (record.name, record.levelno, str(record.msg))
        now = self._clock()
        with self._lock:
            until, number = self._kinds.get(kind, (0.0, 0))
            if now < until:
                self._kinds[kind] = (until, number + 1)
                return number < BURST
            if len(self._kinds) >= KINDS_MAX:
                self._kinds.clear()
            self._kinds[kind] = (now + INTERVAL, 1)
        if number > BURST:
            record.suppressed = number - BURST
        return True

    def left_out(self) -> int:
        """Return how many lines were not written, and are in no line that was."""
        with self._lock:
            return sum(max(number - BURST, 0) for _, number in self._kinds.values())


def _whole(value: Any) -> Any:
    """Write out bytes that are no UTF-8 (surrogates), which JSON cannot have."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return {name: _whole(one) for name, one in value.items()} if isinstance(value, dict) else value


def _message(record: LogRecord) -> str:
    suppressed = getattr(record, "suppressed", 0)
    return record.getMessage() + (
        f" ({suppressed} more like it before this were left out)" if suppressed else ""
    )


def _time(record: LogRecord) -> str:
    """Return RFC 3339 in UTC, to milliseconds."""
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _traceback(record: LogRecord) -> str:
    return "".join(format_exception(*record.exc_info)).strip() if record.exc_info else ""


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("the agent ends: %s", _FAULT, exc_info=(kind, error, trace))


def _log_ended_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None:
        name = ended.thread.name if ended.thread else "?"
        info = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        logger.critical("the thread %r ends, restart the agent: %s", name, _FAULT, exc_info=info)
