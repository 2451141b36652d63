"""What the Grafana dashboard of configs/ asks of Prometheus."""

from __future__ import annotations

import json
from pathlib import Path

DASHBOARD = Path(__file__).parent.parent / "configs" / "grafana" / "dashboard.json"
_VARIABLES = {"$__rate_interval": "1m", "$service": ".+"}


def expressions() -> dict[str, list[str]]:
    """Return the PromQL of each panel by its title, with variables filled in as Grafana does."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return {
        panel["title"]: [_filled(target["expr"]) for target in panel["targets"]]
        for panel in panels
        if panel["type"] != "row"
    }


def _filled(expression: str) -> str:
    for variable, value in _VARIABLES.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression
