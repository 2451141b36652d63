"""The sizes of docs/scale.md are those that its inputs make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools.generate_scale_docs import FLEETS, Measured, fleets, gateways

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_up_to_date() -> None:
    tool = [sys.executable, "tools/generate_scale_docs.py", "--check"]
    done = subprocess.run(tool, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_arithmetic() -> None:
    """By hand, from round figures."""
    measured = Measured(
        agent=4.0, kernel=1.0, memory=100.0, span=1000.0, span_gzip=125.0, point=400.0, point_gzip=120.0
    )
    rows = {row[0]: dict(zip(FLEETS, row[1:], strict=True)) for row in fleets(measured)}
    assert rows["requests a second"][1_000] == "100,000"
    assert rows["processors of a host that are busy with it"][10] == "0.05% of one"
    assert rows["processors of the fleet"][100_000] == "50"
    assert rows["memory of the fleet"][1_000] == "100 GB"
    assert rows["spans, all kept: network, by gzip"][1_000] == "100 Mbit/s"
    assert rows["spans, all kept: a day, plain"][1_000] == "8,640 GB"
    assert rows["spans kept: a day, plain"][1_000] == "864 GB"
    assert rows["series"][1_000] == "500,000"
    assert rows["metrics: network, by gzip"][100_000] == "800 Mbit/s"
    assert rows["gateways, one of them to spare"][100_000] == "6"


@pytest.mark.parametrize(("spans", "needed"), [(0, 1), (1, 2), (20_000, 2), (20_001, 3)])
def test_gateways(spans: float, needed: int) -> None:
    assert gateways(spans) == needed
