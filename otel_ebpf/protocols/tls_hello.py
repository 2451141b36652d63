"""What a TLS client asks for in its first message: the ClientHello (RFC 8446 section 4.1.2).

Sans-IO, for hostile bytes, and never raises. What was captured may end anywhere: what stands whole before
that place is read, and nothing else is. About 12 us a hello; once for each connection.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["NOTHING", "ClientHello", "parse_client_hello"]

_RECORD_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_RECORD_HEADER: Final = 5  # type, version, length
_MESSAGE_HEADER: Final = 4  # type, length of three bytes
_RANDOM: Final = 32
_RECORD_MAX: Final = 1 << 14  # RFC 8446 section 5.1

_SERVER_NAME: Final = 0  # RFC 6066 section 3
_PROTOCOLS: Final = 16  # RFC 7301 section 3.1
_VERSIONS: Final = 43  # RFC 8446 section 4.2.1
_READ: Final = (_SERVER_NAME, _PROTOCOLS, _VERSIONS)
_HOST_NAME: Final = 0
_DNS_NAME: Final = re.compile(rb"[0-9A-Za-z_-][0-9A-Za-z._-]{0,254}")
_PRINTABLE: Final = re.compile(rb"[!-~]+")


class ClientHello(NamedTuple):
    """What was read. `whole` is False where the captured bytes end before the extensions do."""

    server_name: str = ""  # lower case; "" for none, or none that is a host name
    protocols: tuple[str, ...] = ()  # by ALPN, in the client's order, those that are printable
    versions: tuple[int, ...] = ()  # offered, without GREASE; 0x0304 is TLS 1.3
    whole: bool = False


NOTHING: Final = ClientHello()


class _CutError(Exception):
    """The bytes end here, or a length reaches beyond what holds it."""


class _Bytes:
    """A cursor over bytes."""

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def more(self) -> bool:
        """Whether anything is left."""
        return self.at < len(self._data)

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        stop = self.at + size
        if stop > len(self._data):
            raise _CutError
        taken = self._data[self.at : stop]
        self.at = stop
        return taken

    def number(self, size: int) -> int:
        """Return the next number."""
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        """Return the next vector, whose length stands before it in `size` bytes."""
        return self.take(self.number(size))


def parse_client_hello(data: bytes) -> ClientHello:
    """Read the start of what a client sent on a new connection; `NOTHING` where it is no ClientHello."""
    message = _Bytes(_message(data))
    try:
        if message.number(1) != _CLIENT_HELLO:
            return NOTHING
        length = message.number(3)
        legacy = message.number(2)
        message.take(_RANDOM)
        message.vector(1)  # session id
        message.vector(2)  # cipher suites
        message.vector(1)  # compression methods
    except _CutError:
        return NOTHING
    return _extensions(message, length, legacy)


def _message(data: bytes) -> bytes:
    """Return the handshake messages that TLS records hold, up to the first record of another kind.

    A hello may be cut into several records, and the last one may not be all there.
    """
    parts = []
    at = 0
    while len(data) - at > _RECORD_HEADER and data[at] == _RECORD_HANDSHAKE and data[at + 1] == 3:
        size = data[at + 3] << 8 | data[at + 4]
        if not 0 < size <= _RECORD_MAX:
            break
        at += _RECORD_HEADER
        parts.append(data[at : at + size])
        at += size
    return b"".join(parts)


def _extensions(message: _Bytes, length: int, legacy: int) -> ClientHello:
    found = NOTHING
    try:
        # Old clients send no extensions at all: then the hello ends here.
        left = message.number(2) if message.at < _MESSAGE_HEADER + length else 0
        while left > 0:
            header = message.number(4)
            kind, size = header >> 16, header & 0xFFFF
            body = message.take(size)
            left -= 4 + size
            if kind in _READ:
                found = _with_extension(found, kind, body)
    except _CutError:
        return found
    return found._replace(whole=True, versions=found.versions or (legacy,))


def _with_extension(found: ClientHello, kind: int, body: bytes) -> ClientHello:
    """Return `found` with what one whole extension says; one that is malformed says nothing."""
    try:
        if kind == _SERVER_NAME:
            return found._replace(server_name=_host_name(_Bytes(_Bytes(body).vector(2))))
        if kind == _PROTOCOLS:
            return found._replace(protocols=_protocols(_Bytes(_Bytes(body).vector(2))))
        if kind == _VERSIONS:
            return found._replace(versions=_versions(_Bytes(_Bytes(body).vector(1))))
    except _CutError:
        pass
    return found


def _host_name(names: _Bytes) -> str:
    while names.more():
        kind, name = names.number(1), names.vector(2)
        if kind == _HOST_NAME and _DNS_NAME.fullmatch(name):
            return name.decode("ascii").lower().rstrip(".")
    return ""


def _protocols(names: _Bytes) -> tuple[str, ...]:
    found = []
    while names.more():
        name = names.vector(1)
        if _PRINTABLE.fullmatch(name):  # GREASE is not (RFC 8701)
            found.append(name.decode("ascii"))
    return tuple(found)


def _versions(numbers: _Bytes) -> tuple[int, ...]:
    found = []
    while numbers.more():
        version = numbers.number(2)
        if version & 0x0F0F != 0x0A0A:  # GREASE (RFC 8701)
            found.append(version)
    return tuple(found)
