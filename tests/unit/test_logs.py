"""Layer: unit. Log lines, for people and for programs, and what hostile names can do to them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import datetime
from io import StringIO
from typing import Any

import pytest

from otel_ebpf.logs import BURST, JsonFormatter, RateLimit, TextFormatter, printable

HOSTILE = "lib\n2026-01-01T00:00:00Z ERROR root: all is lost\r\x1b[2J\x7f\x9b31m\u202e\u2028\udcff.so"


class Lines:
    def __init__(self, formatter: logging.Formatter) -> None:
        self.now = 100.0
        self.stream = StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(formatter)
        self.limit = RateLimit(lambda: self.now)
        handler.addFilter(self.limit)
        self.log = logging.Logger("otel_ebpf.test")
        self.log.addHandler(handler)

    @property
    def written(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def last(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.written[-1])
        return told


def test_text() -> None:
    lines = Lines(TextFormatter())
    lines.log.warning("probes in %s could not be attached", HOSTILE, extra={"path": HOSTILE})
    (line,) = lines.written
    time, rest = line.split(" ", 1)
    assert datetime.fromisoformat(time).tzinfo is not None
    assert rest == (
        r"WARNING otel_ebpf.test: probes in lib\n2026-01-01T00:00:00Z ERROR root: all is lost\r\x1b[2J\x7f"
        r"\x9b31m\u202e\u2028\udcff.so could not be attached"
    )


def test_json() -> None:
    lines = Lines(JsonFormatter())
    lines.log.warning("probes in %s could not be attached", HOSTILE, extra={"path": HOSTILE, "probes": 4})
    assert lines.stream.getvalue().count("\n") == 1
    assert lines.written[-1].isascii()
    assert lines.written[-1].isprintable()
    told = lines.last
    whole = HOSTILE.replace("\udcff", r"\xff")
    assert datetime.fromisoformat(told.pop("timestamp")).tzinfo is not None
    assert told == {
        "level": "warning",
        "logger": "otel_ebpf.test",
        "message": f"probes in {whole} could not be attached",
        "path": whole,
        "probes": 4,
    }


def fail() -> None:
    raise ValueError(HOSTILE)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_traceback_is_one_line(formatter: logging.Formatter) -> None:
    lines = Lines(formatter)
    try:
        fail()
    except ValueError:
        lines.log.exception("it failed")
    (line,) = lines.written
    assert line.isprintable()
    assert "all is lost" in line
    if isinstance(formatter, JsonFormatter):
        assert lines.last["exception"].startswith("Traceback (most recent call last):\n")


def test_lines_of_one_kind_are_limited() -> None:
    lines = Lines(JsonFormatter())
    for number in range(BURST + 25):
        lines.log.warning("the name %s is odd", f"name-{number}")
    lines.log.warning("another kind")
    assert lines.limit.left_out() == 25
    assert len(lines.written) == BURST + 1
    lines.now += 31
    lines.log.warning("the name %s is odd", "last")
    assert lines.last["suppressed"] == 25
    assert lines.last["message"] == "the name last is odd (25 more like it before this were left out)"
    lines.log.warning("the name %s is odd", "next")
    assert "suppressed" not in lines.last
    assert lines.limit.left_out() == 0


def test_news_are_limited_too_and_details_never() -> None:
    lines = Lines(JsonFormatter())
    for _ in range(3 * BURST):
        lines.log.info("a program more")
        lines.log.debug("a detail")
    assert sum("a program more" in line for line in lines.written) == BURST
    assert sum("a detail" in line for line in lines.written) == 3 * BURST


def test_printable_leaves_alone_what_is() -> None:
    assert printable("Größe 価格 \\n") == "Größe 価格 \\n"
    assert printable("a\tb") == r"a\tb"


@pytest.mark.parametrize("ending", ["raise ValueError('no\\nway')", "Thread(target=lambda: 1 / 0).start()"])
def test_what_ends_a_thread_is_logged(ending: str) -> None:
    code = f"from threading import Thread\nfrom otel_ebpf.logs import set_up\nset_up('json', 20)\n{ending}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    (line,) = done.stderr.splitlines()
    told = json.loads(line)
    assert told["level"] == "critical"
    assert "report it" in told["message"]
    assert told["exception"].startswith("Traceback")
