"""Signals, vocabulary: what the documentation says of spans and metrics is what the code declares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from otel_ebpf.signals import names
from otel_ebpf.signals.catalogue import METRIC_ATTRIBUTES, SPANS

ROOT = Path(__file__).parents[2]
PROCESS = {
    names.PROCESS_CPU_TIME,
    names.PROCESS_MEMORY_USAGE,
    names.PROCESS_THREAD_COUNT,
    names.PROCESS_UNIX_FILE_DESCRIPTOR_COUNT,
    names.PROCESS_NETWORK_IO,
}


def test_every_metric_and_every_attribute_is_in_it() -> None:
    assert METRIC_ATTRIBUTES.keys() == names.METRICS | PROCESS
    on_spans = frozenset().union(*(one.attributes for one in SPANS))
    on_metrics = {name for attributes in METRIC_ATTRIBUTES.values() for name in attributes}
    assert on_spans | on_metrics | {names.OTEL_METRIC_OVERFLOW} == names.ATTRIBUTES | {names.CPU_MODE}


def test_the_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools" / "generate_signals_docs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
