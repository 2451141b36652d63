"""FastCGI 1.0, by which web servers ask PHP-FPM and others: HTTP's requests in another form.

One request at a time passes on a connection, as nginx, Apache and PHP-FPM have it: several at once are
counted as unparsed.
"""

from __future__ import annotations

from otel_ebpf.kernel.records import Capture, Exchange
from otel_ebpf.protocols.base import Claim
from otel_ebpf.protocols.calls import Call, HttpCall
from otel_ebpf.protocols.exchange_call import make_call
from otel_ebpf.protocols.fastcgi_records import HEADER, VERSION, Kind
from otel_ebpf.protocols.fastcgi_request import RESPONDER, read_request
from otel_ebpf.protocols.fastcgi_response import read_response
from otel_ebpf.protocols.turn_taking import TurnTaking

_BEGIN = bytes((VERSION, Kind.BEGIN_REQUEST))
_BODY = bytes((0, 8))  # the length of BEGIN_REQUEST's
_ROLE = bytes((0, RESPONDER))
_ANSWERS = (Kind.STDOUT, Kind.STDERR, Kind.END_REQUEST)
_SERVER_FIRST = int(Capture.SERVER_FIRST)


class FastCgi(TurnTaking):
    """The protocol, as `registry.py` lists it."""

    name = "fastcgi"

    def judge_request(self, data: bytes) -> Claim:
        """Judge by its first record."""
        head, body = data[:HEADER], data[HEADER : HEADER + 2]
        if not _BEGIN.startswith(head[:2]) or not _BODY.startswith(head[4:6]) or not _ROLE.startswith(body):
            return Claim.NO
        return Claim.YES if len(body) == len(_ROLE) else Claim.MAYBE

    def judge_response(self, data: bytes) -> Claim:
        """Judge by its first record."""
        if len(data) < HEADER:
            return Claim.MAYBE if data[:1] in (b"", bytes((VERSION,))) else Claim.NO
        return Claim.YES if data[0] == VERSION and data[1] in _ANSWERS else Claim.NO

    def parse(self, exchange: Exchange) -> Call | None:
        """Read one exchange; None where it does not say what is asked, or its answer cannot be read."""
        asked = read_request(exchange.request)
        answered = read_response(exchange.response, exchange.response_bytes)
        if asked is None or answered.status < 0 or exchange.flags & _SERVER_FIRST:
            return None
        value = HttpCall(asked.request, answered.status, asked.body, answered.body)
        return make_call(exchange, value, asked.context)
