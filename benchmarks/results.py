"""What a benchmark found: checks against a limit, tables of detail, and the raw samples.

Each benchmark writes `results/<name>.json`; `results/README.md` is made from all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from benchmarks.host import Host, describe

FOLDER = Path(__file__).parent / "results"
_WIDTH = 160
_INTRODUCTION = """# Results

Made by `make bench`, `make soak` and `make test-outage`; the samples behind figures are in the JSON files.
Ratios are medians of interleaved rounds; *control* is untraced against untraced in the same series:
a ratio means no more than the distance of its control from 1 allows.
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One figure that has, or could have, a limit."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False
    control: float | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the limit holds; None without one."""
        if self.limit is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Table:
    """Detail: the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str | float, ...]]


@dataclass(frozen=True, slots=True)
class Result:
    """Everything that one benchmark says."""

    name: str
    checks: list[Check]
    tables: list[Table] = field(default_factory=list)
    samples: Mapping[str, Any] = field(default_factory=dict)
    host: Host = field(default_factory=describe)


CHECK_COLUMNS = ("figure", "value", "limit", "met", "control")


def publish(result: Result, folder: Path | None) -> None:
    """Print a result, and with a folder write its JSON and make the README anew."""
    console = Console(width=_WIDTH, highlight=False)
    for title, columns, rows in _sections(asdict(result)):
        shown = RichTable(title=title, title_justify="left")
        for number, column in enumerate(columns):
            shown.add_column(column, justify="right" if number else "left")
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
    if folder is not None:
        folder.mkdir(exist_ok=True)
        text = json.dumps(asdict(result), indent=1) + "\n"
        (folder / f"{result.name}.json").write_text(text)
        (folder / "README.md").write_text(readme(folder))


def readme(folder: Path) -> str:
    """Return the page that shows all results of the folder, each with where it was measured."""
    parts = [_INTRODUCTION]
    for path in sorted(folder.glob("*.json")):
        read = json.loads(path.read_text())
        parts.append(f"## {read['name']}\n\n{measured_on(read['host'])}\n")
        for title, columns, rows in _sections(read):
            lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
            parts.append(f"{title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
    return "\n".join(parts)


def measured_on(host: Mapping[str, Any]) -> str:
    """Say when, of what and where something was measured."""
    return (
        f"{host['date']}, commit {host['commit']}, Linux {host['kernel']}, {host['cpus']} x {host['cpu']}, "
        f"load before {host['load']}, Python {host['python']} ({host['loop']} ns a turn of an empty loop)"
    )


def _sections(result: Mapping[str, Any]) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """Return title, columns and cells of each table of a result that was read from, or is to be, JSON."""
    checks = [check_cells(Check(**check)) for check in result["checks"]]
    tables = [
        (table["title"], table["columns"], [[_cell(cell) for cell in row] for row in table["rows"]])
        for table in result["tables"]
    ]
    return [(f"{result['name']}: figures", CHECK_COLUMNS, checks), *tables]


def check_cells(check: Check) -> list[str]:
    """Return a figure as it is shown, one text for each of `CHECK_COLUMNS`."""
    limit = "" if check.limit is None else f"{'>=' if check.at_least else '<='} {check.limit:g}"
    met = {None: "", True: "yes", False: "NO"}[check.is_met]
    control = "" if check.control is None else f"{check.control:.2f}"
    return [check.what, f"{_cell(check.value)} {check.unit}".strip(), limit, met, control]


def _cell(value: str | float) -> str:
    """Return a number with about three significant digits, and never an exponent."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
