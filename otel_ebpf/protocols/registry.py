"""The protocols that are looked for, one line each. The first that claims a connection has it."""

from __future__ import annotations

from otel_ebpf.protocols.base import Protocol
from otel_ebpf.protocols.fastcgi import FastCgi
from otel_ebpf.protocols.http1 import Http1
from otel_ebpf.protocols.http2 import Http2

PROTOCOLS: tuple[Protocol, ...] = (
    Http1(),
    Http2(),
    FastCgi(),
)
