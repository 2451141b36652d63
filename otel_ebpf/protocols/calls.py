"""What the protocols stage hands on: one `Call` for each request that was observed."""

from __future__ import annotations

from typing import NamedTuple

from otel_ebpf.kernel.records import Exchange, Piece


class HttpRequest(NamedTuple):
    """What an HTTP request says, before conventions and redaction (RFC 9110, RFC 9112).

    Clients repeat themselves: equal requests are mostly one object, and later stages cache by it.
    """

    method: str  # as sent, e.g. "GET"; any token
    path: str  # without the query; percent-encoding as sent; "*" for OPTIONS *
    query: str  # without "?"; "" for none
    host: str  # Host header, or the authority of the request target; "" for none
    version: str  # "1.0" or "1.1"; by FastCGI what the browser speaks, "2" too
    user_agent: str
    forwarded_for: str  # the client's address by Forwarded, X-Forwarded-For or REMOTE_ADDR, "" for none
    trace_state: str = ""  # tracestate, which means something only beside a valid traceparent
    scheme: str = ""  # where the request says it; else that of its connection


class HttpCall(NamedTuple):
    """An HTTP request and what became of it.

    Sizes are of the bodies in bytes as they passed on the wire, -1 where that is unknown.
    """

    request: HttpRequest
    status: int  # final status code, 0 when there was no response
    request_body: int
    response_body: int


class Duration(NamedTuple):
    """A histogram of durations in seconds, as the conventions have it for a family of protocols."""

    name: str
    description: str
    bounds: tuple[float, ...]  # ascending


class Operation(NamedTuple):
    """A request of a protocol other than HTTP, in the words of the conventions.

    Names of attributes are constants of the package `opentelemetry.semconv`. `name` and all values are of few
    kinds each: nothing that a user has typed, no key, no text of a query. What follows from the connection
    (peer, server, `error.type`) is added by the signals stage.
    """

    name: str  # of its span
    attributes: tuple[tuple[str, str | int], ...]  # of its span and of its durations
    failed: str  # `error.type` by what the response says; "" where it says nothing of the kind
    client: Duration | None  # what it counts in, seen from the side that asks
    server: Duration | None  # the same from the side that answers; None: the conventions have none


class Call(NamedTuple):
    """One request with its response, or without one.

    `record` is what opened it in the kernel and says whose it is. Times are CLOCK_BOOTTIME
    nanoseconds, 0 for "did not happen".
    """

    record: Exchange | Piece
    value: HttpCall | Operation
    start: int  # first byte of the request
    response_start: int
    end: int  # last byte that was seen of either side
    how: int  # kernel.records.End
    error: int  # errno of the socket, 0 for none
    trace_id: bytes
    span_id: bytes
    parent_id: bytes  # b"\0" * 8 for none
    trace_flags: int
    context_source: int  # kernel.records.ContextSource
