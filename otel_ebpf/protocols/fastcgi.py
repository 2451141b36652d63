"""FastCGI 1.0, by which web servers ask PHP-FPM and others: HTTP's requests in another form.

One request at a time passes on a connection, as nginx, Apache and PHP-FPM have it: several at once are
counted as unparsed.
"""

from __future__ import annotations

from collections.abc import Sequence

from otel_ebpf.kernel.records import Capture, Exchange, Piece
from otel_ebpf.kernel.trace_ids import TraceIds
from otel_ebpf.protocols.base import Claim, Stream
from otel_ebpf.protocols.calls import Call, HttpCall
from otel_ebpf.protocols.exchange_call import make_call
from otel_ebpf.protocols.fastcgi_records import HEADER, VERSION, Kind
from otel_ebpf.protocols.fastcgi_request import RESPONDER, read_request
from otel_ebpf.protocols.fastcgi_response import read_response
from otel_ebpf.protocols.nothing import NoStream

_BEGIN = bytes((VERSION, Kind.BEGIN_REQUEST))
_BODY = bytes((0, 8))  # the length of BEGIN_REQUEST's
_ROLE = bytes((0, RESPONDER))
_ANSWERS = (Kind.STDOUT, Kind.STDERR, Kind.END_REQUEST)
_SERVER_FIRST = int(Capture.SERVER_FIRST)


class FastCgi:
    """The protocol, as `registry.py` lists it."""

    name = "fastcgi"
    supported = True
    server_first = False
    followed = False
    interleaved = False

    def claim(self, request: bytes, response: bytes) -> Claim:
        """Judge by the first record of either direction."""
        asked, answered = _judge_request(request), _judge_response(response)
        if Claim.NO in (asked, answered):
            return Claim.NO
        if asked is Claim.YES and not response:
            return Claim.LIKELY
        return Claim.YES if asked is answered is Claim.YES else Claim.MAYBE

    def parse(self, exchange: Exchange) -> Call | None:
        """Read one exchange; None where it does not say what is asked, or its answer cannot be read."""
        asked = read_request(exchange.request)
        answered = read_response(exchange.response, exchange.response_bytes)
        if asked is None or answered.status < 0 or exchange.flags & _SERVER_FIRST:
            return None
        value = HttpCall(asked.request, answered.status, asked.body, answered.body)
        return make_call(exchange, value, asked.context)

    def body_bound(self, exchange: Exchange) -> int:
        """Return -1: none has a likeness."""
        return -1

    def stream(self, ids: TraceIds) -> Stream:
        """Return a stream that reads nothing: nobody puts these connections in stream mode."""
        return _Unread()


class _Unread(NoStream):
    """Counts each piece as unparsed."""

    def __init__(self) -> None:
        self.unparsed = 0

    def feed(self, piece: Piece) -> Sequence[Call]:
        """Count it."""
        self.unparsed += 1
        return ()


def _judge_request(data: bytes) -> Claim:
    head, body = data[:HEADER], data[HEADER : HEADER + 2]
    if not _BEGIN.startswith(head[:2]) or not _BODY.startswith(head[4:6]) or not _ROLE.startswith(body):
        return Claim.NO
    return Claim.YES if len(body) == len(_ROLE) else Claim.MAYBE


def _judge_response(data: bytes) -> Claim:
    if len(data) < HEADER:
        return Claim.MAYBE if data[:1] in (b"", bytes((VERSION,))) else Claim.NO
    return Claim.YES if data[0] == VERSION and data[1] in _ANSWERS else Claim.NO
