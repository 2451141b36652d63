"""Messages of DNS as a server and its clients write them, and records of them."""

from __future__ import annotations

import struct
from typing import Any

from signals_support import INET, SECOND, ipv4

from otel_ebpf.kernel.records import ContextSource, Datagram, Direction, Role, Transport
from otel_ebpf.kernel.vantage import Vantage

A, AAAA = 1, 28
ADDRESS = ipv4("10.0.0.7")[:4]
VANTAGE = Vantage(int(Transport.UDP), INET, int(Role.CLIENT), 53, 1, 1, 1, 10, 10, ipv4("10.0.0.53"))
STREAM = Vantage(int(Transport.TCP), INET, int(Role.CLIENT), 53, 1, 1, 1, 10, 10, ipv4("10.0.0.53"))


def labels(name: str) -> bytes:
    return b"".join(bytes([len(one)]) + one.encode() for one in name.split(".")) + b"\0"


def query(name: str = "shop.example", kind: int = A, number: int = 7) -> bytes:
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels(name) + struct.pack(">HH", kind, 1)


def address(data: bytes = ADDRESS, kind: int = A, seconds: int = 30) -> bytes:
    return b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, seconds, len(data)) + data


def response(asked: bytes, *records: bytes, code: int = 0, truncated: bool = False) -> bytes:
    flags = 0x8180 | code | (0x0200 if truncated else 0)
    return asked[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0) + asked[12:] + b"".join(records)


def sent(data: bytes, **changes: Any) -> Datagram:
    fields: dict[str, Any] = {
        "time": SECOND,
        "socket": 1,
        "direction": int(Direction.REQUEST),
        "length": len(data),
        "data": data,
        "trace_id": b"\x01" * 16,
        "span_id": b"\x02" * 8,
        "parent_id": bytes(8),
        "trace_flags": 0,
        "context_source": int(ContextSource.ROOT),
        "vantage": VANTAGE,
    }
    return Datagram(**(fields | changes))


def received(data: bytes, **changes: Any) -> Datagram:
    return sent(data, **({"direction": int(Direction.RESPONSE), "time": SECOND + 5_000_000} | changes))
