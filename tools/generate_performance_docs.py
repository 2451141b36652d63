"""Fill in the figures of docs/*.md from benchmarks/results/*.json.

Between `<!-- figures: NAME -->` and `<!-- end -->` stands a table of that benchmark's figures, between
`<!-- missed -->` and `<!-- end -->` every figure that does not meet its limit, whatever benchmark it is of.

`python tools/generate_performance_docs.py` writes; `--check` exits 1 when a page is not up to date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.results import CHECK_COLUMNS, FOLDER, Check, check_cells, measured_on  # noqa: E402

PAGES = sorted((ROOT / "docs").glob("*.md"))
FIGURES = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
MISSED = re.compile(r"(<!-- missed -->\n).*?(<!-- end -->)", re.DOTALL)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figures(result: dict[str, Any]) -> str:
    rows = [check_cells(Check(**one)) for one in result["checks"]]
    return f"{table(CHECK_COLUMNS, rows)}\n\n{measured_on(result['host'])}\n"


def missed(results: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, result in results.items():
        for check in (Check(**one) for one in result["checks"]):
            if check.is_met is False:
                what, value, limit, _, _ = check_cells(check)
                rows.append([f"{name}: {what}", value, limit])
    return table(["figure", "value", "limit"], rows) + "\n" if rows else "None.\n"


def filled(page: str, results: dict[str, dict[str, Any]]) -> str:
    page = FIGURES.sub(lambda block: f"{block[1]}\n{figures(results[block[2]])}\n{block[3]}", page)
    return MISSED.sub(lambda block: f"{block[1]}\n{missed(results)}\n{block[2]}", page)


def main() -> int:
    results = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    stale = {}
    for path in PAGES:
        page = path.read_text()
        wanted = filled(page, results)
        if page != wanted:
            stale[path] = wanted
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not up to date: run tools/generate_performance_docs.py")
        return int(bool(stale))
    for path, wanted in stale.items():
        path.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
