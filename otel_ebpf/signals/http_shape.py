"""What calls have in common that differ only in path, client and time: name, attributes, status.

Not on the hot path: a `Shape` is made once for each combination that `http.py` caches it by.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from opentelemetry.semconv.attributes.http_attributes import HttpRequestMethodValues
from opentelemetry.semconv.attributes.network_attributes import NetworkTransportValues

from otel_ebpf.identity.model import Attributes, AttributeValue, Service
from otel_ebpf.identity.peer_names import Peer
from otel_ebpf.signals import names
from otel_ebpf.signals.endpoints import parse_authority, url_host
from otel_ebpf.signals.peers import named_peer
from otel_ebpf.signals.redaction import REDACTED_USERINFO
from otel_ebpf.signals.request_metrics import RequestSeries
from otel_ebpf.signals.span import SpanKind

OTHER_METHOD = HttpRequestMethodValues.OTHER.value
KNOWN_METHODS = tuple(one.value for one in HttpRequestMethodValues if one.value != OTHER_METHOD)
_VERSIONS = frozenset({"1.0", "1.1", "2", "3"})
_DEFAULT_PORTS = (80, 443)  # plain, TLS
_UNIX = NetworkTransportValues.UNIX.value

Pair = tuple[str, AttributeValue]


def active_attributes(request: bytes, *, tls: bool = False) -> Attributes:
    """Return the attributes of an active request by its first bytes, which hold a known method whole."""
    method = request.partition(b" ")[0].decode("latin-1")
    if method not in KNOWN_METHODS:
        method = OTHER_METHOD
    return ((names.HTTP_REQUEST_METHOD, method), (names.URL_SCHEME, "https" if tls else "http"))


class ShapeKey(NamedTuple):
    """What a shape depends on, beside the service. All of it is known without formatting anything."""

    server: bool
    method: str  # known, or `_OTHER`
    route: str  # "" for none, and for clients
    status: int
    host: str  # as sent
    named: str  # the name of a client's TLS handshake, if it is not that of `host`
    version: str
    https: bool
    failure: str  # `outcome.failure`
    port: int  # of the listening side
    address: str  # of the listening side, where the shape needs it: client, or no Host, or unix
    unix: bool
    service: Peer | None  # who answers at a client's server's address


class Shape:
    """Name, repeating attributes and status of a span, and the metric series that its calls count in.

    `origin` begins a client's `url.full`, "" where nothing names the server. `series` is filled by
    `RequestMetrics` at first use.
    """

    __slots__ = (
        "common",
        "error",
        "kind",
        "metric_attributes",
        "name",
        "origin",
        "other_method",
        "series",
        "server",
        "service",
    )

    def __init__(self, service: Service, key: ShapeKey) -> None:
        self.service = service
        self.server = key.server
        self.kind = int(SpanKind.SERVER if key.server else SpanKind.CLIENT)
        self.error, error_type = _status(key)
        self.other_method = key.method == OTHER_METHOD
        method = "HTTP" if self.other_method else key.method
        self.name = f"{method} {key.route}" if key.route else method
        scheme = "https" if key.https else "http"
        server = _server(key)
        outcome = _outcome(key, error_type)
        head: list[Pair] = [(names.HTTP_REQUEST_METHOD, key.method)]
        peer: list[Pair] = []
        if not key.server and key.address:
            peer.append((names.NETWORK_PEER_ADDRESS, key.address))
            if not key.unix:
                peer.append((names.NETWORK_PEER_PORT, key.port))
        if key.unix:
            peer.append((names.NETWORK_TRANSPORT, _UNIX))
        peer += named_peer(key.service)
        self.common = (*head, (names.URL_SCHEME, scheme), *outcome, *server, *peer)
        aggregated = [(names.URL_SCHEME, scheme)] if key.server else server
        self.metric_attributes = (*head, *aggregated, *outcome)
        authority = "" if key.server else _url_authority(key)
        self.origin = f"{scheme}://{authority}" if authority else ""
        self.series: RequestSeries | None = None


def _status(key: ShapeKey) -> tuple[bool, str]:
    """Return (is an error, `error.type`)."""
    if key.status >= 500 or (key.status >= 400 and not key.server):
        return True, str(key.status)
    return bool(key.failure), key.failure


def _outcome(key: ShapeKey, error_type: str) -> list[Pair]:
    pairs: list[Pair] = []
    if key.route:
        pairs.append((names.HTTP_ROUTE, key.route))
    if key.status:
        pairs.append((names.HTTP_RESPONSE_STATUS_CODE, key.status))
    if error_type:
        pairs.append((names.ERROR_TYPE, error_type))
    if key.version in _VERSIONS:
        pairs.append((names.NETWORK_PROTOCOL_VERSION, key.version))
    return pairs


def _server(key: ShapeKey) -> list[Pair]:
    """Return server.address and server.port: of the Host header, else of the listening side.

    Where a client's socket is not known, a Host header without a port means the scheme's (RFC 9110 section
    4.2.2): the conventions require it.
    """
    if key.unix and key.address:
        return [(names.SERVER_ADDRESS, key.address)]
    name, port, _ = parse_authority(key.host)
    pairs: list[Pair] = []
    if address := key.named or name or key.address:
        pairs.append((names.SERVER_ADDRESS, address))
    port = port or (0 if key.unix else key.port)
    if not port and name and not key.server and not key.unix:
        port = _DEFAULT_PORTS[key.https]
    if port:
        pairs.append((names.SERVER_PORT, port))
    return pairs


def _url_authority(key: ShapeKey) -> str:
    name, port, userinfo = parse_authority(key.host)
    if not name and key.unix:
        # A reg-name may be percent-encoded (RFC 3986 section 3.2.2): the socket's path is the host.
        return quote(key.address, safe="")
    if not name:
        name, port = key.named or key.address, key.port
    if not name:
        return ""
    tail = f":{port}" if port and port != _DEFAULT_PORTS[key.https] else ""
    return f"{REDACTED_USERINFO if userinfo else ''}{url_host(name)}{tail}"
