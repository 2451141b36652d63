"""The enumerations of bpf/include/wire.h."""

from __future__ import annotations

from enum import IntEnum, IntFlag

WIRE_VERSION = 3
WRITTEN_BYTES = 70
"""By which `Capture.WRITTEN` moves the positions behind a request."""


class Kind(IntEnum):
    """What a record tells of (enum record_kind)."""

    EXCHANGE = 1
    PIECE = 2
    CLOSE = 3
    AMEND = 4
    PROCESS = 5
    PROCESS_EXIT = 6
    HANDSHAKE = 7
    EXEC = 8
    LOOKUP = 9
    DATAGRAM = 10


class Transport(IntEnum):
    """enum transport. UNKNOWN: plaintext of a TLS session whose socket is not known."""

    UNKNOWN = 0
    TCP = 1
    UNIX = 2
    UDP = 3


class Role(IntEnum):
    """Which end of the connection was observed (enum role)."""

    UNKNOWN = 0
    CLIENT = 1
    SERVER = 2


class Direction(IntEnum):
    """enum direction: REQUEST is from the connecting to the accepting side."""

    REQUEST = 0
    RESPONSE = 1


class End(IntEnum):
    """Why a record ends where it ends (enum record_end)."""

    NONE = 0
    LENGTH = 1
    CHUNK = 2
    TURN = 3
    FIN = 4
    RESET = 5
    IDLE = 6
    UPGRADE = 7


class Capture(IntFlag):
    """enum capture_flag."""

    TRUNCATED = 1
    TLS = 2
    SERVER_FIRST = 4
    UNSEEN = 8
    OLD = 16
    ROLE_GUESSED = 32
    PEER_CLOSED = 64
    HTTP1 = 128
    FIRST = 256
    WRITTEN = 512
    CONNECTED = 1024


class ContextSource(IntEnum):
    """Where a trace context came from (enum context_source)."""

    NONE = 0
    ROOT = 1
    HEADER = 2
    PEER = 3
    SERVED = 4
    ANSWERED = 5
    AMBIGUOUS = 6
    DECIDED = 128


class LookupCall(IntEnum):
    """By which of the C library's functions a name was looked up (enum lookup_call).

    QUESTIONS is no function: by questions to name servers. It is user space's.
    """

    GETADDRINFO = 1
    GETNAMEINFO = 2
    GETHOSTBYNAME = 3
    GETHOSTBYADDR = 4
    QUESTIONS = 5
