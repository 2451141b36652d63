"""HTTP/2 (RFC 9113): recognised, so that it can be counted by service; not read."""

from __future__ import annotations

from otel_ebpf.kernel.records import Exchange
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.base import Claim, Stream
from otel_ebpf.protocols.calls import Call
from otel_ebpf.protocols.nothing import NoStream

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER = 9
_MAX_FRAME = 16384  # SETTINGS_MAX_FRAME_SIZE's initial value; hardly anyone raises it
_MAX_STREAM = 1 << 24  # the bound is 2^31; connections that have used this many are not worth a guess
_DATA, _HEADERS, _PRIORITY, _RESET, _SETTINGS, _PUSH, _PING, _GOAWAY, _WINDOW, _CONTINUATION = range(10)
_FLAGS = (0x09, 0x2D, 0, 0, 0x01, 0x0C, 0x01, 0, 0, 0x04)  # those that are defined, by type
_ON_CONNECTION = (_SETTINGS, _PING, _GOAWAY)
_FIXED_LENGTHS = {_PRIORITY: 5, _RESET: 4, _PING: 8, _WINDOW: 4}
_OF_SETTINGS = bytes((_SETTINGS, 0, 0, 0, 0, 0))  # type, flags, stream
_LAST_SETTING = 16  # IANA's registry of HTTP/2 settings ends there
_ENOUGH_FRAMES = 3  # of both directions together: 2^-16 or less for random bytes, each


class Http2:
    """The protocol, as `registry.py` lists it."""

    name = "http2"
    supported = False
    server_first = True  # over TLS, where ALPN has settled that it is HTTP/2 (section 3.4)
    followed = False
    interleaved = True

    def claim(self, request: bytes, response: bytes) -> Claim:
        """Judge by either preface or, on a connection that is older, by frame headers.

        Without a preface both directions must begin with frames; when unsure the answer is not YES.
        """
        answered = frames(response, client=False)
        if not request:
            return Claim.YES if is_server_preface(response) else Claim.MAYBE if answered else Claim.NO
        if request.startswith(PREFACE):
            if not response:
                return Claim.LIKELY
            return Claim.YES if answered else Claim.NO
        if request and PREFACE.startswith(request):
            return Claim.MAYBE if answered or not response else Claim.NO
        asked = frames(request, client=True)
        if asked and not response:
            return Claim.MAYBE
        return Claim.YES if asked and answered and asked + answered >= _ENOUGH_FRAMES else Claim.NO

    def parse(self, exchange: Exchange) -> Call | None:
        """Return None: not read."""
        return None

    def body_bound(self, exchange: Exchange) -> int:
        """Return -1: not read."""
        return -1

    def stream(self, ids: TraceIds) -> Stream:
        """Return a stream that finds nothing."""
        return NoStream()


def is_server_preface(data: bytes) -> bool:
    """Say whether `data` begins with settings, as a server's connection does (RFC 9113, section 3.4)."""
    length = int.from_bytes(data[:3], "big")
    if len(data) <= _HEADER or not length or length % 6 or data[3:_HEADER] != _OF_SETTINGS:
        return False
    whole = data[_HEADER : _HEADER + length]
    numbers = [int.from_bytes(whole[at : at + 2], "big") for at in range(0, len(whole) - 5, 6)]
    return bool(numbers) and all(0 < number <= _LAST_SETTING for number in numbers)


def frames(data: bytes, *, client: bool) -> int:
    """Return how many frame headers stand one behind the other at the start of `data`, 0 if any is none."""
    found = position = 0
    while position + _HEADER <= len(data):
        length = int.from_bytes(data[position : position + 3], "big")
        if not _is_frame(length, data[position + 3 : position + _HEADER], client):
            return 0
        found += 1
        position += _HEADER + length
    return found


def _is_frame(length: int, header: bytes, client: bool) -> bool:
    """`header` is type, flags and stream (RFC 9113, sections 4.1 and 6)."""
    kind, flags = header[0], header[1]
    stream = int.from_bytes(header[2:6], "big")
    if kind >= len(_FLAGS) or flags & ~_FLAGS[kind] or length > _MAX_FRAME or stream > _MAX_STREAM:
        return False
    if length != _FIXED_LENGTHS.get(kind, length) or (kind == _PUSH and client):
        return False
    if kind in _ON_CONNECTION:
        return stream == 0 and _connection_frame_fits(kind, flags, length)
    if kind == _WINDOW:
        return True
    # Server push is gone from practice: streams are the client's, and odd.
    return stream % 2 == 1 and (length > 0 or kind == _DATA)


def _connection_frame_fits(kind: int, flags: int, length: int) -> bool:
    if kind == _SETTINGS:
        return length == 0 if flags else length % 6 == 0
    return kind == _PING or length >= 8
