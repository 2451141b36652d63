"""The clients of the suite that speak TLS, as commands that take URL MARK COUNT METHOD.

They trust the session's certificate authority by `certificates().environment`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from integration.harness import clients
from integration.harness.build import CLIENTS
from integration.harness.clients import Command
from integration.harness.compare import NEAR

_OF_PLAINTEXT = ("curl", "requests", "urllib3", "httpx", "node_fetch", "node_http")


def _python(*words: str) -> Command:
    return lambda: [sys.executable, CLIENTS / words[0], *words[1:]]


TLS_COMMANDS: dict[str, Command] = {
    **{name: clients.COMMANDS[name] for name in _OF_PLAINTEXT},
    "httpx_async": _python("httpx_async_client.py"),
    "ruby": lambda: ["ruby", CLIENTS / "ruby_client.rb"],
    "wget": _python("wget_client.py"),
    "gnutls": _python("piped_client.py", "gnutls"),
    "openssl": _python("piped_client.py", "openssl"),
}

NEW_KEYS: dict[str, tuple[Command, str]] = {
    "key_update": (_python("piped_client.py", "openssl_key_update"), "1.3"),
    "renegotiation": (_python("piped_client.py", "openssl_renegotiation"), "1.2"),
}
"""Clients that exchange keys anew between any two requests, and the version that they speak."""

RESUMES: Command = lambda: ["node", CLIENTS / "node_client.js", "each"]  # noqa: E731
"""A client that opens a connection for each request and resumes the session of the one before."""

TLS_SERVICES = {
    **{name: clients.SERVICES[name] for name in _OF_PLAINTEXT},
    "httpx_async": "httpx_async_client",
    "ruby": "ruby_client",
    "wget": "wget",
    "gnutls": "gnutls-cli",
    "openssl": "openssl",
}

BINDS = {
    "curl": "nested",
    "requests": "api",
    "urllib3": "api",
    "httpx": "api",
    "node_fetch": "length",
    "node_http": "length",
    "httpx_async": "length",
    "ruby": "api",
    "wget": "nested",
    "gnutls": "nested",
    "openssl": "nested",
}
"""How each one's sessions find their sockets: the method of `ebpf.tls.binding`, as docs/tls.md has it."""

NEAR_OF = {"wget": 1000 * NEAR}
"""Where a client's own clock is coarse."""

Words = list[str | Path]

MANY: dict[str, Words] = {
    "httpx": [sys.executable, CLIENTS / "many_httpx.py"],
    "node": ["node", CLIENTS / "many_node.js"],
    "threads": [sys.executable, CLIENTS / "many_threads.py"],
    "interleaved": [sys.executable, CLIENTS / "interleaved.py"],
}
"""Clients of many connections: MARK ROUNDS CONNECTIONS URL..."""
