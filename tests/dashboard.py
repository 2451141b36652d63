"""What the Grafana dashboard of configs/ asks of Prometheus."""

from __future__ import annotations

import json
from pathlib import Path

DASHBOARD = Path(__file__).parent.parent / "configs" / "grafana" / "dashboard.json"
_VARIABLES = {"$__rate_interval": "1m", "$service": ".+"}


Panel = tuple[str, str]
"""The title of its row, and its own: rows have panels of the same title."""


def expressions() -> dict[Panel, list[str]]:
    """Return the PromQL of each panel, with variables filled in as Grafana does."""
    made: dict[Panel, list[str]] = {}
    row = ""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        assert (row, panel["title"]) not in made, "which of the two is looked at?"
        made[row, panel["title"]] = [_filled(target["expr"]) for target in panel["targets"]]
    return made


def _filled(expression: str) -> str:
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression
