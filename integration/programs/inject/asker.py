"""Asks what it is told to, over connections that it keeps: one JSON command a line, one answer a line.

["connect", name, port, authority]     authority: a file for TLS, or null. The socket does not block
["block", name, port]                  connects where that was not done; the socket blocks from now on
["zerocopy", name]                     sets SO_ZEROCOPY
["ask", name, method, path, fields, size, how]   a request by http.client, with a body of that size;
                                                 how: "" in one piece where that is possible, or "chunked"
["send", name, text]
["read", name, size]                   so many bytes, whatever they are
["answers", name, number]              so many answers of echo.py that stand in a row
["close", name]
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any

connections: dict[str, http.client.HTTPConnection] = {}


def body_of(size: int) -> bytes:
    """Return bytes of which no part is like another."""
    pieces = (hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(size // 32 + 1))
    return b"".join(pieces)[:size]


def connect(name: str, port: int, authority: str | None) -> None:
    seconds = 300.0  # with a time limit it does not block
    if authority is None:
        connections[name] = http.client.HTTPConnection("127.0.0.1", port, seconds)
    else:
        context = ssl.create_default_context(cafile=authority)
        connections[name] = http.client.HTTPSConnection("127.0.0.1", port, timeout=seconds, context=context)
    connections[name].connect()


def block(name: str, port: int) -> None:
    if name in connections:
        connections[name].sock.settimeout(None)
    else:
        connections[name] = http.client.HTTPConnection("127.0.0.1", port)
        connections[name].connect()


def zerocopy(name: str) -> None:
    connections[name].sock.setsockopt(
        socket.SOL_SOCKET, 60, 1
    )  # SO_ZEROCOPY, include/uapi/asm-generic/socket.h


def ask(name: str, method: str, path: str, fields: dict[str, str], size: int, how: str) -> Any:
    connection = connections[name]
    body: bytes | Iterator[bytes] | None = body_of(size) if size else None
    if how == "chunked":
        whole = body_of(size)
        body = iter([whole[start : start + 1000] for start in range(0, size, 1000)])
    connection.request(method, path, body, fields, encode_chunked=how == "chunked")
    answer = json.loads(connection.getresponse().read())
    return {**answer, "intact": answer["digest"] == hashlib.sha256(body_of(size)).hexdigest()}


def send(name: str, text: str) -> None:
    connections[name].sock.sendall(text.encode("latin-1"))


def read(name: str, size: int) -> str:
    data = b""
    while len(data) < size and (piece := connections[name].sock.recv(size - len(data))):
        data += piece
    return data.decode("latin-1")


def answers(name: str, number: int) -> Any:
    found = []
    with connections[name].sock.makefile("rb", 0) as stream:
        for _ in range(number):
            length = 0
            while line := stream.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            data = b""
            while len(data) < length:
                data += stream.read(length - len(data)) or b""
            found.append(json.loads(data))
    return found


def close(name: str) -> None:
    connections.pop(name).close()


COMMANDS = {
    **{"connect": connect, "block": block, "zerocopy": zerocopy, "ask": ask, "send": send},
    **{"read": read, "answers": answers, "close": close},
}

if __name__ == "__main__":
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(COMMANDS[command](*arguments)), flush=True)
