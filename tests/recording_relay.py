"""A relay of TCP on loopback that keeps what clients say, and what of gRPC is in there.

A server's gRPC library hands messages over as they were before they were compressed: how they came, only the
bytes on the wire tell.
"""

from __future__ import annotations

import socket
import struct
from collections import defaultdict
from dataclasses import dataclass
from threading import Lock, Thread
from types import TracebackType
from typing import Self

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, 3.4
_FRAME = 9  # its head's bytes: RFC 9113, 4.1
_DATA, _PADDED = 0, 0x8
_MESSAGE = 5  # its head's bytes: whether it is compressed, and its length


@dataclass(frozen=True)
class Message:
    """One of gRPC, as it was on the wire."""

    compressed: bool
    body: bytes


class RecordingRelay:
    """Passes connections to a port of loopback on to another one, until it is closed."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._said: list[bytearray] = []
        self._ends: list[socket.socket] = []
        self._lock = Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A thread that waits in accept is not woken by close alone.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            for end in self._ends:
                end.close()

    def messages(self) -> list[Message]:
        """Return the gRPC messages that clients have sent whole."""
        with self._lock:
            return [message for said in self._said for message in grpc_messages(bytes(said))]

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            said = bytearray()
            with self._lock:
                self._ends += [client, server]
                self._said.append(said)
            Thread(target=self._pass_on, args=(client, server, said), daemon=True).start()
            Thread(target=self._pass_on, args=(server, client, None), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, said: bytearray | None) -> None:
        try:
            while piece := source.recv(1 << 16):
                if said is not None:
                    with self._lock:
                        said += piece
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return


def grpc_messages(said: bytes) -> list[Message]:
    """Return the messages in what one client has said on a connection of HTTP/2, stream by stream."""
    assert said[: len(_PREFACE)] == _PREFACE[: len(said)], said[:40]
    streams: dict[int, bytes] = defaultdict(bytes)
    at = len(_PREFACE)
    while at + _FRAME <= len(said):
        length = int.from_bytes(said[at : at + 3])
        kind, flags, stream = struct.unpack_from(">BBI", said, at + 3)
        if kind == _DATA:
            assert not flags & _PADDED, "gRPC does not pad"
            streams[stream] += said[at + _FRAME : at + _FRAME + length]
        at += _FRAME + length
    return [message for text in streams.values() for message in _messages(text)]


def _messages(text: bytes) -> list[Message]:
    found = []
    while len(text) >= _MESSAGE:
        compressed, length = struct.unpack_from(">BI", text)
        if len(text) < _MESSAGE + length:
            break
        assert compressed in (0, 1), compressed
        found.append(Message(bool(compressed), text[_MESSAGE : _MESSAGE + length]))
        text = text[_MESSAGE + length :]
    return found
