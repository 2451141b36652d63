"""Draw docs/pictures/terminal.svg: what `make demo` shows, as it was seen in a terminal.

    python tools/draw_terminal.py [--seconds 12]

The demo runs in a terminal of its own. Of its lines a few in the middle are kept, from where a trace begins,
and the whole summary; what is right of the picture's edge is cut off.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "pictures" / "terminal.svg"
COLUMNS, ROWS = 130, 60
REQUESTS = 16  # lines of the live view that are kept
FONT_FACES = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # which a browser would fetch
GENERATED = re.compile(r"terminal-\d+")  # rich names its styles by a hash of the content


def demo(seconds: float) -> str:
    """Run it in a terminal; return what came out on it, the sequences for colours included."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    command = [sys.executable, ROOT / "tools" / "demo.py", "--seconds", str(seconds)]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    process = subprocess.Popen(command, stdout=its, stderr=subprocess.DEVNULL, env=environment)
    os.close(its)
    shown = bytearray()
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # EIO: nobody has the other end any more
        pass
    if process.wait():
        raise SystemExit("the demo failed: run tools/demo.py to see why")
    return shown.decode().replace("\r\n", "\n")


def picture(shown: str) -> str:
    """Return the picture of a shortened view."""
    live, _, summary = shown.partition("\n\n")
    heading, *lines = (line for line in live.strip().split("\n") if "more" not in line)
    traces = [line.split()[-1] for line in lines]
    start = next(at for at in range(len(lines) // 2, len(lines)) if traces[at] != traces[at - 1])
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    kept = [
        "$ make demo",
        "",
        heading,
        *lines[start : start + REQUESTS],
        "...",
        "",
        *summary.strip().split("\n"),
    ]
    for line in kept:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop")
    svg = console.export_svg(title="make demo")
    return GENERATED.sub("terminal", FONT_FACES.sub("", svg))


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw what the demo shows.")
    parser.add_argument("--seconds", type=float, default=12, help="how long it runs (default: 12)")
    PICTURE.write_text(picture(demo(parser.parse_args().seconds)))


if __name__ == "__main__":
    main()
