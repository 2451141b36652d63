"""The clients of the suite, as commands that take URL MARK COUNT METHOD."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from integration.harness.build import CLIENTS, go_program, java_class

Command = Callable[[], list[str | Path]]


def _python(name: str) -> Command:
    return lambda: [sys.executable, CLIENTS / name]


def _node(kind: str) -> Command:
    return lambda: ["node", CLIENTS / "node_client.js", kind]


COMMANDS: dict[str, Command] = {
    "curl": _python("curl_client.py"),
    "requests": _python("requests_client.py"),
    "urllib3": _python("urllib3_client.py"),
    "httpx": _python("httpx_client.py"),
    "node_fetch": _node("fetch"),
    "node_http": _node("http"),
    "java": lambda: [*java_class(CLIENTS / "JavaClient.java")],
    "go": lambda: [go_program(CLIENTS / "go_client")],
}

SERVICES = {
    "curl": "curl",
    "requests": "requests_client",
    "urllib3": "urllib3_client",
    "httpx": "httpx_client",
    "node_fetch": "node_client",
    "node_http": "node_client",
    "java": "JavaClient",
    "go": "go_client",
}
"""The `service.name` that each one's spans must carry."""
