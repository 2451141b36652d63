"""What each span and each metric of an observed service may carry: for the documentation, and for tests.

`tools/generate_signals_docs.py` writes it into docs/signals.md; integration/test_signals.py holds what leaves
the agent to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from otel_ebpf.signals import connects, handshake_shape, lookups, names
from otel_ebpf.signals.span import SpanKind

__all__ = ["METRIC_ATTRIBUTES", "SPANS", "SpanShape"]


class SpanShape(NamedTuple):
    """A kind of span. `name` is as the conventions write it, with {placeholders}."""

    name: str
    kinds: tuple[SpanKind, ...]
    of: str
    attributes: frozenset[str]


_TLS: Final = frozenset(
    {names.TLS_PROTOCOL_VERSION, names.TLS_CIPHER, names.TLS_NEXT_PROTOCOL, names.TLS_RESUMED}
)
_PEER: Final = frozenset({names.NETWORK_PEER_ADDRESS, names.NETWORK_PEER_PORT, names.NETWORK_TRANSPORT})
_SERVER: Final = frozenset({names.SERVER_ADDRESS, names.SERVER_PORT})
_NETWORK_PART: Final = frozenset(
    {
        names.TCP_RTT,
        names.TCP_MIN_RTT,
        names.TCP_RETRANSMITS,
        names.TIME_TO_FIRST_BYTE,
        names.REQUEST_ACCEPT,
        names.REQUEST_WAIT,
        names.DNS_LOOKUP,
    }
)
_REQUEST: Final = frozenset(
    {
        names.HTTP_REQUEST_METHOD,
        names.HTTP_REQUEST_METHOD_ORIGINAL,
        names.HTTP_RESPONSE_STATUS_CODE,
        names.ERROR_TYPE,
        names.NETWORK_PROTOCOL_VERSION,
        names.URL_SCHEME,
        names.USER_AGENT_ORIGINAL,
    }
)

SPANS: Final = (
    SpanShape(
        "{method} {route}",
        (SpanKind.SERVER,),
        "HTTP/1.0 and 1.1, and FastCGI; without a route `{method}`",
        _REQUEST
        | _SERVER
        | _PEER
        | _TLS
        | _NETWORK_PART - {names.DNS_LOOKUP}
        | {names.HTTP_ROUTE, names.URL_PATH, names.URL_QUERY, names.CLIENT_ADDRESS},
    ),
    SpanShape(
        "{method}",
        (SpanKind.CLIENT,),
        "the same, of who asks",
        _REQUEST
        | _SERVER
        | _PEER
        | _TLS
        | _NETWORK_PART - {names.REQUEST_ACCEPT, names.REQUEST_WAIT}
        | {names.URL_FULL, names.SERVICE_PEER_NAME, names.SERVICE_PEER_NAMESPACE},
    ),
    SpanShape(
        f"{connects.NAME} {{address}}:{{port}}",
        (SpanKind.INTERNAL,),
        "how a client's connection was made",
        _PEER | {names.NETWORK_TYPE},
    ),
    SpanShape(
        f"{handshake_shape.NAME} {{server.address}}",
        (SpanKind.INTERNAL,),
        "a client's TLS handshake",
        _SERVER | _PEER | _TLS | {names.ERROR_TYPE},
    ),
    SpanShape(
        f"{lookups.NAME} {{name}}",
        (SpanKind.INTERNAL,),
        "a lookup of a name",
        frozenset({names.DNS_QUESTION_NAME, names.DNS_ANSWERS, names.ERROR_TYPE}),
    ),
)

_OUTCOME: Final = (
    *(names.HTTP_REQUEST_METHOD, names.HTTP_RESPONSE_STATUS_CODE, names.ERROR_TYPE),
    names.NETWORK_PROTOCOL_VERSION,
)
_SERVED: Final = (*_OUTCOME, names.HTTP_ROUTE, names.URL_SCHEME)
_ASKED: Final = (*_OUTCOME, names.SERVER_ADDRESS, names.SERVER_PORT)
_TCP_PEER: Final = (names.NETWORK_PEER_ADDRESS, names.SERVER_PORT)

METRIC_ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = {
    names.HTTP_SERVER_REQUEST_DURATION: _SERVED,
    names.HTTP_SERVER_REQUEST_BODY_SIZE: _SERVED,
    names.HTTP_SERVER_RESPONSE_BODY_SIZE: _SERVED,
    names.HTTP_CLIENT_REQUEST_DURATION: _ASKED,
    names.HTTP_CLIENT_REQUEST_BODY_SIZE: _ASKED,
    names.HTTP_CLIENT_RESPONSE_BODY_SIZE: _ASKED,
    names.HTTP_SERVER_ACTIVE_REQUESTS: (names.HTTP_REQUEST_METHOD, names.URL_SCHEME),
    names.LEDGER_RECORDS: (
        *(names.LEDGER_STAGE, names.LEDGER_OUTCOME, names.LEDGER_REASON, names.NETWORK_PROTOCOL_NAME),
    ),
    names.TRACE_UNPARENTED: (names.LEDGER_REASON, names.RUNTIME),
    names.TLS_HANDSHAKE_DURATION: (
        *(names.ROLE, names.NETWORK_PEER_ADDRESS, names.NETWORK_PEER_PORT, names.NETWORK_TRANSPORT),
        *(names.TLS_PROTOCOL_VERSION, names.TLS_RESUMED, names.ERROR_TYPE),
    ),
    names.DNS_LOOKUP_DURATION: (names.DNS_QUESTION_NAME, names.ERROR_TYPE),
    names.DNS_RETRIES: (names.NETWORK_PEER_ADDRESS, names.NETWORK_PEER_PORT),
    names.DNS_TRUNCATIONS: (names.NETWORK_PEER_ADDRESS, names.NETWORK_PEER_PORT),
    names.TCP_RTT: (*_TCP_PEER, names.ROLE),
    names.TCP_CONNECT_DURATION: (*_TCP_PEER, names.ERROR_TYPE),
    names.TCP_CONNECT_FAILURES: (*_TCP_PEER, names.ERROR_TYPE),
    names.TCP_RETRANSMITS: _TCP_PEER,
    names.TCP_RESETS: (*_TCP_PEER, names.NETWORK_IO_DIRECTION),
    names.TCP_LISTEN_OVERFLOWS: (names.SERVER_PORT,),
    names.TCP_IO: (*_TCP_PEER, names.NETWORK_IO_DIRECTION),
    names.TCP_CONNECTION_ACTIVE: (*_TCP_PEER, names.ROLE),
    names.TCP_CONNECTION_DURATION: _TCP_PEER,
    names.UDP_IO: (names.SERVER_PORT, names.NETWORK_IO_DIRECTION),
    names.UDP_DROPS: (names.SERVER_PORT,),
    names.PROCESS_CPU_TIME: (names.CPU_MODE,),
    names.PROCESS_MEMORY_USAGE: (),
    names.PROCESS_THREAD_COUNT: (),
    names.PROCESS_UNIX_FILE_DESCRIPTOR_COUNT: (),
    names.PROCESS_NETWORK_IO: (names.NETWORK_IO_DIRECTION,),
}
"""By metric. With `otel.metric.overflow` alone, a series is what found no room."""
