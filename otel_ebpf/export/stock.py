"""The stock OTLP exporters, constructed under the variables that the agent was given.

They read os.environ, and some of it otherwise than the specification says: an empty variable is a
value to them, OTEL_EXPORTER_OTLP_TIMEOUT is in seconds and stops the start when it is no number,
and the gRPC one stops at the compression `none`. Endpoint, timeout and compression are given to
them as values, and hidden from them here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from otel_ebpf.export.settings import ConfigurationError

__all__ = ["stock_environment"]

_FILES: Final = ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")
_GIVEN: Final = ("_ENDPOINT", "_TIMEOUT", "_COMPRESSION", "_PROTOCOL")
_PREFIXES: Final = ("OTEL_EXPORTER_OTLP_", "OTEL_PYTHON_EXPORTER_OTLP_")


@contextmanager
def stock_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Replace the exporters' variables in os.environ by `variables` while a stock exporter is made.

    For the start of the program, while it has one thread. Raises ConfigurationError when a
    certificate or key file cannot be read: the stock exporters log that and go on without it.
    """
    # First, as `variables` may be os.environ itself.
    shown = {name: value.strip() for name, value in variables.items() if _is_shown(name, value)}
    saved = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_PREFIXES)}
    for name, value in shown.items():
        if name.endswith(_FILES):
            _check_readable(name, value)
    os.environ.update(shown)
    try:
        yield
    finally:
        for name in shown:
            os.environ.pop(name, None)
        os.environ.update(saved)


def _is_shown(name: str, value: str) -> bool:
    return name.startswith(_PREFIXES) and bool(value.strip()) and not name.endswith(_GIVEN)


def _check_readable(name: str, path: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as problem:
        raise ConfigurationError(f"{name}: cannot read {path}: {problem.strerror}") from problem
